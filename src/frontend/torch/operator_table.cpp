// The table of operators, put together from those of the families.
#include "frontend/torch/operator_table.h"

#include <map>

namespace repose::torch {
namespace {

using Table = std::map<std::string_view, const OperatorRow*>;

Table make_table() {
  Table table;
  for (std::span<const OperatorRow> family :
       {activation_operators(), attention_operators(), create_operators(), elementwise_operators(),
        image_operators(), index_operators(), nn_operators(), norm_operators(), pool_operators(),
        recurrent_operators(), reduce_operators(), shape_operators()}) {
    for (const OperatorRow& row : family) {
      const bool is_new = table.emplace(row.name, &row).second;
      REPOSE_CHECK(is_new, "an operator is in the table once");
    }
  }
  return table;
}

const Table& table() {
  static const Table all = make_table();
  return all;
}

}  // namespace

const OperatorRow* find_operator(std::string_view name) {
  auto it = table().find(name);
  return it == table().end() ? nullptr : it->second;
}

std::vector<std::string_view> operator_names() {
  std::vector<std::string_view> names;
  for (const auto& [name, row] : table()) names.push_back(name);
  return names;
}

}  // namespace repose::torch
