// The shape identities of real models (identities.txt): that the list is what it says it is, and
// how many of them the prover decides.
#include "expr/identities.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "expr/rules.h"
#include "expr/scalar.h"

namespace repose {
namespace {

const std::vector<Identity>& identities() {
  static const std::vector<Identity> list =
      read_identities(std::string(REPOSE_TESTS_DIR) + "/expr/identities.txt");
  return list;
}

std::string where(const Identity& i) {
  return "identities.txt:" + std::to_string(i.line) + ": " + i.operator_name + ": " + i.text;
}

TEST(Identities, AreTwoHundredOfWhichFortyAreFalse) {
  std::map<std::string, int> families;
  int falses = 0;
  for (const Identity& i : identities()) {
    families[i.family]++;
    falses += !i.holds;
    EXPECT_FALSE(i.operator_name.empty()) << where(i);
  }
  EXPECT_EQ(identities().size(), 200u);
  EXPECT_EQ(falses, 40);
  EXPECT_GE(families.size(), 8u);
  for (const auto& [name, count] : families) EXPECT_GE(count, 20) << name;
}

// ---- Truth, by trying assignments ---------------------------------------------------------------

// Some values of a symbol: the first ones, then ever sparser ones.
std::vector<int64_t> values_of(const Interval& range, size_t symbols) {
  static const size_t counts[] = {1, 400, 80, 18, 9, 5, 4, 3, 3};
  const size_t count = counts[std::min<size_t>(symbols, 8)];
  std::vector<int64_t> values;
  int64_t value = (range.lower + range.divisor - 1) / range.divisor * range.divisor;
  for (size_t i = 0; i < count && value <= range.upper; ++i) {
    values.push_back(value);
    size_t dense = std::max<size_t>(count * 2 / 3, 3);
    value += range.divisor * (i < dense ? 1 : static_cast<int64_t>(i - dense) * 5 + 3);
  }
  return values;
}

struct Outcome {
  int trues = 0, falses = 0;
};

class Tester {
 public:
  explicit Tester(const Identity& identity) : identity_(identity) {
    for (const Interval& r : identity.ranges) {
      choices_.push_back(values_of(r, identity.symbols.size()));
    }
    values_.resize(choices_.size());
  }

  Outcome run() {
    each(0);
    return outcome_;
  }

 private:
  bool holds(const Expr& condition) {
    auto value = evaluate(condition, [&](const Var& v) -> std::optional<Scalar> {
      for (size_t i = 0; i < values_.size(); ++i) {
        if (identity_.symbols[i] == v) return Scalar{dtypes::index, values_[i], 0};
      }
      return std::nullopt;
    });
    EXPECT_TRUE(value) << where(identity_) << ": " << to_string(condition) << " has no value";
    return value && value->i;
  }

  void each(size_t symbol) {
    if (symbol < values_.size()) {
      for (int64_t v : choices_[symbol]) {
        values_[symbol] = v;
        each(symbol + 1);
      }
      return;
    }
    for (const Expr& c : identity_.conditions) {
      if (!holds(c)) return;
    }
    (holds(identity_.statement) ? outcome_.trues : outcome_.falses)++;
  }

  const Identity& identity_;
  std::vector<std::vector<int64_t>> choices_;
  std::vector<int64_t> values_;
  Outcome outcome_;
};

TEST(Identities, AreTrueOrFalseOfEveryAssignmentTried) {
  for (const Identity& i : identities()) {
    Outcome outcome = Tester(i).run();
    EXPECT_GE(i.holds ? outcome.trues : outcome.falses, 3) << where(i);
    EXPECT_EQ(i.holds ? outcome.falses : outcome.trues, 0) << where(i);
  }
}

// ---- No two equal up to renaming ----------------------------------------------------------------

void flatten(ExprKind kind, const Expr& e, std::vector<std::string>& parts);

// Text in which operands of commutative operators are sorted, chains of them as one list, and
// a > b is b < a.
std::string normal_text(const Expr& e) {
  if (e->args.empty()) return to_string(e);
  std::vector<std::string> parts;
  ExprKind kind = e->kind;
  if (is_commutative(kind)) {
    flatten(kind, e, parts);
    std::sort(parts.begin(), parts.end());
  } else {
    for (const Expr& a : e->args) parts.push_back(normal_text(a));
    if (kind == ExprKind::gt || kind == ExprKind::ge) {
      std::swap(parts[0], parts[1]);
      kind = kind == ExprKind::gt ? ExprKind::lt : ExprKind::le;
    }
  }
  std::string text = std::string(kind_spelling(kind)) + "(";
  for (const std::string& p : parts) text += p + ", ";
  return text + ")";
}

void flatten(ExprKind kind, const Expr& e, std::vector<std::string>& parts) {
  if (e->kind != kind || is_compare(kind)) {
    if (!is_compare(kind)) {
      parts.push_back(normal_text(e));
    } else {
      for (const Expr& a : e->args) parts.push_back(normal_text(a));
    }
    return;
  }
  for (const Expr& a : e->args) flatten(kind, a, parts);
}

// Facts and statement, symbols named by `names` in the identity's order.
std::string renamed_text(const Identity& i, const std::vector<Var>& names) {
  VarMap map;
  std::set<std::string> facts;
  for (size_t k = 0; k < names.size(); ++k) {
    map[i.symbols[k].get()] = names[k];
    const Interval& r = i.ranges[k];
    facts.insert(names[k]->name + ": " + std::to_string(r.lower) + " " + std::to_string(r.upper) +
                 " " + std::to_string(r.divisor));
  }
  for (const Expr& c : i.conditions) facts.insert(normal_text(substitute(c, map)));
  std::string text;
  for (const std::string& f : facts) text += f + "; ";
  return text + normal_text(substitute(i.statement, map));
}

// What renaming doesn't change: a cheap test before every renaming is tried.
std::string anonymous_text(const Identity& i) {
  std::string text = renamed_text(i, std::vector<Var>(i.symbols.size(), make_var("_")));
  std::sort(text.begin(), text.end());
  return text;
}

TEST(Identities, AreDifferentUpToRenaming) {
  std::map<std::string, std::vector<const Identity*>> alike;
  for (const Identity& i : identities()) alike[anonymous_text(i)].push_back(&i);
  for (const auto& [key, group] : alike) {
    if (group.size() < 2) continue;
    std::map<std::string, const Identity*> seen;
    for (const Identity* i : group) {
      std::vector<Var> names;
      for (size_t k = 0; k < i->symbols.size(); ++k)
        names.push_back(make_var(std::string(1, static_cast<char>('a' + k))));
      std::string least;
      std::vector<size_t> order(names.size());
      for (size_t k = 0; k < order.size(); ++k) order[k] = k;
      do {
        std::vector<Var> permuted;
        for (size_t k : order) permuted.push_back(names[k]);
        std::string text = renamed_text(*i, permuted);
        if (least.empty() || text < least) least = text;
      } while (std::next_permutation(order.begin(), order.end()));
      auto [it, fresh] = seen.emplace(least, i);
      EXPECT_TRUE(fresh) << where(*it->second) << "\n" << where(*i);
    }
  }
}

TEST(Identities, TheSameUnderOtherNamesIsFound) {
  // What the test above relies on.
  Var x = make_var("x"), y = make_var("y"), p = make_var("p"), q = make_var("q");
  Identity one, two;
  one.symbols = {x, y};
  one.ranges = {{1, 9}, {0, 9}};
  one.conditions = {lt(x, y)};
  one.statement = le(Expr(x) * y + 1, y);
  two.symbols = {p, q};
  two.ranges = {{0, 9}, {1, 9}};
  two.conditions = {make_binary(ExprKind::gt, p, q)};
  two.statement = le(make_int(1) + Expr(p) * q, p);
  EXPECT_EQ(anonymous_text(one), anonymous_text(two));
  EXPECT_EQ(renamed_text(one, {x, y}), renamed_text(two, {y, x}));
  EXPECT_NE(renamed_text(one, {x, y}), renamed_text(two, {x, y}));
}

// ---- The prover ---------------------------------------------------------------------------------

TEST(Identities, AreDecided) {
  int decided = 0;
  for (const Identity& i : identities()) {
    Truth answer = prove(i.statement, i.facts());
    EXPECT_NE(answer, i.holds ? Truth::no : Truth::yes) << where(i);
    decided += answer != Truth::unknown;
    if (answer == Truth::unknown && getenv("REPOSE_SHOW_UNDECIDED")) {
      printf("%s\n", where(i).c_str());
    }
  }
  printf("%d of %zu identities decided\n", decided, identities().size());
  EXPECT_EQ(decided, 200);
}

}  // namespace
}  // namespace repose
