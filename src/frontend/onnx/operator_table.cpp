// The ONNX operators that can be imported.
#include "frontend/onnx/operator_table.h"

#include <map>

namespace repose::onnx {
namespace {

using Table = std::map<std::string_view, std::map<int64_t, ImportOperator, std::greater<>>>;

const Table& table() {
  static const Table all = [] {
    Table t;
    for (const auto& family :
         {elementwise_operators(), activation_operators(), shape_operators(), create_operators(),
          index_operators(), nn_operators(), norm_operators(), reduce_operators(),
          resize_operators(), sort_operators(), recurrent_operators()}) {
      for (const OperatorRow& row : family) {
        const bool is_new = t[row.name].emplace(row.since, row.import).second;
        REPOSE_CHECK(is_new, fmt::format("operator `{}` is listed twice", row.name));
      }
    }
    return t;
  }();
  return all;
}

}  // namespace

ImportOperator find_operator(std::string_view name, int64_t opset) {
  auto versions = table().find(name);
  if (versions == table().end()) return nullptr;
  auto it = versions->second.lower_bound(opset);  // descending: the newest that is not too new
  return it == versions->second.end() ? nullptr : it->second;
}

}  // namespace repose::onnx
