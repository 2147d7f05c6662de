// nn.pad: x with elements added before and after along each dimension (negative widths: elements
// taken away).
//   C1: `pad_width` has two members per dimension: before and after the first, before and after
//       the second, …
//   C2: the extents d + before + after are not negative.
//   C3: mode "constant" fills with `pad_value` (or the tensor `fill` of rank 0 and x's dtype);
//       "reflect" mirrors about the first and last element (widths below d), "replicate" repeats
//       them (d at least 1), "circular" starts over from the other side (d at least 1).
#include "ops/gradient.h"

namespace repose {

namespace {

// Is there anything outside of the operand along a dimension? Only constants can say no.
bool adds_nothing(const Expr& before, const Expr& after) {
  int64_t b = 0, a = 0;
  return as_const_int(before, &b) && as_const_int(after, &a) && b <= 0 && a <= 0;
}

Result<Type> infer_pad(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const std::string mode = call.attrs.get_string("pad_mode");
  if (mode != "constant" && mode != "reflect" && mode != "replicate" && mode != "circular") {
    return error(
        DiagnosticKind::bad_attribute, context.span(),
        "`nn.pad`: pad_mode is \"{}\", expected \"constant\", \"reflect\", \"replicate\" or "
        "\"circular\"",
        mode);
  }
  if (has_arg(call, 2)) {  // C3
    REPOSE_REQUIRE(require_rank(context, call, 2, 0));
    auto same = common_dtype(context, call, 0, 2);
    if (!same.ok()) return same.errors();
  }
  const int members = as<ShapeTypeNode>(call.args[1]->type)->rank;
  if (x->rank >= 0 && members >= 0 && members != 2 * x->rank) {  // C1
    return error(DiagnosticKind::bad_argument, context.span(),
                 "`nn.pad`: {} widths for an operand of rank {}, expected {}", members, x->rank,
                 2 * x->rank);
  }
  const Dims* widths = shape_arg(call, 1);
  if (!x->shape || !widths) return ranked_like(*x, x->rank, x->dtype);
  Dims out;
  const Expr zero = make_int(0);
  for (size_t d = 0; d < x->shape->size(); ++d) {
    const Expr &dim = (*x->shape)[d], &before = (*widths)[2 * d], &after = (*widths)[2 * d + 1];
    out.push_back(simplify(dim + before + after, context.facts()));
    if (adds_nothing(before, after) || mode == "constant") continue;
    const Expr least = mode == "reflect" ? Expr(max(before, after) + 1) : make_int(1);
    REPOSE_REQUIRE(context.require(
        logical_or(logical_and(le(before, zero), le(after, zero)), le(canonical(least), dim)),
        fmt::format(
            "`nn.pad`: dimension {} of {{0}} elements is too small for widths {{1}} and {{2}} "
            "in mode \"{}\"",
            d, mode),
        {dim, before, after}));
  }
  REPOSE_REQUIRE(require_extents(context, call.op->name, out));  // C2
  return tensor_like(*x, std::move(out), x->dtype);
}

std::vector<te::Tensor> pad_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const Dims& widths = *shape_arg(call, 1);
  const std::string mode = call.attrs.get_string("pad_mode");
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        Expr inside;
        te::Indices source;
        for (size_t d = 0; d < i.size(); ++d) {
          const Expr &dim = x.shape()[d], &before = widths[2 * d], &after = widths[2 * d + 1];
          Expr at = i[d] - before;
          const Expr zero = make_int(0);
          if (!adds_nothing(before, after)) {
            if (mode == "constant") {
              Expr here = logical_and(le(zero, at), lt(at, dim));
              if (is_const_int(before, 0)) here = lt(at, dim);
              if (is_const_int(after, 0)) here = le(zero, at);
              inside = inside ? logical_and(inside, here) : here;
            } else if (mode == "replicate") {
              at = min(max(at, zero), dim - 1);
            } else if (mode == "circular") {
              at = floor_mod(at, dim);
            } else {
              at = max(at, zero - at);         // about element 0
              at = min(at, dim * 2 - 2 - at);  // about the last element
            }
          }
          source.push_back(at);
        }
        Expr value = x(std::move(source));
        if (!inside) return value;
        const Expr outside = in.size() > 1
                                 ? in[1](te::Indices{})
                                 : make_const(x.dtype(), call.attrs.get_float("pad_value"));
        return make_if_then_else(inside, value, outside);
      },
      "pad")};
}

// The other modes by `take` along each dimension, whose gradient adds up.
Result<graph::Value> compose_pad(Builder&, const graph::CallNode& call) {
  const std::string mode = call.attrs.get_string("pad_mode");
  const Dims& widths = *shape_arg(call, 1);
  graph::Value y = call.args[0];
  for (size_t d = 0; d < widths.size() / 2; ++d) {
    const Expr &dim = shape_of_arg(call, 0)[d], &before = widths[2 * d];
    if (is_const_int(before, 0) && is_const_int(widths[2 * d + 1], 0)) continue;
    const Expr first = canonical(make_int(0) - before);
    const graph::Value line = graph::make_op_call(
        op_arange(),
        {graph::make_prim(first), graph::make_prim(canonical(first + result_shape(call)[d]))},
        Attrs{{"dtype", Attr(dtypes::int64)}});
    Formula place(line, dtypes::int64);
    if (mode == "reflect") {
      const Formula last = number_of(canonical(dim - 1), dtypes::int64);
      place = last - apply_op(op_abs(), last - apply_op(op_abs(), place));
    } else if (mode == "replicate") {
      const Formula last = number_of(canonical(dim - 1), dtypes::int64);
      place = apply_op(op_minimum(),
                       apply_op(op_maximum(), place, scalar_constant(dtypes::int64, 0)), last);
    }
    y = graph::make_op_call(op_take(), {y, place},
                            Attrs{{"axis", Attr(static_cast<int64_t>(d))},
                                  {"mode", Attr(mode == "circular" ? "wrap" : "fast")}});
  }
  return y;
}

Gradients pad_gradient(Builder& b, const Pullback& p) {
  if (p.call.attrs.get_string("pad_mode") != "constant") {
    return composed_gradient<compose_pad>(b, p);
  }
  Dims widths = *shape_arg(p.call, 1);
  for (Expr& w : widths) w = canonical(make_int(0) - w);
  const Formula g = p.gradients[0];
  const Formula inside(graph::make_op_call(op_nn_pad(), {g, graph::make_shape(widths)}), g.dtype());
  std::vector<graph::Value> gradients{inside, nullptr};
  if (has_arg(p.call, 2)) gradients.push_back(apply_op(op_sum(), g) - apply_op(op_sum(), inside));
  gradients.resize(p.call.args.size());
  return gradients;
}

}  // namespace

const OpDef& op_nn_pad() {
  static const OpDef def{
      .name = "nn.pad",
      .args = {{"x"}, {"pad_width", ArgKind::shape}, {"fill", ArgKind::tensor, true}},
      .attrs = {{"pad_mode", AttrKind::string, Attr("constant")},
                {"pad_value", AttrKind::number, Attr(0.0)}},
      .infer = infer_pad,
      .lower = te::lower<pad_rule>,
      .elements = te::elements<pad_rule>,
      .gradient = pad_gradient,
      .doc = "elements added before and after along each dimension"};
  return def;
}

}  // namespace repose
