// Random statements, as their header describes.
#include "expr/random_statement.h"

#include <algorithm>

#include "expr/polynomial.h"

namespace repose {

namespace {

constexpr size_t max_assignments = 1500;

ExprKind comparison_kind(int64_t i) {
  return static_cast<ExprKind>(static_cast<int>(ExprKind::eq) + i);
}

bool compute(ExprKind kind, int64_t a, int64_t b, int64_t* out) {
  switch (kind) {
    case ExprKind::add:
      return !__builtin_add_overflow(a, b, out);
    case ExprKind::sub:
      return !__builtin_sub_overflow(a, b, out);
    case ExprKind::mul:
      return !__builtin_mul_overflow(a, b, out);
    case ExprKind::floor_div:
      if (b == 0) return false;
      *out = b > 0 ? floor_quotient(a, b) : floor_quotient(-a, -b);
      return true;
    case ExprKind::floor_mod:
      if (b == 0) return false;
      *out = b > 0 ? floor_remainder(a, b) : -floor_remainder(-a, -b);
      return true;
    case ExprKind::min:
      return *out = std::min(a, b), true;
    case ExprKind::max:
      return *out = std::max(a, b), true;
    case ExprKind::eq:
      return *out = a == b, true;
    case ExprKind::ne:
      return *out = a != b, true;
    case ExprKind::lt:
      return *out = a < b, true;
    case ExprKind::le:
      return *out = a <= b, true;
    case ExprKind::gt:
      return *out = a > b, true;
    case ExprKind::ge:
      return *out = a >= b, true;
    default:
      REPOSE_CHECK(false, "the grammar has no such node");
  }
}

}  // namespace

std::string Statement::to_string() const {
  std::string text = repose::to_string(condition) + "  [";
  for (size_t i = 0; i < symbols.size(); ++i) {
    const Interval& r = ranges[i];
    text += symbols[i]->name + " in " + std::to_string(r.lower) + "..";
    if (r.upper != Interval::plus_infinity) text += std::to_string(r.upper);
    if (r.divisor > 1) {
      text += " % " + std::to_string(r.divisor) + " = " + std::to_string(r.remainder);
    }
    text += "; ";
  }
  for (const Expr& c : conditions) text += repose::to_string(c) + "; ";
  return text + "]";
}

// ---- Assignments --------------------------------------------------------------------------------

void RandomStatement::enumerate(const std::vector<Interval>& ranges) {
  columns_.assign(ranges.size(), {});
  std::vector<int64_t> values(ranges.size());
  auto each = [&](auto& self, size_t i) -> void {
    if (i == ranges.size()) {
      for (size_t k = 0; k < values.size(); ++k) columns_[k].push_back(values[k]);
      return;
    }
    for (int64_t v = ranges[i].lower; v <= ranges[i].upper; ++v) {
      values[i] = v;
      if (ranges[i].contains(v)) self(self, i + 1);
    }
  };
  each(each, 0);
}

void RandomStatement::keep(const Column& condition) {
  for (auto& column : columns_) {
    size_t kept = 0;
    for (size_t i = 0; i < column.size(); ++i) {
      if (condition.valid[i] && condition.value[i]) column[kept++] = column[i];
    }
    column.resize(kept);
  }
}

Column RandomStatement::evaluate(const Expr& e) const {
  const size_t n = assignment_count();
  Column out{std::vector<int64_t>(n), std::vector<uint8_t>(n, 1)};
  if (const auto* imm = as<IntImmNode>(e)) {
    std::fill(out.value.begin(), out.value.end(), imm->value);
    return out;
  }
  if (e->kind == ExprKind::var) {
    size_t k = 0;
    while (symbols_[k].get() != e.get()) ++k;
    out.value = columns_[k];
    return out;
  }
  std::vector<Column> args;
  for (const Expr& a : e->args) args.push_back(evaluate(a));
  for (size_t i = 0; i < n; ++i) {
    bool valid = args[0].valid[i];
    int64_t a = args[0].value[i];
    switch (e->kind) {
      case ExprKind::logical_not:
        out.value[i] = !a;
        break;
      case ExprKind::logical_and:
      case ExprKind::logical_or:
        out.value[i] = a;
        if ((a != 0) == (e->kind == ExprKind::logical_and)) {
          valid = valid && args[1].valid[i];
          out.value[i] = args[1].value[i];
        }
        break;
      case ExprKind::select:
        valid = valid && args[1].valid[i] && args[2].valid[i];
        out.value[i] = args[a ? 1 : 2].value[i];
        break;
      default:
        valid = valid && args[1].valid[i] && compute(e->kind, a, args[1].value[i], &out.value[i]);
    }
    out.valid[i] = valid;
  }
  return out;
}

// ---- Expressions --------------------------------------------------------------------------------

Expr RandomStatement::leaf() {
  if (number(0, 2) == 0) return make_int(number(-5, 12));
  return symbols_[static_cast<size_t>(number(0, static_cast<int64_t>(symbols_.size()) - 1))];
}

Expr RandomStatement::index(int depth) {
  if (depth <= 0) return leaf();
  auto below = [&] { return index(depth - 1); };
  switch (number(linear_ ? 2 : 0, 12)) {
    case 0:
      return below() * below();
    case 1:
      return number(0, 1) ? floor_div(below(), below()) : floor_mod(below(), below());
    case 2:
    case 3:
      return below() + below();
    case 4:
      return below() - below();
    case 5:
      return below() * make_int(number(-4, 8));
    case 6:
    case 7:
      return floor_div(below(), make_int(number(1, 9)));
    case 8:
      return floor_mod(below(), make_int(number(1, 9)));
    case 9:
      return min(below(), below());
    case 10:
      return max(below(), below());
    case 11:
      return make_select(condition(depth - 1), below(), below());
    default:
      return leaf();
  }
}

Expr RandomStatement::comparison(int depth) {
  return make_binary(comparison_kind(number(0, 5)), index(depth), index(depth));
}

Expr RandomStatement::condition(int depth) {
  int64_t pick = depth > 0 ? number(0, 8) : 0;
  if (pick <= 5) return comparison(std::max(depth - 1, 0));
  if (pick == 6) return logical_and(condition(depth - 1), condition(depth - 1));
  if (pick == 7) return logical_or(condition(depth - 1), condition(depth - 1));
  return make_not(condition(depth - 1));
}

Expr RandomStatement::rewritten(const Expr& e, int depth) {
  if (e->args.empty() || depth == 0) {
    int64_t c = number(2, 9);
    if (number(0, 2) || e->kind == ExprKind::int_imm) return e;
    return floor_div(e, make_int(c)) * c + floor_mod(e, make_int(c));
  }
  std::vector<Expr> args;
  for (const Expr& a : e->args) {
    args.push_back(a->dtype == dtypes::index ? rewritten(a, depth - 1) : a);
  }
  int64_t way = number(0, 2);
  switch (e->kind) {
    case ExprKind::add:
      return args[1] + args[0];
    case ExprKind::sub:
      return way ? args[0] + args[1] * -1 : (args[0] + 3) - (args[1] + 3);
    case ExprKind::mul:
      if (args[0]->kind == ExprKind::add && way) {
        return args[1] * args[0]->args[1] + args[0]->args[0] * args[1];
      }
      return args[1] * args[0];
    case ExprKind::floor_div:
      if (way == 0) return floor_div(args[0] + args[1], args[1]) - 1;
      return way == 1 ? floor_div(args[0] * 2, args[1] * 2) : floor_div(args[0], args[1]);
    case ExprKind::floor_mod:
      return way ? args[0] - floor_div(args[0], args[1]) * args[1]
                 : floor_mod(args[0] + args[1] * 2, args[1]);
    case ExprKind::min:
      return way ? args[0] + args[1] - max(args[0], args[1])
                 : make_select(lt(args[1], args[0]), args[1], args[0]);
    case ExprKind::max:
      return way ? args[0] + args[1] - min(args[0], args[1])
                 : make_select(le(args[1], args[0]), args[0], args[1]);
    case ExprKind::select:
      return make_select(make_not(args[0]), args[2], args[1]);
    default:
      return with_args(e, args);
  }
}

Expr RandomStatement::against_extreme(const Expr& e) {
  Column column = evaluate(e);
  bool found = false;
  int64_t least = 0, greatest = 0;
  for (size_t i = 0; i < column.value.size(); ++i) {
    if (!column.valid[i]) continue;
    least = found ? std::min(least, column.value[i]) : column.value[i];
    greatest = found ? std::max(greatest, column.value[i]) : column.value[i];
    found = true;
  }
  int64_t limit = number(0, 1) ? least : greatest;
  return make_binary(comparison_kind(number(0, 5)), e, make_int(limit + number(-1, 1)));
}

// ---- Statements ---------------------------------------------------------------------------------

void RandomStatement::scene(Statement& s) {
  symbols_.clear();
  const int64_t count = number(2, 3);
  int64_t room = max_assignments;
  std::vector<Interval> tried;
  s.bounded = true;
  for (int64_t i = 0; i < count; ++i) {
    bool dimension = number(0, 1);
    symbols_.push_back(make_var(std::string(1, static_cast<char>('a' + i)), dtypes::index,
                                dimension ? VarRole::dimension : VarRole::value));
    int64_t low = number(dimension ? 0 : -6, 8);
    int64_t width = number(1, std::min<int64_t>(60, room));
    if (number(0, 1)) width = std::min<int64_t>(width, number(1, 9));
    room /= width;
    Interval r{low, low + width - 1};
    if (number(0, 3) == 0) {
      r.divisor = number(2, 8);
      r.remainder = number(0, r.divisor - 1);
    }
    tried.push_back(r);
    if (number(0, 5) == 0) {
      r.upper = Interval::plus_infinity;
      s.bounded = false;
    }
    s.ranges.push_back(r);
    s.facts.restrict(symbols_.back(), r);
  }
  s.symbols = symbols_;
  enumerate(tried);
  for (int64_t i = number(-2, 2); i > 0; --i) {
    Expr fact = number(0, 3) ? comparison(1) : logical_or(comparison(1), comparison(1));
    Column column = evaluate(fact);
    bool possible = false;
    for (size_t k = 0; k < column.value.size(); ++k) {
      possible = possible || (column.valid[k] && column.value[k]);
    }
    if (!possible) continue;
    keep(column);
    s.conditions.push_back(fact);
    s.facts.assume(fact);
  }
}

Statement RandomStatement::next() {
  Statement s;
  linear_ = s.linear = number(0, 1);
  scene(s);
  s.sort = static_cast<Statement::Sort>(number(0, 3));
  switch (s.sort) {
    case Statement::Sort::any:
      s.condition = condition(3);
      break;
    case Statement::Sort::extreme:
      s.condition = against_extreme(index(3));
      break;
    case Statement::Sort::relation:
      s.condition = against_extreme(index(2) - index(2));
      break;
    case Statement::Sort::rewritten: {
      Expr e = index(3), other = rewritten(e, 3);
      if (number(0, 3) == 0) other = other + number(-2, 2);
      s.condition = make_binary(comparison_kind(number(0, 5)), e, other);
      break;
    }
  }
  s.truth = evaluate(s.condition);
  return s;
}

}  // namespace repose
