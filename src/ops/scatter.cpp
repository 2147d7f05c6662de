// Updates at positions that an index tensor names: a copy of x, then one update after the other,
// in row-major order of the indices. Negative indices count from the end; indices outside of [-d,
// d) are errors at run time, caught where accesses are checked. They lower to tensor programs:
// where an update goes depends on data.
//   scatter_elements: y[i… with i[axis] replaced by indices[i…]] = updates[i…].
//     C1: the indices are integers of x's rank; the updates have their shape and x's dtype;
//         `axis` is one of the axes.
//     C2: but for `axis`, no dimension of the indices is larger than x's.
//   scatter_nd: y[indices[j…, 0], …, indices[j…, n - 1], s…] = updates[j…, s…].
//     C3: the last dimension n of the indices is a constant, at most x's rank; the updates have
//         the shape indices.shape[:-1] + x.shape[n:] and x's dtype.
//     C4: `reduction` says what happens to the element that is there: "update" replaces it,
//         "add", "mul", "max", "min" combine the two. The result has x's type.
#include "ops/gradient.h"
#include "ops/loops.h"

namespace repose {

namespace {

std::optional<te::Reducer> reducer_of(const graph::CallNode& call) {
  const std::string name = call.attrs.get_string("reduction");
  if (name == "update" || name == "none") return te::Reducer::none;
  if (name == "add") return te::Reducer::sum;
  if (name == "mul") return te::Reducer::prod;
  if (name == "max") return te::Reducer::max;
  if (name == "min") return te::Reducer::min;
  return std::nullopt;
}

// C4 and dtypes.
Result<DType> check_scatter(InferContext& context, const graph::CallNode& call) {
  auto integer = dtype_arg(context, call, 1, is_integer_dtype, "an integer");
  if (!integer.ok()) return integer.errors();
  if (!reducer_of(call)) {
    return error(
        DiagnosticKind::bad_attribute, context.span(),
        "`{}`: reduction is \"{}\", expected \"update\", \"add\", \"mul\", \"max\" or \"min\"",
        call.op->name, call.attrs.get_string("reduction"));
  }
  return common_dtype(context, call, 0, 2);
}

Type same_type(const TensorTypeNode& x, DType dtype) {
  return x.shape ? tensor_like(x, *x.shape, dtype) : ranked_like(x, x.rank, dtype);
}

Result<void> require_shape(InferContext& context, const graph::CallNode& call, const Dims& have,
                           const Dims& want) {
  for (size_t d = 0; d < want.size(); ++d) {
    REPOSE_REQUIRE(require_equal(context, call.op->name, have[d],
                                 fmt::format("dimension {} of the updates", d), want[d],
                                 "the extent that the indices ask for"));
  }
  return {};
}

Result<Type> infer_scatter_elements(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(dtype, check_scatter(context, call));
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(indices, tensor_arg(context, call, 1));
  REPOSE_TRY(updates, tensor_arg(context, call, 2));
  if (x->rank < 0) return same_type(*x, dtype);
  REPOSE_REQUIRE(require_rank(context, call, 1, x->rank));  // C1
  REPOSE_REQUIRE(require_rank(context, call, 2, x->rank));
  REPOSE_TRY(axis, normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank));
  if (!indices->shape || !updates->shape) return same_type(*x, dtype);
  REPOSE_REQUIRE(require_shape(context, call, *updates->shape, *indices->shape));
  for (int d = 0; x->shape && d < x->rank; ++d) {
    if (d == axis) continue;
    const Expr &have = (*indices->shape)[static_cast<size_t>(d)],
               &limit = (*x->shape)[static_cast<size_t>(d)];
    REPOSE_REQUIRE(context.require(  // C2
        le(have, limit),
        fmt::format("`scatter_elements`: dimension {} of the indices is {{0}}, of x {{1}}", d),
        {have, limit}));
  }
  return same_type(*x, dtype);
}

Result<Type> infer_scatter_nd(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(dtype, check_scatter(context, call));
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(indices, tensor_arg(context, call, 1));
  REPOSE_TRY(updates, tensor_arg(context, call, 2));
  if (!x->shape || !indices->shape) return same_type(*x, dtype);
  int64_t depth = 0;
  if (indices->rank == 0 ||
      !as_const_int(simplify(indices->shape->back(), context.facts()), &depth)) {  // C3
    return error(DiagnosticKind::unsupported_feature, context.span(),
                 "`scatter_nd`: the last dimension of the indices must be a constant");
  }
  if (depth > x->rank) {
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`scatter_nd`: {} indices for an operand of rank {}", depth, x->rank);
  }
  Dims want(indices->shape->begin(), indices->shape->end() - 1);
  want.insert(want.end(), x->shape->begin() + depth, x->shape->end());
  REPOSE_REQUIRE(require_rank(context, call, 2, static_cast<int>(want.size())));
  if (updates->shape) REPOSE_REQUIRE(require_shape(context, call, *updates->shape, want));
  return same_type(*x, dtype);
}

// Where the update at `i` (indices of the updates) goes.
using Target =
    std::function<te::Indices(const te::Indices& i, const Buffer& x, const Buffer& indices)>;

Result<graph::Value> lower_scatter(Builder& b, const graph::CallNode& call, const Target& target) {
  const Buffer x = buffer_for(call.args[0], "x"), indices = buffer_for(call.args[1], "indices"),
               updates = buffer_for(call.args[2], "updates");
  const Buffer y = make_buffer("y", x->shape, x->dtype);
  const te::Reducer reducer = *reducer_of(call);
  const std::string name(call.op->name);
  // Two updates may hit one element: their order counts.
  std::vector<LoopAxis> axes;
  for (const Expr& extent : updates->shape) axes.push_back({extent, tir::IterKind::scan});
  std::vector<Buffer> reads{indices, updates};
  if (reducer != te::Reducer::none) reads.push_back(y);
  tir::Stmt update = loop_nest(name + "_update", axes, reads, y, [&](const te::Indices& i) {
    te::Indices at = target(i, x, indices);
    Expr value = make_load(updates, i);
    if (reducer != te::Reducer::none) value = te::combine(reducer, make_load(y, at), value);
    return Element{std::move(at), std::move(value)};
  });
  return emit_program(b, name, call.args, {x, indices, updates}, y,
                      tir::make_seq({copy_nest(name + "_copy", x, y), std::move(update)}));
}

Result<graph::Value> lower_scatter_elements(Builder& b, const graph::CallNode& call) {
  const int rank = graph::tensor_of(call.args[0])->rank;
  const int64_t given = call.attrs.get_int("axis");
  const size_t axis = static_cast<size_t>(given < 0 ? given + rank : given);
  return lower_scatter(b, call, [&](const te::Indices& i, const Buffer& x, const Buffer& indices) {
    te::Indices at = i;
    at[axis] = checked_index(make_load(indices, i), x->shape[axis], "scatter_elements");
    return at;
  });
}

Result<graph::Value> lower_scatter_nd(Builder& b, const graph::CallNode& call) {
  return lower_scatter(b, call, [&](const te::Indices& i, const Buffer& x, const Buffer& indices) {
    const size_t outer = indices->shape.size() - 1;
    const size_t depth = x->shape.size() + outer - i.size();
    te::Indices at;
    for (size_t k = 0; k < depth; ++k) {
      te::Indices source(i.begin(), i.begin() + static_cast<int64_t>(outer));
      source.push_back(make_int(static_cast<int64_t>(k)));
      at.push_back(checked_index(make_load(indices, std::move(source)), x->shape[k], "scatter_nd"));
    }
    at.insert(at.end(), i.begin() + static_cast<int64_t>(outer), i.end());
    return at;
  });
}

// Of "add" all of g, into the updates what lies where they went. Of "update" that only for those
// that stayed: the last one at each element, found by scattering the updates' numbers.
Gradients scatter_gradient(Builder&, const Pullback& p, const OpDef& gather, const Attrs& axis) {
  const te::Reducer reducer = *reducer_of(p.call);
  const graph::Value &indices = p.call.args[1], g = p.gradients[0];
  auto gathered = [&](const graph::Value& x) {
    return graph::make_op_call(gather, {x, indices}, axis);
  };
  if (reducer == te::Reducer::sum) return std::vector<graph::Value>{g, nullptr, gathered(g)};
  if (reducer != te::Reducer::none) {
    return error(DiagnosticKind::unsupported_feature, {},
                 "`{}` with the reduction \"{}\" has no gradient; \"update\" and \"add\" have one",
                 p.call.op->name, p.call.attrs.get_string("reduction"));
  }
  auto updated = [&](const graph::Value& x, const graph::Value& updates) {
    return graph::make_op_call(*p.call.op, {x, indices, updates}, p.call.attrs);
  };
  const Dims &x = shape_of_arg(p.call, 0), &updates = shape_of_arg(p.call, 2);
  const graph::Value line =
      graph::make_op_call(op_arange(), {graph::make_prim(element_count(updates))},
                          Attrs{{"dtype", Attr(dtypes::int64)}});
  const Formula numbers(reshaped(line, updates), dtypes::int64);
  const Formula winners(gathered(updated(zeros_of(x, dtypes::int64), numbers)), dtypes::int64);
  const Formula flow(gathered(g), result_dtype(p.call));
  const Formula zero = scalar_constant(result_dtype(p.call), 0);
  return std::vector<graph::Value>{updated(g, zeros_of(updates, result_dtype(p.call))), nullptr,
                                   choose(is_equal(winners, numbers), flow, zero)};
}

Gradients scatter_elements_gradient(Builder& b, const Pullback& p) {
  return scatter_gradient(b, p, op_gather_elements(),
                          Attrs{{"axis", Attr(p.call.attrs.get_int("axis"))}});
}

Gradients scatter_nd_gradient(Builder& b, const Pullback& p) {
  return scatter_gradient(b, p, op_gather_nd(), {});
}

}  // namespace

const OpDef& op_scatter_elements() {
  static const OpDef def{.name = "scatter_elements",
                         .args = {{"x"}, {"indices"}, {"updates"}},
                         .attrs = {{"axis", AttrKind::integer, Attr(0)},
                                   {"reduction", AttrKind::string, Attr("update")}},
                         .infer = infer_scatter_elements,
                         .lower = lower_scatter_elements,
                         .gradient = scatter_elements_gradient,
                         .doc = "x with the element at each index along `axis` updated"};
  return def;
}

const OpDef& op_scatter_nd() {
  static const OpDef def{
      .name = "scatter_nd",
      .args = {{"x"}, {"indices"}, {"updates"}},
      .attrs = {{"reduction", AttrKind::string, Attr("update")}},
      .infer = infer_scatter_nd,
      .lower = lower_scatter_nd,
      .gradient = scatter_nd_gradient,
      .doc =
          "x with slices updated at index tuples along the last dimension of the "
          "indices"};
  return def;
}

}  // namespace repose
