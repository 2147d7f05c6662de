// The tables of operators' names.
#include "script/operator_names.h"

#include <span>

namespace repose::script {

namespace {

struct OperatorName {
  std::string_view name;
  ExprKind kind;
};
constexpr OperatorName symbols[] = {
    {"+", ExprKind::add},         {"-", ExprKind::sub},          {"*", ExprKind::mul},
    {"/", ExprKind::div},         {"//", ExprKind::floor_div},   {"%", ExprKind::floor_mod},
    {"&", ExprKind::bit_and},     {"|", ExprKind::bit_or},       {"^", ExprKind::bit_xor},
    {"<<", ExprKind::shift_left}, {">>", ExprKind::shift_right}, {"==", ExprKind::eq},
    {"!=", ExprKind::ne},         {"<", ExprKind::lt},           {"<=", ExprKind::le},
    {">", ExprKind::gt},          {">=", ExprKind::ge},          {"and", ExprKind::logical_and},
    {"or", ExprKind::logical_or},
};
constexpr OperatorName functions[] = {
    {"min", ExprKind::min},
    {"max", ExprKind::max},
    {"Add", ExprKind::add},
    {"Sub", ExprKind::sub},
    {"Mul", ExprKind::mul},
    {"Div", ExprKind::div},
    {"Mod", ExprKind::mod},
    {"FloorDiv", ExprKind::floor_div},
    {"FloorMod", ExprKind::floor_mod},
    {"Min", ExprKind::min},
    {"Max", ExprKind::max},
    {"EQ", ExprKind::eq},
    {"NE", ExprKind::ne},
    {"LT", ExprKind::lt},
    {"LE", ExprKind::le},
    {"GT", ExprKind::gt},
    {"GE", ExprKind::ge},
    {"And", ExprKind::logical_and},
    {"Or", ExprKind::logical_or},
    {"truncdiv", ExprKind::div},
    {"truncmod", ExprKind::mod},
    {"div", ExprKind::div},
    {"floordiv", ExprKind::floor_div},
    {"floormod", ExprKind::floor_mod},
    {"indexdiv", ExprKind::floor_div},
    {"indexmod", ExprKind::floor_mod},
    {"shift_left", ExprKind::shift_left},
    {"shift_right", ExprKind::shift_right},
    {"bitwise_and", ExprKind::bit_and},
    {"bitwise_or", ExprKind::bit_or},
    {"bitwise_xor", ExprKind::bit_xor},
};

std::optional<ExprKind> find(std::span<const OperatorName> table, std::string_view name) {
  for (const OperatorName& op : table) {
    if (op.name == name) return op.kind;
  }
  return std::nullopt;
}

}  // namespace

std::optional<ExprKind> operator_of_symbol(std::string_view symbol) {
  return find(symbols, symbol);
}

std::optional<ExprKind> operator_of_function(std::string_view name) {
  return find(functions, name);
}

void append_operator_functions(std::vector<std::string>& names) {
  for (const OperatorName& f : functions) names.emplace_back(f.name);
}

}  // namespace repose::script
