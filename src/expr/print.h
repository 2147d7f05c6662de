// Text of scalar expressions, in the syntax of docs/ir.md.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "expr/expr.h"

namespace repose {

// The names that variables and buffers are printed with. An empty function: the node's own name.
struct PrintNames {
  std::function<std::string(const VarNode&)> var;
  std::function<std::string(const BufferNode&)> buffer;
};

// As few parentheses as Python's precedence allows; what is printed parses back equal.
std::string print_expr(const Expr& e, const PrintNames& names);
// "a, b, c"
std::string print_exprs(const std::vector<Expr>& list, const PrintNames& names);

// A double-quoted literal, escaped where Python needs it.
std::string print_string(std::string_view text);
// The shortest decimal that rounds to `value` in the dtype: "0.5", "1e-05"; `"inf"`, `"nan"`
// quoted.
std::string print_float(double value, DType dtype);

}  // namespace repose
