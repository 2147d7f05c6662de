// The order in which the nodes of a graph can be imported.
#include "frontend/onnx/node_order.h"

#include <algorithm>
#include <queue>
#include <unordered_map>
#include <unordered_set>

namespace repose::onnx {
namespace {

constexpr size_t max_errors = 100;

void visit_operands(const Node& node, const std::function<void(std::string_view)>& visit);

// Names that a subgraph takes from around it: all that its nodes use and it doesn't define itself.
// A name that it defines is its own, also where the graph around has one like it.
void visit_operands(const Graph& graph, const std::function<void(std::string_view)>& visit) {
  std::unordered_set<std::string_view> own;
  for (const Value& input : graph.inputs) own.insert(input.name);
  for (const Tensor& t : graph.initializers) own.insert(t.name);
  for (const SparseTensor& t : graph.sparse_initializers) own.insert(t.values.name);
  for (const Node& node : graph.nodes) own.insert(node.outputs.begin(), node.outputs.end());
  const std::function<void(std::string_view)> visit_outer = [&](std::string_view name) {
    if (!own.contains(name)) visit(name);
  };
  for (const Node& node : graph.nodes) visit_operands(node, visit_outer);
  for (const Value& output : graph.outputs) visit_outer(output.name);
}

void visit_operands(const Node& node, const std::function<void(std::string_view)>& visit) {
  for (std::string_view name : node.inputs) {
    if (!name.empty()) visit(name);
  }
  for (const Attribute& a : node.attributes) {
    if (const auto* graphs = a.get<std::vector<Graph>>()) {
      for (const Graph& g : *graphs) visit_operands(g, visit);
    }
  }
}

using Producers = std::unordered_map<std::string_view, size_t>;

// The nodes of one cycle among those that could not be ordered.
std::vector<size_t> find_cycle(const std::vector<Node>& nodes, const Producers& producers,
                               const std::vector<bool>& is_done, size_t start) {
  std::vector<size_t> path;
  std::unordered_map<size_t, size_t> place;
  size_t node = start;
  while (place.emplace(node, path.size()).second) {
    path.push_back(node);
    size_t next = node;
    visit_operands(nodes[node], [&](std::string_view name) {
      auto it = producers.find(name);
      if (it != producers.end() && !is_done[it->second]) next = it->second;
    });
    node = next;
  }
  path.erase(path.begin(), path.begin() + static_cast<int64_t>(place[node]));
  std::reverse(path.begin(), path.end());  // from producer to user
  std::rotate(path.begin(), std::min_element(path.begin(), path.end()), path.end());
  return path;
}

std::string label(const Node& node) {
  if (!node.name.empty()) return fmt::format("`{}`", printable(node.name));
  for (std::string_view output : node.outputs) {
    if (!output.empty()) return fmt::format("`{}`", printable(output));
  }
  return fmt::format("a `{}`", printable(node.op_type));
}

Diagnostic cycle_error(const std::vector<Node>& nodes, const std::vector<size_t>& cycle,
                       std::string_view function) {
  constexpr size_t max_named = 8;
  std::string names;
  for (size_t i = 0; i < cycle.size() && i < max_named; ++i) {
    names += (i ? ", " : "") + label(nodes[cycle[i]]);
  }
  if (cycle.size() > max_named) names += ", …";
  return error(DiagnosticKind::bad_model, node_span(nodes[cycle[0]], cycle[0], function),
               "the nodes {} form a cycle", names);
}

}  // namespace

Span node_span(const Node& node, size_t position, std::string_view function) {
  std::string name(node.name);
  for (size_t i = 0; name.empty() && i < node.outputs.size(); ++i) name = node.outputs[i];
  std::string what = fmt::format("{}, node {}", printable(node.op_type), position);
  if (!function.empty()) what += fmt::format(" of function `{}`", printable(function));
  return {make_node_source(printable(name), what)};
}

Result<std::vector<size_t>> order_nodes(const std::vector<Node>& nodes,
                                        const std::function<bool(std::string_view)>& is_own,
                                        const std::function<bool(std::string_view)>& is_outer,
                                        std::string_view function) {
  Diagnostics problems;
  auto report = [&](Diagnostic d) {
    if (problems.size() < max_errors) problems.push_back(std::move(d));
  };
  Producers producers;
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (std::string_view name : nodes[i].outputs) {
      if (name.empty()) continue;
      if (!is_own(name) && producers.emplace(name, i).second) continue;
      report(error(DiagnosticKind::bad_model, node_span(nodes[i], i, function),
                   "value `{}` is produced twice", printable(name)));
    }
  }
  std::vector<std::vector<size_t>> users(nodes.size());
  std::vector<size_t> waits_for(nodes.size(), 0);
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (std::string_view name : nodes[i].inputs) {
      if (name.empty() || producers.count(name) || is_outer(name)) continue;
      report(error(DiagnosticKind::missing_value, node_span(nodes[i], i, function),
                   "value `{}` is used, but nothing produces it", printable(name)));
    }
    visit_operands(nodes[i], [&](std::string_view name) {
      auto it = producers.find(name);
      if (it == producers.end()) return;
      users[it->second].push_back(i);
      ++waits_for[i];
    });
  }
  if (!problems.empty()) return problems;

  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (waits_for[i] == 0) ready.push(i);
  }
  std::vector<size_t> order;
  std::vector<bool> is_done(nodes.size(), false);
  while (!ready.empty()) {
    const size_t i = ready.top();
    ready.pop();
    order.push_back(i);
    is_done[i] = true;
    for (size_t user : users[i]) {
      if (--waits_for[user] == 0) ready.push(user);
    }
  }
  if (order.size() == nodes.size()) return order;
  const size_t stuck =
      static_cast<size_t>(std::find(is_done.begin(), is_done.end(), false) - is_done.begin());
  return cycle_error(nodes, find_cycle(nodes, producers, is_done, stuck), function);
}

}  // namespace repose::onnx
