// Between tensors and shapes as values.
//   shape_of: the shape of a tensor.
//     C1: the result's type has the operand's dimensions (or its rank, where only that is known).
//   shape_to_tensor: the members of a shape as an int64 tensor of rank 1.
//   size: the number of elements as an int64 tensor of rank 0.
//   tensor_to_shape: the elements of a tensor as a shape.
//     C1: the operand is an integer tensor of rank 1 with a constant extent.
//     C2: the result's members are the operand's elements, where those are known; otherwise a
//         `match_cast` names them.
#include <algorithm>

#include "ops/composite.h"
#include "ops/loops.h"

namespace repose {

namespace {

Result<Type> infer_shape_of(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  return x->shape ? shape_type(*x->shape) : shape_type_of_rank(x->rank);  // C1
}

Result<Type> infer_shape_to_tensor(InferContext&, const graph::CallNode& call) {
  const int rank = as<ShapeTypeNode>(call.args[0]->type)->rank;
  if (rank < 0) return tensor_type_of_rank(1, dtypes::int64);
  return tensor_type({make_int(rank)}, dtypes::int64);
}

std::vector<te::Tensor> shape_to_tensor_rule(const graph::CallNode& call,
                                             const std::vector<te::Tensor>&) {
  const Dims& dims = *shape_arg(call, 0);
  return {te::compute(
      {make_int(static_cast<int64_t>(dims.size()))},
      [&](const te::Indices& i) {
        Expr value = dims.empty() ? make_int(0) : dims.back();
        for (size_t k = dims.size(); k-- > 1;) {
          value = make_select(lt(i[0], make_int(static_cast<int64_t>(k))), dims[k - 1], value);
        }
        return make_cast(dtypes::int64, value);
      },
      "shape_to_tensor")};
}

Result<graph::Value> lower_shape_to_tensor(Builder& b, const graph::CallNode& call) {
  if (shape_arg(call, 0)) return te::lower<shape_to_tensor_rule>(b, call);
  return error(DiagnosticKind::unsupported_feature, {},
               "`shape_to_tensor`: the members of the shape are not known; a `match_cast` before "
               "can name them");
}

std::optional<std::vector<Expr>> shape_elements(const InferContext&, const graph::CallNode& call,
                                                const Type&) {
  const Dims* dims = shape_arg(call, 0);
  return dims ? std::optional<std::vector<Expr>>(*dims) : std::nullopt;
}

Result<Type> infer_size(InferContext& context, const graph::CallNode& call) {
  auto x = tensor_arg(context, call, 0);
  if (!x.ok()) return x.errors();
  return tensor_type({}, dtypes::int64);
}

graph::Value compose_size(const graph::CallNode& call) {
  const Expr count = element_count(*graph::tensor_of(call.args[0])->shape);
  return reshaped(graph::make_op_call(op_shape_to_tensor(), {graph::make_shape({count})}), {});
}

std::optional<std::vector<Expr>> size_elements(const InferContext&, const graph::CallNode& call,
                                               const Type&) {
  const TensorTypeNode* x = graph::tensor_of(call.args[0]);
  if (!x->shape) return std::nullopt;
  return std::vector<Expr>{element_count(*x->shape)};
}

Result<Type> infer_tensor_to_shape(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(t, tensor_arg(context, call, 0));
  auto integer = dtype_arg(context, call, 0, is_integer_dtype, "an integer");  // C1
  if (!integer.ok()) return integer.errors();
  REPOSE_REQUIRE(require_rank(context, call, 0, 1));
  const auto* elements = context.elements_of(call.args[0]);
  if (elements && std::find(elements->begin(), elements->end(), nullptr) == elements->end()) {
    return shape_type(*elements);  // C2
  }
  int64_t count = 0;
  const bool known = t->shape && as_const_int((*t->shape)[0], &count);
  return shape_type_of_rank(known ? static_cast<int>(count) : -1);
}

}  // namespace

const OpDef& op_shape_of() {
  static const OpDef def{.name = "shape_of",
                         .args = {{"x"}},
                         .infer = infer_shape_of,
                         .doc = "the shape of a tensor, as a shape"};
  return def;
}

const OpDef& op_shape_to_tensor() {
  static const OpDef def{.name = "shape_to_tensor",
                         .args = {{"shape", ArgKind::shape}},
                         .infer = infer_shape_to_tensor,
                         .lower = lower_shape_to_tensor,
                         .elements = shape_elements,
                         .doc = "the members of a shape as an int64 tensor of rank 1"};
  return def;
}

const OpDef& op_size() {
  static const OpDef def{.name = "size",
                         .args = {{"x"}},
                         .infer = infer_size,
                         .lower = lower_composite<compose_size>,
                         .elements = size_elements,
                         .doc = "the number of elements as an int64 tensor of rank 0"};
  return def;
}

const OpDef& op_tensor_to_shape() {
  static const OpDef def{.name = "tensor_to_shape",
                         .args = {{"t"}},
                         .infer = infer_tensor_to_shape,
                         .doc = "the elements of an integer tensor of rank 1 as a shape"};
  return def;
}

}  // namespace repose
