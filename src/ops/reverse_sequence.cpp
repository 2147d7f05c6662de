// reverse_sequence: along `seq_axis` the first seq_lengths[b] elements in reverse order, for each
// index b of `batch_axis`; those behind stay.
//   C1: the lengths are integers of rank 1; both axes are x's, and differ.
//   C2: there is a length for each index of `batch_axis`. One below 0 or beyond the extent of
//       `seq_axis` is an error at run time.
#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_reverse_sequence(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(lengths, tensor_arg(context, call, 1));
  auto integer = dtype_arg(context, call, 1, is_integer_dtype, "an integer");  // C1
  if (!integer.ok()) return integer.errors();
  REPOSE_REQUIRE(require_rank(context, call, 1, 1));
  if (x->rank < 0) return ranked_like(*x, -1, x->dtype);
  REPOSE_TRY(sequence,
             normalize_axis(context, call.op->name, call.attrs.get_int("seq_axis"), x->rank));
  REPOSE_TRY(batch,
             normalize_axis(context, call.op->name, call.attrs.get_int("batch_axis"), x->rank));
  if (sequence == batch) {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`reverse_sequence`: seq_axis and batch_axis are both {}", batch);
  }
  if (!x->shape) return ranked_like(*x, x->rank, x->dtype);
  if (lengths->shape) {
    REPOSE_REQUIRE(require_equal(context, call.op->name, (*lengths->shape)[0],  // C2
                                 "the number of lengths", (*x->shape)[static_cast<size_t>(batch)],
                                 fmt::format("dimension {} of operand 0", batch)));
  }
  return tensor_like(*x, *x->shape, x->dtype);
}

std::vector<te::Tensor> reverse_sequence_rule(const graph::CallNode& call,
                                              const std::vector<te::Tensor>& in) {
  const te::Tensor &x = in[0], &lengths = in[1];
  auto axis = [&](const char* name) {
    const int64_t given = call.attrs.get_int(name);
    return static_cast<size_t>(given < 0 ? given + x.rank() : given);
  };
  const size_t sequence = axis("seq_axis"), batch = axis("batch_axis");
  return {te::compute(
      result_shape(call),
      [&](const te::Indices& i) {
        const Expr length = make_call(Intrinsic::check_index, dtypes::index,
                                      {make_cast(dtypes::index, lengths(i[batch])),
                                       x.shape()[sequence] + 1, make_string("reverse_sequence")});
        te::Indices source = i;
        source[sequence] =
            make_select(lt(i[sequence], length), length - 1 - i[sequence], i[sequence]);
        return x(std::move(source));
      },
      "reverse_sequence")};
}

// It is its own inverse.
Gradients reverse_sequence_gradient(Builder&, const Pullback& p) {
  return std::vector<graph::Value>{
      graph::make_op_call(*p.call.op, {p.gradients[0], p.call.args[1]}, p.call.attrs), nullptr};
}

}  // namespace

const OpDef& op_reverse_sequence() {
  static const OpDef def{.name = "reverse_sequence",
                         .args = {{"x"}, {"seq_lengths"}},
                         .attrs = {{"seq_axis", AttrKind::integer, Attr(1)},
                                   {"batch_axis", AttrKind::integer, Attr(0)}},
                         .infer = infer_reverse_sequence,
                         .lower = te::lower<reverse_sequence_rule>,
                         .gradient = reverse_sequence_gradient,
                         .doc =
                             "the first elements along `seq_axis` in reverse order, as many as "
                             "the lengths say for each index of `batch_axis`"};
  return def;
}

}  // namespace repose
