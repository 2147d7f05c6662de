// Imports an ONNX model: graphs, scopes, functions; each operator is in an import_<family>.cpp.
#include "frontend/onnx/import.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "base/work.h"
#include "expr/interval.h"
#include "frontend/onnx/importer.h"
#include "frontend/onnx/node_order.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/sequences.h"
#include "frontend/onnx/tensor_data.h"
#include "ir/function_facts.h"

namespace repose {
namespace onnx {
namespace {

using graph::Variable;

constexpr size_t max_errors = 100;
constexpr int max_call_depth = 100;       // of functions that call functions
constexpr int64_t max_nodes = 1'000'000;  // after inlining

bool is_default_domain(std::string_view domain) {
  return domain.empty() || domain == "ai.onnx";
}

bool is_recurrent(const Node& node) {
  if (!is_default_domain(node.domain)) return node.op_type == "DynamicQuantizeLSTM";
  return node.op_type == "LSTM" || node.op_type == "GRU" || node.op_type == "RNN";
}

std::string operator_name(const Node& node) {
  if (is_default_domain(node.domain)) return printable(node.op_type);
  return fmt::format("{}.{}", printable(node.domain), printable(node.op_type));
}

bool same_domain(std::string_view a, std::string_view b) {
  return a == b || (is_default_domain(a) && is_default_domain(b));
}

// The version of the default domain; 0 where the list has none.
int64_t default_opset(const std::vector<OpsetImport>& imports) {
  for (const OpsetImport& i : imports) {
    if (is_default_domain(i.domain)) return i.version;
  }
  return 0;
}

ModelInput described(const Value& input) {
  ModelInput result{std::string(input.name), std::nullopt};
  if (!input.type.shape) return result;
  result.shape.emplace();
  for (const Dimension& d : *input.type.shape) {
    result.shape->emplace_back();
    if (d.kind == Dimension::Kind::value) result.shape->back().value = d.value;
    if (d.kind == Dimension::Kind::param) result.shape->back().text = d.param;
  }
  return result;
}

int64_t opset_of(const Function& function, int64_t of_caller) {
  const int64_t own = default_opset(function.opset_imports);
  return own == 0 ? of_caller : own;
}

}  // namespace

Importer::ImportControl Importer::find_control(const Node& node) {
  if (!is_default_domain(node.domain)) return nullptr;
  if (node.op_type == "If") return &Importer::import_if;
  if (node.op_type == "Loop") return &Importer::import_loop;
  if (node.op_type == "Scan") return &Importer::import_scan;
  if (node.op_type == "SequenceMap") return &Importer::import_sequence_map;
  return nullptr;
}

bool Importer::is_supported(const Node& node, int64_t opset) {
  return find_control(node) || find_operator(node.domain, node.op_type, opset);
}

// Loops and branches stand outside of dataflow blocks.
bool Importer::has_loops_or_branches() const {
  auto found = [](const std::vector<Node>& nodes) {
    return std::any_of(nodes.begin(), nodes.end(),
                       [](const Node& node) { return find_control(node) || is_recurrent(node); });
  };
  return found(model_.graph.nodes) ||
         std::any_of(model_.functions.begin(), model_.functions.end(),
                     [&](const Function& f) { return found(f.nodes); });
}

void Importer::report(const Diagnostics& problems) {
  for (const Diagnostic& d : problems) {
    if (errors_.size() < max_errors) errors_.push_back(d);
  }
}

// ---- The function
// --------------------------------------------------------------------------------

Result<void> Importer::add_initializers(const Graph& graph, Scope& scope) {
  Diagnostics problems;
  for (const Tensor& t : graph.initializers) {
    if (!scope.initializers.emplace(t.name, &t).second) {
      problems.push_back(error(DiagnosticKind::bad_model, model_.span(),
                               "initializer `{}` is there twice", printable(t.name)));
    }
  }
  for (const SparseTensor& t : graph.sparse_initializers) {
    problems.push_back(error(DiagnosticKind::unsupported_feature, model_.span(),
                             "initializer `{}` is sparse, which is not supported",
                             printable(t.values.name)));
  }
  return problems;
}

Result<Variable> Importer::make_parameter(const Value& input, size_t i) {
  const std::string what = fmt::format("input `{}`", printable(input.name));
  const Span span = model_.span();
  if (input.type.kind == Type::Kind::none) {
    return error(DiagnosticKind::bad_model, span, "{}: has no type", what);
  }
  if (input.type.kind != Type::Kind::tensor) {
    return error(DiagnosticKind::unsupported_feature, span, "{}: is no tensor", what);
  }
  REPOSE_TRY(dtype, dtype_of(input.type.elem_type, span, what));
  const std::string name = identifiers_.fresh(input.name);
  if (!input.type.shape) {
    return error(DiagnosticKind::unsupported_feature, span,
                 "{}: its rank is not known: declare its shape, as in `--shape {}=batch,3,h,w`",
                 what, printable(input.name));
  }
  return graph::make_variable(name, tensor_type(symbols_.shape(i), dtype));
}

// The input, with the shape that the options give it.
const Value* Importer::with_declared_shape(const Value& input) {
  const auto declared = options_.shapes.find(std::string(input.name));
  if (declared == options_.shapes.end() || input.type.kind != Type::Kind::tensor ||
      input.type.shape) {
    return &input;
  }
  std::vector<Dimension> shape;
  for (const std::string& text : declared->second) {
    Dimension d{Dimension::Kind::param, 0, text};
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), d.value);
    if (bad == std::errc() && end == text.data() + text.size()) d.kind = Dimension::Kind::value;
    shape.push_back(d);
  }
  Value& own = shaped_inputs_.emplace_back(input);
  own.type.shape = std::move(shape);
  return &own;
}

// That a declared shape is of an input whose rank the model leaves open.
Result<void> Importer::check_declared_shape(const std::string& name) const {
  for (const Value& input : model_.graph.inputs) {
    if (input.name != name || main_.initializers.count(input.name)) continue;
    if (!input.type.shape) return {};
    return error(DiagnosticKind::bad_usage, model_.span(),
                 "a shape is declared for the input `{}`, which has rank {} in the model: `--dim` "
                 "declares its dimensions",
                 printable(name), input.type.shape->size());
  }
  return error(DiagnosticKind::bad_usage, model_.span(),
               "a shape is declared for `{}`, which is no input", printable(name));
}

Result<void> Importer::open_function() {
  Diagnostics problems;
  if (auto added = add_initializers(model_.graph, main_); !added.ok()) problems = added.errors();
  std::unordered_map<std::string_view, int> seen;
  for (const Value& input : model_.graph.inputs) {
    if (seen[input.name]++) {
      problems.push_back(error(DiagnosticKind::bad_model, model_.span(),
                               "input `{}` is there twice", printable(input.name)));
    }
    if (!main_.initializers.count(input.name)) inputs_.push_back(with_declared_shape(input));
  }
  for (const auto& [name, shape] : options_.shapes) {
    auto used = check_declared_shape(name);
    if (!used.ok()) problems.push_back(used.errors()[0]);
  }
  if (!problems.empty()) return problems;
  std::vector<ModelInput> described_inputs;
  for (const Value* input : inputs_) described_inputs.push_back(described(*input));
  REPOSE_TRY(symbols, InputSymbols::make(described_inputs, options_.dims, options_.same_dims,
                                         aliases_, identifiers_, model_.span()));
  symbols_ = std::move(symbols);
  std::vector<Variable> params;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    auto param = make_parameter(*inputs_[i], i);
    if (!param.ok()) {
      problems.insert(problems.end(), param.errors().begin(), param.errors().end());
      continue;
    }
    main_.values.emplace(inputs_[i]->name, *param);
    params.push_back(*param);
  }
  if (!problems.empty()) return problems;
  builder_.begin_function(options_.function_name, std::move(params), symbols_.facts(),
                          model_.span());
  if (!has_loops_or_branches()) builder_.begin_dataflow();
  for (const DeclaredBound& b : symbols_.bounds()) {
    auto stated =
        builder_.require(in_range(b.value, b.range),
                         fmt::format("`{}` is {{0}}, which is outside of its declared range {}",
                                     b.text, range_text(b.range)),
                         {b.value}, model_.span());
    if (!stated.ok()) return stated;
  }
  return {};
}

Result<Module> Importer::close_function() {
  std::vector<Operand> results;
  std::vector<std::string> input_names, output_names;
  for (const Value* input : inputs_) input_names.push_back(printable_name(input->name));
  for (const Value& output : model_.graph.outputs) {
    REPOSE_TRY(value, find_value(output.name, main_));
    if (is_sequence(value)) {
      return error(DiagnosticKind::unsupported_feature, model_.span(), "output `{}` is a sequence",
                   printable(output.name));
    }
    output_names.push_back(printable_name(output.name));
    const auto* variable = graph::as<graph::VariableNode>(value);
    if (variable && variable->is_dataflow) {
      value = builder_.emit_output(value, identifier(output.name), model_.span());
    }
    results.push_back(value);
  }
  if (builder_.in_dataflow()) builder_.end_dataflow();
  FunctionOptions function;
  function.attrs.set("input_names", input_names);
  function.attrs.set("output_names", output_names);
  symbols_.describe(function.attrs);
  Operand result = results.size() == 1 ? results[0] : graph::make_tuple(std::move(results));
  auto done = builder_.end_function(result, std::move(function));
  if (!done.ok()) return done.errors();
  find_equal_symbols();
  if (!errors_.empty()) return errors_;
  return builder_.module();
}

Result<Module> Importer::run() {
  if (auto opened = open_function(); !opened.ok()) return opened.errors();
  Surroundings around;
  around.opset = default_opset(model_.opset_imports);
  find_unsupported(model_.graph.nodes, around);
  report_unsupported();
  if (!errors_.empty()) return errors_;
  std::vector<std::string_view> wanted;
  for (const Value& output : model_.graph.outputs) wanted.push_back(output.name);
  import_nodes(model_.graph.nodes, main_, around, wanted);
  if (has_to_start_again()) return Diagnostics(errors_);
  report_unsupported();
  if (!errors_.empty()) return errors_;
  for (const Value& output : model_.graph.outputs) {
    if (!main_.knows(output.name)) {
      report({error(DiagnosticKind::missing_value, model_.span(),
                    "output `{}` is produced by nothing", printable(output.name))});
    }
  }
  if (!errors_.empty()) return errors_;
  check_hints(model_.graph.outputs, main_);
  check_hints(model_.graph.value_infos, main_);
  if (!errors_.empty()) return errors_;
  for (const Diagnostic& w : builder_.warnings()) warnings_.push_back(w);
  return close_function();
}

// ---- Nodes
// ---------------------------------------------------------------------------------------

Result<Operand> Importer::find_value(std::string_view name, Scope& scope) {
  if (scope.omitted.count(name)) {
    return error(DiagnosticKind::unsupported_feature, model_.span(),
                 "`{}` is an optional value without an element, expected a tensor",
                 printable(name));
  }
  if (auto it = scope.values.find(name); it != scope.values.end()) return it->second;
  if (auto it = scope.initializers.find(name); it != scope.initializers.end()) {
    auto constant = make_constant_of(model_, *it->second);
    scope.values[name] = constant.ok() ? *constant : nullptr;  // reported once
    return constant;
  }
  REPOSE_CHECK(scope.outer != nullptr, "every operand was looked for when the nodes were ordered");
  return find_value(name, const_cast<Scope&>(*scope.outer));
}

void Importer::import_nodes(const std::vector<Node>& nodes, Scope& scope,
                            const Surroundings& around,
                            const std::vector<std::string_view>& wanted) {
  auto order = order_nodes(
      nodes, [&](std::string_view name) { return scope.is_own(name); },
      [&](std::string_view name) { return scope.knows(name); }, around.function);
  if (!order.ok()) return report(order.errors());
  import_in_order(nodes, *order, scope, around, wanted);
}

void Importer::import_in_order(const std::vector<Node>& nodes, std::span<const size_t> order,
                               Scope& scope, const Surroundings& around,
                               const std::vector<std::string_view>& wanted) {
  for (size_t at = 0; at < order.size(); ++at) {
    const size_t i = order[at];
    if (errors_.size() >= max_errors) return;
    if (++num_nodes_ > max_nodes) {
      return report({error(DiagnosticKind::too_large, model_.span(),
                           "more than {} nodes when functions are inlined", max_nodes)});
    }
    const Span span = node_span(nodes[i], i, around.function);
    if (splits_.contains(&nodes[i])) {
      Values inputs;
      if (!find_inputs(nodes[i], scope, inputs)) return;
      const Rest rest{nodes, order.subspan(at + 1), wanted};
      if (import_split({nodes[i], span, inputs, scope, around}, rest)) return;
    }
    import_node(nodes[i], span, scope, around);
  }
}

const Function* Importer::find_function(const Node& node) const {
  for (const Function& f : model_.functions) {
    if (f.name == node.op_type && same_domain(f.domain, node.domain) &&
        f.overload == node.overload) {
      return &f;
    }
  }
  return nullptr;
}

// What no attempt could import, before time is spent on the rest. Which branch of an `If` is taken
// is known later.
void Importer::find_unsupported(const std::vector<Node>& nodes, const Surroundings& around) {
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (const Function* function = find_function(nodes[i])) {
      if (around.depth >= max_call_depth || !looked_through_.insert(function).second) continue;
      Surroundings inner;
      inner.depth = around.depth + 1;
      inner.function = function->name;
      inner.opset = opset_of(*function, around.opset);
      find_unsupported(function->nodes, inner);
    } else if (!is_supported(nodes[i], around.opset)) {
      note_unsupported(nodes[i], node_span(nodes[i], i, around.function), around.opset);
    }
  }
}

void Importer::note_unsupported(const Node& node, const Span& span, int64_t opset) {
  const std::string what =
      fmt::format("operator `{}` of operator set {}", operator_name(node), opset);
  auto known = std::find_if(unsupported_.begin(), unsupported_.end(),
                            [&](const Unsupported& u) { return u.what == what; });
  if (known == unsupported_.end()) known = unsupported_.insert(known, {what, span, 0});
  ++known->count;
}

// One error for each operator.
void Importer::report_unsupported() {
  for (const Unsupported& u : unsupported_) {
    const std::string nodes = u.count == 1 ? "" : fmt::format(" ({} nodes)", u.count);
    report({error(DiagnosticKind::unsupported_operator, u.span, "{} is not supported{}", u.what,
                  nodes)});
  }
  unsupported_.clear();
}

// False where the import of one of them failed, which has been reported.
bool Importer::find_inputs(const Node& node, Scope& scope, Values& inputs) {
  for (std::string_view name : node.inputs) {
    inputs.push_back(nullptr);
    if (name.empty() || scope.is_omitted(name)) continue;
    auto value = find_value(name, scope);
    if (!value.ok()) report(value.errors());
    if (!value.ok() || !*value) return false;
    inputs.back() = *value;
  }
  while (!inputs.empty() && !inputs.back()) inputs.pop_back();
  return true;
}

void Importer::import_node(const Node& node, const Span& span, Scope& scope,
                           const Surroundings& around) {
  const WorkPart part(span);
  auto fail_outputs = [&] {
    for (std::string_view name : node.outputs) {
      if (!name.empty()) scope.values[name] = nullptr;
    }
  };
  const Function* function = find_function(node);
  if (!function && !is_supported(node, around.opset)) {
    note_unsupported(node, span, around.opset);
    return fail_outputs();
  }
  Values inputs;
  if (!find_inputs(node, scope, inputs)) return fail_outputs();
  if (is_default_domain(node.domain) && node.op_type == "Optional" && inputs.empty()) {
    if (!node.outputs.empty()) scope.omitted.insert(node.outputs[0]);
    return;
  }
  const bool is_loop = node.op_type == "Loop" && find_control(node);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!is_sequence(inputs[i]) || function || takes_sequences(node) || (is_loop && i >= 2))
      continue;
    report({error(DiagnosticKind::unsupported_feature, span,
                  "`{}`: operand {} is a sequence, expected a tensor", operator_name(node), i)});
    return fail_outputs();
  }
  const ImportControl control = function ? nullptr : find_control(node);
  auto results = function  ? import_call(node, *function, span, std::move(inputs), around)
                 : control ? (this->*control)({node, span, inputs, scope, around})
                           : import_operator(node, span, std::move(inputs), scope, around);
  if (!results.ok()) {
    report(results.errors());
    return fail_outputs();
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i].empty()) continue;
    if (i >= results->size()) {
      report({error(DiagnosticKind::unsupported_feature, span,
                    "`{}`: its result {} is not supported", operator_name(node), i)});
    }
    scope.values[node.outputs[i]] = i < results->size() ? (*results)[i] : nullptr;
  }
}

Result<Values> Importer::import_operator(const Node& node, const Span& span, Values inputs,
                                         Scope& scope, const Surroundings& around) {
  std::string name(node.op_type);
  for (size_t i = node.outputs.size(); i-- > 0;) {
    if (!node.outputs[i].empty()) name = node.outputs[i];
  }
  auto apply_graph = [&](const Graph& graph, const Operand& x) -> Result<Operand> {
    Scope inner;
    inner.outer = &scope;
    inner.values[graph.inputs[0].name] = x;
    REPOSE_TRY(results, import_graph(graph, inner, around, span));
    if (results[0]) return results[0];
    return error(DiagnosticKind::unsupported_feature, span,
                 "`{}`: a graph in its attributes failed", operator_name(node));
  };
  NodeContext context({&builder_, &model_, &node, &around.attributes, std::move(inputs),
                       around.opset, span, identifier(name), &quantized_, apply_graph});
  return find_operator(node.domain, node.op_type, around.opset)(context);
}

Result<Values> Importer::import_call(const Node& node, const Function& function, const Span& span,
                                     Values inputs, const Surroundings& around) {
  if (around.depth >= max_call_depth) {
    return error(DiagnosticKind::nesting_too_deep, span,
                 "functions call each other more than {} deep", max_call_depth);
  }
  if (inputs.size() > function.inputs.size()) {
    return error(DiagnosticKind::wrong_arity, span, "function `{}` takes {} operands, {} are given",
                 printable(function.name), function.inputs.size(), inputs.size());
  }
  Surroundings inner;
  inner.depth = around.depth + 1;
  inner.function = function.name;
  inner.opset = opset_of(function, around.opset);
  for (const Attribute& a : function.default_attributes) inner.attributes[a.name] = &a;
  for (const Attribute& a : node.attributes) {
    const Attribute* given = &a;
    if (a.is_reference()) {
      auto it = around.attributes.find(a.ref_attr_name);
      if (it == around.attributes.end()) continue;
      given = it->second;
    }
    inner.attributes[a.name] = given;
  }
  Scope scope;
  for (size_t i = 0; i < function.inputs.size(); ++i) {
    const bool is_given = i < inputs.size() && inputs[i];
    if (is_given) scope.values[function.inputs[i]] = inputs[i];
    if (!is_given) scope.omitted.insert(function.inputs[i]);
  }
  const size_t before = errors_.size();
  path_.emplace_back(&node, 2);
  import_nodes(function.nodes, scope, inner, function.outputs);
  path_.pop_back();
  Values results;
  for (std::string_view name : function.outputs) {
    auto it = scope.values.find(name);
    if (it == scope.values.end() && errors_.size() == before) {
      return error(DiagnosticKind::missing_value, span,
                   "output `{}` of function `{}` is produced by nothing", printable(name),
                   printable(function.name));
    }
    results.push_back(it == scope.values.end() ? nullptr : it->second);
  }
  return results;
}

// ---- What the file says about types
// --------------------------------------------------------------

void Importer::check_hint(const Value& value, const Operand& found) {
  const TensorTypeNode* t = graph::tensor_of(found);
  const std::string name = printable(value.name);
  auto dtype = dtype_of(value.type.elem_type, model_.span(), name);
  if (value.type.elem_type != DataType::undefined && dtype.ok() && *dtype != t->dtype) {
    report({error(DiagnosticKind::dtype_mismatch, model_.span(),
                  "value `{}` is declared as {}, but has dtype {}", name, dtype->to_string(),
                  t->dtype.to_string())});
  }
  if (!value.type.shape || t->rank < 0) return;
  auto warn = [&](std::string text) {
    warnings_.push_back(warning(DiagnosticKind::shape_mismatch, model_.span(), "{}", text));
  };
  const auto& dims = *value.type.shape;
  if (dims.size() != static_cast<size_t>(t->rank)) {
    return warn(fmt::format("value `{}` is declared with rank {}, but has rank {}", name,
                            dims.size(), t->rank));
  }
  for (size_t i = 0; t->shape && i < dims.size(); ++i) {
    Expr hint;
    if (dims[i].kind == Dimension::Kind::value) hint = make_int(dims[i].value);
    if (dims[i].kind == Dimension::Kind::param) hint = symbols_.meaning(dims[i].param);
    const Expr& dim = (*t->shape)[i];
    const Truth equal = hint ? prove_equal(hint, dim, builder_.facts()) : Truth::yes;
    // Nothing says that two names of inputs are equal.
    const bool are_names = hint && as<VarNode>(hint) && as<VarNode>(dim) &&
                           symbols_.name_of(as<VarNode>(hint)) &&
                           symbols_.name_of(as<VarNode>(dim));
    if (equal == Truth::yes || (equal == Truth::unknown && !are_names)) continue;
    warn(fmt::format("dimension {} of value `{}` is declared as `{}`, but is `{}`", i, name,
                     to_string(hint), to_string(dim)));
  }
}

void Importer::check_hints(const std::vector<Value>& values, const Scope& scope) {
  for (const Value& v : values) {
    auto it = scope.values.find(v.name);
    if (it == scope.values.end() || !it->second || is_sequence(it->second) ||
        v.type.kind != Type::Kind::tensor)
      continue;
    check_hint(v, it->second);
  }
}

// The equalities between two symbols of inputs among the checks that were placed.
void Importer::find_equal_symbols() {
  const graph::Function f = builder_.module().graph_function(options_.function_name);
  for (const EqualSymbols& equal : equal_symbols(f)) {
    const std::string *a = symbols_.name_of(equal.a.get()), *b = symbols_.name_of(equal.b.get());
    if (!a || !b || *a == *b) continue;
    if (options_.strict_dims) report({different_names(*a, *b, equal.span)});
    // The name that comes first stays.
    const bool in_order = equal.a->id < equal.b->id;
    found_aliases_.emplace(in_order ? *b : *a,
                           SymbolAlias{in_order ? *a : *b, equal.span.to_string()});
  }
}

namespace {

Result<void> check_model(const Model& model) {
  const int64_t opset = default_opset(model.opset_imports);
  if (opset == 0) {
    const bool needs_it = std::any_of(model.graph.nodes.begin(), model.graph.nodes.end(),
                                      [](const Node& n) { return is_default_domain(n.domain); });
    if (!needs_it) return {};
    return error(DiagnosticKind::bad_model, model.span(),
                 "the model does not say which operator set it uses");
  }
  if (opset >= min_opset && opset <= max_opset) return {};
  return error(DiagnosticKind::unsupported_feature, model.span(),
               "operator set {} is not supported, only {} to {} are", opset, min_opset, max_opset);
}

}  // namespace
}  // namespace onnx

Result<Module> import_onnx(const onnx::Model& model, const OpTable& ops,
                           const ImportOptions& options, Diagnostics* warnings) {
  if (auto checked = onnx::check_model(model); !checked.ok()) return checked.errors();
  // Each attempt makes symbols one that the attempt before found to be equal, and splits the rest
  // of a graph where that found branches of different ranks.
  onnx::SymbolAliases aliases;
  onnx::SplitNodes splits;
  onnx::DeadBranches dead;
  while (true) {
    onnx::Importer importer(model, ops, options, aliases, splits, dead);
    auto module = importer.run();
    if (importer.has_to_start_again()) {
      splits.insert(importer.found_splits().begin(), importer.found_splits().end());
      dead.insert(importer.found_dead().begin(), importer.found_dead().end());
      continue;
    }
    const bool again = module.ok() && !importer.found_aliases().empty();
    if (!again || options.strict_dims) {
      if (warnings) {
        warnings->insert(warnings->end(), importer.warnings().begin(), importer.warnings().end());
      }
      return module;
    }
    aliases.insert(importer.found_aliases().begin(), importer.found_aliases().end());
  }
}

}  // namespace repose
