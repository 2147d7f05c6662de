// Every rule of rules.def, tried on all small values and on large ones, for every dtype of its
// class.
#include "expr/rules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "expr/facts.h"
#include "expr/scalar.h"

namespace repose {
namespace {

constexpr std::string_view names = "xyzcdpqr";

bool mentions(const Rule& rule, char name) {
  auto occurs = [&](std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
      auto letter = [&](size_t at) {
        return at < text.size() && std::isalpha(static_cast<unsigned char>(text[at]));
      };
      if (text[i] == name && !letter(i + 1) && (i == 0 || !letter(i - 1))) return true;
    }
    return false;
  };
  return occurs(rule.before) || occurs(rule.after);
}

std::vector<DType> dtypes_of(RuleClass c) {
  std::vector<DType> found;
  for (DType t : {dtypes::index, dtypes::int8, dtypes::uint8, dtypes::int32, dtypes::uint32,
                  dtypes::int64, dtypes::uint64, dtypes::float16, dtypes::bfloat16, dtypes::float32,
                  dtypes::float64, dtypes::boolean}) {
    if (rule_applies(c, t)) found.push_back(t);
  }
  return found;
}

std::vector<Scalar> small_values(DType t) {
  std::vector<Scalar> values;
  if (t.is_bool()) return {Scalar::of_int(0, t), Scalar::of_int(1, t)};
  if (t.is_float()) {
    double inf = std::numeric_limits<double>::infinity();
    for (double v : {-inf, -3.0, -1.0, -0.5, -1e-6, -0.0, 0.0, 1e-6, 0.5, 1.0, 1.5, 2.5, 300.0, inf,
                     std::nan("")}) {
      values.push_back(Scalar::of_float(v, t));
    }
    return values;
  }
  for (int64_t v = -9; v <= 9; ++v) values.push_back(Scalar::of_int(v, t));
  return values;
}

Scalar large_value(DType t, std::mt19937_64& engine) {
  if (t.is_bool()) return Scalar::of_int(static_cast<int64_t>(engine() & 1), t);
  int64_t bits = static_cast<int64_t>(engine());
  if (t.is_float())
    return Scalar::of_float(std::ldexp(static_cast<double>(bits), -static_cast<int>(engine() % 90)),
                            t);
  if (t.is_index()) return Scalar::of_int(bits >> (34 + engine() % 20), t);  // products fit
  switch (engine() % 4) {
    case 0:
      return Scalar::of_int(std::numeric_limits<int64_t>::min() >> (64 - t.bits), t);
    case 1:
      return Scalar::of_int(-1, t);
    default:
      return Scalar::of_int(bits, t);
  }
}

// One rule at one dtype, over given values for its wildcards.
class Trial {
 public:
  Trial(const Rule& rule, DType dtype) : rule_(rule), dtype_(dtype) {
    for (size_t i = 0; i < names.size(); ++i) {
      DType t = i >= 5 ? dtypes::boolean : (dtype.is_bool() ? dtypes::int32 : dtype);
      variables_.push_back(make_var(std::string(1, names[i]), t, VarRole::let));
      if (mentions(rule, names[i])) used_.push_back(i);
    }
    values_.resize(names.size());
  }

  const std::vector<size_t>& used() const { return used_; }
  DType dtype_of(size_t wildcard) const { return variables_[wildcard]->dtype; }
  void set(size_t wildcard, const Scalar& value) { values_[wildcard] = value; }

  // Constants are written into the instance, so it is made again when one changes.
  void prepare() {
    std::vector<Expr> parts(variables_.begin(), variables_.end());
    for (size_t i : {3, 4}) {
      if (mentions(rule_, names[i])) parts[i] = to_expr(values_[i]);
    }
    instance_ = instantiate(rule_, dtype_.is_bool() ? dtypes::int32 : dtype_, parts);
    rewritten_ = apply_rules(instance_.before);
  }

  void check() {
    if (!instance_.condition) return;
    auto lookup = [&](const Var& v) -> std::optional<Scalar> {
      for (size_t i = 0; i < variables_.size(); ++i) {
        if (variables_[i] == v) return values_[i];
      }
      return std::nullopt;
    };
    auto before = evaluate(instance_.before, lookup);
    if (!before) return;
    ++checked;
    auto after = evaluate(instance_.after, lookup), rewritten = evaluate(rewritten_, lookup);
    if (!after) return;  // an index that leaves int64 on the way
    ASSERT_TRUE(*after == *before) << message();
    ASSERT_TRUE(!rewritten || *rewritten == *before) << message() << to_string(rewritten_);
  }

  bool fires() const { return rewritten_ != instance_.before; }
  std::string message() const {
    std::string text =
        std::string(rule_.before) + " -> " + rule_.after + " for " + dtype_.to_string();
    for (size_t i : used_) {
      text += fmt::format(" {}={}", names[i],
                          values_[i].dtype.is_float() ? std::to_string(values_[i].f)
                                                      : std::to_string(values_[i].i));
    }
    return text + " ";
  }

  int64_t checked = 0;

 private:
  const Rule& rule_;
  DType dtype_;
  std::vector<Var> variables_;
  std::vector<size_t> used_;
  std::vector<Scalar> values_;
  RuleInstance instance_;
  Expr rewritten_;
};

class Rules : public testing::Test {};

TEST_F(Rules, HoldOnAllSmallValues) {
  for (const Rule& rule : all_rules()) {
    for (DType dtype : dtypes_of(rule.rule_class)) {
      Trial trial(rule, dtype);
      bool fired = false;
      // Constants outermost: they change the instance.
      std::vector<size_t> order;
      for (size_t i : trial.used()) {
        if (i == 3 || i == 4) order.push_back(i);
      }
      size_t constants = order.size();
      for (size_t i : trial.used()) {
        if (i != 3 && i != 4) order.push_back(i);
      }
      auto each = [&](auto& self, size_t at) -> void {
        if (at == constants) {
          trial.prepare();
          fired = fired || trial.fires();
        }
        if (at == order.size()) return trial.check();
        for (const Scalar& v : small_values(trial.dtype_of(order[at]))) {
          trial.set(order[at], v);
          self(self, at + 1);
          if (HasFatalFailure()) return;
        }
      };
      each(each, 0);
      ASSERT_FALSE(HasFatalFailure());
      EXPECT_GT(trial.checked, 0) << rule.before << " " << dtype.to_string();
      EXPECT_TRUE(fired || dtype == dtypes::index) << rule.before << " " << dtype.to_string();
    }
  }
}

TEST_F(Rules, HoldOnLargeValues) {
  std::mt19937_64 engine(3);
  for (const Rule& rule : all_rules()) {
    for (DType dtype : dtypes_of(rule.rule_class)) {
      Trial trial(rule, dtype);
      for (int i = 0; i < 300; ++i) {
        for (size_t w : trial.used()) trial.set(w, large_value(trial.dtype_of(w), engine));
        if (i % 8 == 0) trial.prepare();
        trial.check();
        ASSERT_FALSE(HasFatalFailure());
      }
    }
  }
}

TEST_F(Rules, AreAppliedBySimplify) {
  Var x = make_var("x", dtypes::float32, VarRole::let),
      i = make_var("i", dtypes::int32, VarRole::let);
  Expr one = make_float(1, dtypes::float32), zero = make_float(0, dtypes::float32);
  EXPECT_EQ(canonical(Expr(x) * one), Expr(x));
  EXPECT_EQ(canonical(one * x), Expr(x));
  EXPECT_EQ(canonical(Expr(x) - zero), Expr(x));
  Expr plus = Expr(x) + zero;  // -0 + 0 is 0
  EXPECT_EQ(canonical(plus), plus);
  EXPECT_EQ(to_string(canonical((Expr(i) + 3) + 4)), "i + T.int32(7)");
  EXPECT_EQ(to_string(canonical(make_not(make_not(lt(x, zero))))), "x < T.float32(0.0)");
  Expr not_less = make_not(lt(x, zero));  // true for NaN
  EXPECT_EQ(canonical(not_less), not_less);
  EXPECT_EQ(to_string(canonical(make_not(lt(i, make_int(3, dtypes::int32))))), "T.int32(3) <= i");
  Expr vector = make_broadcast(x, 4) * make_float(1, dtypes::float32.with_lanes(4));
  EXPECT_EQ(to_string(canonical(vector)), "T.Broadcast(x, 4)");
}

TEST_F(Rules, LosslessCastsJoin) {
  DType all[] = {dtypes::boolean, dtypes::int8,    dtypes::uint8,    dtypes::int16,  dtypes::uint16,
                 dtypes::int32,   dtypes::float16, dtypes::bfloat16, dtypes::float32};
  for (DType from : all) {
    for (DType through : all) {
      for (DType to : all) {
        Var v = make_var("v", from, VarRole::let);
        Expr e = make_cast(to, make_cast(through, v));
        Expr joined = apply_rules(e);
        if (joined == e) continue;
        for (int64_t n = -300; n <= 300; n += 3) {
          Scalar value = from.is_float() ? Scalar::of_float(static_cast<double>(n) * 0.75, from)
                                         : Scalar::of_int(n, from);
          auto lookup = [&](const Var&) { return std::optional(value); };
          ASSERT_EQ(evaluate(e, lookup), evaluate(joined, lookup)) << to_string(e) << " " << n;
        }
      }
    }
  }
}

}  // namespace
}  // namespace repose
