// stack: tensors of one shape, one after the other along a new dimension `axis`.
//   C1: there is at least one tensor; all have one dtype and one shape.
//   C2: `axis` lies in the result's rank, which is theirs plus 1.
// meshgrid: vectors as coordinates of a grid: tensor k of the result is vector k along dimension k,
// repeated along all others. With the indexing "xy" the first two dimensions are swapped.
//   C3: there is at least one tensor, each of rank 0 or 1; all have one dtype; the indexing is "ij"
//       or "xy".
// outer: y[i, j] = a[i] * b[j].
//   C4: a and b have rank 1 and one dtype, a number.
#include <algorithm>
#include <numeric>

#include "ops/gradient.h"

namespace repose {

namespace {

graph::Value unsqueezed(graph::Value x, int64_t axis) {
  return graph::make_op_call(op_expand_dims(), {std::move(x)},
                             Attrs{{"axis", Attr(std::vector<int64_t>{axis})}});
}

// Their types, with one dtype.
Result<std::vector<const TensorTypeNode*>> members_of_one_dtype(InferContext& context,
                                                                const graph::CallNode& call) {
  std::vector<const TensorTypeNode*> types;
  for (const Type& field : as<TupleTypeNode>(call.args[0]->type)->fields) {
    types.push_back(as<TensorTypeNode>(field));
    const DType dtype = types.back()->dtype, first = types[0]->dtype;
    if (!dtype || !first || dtype == first) continue;
    return error(DiagnosticKind::dtype_mismatch, context.span(),
                 "`{}`: tensor {} has dtype {}, tensor 0 has {}", call.op->name, types.size() - 1,
                 dtype.to_string(), first.to_string());
  }
  if (!types.empty()) return types;
  return error(DiagnosticKind::wrong_arity, context.span(), "`{}` of no tensors", call.op->name);
}

graph::Value compose_stack(const graph::CallNode& call) {
  const int64_t rank = graph::tensor_of(members_of(call.args[0])[0])->rank;
  const int64_t given = call.attrs.get_int("axis"), axis = given < 0 ? given + rank + 1 : given;
  std::vector<graph::Value> parts;
  for (graph::Value& t : members_of(call.args[0])) {
    parts.push_back(unsqueezed(std::move(t), axis));
  }
  return graph::make_op_call(op_concat(), {graph::make_tuple(std::move(parts))},
                             Attrs{{"axis", Attr(axis)}});
}

Result<Type> infer_stack(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(types, members_of_one_dtype(context, call));  // C1
  int rank = -1;
  bool shaped = true;
  for (size_t i = 0; i < types.size(); ++i) {
    shaped = shaped && types[i]->shape;
    if (types[i]->rank < 0) continue;
    if (rank >= 0 && types[i]->rank != rank) {
      return error(DiagnosticKind::rank_mismatch, context.span(),
                   "`stack`: tensor {} has rank {}, a tensor before has {}", i, types[i]->rank,
                   rank);
    }
    rank = types[i]->rank;
  }
  if (rank < 0) return ranked_like(*types[0], -1, types[0]->dtype);
  REPOSE_TRY(axis, normalize_axis(context, call.op->name, call.attrs.get_int("axis"), rank + 1));
  if (!shaped) return ranked_like(*types[0], rank + 1, types[0]->dtype);
  Dims out = *types[0]->shape;
  for (size_t i = 1; i < types.size(); ++i) {
    for (size_t d = 0; d < out.size(); ++d) {
      const Expr& dim = (*types[i]->shape)[d];
      REPOSE_REQUIRE(require_equal(context, call.op->name, (*types[0]->shape)[d],
                                   fmt::format("dimension {} of tensor 0", d), dim,
                                   fmt::format("dimension {} of tensor {}", d, i)));
      if (is_constant(dim)) out[d] = dim;
    }
  }
  out.insert(out.begin() + axis, make_int(static_cast<int64_t>(types.size())));  // C2
  return tensor_like(*types[0], std::move(out), types[0]->dtype);
}

std::vector<te::Tensor> stack_elements(const graph::CallNode& call,
                                       const std::vector<te::Tensor>& in) {
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        Expr value = in.back()(te::Indices{});
        for (size_t k = in.size() - 1; k-- > 0;) {
          const Expr here = eq(i[0], make_int(static_cast<int64_t>(k)));
          value = make_if_then_else(here, in[k](te::Indices{}), value);
        }
        return value;
      },
      "stack")};
}

// Of scalars: what shapes are computed with.
std::optional<std::vector<Expr>> elements_of_stack(const InferContext& context,
                                                   const graph::CallNode& call,
                                                   const Type& result) {
  const auto* t = as<TensorTypeNode>(result);
  if (!t || t->rank != 1) return std::nullopt;
  return te::elements<stack_elements>(context, call, result);
}

graph::Value compose_meshgrid(const graph::CallNode& call) {
  const std::vector<graph::Value> members = members_of(call.args[0]);
  Dims shape;
  for (const graph::Value& t : members) {
    const Dims& own = *graph::tensor_of(t)->shape;
    shape.push_back(own.empty() ? make_int(1) : own[0]);
  }
  std::vector<size_t> place(members.size());  // the dimension of each
  std::iota(place.begin(), place.end(), size_t{0});
  if (call.attrs.get_string("indexing") == "xy" && members.size() > 1) {
    std::swap(place[0], place[1]);
    std::swap(shape[0], shape[1]);
  }
  std::vector<graph::Value> grids;
  for (size_t k = 0; k < members.size(); ++k) {
    Dims own(members.size(), make_int(1));
    own[place[k]] = shape[place[k]];
    grids.push_back(graph::make_op_call(
        op_broadcast_to(), {reshaped(members[k], std::move(own)), graph::make_shape(shape)}));
  }
  return graph::make_tuple(std::move(grids));
}

Result<Type> infer_meshgrid(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(types, members_of_one_dtype(context, call));  // C3
  const std::string indexing = call.attrs.get_string("indexing");
  if (indexing != "ij" && indexing != "xy") {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`meshgrid`: indexing is \"{}\", expected \"ij\" or \"xy\"", indexing);
  }
  bool shaped = true;
  for (size_t i = 0; i < types.size(); ++i) {
    shaped = shaped && types[i]->shape;
    if (types[i]->rank <= 1) continue;
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`meshgrid`: tensor {} has rank {}, expected 0 or 1", i, types[i]->rank);
  }
  if (shaped) return composite_type(context, compose_meshgrid(call));
  std::vector<Type> grids;
  for (const TensorTypeNode* t : types) {
    grids.push_back(ranked_like(*t, static_cast<int>(types.size()), t->dtype));
  }
  return tuple_type(std::move(grids));
}

graph::Value compose_outer(const graph::CallNode& call) {
  return graph::make_op_call(op_multiply(),
                             {unsqueezed(call.args[0], 1), unsqueezed(call.args[1], 0)});
}

Result<Type> infer_outer(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(dtype, common_dtype(context, call, 0, 1));  // C4
  auto number = dtype_arg(context, call, 0, is_number_dtype, "a number");
  if (!number.ok()) return number.errors();
  REPOSE_REQUIRE(require_rank(context, call, 0, 1));
  REPOSE_REQUIRE(require_rank(context, call, 1, 1));
  const TensorTypeNode *a = graph::tensor_of(call.args[0]), *b = graph::tensor_of(call.args[1]);
  if (!a->shape || !b->shape) return ranked_like(*a, 2, dtype);
  return tensor_like(*a, {(*a->shape)[0], (*b->shape)[0]}, dtype);
}

}  // namespace

const OpDef& op_stack() {
  static const OpDef def{.name = "stack",
                         .args = {{"tensors", ArgKind::tensors}},
                         .attrs = {{"axis", AttrKind::integer, Attr(0)}},
                         .infer = infer_stack,
                         .lower = lower_composite<compose_stack>,
                         .elements = elements_of_stack,
                         .gradient = composed_gradient<lower_composite<compose_stack>>,
                         .doc = "tensors of one shape one after the other along a new dimension"};
  return def;
}

const OpDef& op_meshgrid() {
  static const OpDef def{.name = "meshgrid",
                         .args = {{"tensors", ArgKind::tensors}},
                         .attrs = {{"indexing", AttrKind::string, Attr("ij")}},
                         .infer = infer_meshgrid,
                         .lower = lower_composite<compose_meshgrid>,
                         .gradient = composed_gradient<lower_composite<compose_meshgrid>>,
                         .doc =
                             "a tuple: each vector along its dimension of a grid, repeated along "
                             "the others; \"xy\" swaps the first two dimensions"};
  return def;
}

const OpDef& op_outer() {
  static const OpDef def{.name = "outer",
                         .args = {{"a"}, {"b"}},
                         .infer = infer_outer,
                         .lower = lower_composite<compose_outer>,
                         .gradient = composed_gradient<lower_composite<compose_outer>>,
                         .doc = "the products of all elements of one vector with those of another"};
  return def;
}

}  // namespace repose
