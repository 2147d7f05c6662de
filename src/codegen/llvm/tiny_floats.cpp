// Floats of eight bits and less from and to float32, by integer operations (expr/tiny_float.h).
#include "codegen/llvm/arithmetic.h"
#include "expr/tiny_float.h"

namespace repose::codegen {

using llvm::Value;

namespace {

constexpr int float_bits = 32, float_significand = 23, float_bias = 127;
constexpr uint64_t float_infinity = 0x7f800000, float_nan = 0x7fc00000;

}  // namespace

Value* Arithmetic::tiny_to_float(DType dtype, Value* bits) {
  Value* code = b_.CreateZExt(bits, like(bits, b_.getInt32Ty()));
  llvm::Type* f32 = like(bits, b_.getFloatTy());
  auto shift_left = [&](Value* v, int n) {
    return b_.CreateShl(v, constant_like(v, static_cast<uint64_t>(n)));
  };
  auto is = [&](Value* v, uint64_t value) { return b_.CreateICmpEQ(v, constant_like(v, value)); };
  if (dtype.code == DType::Code::float8_e8m0fnu) {
    Value* power = shift_left(code, float_significand);
    power = b_.CreateSelect(is(code, 0), constant_like(code, 0x400000), power);
    power = b_.CreateSelect(is(code, 255), constant_like(code, float_nan), power);
    return b_.CreateBitCast(power, f32);
  }
  const TinyFloat& format = tiny_float(dtype);
  const uint64_t sign_bit = uint64_t{1} << (dtype.bits - 1);
  Value* sign = b_.CreateAnd(code, constant_like(code, sign_bit));
  Value* magnitude = b_.CreateXor(code, sign);
  // Subnormal numbers are so few that units count them; normal ones get another exponent.
  const int shift = float_significand - format.significand_bits;
  const double unit = std::ldexp(1.0, 1 - format.bias - format.significand_bits);
  Value* units = b_.CreateFMul(b_.CreateUIToFP(magnitude, f32), llvm::ConstantFP::get(f32, unit));
  Value* normal = b_.CreateAdd(
      shift_left(magnitude, shift),
      constant_like(code, static_cast<uint64_t>(float_bias - format.bias) << float_significand));
  Value* is_subnormal =
      b_.CreateICmpULT(magnitude, constant_like(code, uint64_t{1} << format.significand_bits));
  Value* result = b_.CreateSelect(is_subnormal, b_.CreateBitCast(units, code->getType()), normal);
  if (format.has_minus_zero && format.overflow != format.largest) {
    Value* beyond = b_.CreateICmpUGT(magnitude, constant_like(code, format.largest));
    result = b_.CreateSelect(beyond, constant_like(code, float_nan), result);
    if (format.overflow != format.nan) {
      result = b_.CreateSelect(is(magnitude, format.overflow), constant_like(code, float_infinity),
                               result);
    }
  }
  result = b_.CreateOr(result, shift_left(sign, float_bits - dtype.bits));
  if (!format.has_minus_zero) {
    result = b_.CreateSelect(is(code, format.nan), constant_like(code, float_nan), result);
  }
  return b_.CreateBitCast(result, f32);
}

Value* Arithmetic::float_to_tiny(DType dtype, Value* v) {
  Value* bits = b_.CreateBitCast(v, like(v, b_.getInt32Ty()));
  auto shift_right = [&](Value* x, int n) {
    return b_.CreateLShr(x, constant_like(x, static_cast<uint64_t>(n)));
  };
  auto round = [&](Value* x, int shift) {  // nearest, halves to even
    Value* odd = b_.CreateAnd(shift_right(x, shift), constant_like(x, 1));
    Value* below_half = constant_like(x, (uint64_t{1} << (shift - 1)) - 1);
    return b_.CreateAdd(b_.CreateAdd(x, below_half), odd);
  };
  llvm::Type* narrow = like(v, b_.getIntNTy(dtype.bits));
  if (dtype.code == DType::Code::float8_e8m0fnu) {
    Value* code = shift_right(round(bits, float_significand), float_significand);
    // Below 2^-126 half the way lies at 1.5 * 2^-127.
    Value* is_least = b_.CreateICmpULT(bits, constant_like(bits, 0x800000));
    Value* least =
        b_.CreateZExt(b_.CreateICmpUGT(bits, constant_like(bits, 0x600000)), bits->getType());
    code = b_.CreateSelect(is_least, least, code);
    // Zero, negative numbers, infinity and NaN.
    Value* wrong = b_.CreateICmpUGE(b_.CreateSub(bits, constant_like(bits, 1)),
                                    constant_like(bits, float_infinity - 1));
    return b_.CreateTrunc(b_.CreateSelect(wrong, constant_like(bits, 255), code), narrow);
  }
  const TinyFloat& format = tiny_float(dtype);
  Value* magnitude = b_.CreateAnd(bits, constant_like(bits, 0x7fffffff));
  Value* sign = shift_right(b_.CreateXor(bits, magnitude), float_bits - dtype.bits);
  const int shift = float_significand - format.significand_bits;
  const auto rebias = static_cast<uint64_t>(float_bias - format.bias) << float_significand;
  Value* normal =
      shift_right(b_.CreateSub(round(magnitude, shift), constant_like(bits, rebias)), shift);
  // Adding a number whose last bit is the unit of subnormal numbers rounds to that unit.
  const double magic =
      std::ldexp(1.0, float_significand + 1 - format.bias - format.significand_bits);
  Value* sum = b_.CreateFAdd(b_.CreateBitCast(magnitude, v->getType()),
                             llvm::ConstantFP::get(v->getType(), magic));
  Value* units =
      b_.CreateSub(b_.CreateBitCast(sum, bits->getType()),
                   constant_like(bits, llvm::bit_cast<uint32_t>(static_cast<float>(magic))));
  const auto smallest = static_cast<uint64_t>(float_bias + 1 - format.bias) << float_significand;
  Value* is_subnormal = b_.CreateICmpULT(magnitude, constant_like(bits, smallest));
  Value* code = b_.CreateSelect(is_subnormal, units, normal);
  Value* beyond = b_.CreateICmpUGT(code, constant_like(bits, format.largest));
  code = b_.CreateSelect(beyond, constant_like(bits, format.overflow), code);
  Value* is_nan = b_.CreateICmpUGT(magnitude, constant_like(bits, float_infinity));
  code = b_.CreateSelect(is_nan, constant_like(bits, format.nan), code);
  if (!format.has_minus_zero) {
    Value* unsigned_code = b_.CreateOr(b_.CreateICmpEQ(code, constant_like(bits, 0)),
                                       b_.CreateICmpEQ(code, constant_like(bits, format.nan)));
    sign = b_.CreateSelect(unsigned_code, constant_like(bits, 0), sign);
  } else if (format.nan == 0) {
    sign = b_.CreateSelect(is_nan, constant_like(bits, 0), sign);
  }
  return b_.CreateTrunc(b_.CreateOr(code, sign), narrow);
}

}  // namespace repose::codegen
