// What the importer of one operator sees of a node.
#include "frontend/torch/node_context.h"

#include "frontend/torch/tensor_data.h"

namespace repose::torch {

NodeContext::NodeContext(Builder& builder, Span span, std::string name, const Node& node,
                         const Graph& graph, const Names& names)
    : CallContext(builder, std::move(span), printable(node.target), std::move(name)),
      node_(&node),
      graph_(&graph),
      names_(&names) {
  for (const Argument& output : node.outputs) {
    outputs_.insert(outputs_.end(), output.texts.begin(), output.texts.end());
    if (output.texts.empty()) outputs_.emplace_back();
  }
}

Diagnostic NodeContext::wrong_kind(std::string_view arg, const Argument& found,
                                   const char* expected) const {
  return fail(DiagnosticKind::bad_argument, "argument `{}` is `{}`, expected `{}`", printable(arg),
              argument_kind_name(found.kind), expected);
}

Diagnostic NodeContext::missing(std::string_view arg) const {
  return fail(DiagnosticKind::wrong_arity, "argument `{}` is missing", printable(arg));
}

const Argument* NodeContext::find(std::string_view arg) const {
  for (const NamedArgument& a : node_->inputs) {
    if (a.name == arg) return a.value.kind == Argument::Kind::none ? nullptr : &a.value;
  }
  return nullptr;
}

// ---- Tensors

Result<Operand> NodeContext::tensor(std::string_view arg) {
  const Argument* a = find(arg);
  if (!a) return missing(arg);
  if (a->kind != Argument::Kind::tensor) return wrong_kind(arg, *a, "Tensor");
  return names_->tensor(a->texts[0]);
}

Result<Operand> NodeContext::optional_tensor(std::string_view arg) {
  if (!has(arg)) return Operand();
  return tensor(arg);
}

Result<std::vector<Operand>> NodeContext::tensors(std::string_view arg) {
  const Argument* a = find(arg);
  if (!a) return missing(arg);
  if (a->kind != Argument::Kind::tensors) return wrong_kind(arg, *a, "Tensor[]");
  std::vector<Operand> result;
  for (const std::string& name : a->texts) {
    result.emplace_back();
    if (name.empty()) continue;
    REPOSE_TRY(value, names_->tensor(name));
    result.back() = value;
  }
  if (result.empty()) {
    return fail(DiagnosticKind::bad_argument, "argument `{}` has no tensors", printable(arg));
  }
  return result;
}

Result<Operand> NodeContext::tensor_or_number(std::string_view arg, DType dtype) {
  using Kind = Argument::Kind;
  const Argument* a = find(arg);
  if (!a) return missing(arg);
  switch (a->kind) {
    case Kind::tensor:
      return tensor(arg);
    case Kind::integer:
    case Kind::boolean: {
      const Size& size = a->sizes[0];
      if (!size.value) break;
      if (dtype.is_float()) return scalar(dtype, static_cast<double>(*size.value));
      return graph::make_constant(make_scalar_array(Scalar::of_int(*size.value, dtype)));
    }
    case Kind::number:
      if (!a->numbers.empty()) return scalar(dtype, a->numbers[0]);
      break;
    default:
      return wrong_kind(arg, *a, "Tensor or a number");
  }
  REPOSE_TRY(value, names_->number(a->sizes[0]));
  return cast(value, dtype);
}

// ---- Sizes and numbers

Result<Expr> NodeContext::size(std::string_view arg) {
  const Argument* a = find(arg);
  if (!a) return missing(arg);
  if (a->kind != Argument::Kind::integer) return wrong_kind(arg, *a, "int");
  REPOSE_TRY(value, names_->size(a->sizes[0]));
  if (!value->dtype.is_index()) return wrong_kind(arg, *a, "int");
  return value;
}

Result<Expr> NodeContext::size(std::string_view arg, int64_t absent) {
  return has(arg) ? size(arg) : Result<Expr>(make_int(absent));
}

Result<Dims> NodeContext::sizes(std::string_view arg) {
  const Argument* a = find(arg);
  if (!a) return missing(arg);
  Dims result;
  // An empty list has no kind of its own.
  if (a->kind != Argument::Kind::integers && a->kind != Argument::Kind::integer &&
      !(a->texts.empty() && a->numbers.empty() && a->sizes.empty())) {
    return wrong_kind(arg, *a, "int[]");
  }
  for (const Size& size : a->sizes) {
    REPOSE_TRY(value, names_->size(size));
    if (!value->dtype.is_index()) return wrong_kind(arg, *a, "int[]");
    result.push_back(value);
  }
  return result;
}

Result<int64_t> NodeContext::integer(std::string_view arg) {
  REPOSE_TRY(value, size(arg));
  int64_t constant = 0;
  if (as_const_int(value, &constant)) return constant;
  return fail(DiagnosticKind::unsupported_feature, "argument `{}` is `{}`, expected a constant",
              printable(arg), to_string(value));
}

Result<int64_t> NodeContext::integer(std::string_view arg, int64_t absent) {
  return has(arg) ? integer(arg) : Result<int64_t>(absent);
}

Result<std::vector<int64_t>> NodeContext::integers(std::string_view arg,
                                                   std::vector<int64_t> absent) {
  if (!has(arg)) return absent;
  REPOSE_TRY(values, sizes(arg));
  std::vector<int64_t> result;
  for (const Expr& value : values) {
    result.push_back(0);
    if (as_const_int(value, &result.back())) continue;
    return fail(DiagnosticKind::unsupported_feature, "argument `{}` has `{}`, expected constants",
                printable(arg), to_string(value));
  }
  return result;
}

Result<double> NodeContext::number(std::string_view arg, double absent) {
  const Argument* a = find(arg);
  if (!a) return absent;
  const bool is_number = a->kind == Argument::Kind::number || a->kind == Argument::Kind::integer ||
                         a->kind == Argument::Kind::boolean;
  if (!is_number) return wrong_kind(arg, *a, "float");
  if (!a->numbers.empty()) return a->numbers[0];
  if (a->sizes[0].value) return static_cast<double>(*a->sizes[0].value);
  return fail(DiagnosticKind::unsupported_feature, "argument `{}` is `{}`, expected a constant",
              printable(arg), printable(a->sizes[0].text));
}

Result<std::optional<std::vector<double>>> NodeContext::numbers(std::string_view arg) {
  const Argument* a = find(arg);
  if (!a) return std::optional<std::vector<double>>();
  std::vector<double> result = a->numbers;
  for (const Size& size : a->sizes) {
    if (!size.value) return wrong_kind(arg, *a, "float[] of constants");
    result.push_back(static_cast<double>(*size.value));
  }
  return std::optional(result);
}

Result<bool> NodeContext::flag(std::string_view arg, bool absent) {
  const Argument* a = find(arg);
  if (!a) return absent;
  if ((a->kind != Argument::Kind::boolean && a->kind != Argument::Kind::integer) ||
      !a->sizes[0].value) {
    return wrong_kind(arg, *a, "bool");
  }
  return *a->sizes[0].value != 0;
}

Result<Expr> NodeContext::condition(std::string_view arg) {
  const Argument* a = find(arg);
  if (!a) return missing(arg);
  if (a->kind != Argument::Kind::boolean && a->kind != Argument::Kind::integer) {
    return wrong_kind(arg, *a, "bool");
  }
  REPOSE_TRY(value, names_->size(a->sizes[0]));
  return value->dtype.is_bool() ? value : ne(value, make_int(0));
}

Result<std::string> NodeContext::string(std::string_view arg, std::string_view absent) {
  const Argument* a = find(arg);
  if (!a) return std::string(absent);
  if (a->kind != Argument::Kind::string) return wrong_kind(arg, *a, "str");
  return a->texts[0];
}

Result<DType> NodeContext::dtype_arg(std::string_view arg, DType absent) {
  const Argument* a = find(arg);
  if (!a) return absent;
  if (a->kind != Argument::Kind::scalar_type && a->kind != Argument::Kind::integer) {
    return wrong_kind(arg, *a, "ScalarType");
  }
  const int64_t code = a->kind == Argument::Kind::integer ? a->sizes[0].value.value_or(0) : a->code;
  return dtype_of(static_cast<ScalarType>(code), span());
}

// ---- Results

const TensorMeta* NodeContext::result_meta(size_t i) const {
  if (i >= outputs_.size()) return nullptr;
  auto it = graph_->tensors.find(outputs_[i]);
  return it == graph_->tensors.end() ? nullptr : &it->second;
}

Result<DType> NodeContext::result_dtype(size_t i) const {
  if (const TensorMeta* meta = result_meta(i)) return dtype_of(meta->dtype, span());
  return fail(DiagnosticKind::bad_model, "the program does not say what its result is");
}

Result<Dims> NodeContext::result_shape(size_t i) const {
  const TensorMeta* meta = result_meta(i);
  if (!meta) return fail(DiagnosticKind::bad_model, "the program does not say what its result is");
  Dims dims;
  for (const Size& size : meta->sizes) {
    REPOSE_TRY(dim, names_->size(size));
    if (!dim->dtype.is_index()) {
      return fail(DiagnosticKind::bad_model, "a dimension of its result is no number");
    }
    dims.push_back(dim);
  }
  return dims;
}

Result<Operand> operand(NodeContext& c, std::string_view arg) {
  REPOSE_TRY(x, c.tensor(arg));
  REPOSE_TRY(dtype, c.result_dtype());
  return c.cast(x, dtype);
}

}  // namespace repose::torch
