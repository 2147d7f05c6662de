// Spellings of scalar operators: symbols, and functions that stand for them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "expr/expr.h"

namespace repose::script {

std::optional<ExprKind> operator_of_symbol(std::string_view symbol);  // "+"
std::optional<ExprKind> operator_of_function(std::string_view name);  // "FloorDiv" of T.FloorDiv
void append_operator_functions(std::vector<std::string>& names);

}  // namespace repose::script
