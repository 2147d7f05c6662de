// Attention and what stands around it, as composites of contractions, softmax and data movement.
#include <cmath>
#include <limits>

#include "frontend/common/composite.h"
#include "frontend/onnx/attention.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/tensor_data.h"

namespace repose::onnx {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// ---- Attention
// -----------------------------------------------------------------------------------

struct Inputs {
  Operand query, key, value;
  bool is_flat = false;  // of rank 3: heads side by side
};

Result<Inputs> inputs_of(NodeContext& c, Composite& m) {
  Inputs in;
  Operand* const parts[] = {&in.query, &in.key, &in.value};
  for (size_t i = 0; i < 3; ++i) {
    REPOSE_TRY(x, c.input(i));
    REPOSE_TRY(rank, c.rank(x));
    if (rank != 3 && rank != 4) {
      return c.fail(DiagnosticKind::rank_mismatch, "operand {} has rank {}, expected 3 or 4", i,
                    rank);
    }
    if (i > 0 && in.is_flat != (rank == 3)) {
      return c.fail(DiagnosticKind::rank_mismatch, "operands 0 to 2 have different ranks");
    }
    in.is_flat = rank == 3;
    *parts[i] = x;
    if (!in.is_flat) continue;
    const char* name = i == 0 ? "q_num_heads" : "kv_num_heads";
    REPOSE_TRY(heads, c.integer(name));
    if (heads < 1)
      return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` is {}", name, heads);
    *parts[i] = split_heads(c, m, x, heads, i);
  }
  if (!m.ok()) return m.results({}).errors();
  return in;
}

Result<int64_t> window_side(NodeContext& c, const char* name) {
  REPOSE_TRY(size, c.integer(name, -1));
  if (size >= -1) return size;
  return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` is {}, expected -1 or more", name,
                size);
}

// 1 / sqrt(size of a head), or what the attribute says.
Result<Operand> scale_of(NodeContext& c, const Expr& head_size) {
  if (c.find("scale")) {
    REPOSE_TRY(scale, c.number("scale", 0));
    return c.scalar(dtypes::float32, scale);
  }
  Composite m(c);
  int64_t size = 0;
  if (as_const_int(head_size, &size) && size > 0) {
    return c.scalar(dtypes::float32, 1 / std::sqrt(static_cast<double>(size)));
  }
  return m.result(m.unary("rsqrt", m.number(head_size, dtypes::float32)));
}

Result<Values> attention(NodeContext& c) {
  Composite m(c);
  REPOSE_TRY(in, inputs_of(c, m));
  if (c.has(4) != c.has(5)) {
    return c.fail(DiagnosticKind::bad_argument, "has only one of operands 4 and 5");
  }
  if (c.has(4) && c.has(6)) {
    return c.fail(DiagnosticKind::bad_argument, "has operand 4 and operand 6");
  }
  if (c.has(4)) {
    in.key = m.concat({c.optional(4), in.key}, 2);
    in.value = m.concat({c.optional(5), in.value}, 2);
  }
  const Dims q = m.shape(in.query, 4, 0), k = m.shape(in.key, 4, 1);
  AttentionMasks masks;
  masks.mask = c.optional(3);
  REPOSE_TRY(is_causal, c.flag("is_causal", false));
  REPOSE_TRY(left, window_side(c, "left_window_size"));
  REPOSE_TRY(right, window_side(c, "right_window_size"));
  masks.is_causal = is_causal;
  masks.left = left;
  masks.right = right;
  if (c.has(4)) {
    const Dims past = m.shape(c.optional(4), 4, 4);
    masks.offset = m.number(past[2], dtypes::int64);
  }
  if (c.has(6)) {
    const Operand lengths = m.cast(c.optional(6), dtypes::int64);
    const Dims d = m.shape(lengths, 1, 6);
    masks.lengths = m.reshape(lengths, {d[0], make_int(1), make_int(1), make_int(1)});
    masks.offset = m.subtract(masks.lengths, m.number(q[2], dtypes::int64));
  }
  AttentionOperands x{in.query, in.key, in.value};
  x.bias = attention_bias(c, m, masks, m.dtype(in.query), q[2], k[2]);
  // Causal queries at or behind the first key see at least that.
  x.may_mask_rows = masks.mask || c.has(6) || masks.left >= 0 || masks.right >= 0;
  REPOSE_TRY(scale, scale_of(c, q[3]));
  REPOSE_TRY(softcap, c.number("softcap", 0));
  REPOSE_TRY(type, c.integer("softmax_precision", 0));
  x.scale = scale;
  x.softcap = softcap;
  if (type != 0) {
    REPOSE_TRY(precision,
               dtype_of(static_cast<DataType>(type), c.span(), "attribute `softmax_precision`"));
    x.precision = precision;
  }
  const Attended y = attend(c, m, x);
  REPOSE_TRY(mode, c.integer("qk_matmul_output_mode", 0));
  const Operand scores[] = {y.products, y.capped, y.biased, y.weights};
  if (mode < 0 || mode > 3) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `qk_matmul_output_mode` is {}", mode);
  }
  return m.results({in.is_flat ? join_heads(m, y.result) : y.result, in.key, in.value,
                    scores[static_cast<size_t>(mode)]});
}

// The same without masks; graphs say what is done to scores and to weights.
Result<Operand> flex_attention(NodeContext& c) {
  REPOSE_TRY(query, c.input(0));
  REPOSE_TRY(key, c.input(1));
  REPOSE_TRY(value, c.input(2));
  REPOSE_TRY(type, c.integer("softmax_precision", 0));
  Composite m(c);
  const Dims q = m.shape(query, 4, 0);
  AttentionOperands x{query, key, value};
  REPOSE_TRY(scale, scale_of(c, q[3]));
  x.scale = scale;
  x.precision = c.dtype(query).bits < 32 ? dtypes::float32 : c.dtype(query);
  if (type != 0) {
    REPOSE_TRY(precision,
               dtype_of(static_cast<DataType>(type), c.span(), "attribute `softmax_precision`"));
    x.precision = precision;
  }
  auto by_graph = [&](const char* name) {
    return [&c, &m, name](const Operand& scores) -> Operand {
      if (!m.ok() || !scores) return nullptr;
      Operand y = m.take(c.apply(name, scores));
      const TensorTypeNode* t = y ? graph::tensor_of(y) : nullptr;
      const Dims d = m.shape(scores, 4, 0);
      if (!t || !m.ok()) return nullptr;
      if (t->dtype != c.dtype(scores)) {
        return m.take(c.fail(DiagnosticKind::dtype_mismatch, "`{}` makes {} of {}", name,
                             t->dtype.to_string(), c.dtype(scores).to_string()));
      }
      const Dims have = m.shape(y, 4, 0);
      for (size_t i = 0; m.ok() && i < d.size(); ++i) {
        m.require(eq(have[i], d[i]), "a graph makes a dimension of {0} of one of {1}",
                  {have[i], d[i]});
      }
      return y;
    };
  };
  if (c.find("score_mod")) x.modify_scores = by_graph("score_mod");
  if (c.find("prob_mod")) x.modify_weights = by_graph("prob_mod");
  return m.result(m.cast(attend(c, m, x).result, c.dtype(value)));
}

// ---- Positions
// -----------------------------------------------------------------------------------

Result<Operand> rotary_embedding(NodeContext& c) {
  REPOSE_TRY(given, c.input(0));
  REPOSE_TRY(cosines, c.input(1));
  REPOSE_TRY(sines, c.input(2));
  REPOSE_TRY(interleaved, c.flag("interleaved", false));
  REPOSE_TRY(rotated, c.integer("rotary_embedding_dim", 0));
  REPOSE_TRY(heads, c.integer("num_heads", 0));
  REPOSE_TRY(rank, c.rank(given));
  Composite m(c);
  Operand x = given;
  if (rank == 3) {
    if (heads < 1) {
      return c.fail(DiagnosticKind::bad_attribute, "attribute `num_heads` is {}", heads);
    }
    x = split_heads(c, m, given, heads, 0);
  }
  RotaryOptions options;
  options.is_interleaved = interleaved;
  options.size = rotated;
  const Operand y = rotate_positions(c, m, x, cosines, sines, c.optional(3), options);
  return m.result(rank == 3 ? join_heads(m, y) : y);
}

// ---- Caches
// --------------------------------------------------------------------------------------

// Element i along the axis of row b of the update goes to write_indices[b] + i of the cache
// ("circular": modulo its length).
Result<Operand> tensor_scatter(NodeContext& c) {
  REPOSE_TRY(cache, c.input(0));
  REPOSE_TRY(update, c.input(1));
  REPOSE_TRY(mode, c.string("mode", "linear"));
  REPOSE_TRY(given, c.integer("axis", -2));
  REPOSE_TRY(rank, c.rank(cache));
  REPOSE_TRY(axis, c.axis(given, rank));
  if (mode != "linear" && mode != "circular") {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `mode` is \"{}\"", printable(mode));
  }
  if (axis == 0) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `axis` is {}, which is the batch",
                  given);
  }
  Composite m(c);
  const Dims d = m.shape(cache), u = m.shape(update, rank, 1);
  const size_t at = static_cast<size_t>(axis);
  if (!m.ok()) return m.result(nullptr);
  m.require(le(u[at], d[at]), "the update has {0} elements along the axis, the cache {1}",
            {u[at], d[at]});
  Operand places = m.arange_along(u[at], dtypes::int64, axis, rank);
  if (c.has(2)) {
    const Dims starts = m.shape(c.optional(2), 1, 2);
    Dims column(d.size(), make_int(1));
    column[0] = starts[0];
    places = m.add(places, m.reshape(m.cast(c.optional(2), dtypes::int64), column));
  }
  if (mode == "circular") places = m.floor_mod(places, m.number(d[at], dtypes::int64));
  return m.result(
      m.call("scatter_elements", {cache, m.broadcast(places, u), update}, {{"axis", axis}}));
}

// ---- Convolution with a state
// --------------------------------------------------------------------

// A depthwise convolution over what came before and what comes; the end of both is the new state.
Result<Values> causal_convolution(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(weight, c.input(1));
  REPOSE_TRY(activation, c.string("activation", "none"));
  if (activation != "none" && activation != "silu" && activation != "swish") {
    return c.fail(DiagnosticKind::bad_attribute,
                  "attribute `activation` is \"{}\", expected \"none\", \"silu\" or \"swish\"",
                  printable(activation));
  }
  Composite m(c);
  const Dims d = m.shape(x, 3, 0), w = m.shape(weight, 3, 1);
  const Expr before = canonical(w[2] - 1);
  const Operand wide =
      c.has(3) ? m.concat({c.optional(3), x}, 2) : m.pad(x, 2, before, make_int(0));
  const Dims whole = m.shape(wide, 3, 0);
  m.require(eq(w[0], d[1]), "the weight has {0} channels, operand 0 has {1}", {w[0], d[1]});
  m.require(eq(whole[2], d[2] + before), "{0} elements with the state, expected {1}",
            {whole[2], canonical(d[2] + before)});
  // The windows side by side, times the taps: channels may be a symbol, which groups cannot be.
  const DType wide_dtype = m.dtype(x).bits < 32 ? dtypes::float32 : m.dtype(x);
  const Operand places =
      m.add(m.arange_along(d[2], dtypes::int64, 0, 2), m.arange_along(w[2], dtypes::int64, 1, 2));
  const Operand windows = m.cast(m.gather_inside(wide, places, 2), wide_dtype);
  Operand sum = m.sum(m.multiply(windows, m.cast(weight, wide_dtype)), {3}, false);
  if (c.has(2)) {
    const Dims bias = m.shape(c.optional(2), 1, 2);
    sum = m.add(sum, m.cast(m.reshape(c.optional(2), {bias[0], make_int(1)}), wide_dtype));
  }
  Operand y = m.cast(sum, m.dtype(x));
  if (activation != "none") y = m.cast(m.unary("nn.silu", m.cast(y, wide_dtype)), m.dtype(x));
  const Operand state = m.slice(wide, 2, canonical(whole[2] - before), whole[2]);
  return m.results({y, state});
}

// ---- Linear attention
// ----------------------------------------------------------------------------

Result<Values> linear_attention(NodeContext& c) {
  REPOSE_TRY(rule, c.string("update_rule", "gated_delta"));
  REPOSE_TRY(query_heads, c.integer("q_num_heads"));
  REPOSE_TRY(heads, c.integer("kv_num_heads"));
  REPOSE_TRY(factor, c.number("scale", 0));
  const bool decays = rule == "gated" || rule == "gated_delta",
             corrects = rule == "delta" || rule == "gated_delta";
  if (!decays && !corrects && rule != "linear") {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `update_rule` is \"{}\"",
                  printable(rule));
  }
  if (heads < 1 || query_heads < 1 || query_heads % heads != 0) {
    return c.fail(DiagnosticKind::bad_attribute, "{} heads of queries, {} of keys", query_heads,
                  heads);
  }
  if (c.has(4) != decays || c.has(5) != corrects) {
    return c.fail(DiagnosticKind::bad_argument, "`{}` {} operand {}", printable(rule),
                  (c.has(4) != decays ? decays : corrects) ? "needs" : "takes no",
                  c.has(4) != decays ? 4 : 5);
  }
  REPOSE_TRY(query, c.input(0));
  REPOSE_TRY(key, c.input(1));
  REPOSE_TRY(value, c.input(2));
  Composite m(c);
  const DType dtype = c.dtype(query);
  const DType wide = dtype == dtypes::float64 ? dtype : dtypes::float32;
  const Operand q = m.cast(split_heads(c, m, query, query_heads, 0), wide);
  const Operand k = m.cast(split_heads(c, m, key, heads, 1), wide);
  const Operand v = m.cast(split_heads(c, m, value, heads, 2), wide);
  const Dims dk = m.shape(k, 4, 1), dv = m.shape(v, 4, 2);
  const Operand state =
      c.has(3) ? m.cast(c.optional(3), wide) : m.zeros({dk[0], dk[1], dk[3], dv[3]}, wide);
  REPOSE_TRY(nothing, c.call("null_value", {}));
  Operand decay = nothing, beta = nothing;
  if (decays) decay = m.cast(split_heads(c, m, c.optional(4), heads, 4), wide);
  if (corrects) {  // one number for each head, or for all
    const Dims d = m.shape(c.optional(5), 3, 5);
    const Operand columns = m.unsqueeze(m.permute(c.optional(5), {0, 2, 1}), {3});
    beta = m.cast(columns, wide);
    m.require(logical_or(eq(d[2], make_int(1)), eq(d[2], make_int(heads))),
              "operand 5 has rows of {0} elements, expected 1 or {1}", {d[2], make_int(heads)});
  }
  const std::vector<Operand> y =
      m.call_tuple("linear_attention", {q, k, v, state, decay, beta}, {}, 2);
  Operand scale;
  if (factor != 0) {
    scale = m.scalar(wide, factor);
  } else {
    scale = m.unary("rsqrt", m.number(dk[3], wide));
  }
  const DType of_state = c.has(3) ? c.dtype(c.optional(3)) : dtype;
  return m.results({m.cast(join_heads(m, m.multiply(y[0], scale)), dtype), m.cast(y[1], of_state)});
}

// a * sigmoid(alpha * a) * b
Result<Operand> swiglu(NodeContext& c) {
  REPOSE_TRY(a, c.input(0));
  REPOSE_TRY(b, c.input(1));
  REPOSE_TRY(alpha, c.number("alpha", 1));
  Composite m(c);
  const Operand gate =
      alpha == 1 ? m.unary("nn.silu", a) : m.multiply(a, m.unary("sigmoid", m.multiply(a, alpha)));
  return m.result(m.multiply(gate, b));
}

}  // namespace

Operand rotate_positions(NodeContext& c, Composite& m, const Operand& x, const Operand& cosines,
                         const Operand& sines, const Operand& positions,
                         const RotaryOptions& options) {
  const Dims d = m.shape(x, 4, 0);
  const Expr size = options.size > 0 ? make_int(options.size) : d[3];
  const Expr half = simplify(floor_div(size, make_int(2)), c.facts());
  // The caches' rows of each place: (batch, 1, length, half).
  auto rows = [&](const Operand& cache, size_t operand) {
    const Operand r = positions ? m.gather(cache, positions, 0) : cache;
    const Dims have = m.shape(r, 3, operand);
    m.require(eq(have[2], half), "the caches have rows of {0} elements, expected {1}",
              {have[2], half});
    return m.unsqueeze(r, {1});
  };
  const Operand cosine = rows(cosines, 1), sine = rows(sines, 2);
  m.require(le(size, d[3]), "{0} of {1} elements of a head are rotated", {size, d[3]});
  m.require(eq(size, half * 2), "{0} elements are rotated, expected an even number", {size});
  const bool is_whole = prove_equal(size, d[3], c.facts()) == Truth::yes;
  const Operand turned = is_whole ? x : m.slice(x, 3, make_int(0), size);
  Operand first, second;
  if (options.is_interleaved) {
    const Operand pairs = m.reshape(turned, {d[0], d[1], d[2], half, make_int(2)});
    first = m.squeeze(m.slice(pairs, 4, make_int(0), make_int(1)), {4});
    second = m.squeeze(m.slice(pairs, 4, make_int(1), make_int(2)), {4});
  } else {
    first = m.slice(turned, 3, make_int(0), half);
    second = m.slice(turned, 3, half, canonical(half * 2));
  }
  const Operand real = m.subtract(m.multiply(cosine, first), m.multiply(sine, second));
  const Operand imaginary = m.add(m.multiply(sine, first), m.multiply(cosine, second));
  Operand y;
  if (options.is_interleaved) {
    const Operand pairs = m.concat({m.unsqueeze(real, {4}), m.unsqueeze(imaginary, {4})}, 4);
    y = m.reshape(pairs, {d[0], d[1], d[2], size});
  } else {
    y = m.concat({real, imaginary}, 3);
  }
  return is_whole ? m.reshape(y, d) : m.concat({y, m.slice(x, 3, size, d[3])}, 3);
}

std::span<const OperatorRow> preview_operators() {
  static constexpr OperatorRow rows[] = {{"FlexAttention", 1, one<flex_attention>}};
  return rows;
}

std::span<const OperatorRow> attention_operators() {
  static constexpr OperatorRow rows[] = {
      {"Attention", 23, attention},
      {"CausalConvWithState", 27, causal_convolution},
      {"LinearAttention", 27, linear_attention},
      {"RotaryEmbedding", 23, one<rotary_embedding>},
      {"SwiGLU", 28, one<swiglu>},
      {"TensorScatter", 24, one<tensor_scatter>},
  };
  return rows;
}

}  // namespace repose::onnx
