// Sequences as values of a scope, and loops that build them.
#include <algorithm>

#include "frontend/onnx/importer.h"
#include "frontend/onnx/sequences.h"

namespace repose::onnx {

// A tuple of two: the parts, and of none or one tensor with rows.
Operand sequence_of(Sequence s) {
  std::vector<Operand> rows;
  if (s.rows) rows.push_back(s.rows);
  return graph::make_tuple({graph::make_tuple(std::move(s.parts)), graph::make_tuple(rows)});
}

bool is_sequence(const Operand& v) {
  return v && graph::as<graph::TupleNode>(v) != nullptr;
}

Result<Sequence> sequence_at(const NodeContext& c, size_t i) {
  REPOSE_TRY(v, c.input(i));
  const auto* pair = graph::as<graph::TupleNode>(v);
  if (!pair) {
    return c.fail(DiagnosticKind::dtype_mismatch, "operand {} is a tensor, expected a sequence", i);
  }
  const auto* rows = graph::as<graph::TupleNode>(pair->fields[1]);
  return Sequence{graph::as<graph::TupleNode>(pair->fields[0])->fields,
                  rows->fields.empty() ? nullptr : rows->fields[0]};
}

namespace {

// How often the nodes, and the graphs in their attributes, read a value.
size_t uses_of(const Graph& graph, std::string_view name) {
  size_t count = 0;
  for (const Value& output : graph.outputs) count += output.name == name;
  for (const Node& node : graph.nodes) {
    for (std::string_view input : node.inputs) count += input == name;
    for (const Attribute& a : node.attributes) {
      if (const auto* graphs = a.get<std::vector<Graph>>()) {
        for (const Graph& inner : *graphs) count += uses_of(inner, name);
      }
    }
  }
  return count;
}

// The node that appends a tensor to the sequence `from`, which nothing else reads, and gives the
// result `to`, which only the next iteration reads; the end: something else happens.
std::vector<Node>::const_iterator appender(const Graph& body, std::string_view from,
                                           std::string_view to) {
  const auto node = std::find_if(body.nodes.begin(), body.nodes.end(), [&](const Node& n) {
    return !n.outputs.empty() && n.outputs[0] == to;
  });
  if (node == body.nodes.end()) return node;
  const bool appends = node->op_type == "SequenceInsert" && node->inputs.size() >= 2 &&
                       node->inputs[0] == from &&
                       (node->inputs.size() == 2 || node->inputs[2].empty());
  const bool alone = uses_of(body, from) == 1 && uses_of(body, to) == 1;
  return appends && alone ? node : body.nodes.end();
}

}  // namespace

// before:  Loop(n, cond, seq) { …; next = SequenceInsert(seq, x); … }
// after:   Loop(n, cond) { …; stacked: x }, whose rows the sequence is
Result<Values> Importer::import_building_loop(const Control& c) {
  NodeContext context = context_of(c);
  const Attribute* found = c.node.find_attribute("body");
  const Graph* body = found ? found->graph() : nullptr;
  if (!body || body->inputs.size() != c.node.inputs.size() ||
      body->outputs.size() + 1 < c.node.inputs.size()) {
    return context.fail(DiagnosticKind::bad_model, "its body does not fit what is carried");
  }
  Graph inner = *body;
  Node node = c.node;
  Values inputs;
  std::vector<bool> builds;  // of what is carried
  std::vector<Value> carried, kept_inputs(inner.inputs.begin(), inner.inputs.begin() + 2), rows;
  node.inputs.resize(2);
  inputs.assign(c.inputs.begin(), c.inputs.begin() + 2);
  for (size_t k = 2; k < c.node.inputs.size(); ++k) {
    const Value &from = body->inputs[k], &to = body->outputs[k - 1];
    builds.push_back(is_sequence(c.inputs[k]));
    if (!builds.back()) {
      node.inputs.push_back(c.node.inputs[k]);
      inputs.push_back(c.inputs[k]);
      kept_inputs.push_back(from);
      carried.push_back(to);
      continue;
    }
    const auto append = appender(inner, from.name, to.name);
    if (append == inner.nodes.end()) {
      return context.fail(DiagnosticKind::unsupported_feature,
                          "carries the sequence `{}`, to which an iteration does more than append "
                          "one tensor",
                          printable(from.name));
    }
    rows.push_back({append->inputs[1], {}});
    inner.nodes.erase(append);
  }
  const size_t num_carried = builds.size();
  std::vector<Value> outputs{body->outputs[0]};
  outputs.insert(outputs.end(), carried.begin(), carried.end());
  outputs.insert(outputs.end(),
                 body->outputs.begin() + 1 + static_cast<std::ptrdiff_t>(num_carried),
                 body->outputs.end());
  outputs.insert(outputs.end(), rows.begin(), rows.end());
  inner.inputs = std::move(kept_inputs);
  inner.outputs = std::move(outputs);
  const auto attribute = std::find_if(node.attributes.begin(), node.attributes.end(),
                                      [](const Attribute& a) { return a.name == "body"; });
  attribute->payload = std::vector<Graph>{std::move(inner)};
  own_nodes_.push_back(std::move(node));
  REPOSE_TRY(results, import_loop({own_nodes_.back(), c.span, inputs, c.scope, c.around}));
  size_t next = 0, next_rows = results.size() - rows.size();
  Values all;
  for (size_t k = 0; k < num_carried; ++k) {
    if (!builds[k]) {
      all.push_back(results[next++]);
      continue;
    }
    REPOSE_TRY(before, sequence_at(context, k + 2));
    const Operand& stacked = results[next_rows++];
    if (before.rows) {
      return context.fail(DiagnosticKind::unsupported_feature,
                          "appends to a sequence that another loop has built");
    }
    before.rows = stacked;
    all.push_back(stacked ? sequence_of(std::move(before)) : nullptr);
  }
  all.insert(all.end(), results.begin() + static_cast<std::ptrdiff_t>(next),
             results.end() - static_cast<std::ptrdiff_t>(rows.size()));
  return all;
}

}  // namespace repose::onnx
