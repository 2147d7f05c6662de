// The ONNX operators that can be imported.
#include "frontend/onnx/operator_table.h"

#include <map>

namespace repose::onnx {
namespace {

using Versions = std::map<int64_t, ImportOperator, std::greater<>>;
using Domain = std::map<std::string_view, Versions>;
using Table = std::map<std::string_view, Domain>;

void add(Domain& domain, std::span<const OperatorRow> family) {
  for (const OperatorRow& row : family) {
    const bool is_new = domain[row.name].emplace(row.since, row.import).second;
    REPOSE_CHECK(is_new, fmt::format("operator `{}` is listed twice", row.name));
  }
}

const Table& table() {
  static const Table all = [] {
    Table t;
    for (const auto& family :
         {elementwise_operators(), activation_operators(), shape_operators(),
          create_operators(),      index_operators(),      nn_operators(),
          pool_operators(),        norm_operators(),       reduce_operators(),
          resize_operators(),      sort_operators(),       quantize_operators(),
          einsum_operators(),      attention_operators(),  loss_operators(),
          signal_operators(),      image_operators(),      random_operators(),
          recurrent_operators(),   text_operators(),       sequence_operators()}) {
      add(t[""], family);
    }
    add(t["com.microsoft"], microsoft_operators());
    add(t["com.microsoft"], microsoft_quantize_operators());
    add(t["com.microsoft"], microsoft_recurrent_operators());
    add(t["ai.onnx.ml"], ml_operators());
    add(t["ai.onnx.preview"], preview_operators());
    add(t["ai.onnx.preview.training"], training_operators());
    return t;
  }();
  return all;
}

}  // namespace

ImportOperator find_operator(std::string_view domain, std::string_view name, int64_t opset) {
  auto operators = table().find(domain == "ai.onnx" ? "" : domain);
  if (operators == table().end()) return nullptr;
  auto versions = operators->second.find(name);
  if (versions == operators->second.end()) return nullptr;
  if (!operators->first.empty()) return versions->second.begin()->second;
  auto it = versions->second.lower_bound(opset);  // descending: the newest that is not too new
  return it == versions->second.end() ? nullptr : it->second;
}

}  // namespace repose::onnx
