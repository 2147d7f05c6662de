// Scalar and vector operations of expr/scalar.h as LLVM instructions: straight-line code without
// library calls, the same bits for a lane as for a scalar.
//
// In registers a bool is i1, index is i64, floats of 16 bits and less are their bits; in memory a
// bool is a byte, and so is what shares one (packed_memory.cpp).
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include "base/target.h"
#include "expr/expr.h"

namespace repose::codegen {

class Arithmetic {
 public:
  Arithmetic(llvm::IRBuilder<>& builder, llvm::Module& module, const Target& target);

  llvm::Type* register_type(DType dtype) const;
  llvm::Type* memory_type(DType dtype) const;
  llvm::Value* from_memory(llvm::Value* v, DType dtype);
  llvm::Value* to_memory(llvm::Value* v, DType dtype);

  llvm::Value* int_constant(int64_t value, DType dtype) const;
  llvm::Value* float_constant(double value, DType dtype) const;
  llvm::Value* splat(llvm::Value* v, int lanes);

  // `dtype` is that of the operands. `nonnegative`: both operands of an index division are known to
  // be. Index operations do not wrap (their callers promise it); a division of an index by zero
  // gives some value without a trap.
  llvm::Value* binary(ExprKind kind, DType dtype, llvm::Value* a, llvm::Value* b,
                      bool nonnegative = false);
  llvm::Value* compare(ExprKind kind, DType dtype, llvm::Value* a, llvm::Value* b);
  llvm::Value* cast(DType to, DType from, llvm::Value* v);
  // Intrinsics that have instructions, and integer powers. Null: it should have been expanded.
  llvm::Value* intrinsic(Intrinsic intrinsic, DType result, DType operand,
                         const std::vector<llvm::Value*>& args);

 private:
  llvm::Value* integer_binary(ExprKind kind, DType dtype, llvm::Value* a, llvm::Value* b);
  llvm::Value* index_binary(ExprKind kind, DType dtype, llvm::Value* a, llvm::Value* b,
                            bool nonnegative);
  llvm::Value* float_binary(ExprKind kind, DType dtype, llvm::Value* a, llvm::Value* b);
  llvm::Value* float_remainder(llvm::Value* a, llvm::Value* b);
  llvm::Value* float_intrinsic(Intrinsic intrinsic, const std::vector<llvm::Value*>& args);
  llvm::Value* narrow_intrinsic(Intrinsic intrinsic, DType dtype,
                                const std::vector<llvm::Value*>& args);
  llvm::Value* divide(ExprKind kind, bool is_signed, llvm::Value* a, llvm::Value* b);
  llvm::Value* shift(ExprKind kind, DType dtype, llvm::Value* a, llvm::Value* b);
  llvm::Value* reduce(ExprKind kind, DType dtype, llvm::Value* v);
  // Between floats of 16 bits and less and float32; other floats as they are.
  llvm::Value* widen(DType dtype, llvm::Value* v);
  llvm::Value* narrow(DType dtype, llvm::Value* v);
  llvm::Value* convert_half(bool widen, llvm::Value* v, llvm::Type* to);
  llvm::Value* half_to_float(llvm::Value* bits);
  llvm::Value* float_to_half(llvm::Value* v);
  llvm::Value* bfloat_to_float(llvm::Value* bits);
  llvm::Value* float_to_bfloat(llvm::Value* v);
  llvm::Value* tiny_to_float(DType dtype, llvm::Value* bits);
  llvm::Value* float_to_tiny(DType dtype, llvm::Value* v);
  llvm::Value* double_to_odd_float(llvm::Value* v);
  // Calls a helper that is written in LLVM IR, once a lane.
  llvm::Value* call_each(const std::string& helper, llvm::Value* a, llvm::Value* b);
  llvm::Type* like(llvm::Value* v, llvm::Type* element) const;  // as many lanes as v
  llvm::Value* constant_like(llvm::Value* v, uint64_t value) const;

  llvm::IRBuilder<>& b_;
  llvm::Module& module_;
  const bool has_fma_;
  const bool has_half_;
};

// Gives conversions of float16 their instructions; to be called after LLVM's passes.
void lower_half_conversions(llvm::Module& module);

}  // namespace repose::codegen
