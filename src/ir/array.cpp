// Arrays on the host: allocation, elements, comparison.
#include "ir/array.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/diagnostic.h"
#include "expr/tiny_float.h"

namespace repose {

namespace {

template <class T>
T read(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
void write(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

}  // namespace

int64_t ArrayNode::num_elements() const {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  return n;
}

Scalar ArrayNode::load(int64_t i) const {
  if (dtype.is_packed() || dtype.is_tiny_float()) return load_bits(i);
  const int size = dtype.size_bytes();
  REPOSE_CHECK(i >= 0 && static_cast<size_t>(i + 1) * size <= num_bytes, "element out of range");
  const std::byte* at = bytes + i * size;
  if (dtype.code == DType::Code::bfloat) {
    return Scalar{dtype, 0, bfloat_to_float(read<uint16_t>(at))};
  }
  if (dtype.is_float()) {
    switch (dtype.bits) {
      case 16:
        return Scalar{dtype, 0, half_to_float(read<uint16_t>(at))};
      case 32:
        return Scalar{dtype, 0, read<float>(at)};
      default:
        return Scalar{dtype, 0, read<double>(at)};
    }
  }
  if (dtype.is_bool()) return Scalar{dtype, read<uint8_t>(at) != 0 ? 1 : 0, 0};
  const bool is_unsigned = dtype.is_uint();
  switch (dtype.bits) {
    case 8:
      return Scalar{dtype, is_unsigned ? read<uint8_t>(at) : read<int8_t>(at), 0};
    case 16:
      return Scalar{dtype, is_unsigned ? read<uint16_t>(at) : read<int16_t>(at), 0};
    case 32:
      return Scalar{dtype, is_unsigned ? int64_t{read<uint32_t>(at)} : read<int32_t>(at), 0};
    default:
      return Scalar{dtype, read<int64_t>(at), 0};
  }
}

// Elements of a byte or a part of it.
Scalar ArrayNode::load_bits(int64_t i) const {
  const int64_t per_byte = 8 / dtype.bits, byte = i / per_byte;
  REPOSE_CHECK(i >= 0 && static_cast<size_t>(byte) < num_bytes, "element out of range");
  const int64_t bits = read<uint8_t>(bytes + byte) >> (i % per_byte * dtype.bits);
  if (!dtype.is_float()) return Scalar::of_int(bits, dtype);
  const auto code = static_cast<uint8_t>(bits & ((1 << dtype.bits) - 1));
  return Scalar{dtype, 0, from_tiny_float(dtype, code)};
}

void ArrayNode::store_bits(int64_t i, const Scalar& value) {
  const int64_t per_byte = 8 / dtype.bits, byte = i / per_byte;
  REPOSE_CHECK(i >= 0 && static_cast<size_t>(byte) < num_bytes, "element out of range");
  const int64_t shift = i % per_byte * dtype.bits, ones = (int64_t{1} << dtype.bits) - 1;
  const int64_t bits = dtype.is_float() ? to_tiny_float(dtype, value.f) : value.i & ones;
  std::byte* at = mutable_bytes() + byte;
  write(at, static_cast<uint8_t>((read<uint8_t>(at) & ~(ones << shift)) | (bits << shift)));
}

void ArrayNode::store(int64_t i, const Scalar& value) {
  REPOSE_CHECK(value.dtype == dtype, "a stored element has the array's dtype");
  if (dtype.is_packed() || dtype.is_tiny_float()) return store_bits(i, value);
  const int size = dtype.size_bytes();
  REPOSE_CHECK(i >= 0 && static_cast<size_t>(i + 1) * size <= num_bytes, "element out of range");
  std::byte* at = mutable_bytes() + i * size;
  if (dtype.code == DType::Code::bfloat) {
    return write(at, float_to_bfloat(static_cast<float>(value.f)));
  }
  if (dtype.is_float()) {
    switch (dtype.bits) {
      case 16:
        return write(at, float_to_half(static_cast<float>(value.f)));
      case 32:
        return write(at, static_cast<float>(value.f));
      default:
        return write(at, value.f);
    }
  }
  switch (size) {
    case 1:
      return write(at, static_cast<uint8_t>(value.i));
    case 2:
      return write(at, static_cast<uint16_t>(value.i));
    case 4:
      return write(at, static_cast<uint32_t>(value.i));
    default:
      return write(at, value.i);
  }
}

int64_t array_bytes(const std::vector<int64_t>& shape, DType dtype) {
  int64_t total = 1;
  bool empty = false;
  for (int64_t d : shape) {
    if (d < 0) return -1;
    empty = empty || d == 0;
  }
  if (empty) return 0;
  for (int64_t d : shape) {
    if (__builtin_mul_overflow(total, d, &total)) return -1;
  }
  return dtype.size_bytes(total);
}

Ref<ArrayNode> make_array(std::vector<int64_t> shape, DType dtype) {
  const int64_t size = array_bytes(shape, dtype);
  REPOSE_CHECK(size >= 0, "the size of an array fits 64 bits");
  const size_t rounded = (static_cast<size_t>(size) + 63) / 64 * 64;
  std::byte* data = nullptr;
  if (rounded > 0) {
    data = static_cast<std::byte*>(std::aligned_alloc(64, rounded));
    if (!data) throw std::bad_alloc();
    std::memset(data, 0, rounded);
  }
  auto array = Ref<ArrayNode>(new ArrayNode);
  array->owner =
      std::shared_ptr<const void>(data, [](const void* p) { std::free(const_cast<void*>(p)); });
  array->dtype = dtype;
  array->shape = std::move(shape);
  array->bytes = data;
  array->num_bytes = static_cast<size_t>(size);
  return array;
}

Array wrap_array(std::vector<int64_t> shape, DType dtype, const std::byte* bytes,
                 std::shared_ptr<const void> owner) {
  const int64_t size = array_bytes(shape, dtype);
  REPOSE_CHECK(size >= 0, "the size of an array fits 64 bits");
  auto array = Ref<ArrayNode>(new ArrayNode);
  array->dtype = dtype;
  array->shape = std::move(shape);
  array->owner = std::move(owner);
  array->bytes = bytes;
  array->num_bytes = static_cast<size_t>(size);
  return array;
}

Array make_scalar_array(const Scalar& value) {
  Ref<ArrayNode> array = make_array({}, value.dtype);
  array->store(0, value);
  return array;
}

bool equal_bytes(const ArrayNode& a, const ArrayNode& b) {
  if (a.dtype != b.dtype || a.shape != b.shape) return false;
  if (a.bytes == b.bytes || a.num_bytes == 0) return true;
  // What is left of a last byte belongs to no element.
  const int64_t n = a.num_elements(), rest = a.dtype.is_packed() ? n % (8 / a.dtype.bits) : 0;
  const size_t whole = a.num_bytes - (rest != 0 ? 1 : 0);
  if (std::memcmp(a.bytes, b.bytes, whole) != 0) return false;
  for (int64_t i = n - rest; i < n; ++i) {
    if (!(a.load(i) == b.load(i))) return false;
  }
  return true;
}

}  // namespace repose
