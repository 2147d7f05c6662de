// Fused operators of the domain com.microsoft, into which ONNX Runtime's tools turn models.
#include <cmath>
#include <limits>

#include "frontend/onnx/attention.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/tensor_data.h"
#include "frontend/onnx/windows.h"

namespace repose::onnx {
namespace {

// ---- Activations
// ---------------------------------------------------------------------------------

// x and the bias where there is one.
Operand biased(NodeContext& c, Composite& m, const Operand& x, size_t bias) {
  return c.has(bias) ? m.add(x, c.optional(bias)) : x;
}

template <bool by_tanh>
Result<Operand> gelu(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  Composite m(c);
  return m.result(m.unary(by_tanh ? "nn.gelu_tanh" : "nn.gelu", biased(c, m, x, 1)));
}

// x * sigmoid(alpha * x)
Result<Operand> quick_gelu(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(alpha, c.number("alpha", 1.702));
  Composite m(c);
  return m.result(m.multiply(x, m.unary("sigmoid", m.multiply(x, alpha))));
}

// ---- Normalisations
// ------------------------------------------------------------------------------

Operand normalized(Composite& m, const Operand& x, const Operand& weight, const Operand& bias,
                   double epsilon, bool is_rms) {
  const Attrs attrs{{"axes", std::vector<int64_t>{-1}}, {"epsilon", epsilon}};
  if (is_rms) return m.call("nn.rms_norm", {x, weight}, attrs);
  Attrs with_bias = attrs;
  with_bias.set("center", bias != nullptr);
  return m.call("nn.layer_norm", {x, weight, bias ? bias : weight}, with_bias);
}

// x + skip (+ bias), normalised; the sum is result 3.
template <bool is_rms>
Result<Values> skip_norm(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(skip, c.input(1));
  REPOSE_TRY(weight, c.input(2));
  REPOSE_TRY(epsilon, c.number("epsilon", is_rms ? 1e-6 : 1e-12));
  Composite m(c);
  const Operand sum = biased(c, m, m.add(x, skip), is_rms ? 3 : 4);
  const Operand y = normalized(m, sum, weight, is_rms ? nullptr : c.optional(3), epsilon, is_rms);
  if (c.wants(1) || c.wants(2)) {
    return c.fail(DiagnosticKind::unsupported_feature,
                  "its results 1 and 2 (mean and deviation) are not supported");
  }
  return m.results({y, nullptr, nullptr, sum});
}

Result<Operand> simplified_norm(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(weight, c.input(1));
  REPOSE_TRY(axis, c.integer("axis", -1));
  REPOSE_TRY(epsilon, c.number("epsilon", 1e-5));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(first, c.axis(axis, rank));
  std::vector<int64_t> axes;
  for (int64_t a = first; a < rank; ++a) axes.push_back(a);
  return c.call("nn.rms_norm", {x, weight}, {{"axes", axes}, {"epsilon", epsilon}});
}

// Rows of tables for words, places and segments, added up and normalised; and the number of words
// of each sequence (result 1), and the sum (result 2).
Result<Values> embed_norm(NodeContext& c) {
  REPOSE_TRY(ids, c.input(0));
  REPOSE_TRY(words, c.input(2));
  REPOSE_TRY(places, c.input(3));
  REPOSE_TRY(weight, c.input(5));
  REPOSE_TRY(bias, c.input(6));
  REPOSE_TRY(epsilon, c.number("epsilon", 1e-12));
  Composite m(c);
  const Dims d = m.shape(ids, 2, 0);
  const Operand place = c.has(8) ? c.optional(8) : m.arange_along(d[1], dtypes::int64, 1, 2);
  Operand sum = m.add(m.gather(words, ids, 0), m.gather(places, place, 0));
  if (c.has(1) && c.has(4)) sum = m.add(sum, m.gather(c.optional(4), c.optional(1), 0));
  const Operand y = normalized(m, sum, weight, bias, epsilon, false);
  Operand counts = m.zeros({d[0]}, dtypes::int32);
  if (c.has(7)) counts = m.cast(m.sum(c.optional(7), {1}, false), dtypes::int32);
  return m.results({y, counts, sum});
}

// ---- Products
// ------------------------------------------------------------------------------------

Operand transposed(Composite& m, const Operand& x) {
  const int64_t rank = static_cast<int64_t>(m.shape(x).size());
  if (rank < 2) return x;
  std::vector<int64_t> axes;
  for (int64_t a = 0; a < rank; ++a) axes.push_back(a);
  std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
  return m.permute(x, axes);
}

Result<Operand> fused_matmul(NodeContext& c) {
  Composite m(c);
  Operand factors[2];
  for (size_t i = 0; i < 2; ++i) {
    REPOSE_TRY(x, c.input(i));
    REPOSE_TRY(turned, c.flag(i == 0 ? "transA" : "transB", false));
    REPOSE_TRY(moved, c.flag(i == 0 ? "transBatchA" : "transBatchB", false));
    if (moved) {
      return c.fail(DiagnosticKind::unsupported_feature,
                    "attributes `transBatchA` and `transBatchB` are not supported");
    }
    factors[i] = turned ? transposed(m, x) : x;
  }
  REPOSE_TRY(alpha, c.number("alpha", 1));
  const Operand y = m.matmul(factors[0], factors[1]);
  return m.result(alpha == 1 ? y : m.multiply(y, alpha));
}

// What follows a convolution, and may be fused with it.
Result<Operand> activated(NodeContext& c, Composite& m, const Operand& x) {
  REPOSE_TRY(name, c.string("activation", ""));
  REPOSE_TRY(params, c.numbers("activation_params"));
  auto param = [&](size_t i, double absent) {
    return params && i < params->size() ? static_cast<double>((*params)[i]) : absent;
  };
  if (name.empty()) return m.result(x);
  if (name == "Relu") return m.result(m.unary("nn.relu", x));
  if (name == "Tanh") return m.result(m.unary("tanh", x));
  if (name == "Sigmoid") return m.result(m.unary("sigmoid", x));
  if (name == "LeakyRelu") {
    return m.result(m.call("nn.leakyrelu", {x}, {{"alpha", param(0, 0.01)}}));
  }
  if (name == "HardSigmoid") {
    return m.result(
        m.call("nn.hard_sigmoid", {x}, {{"alpha", param(0, 0.2)}, {"beta", param(1, 0.5)}}));
  }
  if (name == "Clip") {
    const double infinity = std::numeric_limits<double>::infinity();
    return m.result(m.clip(x, param(0, -infinity), param(1, infinity)));
  }
  return c.fail(DiagnosticKind::unsupported_feature, "attribute `activation` is \"{}\"",
                printable(name));
}

Result<Operand> fused_conv(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(weight, c.input(1));
  REPOSE_TRY(product, convolve(c, x, weight));
  REPOSE_TRY(y, add_bias(c, product, c.optional(2)));
  Composite m(c);
  return activated(c, m, biased(c, m, y, 3));
}

// A weight (columns, blocks, bytes) of packed integers, as (rows, columns).
Result<Operand> unpacked_weight(NodeContext& c, int64_t rows, int64_t columns) {
  REPOSE_TRY(packed, c.input(1));
  REPOSE_TRY(scales, c.input(2));
  REPOSE_TRY(bits, c.integer("bits", 4));
  REPOSE_TRY(block, c.integer("block_size"));
  if ((bits != 2 && bits != 4 && bits != 8) || block < 1 || block > rows + (1 << 16)) {
    return c.fail(DiagnosticKind::unsupported_feature, "blocks of {} elements of {} bits", block,
                  bits);
  }
  if (c.has(4)) return c.fail(DiagnosticKind::unsupported_feature, "operand 4 is not supported");
  const int64_t blocks = (rows + block - 1) / block, per_byte = 8 / bits;
  Composite m(c);
  // Bytes as their elements, the lowest bits first.
  auto elements = [&](const Operand& bytes, int64_t count, int64_t wanted) {
    const DType t = dtypes::uint8;
    Dims dims{make_int(columns), make_int(count), make_int(1)};
    Operand y = m.reshape(bytes, dims);
    if (per_byte > 1) {
      const Operand shift =
          m.multiply(m.arange_along(make_int(per_byte), t, 2, 3), static_cast<double>(bits));
      const Operand moved = m.call("right_shift", {y, shift});
      y = m.call("bitwise_and", {moved, m.scalar(t, static_cast<double>((1 << bits) - 1))});
    }
    y = m.reshape(y, {make_int(columns), make_int(count * per_byte)});
    return m.slice(y, 1, make_int(0), make_int(wanted));
  };
  const DType dtype = c.dtype(scales);
  const int64_t bytes = (block + per_byte - 1) / per_byte;
  if (bytes * per_byte != block) {
    return c.fail(DiagnosticKind::unsupported_feature, "blocks of {} elements of {} bits", block,
                  bits);
  }
  const Dims in_blocks{make_int(columns), make_int(blocks), make_int(block)};
  const Dims of_block{make_int(columns), make_int(blocks), make_int(1)};
  const Operand whole = m.reshape(elements(packed, blocks * bytes, blocks * block), in_blocks);
  Operand zero = m.scalar(dtype, static_cast<double>(1 << (bits - 1)));
  if (c.has(3) && c.dtype(c.optional(3)) == dtypes::uint8) {
    const int64_t in_row = (blocks + per_byte - 1) / per_byte;
    zero = m.cast(m.reshape(elements(c.optional(3), in_row, blocks), of_block), dtype);
  } else if (c.has(3)) {
    zero = m.cast(m.reshape(c.optional(3), of_block), dtype);
  }
  const Operand centred = m.subtract(m.cast(whole, dtype), zero);
  const Operand values = m.multiply(centred, m.reshape(scales, of_block));
  const Operand flat = m.reshape(values, {make_int(columns), make_int(blocks * block)});
  return m.result(m.permute(m.slice(flat, 1, make_int(0), make_int(rows)), {1, 0}));
}

Result<Operand> matmul_n_bits(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(rows, c.integer("K"));
  REPOSE_TRY(columns, c.integer("N"));
  if (rows < 1 || columns < 1 || rows > (1 << 24) || columns > (1 << 24)) {
    return c.fail(DiagnosticKind::bad_attribute, "a weight of {} by {} elements", rows, columns);
  }
  REPOSE_TRY(weight, unpacked_weight(c, rows, columns));
  Composite m(c);
  return m.result(biased(c, m, m.matmul(x, m.cast(weight, c.dtype(x))), 5));
}

// ---- Attention
// -----------------------------------------------------------------------------------

Result<Operand> scale_of(NodeContext& c, const Expr& head_size) {
  REPOSE_TRY(scale, c.number("scale", 0));
  if (scale != 0) return c.scalar(dtypes::float32, scale);
  int64_t size = 0;
  if (as_const_int(head_size, &size) && size > 0) {
    return c.scalar(dtypes::float32, 1 / std::sqrt(static_cast<double>(size)));
  }
  Composite m(c);
  return m.result(m.unary("rsqrt", m.number(head_size, dtypes::float32)));
}

// What padding adds to the scores: the mask is (batch, keys), 0 where a key is padding, or (batch),
// the number of keys that count.
Result<Operand> padding_bias(NodeContext& c, Composite& m, const Operand& mask, DType dtype,
                             const Expr& keys) {
  REPOSE_TRY(rank, c.rank(mask));
  REPOSE_TRY(filter, c.number("mask_filter_value", -10000));
  Operand counts;
  if (rank == 1) {
    const Operand place = m.arange_along(keys, dtypes::int64, 1, 2);
    counts = m.less(place, m.unsqueeze(m.cast(mask, dtypes::int64), {1}));
  } else if (rank == 2) {
    counts = m.not_equal(mask, 0.0);
  } else {
    return c.fail(DiagnosticKind::unsupported_feature, "a padding mask of rank {}, expected 1 or 2",
                  rank);
  }
  const Operand bias = m.where(counts, m.scalar(dtype, 0), filter);
  return m.result(m.unsqueeze(bias, {1, 2}));
}

// `count` tensors (batch, length, heads, size) that lie side by side in operand `i`, as (batch,
// heads, length, size).
std::vector<Operand> unpacked(NodeContext& c, Composite& m, size_t i, int64_t count,
                              int64_t heads) {
  const Operand x = c.optional(i);
  const Dims d = m.shape(x, 5, i);
  m.require(eq(d[3], make_int(count)),
            "operand " + std::to_string(i) + " packs {0} tensors, not {1}",
            {d[3], make_int(count)});
  m.require(eq(d[2], make_int(heads)),
            "operand " + std::to_string(i) + " has {0} heads, expected {1}",
            {d[2], make_int(heads)});
  std::vector<Operand> parts;
  for (int64_t k = 0; k < count; ++k) {
    const Operand part = m.slice(x, 3, make_int(k), make_int(k + 1));
    parts.push_back(m.permute(m.squeeze(part, {3}), {0, 2, 1, 3}));
  }
  return parts;
}

Result<Values> multi_head_attention(NodeContext& c) {
  REPOSE_TRY(heads, c.integer("num_heads"));
  REPOSE_TRY(causal, c.flag("unidirectional", false));
  if (heads < 1) return c.fail(DiagnosticKind::bad_attribute, "attribute `num_heads` is {}", heads);
  Composite m(c);
  Operand parts[3];
  if (!c.has(1)) {
    const std::vector<Operand> all = unpacked(c, m, 0, 3, heads);
    std::copy(all.begin(), all.end(), parts);
  } else if (!c.has(2)) {
    const std::vector<Operand> all = unpacked(c, m, 1, 2, heads);
    std::copy(all.begin(), all.end(), parts + 1);
  }
  if (!m.ok()) return m.results({});
  const bool is_packed = !c.has(1) || !c.has(2);
  if (is_packed && c.has(3)) {
    return c.fail(DiagnosticKind::unsupported_feature,
                  "a bias beside packed operands is not supported");
  }
  std::vector<Operand> biases(3);
  if (c.has(3)) {  // side by side
    Expr end = make_int(0);
    for (size_t i = 0; i < 3; ++i) {
      REPOSE_TRY(x, c.input(i));
      REPOSE_TRY(dims, c.shape(x));
      if (dims.size() != 3) {
        return c.fail(DiagnosticKind::unsupported_feature,
                      "a bias for operand {} of rank {}, expected 3", i, dims.size());
      }
      const Expr begin = end;
      end = canonical(begin + dims[2]);
      biases[i] = m.slice(c.optional(3), 0, begin, end);
    }
  }
  for (size_t i = 0; i < 3; ++i) {
    if (parts[i]) continue;
    const Operand x = c.optional(i);
    REPOSE_TRY(rank, c.rank(x));
    if (rank != 3 && (rank != 4 || i == 0)) {
      return c.fail(DiagnosticKind::unsupported_feature, "operand {} has rank {}, expected 3", i,
                    rank);
    }
    const Operand y = biases[i] ? m.add(x, biases[i]) : x;
    parts[i] = rank == 3 ? split_heads(c, m, y, heads, i) : y;
  }
  AttentionOperands x{parts[0], parts[1], parts[2]};
  AttentionMasks masks;
  masks.is_causal = causal;
  if (c.has(6) && c.has(7)) {
    const Dims past = m.shape(c.optional(6), 4, 6);
    masks.offset = m.number(past[2], dtypes::int64);
    x.key = m.concat({c.optional(6), x.key}, 2);
    x.value = m.concat({c.optional(7), x.value}, 2);
  }
  const Dims q = m.shape(x.query, 4, 0), k = m.shape(x.key, 4, 1);
  const DType dtype = m.dtype(x.query);
  if (causal) x.bias = attention_bias(c, m, masks, dtype, q[2], k[2]);
  auto add_to_bias = [&](const Operand& more) { x.bias = x.bias ? m.add(x.bias, more) : more; };
  if (c.has(5)) add_to_bias(c.optional(5));
  if (c.has(4)) add_to_bias(m.take(padding_bias(c, m, c.optional(4), dtype, k[2])));
  if (!m.ok()) return m.results({});
  REPOSE_TRY(scale, scale_of(c, q[3]));
  x.scale = scale;
  const Attended y = attend(c, m, x);
  return m.results({join_heads(m, y.result), x.key, x.value, y.products});
}

// One product for queries, keys and values.
Result<Values> projected_attention(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(weights, c.input(1));
  Composite m(c);
  REPOSE_TRY(projected, m.result(biased(c, m, m.matmul(x, weights), 2)));
  return attend_projected(c, projected, 3, 4, 5);
}

Result<Operand> rotary_embedding(NodeContext& c) {
  REPOSE_TRY(given, c.input(0));
  REPOSE_TRY(positions, c.input(1));
  REPOSE_TRY(cosines, c.input(2));
  REPOSE_TRY(sines, c.input(3));
  REPOSE_TRY(heads, c.integer("num_heads", 0));
  RotaryOptions options;
  REPOSE_TRY(interleaved, c.flag("interleaved", false));
  REPOSE_TRY(size, c.integer("rotary_embedding_dim", 0));
  REPOSE_TRY(rank, c.rank(given));
  options.is_interleaved = interleaved;
  options.size = size;
  Composite m(c);
  Operand x = given;
  if (rank == 3) {
    int64_t count = heads;
    if (count < 1) {  // heads of twice the caches' rows
      const Dims rows = m.shape(cosines, 2, 2), d = m.shape(given, 3, 0);
      int64_t half = 0, width = 0;
      if (!as_const_int(rows[1], &half) || !as_const_int(d[2], &width) || half < 1) {
        return c.fail(DiagnosticKind::unsupported_feature,
                      "the number of heads is not known when the model is compiled");
      }
      count = width / (2 * half);
    }
    x = split_heads(c, m, given, count, 0);
  }
  const Dims d = m.shape(x, 4, 0);
  Operand places = positions;
  if (m.shape(positions).size() == 1) {  // of the first, for all
    places = m.broadcast(
        m.add(m.arange_along(d[2], m.dtype(positions), 1, 2), m.unsqueeze(positions, {1})),
        {d[0], d[2]});
  }
  const Operand y = rotate_positions(c, m, x, cosines, sines, places, options);
  return m.result(rank == 3 ? join_heads(m, y) : y);
}

// Keys and values go behind those of the cache that count: seqlens_k + 1 count after that.
Result<Values> group_query_attention(NodeContext& c) {
  REPOSE_TRY(query, c.input(0));
  REPOSE_TRY(heads, c.integer("num_heads"));
  REPOSE_TRY(key_heads, c.integer("kv_num_heads"));
  REPOSE_TRY(lengths_less_1, c.input(5));
  REPOSE_TRY(total_operand, c.input(6));
  REPOSE_TRY(rotates, c.flag("do_rotary", false));
  REPOSE_TRY(window, c.integer("local_window_size", -1));
  REPOSE_TRY(softcap, c.number("softcap", 0));
  if (heads < 1 || key_heads < 1 || heads % key_heads != 0) {
    return c.fail(DiagnosticKind::bad_attribute, "{} heads of queries, {} of keys", heads,
                  key_heads);
  }
  REPOSE_TRY(totals, c.elements(total_operand, "total_sequence_length"));
  if (totals.size() != 1) {
    return c.fail(DiagnosticKind::bad_argument, "operand 6 has {} elements, expected 1",
                  totals.size());
  }
  Composite m(c);
  const Dims d = m.shape(query, 3, 0);
  AttentionOperands x{nullptr, nullptr, nullptr};
  if (c.has(1)) {
    REPOSE_TRY(key, c.input(1));
    REPOSE_TRY(value, c.input(2));
    x.query = split_heads(c, m, query, heads, 0);
    x.key = split_heads(c, m, key, key_heads, 1);
    x.value = split_heads(c, m, value, key_heads, 2);
  } else {  // queries, keys and values side by side
    const Operand all = split_heads(c, m, query, heads + 2 * key_heads, 0);
    auto part = [&](int64_t begin, int64_t count) {
      return m.slice(all, 1, make_int(begin), make_int(begin + count));
    };
    x.query = part(0, heads);
    x.key = part(heads, key_heads);
    x.value = part(heads + key_heads, key_heads);
  }
  const Operand lengths = m.add(m.reshape(m.cast(lengths_less_1, dtypes::int64), {d[0]}), 1.0);
  const Operand start = m.maximum(m.subtract(lengths, m.number(d[1], dtypes::int64)), 0.0);
  if (rotates) {
    REPOSE_TRY(cosines, c.input(7));
    REPOSE_TRY(sines, c.input(8));
    RotaryOptions options;
    REPOSE_TRY(interleaved, c.flag("rotary_interleaved", false));
    options.is_interleaved = interleaved;
    const Dims rows = m.shape(cosines, 2, 7);
    int64_t half = 0;
    if (as_const_int(rows[1], &half)) options.size = 2 * half;
    const Operand places =
        m.add(m.unsqueeze(start, {1}), m.arange_along(d[1], dtypes::int64, 1, 2));
    x.query = rotate_positions(c, m, x.query, cosines, sines, places, options);
    x.key = rotate_positions(c, m, x.key, cosines, sines, places, options);
  }
  const Dims k = m.shape(x.key, 4, 1);
  const Expr past = c.has(3) ? m.shape(c.optional(3), 4, 3)[2] : make_int(0);
  const Expr total = simplify(max(past, totals[0]), c.facts());
  m.require(le(d[1], total), "{0} new keys in a cache of {1}", {d[1], total});
  auto updated = [&](size_t cache, const Operand& news) {
    const Dims n = m.shape(news, 4, cache);
    const Operand before =
        c.has(cache) ? m.pad(c.optional(cache), 2, make_int(0), simplify(total - past, c.facts()))
                     : m.zeros({n[0], n[1], total, n[3]}, m.dtype(news));
    const Operand places = m.add(m.reshape(start, {n[0], make_int(1), make_int(1), make_int(1)}),
                                 m.arange_along(n[2], dtypes::int64, 2, 4));
    return m.call("scatter_elements", {before, m.broadcast(places, n), news}, {{"axis", 2}});
  };
  x.key = updated(3, x.key);
  x.value = updated(4, x.value);
  AttentionMasks masks;
  masks.is_causal = true;
  masks.left = window > 0 ? window - 1 : -1;
  const Dims column{k[0], make_int(1), make_int(1), make_int(1)};
  masks.offset = m.reshape(start, column);
  masks.lengths = m.reshape(lengths, column);
  x.bias = attention_bias(c, m, masks, m.dtype(x.query), d[1], total);
  x.softcap = softcap;
  REPOSE_TRY(scale, scale_of(c, k[3]));
  x.scale = scale;
  const Attended y = attend(c, m, x);
  return m.results({join_heads(m, y.result), x.key, x.value});
}

}  // namespace

Result<Values> attend_projected(NodeContext& c, const Operand& projected, size_t mask, size_t past,
                                size_t bias) {
  REPOSE_TRY(heads, c.integer("num_heads"));
  REPOSE_TRY(causal, c.flag("unidirectional", false));
  REPOSE_TRY(sizes, c.integers("qkv_hidden_sizes"));
  if (heads < 1) return c.fail(DiagnosticKind::bad_attribute, "attribute `num_heads` is {}", heads);
  for (const char* name : {"do_rotary", "past_present_share_buffer"}) {
    REPOSE_TRY(is_set, c.flag(name, false));
    if (is_set) {
      return c.fail(DiagnosticKind::unsupported_feature, "attribute `{}` is not supported", name);
    }
  }
  if (sizes && !sizes->empty() && sizes->size() != 3) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `qkv_hidden_sizes` has {} numbers",
                  sizes->size());
  }
  Composite m(c);
  const Dims d = m.shape(projected, 3, 0);
  const Expr third = simplify(floor_div(d[2], make_int(3)), c.facts());
  Expr end = make_int(0);
  Operand parts[3];
  for (size_t i = 0; i < 3; ++i) {
    const Expr begin = end;
    end = canonical(begin + (sizes && !sizes->empty() ? make_int((*sizes)[i]) : third));
    if (i == 2) m.require(eq(end, d[2]), "{0} columns for {1}", {end, d[2]});
    parts[i] = split_heads(c, m, m.slice(projected, 2, begin, end), heads, 0);
  }
  AttentionOperands x{parts[0], parts[1], parts[2]};
  AttentionMasks masks;
  masks.is_causal = causal;
  if (c.has(past)) {  // keys, then values
    auto before = [&](int64_t i) {
      return m.squeeze(m.slice(c.optional(past), 0, make_int(i), make_int(i + 1)), {0});
    };
    x.key = m.concat({before(0), x.key}, 2);
    x.value = m.concat({before(1), x.value}, 2);
    masks.offset = m.number(m.shape(c.optional(past), 5, past)[3], dtypes::int64);
  }
  const Dims q = m.shape(x.query, 4, 0), k = m.shape(x.key, 4, 1);
  const DType dtype = m.dtype(x.query);
  auto add_to_bias = [&](const Operand& more) { x.bias = x.bias ? m.add(x.bias, more) : more; };
  if (causal) x.bias = attention_bias(c, m, masks, dtype, q[2], k[2]);
  if (bias > 0 && c.has(bias)) add_to_bias(c.optional(bias));
  if (c.has(mask)) add_to_bias(m.take(padding_bias(c, m, c.optional(mask), dtype, k[2])));
  if (!m.ok()) return m.results({});
  REPOSE_TRY(scale, scale_of(c, q[3]));
  x.scale = scale;
  const Attended y = attend(c, m, x);
  Operand present;
  if (c.wants(1)) present = m.concat({m.unsqueeze(x.key, {0}), m.unsqueeze(x.value, {0})}, 0);
  return m.results({join_heads(m, y.result), present});
}

std::span<const OperatorRow> microsoft_operators() {
  static constexpr OperatorRow rows[] = {
      {"Attention", 1, projected_attention},
      {"BiasGelu", 1, one<gelu<false>>},
      {"EmbedLayerNormalization", 1, embed_norm},
      {"FastGelu", 1, one<gelu<true>>},
      {"FusedConv", 1, one<fused_conv>},
      {"FusedMatMul", 1, one<fused_matmul>},
      {"Gelu", 1, one<gelu<false>>},
      {"GroupQueryAttention", 1, group_query_attention},
      {"MatMulNBits", 1, one<matmul_n_bits>},
      {"MultiHeadAttention", 1, multi_head_attention},
      {"QuickGelu", 1, one<quick_gelu>},
      {"RotaryEmbedding", 1, one<rotary_embedding>},
      {"SimplifiedLayerNormalization", 1, one<simplified_norm>},
      {"SkipLayerNormalization", 1, skip_norm<false>},
      {"SkipSimplifiedLayerNormalization", 1, skip_norm<true>},
  };
  return rows;
}

}  // namespace repose::onnx
