// Reads conditions, tries them.
#include "condition_text.h"

#include <algorithm>
#include <map>
#include <optional>

#include "expr/facts.h"
#include "memory/sample.h"
#include "script/parser.h"

namespace repose::cli {

namespace {

// Sizes are tried up to this many times the largest number that a condition mentions: what it says
// of sizes repeats itself by then.
constexpr int64_t times_largest = 8;
constexpr int64_t least_tried = 4096, most_tried = int64_t{1} << 18;
constexpr size_t most_shown = 3;  // runs of sizes

// x == min(x, y): x <= y.
Expr simpler(const Expr& condition) {
  return rewrite(condition, [](const Expr& e) -> Expr {
    if (e->kind != ExprKind::eq) return e;
    for (const int side : {0, 1}) {
      const Expr &x = e->args[side], &other = e->args[1 - side];
      if (other->kind != ExprKind::min && other->kind != ExprKind::max) continue;
      for (const int k : {0, 1}) {
        if (!structural_equal(other->args[k], x)) continue;
        const Expr& y = other->args[1 - k];
        return other->kind == ExprKind::min ? le(x, y) : le(y, x);
      }
    }
    return e;
  });
}

void add_possibilities(const Expr& condition, std::vector<Expr>& parts) {
  if (condition->kind != ExprKind::logical_or) return parts.push_back(condition);
  for (const Expr& side : condition->args) add_possibilities(side, parts);
}

// What several sizes broadcast to: select(a == 1, select(b == 1, c, b), a).
std::string size_text(const Expr& size) {
  std::vector<std::string> sizes;
  Expr rest = size;
  while (rest->kind == ExprKind::select &&
         structural_equal(rest->args[0], eq(rest->args[2], make_int(1)))) {
    sizes.push_back(to_string(rest->args[2]));
    rest = rest->args[1];
  }
  if (sizes.empty()) return to_string(size);
  sizes.push_back(to_string(rest));
  return fmt::format("the first of {} that is not 1", fmt::join(sizes, ", "));
}

// What a broadcast asks for: a == b or a == 1 or b == 1, in any order, or without one of the last.
std::optional<std::string> broadcast_text(const Expr& condition) {
  std::vector<Expr> parts, ones;
  add_possibilities(condition, parts);
  Expr equal;
  for (const Expr& part : parts) {
    if (part->kind != ExprKind::eq) return std::nullopt;
    const Expr &a = part->args[0], &b = part->args[1];
    if (is_const_int(a, 1) || is_const_int(b, 1)) {
      ones.push_back(is_const_int(a, 1) ? b : a);
    } else if (equal) {
      return std::nullopt;
    } else {
      equal = part;
    }
  }
  if (!equal || ones.empty() || ones.size() > 2) return std::nullopt;
  const bool is_first = structural_equal(ones[0], equal->args[0]);
  const Expr &one = equal->args[is_first ? 0 : 1], &other = equal->args[is_first ? 1 : 0];
  if (!structural_equal(ones[0], one)) return std::nullopt;
  if (ones.size() == 1) return fmt::format("{} is {} or 1", size_text(one), size_text(other));
  if (!structural_equal(ones[1], other)) return std::nullopt;
  return fmt::format("{} and {} are equal, or one of them is 1", size_text(equal->args[0]),
                     size_text(equal->args[1]));
}

struct Run {
  int64_t first, last;
};

std::vector<Run> runs_of(const std::vector<bool>& allowed) {
  std::vector<Run> runs;
  for (size_t n = 0; n < allowed.size(); ++n) {
    if (!allowed[n]) continue;
    const auto size = static_cast<int64_t>(n);
    if (runs.empty() || runs.back().last + 1 < size) runs.push_back({size, size});
    runs.back().last = size;
  }
  return runs;
}

// After how many sizes what is allowed repeats itself, but for a first quarter; 0: it doesn't.
size_t period_of(const std::vector<bool>& allowed) {
  const size_t n = allowed.size();
  for (size_t period = 2; period <= n / 4; ++period) {
    bool repeats = true;
    for (size_t i = n / 4; repeats && i + period < n; ++i) {
      repeats = allowed[i] == allowed[i + period];
    }
    if (repeats) return period;
  }
  return 0;
}

std::string text_of(const Run& run) {
  return run.first == run.last ? fmt::format("{}", run.first)
                               : fmt::format("{}..{}", run.first, run.last);
}

// Which sizes of `name` are allowed, of those that were tried. Nothing where that follows no
// pattern that can be said.
std::optional<std::string> allowed_text(const std::string& name, const std::vector<bool>& allowed) {
  const std::vector<Run> runs = runs_of(allowed);
  const auto end = static_cast<int64_t>(allowed.size()) - 1;
  if (runs.empty()) return std::nullopt;
  if (runs.size() == 1) {
    const auto [first, last] = runs[0];
    if (last == end) return fmt::format("{} >= {}", name, first);
    if (first == 0) return fmt::format("{} <= {}", name, last);
    if (first == last) return fmt::format("{} == {}", name, first);
    return fmt::format("{} <= {} <= {}", first, name, last);
  }
  if (runs.back().last < end / 2) {
    if (runs.size() > most_shown) return std::nullopt;
    std::string text = name + ": ";
    for (const Run& run : runs) text += (run.first == runs[0].first ? "" : ", ") + text_of(run);
    return text;
  }
  const auto period = static_cast<int64_t>(period_of(allowed));
  if (period == 0) return std::nullopt;
  const bool are_multiples = std::all_of(runs.begin(), runs.end(), [&](const Run& run) {
    return run.first == run.last && run.first % period == 0;
  });
  if (are_multiples && runs[0].first <= period) {
    return fmt::format("{}: a multiple of {}{}", name, period, runs[0].first > 0 ? " above 0" : "");
  }
  std::string text = name + ": ";
  for (size_t i = 0; i < most_shown; ++i) text += text_of(runs[i]) + ", ";
  return text + fmt::format("… (every {})", period);
}

// What several conditions of one symbol allow.
std::optional<std::string> meaning(const Var& symbol, const std::vector<Expr>& conditions) {
  int64_t largest = 0;
  for (const Expr& condition : conditions) {
    visit(condition, [&](const Expr& e) {
      int64_t value = 0;
      if (as_const_int(e, &value)) largest = std::max(largest, value < 0 ? -(value + 1) : value);
      return true;
    });
  }
  if (largest > most_tried / times_largest) return std::nullopt;
  const int64_t tried = std::max(least_tried, times_largest * largest);
  std::vector<bool> allowed;
  for (int64_t n = 0; n <= tried; ++n) {
    const SymbolValues values{{symbol.get(), n}};
    allowed.push_back(std::all_of(conditions.begin(), conditions.end(), [&](const Expr& c) {
      return evaluate(c, values).value_or(0) != 0;
    }));
  }
  return allowed_text(symbol->name, allowed);
}

}  // namespace

std::vector<std::string> condition_lines(const std::vector<std::string>& conditions) {
  std::map<std::string, Var> symbols;
  std::vector<std::string> lines;
  struct OfOne {
    std::vector<Expr> conditions;
    std::vector<std::string> texts;
  };
  std::map<std::string, OfOne> alone;
  std::vector<std::string> order;
  for (const std::string& text : conditions) {
    auto parsed = parse_expr(text, [&](std::string_view name) -> Expr {
      auto [it, is_new] = symbols.try_emplace(std::string(name));
      if (is_new) it->second = make_var(it->first);
      return it->second;
    });
    if (!parsed.ok()) {
      lines.push_back(text);
      continue;
    }
    const std::vector<Var> mentioned = free_vars(*parsed);
    if (mentioned.size() != 1) {
      lines.push_back(broadcast_text(*parsed).value_or(to_string(simpler(*parsed))));
      continue;
    }
    OfOne& own = alone[mentioned[0]->name];
    if (own.conditions.empty()) order.push_back(mentioned[0]->name);
    own.conditions.push_back(*parsed);
    own.texts.push_back(to_string(simpler(*parsed)));
  }
  std::vector<std::string> first;
  for (const std::string& name : order) {
    const OfOne& own = alone.at(name);
    if (auto text = meaning(symbols.at(name), own.conditions)) {
      first.push_back(*text);
    } else {
      first.insert(first.end(), own.texts.begin(), own.texts.end());
    }
  }
  lines.insert(lines.begin(), first.begin(), first.end());
  return lines;
}

}  // namespace repose::cli
