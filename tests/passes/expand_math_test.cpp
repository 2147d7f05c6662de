// The error of every expanded function against the C library in a wider type, and its edges.
#include "passes/tensor/expand_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "expr/scalar.h"

namespace repose {
namespace {

using Real = long double;

// Evaluates an expression graph node by node; fma in one or two roundings.
class Evaluator {
 public:
  Evaluator(bool fused) : fused_(fused) {}
  void bind(const Var& v, Scalar value) { values_[v.get()] = value; }

  Scalar run(const Expr& e) {
    if (auto it = values_.find(e.get()); it != values_.end()) return it->second;
    std::vector<Scalar> args;
    for (const Expr& a : e->args) args.push_back(run(a));
    Scalar value = compute(e, args);
    values_[e.get()] = value;
    return value;
  }

 private:
  Scalar compute(const Expr& e, const std::vector<Scalar>& args) {
    if (const auto* i = as<IntImmNode>(e)) return Scalar::of_int(i->value, e->dtype);
    if (const auto* f = as<FloatImmNode>(e)) return Scalar{e->dtype, 0, f->value};
    if (const auto* c = as<CallNode>(e)) {
      if (c->intrinsic == Intrinsic::fma && !fused_) {
        return *eval_binary(ExprKind::add, *eval_binary(ExprKind::mul, args[0], args[1]), args[2]);
      }
      auto v = eval_intrinsic(c->intrinsic, e->dtype, args.data(), static_cast<int>(args.size()));
      EXPECT_TRUE(v) << intrinsic_name(c->intrinsic);
      return *v;
    }
    switch (e->kind) {
      case ExprKind::select:
        return args[0].i ? args[1] : args[2];
      case ExprKind::cast:
        return *eval_cast(e->dtype, args[0]);
      case ExprKind::logical_not:
        return Scalar{dtypes::boolean, !args[0].i, 0};
      default:
        return *eval_binary(e->kind, args[0], args[1]);
    }
  }

  bool fused_;
  std::unordered_map<const ExprNode*, Scalar> values_;
};

struct Range {
  double low, high;
  bool logarithmic = false;  // magnitudes evenly distributed, both signs if low < 0
};

struct Case {
  Intrinsic intrinsic;
  Real (*reference)(Real);
  std::vector<Range> float_ranges, double_ranges;
  double ulp32, ulp32_unfused, ulp64, ulp64_unfused;
};

Real sigmoid(Real x) {
  return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x));
}
Real rsqrt(Real x) {
  return 1 / sqrtl(x);
}

const Range tiny{1e-40, 1e-3, true}, all_float{1e-40, 3e38, true}, all_double{1e-310, 1e308, true};

std::vector<Case> cases() {
  auto both = [](Intrinsic i, Real (*f)(Real), std::vector<Range> r, double a, double b, double c,
                 double d) { return Case{i, f, r, r, a, b, c, d}; };
  const Range unit{-1, 1}, mixed{1e-30, 1e8, true}, angles{-20, 20}, big_angles{-1e8, 1e8};
  return {
      {Intrinsic::exp, expl, {tiny, {-104, 89}, unit}, {tiny, {-746, 710}, unit}, 2, 2, 2, 3},
      {Intrinsic::exp2, exp2l, {tiny, {-150, 128}, unit}, {tiny, {-1075, 1024}, unit}, 2, 2, 2, 3},
      {Intrinsic::expm1, expm1l, {tiny, {-20, 88.7}, unit}, {tiny, {-40, 709.7}, unit}, 2, 3, 3, 3},
      {Intrinsic::log, logl, {all_float, {0.5, 2}}, {all_double, {0.5, 2}}, 2, 3, 2, 3},
      {Intrinsic::log2, log2l, {all_float, {0.5, 2}}, {all_double, {0.5, 2}}, 2, 3, 2, 3},
      {Intrinsic::log10, log10l, {all_float, {0.5, 2}}, {all_double, {0.5, 2}}, 1, 1, 2, 3},
      both(Intrinsic::log1p, log1pl, {tiny, {-0.999, 1}, {1e-3, 1e30, true}}, 1, 1, 3, 3),
      both(Intrinsic::tanh, tanhl, {tiny, unit, {-20, 20}}, 3, 4, 4, 4),
      {Intrinsic::sigmoid, sigmoid, {tiny, {-103, 30}, unit}, {tiny, {-745, 60}, unit}, 3, 3, 3, 3},
      both(Intrinsic::erf, erfl, {tiny, unit, {-6, 6}}, 2, 2, 2, 2),
      both(Intrinsic::sin, sinl, {tiny, angles, big_angles}, 1, 1, 2, 2),
      both(Intrinsic::cos, cosl, {tiny, angles, big_angles}, 1, 1, 2, 2),
      both(Intrinsic::tan, tanl, {tiny, angles, big_angles}, 1, 1, 4, 4),
      both(Intrinsic::asin, asinl, {tiny, unit}, 1, 1, 3, 3),
      both(Intrinsic::acos, acosl, {tiny, unit}, 1, 1, 3, 3),
      both(Intrinsic::atan, atanl, {tiny, {-4, 4}, mixed}, 1, 1, 3, 3),
      {Intrinsic::sinh,
       sinhl,
       {tiny, unit, {-89.4, 89.4}},
       {tiny, unit, {-710.4, 710.4}},
       1,
       1,
       4,
       4},
      {Intrinsic::cosh,
       coshl,
       {tiny, unit, {-89.4, 89.4}},
       {tiny, unit, {-710.4, 710.4}},
       1,
       1,
       4,
       4},
      both(Intrinsic::asinh, asinhl, {tiny, {-4, 4}, mixed}, 1, 1, 4, 4),
      both(Intrinsic::acosh, acoshl, {{1, 4}, {1, 1e20, true}}, 1, 1, 4, 4),
      both(Intrinsic::atanh, atanhl, {tiny, unit}, 1, 1, 4, 4),
      {Intrinsic::rsqrt, rsqrt, {all_float}, {all_double}, 2, 2, 2, 2},
  };
}

class Random {
 public:
  double uniform() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state_ >> 11) * 0x1p-53;
  }
  double in(const Range& r) {
    double u = uniform();
    if (!r.logarithmic) return r.low + (r.high - r.low) * u;
    return std::exp(std::log(r.low) + (std::log(r.high) - std::log(r.low)) * u);
  }

 private:
  uint64_t state_ = 12345;
};

// The distance in units of the last place of `dtype` at the exact value.
double ulps(DType dtype, double got, Real exact) {
  double rounded = round_to(dtype, static_cast<double>(exact));
  if (dtype == dtypes::float32) {  // the long double must not round twice to find infinity
    float f = static_cast<float>(exact);
    rounded = f;
  }
  if (std::isnan(rounded) || std::isnan(got))
    return std::isnan(rounded) == std::isnan(got) ? 0 : 1e9;
  if (rounded == got) return 0;
  int precision = dtype == dtypes::float32 ? 24 : 53;
  int lowest = dtype == dtypes::float32 ? -149 : -1074;
  int max_exponent = dtype == dtypes::float32 ? 127 : 1023;
  int exponent =
      exact == 0 || std::isinf(exact) ? max_exponent : std::min(ilogbl(exact), max_exponent);
  if (exact == 0) exponent = lowest;
  Real unit = ldexpl(1, std::max(exponent - precision + 1, lowest));
  // Infinity stands one unit behind the largest number.
  Real value = std::isinf(got) ? copysignl(ldexpl(1, max_exponent + 1), got) : Real{got};
  return static_cast<double>(fabsl(value - exact) / unit);
}

Expr expanded(Intrinsic i, const Var& x) {
  return expand_math(make_call(i, x));
}

double largest_error(const Case& c, DType dtype, bool fused, double* where) {
  Random random;
  Var x = make_var("x", dtype, VarRole::let);
  Expr e = expanded(c.intrinsic, x);
  double worst = 0;
  for (const Range& range : dtype == dtypes::float32 ? c.float_ranges : c.double_ranges) {
    for (int i = 0; i < 1500; ++i) {
      double v = round_to(dtype, random.in(range));
      Evaluator evaluator(fused);
      evaluator.bind(x, Scalar{dtype, 0, v});
      double error = ulps(dtype, evaluator.run(e).f, c.reference(v));
      if (error > worst) {
        worst = error;
        *where = v;
      }
    }
  }
  return worst;
}

TEST(expand_math, errors_stay_within_the_stated_bounds) {
  for (const Case& c : cases()) {
    for (bool fused : {true, false}) {
      for (DType dtype : {dtypes::float32, dtypes::float64}) {
        double bound = dtype == dtypes::float32 ? (fused ? c.ulp32 : c.ulp32_unfused)
                                                : (fused ? c.ulp64 : c.ulp64_unfused);
        double where = 0;
        double error = largest_error(c, dtype, fused, &where);
        EXPECT_LE(error, bound) << intrinsic_name(c.intrinsic) << " " << dtype.to_string()
                                << (fused ? "" : " without fma") << " at " << where;
        if (std::getenv("REPOSE_PRINT_ERRORS")) {
          printf("%-8s %s %d %.2f at %g\n", intrinsic_name(c.intrinsic), dtype.to_string().c_str(),
                 fused, error, where);
        }
      }
    }
  }
}

TEST(expand_math, edges_are_those_of_c) {
  using Limits = std::numeric_limits<double>;
  for (const Case& c : cases()) {
    for (DType dtype : {dtypes::float32, dtypes::float64}) {
      bool narrow = dtype == dtypes::float32;
      double largest = narrow ? std::numeric_limits<float>::max() : Limits::max();
      double least = narrow ? 0x1p-149 : 0x1p-1074;
      double normal = narrow ? 0x1p-126 : 0x1p-1022;
      bool circular = c.intrinsic == Intrinsic::sin || c.intrinsic == Intrinsic::cos ||
                      c.intrinsic == Intrinsic::tan;
      for (double magnitude : {0.0, Limits::infinity(), Limits::quiet_NaN(), largest, least, normal,
                               normal * 0.75, 1.0, 2.0, 0.5, 100.0, 1000.0}) {
        if (circular && magnitude == largest) continue;
        for (double v : {magnitude, -magnitude}) {
          Var x = make_var("x", dtype, VarRole::let);
          Evaluator evaluator(true);
          evaluator.bind(x, Scalar{dtype, 0, v});
          double got = evaluator.run(expanded(c.intrinsic, x)).f;
          Real exact = c.reference(v);
          EXPECT_LE(ulps(dtype, got, exact), 4) << intrinsic_name(c.intrinsic) << "(" << v << ") "
                                                << dtype.to_string() << ": " << got;
          if (got == 0 && exact == 0) {
            EXPECT_EQ(std::signbit(got), std::signbit(exact))
                << intrinsic_name(c.intrinsic) << " " << v;
          }
        }
      }
    }
  }
}

double run_binary(Intrinsic intrinsic, DType dtype, bool fused, double a, double b) {
  Var x = make_var("x", dtype, VarRole::let), y = make_var("y", dtype, VarRole::let);
  Evaluator evaluator(fused);
  evaluator.bind(x, Scalar{dtype, 0, a});
  evaluator.bind(y, Scalar{dtype, 0, b});
  return evaluator.run(expand_math(make_call(intrinsic, x, y))).f;
}

TEST(expand_math, powers) {
  Random random;
  for (bool fused : {true, false}) {
    for (DType dtype : {dtypes::float32, dtypes::float64}) {
      double worst = 0;
      double limit = dtype == dtypes::float32 ? 88 : 709;
      for (int i = 0; i < 1500; ++i) {
        double x = round_to(dtype, random.in(i % 2 ? Range{1e-30, 1e30, true} : Range{0.5, 2}));
        double y = round_to(dtype, random.in({-limit, limit}) / std::log(x));
        if (!std::isfinite(y)) continue;
        worst = std::max(worst,
                         ulps(dtype, run_binary(Intrinsic::pow, dtype, fused, x, y), powl(x, y)));
      }
      EXPECT_LE(worst, dtype == dtypes::float32 ? 1 : 32) << dtype.to_string() << " " << fused;
      if (std::getenv("REPOSE_PRINT_ERRORS"))
        printf("pow %s %d %.2f\n", dtype.to_string().c_str(), fused, worst);
    }
  }
}

TEST(expand_math, edges_of_powers_and_atan2_are_those_of_c) {
  const double inf = std::numeric_limits<double>::infinity();
  const double values[] = {0.0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1e30, -1e30, inf, -inf, NAN};
  for (DType dtype : {dtypes::float32, dtypes::float64}) {
    for (double a : values) {
      for (double b : values) {
        double x = round_to(dtype, a), y = round_to(dtype, b);
        double power = run_binary(Intrinsic::pow, dtype, true, x, y);
        EXPECT_LE(ulps(dtype, power, powl(x, y)), 4) << "pow(" << x << ", " << y << ") = " << power;
        if (power == 0) {
          EXPECT_EQ(std::signbit(power), std::signbit(powl(x, y))) << x << " " << y;
        }
        double angle = run_binary(Intrinsic::atan2, dtype, true, x, y);
        EXPECT_LE(ulps(dtype, angle, atan2l(x, y)), 3)
            << "atan2(" << x << ", " << y << ") = " << angle;
        if (angle == 0) {
          EXPECT_EQ(std::signbit(angle), std::signbit(atan2l(x, y))) << x << " " << y;
        }
      }
    }
  }
}

TEST(expand_math, atan2_of_all_quadrants) {
  Random random;
  for (DType dtype : {dtypes::float32, dtypes::float64}) {
    double worst = 0;
    for (int i = 0; i < 2000; ++i) {
      double y = round_to(dtype, random.in({-3, 3})), x = round_to(dtype, random.in({-3, 3}));
      worst = std::max(worst,
                       ulps(dtype, run_binary(Intrinsic::atan2, dtype, true, y, x), atan2l(y, x)));
    }
    EXPECT_LE(worst, dtype == dtypes::float32 ? 1 : 3);
  }
}

TEST(expand_math, half_precision_rounds_once_from_float32) {
  for (DType dtype : {dtypes::float16, dtypes::bfloat16}) {
    Var x = make_var("x", dtype, VarRole::let);
    Expr e = expanded(Intrinsic::exp, x);
    EXPECT_EQ(e->dtype, dtype);
    for (double v : {0.0, 0.5, -3.25, 11.0, -20.0, 100.0}) {
      Evaluator evaluator(true);
      evaluator.bind(x, Scalar{dtype, 0, v});
      EXPECT_EQ(evaluator.run(e).f, round_to(dtype, std::exp(static_cast<float>(v)))) << v;
    }
  }
}

// The argument's last place is worth more than a period: any value of the range is as good.
TEST(expand_math, sines_of_large_arguments_stay_in_their_range) {
  const std::pair<DType, double> largest[] = {
      {dtypes::float32, std::numeric_limits<float>::max()},
      {dtypes::float64, std::numeric_limits<double>::max()},
      {dtypes::float16, 65504},
      {dtypes::bfloat16, 0x1.fep127},
  };
  for (const auto& [dtype, most] : largest) {
    Var x = make_var("x", dtype, VarRole::let);
    for (Intrinsic i : {Intrinsic::sin, Intrinsic::cos, Intrinsic::tan}) {
      Expr e = expanded(i, x);
      for (bool fused : {true, false}) {
        auto value_at = [&](double v) {
          Evaluator evaluator(fused);
          evaluator.bind(x, Scalar{dtype, 0, v});
          return evaluator.run(e).f;
        };
        auto expect_in_range = [&](double v) {
          const double got = value_at(v);
          const double bound = i == Intrinsic::tan ? most : 1;
          EXPECT_LE(std::abs(got), bound)
              << intrinsic_name(i) << "(" << v << ") " << dtype.to_string() << " " << fused;
        };
        Random random;
        for (int k = 0; k < 3000; ++k) {
          const double v = round_to(dtype, random.in({1e3, most, true}));
          for (double signed_v : {v, -v}) expect_in_range(signed_v);
        }
        for (double v : {most, 0x1p50, 0x1.fffffep49, 0x1p51, 0x1p52, 0x1p53, 1e100}) {
          if (v > most) continue;
          for (double signed_v : {v, -v}) expect_in_range(signed_v);
        }
        for (double v : {double{INFINITY}, -double{INFINITY}, double{NAN}})
          EXPECT_TRUE(std::isnan(value_at(v)));
      }
    }
  }
}

TEST(expand_math, vectors_get_the_operations_of_scalars) {
  Buffer a = make_buffer("a", {make_int(8)}, dtypes::float32);
  Expr lanes = make_load(a, {make_ramp(make_int(0), make_int(1), 8)});
  Expr e = expand_math(make_call(Intrinsic::tanh, lanes));
  EXPECT_EQ(e->dtype, dtypes::float32.with_lanes(8));
  auto count = [](const Expr& root) {
    std::unordered_map<const ExprNode*, int> kinds;
    int operations = 0;
    std::vector<Expr> stack{root};
    while (!stack.empty()) {
      Expr n = stack.back();
      stack.pop_back();
      if (kinds[n.get()]++) continue;
      if (n->kind != ExprKind::broadcast && !is_constant(n) && n->kind != ExprKind::load &&
          n->kind != ExprKind::ramp) {
        ++operations;
      }
      if (n->kind != ExprKind::load) {
        for (const Expr& arg : n->args) stack.push_back(arg);
      }
    }
    return operations;
  };
  Expr scalar = expand_math(make_call(Intrinsic::tanh, make_load(a, {make_int(0)})));
  EXPECT_EQ(count(e), count(scalar));
}

TEST(expand_math, a_program_without_functions_stays_the_same) {
  Buffer a = make_buffer("a", {make_int(8)}, dtypes::float32);
  Var i = make_var("i", dtypes::index, VarRole::loop);
  tir::Stmt store =
      tir::make<tir::StoreNode>(a, std::vector<Expr>{i}, make_load(a, {i}) + make_load(a, {i}));
  tir::PrimFunc f = tir::make_prim_func(
      {tir::buffer_param(a)},
      tir::make<tir::ForNode>(i, make_int(0), make_int(8), tir::ForKind::serial, store));
  EXPECT_EQ(expand_math(f), f);
}

}  // namespace
}  // namespace repose
