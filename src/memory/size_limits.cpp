// Upper bounds of sizes that the data decides.
#include "memory/size_limits.h"

#include "ir/function_facts.h"

namespace repose {

namespace {

constexpr int max_depth = 4;  // limits of limits: a count of what a count left

}  // namespace

SizeLimits::SizeLimits(const graph::Function& f, const Liveness& live, const Facts& facts)
    : live_(live), facts_(facts) {
  graph::visit_bindings(f->body, false, [&](const graph::Binding& b) {
    if (const Expr condition = check_condition(b.value)) {
      add_check(live.positions.at(b.var.get()), canonical(condition));
    }
  });
}

void SizeLimits::add_check(int position, const Expr& condition) {
  if (condition->kind == ExprKind::logical_and) {
    for (const Expr& part : condition->args) add_check(position, part);
  } else {
    checks_.push_back({position, condition});
  }
}

bool SizeLimits::known_at_entry(const Expr& e) const {
  for (const Var& v : free_vars(e)) {
    auto it = live_.symbol_positions.find(v.get());
    if (it == live_.symbol_positions.end() || it->second != 0) return false;
  }
  return true;
}

std::optional<Expr> SizeLimits::limit_of(const Var& v, int position, int depth) const {
  for (const Check& check : checks_) {
    const Expr& c = check.condition;
    if (check.position >= position || c->kind != ExprKind::le) continue;
    // left <= right says that v <= right - left + v; a limit where v is gone from that.
    const Expr most = canonical(c->args[1] - c->args[0] + v);
    if (uses_var(most, v)) continue;
    if (auto limit = limit_at(most, position, depth + 1)) return limit;
  }
  const Interval range = facts_.range_of(v);
  if (range.upper == Interval::plus_infinity) return std::nullopt;
  return make_int(range.upper);
}

std::optional<Expr> SizeLimits::limit(const Expr& bytes, int position) const {
  return limit_at(bytes, position, 0);
}

std::optional<Expr> SizeLimits::limit_at(const Expr& e, int position, int depth) const {
  if (known_at_entry(e)) return e;
  if (depth > max_depth) return std::nullopt;
  VarMap limits;
  for (const Var& v : free_vars(e)) {
    if (known_at_entry(v)) continue;
    const std::optional<Expr> most = limit_of(v, position, depth);
    if (!most) return std::nullopt;
    limits.emplace(v.get(), *most);
  }
  // It need not grow with each of its symbols: that is proven, not assumed.
  Expr larger = canonical(substitute(e, limits));
  Facts facts = facts_;
  for (const Check& check : checks_) {
    if (check.position < position) facts.assume(check.condition);
  }
  if (prove_le(e, larger, facts) != Truth::yes) return std::nullopt;
  return larger;
}

}  // namespace repose
