// float16 and bfloat16 from and to float32: by instructions where the target has them, else by
// integer operations.
#include "codegen/llvm/arithmetic.h"

namespace repose::codegen {

using llvm::Value;

namespace {

constexpr const char* half_widening = "repose.widen";
constexpr const char* half_narrowing = "repose.narrow";

}  // namespace

Value* Arithmetic::widen(DType dtype, Value* v) {
  if (dtype.bits > 16) return v;
  if (dtype.is_tiny_float()) return tiny_to_float(dtype, v);
  return dtype.code == DType::Code::bfloat ? bfloat_to_float(v) : half_to_float(v);
}

Value* Arithmetic::narrow(DType dtype, Value* v) {
  if (dtype.bits > 16) return v;
  if (dtype.is_tiny_float()) return float_to_tiny(dtype, v);
  return dtype.code == DType::Code::bfloat ? float_to_bfloat(v) : float_to_half(v);
}

// A call without a body until LLVM's passes are through: they would narrow what stands between two
// conversions to arithmetic of halves, which most CPUs lack and LLVM 19 gets wrong in vectors.
Value* Arithmetic::convert_half(bool widen, Value* v, llvm::Type* to) {
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(to);
  std::string name = std::string(widen ? half_widening : half_narrowing) + "." +
                     std::to_string(vector ? vector->getNumElements() : 0);
  llvm::FunctionCallee callee = module_.getOrInsertFunction(name, to, v->getType());
  auto* f = llvm::cast<llvm::Function>(callee.getCallee());
  f->setDoesNotAccessMemory();
  for (auto attribute : {llvm::Attribute::NoUnwind, llvm::Attribute::WillReturn,
                         llvm::Attribute::Speculatable, llvm::Attribute::NoSync}) {
    f->addFnAttr(attribute);
  }
  return b_.CreateCall(callee, {v});
}

void lower_half_conversions(llvm::Module& module) {
  for (llvm::Function& f : llvm::make_early_inc_range(module)) {
    bool widens = f.getName().starts_with(half_widening);
    if (!widens && !f.getName().starts_with(half_narrowing)) continue;
    for (llvm::User* user : llvm::make_early_inc_range(f.users())) {
      auto* call = llvm::cast<llvm::CallInst>(user);
      llvm::IRBuilder<> b(call);
      Value* v = call->getArgOperand(0);
      llvm::Type* half = b.getHalfTy();
      if (auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(v->getType())) {
        half = llvm::FixedVectorType::get(half, vector->getNumElements());
      }
      Value* result = widens ? b.CreateFPExt(b.CreateBitCast(v, half), call->getType())
                             : b.CreateBitCast(b.CreateFPTrunc(v, half), call->getType());
      call->replaceAllUsesWith(result);
      call->eraseFromParent();
    }
    f.eraseFromParent();
  }
}

Value* Arithmetic::half_to_float(Value* bits) {
  if (has_half_) return convert_half(true, bits, like(bits, b_.getFloatTy()));
  llvm::Type* i32 = like(bits, b_.getInt32Ty());
  llvm::Type* f32 = like(bits, b_.getFloatTy());
  Value* h = b_.CreateZExt(bits, i32);
  Value* magnitude = b_.CreateAnd(h, constant_like(h, 0x7fff));
  Value* sign = b_.CreateShl(b_.CreateAnd(h, constant_like(h, 0x8000)), constant_like(h, 16));
  Value* shifted = b_.CreateShl(magnitude, constant_like(h, 13));
  Value* normal = b_.CreateAdd(shifted, constant_like(h, uint64_t{112} << 23));
  Value* special = b_.CreateOr(shifted, constant_like(h, 0x7f800000));
  Value* quiet = b_.CreateSelect(b_.CreateICmpUGT(magnitude, constant_like(h, 0x7c00)),
                                 b_.CreateOr(special, constant_like(h, 0x400000)), special);
  Value* subnormal = b_.CreateBitCast(
      b_.CreateFMul(b_.CreateUIToFP(magnitude, f32), llvm::ConstantFP::get(f32, 0x1p-24)), i32);
  Value* finite =
      b_.CreateSelect(b_.CreateICmpULT(magnitude, constant_like(h, 0x400)), subnormal, normal);
  Value* all =
      b_.CreateSelect(b_.CreateICmpUGE(magnitude, constant_like(h, 0x7c00)), quiet, finite);
  return b_.CreateBitCast(b_.CreateOr(all, sign), f32);
}

Value* Arithmetic::float_to_half(Value* v) {
  if (has_half_) return convert_half(false, v, like(v, b_.getInt16Ty()));
  llvm::Type* i32 = like(v, b_.getInt32Ty());
  Value* bits = b_.CreateBitCast(v, i32);
  Value* magnitude = b_.CreateAnd(bits, constant_like(bits, 0x7fffffff));
  Value* sign = b_.CreateLShr(b_.CreateXor(bits, magnitude), constant_like(bits, 16));
  auto shift_right = [&](Value* x, int n) {
    return b_.CreateLShr(x, constant_like(x, static_cast<uint64_t>(n)));
  };
  Value* odd = b_.CreateAnd(shift_right(magnitude, 13), constant_like(bits, 1));
  Value* rounded = b_.CreateAdd(b_.CreateAdd(magnitude, constant_like(bits, 0xfff)), odd);
  Value* normal = shift_right(b_.CreateSub(rounded, constant_like(bits, uint64_t{112} << 23)), 13);
  // Adding 0.5 puts the last bit of a subnormal half into the last bit of the sum.
  Value* half = llvm::ConstantFP::get(v->getType(), 0.5);
  Value* sum = b_.CreateFAdd(b_.CreateBitCast(magnitude, v->getType()), half);
  Value* subnormal = b_.CreateSub(b_.CreateBitCast(sum, i32), constant_like(bits, 0x3f000000));
  Value* nan = b_.CreateOr(b_.CreateAnd(shift_right(magnitude, 13), constant_like(bits, 0x3ff)),
                           constant_like(bits, 0x7e00));
  Value* result = b_.CreateSelect(b_.CreateICmpULT(magnitude, constant_like(bits, 0x38800000)),
                                  subnormal, normal);
  result = b_.CreateSelect(b_.CreateICmpUGE(magnitude, constant_like(bits, 0x47800000)),
                           constant_like(bits, 0x7c00), result);
  result =
      b_.CreateSelect(b_.CreateICmpUGT(magnitude, constant_like(bits, 0x7f800000)), nan, result);
  return b_.CreateTrunc(b_.CreateOr(result, sign), like(v, b_.getInt16Ty()));
}

Value* Arithmetic::bfloat_to_float(Value* bits) {
  Value* wide = b_.CreateZExt(bits, like(bits, b_.getInt32Ty()));
  return b_.CreateBitCast(b_.CreateShl(wide, constant_like(wide, 16)), like(bits, b_.getFloatTy()));
}

Value* Arithmetic::float_to_bfloat(Value* v) {
  Value* bits = b_.CreateBitCast(v, like(v, b_.getInt32Ty()));
  Value* high = b_.CreateLShr(bits, constant_like(bits, 16));
  Value* odd = b_.CreateAnd(high, constant_like(bits, 1));
  Value* rounded = b_.CreateLShr(b_.CreateAdd(b_.CreateAdd(bits, constant_like(bits, 0x7fff)), odd),
                                 constant_like(bits, 16));
  Value* quiet = b_.CreateOr(high, constant_like(bits, 0x40));
  Value* result = b_.CreateSelect(b_.CreateFCmpUNO(v, v), quiet, rounded);
  return b_.CreateTrunc(result, like(v, b_.getInt16Ty()));
}

// Rounds to odd (towards zero, and an inexact result gets an odd last bit), after which rounding to
// a narrower type gives what rounding the double once would have given.
Value* Arithmetic::double_to_odd_float(Value* v) {
  llvm::Type* f32 = like(v, b_.getFloatTy());
  llvm::Type* i32 = like(v, b_.getInt32Ty());
  Value* f = b_.CreateFPTrunc(v, f32);
  Value* back = b_.CreateFPExt(f, v->getType());
  auto magnitude = [&](Value* x) { return b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x); };
  Value* bits = b_.CreateBitCast(f, i32);
  Value* grew = b_.CreateFCmpOGT(magnitude(back), magnitude(v));
  Value* truncated = b_.CreateSub(bits, b_.CreateZExt(grew, i32));
  Value* odd = b_.CreateOr(truncated, constant_like(bits, 1));
  return b_.CreateBitCast(b_.CreateSelect(b_.CreateFCmpONE(back, v), odd, bits), f32);
}

}  // namespace repose::codegen
