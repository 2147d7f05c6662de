// Reads sympy expressions by recursive descent over function calls.
#include "frontend/torch/sympy.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>
#include <vector>

#include "expr/facts.h"
#include "frontend/common/names.h"
#include "script/parser.h"

namespace repose::torch {
namespace {

using frontend::printable;

constexpr int max_depth = 200;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// A number as a fraction: value / divisor, the divisor above 0; or a condition.
struct Number {
  Expr value;
  Expr divisor = make_int(1);
  bool is_whole() const { return is_const_int(divisor, 1); }
};

class SympyReader {
 public:
  SympyReader(std::string_view text, const SymbolOf& symbols, const Span& span)
      : text_(text), rest_(text), symbols_(symbols), span_(span) {}

  Result<Number> read() {
    REPOSE_TRY(value, expression(0));
    skip_spaces();
    if (!rest_.empty()) return malformed();
    return value;
  }
  Diagnostic malformed() const {
    return error(DiagnosticKind::bad_model, span_, "`{}` is no expression", printable(text_));
  }

 private:
  using Args = std::vector<Number>;
  using Make = Result<Number> (SympyReader::*)(const Args&);

  void skip_spaces() {
    while (!rest_.empty() && rest_[0] == ' ') rest_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_spaces();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string_view word() {
    skip_spaces();
    size_t n = 0;
    while (n < rest_.size() && is_word(rest_[n])) ++n;
    const std::string_view result = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return result;
  }

  Result<Number> expression(int depth) {
    if (depth > max_depth) {
      return error(DiagnosticKind::nesting_too_deep, span_,
                   "an expression over sizes is nested more than {} deep", max_depth);
    }
    const std::string_view name = word();
    if (name == "true") return Number{make_bool(true)};
    if (name == "false") return Number{make_bool(false)};
    if (name.empty() || !accept('(')) return malformed();
    if (name == "Integer" || name == "Rational") return integers();
    if (name == "Float") return decimal();
    if (name == "Symbol") return symbol();
    Args args;
    while (!accept(')')) {
      if (!args.empty() && !accept(',')) return malformed();
      REPOSE_TRY(arg, expression(depth + 1));
      args.push_back(arg);
    }
    return call(name, args);
  }

  Result<int64_t> integer() {
    skip_spaces();
    int64_t value = 0;
    auto [end, failure] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (failure != std::errc()) return malformed();
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return value;
  }
  // "3)", "3, 4)"
  Result<Number> integers() {
    REPOSE_TRY(value, integer());
    if (accept(')')) return Number{make_int(value)};
    if (!accept(',')) return malformed();
    REPOSE_TRY(divisor, integer());
    if (divisor < 1 || !accept(')')) return malformed();
    return Number{make_int(value), make_int(divisor)};
  }
  // "'0.5', precision=53)": a fraction whose divisor is a power of two.
  Result<Number> decimal() {
    REPOSE_TRY(text, quoted());
    auto rest = keywords();
    if (!rest.ok()) return rest.errors();
    double value = std::strtod(text.c_str(), nullptr);
    int64_t divisor = 1;
    while (value != std::floor(value) && divisor < (int64_t{1} << 40)) {
      value *= 2;
      divisor *= 2;
    }
    if (!(std::abs(value) < 9e15) || value != std::floor(value)) {
      return error(DiagnosticKind::unsupported_feature, span_,
                   "sizes are computed with the number {}, which is no short binary fraction",
                   printable(text));
    }
    return Number{make_int(static_cast<int64_t>(value)), make_int(divisor)};
  }
  // "'s0', positive=True, integer=True)"
  Result<Number> symbol() {
    REPOSE_TRY(name, quoted());
    auto rest = keywords();
    if (!rest.ok()) return rest.errors();
    if (Expr value = symbols_(name)) return Number{value};
    return error(DiagnosticKind::unbound_symbol, span_,
                 "the size `{}` is used before anything has it", printable(name));
  }
  Result<std::string> quoted() {
    skip_spaces();
    if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) return malformed();
    const size_t end = rest_.find(rest_[0], 1);
    if (end == std::string_view::npos) return malformed();
    std::string result(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return result;
  }
  // ", name=Word, …)": says nothing that matters here.
  Result<void> keywords() {
    while (!accept(')')) {
      if (!accept(',') || word().empty() || !accept('=') || word().empty()) return malformed();
    }
    return {};
  }

  // ---- Functions

  Result<Number> call(std::string_view name, const Args& args) {
    struct Row {
      size_t least, most;
      Make make;
    };
    constexpr size_t any = 1000;
    using R = SympyReader;
    static const std::map<std::string_view, Row> rows{
        {"Add", {1, any, &R::sum}},
        {"And", {1, any, &R::conjunction}},
        {"CeilToInt", {1, 1, &R::ceiling}},
        {"CleanDiv", {2, 2, &R::floor_quotient}},
        {"Equality", {2, 2, &R::equal}},
        {"FloatTrueDiv", {2, 2, &R::quotient}},
        {"FloorDiv", {2, 2, &R::floor_quotient}},
        {"FloorToInt", {1, 1, &R::floor}},
        {"GreaterThan", {2, 2, &R::at_least}},
        {"Identity", {1, 1, &R::same}},
        {"IntTrueDiv", {2, 2, &R::quotient}},
        {"LessThan", {2, 2, &R::at_most}},
        {"Max", {1, any, &R::maximum}},
        {"Min", {1, any, &R::minimum}},
        {"Mod", {2, 2, &R::remainder}},
        {"ModularIndexing", {3, 3, &R::digit}},
        {"Mul", {1, any, &R::product}},
        {"Not", {1, 1, &R::negation}},
        {"Or", {1, any, &R::disjunction}},
        {"Pow", {2, 2, &R::power}},
        {"PowByNatural", {2, 2, &R::power}},
        {"PythonMod", {2, 2, &R::remainder}},
        {"StrictGreaterThan", {2, 2, &R::more}},
        {"StrictLessThan", {2, 2, &R::less}},
        {"ToFloat", {1, 1, &R::same}},
        {"TruncToInt", {1, 1, &R::truncated}},
        {"Unequality", {2, 2, &R::not_equal}},
        {"Where", {3, 3, &R::choice}},
    };
    auto row = rows.find(name);
    if (row == rows.end()) {
      return error(DiagnosticKind::unsupported_feature, span_,
                   "sizes are computed with `{}`, which is not supported", printable(name));
    }
    if (args.size() < row->second.least || args.size() > row->second.most) return malformed();
    const bool wants_truths = name == "And" || name == "Or" || name == "Not";
    for (size_t i = 0; i < args.size(); ++i) {
      if (args[i].value->dtype.is_bool() != (wants_truths || (name == "Where" && i == 0))) {
        return malformed();
      }
    }
    return (this->*row->second.make)(args);
  }

  template <class F>
  Result<Number> folded(const Args& args, F combine) {
    Number result = args[0];
    for (size_t i = 1; i < args.size(); ++i) result = combine(result, args[i]);
    return result;
  }
  // Both values over one divisor.
  struct Pair {
    Expr a, b, divisor;
  };
  static Pair common(const Number& a, const Number& b) {
    if (structural_equal(a.divisor, b.divisor)) return {a.value, b.value, a.divisor};
    return {a.value * b.divisor, b.value * a.divisor, a.divisor * b.divisor};
  }

  Result<Number> sum(const Args& args) {
    return folded(args, [](const Number& a, const Number& b) {
      const Pair p = common(a, b);
      return Number{p.a + p.b, p.divisor};
    });
  }
  Result<Number> product(const Args& args) {
    return folded(args, [](const Number& a, const Number& b) {
      return Number{a.value * b.value, a.divisor * b.divisor};
    });
  }
  Result<Number> maximum(const Args& args) {
    return folded(args, [](const Number& a, const Number& b) {
      const Pair p = common(a, b);
      return Number{max(p.a, p.b), p.divisor};
    });
  }
  Result<Number> minimum(const Args& args) {
    return folded(args, [](const Number& a, const Number& b) {
      const Pair p = common(a, b);
      return Number{min(p.a, p.b), p.divisor};
    });
  }
  Result<Number> conjunction(const Args& args) {
    return folded(args, [](const Number& a, const Number& b) {
      return Number{logical_and(a.value, b.value)};
    });
  }
  Result<Number> disjunction(const Args& args) {
    return folded(args, [](const Number& a, const Number& b) {
      return Number{logical_or(a.value, b.value)};
    });
  }
  Result<Number> negation(const Args& args) { return Number{make_not(args[0].value)}; }
  Result<Number> same(const Args& args) { return args[0]; }
  // Divisors are sizes or constants: what is negative would turn the sign of the fraction.
  Result<Number> quotient(const Args& args) {
    const Number &a = args[0], &b = args[1];
    if (bounds(canonical(b.value)).lower < 0) {
      return error(DiagnosticKind::unsupported_feature, span_,
                   "sizes are divided by `{}`, which may be negative", to_string(b.value));
    }
    return Number{a.value * b.divisor, a.divisor * b.value};
  }
  Result<Number> power(const Args& args) {
    int64_t exponent = 0;
    if (!args[0].is_whole() || !args[1].is_whole() ||
        !as_const_int(canonical(args[1].value), &exponent) || exponent < -1 || exponent > 64) {
      return error(DiagnosticKind::unsupported_feature, span_,
                   "sizes are raised to a power other than a small constant");
    }
    if (exponent < 0) return quotient({Number{make_int(1)}, args[0]});
    Expr result = make_int(1);
    for (int64_t i = 0; i < exponent; ++i) result = result * args[0].value;
    return Number{result};
  }
  Result<Number> floor_quotient(const Args& args) {
    if (args[0].is_whole() && args[1].is_whole()) {
      return Number{floor_div(args[0].value, args[1].value)};
    }
    REPOSE_TRY(exact, quotient(args));
    return floor({exact});
  }
  Result<Number> remainder(const Args& args) {
    if (!args[0].is_whole() || !args[1].is_whole()) return malformed();
    return Number{floor_mod(args[0].value, args[1].value)};
  }
  Result<Number> digit(const Args& args) {
    if (!args[0].is_whole() || !args[1].is_whole() || !args[2].is_whole()) return malformed();
    return Number{floor_mod(floor_div(args[0].value, args[1].value), args[2].value)};
  }
  static Expr floor_of(const Number& x) {
    return x.is_whole() ? x.value : floor_div(x.value, x.divisor);
  }
  static Expr ceiling_of(const Number& x) {
    return x.is_whole() ? x.value : ceil_div(x.value, x.divisor);
  }
  Result<Number> floor(const Args& args) { return Number{floor_of(args[0])}; }
  Result<Number> ceiling(const Args& args) { return Number{ceiling_of(args[0])}; }
  Result<Number> truncated(const Args& args) {
    const Number& x = args[0];
    if (bounds(canonical(x.value)).lower >= 0) return floor(args);
    return Number{make_select(lt(x.value, make_int(0)), ceiling_of(x), floor_of(x))};
  }
  Result<Number> choice(const Args& args) {
    const Pair p = common(args[1], args[2]);
    return Number{make_select(args[0].value, p.a, p.b), p.divisor};
  }
  template <class F>
  Result<Number> compared(const Args& args, F compare) {
    const Pair p = common(args[0], args[1]);
    return Number{compare(p.a, p.b)};
  }
  Result<Number> equal(const Args& args) {
    return compared(args, [](const Expr& a, const Expr& b) { return eq(a, b); });
  }
  Result<Number> not_equal(const Args& args) {
    return compared(args, [](const Expr& a, const Expr& b) { return ne(a, b); });
  }
  Result<Number> less(const Args& args) {
    return compared(args, [](const Expr& a, const Expr& b) { return lt(a, b); });
  }
  Result<Number> at_most(const Args& args) {
    return compared(args, [](const Expr& a, const Expr& b) { return le(a, b); });
  }
  Result<Number> more(const Args& args) { return less({args[1], args[0]}); }
  Result<Number> at_least(const Args& args) { return at_most({args[1], args[0]}); }

  std::string_view text_, rest_;
  const SymbolOf& symbols_;
  Span span_;
};

// Text without a call's form is infix.
bool is_infix(std::string_view text) {
  size_t n = 0;
  while (n < text.size() && is_word(text[n])) ++n;
  return n == text.size() || text[n] != '(' || text.starts_with("(");
}

Result<Number> read_number(std::string_view text, const SymbolOf& symbols, const Span& span) {
  SympyReader reader(text, symbols, span);
  if (!is_infix(text) || text == "true" || text == "false") return reader.read();
  auto infix = parse_expr(text, [&](std::string_view name) { return symbols(std::string(name)); });
  if (!infix.ok()) return reader.malformed();
  return Number{*infix};
}

}  // namespace

Result<Expr> read_sympy(std::string_view text, const SymbolOf& symbols, const Span& span) {
  REPOSE_TRY(number, read_number(text, symbols, span));
  if (!number.is_whole()) {
    return error(DiagnosticKind::bad_model, span, "`{}` is no whole number", printable(text));
  }
  return canonical(number.value);
}

Result<Ratio> read_sympy_ratio(std::string_view text, const SymbolOf& symbols, const Span& span) {
  REPOSE_TRY(number, read_number(text, symbols, span));
  if (number.value->dtype.is_bool()) {
    return error(DiagnosticKind::bad_model, span, "`{}` is no number", printable(text));
  }
  return Ratio{canonical(number.value), canonical(number.divisor)};
}

}  // namespace repose::torch
