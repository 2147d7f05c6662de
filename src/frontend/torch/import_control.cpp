// Operators whose arguments are graphs. `cond` is an `if`; `while_loop`, `map` and `scan` are
// loops, whose bodies are the graphs, imported in place; the others say how gradients or mixed
// precision are handled, which changes no value, so their graphs stand in their place.
#include <algorithm>

#include "frontend/common/loop_builder.h"
#include "frontend/torch/importer.h"
#include "frontend/torch/tensor_data.h"

namespace repose::torch {

using frontend::LoopBuilder;

namespace {

using Kind = Argument::Kind;

// With autocast (device, dtype, enabled, cache, graph, …) enabled, operators cast their operands.
bool casts_operands(const Node& node) {
  return node.inputs.size() < 5 || node.inputs[2].value.sizes.empty() ||
         node.inputs[2].value.sizes[0].value != 0;
}

size_t find_graph(const Node& node) {
  const auto is_graph = [](const NamedArgument& a) { return a.value.kind == Kind::graph; };
  return static_cast<size_t>(std::find_if(node.inputs.begin(), node.inputs.end(), is_graph) -
                             node.inputs.begin());
}

// The operands of `control`, graphs among them: "g" a graph, "l" a list of tensors, "c" a
// condition.
std::string_view signature_of(Control control) {
  switch (control) {
    case Control::cond:
      return "cggl";
    case Control::while_loop:
      return "ggll";
    case Control::map:
      return "gll";
    case Control::scan:
      return "glll";
    default:
      return "";
  }
}

bool fits(const Argument& a, char kind) {
  if (kind == 'g') return a.kind == Kind::graph;
  if (kind == 'c') return a.kind == Kind::tensor || a.kind == Kind::boolean;
  // An empty list is one of anything.
  return a.kind == Kind::tensors || a.kind == Kind::none || (a.texts.empty() && a.sizes.empty());
}

Result<void> check_operands(const Node& node, Control control, const CallContext& c) {
  const std::string_view wanted = signature_of(control);
  if (node.inputs.size() != wanted.size()) {
    return c.fail(DiagnosticKind::bad_model, "{} arguments, expected {}", node.inputs.size(),
                  wanted.size());
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    const Argument& a = node.inputs[i].value;
    if (fits(a, wanted[i])) continue;
    const char* expected = wanted[i] == 'g'   ? "graph"
                           : wanted[i] == 'l' ? "Tensor[]"
                                              : "Tensor` or `bool";
    return c.fail(DiagnosticKind::unsupported_feature, "argument {} is `{}`, expected `{}`", i,
                  argument_kind_name(a.kind), expected);
  }
  return {};
}

Result<Operand> member(Builder& b, const Operand& v, size_t i, size_t count, const CallContext& c) {
  if (count == 1) return v;
  REPOSE_TRY(var, b.emit(graph::make_tuple_get(v, static_cast<int>(i)), c.name(), c.span()));
  return Operand(var);
}

}  // namespace

Control control_of(const Node& node) {
  const std::string_view name = operator_name(node);
  constexpr std::string_view prefix = "higher_order.";
  if (!name.starts_with(prefix) || find_graph(node) == node.inputs.size()) return Control::none;
  const std::string_view rest = name.substr(prefix.size());
  if (rest == "wrap_with_set_grad_enabled") return Control::block;
  if (rest == "wrap_with_autocast") return casts_operands(node) ? Control::none : Control::block;
  if (rest == "cond") return Control::cond;
  if (rest == "while_loop") return Control::while_loop;
  if (rest == "map_impl") return Control::map;
  if (rest == "scan") return Control::scan;
  return Control::none;
}

// The tensors among some arguments, lists of them flattened; null: a number, whose meaning the
// graph that it is given to says itself.
Result<Values> Importer::operands_of(const Node& node, size_t first, size_t last) {
  Values all;
  for (size_t i = first; i < last; ++i) {
    const Argument& a = node.inputs[i].value;
    all.resize(all.size() + a.sizes.size() + a.numbers.size());
    if (a.kind != Kind::tensor && a.kind != Kind::tensors) continue;
    for (const std::string& name : a.texts) {
      REPOSE_TRY(value, find_tensor(name));
      all.push_back(value);
    }
  }
  return all;
}

// Nodes and results of a graph whose inputs are in `values_`.
Result<Values> Importer::import_nodes(const Graph& graph, const Span& span) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    import_node(graph.nodes[i], i);
    if (!errors_.empty()) return std::exchange(errors_, {});
  }
  Values results;
  for (const Argument& output : graph.outputs) {
    if (output.kind != Kind::tensor && output.kind != Kind::tensors) {
      return error(DiagnosticKind::unsupported_feature, span,
                   "a graph inside gives a `{}`, expected `Tensor`",
                   argument_kind_name(output.kind));
    }
    for (const std::string& name : output.texts) {
      REPOSE_TRY(value, find_tensor(name));
      results.push_back(value);
    }
  }
  return results;
}

// The results of a graph for these arguments. It sees no other value; symbols that its values have
// first are its own.
Result<Values> Importer::import_graph(const Graph& graph, const Values& arguments,
                                      const Span& span) {
  if (graph.inputs.size() != arguments.size()) {
    return error(DiagnosticKind::bad_model, span, "a graph of {} inputs gets {} arguments",
                 graph.inputs.size(), arguments.size());
  }
  std::map<std::string, Operand, std::less<>> given;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] && !graph.inputs[i].texts.empty()) {
      given.emplace(graph.inputs[i].texts[0], arguments[i]);
    }
  }
  auto outer_values = std::exchange(values_, given);
  auto outer_memory = std::exchange(memory_, {});
  const auto outer_bound = bound_;
  const auto outer_numbers = numbers_;
  const Graph* outer = std::exchange(graph_, &graph);
  auto run = [&]() -> Result<Values> {
    for (const auto& [name, value] : given) {
      if (auto bound = bind_sizes(name, value, span); !bound.ok()) return bound.errors();
    }
    REPOSE_TRY(results, import_nodes(graph, span));
    for (const auto& [name, value] : given) {
      if (values_[name] == value) continue;
      return error(DiagnosticKind::unsupported_feature, span, "`{}` is changed in place inside",
                   printable(name));
    }
    return results;
  };
  auto results = run();
  graph_ = outer;
  values_ = std::move(outer_values);
  memory_ = std::move(outer_memory);
  bound_ = outer_bound;
  numbers_ = outer_numbers;
  return results;
}

Result<Values> Importer::import_block(const Node& node, const Span& span) {
  const size_t graph = find_graph(node);
  REPOSE_TRY(arguments, operands_of(node, graph + 1, node.inputs.size()));
  return import_graph(*node.inputs[graph].value.graph, arguments, span);
}

// ---- cond

// A bool of rank 0, or a prim value (a constant where it is known).
Result<Operand> Importer::condition_of(const Argument& condition, CallContext& c) {
  if (condition.kind == Kind::tensor) {
    REPOSE_TRY(tensor, find_tensor(condition.texts[0]));
    REPOSE_TRY(flag, c.cast(tensor, dtypes::boolean));
    return c.reshape(flag, {});
  }
  REPOSE_TRY(value, find_size(condition.sizes.at(0)));
  const Expr holds = value->dtype == dtypes::boolean ? value : ne(value, make_int(0));
  const Truth truth = prove(holds, builder_.facts());
  return graph::make_prim(truth == Truth::unknown ? holds : make_bool(truth == Truth::yes));
}

Result<Operand> Importer::import_branch(const Graph& graph, const Values& arguments,
                                        const Span& span) {
  REPOSE_TRY(results, import_graph(graph, arguments, span));
  return results.size() == 1 ? results[0] : graph::make_tuple(std::move(results));
}

Result<Values> Importer::import_cond(const Node& node, CallContext& c) {
  REPOSE_TRY(condition, condition_of(node.inputs[0].value, c));
  REPOSE_TRY(arguments, operands_of(node, 3, 4));
  const Graph& then_graph = *node.inputs[1].value.graph;
  const Graph& else_graph = *node.inputs[2].value.graph;
  const auto* prim = graph::as<graph::PrimValueNode>(condition);
  if (prim && is_constant(prim->value)) {
    const bool holds = structural_equal(prim->value, make_bool(true));
    return import_graph(holds ? then_graph : else_graph, arguments, c.span());
  }
  const size_t count = then_graph.outputs.size();
  if (count != else_graph.outputs.size()) {
    return c.fail(DiagnosticKind::bad_model, "the branches give {} and {} values", count,
                  else_graph.outputs.size());
  }
  builder_.begin_if(condition, c.span());
  REPOSE_TRY(yes, import_branch(then_graph, arguments, c.span()));
  builder_.begin_else(yes);
  REPOSE_TRY(no, import_branch(else_graph, arguments, c.span()));
  REPOSE_TRY(joined, builder_.end_if(no, c.name()));
  Values results;
  for (size_t i = 0; i < count; ++i) {
    REPOSE_TRY(result, member(builder_, joined, i, count, c));
    const TensorTypeNode* t = graph::tensor_of(result);
    if (!t || !t->shape || !t->dtype) {
      return c.fail(DiagnosticKind::unsupported_feature,
                    "the branches give result {} in different {}", i,
                    t && t->dtype ? "ranks" : "dtypes");
    }
    results.push_back(result);
  }
  return results;
}

// ---- Loops

namespace {

// What a loop carries: the dimensions of its first value, but those that PyTorch calls by a symbol
// of the body's own are whatever the iteration before made of them.
Result<Type> carried_type(const TensorMeta* meta, const Operand& init,
                          const std::function<bool(const std::string&)>& known, size_t k,
                          const CallContext& c) {
  const TensorTypeNode* t = graph::tensor_of(init);
  if (!t->shape) {
    return c.fail(DiagnosticKind::unsupported_feature, "the rank of carried value {} is unknown",
                  k);
  }
  Dims dims = *t->shape;
  for (size_t d = 0; meta && d < dims.size() && d < meta->sizes.size(); ++d) {
    if (unbound_symbol(meta->sizes[d], known).empty()) continue;
    dims[d] = make_var("d", dtypes::index, VarRole::dimension);
  }
  return tensor_type(std::move(dims), t->dtype);
}

// A dimension that is not that of the first value is any.
Result<void> check_carried(const Type& type, const Operand& init, const Operand& next, size_t k,
                           const CallContext& c) {
  const Dims &wanted = *as<TensorTypeNode>(type)->shape, &first = *graph::tensor_of(init)->shape;
  const TensorTypeNode* made = graph::tensor_of(next);
  bool fits = made->dtype == graph::tensor_of(init)->dtype && made->shape &&
              made->shape->size() == wanted.size();
  for (size_t d = 0; fits && d < wanted.size(); ++d) {
    fits =
        wanted[d] != first[d] || prove_equal((*made->shape)[d], wanted[d], c.facts()) == Truth::yes;
  }
  if (fits) return {};
  return c.fail(DiagnosticKind::type_mismatch,
                "carried value {} has the type `{}`, the body makes `{}` of it", k, to_string(type),
                to_string(next->type));
}

}  // namespace

// Whether the loop goes on, as a bool of rank 0.
Result<Operand> Importer::test_of(const Graph& graph, const Values& arguments, CallContext& c) {
  REPOSE_TRY(results, import_graph(graph, arguments, c.span()));
  if (results.size() != 1) {
    return c.fail(DiagnosticKind::bad_model, "its test gives {} values, expected 1",
                  results.size());
  }
  REPOSE_TRY(flag, c.cast(results[0], dtypes::boolean));
  return c.reshape(flag, {});
}

Result<Values> Importer::import_while(const Node& node, CallContext& c) {
  const Graph& test = *node.inputs[0].value.graph;
  const Graph& body = *node.inputs[1].value.graph;
  REPOSE_TRY(inits, operands_of(node, 2, 3));
  REPOSE_TRY(others, operands_of(node, 3, 4));
  const auto with_others = [&others](Values carried) {
    carried.insert(carried.end(), others.begin(), others.end());
    return carried;
  };
  REPOSE_TRY(begins, test_of(test, with_others(inits), c));
  const auto known = [this](const std::string& symbol) {
    return bound_.contains(symbol) || symbols_.meaning(symbol) != nullptr;
  };
  std::vector<Type> types;
  for (size_t k = 0; k < inits.size(); ++k) {
    const bool is_named = k < body.inputs.size() && !body.inputs[k].texts.empty();
    auto meta = is_named ? body.tensors.find(body.inputs[k].texts[0]) : body.tensors.end();
    REPOSE_TRY(type, carried_type(meta == body.tensors.end() ? nullptr : &meta->second, inits[k],
                                  known, k, c));
    types.push_back(type);
  }
  LoopBuilder loop({&builder_, c.span(), c.name(), nullptr, inits, begins, {}, true});
  if (auto begun = loop.begin_body(types); !begun.ok()) return begun.errors();
  const Values carried(loop.carried().begin(), loop.carried().end());
  REPOSE_TRY(next, import_graph(body, with_others(carried), c.span()));
  if (next.size() != inits.size()) {
    return c.fail(DiagnosticKind::bad_model, "{} values are carried, but the body gives {}",
                  inits.size(), next.size());
  }
  for (size_t k = 0; k < next.size(); ++k) {
    auto checked = check_carried(types[k], inits[k], next[k], k, c);
    if (!checked.ok()) return checked.errors();
  }
  REPOSE_TRY(goes_on, test_of(test, with_others(next), c));
  REPOSE_TRY(done, loop.end_body(next, goes_on, {}));
  return done.carried;
}

// The dimensions of a result of a graph; null: one that its run decides.
Dims Importer::row_shape(const Graph& graph, const std::string& name) {
  Dims dims;
  auto meta = graph.tensors.find(name);
  if (meta == graph.tensors.end()) return dims;
  const Graph* outer = std::exchange(graph_, &graph);
  for (const Size& size : meta->second.sizes) {
    auto value = find_size(size);
    dims.push_back(value.ok() ? canonical(*value) : nullptr);
  }
  graph_ = outer;
  return dims;
}

// map: for each row, the graph's results stacked. scan: besides, values that each row hands to the
// next.
Result<Values> Importer::import_rows(const Node& node, CallContext& c) {
  const bool is_scan = control_of(node) == Control::scan;
  const size_t at = is_scan ? 2 : 1;
  const Graph& body = *node.inputs[0].value.graph;
  REPOSE_TRY(inits, operands_of(node, 1, at));
  REPOSE_TRY(stacks, operands_of(node, at, at + 1));
  REPOSE_TRY(others, operands_of(node, at + 1, at + 2));
  if (stacks.empty() || body.outputs.size() < inits.size()) {
    return c.fail(DiagnosticKind::bad_model, "{} values to go through, and a graph of {} results",
                  stacks.size(), body.outputs.size());
  }
  Expr limit;
  for (const Operand& x : stacks) {
    REPOSE_TRY(shape, c.shape(x));
    if (shape.empty()) return c.fail(DiagnosticKind::rank_mismatch, "a value has no axis 0");
    if (!limit) limit = shape[0];
    auto same = c.require(eq(shape[0], limit), "values of {0} and {1} rows", {shape[0], limit});
    if (!same.ok()) return same.errors();
  }
  std::vector<LoopBuilder::Row> rows;
  for (size_t k = inits.size(); k < body.outputs.size(); ++k) {
    const std::string name = body.outputs[k].texts.empty() ? "" : body.outputs[k].texts[0];
    auto meta = body.tensors.find(name);
    if (meta == body.tensors.end()) {
      return c.fail(DiagnosticKind::unsupported_feature, "result {} of its graph is no tensor", k);
    }
    REPOSE_TRY(dtype, dtype_of(meta->second.dtype, c.span()));
    rows.push_back({row_shape(body, name), dtype});
  }
  std::vector<Type> types;
  for (const Operand& init : inits) types.push_back(init->type);
  LoopBuilder loop({&builder_, c.span(), c.name(), limit, inits, nullptr, rows, true});
  if (auto begun = loop.begin_body(types); !begun.ok()) return begun.errors();
  Values arguments(loop.carried().begin(), loop.carried().end());
  for (const Operand& x : stacks) {
    REPOSE_TRY(row, frontend::row_of(c, x, loop.counter()));
    arguments.push_back(row);
  }
  arguments.insert(arguments.end(), others.begin(), others.end());
  REPOSE_TRY(results, import_graph(body, arguments, c.span()));
  const auto middle = results.begin() + static_cast<std::ptrdiff_t>(inits.size());
  for (size_t k = 0; k < inits.size(); ++k) {
    auto checked = check_carried(types[k], inits[k], results[k], k, c);
    if (!checked.ok()) return checked.errors();
  }
  REPOSE_TRY(done, loop.end_body({results.begin(), middle}, nullptr, {middle, results.end()}));
  Values all = std::move(done.carried);
  all.insert(all.end(), done.stacked.begin(), done.stacked.end());
  return all;
}

// ---- All of them

Result<void> Importer::import_control(const Node& node, const Span& span) {
  const Control control = control_of(node);
  CallContext c(builder_, span, printable(operator_name(node)), frontend::identifier(node.name));
  if (control != Control::block) {
    if (auto checked = check_operands(node, control, c); !checked.ok()) return checked;
  }
  REPOSE_TRY(results, control == Control::block        ? import_block(node, span)
                      : control == Control::cond       ? import_cond(node, c)
                      : control == Control::while_loop ? import_while(node, c)
                                                       : import_rows(node, c));
  size_t i = 0;
  for (const Argument& output : node.outputs) {
    if (output.kind != Kind::tensor && output.kind != Kind::tensors) {
      return c.fail(DiagnosticKind::unsupported_feature, "result {} is a `{}`, expected `Tensor`",
                    i, argument_kind_name(output.kind));
    }
    for (const std::string& name : output.texts) {
      if (i >= results.size()) break;
      values_[name] = results[i++];
      if (auto bound = bind_sizes(name, values_[name], span); !bound.ok()) return bound;
    }
  }
  return {};
}

}  // namespace repose::torch
