// Copies tensors of Python into arrays of the IR, and lends arrays to Python.
#include "arrays.h"

#include <cstring>

#include "errors.h"
#include "tensor.h"

namespace repose::python {

DType dtype_of(DLDataType type) {
  switch (type.code) {
    case kDLBool:
      return dtypes::boolean;
    case kDLInt:
      return {DType::Code::sint, type.bits};
    case kDLUInt:
      return {DType::Code::uint, type.bits};
    case kDLFloat:
      return {DType::Code::flt, type.bits};
    case kDLBfloat:
      return {DType::Code::bfloat, type.bits};
    default:
      return {};
  }
}

DLDataType dtype_of(DType type) {
  const auto code = type.is_bool()             ? kDLBool
                    : type.is_sint()           ? kDLInt
                    : type.is_uint()           ? kDLUInt
                    : type == dtypes::bfloat16 ? kDLBfloat
                                               : kDLFloat;
  return {static_cast<uint8_t>(code), type.bits, 1};
}

Array array_of(const DLTensor& t, const std::string& what) {
  const DType dtype = dtype_of(t.dtype);
  if (!dtype || t.dtype.lanes != 1)
    raise_bad_argument(what + ": " + dtype_name(t.dtype) + " is no dtype of the IR");
  const std::vector<int64_t> shape(t.shape, t.shape + t.ndim);
  Ref<ArrayNode> array = make_array(shape, dtype);
  const auto item = static_cast<size_t>(dtype.size_bytes());
  const auto* from = static_cast<const std::byte*>(t.data) + t.byte_offset;
  std::byte* to = array->mutable_bytes();
  if (!t.strides) {
    std::memcpy(to, from, array->num_bytes);
    return array;
  }
  std::vector<int64_t> at(shape.size(), 0);
  for (int64_t i = 0, n = array->num_elements(); i < n; ++i, to += item) {
    int64_t offset = 0;
    for (size_t d = 0; d < at.size(); ++d) offset += at[d] * t.strides[d];
    std::memcpy(to, from + offset * static_cast<int64_t>(item), item);
    for (size_t d = at.size(); d-- > 0 && ++at[d] == shape[d];) at[d] = 0;
  }
  return array;
}

Array array_of(nb::handle object, const char* kind, const std::string& name) {
  Borrowed borrowed(object, kind, name.c_str(), false);
  return array_of(*borrowed.tensor(), std::string(kind) + " `" + name + "`");
}

Array shared_array_of(nb::handle object, const char* kind, const std::string& name) {
  const std::shared_ptr<Borrowed> held(new Borrowed(object, kind, name.c_str(), false),
                                       [](Borrowed* borrowed) {
                                         if (!nb::is_alive()) return;  // Python has ended
                                         const nb::gil_scoped_acquire acquire;
                                         delete borrowed;
                                       });
  const DLTensor& t = *held->tensor();
  const DType dtype = dtype_of(t.dtype);
  int64_t expected = 1;
  bool is_compact = dtype && t.dtype.lanes == 1;
  for (int d = t.ndim; is_compact && t.strides && d-- > 0;) {
    is_compact = t.shape[d] == 1 || t.strides[d] == expected;
    expected *= t.shape[d];
  }
  if (!is_compact) return array_of(t, std::string(kind) + " `" + name + "`");
  return wrap_array({t.shape, t.shape + t.ndim}, dtype,
                    static_cast<const std::byte*>(t.data) + t.byte_offset, held);
}

nb::object tensor_of(Array array, nb::handle like) {
  struct Owned {
    DLManagedTensorVersioned managed{};
    Array array;
    std::vector<int64_t> shape;
  };
  auto* owned = new Owned;
  owned->shape = array->shape;
  DLManagedTensorVersioned& m = owned->managed;
  m.version = {1, 0};
  m.manager_ctx = owned;
  m.deleter = [](DLManagedTensorVersioned* self) { delete static_cast<Owned*>(self->manager_ctx); };
  m.dl_tensor.data = const_cast<std::byte*>(array->bytes);
  m.dl_tensor.device = {kDLCPU, 0};
  m.dl_tensor.ndim = static_cast<int32_t>(owned->shape.size());
  m.dl_tensor.dtype = dtype_of(array->dtype);
  m.dl_tensor.shape = owned->shape.data();
  owned->array = std::move(array);
  return of_kind(like, nb::cast(new Tensor(&m), nb::rv_policy::take_ownership));
}

}  // namespace repose::python
