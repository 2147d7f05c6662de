// dynamic_strided_slice: strided_slice along all axes, with bounds and strides that tensors hold.
//   C1: begin, end and strides are integers of shape (rank of x,).
//   C2: bounds count from the end where they are negative, and are clamped as NumPy clamps them. A
//       stride of 0 takes nothing.
//   C3: the extent along axis d is max(0, ceil((end - begin) / stride)): an expression where the
//       elements are known, else a fresh symbol, at most x's dimension.
// Where the data decides, one program computes the extents and the first positions, and a second
// one copies.
#include <algorithm>

#include "ops/composite.h"
#include "ops/loops.h"

namespace repose {

namespace {

// The slice as a strided_slice of known bounds; null: they are not known, or the sign of a stride.
template <class Context>
graph::Value static_slice(const Context& context, const graph::CallNode& call) {
  std::vector<graph::Value> args{call.args[0]};
  for (size_t i = 1; i < 4; ++i) {
    const std::vector<Expr>* known = context.elements_of(call.args[i]);
    if (!known) return nullptr;
    if (std::any_of(known->begin(), known->end(), [](const Expr& e) { return !e; })) return nullptr;
    args.push_back(graph::make_shape(*known));
  }
  std::vector<int64_t> axes;
  for (const Expr& stride :
       *shape_arg(graph::CallNode(call.op, nullptr, args, {}, {}, nullptr), 3)) {
    const Expr zero = make_int(0);
    if (prove(lt(zero, stride), context.facts()) != Truth::yes &&
        prove(lt(stride, zero), context.facts()) != Truth::yes) {
      return nullptr;
    }
    axes.push_back(static_cast<int64_t>(axes.size()));
  }
  return graph::make_op_call(op_strided_slice(), std::move(args), Attrs{{"axes", Attr(axes)}});
}

Result<Type> infer_dynamic_strided_slice(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  for (size_t i = 1; i < 4; ++i) {  // C1
    auto integer = dtype_arg(context, call, i, is_integer_dtype, "an integer");
    if (!integer.ok()) return integer.errors();
    REPOSE_REQUIRE(require_rank(context, call, i, 1));
    const TensorTypeNode* t = graph::tensor_of(call.args[i]);
    if (!t->shape || x->rank < 0) continue;
    REPOSE_REQUIRE(
        require_equal(context, call.op->name, (*t->shape)[0],
                      fmt::format("the number of elements of `{}`", call.op->args[i].name),
                      make_int(x->rank), "the rank of operand 0"));
  }
  if (!has_shapes(call)) return ranked_like(*x, x->rank, x->dtype);
  if (const graph::Value slice = static_slice(context, call)) return composite_type(context, slice);
  Dims out;  // C3
  for (const Expr& dim : *x->shape) {
    const Var count = make_var("slice_count");
    REPOSE_REQUIRE(context.require(le(count, dim), "", {}));
    out.push_back(count);
  }
  return tensor_like(*x, std::move(out), x->dtype);
}

// counts[d] and firsts[d]: how many elements are taken along axis d, and where the first one is.
Result<graph::Value> emit_ranges(Builder& b, const graph::CallNode& call) {
  const Dims& shape = *graph::tensor_of(call.args[0])->shape;
  const std::vector<graph::Value> args(call.args.begin() + 1, call.args.begin() + 4);
  const std::vector<Buffer> in{buffer_for(args[0], "begin"), buffer_for(args[1], "end"),
                               buffer_for(args[2], "strides")};
  const Expr rank = make_int(static_cast<int64_t>(shape.size()));
  const Buffer counts = make_buffer("counts", {rank}, dtypes::int64),
               firsts = make_buffer("firsts", {rank}, dtypes::int64);
  const Expr zero = make_int(0), one = make_int(1);
  std::vector<tir::Stmt> all;
  for (size_t d = 0; d < shape.size(); ++d) {
    const te::Indices at{make_int(static_cast<int64_t>(d))};
    const Expr &dim = shape[d], stride = load_index(in[2], at);
    const Expr backward = lt(stride, zero);
    const Expr least = make_select(backward, make_int(-1), zero),
               most = make_select(backward, dim - 1, dim);
    auto bound = [&](size_t i) {
      const Expr given = load_index(in[i], at);
      // Numbers of 64 bits come close enough before anything is added to them.
      const Expr near = min(max(given, zero - dim - 1), dim);
      return min(max(make_select(lt(near, zero), near + dim, near), least), most);
    };
    all.push_back(with_values({bound(0), bound(1)}, [&](const std::vector<Expr>& v) {
      const Expr reach = make_select(backward, v[0] - v[1], v[1] - v[0]);
      // No dimension is as large as this, and its negative is a number, too.
      const Expr size =
          min(max(make_select(backward, zero - max(stride, make_int(-(int64_t{1} << 62))), stride),
                  one),
              make_int(int64_t{1} << 62));
      const Expr count = make_select(logical_or(eq(stride, zero), le(reach, zero)), zero,
                                     floor_div(reach - 1, size) + 1);
      return tir::make_seq({store(counts, at, count), store(firsts, at, v[0])});
    }));
  }
  return emit_program(b, "slice_ranges", args, in, std::vector<Buffer>{counts, firsts},
                      tir::make_seq(std::move(all)));
}

Result<graph::Value> lower_dynamic_strided_slice(Builder& b, const graph::CallNode& call) {
  if (const graph::Value slice = static_slice(b, call)) return slice;
  const Dims& shape = *graph::tensor_of(call.args[0])->shape;
  if (shape.empty()) return call.args[0];
  REPOSE_TRY(ranges, emit_ranges(b, call));
  REPOSE_TRY(both, b.normalize(ranges));
  REPOSE_TRY(counts, b.normalize(graph::make_tuple_get(both, 0)));
  REPOSE_TRY(firsts, b.normalize(graph::make_tuple_get(both, 1)));
  REPOSE_TRY(extents, b.emit(graph::make_op_call(op_tensor_to_shape(), {counts}), "slice"));
  Dims out;
  for (size_t d = 0; d < shape.size(); ++d) {
    out.push_back(make_var("slice_count", dtypes::index, VarRole::value));
  }
  auto cast = b.emit_match_cast(extents, shape_type(out), "slice_counts");
  if (!cast.ok()) return cast.errors();
  for (size_t d = 0; d < shape.size(); ++d) {
    REPOSE_REQUIRE(b.promise(logical_and(le(make_int(0), out[d]), le(out[d], shape[d])),
                             "`dynamic_strided_slice`: {0} elements of a dimension {1}",
                             {out[d], shape[d]}));
  }
  return te::emit_te(b, "dynamic_strided_slice", {call.args[0], firsts, call.args[3]},
                     [&](const std::vector<te::Tensor>& in) {
                       return std::vector<te::Tensor>{te::compute(
                           out,
                           [&](const te::Indices& i) {
                             te::Indices source;
                             for (size_t d = 0; d < i.size(); ++d) {
                               const te::Indices at{make_int(static_cast<int64_t>(d))};
                               source.push_back(make_cast(dtypes::index, in[1](at)) +
                                                i[d] * make_cast(dtypes::index, in[2](at)));
                             }
                             return in[0](std::move(source));
                           },
                           "dynamic_strided_slice")};
                     });
}

}  // namespace

const OpDef& op_dynamic_strided_slice() {
  static const OpDef def{
      .name = "dynamic_strided_slice",
      .args = {{"x"}, {"begin"}, {"end"}, {"strides"}},
      .infer = infer_dynamic_strided_slice,
      .lower = lower_dynamic_strided_slice,
      .doc = "strided_slice along all axes, whose bounds and strides are tensors"};
  return def;
}

}  // namespace repose
