// determinant: of the matrices in the last two dimensions, by elimination with partial pivoting.
//   C1: the operand is a float of rank 2 or more; its last two dimensions are equal.
//   C2: the result has the other dimensions and the operand's dtype; of a matrix without elements
//       it is 1. float16 and bfloat16 compute in float32.
#include "ops/loops.h"
#include "ops/ops.h"

namespace repose {

namespace {

Result<Type> infer_determinant(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_float_dtype, "a float"));  // C1
  if (x->rank < 0) return ranked_like(*x, -1, dtype);
  if (x->rank < 2) {
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`determinant`: operand 0 has rank {}, expected at least 2", x->rank);
  }
  if (!x->shape) return ranked_like(*x, x->rank - 2, dtype);
  const Dims& shape = *x->shape;
  REPOSE_REQUIRE(require_equal(context, call.op->name, shape[shape.size() - 2],
                               "the number of rows", shape.back(), "the number of columns"));
  return tensor_like(*x, Dims(shape.begin(), shape.end() - 2), dtype);  // C2
}

class Elimination {
 public:
  Elimination(const Buffer& matrix, const Buffer& determinant)
      : a_(matrix), det_(determinant), n_(matrix->shape[0]) {}

  tir::Stmt program() const {
    return with_cells({pivot_}, for_each("k", n_, [&](const Expr& k) {
                        return tir::make_seq({find_pivot(k), swap_rows(k), eliminate(k)});
                      }));
  }

 private:
  Expr at(const Expr& i, const Expr& j) const { return make_load(a_, {i, j}); }
  Expr size(const Expr& i, const Expr& j) const { return make_call(Intrinsic::abs, at(i, j)); }
  tir::Stmt multiply(const Expr& factor) const {
    return store(det_, {make_int(0)}, make_load(det_, {make_int(0)}) * factor);
  }

  tir::Stmt find_pivot(const Expr& k) const {
    const tir::Stmt look = for_each("i", n_ - k, [&](const Expr& i) {
      return tir::make<tir::IfNode>(lt(size(pivot_.get(), k), size(k + i, k)), pivot_.set(k + i));
    });
    return tir::make_seq({pivot_.set(k), look});
  }
  tir::Stmt swap_rows(const Expr& k) const {
    const tir::Stmt swap = for_each("j", n_, [&](const Expr& j) {
      return with_values({at(k, j), at(pivot_.get(), j)}, [&](const std::vector<Expr>& v) {
        return tir::make_seq({store(a_, {k, j}, v[1]), store(a_, {pivot_.get(), j}, v[0])});
      });
    });
    return tir::make<tir::IfNode>(ne(pivot_.get(), k),
                                  tir::make_seq({swap, multiply(make_const(a_->dtype, -1))}));
  }
  // Nothing is taken from the rows below where the column is 0: so is the determinant.
  tir::Stmt eliminate(const Expr& k) const {
    const Expr zero = make_const(a_->dtype, 0);
    const tir::Stmt below = for_each("i", n_ - k - 1, [&](const Expr& i) {
      const Expr row = k + i + 1;
      return with_values({make_binary(ExprKind::div, at(row, k), at(k, k))},
                         [&](const std::vector<Expr>& v) {
                           return for_each("j", n_ - k, [&](const Expr& j) {
                             return store(a_, {row, k + j}, at(row, k + j) - v[0] * at(k, k + j));
                           });
                         });
    });
    return tir::make_seq({multiply(at(k, k)), tir::make<tir::IfNode>(ne(at(k, k), zero), below)});
  }

  Buffer a_, det_;
  Expr n_;
  Cell pivot_{"pivot"};
};

Result<graph::Value> lower_determinant(Builder& b, const graph::CallNode& call) {
  const Buffer x = buffer_for(call.args[0], "x");
  const Buffer y = make_buffer("y", result_shape(call), x->dtype);
  const Expr& n = x->shape.back();
  const DType wide = accumulator_dtype(x->dtype);
  const Buffer matrix = make_buffer("matrix", {n, n}, wide, Scope::workspace);
  const Buffer product = make_buffer("product", {make_int(1)}, wide, Scope::local);
  const te::Indices first{make_int(0)};
  auto of_matrix = [&](const te::Indices& outer) {
    const tir::Stmt copy = for_each("i", n, [&](const Expr& i) {
      return for_each("j", n, [&](const Expr& j) {
        te::Indices from = outer;
        from.push_back(i);
        from.push_back(j);
        return store(matrix, {i, j}, make_load(x, from));
      });
    });
    return with_buffers({matrix, product},
                        tir::make_seq({copy, store(product, first, make_const(wide, 1)),
                                       Elimination(matrix, product).program(),
                                       store(y, outer, make_load(product, first))}));
  };
  const tir::Stmt body = for_each_element("matrix", y->shape, of_matrix);
  return emit_program(b, "determinant", {call.args[0]}, {x}, y, body);
}

}  // namespace

const OpDef& op_determinant() {
  static const OpDef def{.name = "determinant",
                         .args = {{"x"}},
                         .infer = infer_determinant,
                         .lower = lower_determinant,
                         .doc = "determinants of the matrices in the last two dimensions"};
  return def;
}

}  // namespace repose
