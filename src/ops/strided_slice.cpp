// strided_slice: y[…, i, …] = x[…, begin + i * stride, …] along each of `axes`.
//   C1: `axes` are axes of the operand, each given once; begin, end and strides (default: 1) have
//       a member for each.
//   C2: a stride is not 0, and its sign is known.
//   C3: negative bounds count from the end (once); then bounds are clamped as NumPy and ONNX do:
//       to [0, d] for a positive stride, to [-1, d - 1] for a negative one. A constant bound from
//       2^31 - 1 on means "all"; where the dimension could reach it, that is checked. Bounds and
//       strides that data gives may be any number of 64 bits.
//   C4: the extent is max(0, ceil((end - begin) / stride)).
//   C5: with `assume_inbound` (positive strides), 0 <= begin <= end <= d is stated, and nothing
//       is clamped.
#include <algorithm>

#include "ops/gradient.h"

namespace repose {

namespace {

constexpr int64_t all_from = 2147483647;           // the bound that exporters write for "all"
constexpr int64_t beyond_dims = int64_t{1} << 55;  // no dimension is as large

// A bound or stride that means the same, of which a few can be summed in 64 bits: data may give
// any number. Expressions over dimensions alone are as small already.
Expr tamed(const Expr& number, const Facts& facts) {
  int64_t value = 0;
  if (as_const_int(number, &value)) {
    return make_int(std::clamp(value, -beyond_dims, beyond_dims));
  }
  const std::vector<Var> vars = free_vars(number);
  const bool by_data =
      std::any_of(vars.begin(), vars.end(), [](const Var& v) { return v->role == VarRole::value; });
  if (!by_data) return number;
  return at_most(at_least(number, make_int(-beyond_dims), facts), make_int(beyond_dims), facts);
}

struct Bound {
  Expr position;         // after counting from the end
  bool is_all = false;   // a constant beyond any dimension that a tensor has
  int64_t from_end = 0;  // k, for a constant -k that is not resolved
};

Bound resolve(const Expr& given, const Expr& dim, const Facts& facts) {
  int64_t value = 0;
  if (as_const_int(given, &value) && !is_constant(dim) &&
      (value >= all_from || value <= -all_from)) {
    return {value > 0 ? dim : make_int(-1), true};
  }
  const Expr zero = make_int(0), bound = tamed(given, facts);
  if (as_const_int(bound, &value)) {
    return {value < 0 ? canonical(dim + value) : bound, false, value < 0 ? -value : 0};
  }
  const Truth negative = prove(lt(bound, zero), facts);
  if (negative == Truth::no) return {bound};
  if (negative == Truth::yes) return {canonical(bound + dim)};
  return {make_select(lt(bound, zero), bound + dim, bound)};
}

// The position of element 0, where the slice is not empty.
Expr first_position(const Bound& begin, const Expr& dim, bool forward, bool inbound,
                    const Facts& facts) {
  if (inbound || begin.from_end == 1) return begin.position;
  return forward ? at_least(begin.position, make_int(0), facts)
                 : at_most(begin.position, dim - 1, facts);
}

Expr extent_of(const Bound& begin, const Bound& end, const Expr& dim, const Expr& stride,
               bool forward, const Facts& facts) {
  const Expr zero = make_int(0);
  if (!forward) {
    const Expr first = at_most(begin.position, dim - 1, facts);
    const Expr last = at_least(end.position, make_int(-1), facts);
    return at_least(canonical(ceil_div(first - last, zero - stride)), zero, facts);
  }
  // A `begin` beyond the dimension needs no clamping: the difference is negative then.
  const Expr last = at_most(end.position, dim, facts);
  if (begin.from_end && structural_equal(last, dim) && is_const_int(stride, 1)) {
    return at_most(make_int(begin.from_end), dim, facts);  // the last k
  }
  const Expr first = at_least(begin.position, zero, facts);
  return at_least(canonical(ceil_div(last - first, stride)), zero, facts);
}

// 1 where strides are left out.
Expr member(const graph::CallNode& call, size_t arg, size_t i) {
  const Dims* dims = shape_arg(call, arg);
  return dims ? (*dims)[i] : make_int(1);
}

Result<void> state_bound(InferContext& context, const Expr& bound, const Bound& resolved,
                         const Expr& dim) {
  int64_t value = 0;
  if (!resolved.is_all || !as_const_int(bound, &value) || value >= int64_t{1} << 62 ||
      value <= -(int64_t{1} << 62)) {
    return {};
  }
  return context.require(le(dim, make_int(value > 0 ? value : -value - 1)),  // C3
                         "`strided_slice`: dimension {0} reaches beyond the bound {1}",
                         {dim, bound});
}

Result<Type> infer_strided_slice(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const std::vector<int64_t> given = call.attrs.get_ints("axes");
  for (size_t a = 1; a < call.args.size(); ++a) {  // C1
    const auto* shape = as<ShapeTypeNode>(call.args[a]->type);
    if (!shape || shape->rank < 0 || shape->rank == static_cast<int>(given.size())) continue;
    return error(DiagnosticKind::bad_argument, context.span(),
                 "`strided_slice`: {} axes, but operand {} (`{}`) has {} members", given.size(), a,
                 call.op->args[a].name, shape->rank);
  }
  if (x->rank < 0) return ranked_like(*x, -1, x->dtype);
  auto unique = normalize_axes(context, call.op->name, given, x->rank, false);
  if (!unique.ok()) return unique.errors();
  const bool known = x->shape && shape_arg(call, 1) && shape_arg(call, 2) &&
                     (!has_arg(call, 3) || shape_arg(call, 3));
  if (!known) return ranked_like(*x, x->rank, x->dtype);

  Dims out = *x->shape;
  for (size_t k = 0; k < given.size(); ++k) {
    const int64_t axis = given[k] < 0 ? given[k] + x->rank : given[k];
    const Expr dim = out[axis], zero = make_int(0);
    const Expr begin = member(call, 1, k), end = member(call, 2, k);
    const Expr stride = tamed(member(call, 3, k), context.facts());
    const Truth forward = prove(lt(zero, stride), context.facts());
    if (forward != Truth::yes && prove(lt(stride, zero), context.facts()) != Truth::yes) {
      return sign_error(
          context.span(), call.op->name,  // C2
          fmt::format("stride `{}` along axis {}", to_string(member(call, 3, k)), axis), stride);
    }
    const Bound first = resolve(begin, dim, context.facts());
    const Bound last = resolve(end, dim, context.facts());
    if (call.attrs.get_bool("assume_inbound") && forward == Truth::yes) {  // C5
      Expr stop = last.is_all ? dim : last.position;
      REPOSE_REQUIRE(context.require(
          logical_and(le(zero, first.position),
                      logical_and(le(first.position, stop), le(stop, dim))),
          fmt::format(
              "`strided_slice`: the range {{0}} to {{1}} along axis {} leaves the dimension {{2}}",
              axis),
          {first.position, stop, dim}));
      out[axis] = simplify(ceil_div(stop - first.position, stride), context.facts());
      continue;
    }
    REPOSE_REQUIRE(state_bound(context, begin, first, dim));
    REPOSE_REQUIRE(state_bound(context, end, last, dim));
    out[axis] = simplify(  // C4
        extent_of(first, last, dim, stride, forward == Truth::yes, context.facts()),
        context.facts());
  }
  return tensor_like(*x, std::move(out), x->dtype);
}

// The position of element 0 along axis k of the list.
Expr start_of_slice(const graph::CallNode& call, size_t k, const Expr& dim) {
  const bool inbound = call.attrs.get_bool("assume_inbound");
  const Expr stride = tamed(member(call, 3, k), {});
  const Bound first = resolve(member(call, 1, k), dim, {});
  int64_t value = 0;
  if (as_const_int(stride, &value) || prove(lt(make_int(0), stride)) == Truth::yes) {
    return canonical(first_position(first, dim, value >= 0, inbound && value >= 0, {}));
  }
  // Of a symbolic stride only inference knows the sign: with it, an element exists where both
  // agree.
  return canonical(make_select(lt(make_int(0), stride),
                               first_position(first, dim, true, inbound, {}),
                               first_position(first, dim, false, false, {})));
}

std::vector<te::Tensor> strided_slice_rule(const graph::CallNode& call,
                                           const std::vector<te::Tensor>& in) {
  const std::vector<int64_t> axes = call.attrs.get_ints("axes");
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        te::Indices source = i;
        for (size_t k = 0; k < axes.size(); ++k) {
          const size_t axis = static_cast<size_t>(axes[k] < 0 ? axes[k] + in[0].rank() : axes[k]);
          const Expr& dim = in[0].shape()[axis];
          source[axis] = start_of_slice(call, k, dim) + i[axis] * tamed(member(call, 3, k), {});
        }
        return in[0](std::move(source));
      },
      "strided_slice")};
}

// Each element in front of stride - 1 zeros: dimension `axis` of the shape becomes as many times as
// long.
graph::Value spread(const graph::Value& x, Dims& shape, size_t axis, const Expr& stride) {
  Dims pairs = shape, widths(2 * (shape.size() + 1), make_int(0));
  pairs.insert(pairs.begin() + static_cast<int64_t>(axis) + 1, make_int(1));
  widths[2 * axis + 3] = canonical(stride - 1);
  shape[axis] = canonical(shape[axis] * stride);
  return reshaped(graph::make_op_call(op_nn_pad(), {reshaped(x, pairs), graph::make_shape(widths)}),
                  shape);
}

// Zeros around what the slice took, and between where its stride isn't 1.
Gradients strided_slice_gradient(Builder& b, const Pullback& p) {
  const Dims& from = shape_of_arg(p.call, 0);
  const std::vector<int64_t> axes = p.call.attrs.get_ints("axes");
  Dims shape = result_shape(p.call), widths(2 * from.size(), make_int(0));
  graph::Value g = p.gradients[0];
  for (size_t k = 0; k < axes.size(); ++k) {
    const int64_t given = axes[k];
    const size_t axis =
        static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(from.size()) : given);
    const Expr count = shape[axis];
    Expr stride = tamed(member(p.call, 3, k), b.facts()),
         first = start_of_slice(p.call, k, from[axis]);
    if (prove(lt(stride, make_int(0)), b.facts()) == Truth::yes) {
      first = canonical(first + (count - 1) * stride);
      stride = canonical(make_int(0) - stride);
      g = graph::make_op_call(op_flip(), {g}, Attrs{{"axis", Attr(static_cast<int64_t>(axis))}});
    }
    if (!is_const_int(stride, 1)) g = spread(g, shape, axis, stride);
    widths[2 * axis] = first;
    widths[2 * axis + 1] = canonical(from[axis] - first - shape[axis]);
  }
  return std::vector<graph::Value>{
      graph::make_op_call(op_nn_pad(), {g, graph::make_shape(std::move(widths))}), nullptr, nullptr,
      nullptr};
}

}  // namespace

const OpDef& op_strided_slice() {
  static const OpDef def{
      .name = "strided_slice",
      .args = {{"x"},
               {"begin", ArgKind::shape},
               {"end", ArgKind::shape},
               {"strides", ArgKind::shape, true}},
      .attrs = {{"axes", AttrKind::integers}, {"assume_inbound", AttrKind::boolean, Attr(false)}},
      .infer = infer_strided_slice,
      .lower = te::lower<strided_slice_rule>,
      .elements = te::elements<strided_slice_rule>,
      .gradient = strided_slice_gradient,
      .doc =
          "elements begin, begin + stride, … before end along each of `axes`; bounds count from "
          "the end where they are negative, and are clamped as NumPy clamps them"};
  return def;
}

}  // namespace repose
