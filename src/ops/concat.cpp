// concat: the operands one after the other along `axis`.
//   C1: there is at least one operand; all have one dtype and one rank.
//   C2: they agree in every dimension but `axis`.
//   C3: the result's extent along `axis` is the sum of the operands'.
#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_concat(InferContext& context, const graph::CallNode& call) {
  const auto& fields = as<TupleTypeNode>(call.args[0]->type)->fields;
  if (fields.empty()) {  // C1
    return error(DiagnosticKind::wrong_arity, context.span(), "`concat` of no tensors");
  }
  const auto* first = as<TensorTypeNode>(fields[0]);
  bool shaped = true;
  int rank = -1;
  for (size_t i = 0; i < fields.size(); ++i) {
    const auto* t = as<TensorTypeNode>(fields[i]);
    shaped = shaped && t->shape;
    if (t->dtype && first->dtype && t->dtype != first->dtype) {
      return error(DiagnosticKind::dtype_mismatch, context.span(),
                   "`concat`: tensor {} has dtype {}, tensor 0 has {}", i, t->dtype.to_string(),
                   first->dtype.to_string());
    }
    if (t->rank >= 0 && rank >= 0 && t->rank != rank) {
      return error(DiagnosticKind::rank_mismatch, context.span(),
                   "`concat`: tensor {} has rank {}, a tensor before has {}", i, t->rank, rank);
    }
    if (t->rank >= 0) rank = t->rank;
  }
  if (rank < 0) return ranked_like(*first, -1, first->dtype);
  REPOSE_TRY(axis, normalize_axis(context, call.op->name, call.attrs.get_int("axis"), rank));
  if (!shaped) return ranked_like(*first, rank, first->dtype);
  Dims out = *first->shape;
  for (size_t i = 1; i < fields.size(); ++i) {
    const Dims& shape = *as<TensorTypeNode>(fields[i])->shape;
    for (int d = 0; d < rank; ++d) {
      if (d == axis) {
        out[d] = out[d] + shape[d];  // C3
        continue;
      }
      REPOSE_REQUIRE(require_equal(context, call.op->name, (*first->shape)[d],  // C2
                                   fmt::format("dimension {} of tensor 0", d), shape[d],
                                   fmt::format("dimension {} of tensor {}", d, i)));
      if (is_constant(shape[d])) out[d] = shape[d];
    }
  }
  return tensor_like(*first, std::move(out), first->dtype);
}

std::vector<te::Tensor> concat_rule(const graph::CallNode& call,
                                    const std::vector<te::Tensor>& in) {
  const int rank = in[0].rank();
  const int64_t given = call.attrs.get_int("axis");
  const size_t axis = static_cast<size_t>(given < 0 ? given + rank : given);
  Dims begins{make_int(0)};
  for (const te::Tensor& t : in) begins.push_back(canonical(begins.back() + t.shape()[axis]));
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        Expr value;
        for (size_t k = in.size(); k-- > 0;) {
          te::Indices own = i;
          own[axis] = i[axis] - begins[k];
          Expr element = in[k](std::move(own));
          value = value ? make_if_then_else(lt(i[axis], begins[k + 1]), element, value) : element;
        }
        return value;
      },
      "concat")};
}

Gradients concat_gradient(Builder&, const Pullback& p) {
  const auto rank = static_cast<int64_t>(result_shape(p.call).size());
  const int64_t given = p.call.attrs.get_int("axis"), axis = given < 0 ? given + rank : given;
  std::vector<graph::Value> parts;
  Expr begin = make_int(0);
  for (const Type& field : as<TupleTypeNode>(p.call.args[0]->type)->fields) {
    const Expr& extent = (*as<TensorTypeNode>(field)->shape)[static_cast<size_t>(axis)];
    const Expr end = canonical(begin + extent);
    parts.push_back(part_of(p.gradients[0], axis, begin, end));
    begin = end;
  }
  return std::vector<graph::Value>{graph::make_tuple(std::move(parts))};
}

}  // namespace

const OpDef& op_concat() {
  static const OpDef def{.name = "concat",
                         .args = {{"tensors", ArgKind::tensors}},
                         .attrs = {{"axis", AttrKind::integer, Attr(0)}},
                         .infer = infer_concat,
                         .lower = te::lower<concat_rule>,
                         .elements = te::elements<concat_rule>,
                         .gradient = concat_gradient,
                         .doc = "the tensors one after the other along `axis`"};
  return def;
}

}  // namespace repose
