// The edges of arithmetic, without calls of compiler-rt or libm.
#include "codegen/llvm/arithmetic.h"

#include <llvm/AsmParser/Parser.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/Support/SourceMgr.h>

#include "codegen/llvm/ir_functions.h"
#include "expr/scalar.h"
#include "expr/tiny_float.h"

namespace repose::codegen {

using llvm::Value;

namespace {

bool is_constant_nonzero(Value* v) {
  auto* c = llvm::dyn_cast<llvm::Constant>(v);
  if (!c) return false;
  if (c->getType()->isVectorTy()) c = c->getSplatValue();
  auto* i = llvm::dyn_cast_or_null<llvm::ConstantInt>(c);
  return i && !i->isZero() && !i->isMinusOne();
}

const llvm::ConstantInt* constant_int(Value* v) {
  auto* c = llvm::dyn_cast<llvm::Constant>(v);
  if (c && c->getType()->isVectorTy()) c = c->getSplatValue();
  return llvm::dyn_cast_or_null<llvm::ConstantInt>(c);
}

}  // namespace

Arithmetic::Arithmetic(llvm::IRBuilder<>& builder, llvm::Module& module, const Target& target)
    : b_(builder), module_(module), has_fma_(target.has("fma")), has_half_(target.has("f16c")) {}

llvm::Type* Arithmetic::register_type(DType dtype) const {
  llvm::Type* element = nullptr;
  switch (dtype.code) {
    case DType::Code::none:
      element = b_.getVoidTy();
      break;
    case DType::Code::boolean:
      element = b_.getInt1Ty();
      break;
    case DType::Code::sint:
    case DType::Code::uint:
    case DType::Code::float8_e4m3fn:
    case DType::Code::float8_e4m3fnuz:
    case DType::Code::float8_e5m2:
    case DType::Code::float8_e5m2fnuz:
    case DType::Code::float8_e8m0fnu:
    case DType::Code::float4_e2m1fn:
      element = b_.getIntNTy(dtype.bits);
      break;
    case DType::Code::bfloat:
      element = b_.getInt16Ty();
      break;
    case DType::Code::index:
      element = b_.getInt64Ty();
      break;
    case DType::Code::handle:
      element = b_.getPtrTy();
      break;
    case DType::Code::flt:
      element = dtype.bits == 16   ? static_cast<llvm::Type*>(b_.getInt16Ty())
                : dtype.bits == 32 ? b_.getFloatTy()
                                   : b_.getDoubleTy();
      break;
  }
  return dtype.is_vector() ? llvm::FixedVectorType::get(element, dtype.lanes) : element;
}

llvm::Type* Arithmetic::memory_type(DType dtype) const {
  if (!dtype.is_bool() && !dtype.is_packed()) return register_type(dtype);
  llvm::Type* byte = b_.getInt8Ty();
  return dtype.is_vector() ? llvm::FixedVectorType::get(byte, dtype.lanes) : byte;
}

Value* Arithmetic::from_memory(Value* v, DType dtype) {
  if (dtype.is_bool()) return b_.CreateICmpNE(v, constant_like(v, 0));
  return dtype.is_packed() ? b_.CreateTrunc(v, like(v, b_.getIntNTy(dtype.bits))) : v;
}

Value* Arithmetic::to_memory(Value* v, DType dtype) {
  const bool widens = dtype.is_bool() || dtype.is_packed();
  return widens ? b_.CreateZExt(v, like(v, b_.getInt8Ty())) : v;
}

llvm::Type* Arithmetic::like(Value* v, llvm::Type* element) const {
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(v->getType());
  if (!vector) return element;
  return llvm::FixedVectorType::get(element, vector->getNumElements());
}

Value* Arithmetic::constant_like(Value* v, uint64_t value) const {
  return llvm::ConstantInt::get(v->getType(), value);
}

Value* Arithmetic::int_constant(int64_t value, DType dtype) const {
  return llvm::ConstantInt::get(register_type(dtype), static_cast<uint64_t>(value), true);
}

Value* Arithmetic::float_constant(double value, DType dtype) const {
  DType element = dtype.element();
  if (element == dtypes::float16) {
    return llvm::ConstantInt::get(register_type(dtype),
                                  repose::float_to_half(static_cast<float>(value)));
  }
  if (element == dtypes::bfloat16) {
    return llvm::ConstantInt::get(register_type(dtype),
                                  repose::float_to_bfloat(static_cast<float>(value)));
  }
  if (element.is_tiny_float()) {
    return llvm::ConstantInt::get(register_type(dtype), to_tiny_float(element, value));
  }
  return llvm::ConstantFP::get(register_type(dtype), value);
}

Value* Arithmetic::splat(Value* v, int lanes) {
  return lanes == 1 ? v : b_.CreateVectorSplat(lanes, v);
}

Value* Arithmetic::binary(ExprKind kind, DType dtype, Value* a, Value* b, bool nonnegative) {
  if (dtype.is_float()) return float_binary(kind, dtype, a, b);
  if (dtype.is_index()) return index_binary(kind, dtype, a, b, nonnegative);
  return integer_binary(kind, dtype, a, b);
}

Value* Arithmetic::index_binary(ExprKind kind, DType dtype, Value* a, Value* b, bool nonnegative) {
  switch (kind) {
    case ExprKind::add:
      return b_.CreateNSWAdd(a, b);
    case ExprKind::sub:
      return b_.CreateNSWSub(a, b);
    case ExprKind::mul:
      return b_.CreateNSWMul(a, b);
    default:
      break;
  }
  const llvm::ConstantInt* c = constant_int(b);
  bool power = c && c->getValue().isStrictlyPositive() && c->getValue().isPowerOf2();
  if (power && (kind == ExprKind::floor_div || kind == ExprKind::floor_mod)) {
    uint64_t value = c->getZExtValue();
    if (kind == ExprKind::floor_mod) return b_.CreateAnd(a, constant_like(a, value - 1));
    return b_.CreateAShr(a, constant_like(a, static_cast<uint64_t>(__builtin_ctzll(value))));
  }
  if (nonnegative && (kind == ExprKind::floor_div || kind == ExprKind::floor_mod)) {
    Value* divisor = b;
    if (!is_constant_nonzero(b)) {
      divisor = b_.CreateSelect(b_.CreateICmpEQ(b, constant_like(b, 0)), constant_like(b, 1), b);
    }
    return kind == ExprKind::floor_div ? b_.CreateUDiv(a, divisor) : b_.CreateURem(a, divisor);
  }
  return integer_binary(kind, DType{DType::Code::sint, 64, dtype.lanes}, a, b);
}

Value* Arithmetic::integer_binary(ExprKind kind, DType dtype, Value* a, Value* b) {
  bool is_signed = dtype.is_sint() || dtype.is_index();
  switch (kind) {
    case ExprKind::add:
      return dtype.is_bool() ? b_.CreateOr(a, b) : b_.CreateAdd(a, b);
    case ExprKind::sub:
      return dtype.is_bool() ? b_.CreateXor(a, b) : b_.CreateSub(a, b);
    case ExprKind::mul:
      return dtype.is_bool() ? b_.CreateAnd(a, b) : b_.CreateMul(a, b);
    case ExprKind::div:
    case ExprKind::mod:
    case ExprKind::floor_div:
    case ExprKind::floor_mod:
      return divide(kind, is_signed, a, b);
    case ExprKind::min:
      return b_.CreateBinaryIntrinsic(is_signed ? llvm::Intrinsic::smin : llvm::Intrinsic::umin, a,
                                      b);
    case ExprKind::max:
      return b_.CreateBinaryIntrinsic(is_signed ? llvm::Intrinsic::smax : llvm::Intrinsic::umax, a,
                                      b);
    case ExprKind::bit_and:
      return b_.CreateAnd(a, b);
    case ExprKind::bit_or:
      return b_.CreateOr(a, b);
    case ExprKind::bit_xor:
      return b_.CreateXor(a, b);
    case ExprKind::shift_left:
    case ExprKind::shift_right:
      return shift(kind, dtype, a, b);
    default:
      break;
  }
  REPOSE_CHECK(false, "not an arithmetic operator");
  return nullptr;
}

Value* Arithmetic::shift(ExprKind kind, DType dtype, Value* a, Value* b) {
  Value* count = b_.CreateAnd(b, constant_like(b, a->getType()->getScalarSizeInBits() - 1));
  if (kind == ExprKind::shift_left) return b_.CreateShl(a, count);
  return dtype.is_uint() ? b_.CreateLShr(a, count) : b_.CreateAShr(a, count);
}

// The machine traps where the divisor is 0 and where MIN is divided by -1: both get a divisor of 1,
// and their results are put right afterwards.
Value* Arithmetic::divide(ExprKind kind, bool is_signed, Value* a, Value* b) {
  bool wants_quotient = kind == ExprKind::div || kind == ExprKind::floor_div;
  bool floors = is_signed && (kind == ExprKind::floor_div || kind == ExprKind::floor_mod);
  Value* zero = constant_like(a, 0);
  Value* by_zero = nullptr;
  Value* by_minus_one = nullptr;
  Value* divisor = b;
  if (!is_constant_nonzero(b)) {
    by_zero = b_.CreateICmpEQ(b, zero);
    Value* special = by_zero;
    if (is_signed) {
      by_minus_one = b_.CreateICmpEQ(b, llvm::Constant::getAllOnesValue(b->getType()));
      special = b_.CreateOr(by_zero, by_minus_one);
    }
    divisor = b_.CreateSelect(special, constant_like(b, 1), b);
  }
  Value* q = is_signed ? b_.CreateSDiv(a, divisor) : b_.CreateUDiv(a, divisor);
  Value* r = b_.CreateSub(a, b_.CreateMul(q, divisor));
  if (floors) {
    Value* uneven =
        b_.CreateAnd(b_.CreateICmpNE(r, zero), b_.CreateICmpSLT(b_.CreateXor(r, divisor), zero));
    q = b_.CreateSub(q, b_.CreateZExt(uneven, a->getType()));
    r = b_.CreateSelect(uneven, b_.CreateAdd(r, divisor), r);
  }
  Value* result = wants_quotient ? q : r;
  if (by_minus_one && wants_quotient)
    result = b_.CreateSelect(by_minus_one, b_.CreateNeg(a), result);
  if (by_zero) result = b_.CreateSelect(by_zero, zero, result);
  return result;
}

Value* Arithmetic::float_binary(ExprKind kind, DType dtype, Value* a, Value* b) {
  a = widen(dtype, a);
  b = widen(dtype, b);
  Value* result = nullptr;
  switch (kind) {
    case ExprKind::add:
      result = b_.CreateFAdd(a, b);
      break;
    case ExprKind::sub:
      result = b_.CreateFSub(a, b);
      break;
    case ExprKind::mul:
      result = b_.CreateFMul(a, b);
      break;
    case ExprKind::div:
      result = b_.CreateFDiv(a, b);
      break;
    case ExprKind::mod:
      result = float_remainder(a, b);
      break;
    case ExprKind::floor_div:
      result = b_.CreateUnaryIntrinsic(llvm::Intrinsic::floor, b_.CreateFDiv(a, b));
      break;
    case ExprKind::floor_mod: {  // the remainder that has the divisor's sign
      Value* r = float_remainder(a, b);
      Value* zero = llvm::Constant::getNullValue(a->getType());
      Value* differ = b_.CreateXor(b_.CreateFCmpOLT(r, zero), b_.CreateFCmpOLT(b, zero));
      differ = b_.CreateAnd(differ, b_.CreateFCmpUNE(r, zero));
      result = b_.CreateSelect(differ, b_.CreateFAdd(r, b), r);
      break;
    }
    // A NaN wins, and -0 lies below +0.
    case ExprKind::min:
      result = b_.CreateBinaryIntrinsic(llvm::Intrinsic::minimum, a, b);
      break;
    case ExprKind::max:
      result = b_.CreateBinaryIntrinsic(llvm::Intrinsic::maximum, a, b);
      break;
    default:
      REPOSE_CHECK(false, fmt::format("`{}` of floats", kind_spelling(kind)));
  }
  return narrow(dtype, result);
}

Value* Arithmetic::float_remainder(Value* a, Value* b) {
  bool is_float = a->getType()->getScalarType()->isFloatTy();
  return call_each(is_float ? "repose.fmod.float" : "repose.fmod.double", a, b);
}

Value* Arithmetic::compare(ExprKind kind, DType dtype, Value* a, Value* b) {
  using P = llvm::CmpInst::Predicate;
  bool is_signed = dtype.is_sint() || dtype.is_index();
  P p = P::BAD_ICMP_PREDICATE;
  if (dtype.is_float()) {
    a = widen(dtype, a);
    b = widen(dtype, b);
    switch (kind) {
      case ExprKind::eq:
        p = P::FCMP_OEQ;
        break;
      case ExprKind::ne:
        p = P::FCMP_UNE;
        break;
      case ExprKind::lt:
        p = P::FCMP_OLT;
        break;
      case ExprKind::le:
        p = P::FCMP_OLE;
        break;
      case ExprKind::gt:
        p = P::FCMP_OGT;
        break;
      default:
        p = P::FCMP_OGE;
        break;
    }
    return b_.CreateFCmp(p, a, b);
  }
  switch (kind) {
    case ExprKind::eq:
      p = P::ICMP_EQ;
      break;
    case ExprKind::ne:
      p = P::ICMP_NE;
      break;
    case ExprKind::lt:
      p = is_signed ? P::ICMP_SLT : P::ICMP_ULT;
      break;
    case ExprKind::le:
      p = is_signed ? P::ICMP_SLE : P::ICMP_ULE;
      break;
    case ExprKind::gt:
      p = is_signed ? P::ICMP_SGT : P::ICMP_UGT;
      break;
    default:
      p = is_signed ? P::ICMP_SGE : P::ICMP_UGE;
      break;
  }
  return b_.CreateICmp(p, a, b);
}

Value* Arithmetic::cast(DType to, DType from, Value* v) {
  llvm::Type* type = register_type(to);
  bool narrow_result = to.is_float() && to.bits <= 16;
  if (from.is_float()) {
    if (to.is_float() && from.element() == to.element()) return v;
    if (from.bits == 64 && narrow_result) return narrow(to, double_to_odd_float(v));
    v = widen(from, v);
    if (to.is_float()) {
      if (narrow_result) return narrow(to, v);
      return b_.CreateFPCast(v, type);
    }
    if (to.is_bool()) return b_.CreateFCmpUNE(v, llvm::Constant::getNullValue(v->getType()));
    auto id = to.is_uint() ? llvm::Intrinsic::fptoui_sat : llvm::Intrinsic::fptosi_sat;
    return b_.CreateIntrinsic(id, {type, v->getType()}, {v});
  }
  if (to.is_handle() || from.is_handle()) {
    REPOSE_CHECK(to.is_handle() && from.is_handle(), "a cast of a handle");
    return v;
  }
  bool is_signed = from.is_sint() || from.is_index();
  if (to.is_float()) {
    // A narrow type through float32, as all its arithmetic.
    llvm::Type* wide = narrow_result ? like(v, b_.getFloatTy()) : type;
    Value* f = is_signed ? b_.CreateSIToFP(v, wide) : b_.CreateUIToFP(v, wide);
    return narrow_result ? narrow(to, f) : f;
  }
  if (to.is_bool()) return from.is_bool() ? v : b_.CreateICmpNE(v, constant_like(v, 0));
  return is_signed ? b_.CreateSExtOrTrunc(v, type) : b_.CreateZExtOrTrunc(v, type);
}

Value* Arithmetic::intrinsic(Intrinsic intrinsic, DType result, DType operand,
                             const std::vector<Value*>& args) {
  switch (intrinsic) {
    case Intrinsic::reinterpret:
      return b_.CreateBitCast(args[0], register_type(result));
    case Intrinsic::popcount:
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::ctpop, args[0]);
    case Intrinsic::clz:
      return b_.CreateBinaryIntrinsic(llvm::Intrinsic::ctlz, args[0], b_.getFalse());
    case Intrinsic::vector_reduce_add:
      return reduce(ExprKind::add, operand, args[0]);
    case Intrinsic::vector_reduce_mul:
      return reduce(ExprKind::mul, operand, args[0]);
    case Intrinsic::vector_reduce_min:
      return reduce(ExprKind::min, operand, args[0]);
    case Intrinsic::vector_reduce_max:
      return reduce(ExprKind::max, operand, args[0]);
    default:
      break;
  }
  if (operand.is_float()) {
    if (operand.bits <= 16) return narrow_intrinsic(intrinsic, operand, args);
    return float_intrinsic(intrinsic, args);
  }
  bool is_signed = operand.is_sint() || operand.is_index();
  if (intrinsic == Intrinsic::abs) {
    return is_signed ? b_.CreateBinaryIntrinsic(llvm::Intrinsic::abs, args[0], b_.getFalse())
                     : args[0];
  }
  if (intrinsic == Intrinsic::fma) {
    return binary(ExprKind::add, operand, binary(ExprKind::mul, operand, args[0], args[1]),
                  args[2]);
  }
  if (intrinsic == Intrinsic::pow) {
    Value *base = args[0], *exponent = args[1];
    Value* power = call_each(
        "repose.ipow.i" + std::to_string(base->getType()->getScalarSizeInBits()), base, exponent);
    if (!is_signed) return power;
    // A negative exponent truncates 1 / base^n: 0 but for bases 1 and -1.
    Value* one = constant_like(base, 1);
    Value* odd = b_.CreateICmpNE(b_.CreateAnd(exponent, one), constant_like(base, 0));
    Value* minus_one = llvm::Constant::getAllOnesValue(base->getType());
    Value* inverse = b_.CreateSelect(
        b_.CreateICmpEQ(base, one), one,
        b_.CreateSelect(b_.CreateICmpEQ(base, minus_one), b_.CreateSelect(odd, minus_one, one),
                        constant_like(base, 0)));
    return b_.CreateSelect(b_.CreateICmpSLT(exponent, constant_like(base, 0)), inverse, power);
  }
  switch (intrinsic) {
    case Intrinsic::isnan:
    case Intrinsic::isinf:
      return llvm::ConstantInt::get(register_type(result), 0);
    case Intrinsic::isfinite:
      return llvm::ConstantInt::get(register_type(result), 1);
    case Intrinsic::floor:
    case Intrinsic::ceil:
    case Intrinsic::round:
    case Intrinsic::trunc:
      return args[0];
    default:
      return nullptr;
  }
}

Value* Arithmetic::float_intrinsic(Intrinsic intrinsic, const std::vector<Value*>& args) {
  Value* x = args[0];
  Value* infinity = llvm::ConstantFP::getInfinity(x->getType());
  auto unary = [&](llvm::Intrinsic::ID id) { return b_.CreateUnaryIntrinsic(id, x); };
  switch (intrinsic) {
    case Intrinsic::sqrt:
      return unary(llvm::Intrinsic::sqrt);
    case Intrinsic::floor:
      return unary(llvm::Intrinsic::floor);
    case Intrinsic::ceil:
      return unary(llvm::Intrinsic::ceil);
    case Intrinsic::round:
      return unary(llvm::Intrinsic::roundeven);
    case Intrinsic::trunc:
      return unary(llvm::Intrinsic::trunc);
    case Intrinsic::abs:
      return unary(llvm::Intrinsic::fabs);
    case Intrinsic::copysign:
      return b_.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, x, args[1]);
    case Intrinsic::fma:
      if (!has_fma_) return b_.CreateFAdd(b_.CreateFMul(x, args[1]), args[2]);
      return b_.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {x, args[1], args[2]});
    case Intrinsic::isnan:
      return b_.CreateFCmpUNO(x, x);
    case Intrinsic::isinf:
      return b_.CreateFCmpOEQ(unary(llvm::Intrinsic::fabs), infinity);
    case Intrinsic::isfinite:
      return b_.CreateFCmpOLT(unary(llvm::Intrinsic::fabs), infinity);
    default:
      return nullptr;
  }
}

Value* Arithmetic::narrow_intrinsic(Intrinsic intrinsic, DType dtype,
                                    const std::vector<Value*>& args) {
  Value* bits = args[0];
  Value* magnitude = constant_like(bits, 0x7fff);
  const bool is_half = !dtype.is_tiny_float();
  if (is_half && intrinsic == Intrinsic::abs) return b_.CreateAnd(bits, magnitude);
  if (is_half && intrinsic == Intrinsic::copysign) {
    return b_.CreateOr(b_.CreateAnd(bits, magnitude),
                       b_.CreateAnd(args[1], constant_like(bits, 0x8000)));
  }
  std::vector<Value*> wide;
  for (Value* a : args) wide.push_back(widen(dtype, a));
  Value* result = float_intrinsic(intrinsic, wide);
  bool is_predicate = intrinsic == Intrinsic::isnan || intrinsic == Intrinsic::isinf ||
                      intrinsic == Intrinsic::isfinite;
  return result && !is_predicate ? narrow(dtype, result) : result;
}

// Halves are combined lane by lane until one is left; an odd lane at the end waits for the next
// round.
Value* Arithmetic::reduce(ExprKind kind, DType dtype, Value* v) {
  auto range = [&](int begin, int end) {
    std::vector<int> mask;
    for (int i = begin; i < end; ++i) mask.push_back(i);
    return mask;
  };
  int lanes = dtype.lanes;
  if (lanes == 1) return v;
  while (lanes > 1) {
    int half = lanes / 2;
    Value* low = b_.CreateShuffleVector(v, range(0, half));
    Value* high = b_.CreateShuffleVector(v, range(half, 2 * half));
    Value* combined = binary(kind, dtype.element().with_lanes(half), low, high);
    if (lanes % 2 != 0) {
      std::vector<int> grow = range(0, half + 1);
      Value* rest = b_.CreateExtractElement(v, static_cast<uint64_t>(lanes - 1));
      if (half == 1 && !combined->getType()->isVectorTy())
        combined = b_.CreateVectorSplat(1, combined);
      grow[half] = -1;
      combined = b_.CreateShuffleVector(combined, grow);
      combined = b_.CreateInsertElement(combined, rest, static_cast<uint64_t>(half));
      lanes = half + 1;
    } else {
      lanes = half;
    }
    v = combined;
  }
  return v->getType()->isVectorTy() ? b_.CreateExtractElement(v, uint64_t{0}) : v;
}

Value* Arithmetic::call_each(const std::string& helper, Value* a, Value* b) {
  llvm::Function* f = module_.getFunction(helper);
  if (!f) {
    // What the texts call: declared once for all of them.
    for (auto id : {llvm::Intrinsic::umin, llvm::Intrinsic::ctlz}) {
      llvm::Intrinsic::getDeclaration(&module_, id, {b_.getInt64Ty()});
    }
    llvm::SMDiagnostic problem;
    std::string text = ir_function(helper);
    bool failed =
        llvm::parseAssemblyInto(llvm::MemoryBufferRef(text, helper), &module_, nullptr, problem);
    REPOSE_CHECK(!failed, "helper in LLVM IR: " + problem.getMessage().str());
    f = module_.getFunction(helper);
  }
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(a->getType());
  if (!vector) return b_.CreateCall(f, {a, b});
  Value* result = llvm::PoisonValue::get(a->getType());
  for (unsigned i = 0; i < vector->getNumElements(); ++i) {
    Value* lane = b_.CreateCall(f, {b_.CreateExtractElement(a, i), b_.CreateExtractElement(b, i)});
    result = b_.CreateInsertElement(result, lane, i);
  }
  return result;
}

}  // namespace repose::codegen
