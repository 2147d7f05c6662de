// Decodes tensor elements: raw, external, and typed fields.
#include "frontend/onnx/tensor_data.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <new>

#include "frontend/onnx/external_data.h"
#include "frontend/onnx/wire.h"

namespace repose::onnx {
namespace {

static_assert(std::endian::native == std::endian::little, "raw data is little-endian");

// Field numbers of TensorProto.
enum Field {
  float_data = 4,
  int32_data = 5,
  string_data = 6,
  int64_data = 7,
  double_data = 10,
  uint64_data = 11
};

struct TypeRow {
  const char* name;
  DType dtype;  // none: not supported
  int field;    // holds the elements where they are not raw; of packed types their bytes
};

// In the order of DataType's numbers.
constexpr TypeRow type_rows[] = {
    {"undefined", dtypes::none, 0},
    {"float32", dtypes::float32, float_data},
    {"uint8", dtypes::uint8, int32_data},
    {"int8", dtypes::int8, int32_data},
    {"uint16", dtypes::uint16, int32_data},
    {"int16", dtypes::int16, int32_data},
    {"int32", dtypes::int32, int32_data},
    {"int64", dtypes::int64, int64_data},
    {"string", dtypes::none, string_data},
    {"bool", dtypes::boolean, int32_data},
    {"float16", dtypes::float16, int32_data},
    {"float64", dtypes::float64, double_data},
    {"uint32", dtypes::uint32, uint64_data},
    {"uint64", dtypes::uint64, uint64_data},
    {"complex64", dtypes::none, float_data},
    {"complex128", dtypes::none, double_data},
    {"bfloat16", dtypes::bfloat16, int32_data},
    {"float8e4m3fn", dtypes::float8_e4m3fn, int32_data},
    {"float8e4m3fnuz", dtypes::float8_e4m3fnuz, int32_data},
    {"float8e5m2", dtypes::float8_e5m2, int32_data},
    {"float8e5m2fnuz", dtypes::float8_e5m2fnuz, int32_data},
    {"uint4", dtypes::uint4, int32_data},
    {"int4", dtypes::int4, int32_data},
    {"float4e2m1", dtypes::float4_e2m1fn, int32_data},
    {"float8e8m0", dtypes::float8_e8m0fnu, int32_data},
    {"uint2", dtypes::uint2, int32_data},
    {"int2", dtypes::int2, int32_data},
    {"float6e2m3", dtypes::none, int32_data},
    {"float6e3m2", dtypes::none, int32_data},
};

const TypeRow* find_row(DataType type) {
  auto number = static_cast<size_t>(static_cast<int32_t>(type));
  return number < std::size(type_rows) ? &type_rows[number] : nullptr;
}

// Appends the elements of one tensor's typed field, and refuses more than declared.
class ElementSink {
 public:
  // A value of the field takes at least one byte of the message, and is at most eight bytes here.
  ElementSink(DType dtype, uint64_t count, const Fields& fields, size_t message_bytes)
      : dtype_(dtype), count_(count), fields_(fields) {
    uint64_t bytes = count * static_cast<uint64_t>(dtype.size_bytes());
    bytes_->reserve(static_cast<size_t>(std::min<uint64_t>(bytes, 8 * message_bytes)));
  }

  void take_integer(int64_t value) {
    if (dtype_.is_bool()) value = value != 0;
    // The wire has int32 as 64 bits, of which the low half counts.
    if (dtype_ == dtypes::int32) value = static_cast<int32_t>(value);
    if (dtype_.bits < 64) {
      bool is_signed = dtype_.is_sint();  // floats come as their bits, which are unsigned
      int64_t low = is_signed ? -(int64_t{1} << (dtype_.bits - 1)) : 0;
      int64_t high = (int64_t{1} << (dtype_.bits - (is_signed ? 1 : 0))) - 1;
      if (value < low || value > high) {
        fields_.fail("element {} is {}, which is no {}", taken_, value, dtype_.to_string());
      }
    }
    append(&value);
  }
  template <class T>
  void take_number(T value) {
    append(&value);
  }
  uint64_t taken() const { return taken_; }
  std::shared_ptr<std::vector<std::byte>> bytes() const { return bytes_; }

 private:
  void append(const void* value) {
    if (taken_ == count_) fields_.fail("has more than the {} elements of its dimensions", count_);
    auto* data = static_cast<const std::byte*>(value);
    bytes_->insert(bytes_->end(), data, data + dtype_.size_bytes());
    ++taken_;
  }

  DType dtype_;
  uint64_t count_;
  uint64_t taken_ = 0;
  const Fields& fields_;
  std::shared_ptr<std::vector<std::byte>> bytes_ = std::make_shared<std::vector<std::byte>>();
};

const char* field_name(int field) {
  switch (field) {
    case float_data:
      return "float_data";
    case int32_data:
      return "int32_data";
    case string_data:
      return "string_data";
    case int64_data:
      return "int64_data";
    case double_data:
      return "double_data";
    default:
      return "uint64_data";
  }
}

// Decodes the typed field of a tensor.
TensorData decode_elements(const Tensor& tensor, DType dtype, int field, uint64_t count) {
  Fields fields(tensor.message);
  count = static_cast<uint64_t>(dtype.size_bytes(static_cast<int64_t>(count))) /
          static_cast<uint64_t>(dtype.size_bytes());
  ElementSink sink(dtype.is_packed() ? dtypes::uint8 : dtype, count, fields, tensor.message.size());
  const char* name = field_name(field);
  while (fields.next()) {
    if (fields.number() != field) {
      fields.skip();
    } else if (field == float_data) {
      fields.each_number<float>(name, [&](float value) { sink.take_number(value); });
    } else if (field == double_data) {
      fields.each_number<double>(name, [&](double value) { sink.take_number(value); });
    } else {
      fields.each_integer(name, [&](int64_t value) { sink.take_integer(value); });
    }
  }
  if (sink.taken() != count) {
    fields.fail("has {} elements in `{}`, its dimensions need {}", sink.taken(), name, count);
  }
  auto bytes = sink.bytes();
  return {dtype, *bytes, bytes};
}

// Refuses tensors that claim their contents twice, or in a field that is not their type's.
Result<void> check_storage(const Tensor& tensor, int field, const Span& span) {
  int places =
      (tensor.is_external ? 1 : 0) + (tensor.raw_data ? 1 : 0) + std::popcount(tensor.typed_fields);
  if (tensor.is_segment) {
    return error(DiagnosticKind::unsupported_feature, span,
                 "{}: is a segment of a larger tensor, expected a whole one", describe(tensor));
  }
  if (places > 1) {
    return error(DiagnosticKind::bad_model, span,
                 "{}: has its elements in {} places, expected one of raw, typed and external data",
                 describe(tensor), places);
  }
  if (tensor.typed_fields & ~(1u << field)) {
    return error(DiagnosticKind::bad_model, span, "{}: has its elements in `{}`, expected `{}`",
                 describe(tensor), field_name(std::countr_zero(tensor.typed_fields)),
                 field_name(field));
  }
  return {};
}

// Catches what decoding throws.
template <class T, class Decode>
Result<T> decode_guarded(const Tensor& tensor, const Span& span, Decode decode) {
  try {
    return decode();
  } catch (const WireError& e) {
    return error(e.kind, span, "{}: {}", describe(tensor), e.text);
  } catch (const std::bad_alloc&) {
    return error(DiagnosticKind::too_large, span, "{}: does not fit into memory", describe(tensor));
  }
}

// Some producers write bytes other than 0 and 1 for true.
TensorData normalize_bools(TensorData data) {
  bool is_normal = std::all_of(data.bytes.begin(), data.bytes.end(),
                               [](std::byte b) { return b <= std::byte{1}; });
  if (is_normal) return data;
  auto bytes = std::make_shared<std::vector<std::byte>>(data.bytes.begin(), data.bytes.end());
  for (std::byte& b : *bytes) b = b == std::byte{0} ? b : std::byte{1};
  return {data.dtype, *bytes, bytes};
}

Result<TensorData> stored_elements(const Model& model, const Tensor& tensor, DType dtype,
                                   uint64_t count) {
  Span span = model.span();
  const auto size = static_cast<uint64_t>(dtype.size_bytes(static_cast<int64_t>(count)));
  if (tensor.is_external) {
    REPOSE_TRY(external, external_bytes(model, tensor, size, describe(tensor)));
    return TensorData{dtype, external.bytes, external.file};
  }
  if (!tensor.raw_data) {
    if (count == 0) return TensorData{dtype, {}, nullptr};
    return error(DiagnosticKind::missing_value, span, "{}: has no elements, its dimensions need {}",
                 describe(tensor), count);
  }
  if (tensor.raw_data->size() != size) {
    return error(DiagnosticKind::bad_model, span,
                 "{}: has {} bytes of raw data, its type and dimensions need {}", describe(tensor),
                 tensor.raw_data->size(), size);
  }
  return TensorData{dtype, std::as_bytes(std::span(*tensor.raw_data)), model.owner};
}

}  // namespace

std::string data_type_name(DataType type) {
  const TypeRow* row = find_row(type);
  return row ? row->name : fmt::format("data type {}", static_cast<int32_t>(type));
}

Result<DType> dtype_of(DataType type, const Span& span, const std::string& what) {
  const TypeRow* row = find_row(type);
  if (!row || type == DataType::undefined) {
    return error(DiagnosticKind::bad_model, span, "{}: has the element type `{}`, which is unknown",
                 what, data_type_name(type));
  }
  if (!row->dtype) {
    return error(DiagnosticKind::unsupported_dtype, span,
                 "{}: has the element type `{}`, which is not supported", what, row->name);
  }
  return row->dtype;
}

std::string describe(const Tensor& tensor) {
  return tensor.name.empty() ? "unnamed tensor"
                             : fmt::format("tensor `{}`", printable(tensor.name));
}

Result<uint64_t> element_count(const Tensor& tensor, const Span& span) {
  constexpr auto limit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  uint64_t count = 1;
  bool is_empty = false;
  bool is_too_large = false;
  for (size_t i = 0; i < tensor.dims.size(); ++i) {
    if (tensor.dims[i] < 0) {
      return error(DiagnosticKind::bad_model, span, "{}: dimension {} is {}, expected at least 0",
                   describe(tensor), i, tensor.dims[i]);
    }
    auto dim = static_cast<uint64_t>(tensor.dims[i]);
    is_empty = is_empty || dim == 0;
    if (is_empty || is_too_large) continue;
    is_too_large = count > limit / dim;
    if (!is_too_large) count *= dim;
  }
  if (is_empty) return uint64_t{0};
  if (is_too_large) {
    return error(DiagnosticKind::too_large, span, "{}: the product of its dimensions exceeds 2^63",
                 describe(tensor));
  }
  return count;
}

Result<TensorData> tensor_data(const Model& model, const Tensor& tensor) {
  Span span = model.span();
  REPOSE_TRY(dtype, dtype_of(tensor.data_type, span, describe(tensor)));
  REPOSE_TRY(count, element_count(tensor, span));
  auto element_bytes = static_cast<uint64_t>(dtype.size_bytes());
  if (count > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / element_bytes) {
    return error(DiagnosticKind::too_large, span, "{}: {} elements of {} exceed 2^63 bytes",
                 describe(tensor), count, dtype.to_string());
  }
  int field = find_row(tensor.data_type)->field;
  if (auto checked = check_storage(tensor, field, span); !checked) return checked.errors();
  return decode_guarded<TensorData>(tensor, span, [&]() -> Result<TensorData> {
    if (tensor.typed_fields != 0) return decode_elements(tensor, dtype, field, count);
    REPOSE_TRY(stored, stored_elements(model, tensor, dtype, count));
    if (dtype.is_bool()) return normalize_bools(stored);
    return stored;
  });
}

Result<std::vector<std::string_view>> tensor_strings(const Model& model, const Tensor& tensor) {
  Span span = model.span();
  if (tensor.data_type != DataType::string) {
    return error(DiagnosticKind::dtype_mismatch, span,
                 "{}: has the element type `{}`, expected `string`", describe(tensor),
                 data_type_name(tensor.data_type));
  }
  REPOSE_TRY(count, element_count(tensor, span));
  if (auto checked = check_storage(tensor, string_data, span); !checked) return checked.errors();
  if (tensor.raw_data || tensor.is_external) {
    return error(DiagnosticKind::bad_model, span, "{}: strings must be in `string_data`",
                 describe(tensor));
  }
  using Strings = std::vector<std::string_view>;
  return decode_guarded<Strings>(tensor, span, [&, count = count]() -> Result<Strings> {
    Strings strings;
    Fields fields(tensor.message);
    while (fields.next()) {
      if (fields.number() == string_data) {
        strings.push_back(fields.each_bytes("string_data"));
      } else {
        fields.skip();
      }
    }
    if (strings.size() != count) {
      fields.fail("has {} strings, its dimensions need {}", strings.size(), count);
    }
    return strings;
  });
}

}  // namespace repose::onnx
