// Checks tensors against declarations; lays out and allocates results.
#include "tensor.h"

#include <stdlib.h>

namespace repose::rt {
namespace {

int64_t element_bytes(const repose_rt_value& value) {
  return (value.dtype_bits + 7) / 8;
}

// The bytes of n elements; several of less than eight bits share one. False: int64 is too small.
bool bytes_of(const repose_rt_value& value, int64_t n, int64_t* bytes) {
  if (value.dtype_bits < 8) {
    const int64_t per_byte = 8 / value.dtype_bits;
    *bytes = n / per_byte + (n % per_byte != 0 ? 1 : 0);
    return true;
  }
  return !__builtin_mul_overflow(n, element_bytes(value), bytes);
}

// Reports the start of a message: "input `x`: ".
Text& begin(Text& error, const char* what, const repose_rt_value& value) {
  return error << what << " `" << value.name << "`: ";
}

int32_t check_kind(const char* what, const repose_rt_value& value, const DLTensor& tensor,
                   Text& error) {
  const DLDataType expected = {value.dtype_code, value.dtype_bits, 1};
  if (tensor.dtype.code != expected.code || tensor.dtype.bits != expected.bits ||
      tensor.dtype.lanes != 1) {
    begin(error, what, value) << "dtype is ";
    write_dtype(error, tensor.dtype);
    error << ", expected ";
    write_dtype(error, expected);
    return REPOSE_REFUSED;
  }
  if (tensor.ndim != value.rank) {
    begin(error, what, value) << "rank is " << tensor.ndim << ", expected " << value.rank;
    return REPOSE_REFUSED;
  }
  if (tensor.device.device_type != kDLCPU) {
    begin(error, what, value) << "device is ";
    write_device(error, tensor.device);
    error << ", expected cpu";
    return REPOSE_REFUSED;
  }
  if (tensor.ndim > 0 && tensor.shape == nullptr) {
    begin(error, what, value) << "its shape is null";
    return REPOSE_INVALID_ARGUMENT;
  }
  return REPOSE_OK;
}

int32_t check_dims(const char* what, const repose_rt_value& value, const DLTensor& tensor,
                   Text& error) {
  for (int32_t k = 0; k < tensor.ndim; ++k) {
    if (tensor.shape[k] >= 0) continue;
    begin(error, what, value) << "dimension " << k << " is " << tensor.shape[k]
                              << ", expected at least 0";
    return REPOSE_REFUSED;
  }
  return REPOSE_OK;
}

bool is_empty(const int64_t* dims, int32_t rank) {
  for (int32_t k = 0; k < rank; ++k) {
    if (dims[k] == 0) return true;
  }
  return false;
}

// strides: those required. The tensor's own count where an extent is above 1 and it has elements.
int32_t check_strides(const char* what, const repose_rt_value& value, const DLTensor& tensor,
                      const int64_t* strides, Text& error) {
  if (is_empty(tensor.shape, tensor.ndim)) return REPOSE_OK;
  // A stride that an expression declares is compared by generated code; here it has to make sense.
  for (int32_t k = 0; k < tensor.ndim; ++k) {
    if (strides[k] >= 0) continue;
    begin(error, what, value) << "stride " << k << " is " << tensor.strides[k]
                              << ", expected at least 0";
    return REPOSE_REFUSED;
  }
  int64_t compact = 1;
  bool same = true;
  for (int32_t k = tensor.ndim - 1; k >= 0; --k) {
    const int64_t own = tensor.strides != nullptr ? tensor.strides[k] : compact;
    same = same && (tensor.shape[k] == 1 || own == strides[k]);
    if (__builtin_mul_overflow(compact, tensor.shape[k], &compact)) compact = -1;  // never required
  }
  if (same) return REPOSE_OK;
  begin(error, what, value);
  if (tensor.strides != nullptr) {
    error << "strides are ";
    write_list(error, tensor.strides, tensor.ndim);
  } else {
    error << "strides are compact";
  }
  error << (value.strides == nullptr ? ", expected compact " : ", expected ");
  write_list(error, strides, tensor.ndim);
  return REPOSE_REFUSED;
}

int32_t check_data(const char* what, const repose_rt_value& value, const DLTensor& tensor,
                   int64_t bytes, ByteRange* range, Text& error) {
  *range = {0, 0};
  if (bytes == 0) return REPOSE_OK;
  if (tensor.data == nullptr) {
    begin(error, what, value) << "its data is null";
    return REPOSE_INVALID_ARGUMENT;
  }
  const auto first = reinterpret_cast<uintptr_t>(first_element(tensor));
  const auto misaligned = static_cast<int64_t>(first % static_cast<uint64_t>(element_bytes(value)));
  if (misaligned != 0) {
    begin(error, what, value) << "its first element is " << misaligned
                              << " bytes off the alignment of " << element_bytes(value);
    return REPOSE_REFUSED;
  }
  range->begin = first;
  if (__builtin_add_overflow(first, static_cast<uint64_t>(bytes), &range->end)) {
    begin(error, what, value) << "its " << bytes << " bytes reach beyond the end of memory";
    return REPOSE_REFUSED;
  }
  return REPOSE_OK;
}

// Before a result's elements, in one allocation.
struct ResultHeader {
  DLManagedTensorVersioned tensor;  // first: what free() and the deleter get
  repose_allocator allocator;
  int64_t bytes;
};

void delete_result(DLManagedTensorVersioned* tensor) {
  auto* header = reinterpret_cast<ResultHeader*>(tensor);
  const repose_allocator allocator = header->allocator;
  deallocate(allocator, header, header->bytes);
}

void set_deleter(const repose_allocator& allocator, ResultHeader& header, int64_t bytes) {
  header.allocator = allocator;
  header.bytes = bytes;
  if (allocator.deallocate != nullptr) {
    header.tensor.deleter = delete_result;
  } else {
    // The C library's function itself: no code of the model runs, so it may be unloaded.
    header.tensor.deleter = reinterpret_cast<void (*)(DLManagedTensorVersioned*)>(free);
  }
}

}  // namespace

bool required_strides(const repose_rt_value& value, const int64_t* dims, const DLTensor* tensor,
                      int64_t* strides, int64_t* bytes) {
  const int32_t rank = value.rank;
  int64_t next = 1;   // the compact stride of the dimension at hand
  int64_t reach = 1;  // elements from the first to behind the last
  bool fits = true;
  for (int32_t k = rank - 1; k >= 0; --k) {
    const int64_t declared = value.strides != nullptr ? value.strides[k] : -1;
    const bool takes_own = declared == -2 && tensor != nullptr && tensor->strides != nullptr;
    strides[k] = declared >= 0 ? declared : takes_own ? tensor->strides[k] : next;
    if (takes_own && dims[k] <= 1) strides[k] = next;  // it doesn't count
    int64_t far = 0;
    if (dims[k] > 1) fits = fits && !__builtin_mul_overflow(dims[k] - 1, strides[k], &far);
    fits = fits && !__builtin_add_overflow(reach, far, &reach);
    fits = fits && !__builtin_mul_overflow(strides[k], dims[k] > 1 ? dims[k] : 1, &next);
    if (!fits) break;
  }
  *bytes = 0;
  if (is_empty(dims, rank)) {
    // Compact strides of an empty tensor may not fit; nothing depends on them.
    for (int32_t k = 0; !fits && k < rank; ++k) strides[k] = 0;
    return true;
  }
  return fits && bytes_of(value, reach, bytes);
}

int32_t check_tensor(const char* what, const repose_rt_value& value, const DLTensor* tensor,
                     ByteRange* range, Text& error) {
  if (tensor == nullptr) {
    begin(error, what, value) << "the tensor is null";
    return REPOSE_INVALID_ARGUMENT;
  }
  int32_t status = check_kind(what, value, *tensor, error);
  if (status == REPOSE_OK) status = check_dims(what, value, *tensor, error);
  if (status != REPOSE_OK) return status;
  int64_t strides[kMaxRank];
  int64_t bytes = 0;
  if (!required_strides(value, tensor->shape, tensor, strides, &bytes)) {
    begin(error, what, value) << "its size does not fit in 64 bits";
    return REPOSE_OVERFLOW;
  }
  status = check_strides(what, value, *tensor, strides, error);
  if (status != REPOSE_OK) return status;
  return check_data(what, value, *tensor, bytes, range, error);
}

DLManagedTensorVersioned* make_result(const repose_allocator& allocator,
                                      const repose_rt_value& value, const int64_t* dims,
                                      int32_t* status, Text& error) {
  int64_t strides[kMaxRank];
  int64_t data_bytes = 0;
  int64_t head_bytes = static_cast<int64_t>(sizeof(ResultHeader)) + value.rank * 16;
  int64_t bytes = 0;
  if (!required_strides(value, dims, nullptr, strides, &data_bytes) || !align_up(head_bytes) ||
      __builtin_add_overflow(head_bytes, data_bytes, &bytes) || !align_up(bytes)) {
    begin(error, "output", value) << "its size does not fit in 64 bits";
    *status = REPOSE_OVERFLOW;
    return nullptr;
  }
  void* memory = allocate(allocator, bytes);
  if (memory == nullptr) {
    begin(error, "output", value) << "there is no memory for its " << data_bytes << " bytes";
    *status = REPOSE_OUT_OF_MEMORY;
    return nullptr;
  }
  auto* header = static_cast<ResultHeader*>(memory);
  auto* sizes = reinterpret_cast<int64_t*>(header + 1);
  for (int32_t k = 0; k < value.rank; ++k) {
    sizes[k] = dims[k];
    sizes[value.rank + k] = strides[k];
  }
  header->tensor = {};
  header->tensor.version = {1, 0};
  set_deleter(allocator, *header, bytes);
  DLTensor& tensor = header->tensor.dl_tensor;
  tensor.data = static_cast<uint8_t*>(memory) + head_bytes;
  tensor.device = {kDLCPU, 0};
  tensor.ndim = value.rank;
  tensor.dtype = {value.dtype_code, value.dtype_bits, 1};
  tensor.shape = sizes;
  tensor.strides = sizes + value.rank;
  return &header->tensor;
}

}  // namespace repose::rt
