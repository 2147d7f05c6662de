// Packed functions in Python: a callable as a function of the C interface.
#include "packed.h"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <nanobind/stl/string.h>

#include "errors.h"
#include "tensor.h"

namespace repose::python {

namespace {

// A tensor with its memory, or one that stands for memory of the model.
struct Held {
  DLManagedTensorVersioned managed{};
  std::vector<int64_t> shape, strides;
  std::vector<std::max_align_t> data;
};

int64_t count_of(const DLTensor& t) {
  int64_t count = 1;
  for (int d = 0; d < t.ndim; ++d) count *= t.shape[d];
  return count;
}

const char* first_of(const DLTensor& t) {
  return static_cast<const char*>(t.data) + t.byte_offset;
}

// The elements in row-major order.
void copy_elements(const DLTensor& from, char* to) {
  const int64_t count = count_of(from), bits = from.dtype.bits;
  if (count == 0) return;
  if (!from.strides || bits < 8) {
    std::memcpy(to, first_of(from), static_cast<size_t>((count * bits + 7) / 8));
    return;
  }
  const int64_t bytes = bits / 8;
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, offset = 0;
    for (int d = from.ndim - 1; d >= 0; --d) {
      offset += rest % from.shape[d] * from.strides[d];
      rest /= from.shape[d];
    }
    std::memcpy(to + i * bytes, first_of(from) + offset * bytes, static_cast<size_t>(bytes));
  }
}

// A compact copy, or where `is_shared` the same memory.
DLManagedTensorVersioned* managed_of(const DLTensor& from, bool is_shared) {
  auto held = std::make_unique<Held>();
  held->shape.assign(from.shape, from.shape + from.ndim);
  held->strides.resize(held->shape.size());
  int64_t next = 1;
  for (size_t d = held->shape.size(); d-- > 0;) {
    held->strides[d] = next;
    next *= std::max<int64_t>(held->shape[d], 1);
  }
  DLTensor& t = held->managed.dl_tensor;
  t = from;
  t.shape = held->shape.data();
  t.strides = held->strides.data();
  if (!is_shared) {
    const auto bytes = static_cast<size_t>((count_of(from) * from.dtype.bits + 7) / 8);
    held->data.resize(bytes / sizeof(std::max_align_t) + 1);
    t.data = held->data.data();
    t.byte_offset = 0;
    copy_elements(from, static_cast<char*>(t.data));
  }
  held->managed.version = {1, 0};
  held->managed.manager_ctx = held.get();
  held->managed.deleter = [](DLManagedTensorVersioned* self) {
    delete static_cast<Held*>(self->manager_ctx);
  };
  return &held.release()->managed;
}

nb::object object_of(const repose_packed_value& v) {
  switch (v.kind) {
    case REPOSE_VALUE_INT:
      return nb::int_(v.as.integer);
    case REPOSE_VALUE_FLOAT:
      return nb::float_(v.as.number);
    case REPOSE_VALUE_BOOL:
      return nb::bool_(v.as.integer != 0);
    case REPOSE_VALUE_TENSOR:
      return nb::cast(new Tensor(managed_of(*v.as.tensor, v.count != 0)),
                      nb::rv_policy::take_ownership);
    case REPOSE_VALUE_TEXT:
      return nb::str(v.as.text, static_cast<size_t>(v.count));
    case REPOSE_VALUE_DTYPE:
      return nb::str(dtype_name(v.as.dtype).c_str());
    case REPOSE_VALUE_OBJECT:
      return nb::borrow(static_cast<PyObject*>(v.as.object));
    case REPOSE_VALUE_SHAPE:
    case REPOSE_VALUE_TUPLE: {
      nb::list items;
      for (int32_t i = 0; i < v.count; ++i) {
        items.append(v.kind == REPOSE_VALUE_SHAPE ? nb::object(nb::int_(v.as.dims[i]))
                                                  : object_of(v.as.items[i]));
      }
      return nb::tuple(items);
    }
    default:
      return nb::none();
  }
}

void give_shape(nb::handle given, repose_packed_value& result) {
  if (!nb::isinstance<nb::sequence>(given) || nb::len(given) != static_cast<size_t>(result.count)) {
    raise_bad_argument("the result is `" + nb::cast<std::string>(nb::repr(given)) +
                       "`, expected a shape of " + std::to_string(result.count) + " members");
  }
  for (int32_t i = 0; i < result.count; ++i) {
    result.as.dims[i] = nb::cast<int64_t>(nb::int_(given[i]));
  }
}

// Numbers, tensors, None; any other object for others to take.
void give(nb::handle given, repose_packed_value& result) {
  if (result.kind == REPOSE_VALUE_SHAPE) return give_shape(given, result);
  const bool wants_float = result.kind == REPOSE_VALUE_FLOAT;
  const bool wants_tensor = result.kind == REPOSE_VALUE_TENSOR;
  result = {};
  if (given.is_none()) return;
  if (PyBool_Check(given.ptr())) {
    result.kind = REPOSE_VALUE_BOOL;
    result.as.integer = given.ptr() == Py_True;
  } else if (PyLong_Check(given.ptr()) && !wants_float) {
    result.kind = REPOSE_VALUE_INT;
    result.as.integer = nb::cast<int64_t>(given);
  } else if (PyFloat_Check(given.ptr()) || PyLong_Check(given.ptr())) {
    result.kind = REPOSE_VALUE_FLOAT;
    result.as.number = nb::cast<double>(nb::float_(given));
  } else if (wants_tensor || nb::hasattr(given, "__dlpack__") ||
             PyObject_CheckBuffer(given.ptr())) {
    Borrowed tensor(given, "result", "of a packed function", false);
    result.kind = REPOSE_VALUE_TENSOR;
    result.as.result = managed_of(*tensor.tensor(), false);
  } else {
    result.kind = REPOSE_VALUE_OBJECT;
    result.as.object = Py_NewRef(given.ptr());
    result.deleter = [](void* object) {
      if (!Py_IsInitialized()) return;
      const nb::gil_scoped_acquire gil;
      Py_DECREF(static_cast<PyObject*>(object));
    };
  }
}

void call_python(PyObject* callable, repose_packed_call& call) {
  nb::list args;
  for (int32_t i = 0; i < call.num_arguments; ++i) args.append(object_of(call.arguments[i]));
  const nb::object given = nb::handle(callable)(*nb::tuple(args));
  if (call.num_results == 0) return;
  if (call.num_results == 1 && !PyTuple_Check(given.ptr())) return give(given, call.results[0]);
  const bool is_one_shape = call.num_results == 1 && call.results[0].kind == REPOSE_VALUE_SHAPE;
  if (is_one_shape) return give(given, call.results[0]);
  if (!PyTuple_Check(given.ptr()) || nb::len(given) != static_cast<size_t>(call.num_results)) {
    raise_bad_argument("the result is a `" + nb::cast<std::string>(nb::type_name(given.type())) +
                       "`, expected a tuple of " + std::to_string(call.num_results));
  }
  for (int32_t i = 0; i < call.num_results; ++i) give(given[i], call.results[i]);
}

int32_t trampoline(void* user, repose_packed_call* call) {
  const nb::gil_scoped_acquire gil;
  std::string text;
  try {
    call_python(static_cast<PyObject*>(user), *call);
    return 0;
  } catch (nb::python_error& error) {
    text = nb::cast<std::string>(nb::type_name(error.type())) + ": " +
           nb::cast<std::string>(nb::str(error.value()));
  } catch (const std::exception& error) {
    text = error.what();
  }
  const size_t size = std::min(text.size(), call->error_bytes - 1);
  std::memcpy(call->error, text.data(), size);
  call->error[size] = 0;
  return 1;
}

void register_function(const std::string& name, const nb::object& function) {
  const bool is_callable = PyCallable_Check(function.ptr()) != 0;
  if (!is_callable && !function.is_none()) {
    raise_bad_argument("register: `" + name + "` is to be a `" +
                       nb::cast<std::string>(nb::type_name(function.type())) +
                       "`, expected a callable or None");
  }
  // Models that were loaded keep it, to the end of the process.
  PyObject* const kept = is_callable ? Py_NewRef(function.ptr()) : nullptr;
  if (repose_register(name.c_str(), is_callable ? trampoline : nullptr, kept) != REPOSE_OK) {
    raise_bad_argument(repose_last_error(nullptr));
  }
}

}  // namespace

void bind_packed(nb::module_& m) {
  m.def("_register", register_function, nb::arg("name"), nb::arg("function").none());
}

}  // namespace repose::python
