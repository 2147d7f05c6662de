// nonzero(x): where x isn't 0. Column j of the result has the indices of the j-th such element, in
// row-major order: y[d, j] is its index along dimension d.
//   C1: x has a known rank. NaN isn't 0.
//   C2: the result is int64 of shape (rank, k), where k is a fresh symbol: the number of these
//       elements, at most the number of elements of x. A tensor of rank 0 gives (0, k).
// One program counts, which gives k; a second one fills.
#include "ops/loops.h"
#include "ops/ops.h"

namespace repose {

namespace {

Expr is_nonzero(const Expr& value) {
  return value->dtype.is_bool() ? value : ne(value, make_const(value->dtype, 0));
}

Result<Type> infer_nonzero(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  if (x->rank < 0) return ranked_like(*x, 2, dtypes::int64);  // C1
  const Var k = make_var("nonzero_count");
  if (x->shape) REPOSE_REQUIRE(context.require(le(k, element_count(*x->shape)), "", {}));
  return tensor_like(*x, {make_int(x->rank), k}, dtypes::int64);  // C2
}

// Adds up over all elements.
Result<graph::Value> emit_count(Builder& b, const graph::Value& x) {
  return te::emit_te(b, "nonzero_count", {x}, [](const std::vector<te::Tensor>& in) {
    return std::vector<te::Tensor>{te::reduce(
        {make_int(1)}, te::Reducer::sum, in[0].shape(),
        [&](const te::Indices&, const te::Indices& i) {
          return make_cast(dtypes::int64, is_nonzero(in[0](i)));
        },
        "nonzero_count")};
  });
}

// position = 0; for i…: if x[i…] != 0: y[:, position] = i…; position += 1
Result<graph::Value> emit_fill(Builder& b, const graph::Value& x, const Expr& k) {
  const Buffer in = buffer_for(x, "x");
  const auto rank = static_cast<int64_t>(in->shape.size());
  const Buffer out = make_buffer("y", {make_int(rank), k}, dtypes::int64);
  const Cell position("position");
  std::function<tir::Stmt(te::Indices)> from = [&](te::Indices at) {
    const size_t d = at.size();
    if (d < in->shape.size()) {
      return for_each("i" + std::to_string(d), in->shape[d], [&](const Expr& i) {
        te::Indices inner = at;
        inner.push_back(i);
        return from(std::move(inner));
      });
    }
    std::vector<tir::Stmt> found;
    for (size_t a = 0; a < d; ++a) {
      found.push_back(store(out, {make_int(static_cast<int64_t>(a)), position.get()}, at[a]));
    }
    found.push_back(position.advance());
    return tir::make<tir::IfNode>(is_nonzero(make_load(in, at)), tir::make_seq(std::move(found)));
  };
  tir::Stmt body = tir::make_seq({position.set(make_int(0)), from({})});
  return emit_program(b, "nonzero", {x}, {in}, out, with_cells({position}, std::move(body)));
}

Result<graph::Value> lower_nonzero(Builder& b, const graph::CallNode& call) {
  const graph::Value& x = call.args[0];
  REPOSE_TRY(count, emit_count(b, x));
  REPOSE_TRY(
      k, bind_count(b, count, "nonzero", make_int(0), element_count(*graph::tensor_of(x)->shape)));
  return emit_fill(b, x, k);
}

}  // namespace

const OpDef& op_nonzero() {
  static const OpDef def{.name = "nonzero",
                         .args = {{"x"}},
                         .infer = infer_nonzero,
                         .lower = lower_nonzero,
                         .doc = "indices of the elements that aren't 0, one column each"};
  return def;
}

}  // namespace repose
