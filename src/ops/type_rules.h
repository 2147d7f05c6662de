// What the type rules of several operators share.
#pragma once

#include "ir/op.h"
#include "te/te.h"

namespace repose {

// The tensor type of argument `i` with its shape known; otherwise an error that names the operator
// (unknown ranks are for the interpreter: see `tensor_arg`).
Result<const TensorTypeNode*> shaped_arg(InferContext& context, const graph::CallNode& call,
                                         size_t i);
// The tensor type of argument `i`, whatever is known of it.
Result<const TensorTypeNode*> tensor_arg(InferContext& context, const graph::CallNode& call,
                                         size_t i);

// The broadcast of two shapes after NumPy, for unknown dimensions too (docs/ir.md, "Broadcast"):
// equal -> a; a went into b by a broadcast before -> b; one is 1 -> the other; one is known to
// differ from 1 -> that one, with a check of the other; (a = 1 or b = 1) implies a = b -> a, with
// the check a = b; else select(a = 1, b, a) with the check a = b or a = 1 or b = 1.
Result<Dims> broadcast_shapes(InferContext& context, std::string_view op, const Dims& a,
                              const Dims& b);
// The index into a dimension of extent `dim` for index `i` of the broadcast dimension `out`.
Expr broadcast_index(const Expr& dim, const Expr& out, const Expr& i);
// The element of `t` that belongs to `indices` of a shape `out` it was broadcast to.
Expr broadcast_load(const te::Tensor& t, const Dims& out, const te::Indices& indices);

// States that two dimensions are equal: "`matmul`: dimension 1 of operand 0 is {0}, dimension 0 of
// operand 1 is {1}" (`what_a`, `what_b` say which).
Result<void> require_equal(InferContext& context, std::string_view op, const Expr& a,
                           const std::string& what_a, const Expr& b, const std::string& what_b);

// The members of the shape operand `i`, or null where only their number is known (or it is left
// out).
const Dims* shape_arg(const graph::CallNode& call, size_t i);
// The value of the prim operand `i` as a `dtype`, or null where it is not known (or it is left
// out).
Expr prim_arg(const graph::CallNode& call, size_t i, DType dtype);
// Is operand `i` given: neither left out nor R.null_value()?
bool has_arg(const graph::CallNode& call, size_t i);
// Whatever the attribute says; nothing for None.
std::optional<std::vector<int64_t>> optional_ints(const graph::CallNode& call,
                                                  std::string_view attr);
// The same list with one value per dimension (a single value stands for all), or an error.
Result<std::vector<int64_t>> ints_per_dim(InferContext& context, const graph::CallNode& call,
                                          std::string_view attr, size_t count, int64_t least);
// Why a step is refused whose sign is not known: it is 0, or only the data tells its sign.
Diagnostic sign_error(const Span& span, std::string_view op, std::string_view what,
                      const Expr& step);
// States that every extent of a result is >= 0 (value symbols are signed).
Result<void> require_extents(InferContext& context, std::string_view op, const Dims& dims);
// An error where operand `i` is known to have another rank than `rank`.
Result<void> require_rank(InferContext& context, const graph::CallNode& call, size_t i, int rank);
// A tensor on the device of `like`, of a shape or of a rank only.
Type tensor_like(const TensorTypeNode& like, Dims shape, DType dtype);
Type ranked_like(const TensorTypeNode& like, int rank, DType dtype);
// The elements of operand 0, for operators that keep elements and their order.
std::optional<std::vector<Expr>> elements_of_operand(const InferContext& context,
                                                     const graph::CallNode& call,
                                                     const Type& result);

// min and max that are written only where the answer is not known.
Expr at_most(const Expr& value, const Expr& limit, const Facts& facts = {});
Expr at_least(const Expr& value, const Expr& limit, const Facts& facts = {});
// A data integer as a subscript into a dimension; negative ones count from its end.
Expr wrapped_index(const Expr& value, const Expr& dim);
// The same, checked at run time: an index outside of [-dim, dim) is an error that names `op`.
Expr checked_index(const Expr& value, const Expr& dim, std::string_view op);

// Returns the errors of a Result<void> from this function.
#define REPOSE_REQUIRE(...) \
  if (auto required = (__VA_ARGS__); !required.ok()) return required.errors()

// What operators compute with. Types of less than eight bits and tiny floats are kept, moved and
// cast: `astype`, and what takes any dtype.
inline bool is_float_dtype(DType t) {
  return t.is_float() && !t.is_tiny_float();
}
inline bool is_integer_dtype(DType t) {
  return t.is_data_int() && !t.is_packed();
}
inline bool is_number_dtype(DType t) {
  return is_float_dtype(t) || is_integer_dtype(t);
}
inline bool is_bool_dtype(DType t) {
  return t.is_bool();
}

// Both operands' dtype, which must agree; an error that names the operator otherwise.
Result<DType> common_dtype(InferContext& context, const graph::CallNode& call, size_t i, size_t j);
// An error unless argument `i` has a dtype that `accept` takes (`expected` says which: "a float").
Result<DType> dtype_arg(InferContext& context, const graph::CallNode& call, size_t i,
                        bool (*accept)(DType), const char* expected);

// `axis` (which may be negative) of `rank`, or an error.
Result<int> normalize_axis(InferContext& context, std::string_view op, int64_t axis, int rank);
// All of them, each once; an absent (empty) list means all axes.
Result<std::vector<int>> normalize_axes(InferContext& context, std::string_view op,
                                        const std::vector<int64_t>& axes, int rank,
                                        bool empty_means_all);

// The result shape of a call whose type is a tensor with a known shape.
const Dims& result_shape(const graph::CallNode& call, size_t i = 0);
DType result_dtype(const graph::CallNode& call, size_t i = 0);

// float16 and bfloat16 accumulate in float32; others in themselves.
DType accumulator_dtype(DType dtype);
// `t` in another dtype, as a stage of its own; `t` itself where it has that dtype.
te::Tensor cast_stage(const te::Tensor& t, DType dtype);
// The axes that an attribute of a checked call names, ascending; all where it is None.
std::vector<int> axes_of(const graph::CallNode& call, std::string_view attr, int rank);
// The number of elements in the dimensions `axes`, as an index.
Expr extent_of(const Dims& shape, const std::vector<int>& axes);

}  // namespace repose
