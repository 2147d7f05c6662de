// What the importer of one call sees.
#include "frontend/common/call_context.h"

#include <algorithm>

namespace repose::frontend {

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

// ---- Types
// ---------------------------------------------------------------------------------------

Result<Dims> CallContext::shape(const Operand& v) const {
  const TensorTypeNode* t = graph::tensor_of(v);
  if (t->shape) return *t->shape;
  return fail(DiagnosticKind::unsupported_feature, "the shape of an operand is not known");
}

Result<int64_t> CallContext::rank(const Operand& v) const {
  const TensorTypeNode* t = graph::tensor_of(v);
  if (t->rank >= 0) return int64_t{t->rank};
  return fail(DiagnosticKind::unsupported_feature, "the rank of an operand is not known");
}

Result<int64_t> CallContext::axis(int64_t given, int64_t rank) const {
  if (given >= -rank && given < rank) return given < 0 ? given + rank : given;
  return fail(DiagnosticKind::bad_attribute, "axis {} of a tensor of rank {}", given, rank);
}

// ---- Elements
// ------------------------------------------------------------------------------------

const std::vector<Expr>* CallContext::known(const Operand& v) const {
  const std::vector<Expr>* elements = builder_->elements_of(v);
  const bool all =
      elements && std::find(elements->begin(), elements->end(), nullptr) == elements->end();
  return all ? elements : nullptr;
}

Expr CallContext::known_scalar(const Operand& v) const {
  const std::vector<Expr>* elements = known(v);
  return elements && elements->size() == 1 ? (*elements)[0] : nullptr;
}

Result<std::vector<Expr>> CallContext::elements(const Operand& v, const std::string& what) {
  if (!dtype(v).is_data_int()) {
    return fail(DiagnosticKind::dtype_mismatch, "`{}` has dtype {}, expected an integer", what,
                dtype(v).to_string());
  }
  if (const std::vector<Expr>* elements = known(v)) return *elements;
  std::vector<Expr> symbols;  // elements that are known, and symbols for the others
  if (const std::vector<Expr>* some = builder_->elements_of(v)) symbols = *some;
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
                            name_ + "_" + what, span()));
  symbols.resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    Expr& element = symbols[static_cast<size_t>(i)];
    const std::string name = count == 1 ? what : fmt::format("{}_{}", what, i);
    if (!element) element = make_var(identifier(name), dtypes::index, VarRole::value);
  }
  auto bound = builder().emit_match_cast(members, shape_type(symbols), name_ + "_" + what, span());
  if (!bound.ok()) return bound.errors();
  if (const auto* variable = graph::as<graph::VariableNode>(v)) {
    builder().set_elements(graph::Variable(variable), symbols);
  }
  return symbols;
}

Result<std::vector<int64_t>> CallContext::constants(const Operand& v,
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

// ---- Building
// ------------------------------------------------------------------------------------

namespace {

Result<void> check_result(const Type& type, const Span& span) {
  if (const auto* tuple = as<TupleTypeNode>(type)) {
    for (const Type& field : tuple->fields) {
      if (auto ok = check_result(field, span); !ok.ok()) return ok;
    }
  }
  const auto* t = as<TensorTypeNode>(type);
  return t && t->shape ? check_size(*t->shape, t->dtype, span) : Result<void>();
}

}  // namespace

Result<Operand> CallContext::call(std::string_view op, std::vector<Operand> args, Attrs attrs) {
  const OpDef* def = builder().ops().find(op);
  if (!def) {
    return fail(DiagnosticKind::unsupported_operator, "needs the operator `{}`, which is missing",
                op);
  }
  REPOSE_TRY(variable, builder().emit(graph::make_op_call(*def, std::move(args), std::move(attrs)),
                                      name_, span()));
  if (auto sized = check_result(variable->type, span()); !sized.ok()) return sized.errors();
  return Operand(variable);
}

Result<std::vector<Operand>> CallContext::call_tuple(std::string_view op, std::vector<Operand> args,
                                                     Attrs attrs) {
  REPOSE_TRY(tuple, call(op, std::move(args), std::move(attrs)));
  std::vector<Operand> parts;
  const size_t count = as<TupleTypeNode>(tuple->type)->fields.size();
  for (size_t i = 0; i < count; ++i) {
    REPOSE_TRY(part,
               builder().emit(graph::make_tuple_get(tuple, static_cast<int>(i)), name_, span()));
    parts.push_back(part);
  }
  return parts;
}

Result<Operand> CallContext::cast(const Operand& v, DType to) {
  if (dtype(v) == to) return v;
  return call("astype", {v}, {{"dtype", to}});
}

Result<Operand> CallContext::reshape(const Operand& v, Dims dims) {
  const TensorTypeNode* t = graph::tensor_of(v);
  bool is_same = t->shape && t->shape->size() == dims.size();
  for (size_t i = 0; is_same && i < dims.size(); ++i) {
    is_same = structural_equal((*t->shape)[i], dims[i]);
  }
  if (is_same) return v;
  return call("reshape", {v, graph::make_shape(std::move(dims))});
}

Operand CallContext::scalar(DType dtype, double value) const {
  const Scalar s = dtype.is_float() ? Scalar::of_float(value, dtype)
                                    : Scalar::of_int(static_cast<int64_t>(value), dtype);
  return graph::make_constant(make_scalar_array(s));
}

Result<void> CallContext::require(const Expr& condition, const std::string& text,
                                  std::vector<Expr> values) {
  return builder().require(condition, fmt::format("`{}`: {}", op(), text), std::move(values),
                           span());
}

}  // namespace repose::frontend
