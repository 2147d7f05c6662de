// Templates of LLVM IR, one for each function, filled in for a type.
#include "codegen/llvm/ir_functions.h"

#include <cctype>
#include <utility>
#include <vector>

namespace repose::codegen {

namespace {

// Remainders of floats are exact: the mantissa is shifted by up to `step` bits at a time. T is the
// type, I its integer, and the constants describe the format.
constexpr const char* fmod_text = R"(
define internal T @repose.fmod.T(T %x, T %y) nounwind {
entry:
  %bx = bitcast T %x to I
  %by = bitcast T %y to I
  %ax0 = and I %bx, ABS
  %ay0 = and I %by, ABS
  %sign = xor I %bx, %ax0
  %bad0 = icmp eq I %ay0, 0
  %bad1 = icmp ugt I %ay0, INF
  %bad2 = icmp uge I %ax0, INF
  %bad3 = or i1 %bad0, %bad1
  %bad = or i1 %bad3, %bad2
  br i1 %bad, label %nan, label %finite
nan:
  ret T 0x7FF8000000000000
finite:
  %small = icmp ult I %ax0, %ay0
  br i1 %small, label %same, label %work
same:
  ret T %x
work:
  %ax = ZEXT %ax0 WIDE
  %ay = ZEXT %ay0 WIDE
  %ex0 = lshr i64 %ax, MANT
  %ey0 = lshr i64 %ay, MANT
  %xd = icmp eq i64 %ex0, 0
  %yd = icmp eq i64 %ey0, 0
  %fx = and i64 %ax, FRAC
  %fy = and i64 %ay, FRAC
  %nx = or i64 %fx, HIDDEN
  %ny = or i64 %fy, HIDDEN
  %mx = select i1 %xd, i64 %fx, i64 %nx
  %my = select i1 %yd, i64 %fy, i64 %ny
  %ex = select i1 %xd, i64 1, i64 %ex0
  %ey = select i1 %yd, i64 1, i64 %ey0
  %first = urem i64 %mx, %my
  %distance = sub i64 %ex, %ey
  br label %loop
loop:
  %r = phi i64 [ %first, %work ], [ %next, %step ]
  %k = phi i64 [ %distance, %work ], [ %left, %step ]
  %done = icmp eq i64 %k, 0
  br i1 %done, label %end, label %step
step:
  %s = call i64 @llvm.umin.i64(i64 %k, i64 STEP)
  %shifted = shl i64 %r, %s
  %next = urem i64 %shifted, %my
  %left = sub i64 %k, %s
  br label %loop
end:
  %zeros = call i64 @llvm.ctlz.i64(i64 %r, i1 false)
  %up = sub i64 %zeros, LEAD
  %enough = icmp ugt i64 %ey, %up
  %eyd = sub i64 %ey, 1
  %upd = select i1 %enough, i64 %up, i64 %eyd
  %up1 = add i64 %up, 1
  %eyn = sub i64 %ey, %up1
  %exponent = select i1 %enough, i64 %eyn, i64 0
  %m = shl i64 %r, %upd
  %e = shl i64 %exponent, MANT
  %bits = add i64 %m, %e
  %zero = icmp eq i64 %r, 0
  %safe = select i1 %zero, i64 0, i64 %bits
  %out = TRUNC %safe BACK
  %signed = or I %out, %sign
  %result = bitcast I %signed to T
  ret T %result
}
)";

// Powers of integers by squaring; the exponent is not negative.
constexpr const char* ipow_text = R"(
define internal I @repose.ipow.I(I %base, I %exponent) nounwind {
entry:
  br label %loop
loop:
  %p = phi I [ 1, %entry ], [ %p2, %step ]
  %x = phi I [ %base, %entry ], [ %x2, %step ]
  %k = phi I [ %exponent, %entry ], [ %k2, %step ]
  %done = icmp eq I %k, 0
  br i1 %done, label %end, label %step
step:
  %odd = trunc I %k to i1
  %px = mul I %p, %x
  %p2 = select i1 %odd, I %px, I %p
  %x2 = mul I %x, %x
  %k2 = lshr I %k, 1
  br label %loop
end:
  ret I %p
}
)";

std::string replace_words(std::string text,
                          const std::vector<std::pair<std::string, std::string>>& words) {
  auto is_word = [](char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t j = i;
    while (j < text.size() && is_word(text[j])) ++j;
    if (j == i) {
      out += text[i++];
      continue;
    }
    std::string word = text.substr(i, j - i);
    for (const auto& [from, to] : words) {
      if (word == from) {
        word = to;
        break;
      }
    }
    out += word;
    i = j;
  }
  return out;
}

}  // namespace

std::string ir_function(const std::string& name) {
  if (name == "repose.fmod.float") {
    return replace_words(fmod_text, {{"T", "float"},
                                     {"I", "i32"},
                                     {"ABS", "2147483647"},
                                     {"INF", "2139095040"},
                                     {"ZEXT", "zext i32"},
                                     {"WIDE", "to i64"},
                                     {"TRUNC", "trunc i64"},
                                     {"BACK", "to i32"},
                                     {"MANT", "23"},
                                     {"FRAC", "8388607"},
                                     {"HIDDEN", "8388608"},
                                     {"STEP", "40"},
                                     {"LEAD", "40"}});
  }
  if (name == "repose.fmod.double") {
    return replace_words(fmod_text, {{"T", "double"},
                                     {"I", "i64"},
                                     {"ABS", "9223372036854775807"},
                                     {"INF", "9218868437227405312"},
                                     {"ZEXT", "add i64"},
                                     {"WIDE", ", 0"},
                                     {"TRUNC", "add i64"},
                                     {"BACK", ", 0"},
                                     {"MANT", "52"},
                                     {"FRAC", "4503599627370495"},
                                     {"HIDDEN", "4503599627370496"},
                                     {"STEP", "11"},
                                     {"LEAD", "11"}});
  }
  return replace_words(ipow_text, {{"I", name.substr(name.rfind('.') + 1)}});
}

}  // namespace repose::codegen
