// Constants of graph functions: R.const of numbers and lists, R.weight of a file.
#include "script/literal.h"
#include "script/read_value.h"

namespace repose::script {

using graph::Value;

namespace {

// The shape of nested lists, as the first ones of each depth have it.
std::vector<int64_t> list_shape(const Node& node) {
  std::vector<int64_t> shape;
  for (const Node* n = &node; is_list(*n); n = n->kids[0]) {
    shape.push_back(static_cast<int64_t>(n->kids.size()));
    if (n->kids.empty()) break;
  }
  return shape;
}

// Appends the elements in order; false: the lists don't have this shape.
bool flatten(const Node& node, std::span<const int64_t> shape, std::vector<const Node*>& elements) {
  if (is_list(node) == shape.empty()) return false;
  if (shape.empty()) {
    elements.push_back(&node);
    return true;
  }
  if (static_cast<int64_t>(node.kids.size()) != shape[0]) return false;
  for (const Node* kid : node.kids) {
    if (!flatten(*kid, shape.subspan(1), elements)) return false;
  }
  return true;
}

// Float32 where one has a point, otherwise bool where one is True or False, otherwise int32.
DType dtype_of_elements(const std::vector<const Node*>& elements) {
  DType dtype = dtypes::int32;
  for (const Node* e : elements) {
    if (e->kind == NodeKind::boolean && dtype == dtypes::int32) dtype = dtypes::boolean;
    bool negated = e->kind == NodeKind::unary;
    if ((negated ? e->kids[0] : e)->kind == NodeKind::real) dtype = dtypes::float32;
  }
  return dtype;
}

}  // namespace

// `shape=` of a constant without elements, which lists alone can't say.
std::optional<std::vector<int64_t>> ValueReader::read_empty_shape(const Node& node) {
  std::vector<int64_t> shape;
  bool empty = false;
  for (const Node* d : node.kids) {
    auto size = constant_integer(*d);
    if (!size || *size < 0) {
      fail(*d, DiagnosticKind::bad_literal, "expected a dimension");
      return std::nullopt;
    }
    empty = empty || *size == 0;
    shape.push_back(*size);
  }
  if (empty) return shape;
  fail(node, DiagnosticKind::bad_literal,
       "a constant without elements has a shape that is not empty");
  return std::nullopt;
}

std::optional<Scalar> ValueReader::read_element(const Node& node, DType dtype) {
  if (node.kind == NodeKind::boolean) {
    const bool value = node.text == "True";
    return dtype.is_float() ? Scalar::of_float(value, dtype) : Scalar::of_int(value, dtype);
  }
  Expr literal = is_literal(node) ? exprs_.read(node, dtype) : nullptr;
  auto value = literal ? scalar_of(literal) : std::nullopt;
  if (!value && (literal || !is_literal(node))) {
    fail(node, DiagnosticKind::bad_literal, "expected a number");
  }
  return value;
}

// An array from outside of the text, in its own dtype.
Value ValueReader::read_array(const Node& node, const Array& array, const Node* dtype_node) {
  if (dtype_node) {
    auto dtype = exprs_.read_dtype(*dtype_node);
    if (!dtype) return nullptr;
    if (*dtype != array->dtype) {
      return fail(*dtype_node, DiagnosticKind::dtype_mismatch,
                  "the array has elements of dtype `{}`", array->dtype.to_string());
    }
  }
  return graph::make_constant(array, node.kids[1]->text);
}

Value ValueReader::read_constant(const Node& node) {
  if (node.kids.size() < 2) {
    return fail(node, DiagnosticKind::wrong_arity, "`R.const` takes a value and a dtype");
  }
  const Node& value = *node.kids[1];
  const Node* dtype_node = node.kids.size() > 2 ? node.kids[2] : keyword_argument(node, "dtype");
  if (auto array = context_.tree.arrays.find(&value); array != context_.tree.arrays.end()) {
    return read_array(node, array->second, dtype_node);
  }
  std::vector<int64_t> shape = list_shape(value);
  std::vector<const Node*> elements;
  if (!flatten(value, shape, elements)) {
    return fail(value, DiagnosticKind::bad_literal, "the lists of a constant differ in length");
  }
  DType dtype = dtype_of_elements(elements);
  if (dtype_node) {
    auto d = exprs_.read_dtype(*dtype_node);
    if (!d) return nullptr;
    dtype = *d;
  }
  if (!dtype || dtype.is_vector() || dtype.is_handle()) {
    return fail(node, DiagnosticKind::bad_literal, "a constant of dtype `{}`", dtype.to_string());
  }
  std::string name;
  for (const Keyword& k : node.keywords) {
    if (k.name == "name" && k.value->kind == NodeKind::string) {
      name = k.value->text;
    } else if (k.name == "shape" && is_list(*k.value) && elements.empty()) {
      auto stated = read_empty_shape(*k.value);
      if (!stated) return nullptr;
      shape = std::move(*stated);
    } else if (k.name != "dtype") {
      return context_.fail(DiagnosticKind::bad_argument, k.at, "`R.const` has no `{}` here",
                           k.name);
    }
  }
  if (array_bytes(shape, dtype) < 0) {
    return fail(node, DiagnosticKind::too_large, "a constant of this shape is too large");
  }
  Ref<ArrayNode> array = make_array(shape, dtype);
  for (size_t i = 0; i < elements.size(); ++i) {
    auto element = read_element(*elements[i], dtype);
    if (!element) return nullptr;
    array->store(static_cast<int64_t>(i), *element);
  }
  return graph::make_constant(Array(array), name);
}

Value ValueReader::read_weight(const Node& node) {
  if (node.kids.size() != 3 || node.kids[1]->kind != NodeKind::string) {
    return fail(node, DiagnosticKind::wrong_arity, "`R.weight` takes a name and a type");
  }
  const std::string& name = node.kids[1]->text;
  Type type = types_.read(*node.kids[2]);
  if (!type) return nullptr;
  const auto* tensor = as<TensorTypeNode>(type);
  std::vector<int64_t> shape;
  bool known = tensor && tensor->shape && tensor->dtype;
  if (known) {
    for (const Expr& dim : *tensor->shape) {
      int64_t size = 0;
      known = known && as_const_int(dim, &size);
      shape.push_back(size);
    }
  }
  if (!known) {
    return fail(*node.kids[2], DiagnosticKind::type_mismatch,
                "a weight has a type with a constant shape and a dtype");
  }
  Array data = module_.options.weights ? module_.options.weights(name) : nullptr;
  if (!data) {
    return fail(node, DiagnosticKind::missing_value, "no weight `{}` beside the text", name);
  }
  if (data->shape != shape || data->dtype != tensor->dtype) {
    std::vector<std::string> sizes;
    for (int64_t d : data->shape) sizes.push_back(std::to_string(d));
    return fail(node, DiagnosticKind::shape_mismatch,
                "weight `{}` has shape ({}) and dtype `{}`, expected `{}`", name,
                fmt::join(sizes, ", "), data->dtype.to_string(), to_string(type));
  }
  return graph::make_constant(std::move(data), name);
}

}  // namespace repose::script
