// Calls of packed functions: those of InterpretOptions, given what compiled models give them.
#include <cstring>
#include <deque>

#include "base/dlpack_code.h"
#include "interp/graph_machine.h"
#include "ir/packed_call.h"

#define REPOSE_NO_LOADER
#include "repose/repose.h"

namespace repose {

struct ForeignValue {
  void* object;
  void (*deleter)(void* object);
  ForeignValue(void* o, void (*d)(void*)) : object(o), deleter(d) {}
  ForeignValue(const ForeignValue&) = delete;
  ForeignValue& operator=(const ForeignValue&) = delete;
  ~ForeignValue() {
    if (deleter) deleter(object);
  }
};

namespace interp {

using namespace graph;
using graph::as;
using repose::as;

namespace {

// The values that a call is given, with the memory that they point at.
class Arguments {
 public:
  std::vector<repose_packed_value> values;

  void may_write(size_t i) { values.at(i).count = 1; }

  // False: no packed function takes such a value.
  bool push(const HostValue& v) {
    repose_packed_value value{};
    if (!convert(v, value)) return false;
    values.push_back(value);
    return true;
  }

 private:
  bool convert(const HostValue& v, repose_packed_value& to) {
    if (const Array a = v.tensor()) {
      to.kind = REPOSE_VALUE_TENSOR;
      to.as.tensor = tensor_of(a);
    } else if (const auto* shape = v.shape()) {
      to.kind = REPOSE_VALUE_SHAPE;
      to.count = static_cast<int32_t>(shape->size());
      to.as.dims = dims_.emplace_back(*shape).data();
    } else if (const Scalar* s = v.scalar()) {
      to.kind = s->dtype.is_bool()    ? REPOSE_VALUE_BOOL
                : s->dtype.is_float() ? REPOSE_VALUE_FLOAT
                                      : REPOSE_VALUE_INT;
      to.as.integer = s->i;
      if (s->dtype.is_float()) to.as.number = s->f;
    } else if (const std::string* text = v.string()) {
      to.kind = REPOSE_VALUE_TEXT;
      to.count = static_cast<int32_t>(text->size());
      to.as.text = texts_.emplace_back(*text).c_str();
    } else if (const DType* dtype = v.dtype()) {
      to.kind = REPOSE_VALUE_DTYPE;
      to.as.dtype = {dlpack_code(*dtype), dtype->bits, 1};
    } else if (const auto* tuple = v.tuple()) {
      std::vector<repose_packed_value> items(tuple->size());
      for (size_t i = 0; i < items.size(); ++i) {
        if (!convert((*tuple)[i], items[i])) return false;
      }
      to.kind = REPOSE_VALUE_TUPLE;
      to.count = static_cast<int32_t>(items.size());
      to.as.items = items_.emplace_back(std::move(items)).data();
    } else if (const ForeignValue* foreign = v.foreign()) {
      to.kind = REPOSE_VALUE_OBJECT;
      to.as.object = foreign->object;
      to.deleter = foreign->deleter;
    } else {
      return v.is_none();
    }
    return true;
  }

  DLTensor* tensor_of(const Array& a) {
    std::vector<int64_t>& dims = dims_.emplace_back(a->shape);
    const size_t rank = dims.size();
    dims.resize(2 * rank, 1);
    for (size_t k = rank; k-- > 1;)
      dims[rank + k - 1] = dims[rank + k] * std::max<int64_t>(dims[k], 1);
    DLTensor& t = tensors_.emplace_back();
    t.data = const_cast<std::byte*>(a->bytes);
    t.device = {kDLCPU, 0};
    t.ndim = static_cast<int32_t>(rank);
    t.dtype = {dlpack_code(a->dtype), a->dtype.bits, 1};
    t.shape = dims.data();
    t.strides = dims.data() + rank;
    return &t;
  }

  std::deque<std::vector<int64_t>> dims_;
  std::deque<std::string> texts_;
  std::deque<std::vector<repose_packed_value>> items_;
  std::deque<DLTensor> tensors_;
};

// What a function gives, until it is a value of the interpreter.
class Results {
 public:
  std::vector<repose_packed_value> values;

  ~Results() {
    for (repose_packed_value& v : values) {
      if (v.kind == REPOSE_VALUE_TENSOR && v.as.result && v.as.result->deleter) {
        v.as.result->deleter(v.as.result);
      }
      if (v.kind == REPOSE_VALUE_OBJECT && v.deleter) v.deleter(v.as.object);
    }
  }

  void expect(const Type& type) {
    repose_packed_value value{};
    value.kind = packed_kind(type);
    if (value.kind == REPOSE_VALUE_SHAPE) {
      value.count = packed_count(type);
      value.as.dims = dims_.emplace_back(static_cast<size_t>(value.count)).data();
    }
    values.push_back(value);
  }

 private:
  std::deque<std::vector<int64_t>> dims_;
};

void copy_elements(const DLTensor& t, Ref<ArrayNode>& to) {
  const auto* from = static_cast<const std::byte*>(t.data) + t.byte_offset;
  const int64_t count = to->num_elements();
  if (to->num_bytes == 0) return;
  if (!t.strides || t.dtype.bits < 8) {
    std::memcpy(to->mutable_bytes(), from, to->num_bytes);
    return;
  }
  const int64_t bytes = t.dtype.bits / 8;
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, offset = 0;
    for (int32_t k = t.ndim - 1; k >= 0; --k) {
      offset += rest % t.shape[k] * t.strides[k];
      rest /= t.shape[k];
    }
    std::memcpy(to->mutable_bytes() + i * bytes, from + offset * bytes, static_cast<size_t>(bytes));
  }
}

}  // namespace

// A result of that type; a tuple's members take the next values.
HostValue GraphMachine::packed_result(const Type& type, repose_packed_value*& next,
                                      const std::string& name, const Span& span) {
  if (const auto* tuple = repose::as<TupleTypeNode>(type)) {
    HostValue::Tuple fields;
    for (const Type& field : tuple->fields) {
      fields.push_back(packed_result(field, next, name, span));
    }
    return fields;
  }
  repose_packed_value& value = *next++;
  const auto* prim = repose::as<PrimTypeNode>(type);
  switch (value.kind) {
    case REPOSE_VALUE_NONE:
      return {};
    case REPOSE_VALUE_INT: {
      const DType dtype = prim && prim->dtype.is_any_int() ? prim->dtype : dtypes::int64;
      const auto narrow = eval_cast(dtype, Scalar::of_int(value.as.integer, dtypes::int64));
      if (narrow && narrow->i == value.as.integer) return *narrow;
      fail(DiagnosticKind::run_time_check, span, "a result of `{}` is {}, expected `{}`", name,
           value.as.integer, repose::to_string(type));
    }
    case REPOSE_VALUE_BOOL:
      return Scalar::of_int(value.as.integer != 0, dtypes::boolean);
    case REPOSE_VALUE_FLOAT:
      return Scalar::of_float(value.as.number,
                              prim && prim->dtype.is_float() ? prim->dtype : dtypes::float64);
    case REPOSE_VALUE_SHAPE:
      return HostValue::Shape(value.as.dims, value.as.dims + value.count);
    case REPOSE_VALUE_OBJECT: {
      HostValue object(std::make_shared<const ForeignValue>(value.as.object, value.deleter));
      value = {};  // it ends with the value
      return object;
    }
    case REPOSE_VALUE_TENSOR: {
      if (!value.as.result) break;
      const DLTensor& t = value.as.result->dl_tensor;
      const auto dtype = dtype_of_dlpack(t.dtype.code, t.dtype.bits);
      if (!dtype || t.dtype.lanes != 1 || t.device.device_type != kDLCPU) break;
      Ref<ArrayNode> array =
          limits_.allocate({t.shape, t.shape + t.ndim}, *dtype, "a result of " + name, span);
      copy_elements(t, array);
      return array;
    }
    default:
      break;
  }
  fail(DiagnosticKind::run_time_check, span,
       "a result of `{}` is no tensor on the CPU, number, object or nothing", name);
}

HostValue GraphMachine::call_entry(const std::string& name, const std::vector<HostValue>& args,
                                   const Written& written, const Type& result, const Span& span) {
  const repose_packed_entry* entry = nullptr;
  for (size_t i = 0; i < options_.num_packed_functions && !entry; ++i) {
    const repose_packed_entry& e = options_.packed_functions[i];
    if (e.function && e.name == name) entry = &e;
  }
  if (!entry) {
    fail(DiagnosticKind::unsupported_feature, span,
         "the packed function `{}` is not known to the interpreter", name);
  }
  Arguments arguments;
  for (const HostValue& arg : args) {
    if (arguments.push(arg)) continue;
    fail(DiagnosticKind::type_mismatch, span, "the packed function `{}` is given {}", name,
         repose::to_string(arg));
  }
  for (const int64_t i : written.in_place) {
    if (i >= 0) arguments.may_write(static_cast<size_t>(i));
  }
  for (size_t i = args.size() - written.last; i < args.size(); ++i) arguments.may_write(i);
  Results results;
  const auto expect = [&](auto&& self, const Type& type) -> void {
    const auto* tuple = repose::as<TupleTypeNode>(type);
    if (!tuple) return results.expect(type);
    for (const Type& field : tuple->fields) self(self, field);
  };
  expect(expect, result);
  char error[1024] = "";
  repose_packed_call call{};
  call.struct_size = sizeof call;
  call.num_arguments = static_cast<int32_t>(arguments.values.size());
  call.arguments = arguments.values.data();
  call.num_written = static_cast<int32_t>(written.last);
  call.num_results = static_cast<int32_t>(results.values.size());
  call.results = results.values.data();
  call.error = error;
  call.error_bytes = sizeof error;
  call.name = name.c_str();
  const int32_t status = entry->function(entry->user, &call);
  error[sizeof error - 1] = 0;
  if (status != 0) {
    fail(DiagnosticKind::run_time_check, span, "`{}`: {}", name,
         error[0] ? error : "it failed and said nothing");
  }
  repose_packed_value* next = results.values.data();
  return packed_result(result, next, name, span);
}

HostValue GraphMachine::call_packed(const graph::CallNode& call, const Span& span) {
  const HostValue function = operand(call.args.at(0), span);
  if (!function.external()) {
    fail(DiagnosticKind::type_mismatch, span, "`{}` calls {}, which is no packed function",
         call.op->name, repose::to_string(function));
  }
  const std::string& name = function.external()->name;
  std::vector<HostValue> args;
  for (size_t i = 1; i < call.args.size(); ++i) args.push_back(operand(call.args[i], span));
  if (call.op->name == "call_dps_packed") return call_dps(call, name, args.at(0), span);
  if (call.op->name == "call_inplace_packed") return call_in_place(call, name, args, span);
  return call_entry(name, args, {}, call.type, span);
}

HostValue GraphMachine::call_dps(const graph::CallNode& call, const std::string& name,
                                 const HostValue& given, const Span& span) {
  std::vector<HostValue> args;
  if (given.tuple()) args = *given.tuple();
  const auto* tuple = repose::as<TupleTypeNode>(call.type_args.at(0));
  const std::vector<Type> types = tuple ? tuple->fields : std::vector<Type>{call.type_args[0]};
  HostValue::Tuple results;
  for (const Type& type : types) {
    const auto* t = repose::as<TensorTypeNode>(type);
    std::vector<int64_t> shape;
    for (const Expr& d : *t->shape) shape.push_back(eval_symbolic(d, env(), span).i);
    results.emplace_back(limits_.allocate(std::move(shape), t->dtype, "a result of " + name, span));
    args.push_back(results.back());
  }
  call_entry(name, args, {results.size(), {}}, tuple_type({}), span);
  return tuple ? HostValue(std::move(results)) : results[0];
}

HostValue GraphMachine::call_in_place(const graph::CallNode& call, const std::string& name,
                                      std::vector<HostValue> args, const Span& span) {
  const std::vector<int64_t> indices = call.attrs.get_ints("inplace_indices");
  std::vector<Type> fresh;
  for (size_t r = 0; r < indices.size(); ++r) {
    if (indices[r] < 0) {
      fresh.push_back(call.type_args.at(r));
      continue;
    }
    HostValue& arg = args.at(static_cast<size_t>(indices[r]));
    const Array from = arg.tensor();
    if (!from) {
      fail(DiagnosticKind::type_mismatch, span, "`{}` overwrites {}, expected a tensor", name,
           repose::to_string(arg));
    }
    Ref<ArrayNode> copy = limits_.allocate(from->shape, from->dtype, "a result of " + name, span);
    if (from->num_bytes) std::memcpy(copy->mutable_bytes(), from->bytes, from->num_bytes);
    arg = copy;
  }
  const HostValue given = call_entry(name, args, {0, indices}, tuple_type(std::move(fresh)), span);
  HostValue::Tuple results;
  size_t next = 0;
  for (const int64_t i : indices) {
    results.push_back(i < 0 ? given.tuple()->at(next++) : args[static_cast<size_t>(i)]);
  }
  return results.size() == 1 ? results[0] : HostValue(std::move(results));
}

}  // namespace interp
}  // namespace repose
