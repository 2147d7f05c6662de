// Which function is replaced by which formula, and in which dtype it is computed.
#include "passes/tensor/expand_math.h"

#include "passes/tensor/math_functions.h"
#include "passes/tensor/math_notation.h"

namespace repose {

namespace {

using namespace math;

Expr expand_in_double(Intrinsic intrinsic, const Expr& x) {
  switch (intrinsic) {
    case Intrinsic::log10:
      return make_log10(x);
    case Intrinsic::log1p:
      return make_log1p(x);
    case Intrinsic::sin:
      return make_sine(x, 0);
    case Intrinsic::cos:
      return make_sine(x, 1);
    case Intrinsic::tan:
      return make_tan(x);
    case Intrinsic::asin:
      return make_asin(x);
    case Intrinsic::acos:
      return make_acos(x);
    case Intrinsic::atan:
      return make_atan(x);
    case Intrinsic::sinh:
      return make_sinh(x);
    case Intrinsic::cosh:
      return make_cosh(x);
    case Intrinsic::asinh:
      return make_asinh(x);
    case Intrinsic::acosh:
      return make_acosh(x);
    case Intrinsic::atanh:
      return make_atanh(x);
    default:
      return nullptr;
  }
}

// Of float32 or float64; null: not a function of the table.
Expr expand_unary(Intrinsic intrinsic, const Expr& x) {
  switch (intrinsic) {
    case Intrinsic::exp:
      return make_exp(x);
    case Intrinsic::exp2:
      return make_exp2(x);
    case Intrinsic::expm1:
      return make_expm1(x);
    case Intrinsic::log:
      return make_log(x);
    case Intrinsic::log2:
      return make_log2(x);
    case Intrinsic::tanh:
      return make_tanh(x);
    case Intrinsic::sigmoid:
      return make_sigmoid(x);
    case Intrinsic::erf:
      return make_erf(x);
    case Intrinsic::rsqrt:
      return 1.0 / call(Intrinsic::sqrt, x);
    default:
      break;
  }
  if (is_double(x)) return expand_in_double(intrinsic, x);
  Expr wide = expand_in_double(intrinsic, widen(x));
  return wide ? narrow(wide) : nullptr;
}

Expr expand_binary(Intrinsic intrinsic, const Expr& x, const Expr& y) {
  bool wide = is_double(x);
  if (intrinsic == Intrinsic::pow) {
    return wide ? make_pow(x, y) : narrow(make_float_pow(widen(x), widen(y)));
  }
  if (intrinsic == Intrinsic::atan2) {
    return wide ? make_atan2(x, y) : narrow(make_atan2(widen(x), widen(y)));
  }
  return nullptr;
}

Expr expand_call(const Expr& e) {
  const auto* c = as<CallNode>(e);
  if (!c || !intrinsic_is_pure(c->intrinsic) || !e->dtype.is_float() || c->args.empty() ||
      c->args.size() > 2 || c->args[0]->dtype != e->dtype) {
    return e;
  }
  std::vector<Expr> args = c->args;
  bool is_narrow = e->dtype.bits <= 16;
  if (is_narrow) {
    for (Expr& a : args) a = narrow(a);
  }
  Expr expanded = args.size() == 1 ? expand_unary(c->intrinsic, args[0])
                                   : expand_binary(c->intrinsic, args[0], args[1]);
  if (!expanded) return e;
  return is_narrow ? make_cast(e->dtype, expanded) : expanded;
}

class MathExpander : public tir::StmtRewriter {
 protected:
  Expr rewrite_expr(const Expr& e) override { return expand_math(e); }
};

}  // namespace

Expr expand_math(const Expr& e) {
  return rewrite(e, expand_call);
}

tir::PrimFunc expand_math(const tir::PrimFunc& f) {
  return tir::with_body(f, MathExpander().rewrite(f->body));
}

}  // namespace repose
