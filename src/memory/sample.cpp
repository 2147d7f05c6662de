// Values of symbols at which sizes are compared.
#include "memory/sample.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <unordered_set>

#include "expr/scalar.h"

namespace repose {

namespace {

using Wide = __int128;

int64_t saturate(Wide v) {
  constexpr int64_t low = std::numeric_limits<int64_t>::min();
  constexpr int64_t high = std::numeric_limits<int64_t>::max();
  return v < low ? low : v > high ? high : static_cast<int64_t>(v);
}

int64_t floor_quotient(int64_t a, int64_t b) {
  const Wide q = static_cast<Wide>(a) / b;
  return saturate(static_cast<Wide>(a) % b != 0 && (a < 0) != (b < 0) ? q - 1 : q);
}

std::optional<int64_t> binary(ExprKind kind, int64_t a, int64_t b) {
  if (is_compare(kind)) {
    return eval_binary(kind, Scalar::of_int(a, dtypes::index), Scalar::of_int(b, dtypes::index))->i;
  }
  switch (kind) {
    case ExprKind::add:
      return saturate(static_cast<Wide>(a) + b);
    case ExprKind::sub:
      return saturate(static_cast<Wide>(a) - b);
    case ExprKind::mul:
      return saturate(static_cast<Wide>(a) * b);
    case ExprKind::min:
      return std::min(a, b);
    case ExprKind::max:
      return std::max(a, b);
    case ExprKind::floor_div:
      return b == 0 ? std::nullopt : std::optional(floor_quotient(a, b));
    case ExprKind::floor_mod:
      if (b == 0) return std::nullopt;
      return saturate(a - static_cast<Wide>(floor_quotient(a, b)) * b);
    case ExprKind::div:
      if (b == 0) return std::nullopt;
      return saturate(static_cast<Wide>(a) / b);
    case ExprKind::mod:
      if (b == 0) return std::nullopt;
      return saturate(static_cast<Wide>(a) % b);
    case ExprKind::logical_and:
      return a && b;
    case ExprKind::logical_or:
      return a || b;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<int64_t> evaluate(const Expr& e, const SymbolValues& values) {
  int64_t constant = 0;
  if (as_const_int(e, &constant)) return constant;
  if (const auto* v = as<VarNode>(e)) {
    auto it = values.find(v);
    return it == values.end() ? std::nullopt : std::optional(it->second);
  }
  if (e->kind == ExprKind::select || e->kind == ExprKind::if_then_else) {
    const auto condition = evaluate(e->args[0], values);
    return condition ? evaluate(e->args[*condition ? 1 : 2], values) : std::nullopt;
  }
  if (e->kind == ExprKind::logical_not) {
    const auto a = evaluate(e->args[0], values);
    return a ? std::optional<int64_t>(*a == 0) : std::nullopt;
  }
  if (e->args.size() != 2) return std::nullopt;
  const auto a = evaluate(e->args[0], values), b = evaluate(e->args[1], values);
  return a && b ? binary(e->kind, *a, *b) : std::nullopt;
}

std::optional<int64_t> evaluate_bytes(const Expr& bytes, const SymbolValues& values) {
  constexpr int64_t most = int64_t{1} << 46;
  const auto value = evaluate(bytes, values);
  return value ? std::optional(std::clamp<int64_t>(*value, 0, most)) : std::nullopt;
}

int64_t nearest_value(const Var& v, int64_t wanted, const Facts& facts) {
  const Interval range = facts.range_of(v);
  int64_t s = wanted;
  if (range.upper != Interval::plus_infinity) s = std::min(s, range.upper);
  if (range.lower != Interval::minus_infinity) s = std::max(s, range.lower);
  const int64_t over = ((s - range.remainder) % range.divisor + range.divisor) % range.divisor;
  return s - over >= range.lower ? s - over : s + range.divisor - over;
}

void evaluate_names(const std::vector<std::pair<Var, Expr>>& names, SymbolValues& values) {
  for (const auto& [name, definition] : names) {
    if (values.contains(name.get())) continue;
    if (const auto value = evaluate(definition, values)) values.emplace(name.get(), *value);
  }
}

namespace {

// Splits symbols into those that no definition stands behind and names, each after what it
// mentions.
class NameOrder {
 public:
  explicit NameOrder(const Facts& facts) : facts_(facts) {}

  std::vector<Var> symbols;
  std::vector<std::pair<Var, Expr>> names;

  void add(const Var& symbol) {
    if (!seen_.insert(symbol.get()).second) return;
    std::vector<Var> open{symbol};  // a name stays until what it mentions was added
    while (!open.empty()) {
      const Var v = open.back();
      const Expr definition = facts_.definition(v.get());
      const size_t before = open.size();
      for (const Var& inner : definition ? free_vars(definition) : std::vector<Var>()) {
        if (seen_.insert(inner.get()).second) open.push_back(inner);
      }
      if (open.size() > before) continue;
      open.pop_back();
      if (definition) {
        names.emplace_back(v, definition);
      } else {
        symbols.push_back(v);
      }
    }
  }

 private:
  const Facts& facts_;
  std::unordered_set<const VarNode*> seen_;
};

}  // namespace

std::vector<SymbolValues> sample_values(const std::vector<Var>& given, const Facts& facts) {
  NameOrder order(facts);
  for (const Var& v : given) order.add(v);
  const std::vector<Var>& symbols = order.symbols;
  constexpr int64_t open_end = 512;  // where a range has no upper bound
  constexpr int drawn = 12;
  constexpr size_t alone = 6;                  // symbols that are also low or high alone
  auto at = [&](const Var& v, double where) {  // 0: low, 1: high, geometric in between
    const Interval range = facts.range_of(v);
    const int64_t low = std::max<int64_t>(1, range.lower);
    const int64_t high = range.upper == Interval::plus_infinity ? std::max(low, open_end)
                                                                : std::max(low, range.upper);
    const double value = std::exp(std::log(static_cast<double>(low)) * (1 - where) +
                                  std::log(static_cast<double>(high)) * where);
    return nearest_value(v, static_cast<int64_t>(std::llround(value)), facts);
  };
  std::vector<SymbolValues> samples;
  auto add = [&](const std::function<double(size_t)>& where) {
    SymbolValues values;
    for (size_t i = 0; i < symbols.size(); ++i) {
      values.emplace(symbols[i].get(), at(symbols[i], where(i)));
    }
    evaluate_names(order.names, values);
    if (std::find(samples.begin(), samples.end(), values) == samples.end()) {
      samples.push_back(std::move(values));
    }
  };
  for (double all : {0.5, 0.0, 0.75, 1.0, 0.25}) add([&](size_t) { return all; });
  for (size_t i = 0; i < std::min(alone, symbols.size()); ++i) {
    add([&](size_t k) { return k == i ? 1.0 : 0.0; });
    add([&](size_t k) { return k == i ? 0.0 : 1.0; });
  }
  std::mt19937 random(1);
  for (int n = 0; n < drawn && !symbols.empty(); ++n) {
    // Not a distribution of the library: its numbers differ between implementations.
    add([&](size_t) { return static_cast<double>(random() % 1001) / 1000.0; });
  }
  return samples;
}

}  // namespace repose
