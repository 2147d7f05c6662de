// What the importer of one operator sees of a node.
#include "frontend/onnx/node_context.h"

#include <algorithm>

#include "frontend/onnx/names.h"
#include "frontend/onnx/tensor_data.h"

namespace repose::onnx {

Result<void> check_size(const Dims& shape, DType dtype, const Span& span) {
  // x86-64 and AArch64 address 2^47 bytes.
  constexpr int64_t limit_bytes = int64_t{1} << 47;
  if (shape.size() > static_cast<size_t>(max_rank)) {
    return error(DiagnosticKind::too_large, span, "a tensor of rank {}, at most {} are supported",
                 shape.size(), max_rank);
  }
  int64_t bytes = dtype.size_bytes(), extent = 0;
  bool is_too_large = false;
  for (const Expr& dim : shape) {
    if (!as_const_int(dim, &extent)) continue;
    if (extent == 0) return {};
    if (extent < 0) continue;  // the operator's business
    is_too_large = is_too_large || bytes > limit_bytes / extent;
    if (!is_too_large) bytes *= extent;
  }
  if (!is_too_large) return {};
  return error(DiagnosticKind::too_large, span,
               "a tensor of shape {} and dtype {} is larger than any memory", to_string(shape),
               dtype.to_string());
}

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

// ---- Types
// ---------------------------------------------------------------------------------------

Result<Dims> NodeContext::shape(const Operand& v) const {
  const TensorTypeNode* t = graph::tensor_of(v);
  if (t->shape) return *t->shape;
  return fail(DiagnosticKind::unsupported_feature, "the shape of an operand is not known");
}

Result<int64_t> NodeContext::rank(const Operand& v) const {
  const TensorTypeNode* t = graph::tensor_of(v);
  if (t->rank >= 0) return int64_t{t->rank};
  return fail(DiagnosticKind::unsupported_feature, "the rank of an operand is not known");
}

Result<int64_t> NodeContext::axis(int64_t given, int64_t rank) const {
  if (given >= -rank && given < rank) return given < 0 ? given + rank : given;
  return fail(DiagnosticKind::bad_attribute, "axis {} of a tensor of rank {}", given, rank);
}

// ---- Elements
// ------------------------------------------------------------------------------------

const std::vector<Expr>* NodeContext::known(const Operand& v) const {
  const std::vector<Expr>* elements = f_.builder->elements_of(v);
  const bool all =
      elements && std::find(elements->begin(), elements->end(), nullptr) == elements->end();
  return all ? elements : nullptr;
}

Expr NodeContext::known_scalar(const Operand& v) const {
  const std::vector<Expr>* elements = known(v);
  return elements && elements->size() == 1 ? (*elements)[0] : nullptr;
}

Result<std::vector<Expr>> NodeContext::elements(const Operand& v, const std::string& what) {
  if (!dtype(v).is_data_int()) {
    return fail(DiagnosticKind::dtype_mismatch, "`{}` has dtype {}, expected an integer", what,
                dtype(v).to_string());
  }
  if (const std::vector<Expr>* elements = known(v)) return *elements;
  std::vector<Expr> symbols;  // elements that are known, and symbols for the others
  if (const std::vector<Expr>* some = f_.builder->elements_of(v)) symbols = *some;
  REPOSE_TRY(dims, shape(v));
  int64_t count = 1;
  if (dims.size() > 1 || (dims.size() == 1 && !as_const_int(dims[0], &count))) {
    return fail(DiagnosticKind::unsupported_feature,
                "`{}` has the shape {}, expected a known number of elements", what,
                to_string(dims));
  }
  if (count > max_rank) {
    return fail(DiagnosticKind::unsupported_feature,
                "`{}` has {} elements, at most {} are supported", what, count, max_rank);
  }
  REPOSE_TRY(wide, cast(v, dtypes::int64));
  REPOSE_TRY(flat, reshape(wide, {make_int(count)}));
  REPOSE_TRY(members,
             builder().emit(graph::make_op_call(*builder().ops().find("tensor_to_shape"), {flat}),
                            f_.name + "_" + what, span()));
  symbols.resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    Expr& element = symbols[static_cast<size_t>(i)];
    const std::string name = count == 1 ? what : fmt::format("{}_{}", what, i);
    if (!element) element = make_var(identifier(name), dtypes::index, VarRole::value);
  }
  auto bound =
      builder().emit_match_cast(members, shape_type(symbols), f_.name + "_" + what, span());
  if (!bound.ok()) return bound.errors();
  if (const auto* variable = graph::as<graph::VariableNode>(v)) {
    builder().set_elements(graph::Variable(variable), symbols);
  }
  return symbols;
}

Result<std::vector<int64_t>> NodeContext::constants(const Operand& v,
                                                    const std::string& what) const {
  const std::vector<Expr>* elements = known(v);
  std::vector<int64_t> result;
  for (size_t i = 0; elements && i < elements->size(); ++i) {
    int64_t value = 0;
    if (!as_const_int((*elements)[i], &value)) elements = nullptr;
    result.push_back(value);
  }
  if (elements) return result;
  return fail(DiagnosticKind::unsupported_feature, "`{}` is not known when the model is compiled",
              what);
}

Result<std::optional<std::vector<int64_t>>> NodeContext::constants_or_attr(
    size_t i, std::string_view attr) const {
  if (!has(i)) return integers(attr);
  REPOSE_TRY(values, constants(f_.inputs[i], std::string(attr)));
  return std::optional(values);
}

// ---- Building
// ------------------------------------------------------------------------------------

namespace {

Result<void> check_result(const repose::Type& type, const Span& span) {
  if (const auto* tuple = as<TupleTypeNode>(type)) {
    for (const repose::Type& field : tuple->fields) {
      if (auto ok = check_result(field, span); !ok.ok()) return ok;
    }
  }
  const auto* t = as<TensorTypeNode>(type);
  return t && t->shape ? check_size(*t->shape, t->dtype, span) : Result<void>();
}

}  // namespace

Result<Operand> NodeContext::call(std::string_view op, std::vector<Operand> args, Attrs attrs) {
  const OpDef* def = builder().ops().find(op);
  if (!def) {
    return fail(DiagnosticKind::unsupported_operator, "needs the operator `{}`, which is missing",
                op);
  }
  REPOSE_TRY(variable, builder().emit(graph::make_op_call(*def, std::move(args), std::move(attrs)),
                                      f_.name, span()));
  if (auto sized = check_result(variable->type, span()); !sized.ok()) return sized.errors();
  return Operand(variable);
}

Result<std::vector<Operand>> NodeContext::call_tuple(std::string_view op, std::vector<Operand> args,
                                                     Attrs attrs) {
  REPOSE_TRY(tuple, call(op, std::move(args), std::move(attrs)));
  std::vector<Operand> parts;
  const size_t count = as<TupleTypeNode>(tuple->type)->fields.size();
  for (size_t i = 0; i < count; ++i) {
    REPOSE_TRY(part,
               builder().emit(graph::make_tuple_get(tuple, static_cast<int>(i)), f_.name, span()));
    parts.push_back(part);
  }
  return parts;
}

Result<Operand> NodeContext::cast(const Operand& v, DType to) {
  if (dtype(v) == to) return v;
  return call("astype", {v}, {{"dtype", to}});
}

Result<Operand> NodeContext::apply(std::string_view name, const Operand& x) {
  const Attribute* a = find(name);
  const Graph* graph = a ? a->graph() : nullptr;
  if (!graph) {
    return fail(DiagnosticKind::bad_attribute, "attribute `{}` is no graph", printable(name));
  }
  if (graph->inputs.size() != 1 || graph->outputs.size() != 1) {
    return fail(DiagnosticKind::bad_attribute,
                "attribute `{}`: a graph of {} inputs and {} outputs, expected one of each",
                printable(name), graph->inputs.size(), graph->outputs.size());
  }
  return f_.apply_graph(*graph, x);
}

Result<Operand> NodeContext::reshape(const Operand& v, Dims dims) {
  const TensorTypeNode* t = graph::tensor_of(v);
  bool is_same = t->shape && t->shape->size() == dims.size();
  for (size_t i = 0; is_same && i < dims.size(); ++i) {
    is_same = structural_equal((*t->shape)[i], dims[i]);
  }
  if (is_same) return v;
  return call("reshape", {v, graph::make_shape(std::move(dims))});
}

Operand NodeContext::scalar(DType dtype, double value) const {
  const Scalar s = dtype.is_float() ? Scalar::of_float(value, dtype)
                                    : Scalar::of_int(static_cast<int64_t>(value), dtype);
  return graph::make_constant(make_scalar_array(s));
}

Result<void> NodeContext::require(const Expr& condition, const std::string& text,
                                  std::vector<Expr> values) {
  return builder().require(condition, fmt::format("`{}`: {}", printable(node().op_type), text),
                           std::move(values), span());
}

}  // namespace repose::onnx
