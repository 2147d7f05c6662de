// nn.attention: softmax(q k^T * scale + bias) v for each head. nn.attention_bias: the same with a
// bias that has to be given.
//   C1: the operands are floats of one dtype: the query (batch, s, heads, h), the key (batch, t,
//       heads, h), the value (batch, t, heads, v). The result is (batch, s, heads, v).
//   C2: the bias broadcasts to (batch, heads, s, t).
//   C3: the scale is 1 / sqrt(h), unless it is given.
//   C4: `causal_mask`: "TopLeft", query i sees keys 0 … i; "BottomRight", it sees those up to
//       i + t - s; None, it sees all. With `window_size` w only the last w of them, at least 1. A
//       query that sees nothing gives NaN.
// nn.attention_var_len: of sequences one after the other, in one batch.
//   C5: the batch is 1. The starts are integers of rank 1, as many of the keys as of the queries:
//       ascending from 0, with the end of the last sequence behind them. Those of the keys are
//       those of the queries where they are left out. The maximal lengths say nothing here.
//   C6: a query sees keys of its own sequence only; the masks of C4 count in it. What lies behind
//       the last sequence is one more.
#include <cmath>

#include "ops/gradient.h"

namespace repose {

namespace {

struct AttentionSizes {
  Expr batch, queries, keys, heads, width, values;
};

AttentionSizes attention_sizes(const graph::CallNode& call) {
  const Dims &q = *graph::tensor_of(call.args[0])->shape,
             &k = *graph::tensor_of(call.args[1])->shape;
  return {q[0], q[1], k[1], q[2], q[3], (*graph::tensor_of(call.args[2])->shape)[3]};
}

graph::Value binary_call(const OpDef& op, graph::Value a, graph::Value b) {
  return graph::make_op_call(op, {std::move(a), std::move(b)});
}

// begin, begin + 1, … in one dimension of two.
graph::Value positions(const Expr& begin, const Expr& count, bool is_row) {
  const graph::Value line = graph::make_op_call(
      op_arange(), {graph::make_prim(begin), graph::make_prim(canonical(begin + count))},
      Attrs{{"dtype", Attr(dtypes::int64)}});
  return reshaped(line, is_row ? Dims{make_int(1), count} : Dims{count, make_int(1)});
}

// Which keys a query sees, (s, t); null: all.
graph::Value visible_keys(const graph::CallNode& call, const AttentionSizes& sizes) {
  const std::string mask = call.attrs.get_string("causal_mask");
  if (mask.empty()) return nullptr;
  const Expr first = mask == "TopLeft" ? make_int(0) : canonical(sizes.keys - sizes.queries);
  const graph::Value keys = positions(make_int(0), sizes.keys, true);
  graph::Value seen = binary_call(op_less_equal(), keys, positions(first, sizes.queries, false));
  if (call.attrs.find("window_size")->is_none()) return seen;
  const Expr begin = canonical(first - call.attrs.get_int("window_size"));
  return binary_call(op_logical_and(), seen,
                     binary_call(op_greater(), keys, positions(begin, sizes.queries, false)));
}

graph::Value scale_of(const graph::CallNode& call, const Expr& width, DType dtype) {
  if (!call.attrs.find("scale")->is_none()) {
    const Attr& given = *call.attrs.find("scale");
    const double value = given.as_int() ? static_cast<double>(*given.as_int()) : *given.as_float();
    return scalar_constant(dtype, value);
  }
  int64_t known = 0;
  if (as_const_int(width, &known)) {
    return scalar_constant(dtype, 1 / std::sqrt(static_cast<double>(known)));
  }
  const graph::Value size =
      reshaped(graph::make_op_call(op_shape_to_tensor(), {graph::make_shape({width})}), {});
  return graph::make_op_call(op_rsqrt(), {converted(size, dtype)});
}

// With a bias (null: none) for the keys that are seen (null: all).
graph::Value attend(const graph::CallNode& call, const AttentionSizes& sizes,
                    const graph::Value& given_bias, const graph::Value& seen) {
  const DType dtype = graph::tensor_of(call.args[0])->dtype;
  const graph::Value query = binary_call(op_multiply(), permuted(call.args[0], {0, 2, 1, 3}),
                                         scale_of(call, sizes.width, dtype));
  graph::Value scores = binary_call(op_matmul(), query, permuted(call.args[1], {0, 2, 3, 1}));
  if (given_bias) {
    const Dims shape{sizes.batch, sizes.heads, sizes.queries, sizes.keys};
    const graph::Value bias =
        graph::make_op_call(op_broadcast_to(), {given_bias, graph::make_shape(shape)});
    scores = binary_call(op_add(), scores, bias);
  }
  if (seen) {
    const double lowest = -std::numeric_limits<double>::infinity();
    scores = graph::make_op_call(op_where(), {seen, scores, scalar_constant(dtype, lowest)});
  }
  const graph::Value weights =
      graph::make_op_call(op_nn_softmax(), {scores}, Attrs{{"axis", Attr(-1)}});
  return permuted(binary_call(op_matmul(), weights, permuted(call.args[2], {0, 2, 1, 3})),
                  {0, 2, 1, 3});
}

graph::Value compose_attention(const graph::CallNode& call) {
  const AttentionSizes sizes = attention_sizes(call);
  return attend(call, sizes, has_arg(call, 3) ? call.args[3] : nullptr, visible_keys(call, sizes));
}

// ---- Sequences one after the other --------------------------------------------------------------

// What is known of the places of one operand: the number of the sequence that each lies in, where
// in it, and how long that is; a row or a column.
struct SequencePlaces {
  graph::Value number, place, length;
};

SequencePlaces places_in_sequences(const graph::Value& starts, const Expr& count, bool is_row) {
  const graph::Value line = positions(make_int(0), count, is_row);
  const graph::Value bounds = converted(starts, dtypes::int64);
  const graph::Value number =
      graph::make_op_call(op_bucketize(), {line, bounds}, Attrs{{"right", Attr(true)}});
  auto bound = [&](int64_t behind) {  // of the start of the sequence
    const graph::Value at =
        binary_call(op_add(), number, scalar_constant(dtypes::int64, static_cast<double>(behind)));
    return graph::make_op_call(op_take(), {bounds, at},
                               Attrs{{"axis", Attr(0)}, {"mode", Attr("clip")}});
  };
  const graph::Value begin = bound(-1);
  return {number, binary_call(op_subtract(), line, begin),
          binary_call(op_subtract(), bound(0), begin)};
}

size_t keys_starts(const graph::CallNode& call) {
  return has_arg(call, 5) ? 5 : 3;
}

// C6
graph::Value compose_attention_var_len(const graph::CallNode& call) {
  const AttentionSizes sizes = attention_sizes(call);
  const SequencePlaces q = places_in_sequences(call.args[3], sizes.queries, false);
  const SequencePlaces k = places_in_sequences(call.args[keys_starts(call)], sizes.keys, true);
  graph::Value seen = binary_call(op_equal(), q.number, k.number);
  const std::string mask = call.attrs.get_string("causal_mask");
  if (!mask.empty()) {
    graph::Value last = q.place;
    if (mask == "BottomRight") {
      last = binary_call(op_add(), last, binary_call(op_subtract(), k.length, q.length));
    }
    seen = binary_call(op_logical_and(), seen, binary_call(op_less_equal(), k.place, last));
    if (const Attr* window = call.attrs.find("window_size"); !window->is_none()) {
      const graph::Value before =
          binary_call(op_subtract(), last,
                      scalar_constant(dtypes::int64, static_cast<double>(*window->as_int())));
      seen = binary_call(op_logical_and(), seen, binary_call(op_greater(), k.place, before));
    }
  }
  return attend(call, sizes, nullptr, seen);
}

// C4
Result<void> check_attention_attributes(InferContext& context, const graph::CallNode& call) {
  const Attr &mask = *call.attrs.find("causal_mask"), &window = *call.attrs.find("window_size"),
             &scale = *call.attrs.find("scale");
  const std::string* name = mask.as_string();
  if (!mask.is_none() && (!name || (*name != "TopLeft" && *name != "BottomRight"))) {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`{}`: causal_mask is neither \"TopLeft\" nor \"BottomRight\" nor None",
                 call.op->name);
  }
  if (!window.is_none() && (mask.is_none() || *window.as_int() < 1)) {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`{}`: window_size is {}; it has to be at least 1, and needs a causal_mask",
                 call.op->name, *window.as_int());
  }
  if (!scale.is_none() && !scale.as_float() && !scale.as_int()) {
    return error(DiagnosticKind::bad_attribute, context.span(), "`{}`: the scale is no number",
                 call.op->name);
  }
  return {};
}

bool has_bias(const graph::CallNode& call) {
  return call.op->name != op_nn_attention_var_len().name && has_arg(call, 3);
}

// C5
Result<void> check_starts(InferContext& context, const graph::CallNode& call) {
  for (const size_t i : {size_t{3}, keys_starts(call)}) {
    REPOSE_REQUIRE(require_rank(context, call, i, 1));
    auto integer = dtype_arg(context, call, i, is_integer_dtype, "an integer");
    if (!integer.ok()) return integer.errors();
  }
  const Expr& batch = (*graph::tensor_of(call.args[0])->shape)[0];
  REPOSE_REQUIRE(require_equal(context, call.op->name, batch, "the batch", make_int(1), "1"));
  const Dims &q = *graph::tensor_of(call.args[3])->shape,
             &k = *graph::tensor_of(call.args[keys_starts(call)])->shape;
  return require_equal(context, call.op->name, q[0], "the number of the queries' starts", k[0],
                       "that of the keys");
}

Result<Type> infer_attention(InferContext& context, const graph::CallNode& call) {
  REPOSE_REQUIRE(check_attention_attributes(context, call));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_float_dtype, "a float"));  // C1
  const size_t count = has_bias(call) ? 4 : 3;
  for (size_t i = 0; i < count; ++i) {
    auto same = common_dtype(context, call, 0, i);
    if (!same.ok()) return same.errors();
    if (i < 3) REPOSE_REQUIRE(require_rank(context, call, i, 4));
  }
  const TensorTypeNode& x = *graph::tensor_of(call.args[0]);
  if (!has_shapes(call)) return ranked_like(x, 4, dtype);
  const AttentionSizes sizes = attention_sizes(call);
  auto agree = [&](size_t i, size_t d, const Expr& want, const char* what) {
    return require_equal(context, call.op->name, (*graph::tensor_of(call.args[i])->shape)[d],
                         fmt::format("dimension {} of operand {}", d, i), want, what);
  };
  REPOSE_REQUIRE(agree(1, 0, sizes.batch, "the batch"));
  REPOSE_REQUIRE(agree(2, 0, sizes.batch, "the batch"));
  REPOSE_REQUIRE(agree(2, 1, sizes.keys, "the number of keys"));
  REPOSE_REQUIRE(agree(1, 2, sizes.heads, "the number of heads"));
  REPOSE_REQUIRE(agree(2, 2, sizes.heads, "the number of heads"));
  REPOSE_REQUIRE(agree(1, 3, sizes.width, "the width of a head"));
  const bool is_batched = call.op->name != op_nn_attention_var_len().name;
  if (!is_batched) REPOSE_REQUIRE(check_starts(context, call));
  // C2 is stated by the calls.
  auto stated = composite_type(
      context, is_batched ? compose_attention(call) : compose_attention_var_len(call));
  if (!stated.ok()) return stated.errors();
  return tensor_like(x, {sizes.batch, sizes.queries, sizes.heads, sizes.values}, dtype);
}

std::vector<AttrSpec> attention_attrs() {
  return {{"scale", AttrKind::any, Attr()},
          {"causal_mask", AttrKind::any, Attr()},
          {"window_size", AttrKind::optional_integer, Attr()}};
}

}  // namespace

const OpDef& op_nn_attention() {
  static const OpDef def{
      .name = "nn.attention",
      .args = {{"query"}, {"key"}, {"value"}, {"bias", ArgKind::tensor, true}},
      .attrs = attention_attrs(),
      .infer = infer_attention,
      .lower = lower_composite<compose_attention>,
      .gradient = composed_gradient<lower_composite<compose_attention>>,
      .doc =
          "softmax(q k^T * scale + bias) v for each head; operands are (batch, length, heads, "
          "width); `causal_mask` is None, \"TopLeft\" or \"BottomRight\""};
  return def;
}

const OpDef& op_nn_attention_bias() {
  static const OpDef def{.name = "nn.attention_bias",
                         .args = {{"query"}, {"key"}, {"value"}, {"bias"}},
                         .attrs = attention_attrs(),
                         .infer = infer_attention,
                         .lower = lower_composite<compose_attention>,
                         .gradient = composed_gradient<lower_composite<compose_attention>>,
                         .doc =
                             "nn.attention with a bias, which broadcasts to (batch, heads, "
                             "queries, keys)"};
  return def;
}

const OpDef& op_nn_attention_var_len() {
  static const OpDef def{
      .name = "nn.attention_var_len",
      .args = {{"queries"},
               {"keys"},
               {"values"},
               {"seqstart_q"},
               {"max_seqlen_q", ArgKind::any, true},
               {"seqstart_k", ArgKind::tensor, true},
               {"max_seqlen_k", ArgKind::any, true}},
      .attrs = attention_attrs(),
      .infer = infer_attention,
      .lower = lower_composite<compose_attention_var_len>,
      .gradient = composed_gradient<lower_composite<compose_attention_var_len>>,
      .doc =
          "attention of sequences that lie one after the other, each to itself; `seqstart_q`: "
          "where each begins, and behind the last one where that ends"};
  return def;
}

}  // namespace repose
