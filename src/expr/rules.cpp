// Reads the patterns of rules.def once, and matches them.
#include "expr/rules.h"

#include <array>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "expr/scalar.h"

namespace repose {

namespace {

constexpr Rule rules[] = {
#define RULE(rule_class, before, after, condition) \
  {RuleClass::rule_class, before, after, condition},
#include "expr/rules.def"
};

constexpr std::string_view wildcard_names = "xyzcdpqr";
constexpr size_t wildcard_count = wildcard_names.size();
bool is_constant_wildcard(size_t i) {
  return i == 3 || i == 4;
}
bool is_condition_wildcard(size_t i) {
  return i >= 5;
}

struct Pattern {
  enum class Kind : uint8_t { wildcard, number, boolean, node };
  Kind kind;
  size_t wildcard = 0;
  double number = 0;
  ExprKind node = ExprKind::add;
  Intrinsic intrinsic = Intrinsic::exp;
  std::vector<Pattern> args = {};
};

// ---- Reading ----------------------------------------------------------------------------------

struct Operator {
  std::string_view spelling;
  ExprKind kind;
  int level;
};
// Longer spellings first.
constexpr Operator operators[] = {
    {"or", ExprKind::logical_or, 1}, {"and", ExprKind::logical_and, 2}, {"==", ExprKind::eq, 4},
    {"!=", ExprKind::ne, 4},         {"<=", ExprKind::le, 4},           {">=", ExprKind::ge, 4},
    {"<<", ExprKind::shift_left, 8}, {">>", ExprKind::shift_right, 8},  {"<", ExprKind::lt, 4},
    {">", ExprKind::gt, 4},          {"|", ExprKind::bit_or, 5},        {"^", ExprKind::bit_xor, 6},
    {"&", ExprKind::bit_and, 7},     {"+", ExprKind::add, 9},           {"-", ExprKind::sub, 9},
    {"*", ExprKind::mul, 10},        {"//", ExprKind::floor_div, 10},   {"/", ExprKind::div, 10},
    {"%", ExprKind::floor_mod, 10},
};
constexpr int level_not = 3;

class PatternReader {
 public:
  explicit PatternReader(std::string_view text) : text_(text) {}

  Pattern read() {
    Pattern p = expression(0);
    skip();
    REPOSE_CHECK(at_ == text_.size(), fmt::format("pattern `{}`", text_));
    return p;
  }

 private:
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(std::string_view s) {
    skip();
    if (!text_.substr(at_).starts_with(s)) return false;
    at_ += s.size();
    return true;
  }

  static Pattern node(ExprKind kind, std::vector<Pattern> args) {
    Pattern p{Pattern::Kind::node};
    p.node = kind;
    p.args = std::move(args);
    return p;
  }

  const Operator* next_operator() {
    skip();
    for (const Operator& op : operators) {
      if (text_.substr(at_).starts_with(op.spelling)) return &op;
    }
    return nullptr;
  }

  Pattern expression(int level) {
    Pattern left = prefix();
    while (const Operator* op = next_operator()) {
      if (op->level < level) break;
      at_ += op->spelling.size();
      Pattern right = expression(op->level + 1);
      left = node(op->kind, {std::move(left), std::move(right)});
    }
    return left;
  }

  Pattern prefix() {
    if (take("not ")) return node(ExprKind::logical_not, {expression(level_not)});
    if (take("~")) return node(ExprKind::bit_not, {prefix()});
    if (take("(")) {
      Pattern p = expression(0);
      REPOSE_CHECK(take(")"), fmt::format("pattern `{}`", text_));
      return p;
    }
    skip();
    bool negative = take("-");
    if (std::isdigit(static_cast<unsigned char>(text_[at_]))) {
      Pattern p{Pattern::Kind::number};
      p.number = text_[at_++] - '0';  // one digit is all the rules need
      if (negative) p.number = -p.number;
      return p;
    }
    return named();
  }

  Pattern named() {
    size_t begin = at_;
    while (at_ < text_.size() && std::isalnum(static_cast<unsigned char>(text_[at_]))) ++at_;
    std::string_view name = text_.substr(begin, at_ - begin);
    if (name == "true" || name == "false") {
      Pattern p{Pattern::Kind::boolean};
      p.number = name == "true";
      return p;
    }
    if (!take("(")) {
      REPOSE_CHECK(name.size() == 1 && wildcard_names.find(name) != std::string_view::npos,
                   fmt::format("pattern `{}`", text_));
      Pattern p{Pattern::Kind::wildcard};
      p.wildcard = wildcard_names.find(name);
      return p;
    }
    std::vector<Pattern> args;
    do args.push_back(expression(0));
    while (take(","));
    REPOSE_CHECK(take(")"), fmt::format("pattern `{}`", text_));
    if (name == "min") return node(ExprKind::min, std::move(args));
    if (name == "max") return node(ExprKind::max, std::move(args));
    if (name == "truncdiv") return node(ExprKind::div, std::move(args));
    if (name == "truncmod") return node(ExprKind::mod, std::move(args));
    if (name == "select") return node(ExprKind::select, std::move(args));
    Pattern p = node(ExprKind::call, std::move(args));
    REPOSE_CHECK(find_intrinsic(name, &p.intrinsic), fmt::format("pattern `{}`", text_));
    return p;
  }

  std::string_view text_;
  size_t at_ = 0;
};

struct ReadRule {
  RuleClass rule_class;
  Pattern before;
  Pattern after;
  std::optional<Pattern> condition;
};

ReadRule read_rule(const Rule& rule) {
  ReadRule r{
      rule.rule_class, PatternReader(rule.before).read(), PatternReader(rule.after).read(), {}};
  if (*rule.condition) r.condition = PatternReader(rule.condition).read();
  return r;
}

// By the kind of the root.
using RuleTable = std::map<ExprKind, std::vector<ReadRule>>;

const RuleTable& rule_table() {
  static const RuleTable table = [] {
    RuleTable t;
    for (const Rule& rule : rules) {
      ReadRule r = read_rule(rule);
      ExprKind root = r.before.node;
      t[root].push_back(std::move(r));
    }
    return t;
  }();
  return table;
}

// ---- Matching and building ----------------------------------------------------------------------

struct Bindings {
  std::array<Expr, wildcard_count> values;
  DType dtype;  // of x y z c d; none until one is bound
};

const Expr& constant_lane(const Expr& e) {
  return e->kind == ExprKind::broadcast ? e->args[0] : e;
}

bool is_number(const Expr& e, double number) {
  const Expr& c = constant_lane(e);
  if (const auto* f = as<FloatImmNode>(c)) {
    return std::bit_cast<uint64_t>(f->value) == std::bit_cast<uint64_t>(number);
  }
  const auto* i = as<IntImmNode>(c);
  return i && !e->dtype.is_bool() &&
         i->value == Scalar::of_int(static_cast<int64_t>(number), c->dtype).i;
}

bool bind(size_t wildcard, const Expr& e, Bindings& b) {
  Expr& value = b.values[wildcard];
  if (value) return structural_equal(value, e);
  if (is_condition_wildcard(wildcard)) {
    if (!e->dtype.is_bool()) return false;
  } else {
    if (e->dtype.is_bool() || (b.dtype && b.dtype != e->dtype)) return false;
    if (is_constant_wildcard(wildcard) && !is_constant(constant_lane(e))) return false;
    b.dtype = e->dtype;
  }
  value = e;
  return true;
}

bool matches(const Pattern& p, const Expr& e, Bindings& b) {
  switch (p.kind) {
    case Pattern::Kind::wildcard:
      return bind(p.wildcard, e, b);
    case Pattern::Kind::number:
      return is_number(e, p.number);
    case Pattern::Kind::boolean:
      return e->dtype.is_bool() && is_const_int(constant_lane(e), p.number != 0);
    case Pattern::Kind::node:
      break;
  }
  if (e->kind != p.node || e->args.size() != p.args.size()) return false;
  if (e->kind == ExprKind::call && as<CallNode>(e)->intrinsic != p.intrinsic) return false;
  Bindings saved = b;
  bool all = true;
  for (size_t i = 0; i < e->args.size() && all; ++i) all = matches(p.args[i], e->args[i], b);
  if (all) return true;
  b = saved;
  if (!is_commutative(e->kind)) return false;
  if (matches(p.args[0], e->args[1], b) && matches(p.args[1], e->args[0], b)) return true;
  b = std::move(saved);
  return false;
}

// A scalar condition on vectors, or the number of lanes of a condition that stands alone.
struct Builder {
  std::span<const Expr> values;
  DType dtype;
  int lanes;

  Expr build(const Pattern& p) const {
    switch (p.kind) {
      case Pattern::Kind::wildcard:
        return values[p.wildcard];
      case Pattern::Kind::number:
        return make_const(dtype, p.number);
      case Pattern::Kind::boolean:
        return make_broadcast(make_bool(p.number != 0), lanes);
      case Pattern::Kind::node:
        break;
    }
    std::vector<Expr> args;
    for (const Pattern& a : p.args) args.push_back(build(a));
    switch (p.node) {
      case ExprKind::logical_not:
        return make_not(args[0]);
      case ExprKind::bit_not:
        return make_bit_not(args[0]);
      case ExprKind::select:
        return make_select(args[0], args[1], args[2]);
      case ExprKind::call:
        return args.size() == 1 ? make_call(p.intrinsic, args[0])
                                : make_call(p.intrinsic, args[0], args[1]);
      default:
        return make_binary(p.node, args[0], args[1]);
    }
  }
};

// What a rule calculates with: the operands of a comparison, the sides of a choice, the value.
DType operand_dtype(const Expr& e) {
  if (is_compare(e->kind)) return e->args[0]->dtype;
  if (e->kind == ExprKind::logical_not && is_compare(e->args[0]->kind)) {
    return e->args[0]->args[0]->dtype;
  }
  return e->dtype;
}

// A cast of a cast that keeps every value is one cast.
Expr join_casts(const Expr& e) {
  const Expr& inner = e->args[0];
  if (inner->kind != ExprKind::cast) return e;
  DType from = inner->args[0]->dtype.element(), through = inner->dtype.element();
  auto holds = [](DType t) -> std::pair<int, bool> {  // bits of magnitude, sign
    if (t.is_bool()) return {1, false};
    return {t.is_sint() ? t.bits - 1 : t.bits, t.is_sint()};
  };
  bool keeps = false;
  if ((from.is_data_int() || from.is_bool()) && through.is_data_int()) {
    auto [a, a_sign] = holds(from);
    auto [b, b_sign] = holds(through);
    keeps = a <= b && (!a_sign || b_sign);
  } else if (from.is_float() && through.is_float()) {
    keeps = from.bits < through.bits;
    // Powers of two from 2^-127 to 2^127, which few types hold.
    if (from == dtypes::float8_e8m0fnu) keeps = through == dtypes::bfloat16 || through.bits >= 32;
    if (through == dtypes::float8_e8m0fnu) keeps = false;
  }
  return keeps ? make_cast(e->dtype, inner->args[0]) : e;
}

}  // namespace

bool is_commutative(ExprKind kind) {
  switch (kind) {
    case ExprKind::add:
    case ExprKind::mul:
    case ExprKind::min:
    case ExprKind::max:
    case ExprKind::bit_and:
    case ExprKind::bit_or:
    case ExprKind::bit_xor:
    case ExprKind::eq:
    case ExprKind::ne:
    case ExprKind::logical_and:
    case ExprKind::logical_or:
      return true;
    default:
      return false;
  }
}

const char* rule_class_name(RuleClass c) {
  switch (c) {
    case RuleClass::index:
      return "index";
    case RuleClass::data_int:
      return "data_int";
    case RuleClass::ring:
      return "ring";
    case RuleClass::floats:
      return "floats";
    case RuleClass::any:
      return "any";
    case RuleClass::boolean:
      return "boolean";
  }
  return "?";
}

bool rule_applies(RuleClass c, DType operands) {
  switch (c) {
    case RuleClass::index:
      return operands.is_index();
    case RuleClass::data_int:
      return operands.is_data_int();
    case RuleClass::ring:
      return operands.is_any_int();
    case RuleClass::floats:
      return operands.is_float();
    case RuleClass::any:
      return operands.is_any_int() || operands.is_float();
    case RuleClass::boolean:
      return operands.is_bool();
  }
  return false;
}

std::span<const Rule> all_rules() {
  return rules;
}

RuleInstance instantiate(const Rule& rule, DType operands, std::span<const Expr> values) {
  ReadRule r = read_rule(rule);
  Builder builder{values, operands, operands.lanes};
  bool condition = !r.condition || is_const_int(builder.build(*r.condition), 1);
  return {builder.build(r.before), builder.build(r.after), condition};
}

Expr apply_rules(const Expr& e) {
  if (e->kind == ExprKind::cast) return join_casts(e);
  bool is_polynomial =
      e->kind == ExprKind::add || e->kind == ExprKind::sub || e->kind == ExprKind::mul;
  if (is_polynomial && e->dtype == dtypes::index) return e;
  const RuleTable& table = rule_table();
  auto found = table.find(e->kind);
  if (found == table.end()) return e;
  for (const ReadRule& rule : found->second) {
    Bindings b;
    if (!matches(rule.before, e, b)) continue;
    DType dtype = b.dtype ? b.dtype : operand_dtype(e);
    if (!rule_applies(rule.rule_class, dtype)) continue;
    Builder builder{b.values, dtype, e->dtype.lanes};
    if (rule.condition) {
      Builder of_lane = builder;
      std::array<Expr, wildcard_count> lanes;
      for (size_t i = 0; i < wildcard_count; ++i) {
        if (b.values[i]) lanes[i] = constant_lane(b.values[i]);
      }
      of_lane.values = lanes;
      of_lane.dtype = dtype.element();
      of_lane.lanes = 1;
      if (!is_const_int(of_lane.build(*rule.condition), 1)) continue;
    }
    Expr after = builder.build(rule.after);
    if (after->dtype == e->dtype && !structural_equal(after, e)) return after;
  }
  return e;
}

}  // namespace repose
