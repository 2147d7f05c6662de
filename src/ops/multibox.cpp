// vision.multibox_transform_loc: boxes from offsets to priors, and scores from logits.
//   C1: the logits (batch, classes, n), the offsets (batch, 4 n) and the priors (1, n, 4) are
//   floats
//       of one dtype; there are four variances.
//   C2: an offset (x, y, w, h) times the variances moves the center of its prior (left, top, right,
//       bottom) by x and y of its sizes, and scales these by exp(w) and exp(h). The boxes are
//       (batch, n, 4): ymin, xmin, ymax, xmax; with `clip` between 0 and 1.
//   C3: the scores are the softmax over the classes; 0 below the threshold, where that is positive,
//       and of class 0 unless `keep_background`.
#include "ops/gradient.h"

namespace repose {

namespace {

// Every number of the attribute; nothing: it is no list of numbers.
std::optional<std::vector<double>> numbers_of(const Attr& attr) {
  const AttrList* list = attr.as_list();
  if (!list) return std::nullopt;
  std::vector<double> all;
  for (const Attr& a : *list) {
    if (!a.as_float() && !a.as_int()) return std::nullopt;
    all.push_back(a.as_int() ? static_cast<double>(*a.as_int()) : *a.as_float());
  }
  return all;
}

graph::Value compose_multibox(const graph::CallNode& call) {
  const Dims& shape = *graph::tensor_of(call.args[0])->shape;
  const DType dtype = graph::tensor_of(call.args[0])->dtype;
  const std::vector<double> variances = *numbers_of(*call.attrs.find("variances"));
  const graph::Value offsets = reshaped(call.args[1], {shape[0], shape[2], make_int(4)});
  auto column = [&](const graph::Value& x, int64_t k) {
    return Formula(part_of(x, 2, make_int(k), make_int(k + 1)), dtype);
  };
  auto prior = [&](int64_t k) { return column(call.args[2], k); };
  std::vector<Formula> low, high;  // of x and y
  for (int64_t k = 0; k < 2; ++k) {
    const Formula size = prior(k + 2) - prior(k), center = (prior(k + 2) + prior(k)) * 0.5;
    const Formula moved = column(offsets, k) * variances[static_cast<size_t>(k)] * size + center;
    const Formula half =
        apply_op(op_exp(), column(offsets, k + 2) * variances[static_cast<size_t>(k) + 2]) * size *
        0.5;
    low.push_back(moved - half);
    high.push_back(moved + half);
  }
  graph::Value boxes =
      graph::make_op_call(op_concat(), {graph::make_tuple({low[1], low[0], high[1], high[0]})},
                          Attrs{{"axis", Attr(2)}});
  if (call.attrs.get_bool("clip")) {
    boxes = apply_op(op_minimum(),
                     apply_op(op_maximum(), Formula(boxes, dtype), scalar_constant(dtype, 0)),
                     scalar_constant(dtype, 1));
  }
  Formula scores(graph::make_op_call(op_nn_softmax(), {call.args[0]}, Attrs{{"axis", Attr(1)}}),
                 dtype);
  const Formula zero = scalar_constant(dtype, 0);
  if (const double threshold = call.attrs.get_float("threshold"); threshold > 0) {
    scores = choose(scores < threshold, zero, scores);
  }
  if (!call.attrs.get_bool("keep_background")) {
    const graph::Value classes =
        reshaped(graph::make_op_call(op_arange(),
                                     {graph::make_prim(make_int(0)), graph::make_prim(shape[1])},
                                     Attrs{{"dtype", Attr(dtypes::int64)}}),
                 {shape[1], make_int(1)});
    scores = choose(is_equal(Formula(classes, dtypes::int64), 0), zero, scores);
  }
  return graph::make_tuple({boxes, scores});
}

Result<Type> infer_multibox(InferContext& context, const graph::CallNode& call) {
  const std::string_view op = call.op->name;
  auto real = dtype_arg(context, call, 0, is_float_dtype, "a float");  // C1
  if (!real.ok()) return real.errors();
  for (const size_t i : {size_t{0}, size_t{1}, size_t{2}}) {
    auto same = common_dtype(context, call, 0, i);
    if (!same.ok()) return same.errors();
    REPOSE_REQUIRE(require_rank(context, call, i, i == 1 ? 2 : 3));
  }
  const auto variances = numbers_of(*call.attrs.find("variances"));
  if (!variances || variances->size() != 4) {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`{}`: the variances are no list of four numbers", op);
  }
  REPOSE_TRY(logits, tensor_arg(context, call, 0));
  if (!has_shapes(call)) {
    return tuple_type(
        {ranked_like(*logits, 3, logits->dtype), ranked_like(*logits, 3, logits->dtype)});
  }
  const Dims &c = *logits->shape, &l = *graph::tensor_of(call.args[1])->shape,
             &a = *graph::tensor_of(call.args[2])->shape;
  REPOSE_REQUIRE(
      require_equal(context, op, l[0], "the batch of the offsets", c[0], "that of the logits"));
  REPOSE_REQUIRE(require_equal(context, op, l[1], "dimension 1 of the offsets", canonical(c[2] * 4),
                               "four times the number of boxes"));
  REPOSE_REQUIRE(require_equal(context, op, a[0], "dimension 0 of the priors", make_int(1), "1"));
  REPOSE_REQUIRE(
      require_equal(context, op, a[1], "the number of priors", c[2], "the number of boxes"));
  REPOSE_REQUIRE(require_equal(context, op, a[2], "dimension 2 of the priors", make_int(4),
                               "the number of coordinates"));
  auto stated = composite_type(context, compose_multibox(call));
  if (!stated.ok()) return stated.errors();
  return tuple_type({tensor_like(*logits, {c[0], c[2], make_int(4)}, logits->dtype),
                     tensor_like(*logits, c, logits->dtype)});
}

}  // namespace

const OpDef& op_vision_multibox_transform_loc() {
  static const OpDef def{
      .name = "vision.multibox_transform_loc",
      .args = {{"cls_pred"}, {"loc_pred"}, {"anchor"}},
      .attrs = {{"clip", AttrKind::boolean, Attr(false)},
                {"threshold", AttrKind::number, Attr(0.0)},
                {"variances", AttrKind::any,
                 Attr(AttrList{Attr(1.0), Attr(1.0), Attr(1.0), Attr(1.0)})},
                {"keep_background", AttrKind::boolean, Attr(true)}},
      .infer = infer_multibox,
      .lower = lower_composite<compose_multibox>,
      .gradient = composed_gradient<lower_composite<compose_multibox>>,
      .doc = "boxes from offsets to priors, and scores from logits, as SSD networks give them"};
  return def;
}

}  // namespace repose
