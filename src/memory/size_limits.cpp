// Upper bounds of sizes that the data decides.
#include "memory/size_limits.h"

#include "ir/function_facts.h"

namespace repose {

SizeLimits::SizeLimits(const graph::Function& f, const Liveness& live, const Facts& facts)
    : live_(live), facts_(facts) {
  graph::visit_bindings(f->body, false, [&](const graph::Binding& b) {
    if (const Expr condition = check_condition(b.value)) {
      checks_.push_back({live.positions.at(b.var.get()), canonical(condition)});
    }
  });
}

bool SizeLimits::known_at_entry(const Expr& e) const {
  for (const Var& v : free_vars(e)) {
    auto it = live_.symbol_positions.find(v.get());
    if (it == live_.symbol_positions.end() || it->second != 0) return false;
  }
  return true;
}

std::optional<Expr> SizeLimits::limit_of(const Var& v, int position) const {
  for (const Check& check : checks_) {
    const Expr& c = check.condition;
    if (check.position < position && c->kind == ExprKind::le && c->args[0] == v &&
        known_at_entry(c->args[1])) {
      return c->args[1];
    }
  }
  const Interval range = facts_.range_of(v);
  if (range.upper == Interval::plus_infinity) return std::nullopt;
  return make_int(range.upper);
}

std::optional<Expr> SizeLimits::limit(const Expr& bytes, int position) const {
  VarMap limits;
  for (const Var& v : free_vars(bytes)) {
    if (known_at_entry(v)) continue;
    const std::optional<Expr> most = limit_of(v, position);
    if (!most) return std::nullopt;
    limits.emplace(v.get(), *most);
  }
  // A size need not grow with each of its symbols: that is proven, not assumed.
  const Expr larger = canonical(substitute(bytes, limits));
  Facts facts = facts_;
  for (const Check& check : checks_) {
    if (check.position < position) facts.assume(check.condition);
  }
  if (prove_le(bytes, larger, facts) != Truth::yes) return std::nullopt;
  return larger;
}

}  // namespace repose
