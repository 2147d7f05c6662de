// Imports an exported program: signature, symbols, memory that names share; each operator is in an
// import_<family>.cpp.
#include "frontend/torch/import.h"

#include <algorithm>

#include "base/work.h"
#include "frontend/torch/importer.h"
#include "frontend/torch/sympy.h"
#include "frontend/torch/tensor_data.h"
#include "ir/function_facts.h"

namespace repose {
namespace torch {

using frontend::identifier;
using frontend::printable_name;

std::string_view operator_name(const Node& node) {
  std::string_view name = node.target;
  constexpr std::string_view prefix = "torch.ops.";
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  return name;
}

namespace {

// "aten.add_.Tensor" changes its first argument: "aten.add.Tensor" gives the value.
std::optional<std::string> functional_name(std::string_view name) {
  const size_t overload = name.rfind('.');
  if (overload == std::string_view::npos || overload == 0 || name[overload - 1] != '_') {
    return std::nullopt;
  }
  if (name.substr(0, overload - 1).ends_with('_')) return std::nullopt;
  return std::string(name.substr(0, overload - 1)) + std::string(name.substr(overload));
}

// Results that are all sizes: PyTorch says what each is over the symbols.
bool gives_sizes(const Node& node) {
  return !node.outputs.empty() &&
         std::all_of(node.outputs.begin(), node.outputs.end(), [](const Argument& a) {
           using Kind = Argument::Kind;
           return a.kind == Kind::integer || a.kind == Kind::boolean || a.kind == Kind::number;
         });
}

// Branches and loops stand outside of dataflow blocks.
bool has_branches_or_loops(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) {
    const Control control = control_of(node);
    if (control == Control::none) {
      const OperatorRow* row = find_operator(operator_name(node));
      return row && row->effect == Effect::loop;
    }
    if (control != Control::block) return true;
    return std::any_of(node.inputs.begin(), node.inputs.end(), [](const NamedArgument& a) {
      return a.value.graph && has_branches_or_loops(*a.value.graph);
    });
  });
}

}  // namespace

std::string unbound_symbol(const Size& size, const std::function<bool(const std::string&)>& known) {
  std::string found;
  bool is_lone = true;
  auto symbol = [&](const std::string& name) -> Expr {
    if (!known(name)) {
      is_lone = found.empty();
      found = name;
    }
    return make_var("s");
  };
  if (size.value || size.is_name) return "";
  auto value = read_sympy(size.text, symbol, {});
  return value.ok() && is_lone && as<VarNode>(*value) ? found : "";
}

// ---- The function

// A buffer or an input that a node changes in place, or that the signature says to be replaced.
void Importer::find_mutations() {
  for (const OutputSpec& spec : program_.outputs) {
    if (spec.kind != OutputSpec::Kind::buffer_mutation &&
        spec.kind != OutputSpec::Kind::input_mutation) {
      continue;
    }
    for (const InputSpec& input : program_.inputs) {
      if (input.target == spec.target || input.name == spec.target) mutated_.insert(input.name);
    }
  }
  for (const Node& node : program_.graph.nodes) {
    if (!functional_name(operator_name(node)) || node.inputs.empty()) continue;
    const Argument& first = node.inputs[0].value;
    if (first.kind != Argument::Kind::tensor) continue;
    auto spec = specs_.find(first.texts[0]);
    if (spec != specs_.end() && spec->second->kind != InputSpec::Kind::constant) {
      mutated_.insert(first.texts[0]);
    }
  }
}

Result<std::string> Importer::dimension_text(const Size& size) {
  auto symbol = [this](const std::string& name) -> Expr {
    auto [it, is_new] = text_vars_.emplace(name, nullptr);
    if (is_new) it->second = make_var(name);
    return it->second;
  };
  REPOSE_TRY(value, read_sympy(size.text, symbol, program_.span()));
  return to_string(value);
}

Result<std::vector<ModelInput>> Importer::describe_inputs() {
  std::vector<ModelInput> result;
  for (const InputSpec* spec : parameters_) {
    ModelInput input{spec->name, std::vector<ModelInput::Dimension>()};
    auto meta = program_.graph.tensors.find(spec->name);
    if (meta != program_.graph.tensors.end()) {
      for (const Size& size : meta->second.sizes) {
        input.shape->emplace_back();
        if (size.value) {
          input.shape->back().value = size.value;
          continue;
        }
        REPOSE_TRY(text, dimension_text(size));
        input.shape->back().text = text;
      }
    }
    result.push_back(std::move(input));
  }
  return result;
}

// Of the symbols that dimensions of inputs have, with what the user declares.
std::map<std::string, Interval> Importer::declared_ranges() const {
  std::map<std::string, Interval> ranges = options_.dims;
  for (const auto& [symbol, range] : program_.ranges) {
    if (!text_vars_.contains(symbol)) continue;
    Interval interval;
    interval.lower = range.least && *range.least > 2 ? *range.least : 0;
    if (range.most && *range.most >= 0) interval.upper = *range.most;
    auto [it, is_new] = ranges.emplace(symbol, interval);
    if (!is_new) it->second = intersection(it->second, interval);
  }
  return ranges;
}

Result<Variable> Importer::make_parameter(const InputSpec& spec, size_t i) {
  const std::string name = identifiers_.fresh(spec.name);
  auto meta = program_.graph.tensors.find(spec.name);
  if (meta == program_.graph.tensors.end()) {
    return graph::make_variable(name, tensor_type({}, dtypes::int64));  // an integer
  }
  REPOSE_TRY(dtype, dtype_of(meta->second.dtype, program_.span()));
  return graph::make_variable(name, tensor_type(symbols_.shape(i), dtype));
}

Result<void> Importer::open_function() {
  for (const InputSpec& spec : program_.inputs) {
    if (spec.kind == InputSpec::Kind::other) {
      return error(DiagnosticKind::unsupported_feature, program_.span(),
                   "an input of the program is a `{}`, which is not supported",
                   printable(spec.target));
    }
    if (!specs_.emplace(spec.name, &spec).second) {
      return error(DiagnosticKind::bad_model, program_.span(), "input `{}` is there twice",
                   printable(spec.name));
    }
  }
  find_mutations();
  for (const InputSpec& spec : program_.inputs) {
    if (spec.kind == InputSpec::Kind::user && program_.graph.tensors.contains(spec.name)) {
      parameters_.push_back(&spec);
    }
  }
  for (const InputSpec& spec : program_.inputs) {
    const bool is_state =
        spec.kind == InputSpec::Kind::buffer || spec.kind == InputSpec::Kind::parameter;
    if (is_state && mutated_.contains(spec.name)) parameters_.push_back(&spec);
  }
  REPOSE_TRY(inputs, describe_inputs());
  REPOSE_TRY(symbols, InputSymbols::make(inputs, declared_ranges(), options_.same_dims, {},
                                         identifiers_, program_.span()));
  symbols_ = std::move(symbols);
  // Integers that no tensor's shape tells.
  for (const InputSpec& spec : program_.inputs) {
    const bool is_integer =
        spec.kind == InputSpec::Kind::user && !program_.graph.tensors.contains(spec.name);
    if (is_integer && !find_size({std::nullopt, spec.name, true}).ok()) {
      parameters_.push_back(&spec);
    }
  }
  std::vector<Variable> params;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    REPOSE_TRY(param, make_parameter(*parameters_[i], i));
    values_[parameters_[i]->name] = param;
    params.push_back(param);
  }
  parameter_values_ = params;
  builder_.begin_function(options_.function_name, std::move(params), symbols_.facts(),
                          program_.span());
  if (!has_branches_or_loops(program_.graph)) builder_.begin_dataflow();
  for (const InputSpec* spec : parameters_) {
    if (auto bound = bind_integer(*spec); !bound.ok()) return bound;
  }
  for (const frontend::DeclaredBound& b : symbols_.bounds()) {
    auto stated =
        builder_.require(in_range(b.value, b.range),
                         fmt::format("`{}` is {{0}}, which is outside of its declared range {}",
                                     b.text, range_text(b.range)),
                         {b.value}, program_.span());
    if (!stated.ok()) return stated;
  }
  return {};
}

// The symbol that an integer among the inputs is.
Result<void> Importer::bind_integer(const InputSpec& spec) {
  if (program_.graph.tensors.contains(spec.name)) return {};
  auto size = program_.graph.sizes.find(spec.name);
  const auto known = [this](const std::string& symbol) { return bound_.contains(symbol); };
  const std::string symbol =
      size == program_.graph.sizes.end() ? std::string() : unbound_symbol(size->second, known);
  if (symbol.empty()) {
    return error(DiagnosticKind::unsupported_feature, program_.span(),
                 "input `{}` is a number that is no symbol of the program", printable(spec.name));
  }
  CallContext c(builder_, program_.span(), printable(spec.name), identifier(spec.name));
  REPOSE_TRY(elements, c.elements(values_[spec.name], symbol));
  return bind_symbol(symbol, elements[0], program_.span());
}

void Importer::add_result(const Operand& value, const std::string& name) {
  Operand result = value;
  const auto* variable = graph::as<graph::VariableNode>(value);
  if (variable && variable->is_dataflow) {
    result = builder_.emit_output(value, identifier(name), program_.span());
  }
  results_.push_back(result);
  std::string unique = printable_name(name);
  for (int i = 1; std::count(result_names_.begin(), result_names_.end(), unique); ++i) {
    unique = fmt::format("{}_{}", printable_name(name), i);
  }
  result_names_.push_back(unique);
}

Result<void> Importer::add_output(const OutputSpec& spec) {
  using Kind = Argument::Kind;
  const Argument& a = spec.value;
  if (spec.kind == OutputSpec::Kind::other) {
    return error(DiagnosticKind::unsupported_feature, program_.span(),
                 "an output of the program is a `{}`, which is not supported",
                 printable(spec.target));
  }
  if (a.kind == Kind::none) return {};
  if (a.kind == Kind::tensor) {
    REPOSE_TRY(value, find_tensor(a.texts[0]));
    if (spec.kind != OutputSpec::Kind::user) {
      for (const InputSpec* input : parameters_) {
        if (input->target != spec.target && input->name != spec.target) continue;
        values_[input->name] = value;
      }
      return {};
    }
    add_result(value, a.texts[0]);
    return {};
  }
  if (a.kind == Kind::integer || a.kind == Kind::number || a.kind == Kind::boolean) {
    const bool is_known = a.sizes.empty() || a.sizes[0].value;
    if (is_known) return {};  // PyTorch's caller has it already
    REPOSE_TRY(value, find_number(a.sizes[0]));
    add_result(value, a.sizes[0].text);
    return {};
  }
  return error(DiagnosticKind::unsupported_feature, program_.span(),
               "an output of the program is a `{}`, which is not supported",
               argument_kind_name(a.kind));
}

namespace {

// Whether a value may take the place of a parameter that the program mutates.
bool is_replacement(const Operand& value, const graph::VariableNode& param) {
  const TensorTypeNode *made = graph::tensor_of(value), *had = as<TensorTypeNode>(param.type);
  return made && had && made->dtype == had->dtype &&
         is_subtype(value->type, param.type) != Truth::no;
}

}  // namespace

Result<Module> Importer::close_function() {
  for (const OutputSpec& spec : program_.outputs) {
    if (auto added = add_output(spec); !added.ok()) return added.errors();
  }
  AttrDict donate;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const InputSpec& spec = *parameters_[i];
    if (!mutated_.contains(spec.name)) continue;
    REPOSE_TRY(value, find_tensor(spec.name));
    const std::string& name = spec.target.empty() ? spec.name : spec.target;
    if (!is_replacement(value, *parameter_values_[i])) {
      return error(DiagnosticKind::bad_model, program_.span(),
                   "the new value of `{}` has the type `{}`, expected `{}`", printable(name),
                   to_string(value->type), to_string(parameter_values_[i]->type));
    }
    donate.emplace_back(Attr(static_cast<int64_t>(results_.size())), Attr(static_cast<int64_t>(i)));
    add_result(value, name);
  }
  if (builder_.in_dataflow()) builder_.end_dataflow();
  FunctionOptions function;
  std::vector<std::string> input_names;
  for (const InputSpec* spec : parameters_) {
    input_names.push_back(printable_name(spec->target.empty() ? spec->name : spec->target));
  }
  function.attrs.set("input_names", input_names);
  function.attrs.set("output_names", result_names_);
  if (!donate.empty()) function.attrs.set("donate", Attr(std::move(donate)));
  symbols_.describe(function.attrs);
  Operand result = results_.size() == 1 ? results_[0] : graph::make_tuple(std::move(results_));
  auto done = builder_.end_function(result, std::move(function));
  if (!done.ok()) return done.errors();
  return builder_.module();
}

// ---- Values

Result<Operand> Importer::find_tensor(const std::string& name) {
  auto known = values_.find(name);
  if (known != values_.end()) {
    if (memory_.is_stale(name)) {
      return error(DiagnosticKind::unsupported_feature, program_.span(),
                   "`{}` is used after its memory was changed by another name: "
                   "`run_decompositions()` makes such programs functional",
                   printable(name));
    }
    return known->second;
  }
  auto spec = specs_.find(name);
  if (spec == specs_.end() || spec->second->target.empty()) {
    return error(DiagnosticKind::missing_value, program_.span(), "value `{}` comes from nothing",
                 printable(name));
  }
  const std::string& target = spec->second->target;
  REPOSE_TRY(data, payload_data(program_, target));
  return values_[name] = graph::make_constant(data, printable_name(target));
}

// What stands behind the name of a size.
const Size* Importer::resolve(const Size& size) const {
  if (!size.is_name) return &size;
  auto it = graph_->sizes.find(size.text);
  return it == graph_->sizes.end() || it->second.is_name ? nullptr : &it->second;
}

Result<Expr> Importer::find_size(const Size& size) {
  const Size* s = resolve(size);
  if (!s) {
    return error(DiagnosticKind::missing_value, program_.span(), "size `{}` comes from nothing",
                 printable(size.text));
  }
  if (s->value) return make_int(*s->value);
  auto symbol = [this](const std::string& name) -> Expr {
    if (auto it = bound_.find(name); it != bound_.end()) return it->second;
    return symbols_.meaning(name);
  };
  return read_sympy(s->text, symbol, program_.span());
}

Result<Operand> Importer::find_number(const Size& size) {
  const Size* s = resolve(size);
  if (auto it = numbers_.find(s ? s->text : size.text); it != numbers_.end()) return it->second;
  if (auto it = numbers_.find(size.text); it != numbers_.end()) return it->second;
  CallContext c(builder_, program_.span(), printable(size.text), identifier(size.text));
  auto whole = find_size(size);
  Composite m(c);
  if (whole.ok() && (*whole)->dtype.is_index()) return m.result(m.number(*whole, dtypes::int64));
  if (!s || s->value) return whole.errors();
  auto symbol = [this](const std::string& name) -> Expr {
    if (auto it = bound_.find(name); it != bound_.end()) return it->second;
    return symbols_.meaning(name);
  };
  REPOSE_TRY(ratio, read_sympy_ratio(s->text, symbol, program_.span()));
  return m.result(
      m.divide(m.number(ratio.value, dtypes::float64), m.number(ratio.divisor, dtypes::float64)));
}

// ---- Nodes

namespace {

Span node_span(const Node& node, size_t position) {
  const std::string name = node.name.empty() ? fmt::format("node {}", position) : node.name;
  return {make_node_source(printable(name),
                           fmt::format("{}, node {}", printable(operator_name(node)), position))};
}

const OperatorRow* operator_of(const Node& node, bool* in_place) {
  *in_place = false;
  if (const OperatorRow* row = find_operator(operator_name(node))) return row;
  const auto functional = functional_name(operator_name(node));
  if (!functional) return nullptr;
  *in_place = true;
  return find_operator(*functional);
}

}  // namespace

// One error for each operator.
void Importer::find_unsupported(const Graph& graph) {
  std::map<std::string, std::pair<Span, size_t>> found;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    bool in_place = false;
    if (control_of(node) != Control::none) {
      for (const NamedArgument& a : node.inputs) {
        if (a.value.graph) find_unsupported(*a.value.graph);
      }
      continue;
    }
    if (gives_sizes(node) || operator_of(node, &in_place)) continue;
    auto& entry =
        found.emplace(operator_name(node), std::pair(node_span(node, i), 0)).first->second;
    ++entry.second;
  }
  for (const auto& [name, entry] : found) {
    const std::string nodes = entry.second == 1 ? "" : fmt::format(" ({} nodes)", entry.second);
    errors_.push_back(error(DiagnosticKind::unsupported_operator, entry.first,
                            "operator `{}` is not supported{}", printable(name), nodes));
  }
}

Result<void> Importer::bind_symbol(const std::string& symbol, const Expr& value, const Span& span) {
  bound_.emplace(symbol, value);
  auto range = program_.ranges.find(symbol);
  if (range == program_.ranges.end()) return {};
  Interval interval;
  if (range->second.least) interval.lower = *range->second.least;
  if (range->second.most) interval.upper = *range->second.most;
  if (interval == Interval()) return {};
  return builder_.require(in_range(value, interval),
                          fmt::format("`{}` is {{0}}, which is outside of its range {}",
                                      printable(symbol), range_text(interval)),
                          {value}, span);
}

// Symbols that a value has first.
Result<void> Importer::bind_sizes(const std::string& name, const Operand& value, const Span& span) {
  auto meta = graph_->tensors.find(name);
  const TensorTypeNode* type = graph::tensor_of(value);
  if (meta == graph_->tensors.end() || !type || !type->shape) return {};
  const auto known = [this](const std::string& symbol) {
    return bound_.contains(symbol) || symbols_.meaning(symbol) != nullptr;
  };
  for (size_t i = 0; i < meta->second.sizes.size() && i < type->shape->size(); ++i) {
    const std::string symbol = unbound_symbol(meta->second.sizes[i], known);
    if (symbol.empty()) continue;
    if (auto bound = bind_symbol(symbol, (*type->shape)[i], span); !bound.ok()) return bound;
  }
  return {};
}

// Sizes are known from PyTorch's expressions; one that the data decides is read from its tensor.
Result<void> Importer::import_sizes(const Node& node, const Span& span) {
  const std::string_view name = operator_name(node);
  if (name != "aten._local_scalar_dense.default" && name != "aten.item.default") return {};
  NodeContext c(builder_, span, identifier(node.name), node, *graph_, names_);
  REPOSE_TRY(tensor, c.tensor("self"));
  const Argument& output = node.outputs[0];
  if (output.sizes.empty() || !output.sizes[0].is_name) return {};
  auto size = graph_->sizes.find(output.sizes[0].text);
  if (size == graph_->sizes.end()) return {};
  REPOSE_TRY(scalar, c.reshape(tensor, {}));
  if (output.kind != Argument::Kind::integer) {
    numbers_.emplace(size->second.text, scalar);
    numbers_.emplace(output.sizes[0].text, scalar);
    return {};
  }
  const auto known = [this](const std::string& symbol) { return bound_.contains(symbol); };
  const std::string symbol = unbound_symbol(size->second, known);
  if (symbol.empty()) return {};
  REPOSE_TRY(elements, c.elements(scalar, symbol));
  return bind_symbol(symbol, elements[0], span);
}

Result<void> Importer::import_operator(const Node& node, const OperatorRow& row, const Span& span,
                                       bool in_place) {
  std::vector<std::string> outputs;
  for (const Argument& output : node.outputs) {
    outputs.insert(outputs.end(), output.texts.begin(), output.texts.end());
    if (output.texts.empty()) outputs.emplace_back();
  }
  const std::string name = !node.name.empty()   ? node.name
                           : outputs.empty()    ? std::string("v")
                           : outputs[0].empty() ? std::string("v")
                                                : outputs[0];
  NodeContext c(builder_, span, identifier(name), node, *graph_, names_);
  REPOSE_TRY(results, row.import(c));
  if (in_place) {
    const Argument& first = node.inputs[0].value;
    if (first.kind != Argument::Kind::tensor || results.size() != 1) {
      return c.fail(DiagnosticKind::unsupported_feature, "changes something other than a tensor");
    }
    // The memory keeps its dtype and shape.
    REPOSE_TRY(before, find_tensor(first.texts[0]));
    REPOSE_TRY(shape, c.shape(before));
    REPOSE_TRY(value, c.cast(results[0], c.dtype(before)));
    REPOSE_TRY(whole, c.call("broadcast_to", {value, graph::make_shape(shape)}));
    if (!outputs.empty() && !outputs[0].empty()) memory_.add_view(first.texts[0], outputs[0], true);
    for (const std::string& same : memory_.write(first.texts[0])) values_[same] = whole;
    return {};
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].empty()) continue;
    if (i >= results.size() || !results[i]) {
      // Allowed as long as nothing asks for it.
      continue;
    }
    values_[outputs[i]] = results[i];
    if (row.effect == Effect::view && !node.inputs.empty() &&
        node.inputs[0].value.kind == Argument::Kind::tensor) {
      memory_.add_view(node.inputs[0].value.texts[0], outputs[i], false);
    }
    if (auto bound = bind_sizes(outputs[i], results[i], span); !bound.ok()) return bound;
  }
  return {};
}

void Importer::import_node(const Node& node, size_t position) {
  const Span span = node_span(node, position);
  const WorkPart part(span);
  bool in_place = false;
  const OperatorRow* row = gives_sizes(node) ? nullptr : operator_of(node, &in_place);
  builder_.set_span(span);
  auto done = control_of(node) != Control::none ? import_control(node, span)
              : row                             ? import_operator(node, *row, span, in_place)
                                                : import_sizes(node, span);
  if (done.ok()) return;
  for (Diagnostic d : done.errors()) {
    if (!d.span || d.span.source == program_.source) d.span = span;
    errors_.push_back(std::move(d));
  }
}

Result<Module> Importer::run() {
  if (auto opened = open_function(); !opened.ok()) return opened.errors();
  find_unsupported(program_.graph);
  if (!errors_.empty()) return errors_;
  for (size_t i = 0; i < program_.graph.nodes.size(); ++i) {
    import_node(program_.graph.nodes[i], i);
    // What follows from a failure is no news.
    if (!errors_.empty()) return errors_;
  }
  return close_function();
}

}  // namespace torch

Result<Module> import_torch(const torch::Program& program, const OpTable& ops,
                            const ImportOptions& options, Diagnostics* warnings) {
  torch::Importer importer(program, ops, options);
  auto module = importer.run();
  if (warnings) {
    warnings->insert(warnings->end(), importer.warnings().begin(), importer.warnings().end());
  }
  return module;
}

}  // namespace repose
