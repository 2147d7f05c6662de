// What Python's objects stand for in the IR: numbers, sequences, dictionaries, arrays.
#include <nanobind/stl/string.h>

#include "arrays.h"
#include "errors.h"
#include "values.h"

namespace repose::python {

// Inner frames of this package are not the user's.
Span here() {
  static const std::string own = [] {
    const std::string file = nb::cast<std::string>(nb::module_::import_("repose").attr("__file__"));
    return file.substr(0, file.rfind('/') + 1);
  }();
  nb::object frame = nb::borrow(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
  while (frame.is_valid() && !frame.is_none()) {
    const std::string file = nb::cast<std::string>(frame.attr("f_code").attr("co_filename"));
    if (!file.starts_with(own)) {
      int line = 0;
      (void)nb::try_cast(nb::object(frame.attr("f_lineno")), line);  // None: code without lines
      return {make_text_source(file, ""), line, 0};
    }
    frame = frame.attr("f_back");
  }
  return {};
}

std::string class_name(nb::handle object) {
  return nb::cast<std::string>(nb::type_name(object.type()));
}

namespace {

bool is_integer(nb::handle object) {
  return PyIndex_Check(object.ptr()) && !PyBool_Check(object.ptr());
}

int64_t integer_of(nb::handle object, const char* what) {
  int64_t value = 0;
  const nb::object index = nb::steal(PyNumber_Index(object.ptr()));
  if (!index.is_valid()) throw nb::python_error();
  if (!nb::try_cast(index, value))
    raise_bad_argument(std::string(what) + ": an integer of more than 64 bits");
  return value;
}

}  // namespace

Expr expr_of(nb::handle object, DType dtype, const char* what) {
  if (nb::isinstance<Expr>(object)) return nb::cast<Expr>(object);
  if (PyBool_Check(object.ptr()) && (!dtype || dtype.is_bool()))
    return make_bool(object.is(Py_True));
  if (is_integer(object) || PyBool_Check(object.ptr())) {
    const DType as = dtype ? dtype : dtypes::index;
    const bool is_index_of_bool = as.is_index() && PyBool_Check(object.ptr());
    if (!as.is_bool() && !as.is_handle() && !is_index_of_bool) {
      const int64_t value = integer_of(object, what);
      return as.is_float() ? make_float(static_cast<double>(value), as) : make_int(value, as);
    }
  } else if (PyFloat_Check(object.ptr()) && (!dtype || dtype.is_float())) {
    return make_float(PyFloat_AsDouble(object.ptr()), dtype ? dtype : dtypes::float32);
  }
  const std::string expected = dtype && !dtype.is_index() ? dtype.to_string() : "index";
  raise_bad_argument(std::string(what) + ": given `" + class_name(object) +
                     "`, expected an expression or a number of dtype `" + expected + "`");
}

Dims dims_of(nb::handle sequence, const char* what) {
  Dims dims;
  if (!PyTuple_Check(sequence.ptr()) && !PyList_Check(sequence.ptr()))
    raise_bad_argument(std::string(what) + ": given `" + class_name(sequence) +
                       "`, expected a tuple or a list");
  for (const nb::handle dim : nb::borrow<nb::sequence>(sequence)) {
    dims.push_back(expr_of(dim, dtypes::index, what));
    if (!dims.back()->dtype.is_index())
      raise_bad_argument(std::string(what) + ": `" + to_string(dims.back()) + "` has dtype `" +
                         dims.back()->dtype.to_string() + "`, expected an index");
  }
  return dims;
}

nb::object as_object(const Expr& e) {
  int64_t value = 0;
  if (as_const_int(e, &value) && e->dtype.is_index()) return nb::int_(value);
  return nb::cast(e);
}

nb::tuple as_tuple(const Dims& dims) {
  nb::list list;
  for (const Expr& dim : dims) list.append(as_object(dim));
  return nb::tuple(list);
}

DType dtype_named(const std::string& name) {
  if (name.empty()) return {};
  const std::optional<DType> dtype = DType::parse(name);
  if (!dtype) raise_bad_argument("`" + name + "` is no dtype");
  return *dtype;
}

// ---- Attributes
// ----------------------------------------------------------------------------------

Attr attr_of(nb::handle object) {
  if (object.is_none()) return {};
  if (PyBool_Check(object.ptr())) return object.is(Py_True);
  if (is_integer(object) && !nb::isinstance<Expr>(object))
    return integer_of(object, "an attribute");
  if (PyFloat_Check(object.ptr())) return PyFloat_AsDouble(object.ptr());
  if (PyUnicode_Check(object.ptr())) return nb::cast<std::string>(object);
  if (nb::isinstance<Expr>(object)) {
    const Expr e = nb::cast<Expr>(object);
    int64_t value = 0;
    return as_const_int(e, &value) ? Attr(value) : Attr(e);
  }
  if (PyTuple_Check(object.ptr()) || PyList_Check(object.ptr())) {
    AttrList list;
    for (const nb::handle item : nb::borrow<nb::sequence>(object)) list.push_back(attr_of(item));
    return list;
  }
  if (PyDict_Check(object.ptr())) {
    AttrDict dict;
    for (const auto& [key, value] : nb::borrow<nb::dict>(object))
      dict.emplace_back(attr_of(key), attr_of(value));
    return dict;
  }
  raise_bad_argument("given `" + class_name(object) +
                     "`, expected a number, a string, an expression, a list or a dictionary");
}

Attrs attrs_of(nb::handle dictionary) {
  Attrs attrs;
  if (!dictionary.is_valid() || dictionary.is_none()) return attrs;
  if (!PyDict_Check(dictionary.ptr()))
    raise_bad_argument("attributes: given `" + class_name(dictionary) + "`, expected a dictionary");
  for (const auto& [key, value] : nb::borrow<nb::dict>(dictionary))
    attrs.set(nb::cast<std::string>(nb::str(key)), attr_of(value));
  return attrs;
}

nb::object as_object(const Attr& attr) {
  if (const bool* b = attr.as_bool()) return nb::bool_(*b);
  if (const int64_t* i = attr.as_int()) return nb::int_(*i);
  if (const double* x = attr.as_float()) return nb::float_(*x);
  if (const std::string* text = attr.as_string()) return nb::str(text->c_str());
  if (const DType* dtype = attr.as_dtype()) return nb::str(dtype->to_string().c_str());
  if (const Expr* e = attr.as_expr()) return as_object(*e);
  if (const AttrList* list = attr.as_list()) {
    nb::list items;
    for (const Attr& item : *list) items.append(as_object(item));
    return items;
  }
  if (const AttrDict* dict = attr.as_dict()) {
    nb::dict items;
    for (const auto& [key, value] : *dict) items[as_object(key)] = as_object(value);
    return items;
  }
  return nb::none();
}

// ---- Values
// --------------------------------------------------------------------------------------

graph::Value value_of(nb::handle object) {
  if (nb::isinstance<graph::Value>(object)) return nb::cast<graph::Value>(object);
  if (nb::isinstance<Expr>(object)) return graph::make_prim(nb::cast<Expr>(object));
  if (PyTuple_Check(object.ptr()) || PyList_Check(object.ptr())) {
    std::vector<graph::Value> fields;
    for (const nb::handle field : nb::borrow<nb::sequence>(object))
      fields.push_back(value_of(field));
    return graph::make_tuple(std::move(fields));
  }
  if (PyObject_HasAttrString(object.ptr(), "__dlpack__") || PyObject_CheckBuffer(object.ptr()))
    return graph::make_constant(array_of(object, "constant", class_name(object)));
  if (PyLong_Check(object.ptr()) || PyFloat_Check(object.ptr()))
    raise_bad_argument("the number " + nb::cast<std::string>(nb::str(object)) +
                       " has no dtype here: `repose.const(…, dtype)`");
  raise_bad_argument("given `" + class_name(object) +
                     "`, expected a value of the graph, a tuple of them or an array");
}

}  // namespace repose::python
