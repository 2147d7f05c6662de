// Values of the graph IR on the host: access, types, texts.
#include "interp/graph_machine.h"

namespace repose {

HostValue::HostValue(Tuple v) : value_(std::make_shared<const Tuple>(std::move(v))) {}

Array HostValue::tensor() const {
  const auto* v = std::get_if<Array>(&value_);
  return v ? *v : nullptr;
}

const HostValue::Tuple* HostValue::tuple() const {
  const auto* v = std::get_if<std::shared_ptr<const Tuple>>(&value_);
  return v ? v->get() : nullptr;
}

const ClosureValue* HostValue::closure() const {
  const auto* v = std::get_if<std::shared_ptr<const ClosureValue>>(&value_);
  return v ? v->get() : nullptr;
}

const ForeignValue* HostValue::foreign() const {
  const auto* v = std::get_if<std::shared_ptr<const ForeignValue>>(&value_);
  return v ? v->get() : nullptr;
}

namespace {

Dims constant_dims(const std::vector<int64_t>& shape) {
  Dims dims;
  for (int64_t d : shape) dims.push_back(make_int(d));
  return dims;
}

}  // namespace

Type type_of(const HostValue& v) {
  if (const Array a = v.tensor()) return tensor_type(constant_dims(a->shape), a->dtype);
  if (const auto* shape = v.shape()) return shape_type(constant_dims(*shape));
  if (const Scalar* s = v.scalar()) return prim_type_of(to_expr(*s));
  if (const auto* tuple = v.tuple()) {
    std::vector<Type> fields;
    for (const HostValue& field : *tuple) fields.push_back(type_of(field));
    return tuple_type(std::move(fields));
  }
  if (const ClosureValue* c = v.closure()) return c->function->type;
  return any_type();
}

std::string to_string(const HostValue& v) {
  constexpr int64_t max_elements = 16;
  if (const Array a = v.tensor()) {
    std::string text;
    const int64_t count = a->num_elements();
    for (int64_t i = 0; i < std::min(count, max_elements); ++i) {
      text += (i ? ", " : "") + interp::to_string(a->load(i));
    }
    if (count > max_elements) text += ", …";
    return fmt::format("{}({})[{}]", a->dtype.to_string(), fmt::join(a->shape, ", "), text);
  }
  if (const auto* shape = v.shape()) return fmt::format("({})", fmt::join(*shape, ", "));
  if (const Scalar* s = v.scalar()) return interp::to_string(*s);
  if (const std::string* s = v.string()) return *s;
  if (const DType* t = v.dtype()) return t->to_string();
  if (const auto* tuple = v.tuple()) {
    std::string text;
    for (const HostValue& field : *tuple) text += (text.empty() ? "" : ", ") + to_string(field);
    return "(" + text + ")";
  }
  if (v.external()) return v.external()->name;
  if (v.foreign()) return "an object";
  return v.closure() ? "a function" : "None";
}

}  // namespace repose
