// DLPack and the buffer protocol, both ways.
#include "tensor.h"

#include <nanobind/stl/string.h>

#include <cstring>

#include "errors.h"

namespace repose::python {

namespace {

constexpr uint64_t read_only_flag = 1;  // of DLManagedTensorVersioned::flags

// The layout of DLPack before 1.0.
struct UnversionedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(UnversionedTensor* self);
};

constexpr const char* versioned_name = "dltensor_versioned";
constexpr const char* unversioned_name = "dltensor";

std::string kind_of(nb::handle object) {
  return nb::cast<std::string>(nb::type_name(object.type()));
}

// Arrays of ml_dtypes' bfloat16 have neither format nor DLPack type: their bits, as integers, do.
bool is_numpy_bfloat16(nb::handle object) {
  return nb::cast<std::string>(nb::str(object.type().attr("__module__"))) == "numpy" &&
         nb::cast<std::string>(nb::str(nb::getattr(object, "dtype", nb::none()))) == "bfloat16";
}

// The dtype of a format of the `struct` module; code DLOpaqueHandle: none.
DLDataType dtype_of_format(const char* format, size_t item_bytes) {
  DLDataType type{kDLOpaqueHandle, static_cast<uint8_t>(8 * item_bytes), 1};
  if (*format == '@' || *format == '=' || *format == '<') ++format;
  if (std::strlen(format) != 1) return type;
  switch (*format) {
    case '?':
      type.code = kDLBool;
      break;
    case 'b':
    case 'h':
    case 'i':
    case 'l':
    case 'q':
      type.code = kDLInt;
      break;
    case 'B':
    case 'H':
    case 'I':
    case 'L':
    case 'Q':
      type.code = kDLUInt;
      break;
    case 'e':
    case 'f':
    case 'd':
      type.code = kDLFloat;
      break;
    default:
      break;
  }
  return type;
}

// The inverse; null where the buffer protocol has no such type. Of bfloat16 the bits.
const char* format_of_dtype(DLDataType type) {
  switch (type.code) {
    case kDLBool:
      return "?";
    case kDLInt:
      return type.bits == 8 ? "b" : type.bits == 16 ? "h" : type.bits == 32 ? "i" : "q";
    case kDLUInt:
      return type.bits == 8 ? "B" : type.bits == 16 ? "H" : type.bits == 32 ? "I" : "Q";
    case kDLFloat:
      return type.bits == 16 ? "e" : type.bits == 32 ? "f" : type.bits == 64 ? "d" : nullptr;
    case kDLBfloat:
      return type.bits == 16 ? "H" : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace

std::string dtype_name(DLDataType type) {
  const std::string bits = std::to_string(type.bits);
  switch (type.code) {
    case kDLBool:
      return "bool";
    case kDLInt:
      return "int" + bits;
    case kDLUInt:
      return "uint" + bits;
    case kDLFloat:
      return "float" + bits;
    case kDLBfloat:
      return "bfloat" + bits;
    default:
      return "dtype " + std::to_string(type.code) + " of " + bits + " bits";
  }
}

// ---- What callers give
// ---------------------------------------------------------------------------

Borrowed::Borrowed(nb::handle object, const char* what, const char* name, bool is_written)
    : what_(what), name_(name), is_written_(is_written) {
  if (take_buffer(object)) return;
  if (is_numpy_bfloat16(object) && take_buffer(object.attr("view")("uint16"))) {
    tensor_.dtype = {kDLBfloat, 16, 1};
    return;
  }
  if (take_dlpack(object)) return;
  refuse("expected a tensor (`__dlpack__` or the buffer protocol), given `" + kind_of(object) +
         "`");
}

Borrowed::~Borrowed() {
  if (has_buffer_) PyBuffer_Release(&buffer_);
}

void Borrowed::refuse(const std::string& why) const {
  raise_bad_argument(std::string(what_) + " `" + name_ + "`: " + why);
}

bool Borrowed::take_buffer(nb::handle object) {
  if (!PyObject_CheckBuffer(object.ptr())) return false;
  if (PyObject_GetBuffer(object.ptr(), &buffer_, PyBUF_STRIDES | PyBUF_FORMAT) != 0) {
    PyErr_Clear();  // of what it may be, DLPack says more
    return false;
  }
  has_buffer_ = true;
  if (is_written_ && buffer_.readonly) refuse("is read-only, and results are written into it");
  read_buffer_format();
  return true;
}

void Borrowed::read_buffer_format() {
  const auto item_bytes = static_cast<size_t>(buffer_.itemsize);
  tensor_.dtype = dtype_of_format(buffer_.format ? buffer_.format : "B", item_bytes);
  if (tensor_.dtype.code == kDLOpaqueHandle) {
    refuse("elements of the format `" + std::string(buffer_.format) +
           "`, expected numbers in this machine's byte order");
  }
  static_assert(sizeof(Py_ssize_t) == sizeof(int64_t));
  tensor_.data = buffer_.buf;
  tensor_.device = {kDLCPU, 0};
  tensor_.ndim = buffer_.ndim;
  tensor_.shape = reinterpret_cast<int64_t*>(buffer_.shape);
  if (PyBuffer_IsContiguous(&buffer_, 'C')) return;  // null strides say that
  for (int d = 0; d < buffer_.ndim; ++d) {
    const Py_ssize_t stride = buffer_.strides[d];
    if (stride % buffer_.itemsize != 0)
      refuse("a stride of " + std::to_string(stride) + " bytes between elements of " +
             std::to_string(item_bytes));
    strides_.push_back(stride / buffer_.itemsize);
  }
  tensor_.strides = strides_.data();
}

bool Borrowed::take_dlpack(nb::handle object) {
  if (!nb::hasattr(object, "__dlpack__")) return false;
  if (nb::hasattr(object, "__dlpack_device__")) {
    const nb::object device = object.attr("__dlpack_device__")();
    const int type = nb::cast<int>(nb::int_(device[0]));
    if (type != kDLCPU) {
      const std::string named =
          nb::hasattr(object, "device")
              ? " (`" + nb::cast<std::string>(nb::str(object.attr("device"))) + "`)"
              : "";
      refuse("is on a device of type " + std::to_string(type) + named + ", expected the CPU");
    }
  }
  try {
    capsule_ = object.attr("__dlpack__")(nb::arg("max_version") = nb::make_tuple(1, 0));
  } catch (nb::python_error& error) {
    if (!error.matches(PyExc_Exception)) throw;  // an interrupt
    if (!error.matches(PyExc_TypeError)) {
      refuse("`__dlpack__` of `" + kind_of(object) +
             "` failed: " + nb::cast<std::string>(nb::str(error.value())));
    }
    capsule_ = {};
  }
  if (!capsule_) {  // of a version that doesn't know the argument
    try {
      capsule_ = object.attr("__dlpack__")();
    } catch (nb::python_error& error) {
      if (!error.matches(PyExc_Exception)) throw;
      refuse("`__dlpack__` of `" + kind_of(object) +
             "` failed: " + nb::cast<std::string>(nb::str(error.value())));
    }
  }
  PyObject* const capsule = capsule_.ptr();
  // A capsule that isn't renamed frees its tensor when it goes.
  if (PyCapsule_IsValid(capsule, versioned_name)) {
    auto* managed =
        static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule, versioned_name));
    if (managed->version.major != 1) {
      refuse("DLPack of version " + std::to_string(managed->version.major) +
             ", expected version 1");
    }
    if (is_written_ && (managed->flags & read_only_flag))
      refuse("is read-only, and results are written into it");
    tensor_ = managed->dl_tensor;
    return true;
  }
  if (PyCapsule_IsValid(capsule, unversioned_name)) {
    tensor_ =
        static_cast<UnversionedTensor*>(PyCapsule_GetPointer(capsule, unversioned_name))->dl_tensor;
    return true;
  }
  refuse("`__dlpack__` of `" + kind_of(object) + "` gave no DLPack capsule");
}

// ---- What models return
// --------------------------------------------------------------------------

namespace {

int get_buffer(PyObject* self, Py_buffer* view, int flags) noexcept {
  const DLTensor& t = nb::inst_ptr<Tensor>(self)->get();
  const char* format = format_of_dtype(t.dtype);
  // A result may have declared strides, which are then those of no row-major array.
  if (!format || (t.strides && !(flags & PyBUF_STRIDES))) {
    PyErr_Format(PyExc_BufferError, "the buffer protocol has no %s",
                 format ? "such layout" : dtype_name(t.dtype).c_str());
    return -1;
  }
  const auto ndim = static_cast<size_t>(t.ndim);
  auto* sizes = static_cast<Py_ssize_t*>(PyMem_Malloc(2 * (ndim + 1) * sizeof(Py_ssize_t)));
  if (!sizes) {
    PyErr_NoMemory();
    return -1;
  }
  const Py_ssize_t item = t.dtype.bits <= 8 ? 1 : t.dtype.bits / 8;
  Py_ssize_t elements = 1;
  for (size_t d = ndim; d-- > 0;) {
    sizes[d] = t.shape[d];
    sizes[ndim + d] = (t.strides ? t.strides[d] : elements) * item;
    elements *= t.shape[d];
  }
  view->buf = static_cast<char*>(t.data) + t.byte_offset;
  view->obj = Py_NewRef(self);
  view->len = elements * item;
  view->itemsize = item;
  view->readonly = 0;
  view->ndim = t.ndim;
  view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(format) : nullptr;
  view->shape = (flags & PyBUF_ND) ? sizes : nullptr;
  view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? sizes + ndim : nullptr;
  view->suboffsets = nullptr;
  view->internal = sizes;
  return 0;
}

void release_buffer(PyObject*, Py_buffer* view) noexcept {
  PyMem_Free(view->internal);
}

// A capsule's tensor: the memory stays that of the Tensor, which it keeps alive.
template <class Managed>
struct Shared {
  Managed managed{};
  PyObject* owner = nullptr;

  static void drop(Managed* managed) {
    auto* self = static_cast<Shared*>(managed->manager_ctx);
    if (Py_IsInitialized()) {
      const nb::gil_scoped_acquire gil;
      Py_DECREF(self->owner);
    }
    delete self;
  }
};

template <class Managed>
nb::object make_capsule(nb::handle tensor, const char* name, PyCapsule_Destructor destructor) {
  auto* shared = new Shared<Managed>;
  shared->managed.dl_tensor = nb::cast<const Tensor&>(tensor).get();
  shared->managed.manager_ctx = shared;
  shared->managed.deleter = Shared<Managed>::drop;
  shared->owner = Py_NewRef(tensor.ptr());
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) shared->managed.version = {1, 0};
  return nb::steal(PyCapsule_New(&shared->managed, name, destructor));
}

// Of a capsule that nobody took the tensor from.
template <class Managed>
void drop_capsule(PyObject* capsule, const char* name) {
  if (!PyCapsule_IsValid(capsule, name)) return;
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
  managed->deleter(managed);
}

nb::object to_dlpack(nb::handle self, const nb::object& /*stream*/, const nb::object& max_version,
                     const nb::object& dl_device, const nb::object& copy) {
  if (!dl_device.is_none() && nb::cast<int>(nb::int_(dl_device[0])) != kDLCPU)
    throw nb::buffer_error("a result is on the CPU");
  if (!copy.is_none() && nb::cast<bool>(copy)) throw nb::buffer_error("a result is not copied");
  if (!max_version.is_none() && nb::cast<int>(nb::int_(max_version[0])) >= 1) {
    return make_capsule<DLManagedTensorVersioned>(self, versioned_name, [](PyObject* capsule) {
      drop_capsule<DLManagedTensorVersioned>(capsule, versioned_name);
    });
  }
  return make_capsule<UnversionedTensor>(self, unversioned_name, [](PyObject* capsule) {
    drop_capsule<UnversionedTensor>(capsule, unversioned_name);
  });
}

nb::tuple shape_of(const Tensor& tensor) {
  nb::list shape;
  for (int d = 0; d < tensor.get().ndim; ++d) shape.append(tensor.get().shape[d]);
  return nb::tuple(shape);
}

PyType_Slot tensor_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)},
                              {Py_bf_releasebuffer, reinterpret_cast<void*>(release_buffer)},
                              {0, nullptr}};

}  // namespace

nb::object of_kind(nb::handle like, nb::object tensor) {
  // By type, as Python found it once, for bfloat16 apart. Leaked: interpreters end in any order.
  static auto* const makers = new nb::dict[2];
  const DLDataType dtype = nb::cast<const Tensor&>(tensor).get().dtype;
  nb::dict& known = makers[dtype.code == kDLBfloat];
  const nb::handle type = (like.is_valid() ? like : nb::handle(Py_None)).type();
  PyObject* maker = PyDict_GetItemWithError(known.ptr(), type.ptr());
  if (!maker) {
    if (PyErr_Occurred()) throw nb::python_error();
    known[type] = nb::module_::import_("repose._kinds").attr("maker_for")(type, dtype_name(dtype));
    maker = PyDict_GetItem(known.ptr(), type.ptr());
  }
  if (maker == Py_None) return tensor;
  return nb::handle(maker)(std::move(tensor));
}

void bind_tensor(nb::module_& m) {
  nb::class_<Tensor>(m, "Tensor", nb::type_slots(tensor_slots),
                     "A result of a model: speaks DLPack and the buffer protocol.")
      .def("__dlpack__", &to_dlpack, nb::kw_only(), nb::arg("stream") = nb::none(),
           nb::arg("max_version") = nb::none(), nb::arg("dl_device") = nb::none(),
           nb::arg("copy") = nb::none())
      .def("__dlpack_device__", [](const Tensor&) { return nb::make_tuple(int{kDLCPU}, 0); })
      .def_prop_ro("shape", &shape_of, "The extents.")
      .def_prop_ro(
          "dtype", [](const Tensor& t) { return dtype_name(t.get().dtype); },
          "The element type, such as \"float32\".")
      .def("__repr__", [](const Tensor& t) {
        return "<repose.Tensor " + dtype_name(t.get().dtype) + " " +
               nb::cast<std::string>(nb::str(shape_of(t))) + ">";
      });
}

}  // namespace repose::python
