// Sizes and conditions as PyTorch writes them: sympy expressions in the form of `srepr`, such as
// "Add(Mul(Integer(2), Symbol('s0', integer=True)), Integer(1))", or infix text of older files.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/diagnostic.h"
#include "expr/expr.h"

namespace repose::torch {

// What a symbol stands for; null: it is unknown, an error.
using SymbolOf = std::function<Expr(const std::string& name)>;

// An index expression, or a condition over some, in canonical form. Quotients of floats that are
// rounded are exact: `FloorToInt(IntTrueDiv(a, b))` is a // b. bad_model: not a well-formed
// expression, or nested deeper than 200; unsupported_feature: a function that is not known.
Result<Expr> read_sympy(std::string_view text, const SymbolOf& symbols, const Span& span);
// A number that need not be whole: value / divisor, both index expressions.
struct Ratio {
  Expr value, divisor;
};
Result<Ratio> read_sympy_ratio(std::string_view text, const SymbolOf& symbols, const Span& span);

}  // namespace repose::torch
