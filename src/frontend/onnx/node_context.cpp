// What the importer of one operator sees of a node.
#include "frontend/onnx/node_context.h"

#include "frontend/onnx/tensor_data.h"

namespace repose::onnx {

Result<Operand> make_constant_of(const Model& model, const Tensor& tensor) {
  if (tensor.dims.size() > static_cast<size_t>(max_rank)) {
    return error(DiagnosticKind::too_large, model.span(), "{}: rank {}, at most {} are supported",
                 describe(tensor), tensor.dims.size(), max_rank);
  }
  REPOSE_TRY(data, tensor_data(model, tensor));
  return graph::make_constant(wrap_array(tensor.dims, data.dtype, data.bytes.data(), data.owner),
                              printable(tensor.name));
}

// ---- Operands and results
// ------------------------------------------------------------------------

Result<Operand> NodeContext::input(size_t i) const {
  if (has(i)) return f_.inputs[i];
  return fail(DiagnosticKind::wrong_arity, "operand {} is missing", i);
}

Result<std::vector<Operand>> NodeContext::all_inputs() const {
  std::vector<Operand> result;
  for (size_t i = 0; i < std::max<size_t>(1, num_inputs()); ++i) {
    REPOSE_TRY(v, input(i));
    result.push_back(v);
  }
  return result;
}

bool NodeContext::wants(size_t output) const {
  return output < f_.node->outputs.size() && !f_.node->outputs[output].empty();
}

// ---- Attributes
// ----------------------------------------------------------------------------------

const Attribute* NodeContext::find(std::string_view name) const {
  const Attribute* a = f_.node->find_attribute(name);
  if (!a || !a->is_reference()) return a;
  if (!f_.function_attributes) return nullptr;
  auto it = f_.function_attributes->find(a->ref_attr_name);
  return it == f_.function_attributes->end() ? nullptr : it->second;
}

namespace {

template <class T>
Result<const T*> read(const NodeContext& c, std::string_view name, const char* expected) {
  const Attribute* a = c.find(name);
  if (!a) return nullptr;
  if (const T* value = a->get<T>()) return value;
  return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` is of kind `{}`, expected `{}`",
                printable(name), attribute_kind_name(a->kind), expected);
}

}  // namespace

Result<int64_t> NodeContext::integer(std::string_view name, int64_t absent) const {
  REPOSE_TRY(value, read<int64_t>(*this, name, "int"));
  return value ? *value : absent;
}

Result<int64_t> NodeContext::integer(std::string_view name) const {
  if (!find(name)) return fail(DiagnosticKind::bad_attribute, "attribute `{}` is missing", name);
  return integer(name, 0);
}

Result<bool> NodeContext::flag(std::string_view name, bool absent) const {
  REPOSE_TRY(value, integer(name, absent ? 1 : 0));
  return value != 0;
}

Result<double> NodeContext::number(std::string_view name, double absent) const {
  REPOSE_TRY(value, read<float>(*this, name, "float"));
  return value ? static_cast<double>(*value) : absent;
}

Result<std::string> NodeContext::string(std::string_view name, std::string_view absent) const {
  REPOSE_TRY(value, read<std::string_view>(*this, name, "string"));
  return std::string(value ? *value : absent);
}

Result<std::optional<std::vector<int64_t>>> NodeContext::integers(std::string_view name) const {
  REPOSE_TRY(value, read<std::vector<int64_t>>(*this, name, "ints"));
  return value ? std::optional(*value) : std::nullopt;
}

Result<std::optional<std::vector<float>>> NodeContext::numbers(std::string_view name) const {
  REPOSE_TRY(value, read<std::vector<float>>(*this, name, "floats"));
  return value ? std::optional(*value) : std::nullopt;
}

Result<const Graph*> NodeContext::graph(std::string_view name) const {
  const Attribute* a = find(name);
  if (!a) return fail(DiagnosticKind::bad_attribute, "attribute `{}` is missing", name);
  if (const Graph* graph = a->graph()) return graph;
  return fail(DiagnosticKind::bad_attribute, "attribute `{}` is of kind `{}`, expected `graph`",
              name, attribute_kind_name(a->kind));
}

Result<std::optional<std::vector<int64_t>>> NodeContext::constants_or_attr(
    size_t i, std::string_view attr) const {
  if (!has(i)) return integers(attr);
  REPOSE_TRY(values, constants(f_.inputs[i], std::string(attr)));
  return std::optional(values);
}

Result<Operand> NodeContext::apply(std::string_view name, const Operand& x) {
  REPOSE_TRY(graph, this->graph(name));
  if (graph->inputs.size() != 1 || graph->outputs.size() != 1) {
    return fail(DiagnosticKind::bad_attribute,
                "attribute `{}`: a graph of {} inputs and {} outputs, expected one of each",
                printable(name), graph->inputs.size(), graph->outputs.size());
  }
  return f_.apply_graph(*graph, x);
}

}  // namespace repose::onnx
