// Types, values and functions of the graph, and tensor programs, in Python.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "errors.h"
#include "ir/structural.h"
#include "ops/ops.h"
#include "script/printer.h"
#include "values.h"

namespace repose::python {

using graph::Value;

namespace {

// ---- Types
// ---------------------------------------------------------------------------------------

Type type_of(nb::handle given) {
  if (!nb::isinstance<Type>(given))
    raise_bad_argument("given `" + class_name(given) + "`, expected a type such as `R.Tensor(…)`");
  return nb::cast<Type>(given);
}

std::vector<Type> types_of(const nb::args& given) {
  std::vector<Type> types;
  for (const nb::handle item : given) types.push_back(type_of(item));
  return types;
}

Type tensor(nb::object shape, const std::string& dtype, int ndim, nb::object strides) {
  const DType element = dtype_named(dtype);
  if (shape.is_none()) return tensor_type_of_rank(ndim, element);
  const Dims dims = dims_of(shape);
  if (ndim >= 0 && static_cast<size_t>(ndim) != dims.size())
    raise_bad_argument("ndim " + std::to_string(ndim) + " of a shape of " +
                       std::to_string(dims.size()) + " dimensions");
  const Dims steps = strides.is_none() ? Dims{} : dims_of(strides, "strides");
  if (!steps.empty() && steps.size() != dims.size())
    raise_bad_argument(std::to_string(steps.size()) + " strides for " +
                       std::to_string(dims.size()) + " dimensions");
  return tensor_type(dims, element, steps);
}

const char* kind_of(const Type& t) {
  switch (t->kind) {
    case TypeKind::tensor:
      return "tensor";
    case TypeKind::shape:
      return "shape";
    case TypeKind::prim:
      return "prim";
    case TypeKind::tuple:
      return "tuple";
    case TypeKind::function:
      return "function";
    case TypeKind::any:
      return "any";
  }
  return "";
}

nb::object shape_of(const Type& t) {
  const auto* tensor = as<TensorTypeNode>(t);
  const auto* shape = as<ShapeTypeNode>(t);
  if (tensor && tensor->shape) return as_tuple(*tensor->shape);
  if (shape && shape->dims) return as_tuple(*shape->dims);
  return nb::none();
}

std::string dtype_of(const Type& t) {
  if (const auto* tensor = as<TensorTypeNode>(t)) return tensor->dtype.to_string();
  if (const auto* prim = as<PrimTypeNode>(t)) return prim->dtype.to_string();
  return "";
}

nb::list fields_of(const Type& t) {
  nb::list fields;
  if (const auto* tuple = as<TupleTypeNode>(t)) {
    for (const Type& field : tuple->fields) fields.append(nb::cast(field));
  }
  return fields;
}

int rank_of(const Type& t) {
  if (const auto* tensor = as<TensorTypeNode>(t))
    return tensor->shape ? static_cast<int>(tensor->shape->size()) : tensor->rank;
  if (const auto* shape = as<ShapeTypeNode>(t))
    return shape->dims ? static_cast<int>(shape->dims->size()) : shape->rank;
  return -1;
}

void bind_types(nb::module_& m) {
  nb::class_<Type>(m, "Type", "What is known about a value before the program runs.")
      .def("__str__", [](const Type& t) { return to_string(t); })
      .def("__repr__", [](const Type& t) { return to_string(t); })
      .def(
          "__eq__",
          [](const Type& t, nb::object other) {
            return nb::isinstance<Type>(other) && structural_equal(t, nb::cast<Type>(other));
          },
          nb::arg().none())
      .def("__hash__", [](const Type& t) { return std::hash<std::string>{}(to_string(t)); })
      .def_prop_ro("kind", &kind_of)
      .def_prop_ro("shape", &shape_of)
      .def_prop_ro("dtype", &dtype_of)
      .def_prop_ro("ndim", &rank_of)
      .def_prop_ro("fields", &fields_of);
  m.def("_tensor_type", &tensor, nb::arg("shape").none(), nb::arg("dtype"), nb::arg("ndim"),
        nb::arg("strides").none());
  m.def(
      "_shape_type",
      [](nb::object dims, int ndim) {
        return dims.is_none() ? shape_type_of_rank(ndim) : shape_type(dims_of(dims));
      },
      nb::arg("dims").none(), nb::arg("ndim"));
  m.def(
      "_prim_type",
      [](nb::object value, const std::string& dtype) {
        return value.is_none() ? prim_type(dtype_named(dtype)) : prim_type_of(expr_of(value));
      },
      nb::arg("value").none(), nb::arg("dtype"));
  m.def("_tuple_type", [](const nb::args& fields) { return tuple_type(types_of(fields)); });
  m.def("_function_type", [](const nb::list& params, const Type& result, bool pure) {
    std::vector<Type> types;
    for (const nb::handle param : params) types.push_back(type_of(param));
    return function_type(std::move(types), result, pure);
  });
  m.def("_any_type", &any_type);
}

// ---- Values
// --------------------------------------------------------------------------------------

std::string name_of(const Value& v) {
  if (const auto* variable = graph::as<graph::VariableNode>(v)) return variable->name;
  if (const auto* global = graph::as<graph::GlobalNode>(v)) return global->name;
  if (const auto* external = graph::as<graph::ExternNode>(v)) return external->name;
  if (const auto* constant = graph::as<graph::ConstantNode>(v)) return constant->weight_name;
  return "";
}

// One level, operands by their names: for people.
std::string text_of(const Value& v) {
  std::string name = name_of(v);
  if (!name.empty()) return name;
  const auto list = [](const std::vector<Value>& values) {
    std::string text;
    for (const Value& value : values) text += (text.empty() ? "" : ", ") + text_of(value);
    return text;
  };
  if (const auto* call = graph::as<graph::CallNode>(v))
    return (call->op ? "R." + std::string(call->op->name) : text_of(call->callee)) + "(" +
           list(call->args) + ")";
  if (const auto* tuple = graph::as<graph::TupleNode>(v)) return "(" + list(tuple->fields) + ")";
  if (const auto* item = graph::as<graph::TupleGetNode>(v))
    return text_of(item->tuple) + "[" + std::to_string(item->index) + "]";
  if (const auto* shape = graph::as<graph::ShapeNode>(v))
    return "R.shape(" + to_string(shape->dims) + ")";
  if (const auto* prim = graph::as<graph::PrimValueNode>(v))
    return "R.prim_value(" + to_string(prim->value) + ")";
  return std::string("<") + graph::kind_name(v->kind) + ">";
}

nb::object optional_type(const Value& v) {
  return v->type ? nb::cast(v->type) : nb::none();
}

const Type& known_type(const Value& v) {
  if (!v->type)
    raise_bad_argument("the type of `" + text_of(v) + "` is not known before it is emitted");
  return v->type;
}

std::optional<std::string> operator_of(const Value& v) {
  const auto* call = graph::as<graph::CallNode>(v);
  if (call && call->op) return std::string(call->op->name);
  return std::nullopt;
}

nb::list operands_of(const Value& v) {
  nb::list operands;
  graph::visit_operands(v, [&](const Value& operand) { operands.append(nb::cast(operand)); });
  return operands;
}

nb::list args_of(const Value& v) {
  nb::list args;
  if (const auto* call = graph::as<graph::CallNode>(v)) {
    for (const Value& arg : call->args) args.append(nb::cast(arg));
  } else if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
    for (const Value& field : tuple->fields) args.append(nb::cast(field));
  } else {
    return operands_of(v);
  }
  return args;
}

nb::dict attrs_of_call(const Value& v) {
  nb::dict attrs;
  if (const auto* call = graph::as<graph::CallNode>(v)) {
    for (const auto& [name, value] : call->attrs) attrs[name.c_str()] = as_object(value);
  }
  return attrs;
}

Value item_of(const Value& v, int64_t index) {
  const auto* tuple = graph::as<graph::TupleNode>(v);
  const auto* type = v->type ? as<TupleTypeNode>(v->type) : nullptr;
  if (!tuple && !type)
    raise_bad_argument("`" + text_of(v) + "` is no tuple with a known number of members");
  const auto count = static_cast<int64_t>(tuple ? tuple->fields.size() : type->fields.size());
  if (index < 0) index += count;
  if (index < 0 || index >= count)  // what ends Python's iteration
    throw nb::index_error(("a tuple of " + std::to_string(count) + " members").c_str());
  if (tuple) return tuple->fields[static_cast<size_t>(index)];
  return graph::make_tuple_get(v, static_cast<int>(index));
}

Value call_of(const Value& callee, const nb::args& args) {
  std::vector<Value> values;
  for (const nb::handle arg : args) values.push_back(value_of(arg));
  return graph::make_function_call(callee, std::move(values));
}

Value constant(nb::object data, const std::string& dtype, const std::string& name) {
  if (!PyBool_Check(data.ptr()) && !PyLong_Check(data.ptr()) && !PyFloat_Check(data.ptr())) {
    Array array = array_of(data, "constant", name.empty() ? class_name(data) : name);
    if (!dtype.empty() && array->dtype != dtype_named(dtype))
      raise_bad_argument("the array has elements of dtype `" + array->dtype.to_string() +
                         "`, asked for `" + dtype + "`: cast it");
    return graph::make_constant(std::move(array), name);
  }
  DType as = dtype_named(dtype);
  if (!as)
    as = PyBool_Check(data.ptr())    ? dtypes::boolean
         : PyFloat_Check(data.ptr()) ? dtypes::float32
                                     : dtypes::int32;
  const Expr e = expr_of(data, as, "a constant");
  Ref<ArrayNode> array = make_array({}, as);
  if (const auto* i = repose::as<IntImmNode>(e)) array->store(0, Scalar::of_int(i->value, as));
  if (const auto* x = repose::as<FloatImmNode>(e)) array->store(0, Scalar::of_float(x->value, as));
  return graph::make_constant(Array(array), name);
}

nb::object data_of(const Value& v) {
  const auto* constant = graph::as<graph::ConstantNode>(v);
  if (!constant) raise_bad_argument("`" + text_of(v) + "` is no constant");
  return tensor_of(constant->data, {});
}

void operation(nb::class_<Value>& type, const char* name, const char* reflected, const char* op) {
  type.def(name, [op](const Value& a, nb::object b) { return call_binary(op, nb::cast(a), b); });
  if (reflected)
    type.def(reflected,
             [op](const Value& a, nb::object b) { return call_binary(op, b, nb::cast(a)); });
}

void bind_graph_values(nb::module_& m) {
  nb::class_<Value> type(
      m, "Value",
      "A value of the graph: a variable, a constant, a call, a tuple, …. `+ - * @` "
      "and the like are calls of operators.");
  operation(type, "__add__", "__radd__", "add");
  operation(type, "__sub__", "__rsub__", "subtract");
  operation(type, "__mul__", "__rmul__", "multiply");
  operation(type, "__truediv__", "__rtruediv__", "divide");
  operation(type, "__floordiv__", "__rfloordiv__", "floor_divide");
  operation(type, "__mod__", "__rmod__", "floor_mod");
  operation(type, "__pow__", "__rpow__", "power");
  operation(type, "__matmul__", "__rmatmul__", "matmul");
  operation(type, "__lt__", nullptr, "less");
  operation(type, "__le__", nullptr, "less_equal");
  operation(type, "__gt__", nullptr, "greater");
  operation(type, "__ge__", nullptr, "greater_equal");
  type.def(
          "__neg__",
          [](const Value& v) { return graph::make_op_call(*standard_ops().find("negative"), {v}); })
      .def("__str__", &text_of)
      .def("__repr__",
           [](const Value& v) {
             return text_of(v) + (v->type ? ": " + to_string(v->type) : std::string());
           })
      .def("__getitem__", &item_of)
      .def("__call__", &call_of, nb::arg("args"), "A call of a function of the module.")
      .def(
          "__eq__",
          [](const Value& a, nb::object b) {
            return nb::isinstance<Value>(b) && a == nb::cast<Value>(b);
          },
          nb::arg().none(), "Whether the two are one value.")
      .def("__hash__", [](const Value& v) { return reinterpret_cast<uintptr_t>(v.get()) >> 4; })
      .def_prop_ro("kind", [](const Value& v) { return std::string(graph::kind_name(v->kind)); })
      .def_prop_ro("name", &name_of)
      .def_prop_ro("type", &optional_type, "None before the value is emitted.")
      .def_prop_ro("shape", [](const Value& v) { return shape_of(known_type(v)); })
      .def_prop_ro("dtype", [](const Value& v) { return dtype_of(known_type(v)); })
      .def_prop_ro("ndim", [](const Value& v) { return rank_of(known_type(v)); })
      .def_prop_ro("op", &operator_of, "The operator that a call calls; None for others.")
      .def_prop_ro("args", &args_of)
      .def_prop_ro("attrs", &attrs_of_call)
      .def_prop_ro("data", &data_of, "The elements of a constant.");
  m.def("_variable", [](const std::string& name, const Type& type) {
    return Value(graph::make_variable(name, type));
  });
  m.def("_value", [](nb::object object) { return value_of(object); });
  m.def("_constant_value", &constant);
  m.def("_shape_value", [](nb::object dims) { return graph::make_shape(dims_of(dims)); });
  m.def("_prim_value", [](nb::object value) {
    const DType dtype = PyFloat_Check(value.ptr())  ? dtypes::float64
                        : PyBool_Check(value.ptr()) ? dtypes::boolean
                                                    : dtypes::index;
    return graph::make_prim(expr_of(value, dtype, "prim_value"));
  });
  m.def("_string_value",
        [](const std::string& text) { return Value(make_ref<graph::StringNode>(text)); });
  m.def("_dtype_value", [](const std::string& name) {
    return Value(make_ref<graph::DTypeNode>(dtype_named(name)));
  });
  m.def("_extern_value",
        [](const std::string& name) { return Value(make_ref<graph::ExternNode>(name)); });
}

// ---- Functions
// -----------------------------------------------------------------------------------

nb::list bindings_of(const graph::Function& f) {
  nb::list bindings;
  graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
    bindings.append(nb::make_tuple(nb::cast(Value(b.var)), nb::cast(b.value),
                                   b.cast ? nb::cast(b.cast) : nb::none()));
  });
  return bindings;
}

nb::dict attributes(const Attrs& attrs) {
  nb::dict dict;
  for (const auto& [name, value] : attrs) dict[name.c_str()] = as_object(value);
  return dict;
}

// Up to the names of what they bind.
template <class F>
bool equal_functions(const F& f, nb::object other) {
  return nb::isinstance<F>(other) && structural_equal(f, nb::cast<F>(other));
}

void bind_functions(nb::module_& m) {
  nb::class_<graph::Function>(m, "GraphFunction", "A function over tensors.")
      .def_prop_ro("params",
                   [](const graph::Function& f) {
                     nb::list params;
                     for (const graph::Variable& p : f->params) params.append(nb::cast(Value(p)));
                     return params;
                   })
      .def_prop_ro("result", [](const graph::Function& f) { return f->body->result; })
      .def_prop_ro("result_type", [](const graph::Function& f) { return f->result_type; })
      .def_prop_ro("attrs", [](const graph::Function& f) { return attributes(f->attrs); })
      .def_prop_ro("is_pure", [](const graph::Function& f) { return f->is_pure; })
      .def_prop_ro("is_private", [](const graph::Function& f) { return f->is_private; })
      .def_prop_ro("bindings", &bindings_of)
      .def(
          "script",
          [](const graph::Function& f, const std::string& name) { return print(f, name); },
          nb::arg("name") = "main")
      .def("__str__", [](const graph::Function& f) { return print(f); })
      .def("__eq__", &equal_functions<graph::Function>, nb::arg().none())
      .def("__hash__", [](const graph::Function& f) { return structural_hash(f) >> 1; });
  nb::class_<tir::PrimFunc>(m, "PrimFunc", "A tensor program: loops over buffers.")
      .def_prop_ro("params",
                   [](const tir::PrimFunc& f) {
                     nb::list params;
                     for (const tir::Param& p : f->params)
                       params.append(p.buffer ? p.buffer->name : p.var->name);
                     return params;
                   })
      .def_prop_ro("attrs", [](const tir::PrimFunc& f) { return attributes(f->attrs); })
      .def_prop_ro("is_private", [](const tir::PrimFunc& f) { return f->is_private; })
      .def(
          "script", [](const tir::PrimFunc& f, const std::string& name) { return print(f, name); },
          nb::arg("name") = "main")
      .def("__str__", [](const tir::PrimFunc& f) { return print(f); })
      .def("__eq__", &equal_functions<tir::PrimFunc>, nb::arg().none())
      .def("__hash__", [](const tir::PrimFunc& f) { return structural_hash(f) >> 1; });
}

}  // namespace

void bind_values(nb::module_& m) {
  bind_types(m);
  bind_graph_values(m);
  bind_functions(m);
}

}  // namespace repose::python
