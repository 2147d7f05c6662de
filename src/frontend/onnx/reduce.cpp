// Delta debugging of models.
#include "frontend/onnx/reduce.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace repose::onnx {
namespace {

using Names = std::unordered_set<std::string_view>;
using Renames = std::unordered_map<std::string_view, std::string_view>;

template <class Visit>
void for_each_subgraph(Node& node, const Visit& visit) {
  for (Attribute& attribute : node.attributes) {
    if (auto* graphs = std::get_if<std::vector<Graph>>(&attribute.payload)) {
      for (Graph& graph : *graphs) visit(graph);
    }
  }
}

// The graph and those in its nodes; a copy of a model has the same ones in the same order.
void list_graphs(Graph& graph, std::vector<Graph*>& list) {
  list.push_back(&graph);
  for (Node& node : graph.nodes) {
    for_each_subgraph(node, [&](Graph& inner) { list_graphs(inner, list); });
  }
}

std::vector<Graph*> graphs_of(Model& model) {
  std::vector<Graph*> list;
  list_graphs(model.graph, list);
  return list;
}

// All names that a node reads, whatever is read in its subgraphs included.
void add_reads(Node& node, Names& names) {
  names.insert(node.inputs.begin(), node.inputs.end());
  for_each_subgraph(node, [&](Graph& graph) {
    for (const Value& output : graph.outputs) names.insert(output.name);
    for (Node& inner : graph.nodes) add_reads(inner, names);
  });
}

Names names_of(const std::vector<Value>& values) {
  Names names;
  for (const Value& value : values) names.insert(value.name);
  return names;
}

// Leaves what the outputs need; the nodes may stand in any order.
void remove_dead(Graph& graph) {
  Names needed = names_of(graph.outputs);
  auto is_needed = [&](std::string_view name) { return !name.empty() && needed.contains(name); };
  std::vector<bool> is_kept(graph.nodes.size(), false);
  for (bool has_grown = true; has_grown;) {
    has_grown = false;
    for (size_t i = graph.nodes.size(); i-- > 0;) {
      Node& node = graph.nodes[i];
      if (is_kept[i] || std::none_of(node.outputs.begin(), node.outputs.end(), is_needed)) continue;
      for_each_subgraph(node, remove_dead);
      add_reads(node, needed);
      is_kept[i] = has_grown = true;
    }
  }
  size_t i = 0;
  std::erase_if(graph.nodes, [&](const Node&) { return !is_kept[i++]; });
  std::erase_if(graph.initializers, [&](const Tensor& t) { return !needed.contains(t.name); });
  std::erase_if(graph.sparse_initializers,
                [&](const SparseTensor& t) { return !needed.contains(t.values.name); });
  std::erase_if(graph.value_infos, [&](const Value& v) { return !needed.contains(v.name); });
}

void rename_reads(Graph& graph, const Renames& renames) {
  auto rename = [&](std::string_view& name) {  // nodes of a cycle may be renamed in a circle
    for (size_t steps = 0; steps < renames.size(); ++steps) {
      auto it = renames.find(name);
      if (it == renames.end()) break;
      name = it->second;
    }
  };
  for (Node& node : graph.nodes) {
    for (std::string_view& input : node.inputs) rename(input);
    for_each_subgraph(node, [&](Graph& inner) { rename_reads(inner, renames); });
  }
  for (Value& output : graph.outputs) {
    const std::string_view before = output.name;
    rename(output.name);
    if (output.name != before) output.type = {};
  }
}

void drop_repeated(std::vector<Value>& values) {
  Names seen;
  std::erase_if(values, [&](const Value& v) { return !seen.insert(v.name).second; });
}

// The results of nodes [begin, end) become inputs of the model. False where a type is not known.
bool cut(Graph& graph, size_t begin, size_t end) {
  Names used = names_of(graph.outputs);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (i < begin || i >= end) add_reads(graph.nodes[i], used);
  }
  for (size_t i = begin; i < end; ++i) {
    for (std::string_view name : graph.nodes[i].outputs) {
      if (name.empty() || !used.contains(name)) continue;
      auto known = std::find_if(graph.value_infos.begin(), graph.value_infos.end(),
                                [&](const Value& v) { return v.name == name; });
      if (known == graph.value_infos.end() || known->type.kind == Type::Kind::none) return false;
      graph.inputs.push_back(*known);
    }
  }
  graph.nodes.erase(graph.nodes.begin() + static_cast<std::ptrdiff_t>(begin),
                    graph.nodes.begin() + static_cast<std::ptrdiff_t>(end));
  return true;
}

// Operand `operand` of each of the nodes [begin, end) stands in for its results. False where there
// is none.
bool bypass(Graph& graph, size_t begin, size_t end, size_t operand) {
  Renames renames;
  for (size_t i = begin; i < end; ++i) {
    const Node& node = graph.nodes[i];
    if (node.inputs.size() <= operand || node.inputs[operand].empty()) return false;
    for (std::string_view name : node.outputs) renames[name] = node.inputs[operand];
  }
  graph.nodes.erase(graph.nodes.begin() + static_cast<std::ptrdiff_t>(begin),
                    graph.nodes.begin() + static_cast<std::ptrdiff_t>(end));
  rename_reads(graph, renames);
  return true;
}

// A branch of an `If` in its place. False for another node.
bool inline_branch(Graph& graph, size_t at, std::string_view branch) {
  const Node node = graph.nodes[at];
  const Attribute* attribute = node.find_attribute(branch);
  const Graph* chosen = attribute && node.op_type == "If" ? attribute->graph() : nullptr;
  if (!chosen || chosen->outputs.size() != node.outputs.size()) return false;
  Renames renames;
  for (size_t k = 0; k < node.outputs.size(); ++k) {
    renames[node.outputs[k]] = chosen->outputs[k].name;
  }
  auto place = graph.nodes.erase(graph.nodes.begin() + static_cast<std::ptrdiff_t>(at));
  graph.nodes.insert(place, chosen->nodes.begin(), chosen->nodes.end());
  auto append = [](auto& list, const auto& more) {
    list.insert(list.end(), more.begin(), more.end());
  };
  append(graph.initializers, chosen->initializers);
  append(graph.sparse_initializers, chosen->sparse_initializers);
  append(graph.value_infos, chosen->value_infos);
  rename_reads(graph, renames);
  return true;
}

// The first `count` nodes; what none of them reads are the results.
void keep_first(Graph& graph, size_t count) {
  graph.nodes.resize(count);
  Names read, made;
  for (Node& node : graph.nodes) add_reads(node, read);
  std::vector<Value> outputs;
  for (const Node& node : graph.nodes) {
    for (std::string_view name : node.outputs) {
      if (name.empty()) continue;
      made.insert(name);
      if (!read.contains(name)) outputs.push_back({name, {}});
    }
  }
  for (const Value& output : graph.outputs) {
    if (made.contains(output.name) && read.contains(output.name)) outputs.push_back(output);
  }
  graph.outputs = std::move(outputs);
}

class Reducer {
 public:
  Reducer(Model model, const std::function<bool(const Model&)>& shows)
      : best_(std::move(model)), shows_(shows) {}

  Model reduce() {
    do {
      changed_ = false;
      drop_head_line();
      drop_outputs();
      drop_end();
      drop_nodes();
      drop_parts_of_nodes();
      drop_types();
    } while (changed_);
    return std::move(best_);
  }

 private:
  // Takes the candidate if it is one, and shows what it has to.
  bool take(Model candidate, bool is_candidate = true) {
    if (!is_candidate) return false;
    remove_dead(candidate.graph);
    drop_repeated(candidate.graph.outputs);
    if (candidate.graph.outputs.empty() || !shows_(candidate)) return false;
    best_ = std::move(candidate);
    return changed_ = true;
  }
  // Changes a copy by `change`, which gives whether that makes sense, and takes it.
  template <class Change>
  bool attempt(const Change& change) {
    Model candidate = best_;
    const bool makes_sense = change(candidate);
    return take(std::move(candidate), makes_sense);
  }
  // Asks `change(model, begin, end)` for parts of a list, which has `size()` elements: for all of
  // them, for halves, and so on down to single ones, from the last to the first.
  template <class Size, class Change>
  void attempt_parts(const Size& size, const Change& change) {
    for (size_t step = size(); step > 0; step /= 2) {
      for (size_t end = size(); end > 0;) {
        const size_t begin = end > step ? end - step : 0;
        attempt([&](Model& m) { return change(m, begin, end); });
        end = std::min(begin, size());
      }
    }
  }

  void drop_head_line() {
    attempt([](Model& m) {
      const bool has_any = !m.metadata.empty() || !m.functions.empty();
      m.metadata.clear();
      m.functions.clear();
      return has_any;
    });
    attempt_parts([&] { return best_.functions.size(); },
                  [](Model& m, size_t begin, size_t end) {
                    m.functions.erase(m.functions.begin() + static_cast<std::ptrdiff_t>(begin),
                                      m.functions.begin() + static_cast<std::ptrdiff_t>(end));
                    return true;
                  });
  }

  void drop_outputs() {
    attempt_parts([&] { return best_.graph.outputs.size(); },
                  [](Model& m, size_t begin, size_t end) {
                    auto& outputs = m.graph.outputs;
                    outputs.erase(outputs.begin() + static_cast<std::ptrdiff_t>(begin),
                                  outputs.begin() + static_cast<std::ptrdiff_t>(end));
                    return !outputs.empty();
                  });
  }

  void drop_end() {
    for (size_t step = best_.graph.nodes.size() / 2; step > 0; step /= 2) {
      while (best_.graph.nodes.size() > step && attempt([&](Model& m) {
               keep_first(m.graph, m.graph.nodes.size() - step);
               return true;
             })) {
      }
    }
  }

  void drop_nodes() {
    attempt_parts([&] { return best_.graph.nodes.size(); },
                  [](Model& m, size_t begin, size_t end) { return cut(m.graph, begin, end); });
    // The list of graphs changes with each success: inner ones may be gone.
    for (size_t g = 0; g < graphs_of(best_).size(); ++g) drop_nodes_of(g);
  }

  size_t nodes_of(size_t g) {
    const auto graphs = graphs_of(best_);
    return g < graphs.size() ? graphs[g]->nodes.size() : 0;
  }

  void drop_nodes_of(size_t g) {
    auto size = [&] { return nodes_of(g); };
    attempt_parts(size, [&](Model& m, size_t begin, size_t end) {
      return bypass(*graphs_of(m)[g], begin, end, 0);
    });
    for (size_t i = size(); i-- > 0;) {
      for (size_t operand = 1; operand < 4 && i < size(); ++operand) {
        if (attempt([&](Model& m) { return bypass(*graphs_of(m)[g], i, i + 1, operand); })) break;
      }
      for (const char* branch : {"then_branch", "else_branch"}) {
        if (i >= size()) break;
        attempt([&](Model& m) { return inline_branch(*graphs_of(m)[g], i, branch); });
      }
    }
  }

  void drop_parts_of_nodes() {
    for (size_t g = 0; g < graphs_of(best_).size(); ++g) {
      for (size_t i = nodes_of(g); i-- > 0;) {
        if (i < nodes_of(g)) drop_parts(g, i);
      }
    }
  }

  void drop_parts(size_t g, size_t i) {
    auto node = [g, i](Model& m) -> Node& { return graphs_of(m)[g]->nodes[i]; };
    for (size_t a = node(best_).attributes.size(); a-- > 0;) {
      attempt([&](Model& m) {
        auto& attributes = node(m).attributes;
        const bool is_graph = attributes[a].graph() != nullptr;
        attributes.erase(attributes.begin() + static_cast<std::ptrdiff_t>(a));
        return !is_graph;
      });
    }
    for (size_t k = node(best_).inputs.size(); k-- > 0;) {
      attempt([&](Model& m) {
        auto& inputs = node(m).inputs;
        const bool was_given = !inputs[k].empty();
        inputs[k] = {};
        while (!inputs.empty() && inputs.back().empty()) inputs.pop_back();
        return was_given;
      });
    }
  }

  void drop_types() {
    attempt([](Model& m) {
      bool has_any = !m.graph.value_infos.empty();
      m.graph.value_infos.clear();
      for (Value& output : m.graph.outputs) {
        has_any |= output.type.shape.has_value();
        output.type.shape.reset();
      }
      return has_any;
    });
    attempt_parts([&] { return best_.graph.inputs.size(); },
                  [](Model& m, size_t begin, size_t end) {
                    auto& inputs = m.graph.inputs;
                    Names read = names_of(m.graph.outputs);
                    for (Node& node : m.graph.nodes) add_reads(node, read);
                    size_t i = 0;
                    return std::erase_if(inputs, [&](const Value& v) {
                             const bool is_part = i >= begin && i < end;
                             ++i;
                             return is_part && !read.contains(v.name);
                           }) > 0;
                  });
    for (size_t i = 0; i < best_.graph.inputs.size(); ++i) shrink_dimensions(i);
  }

  void shrink_dimensions(size_t input) {
    const auto shape = best_.graph.inputs[input].type.shape;
    for (size_t axis = 0; shape && axis < shape->size(); ++axis) {
      for (int64_t size : {1, 2}) {
        if (attempt([&](Model& m) {
              Dimension& d = (*m.graph.inputs[input].type.shape)[axis];
              const bool is_larger = d.kind == Dimension::Kind::value && d.value > size;
              d.value = size;
              return is_larger;
            })) {
          break;
        }
      }
    }
  }

  Model best_;
  const std::function<bool(const Model&)>& shows_;
  bool changed_ = false;
};

}  // namespace

size_t count_nodes(const Model& model) {
  Model copy = model;
  size_t count = 0;
  for (const Graph* graph : graphs_of(copy)) count += graph->nodes.size();
  return count;
}

Model reduce_model(Model model, const std::function<bool(const Model&)>& shows) {
  return Reducer(std::move(model), shows).reduce();
}

}  // namespace repose::onnx
