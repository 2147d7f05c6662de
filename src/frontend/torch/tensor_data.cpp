// Reads weights out of an archive: storages are raw bytes, tensors are strided views of them.
#include "frontend/torch/tensor_data.h"

#include <cstring>

#include "frontend/common/call_context.h"
#include "frontend/common/names.h"

namespace repose::torch {

using frontend::printable;

namespace {

struct ScalarTypeRow {
  int number;
  const char* name;
  DType dtype;
};

constexpr ScalarTypeRow scalar_types[] = {
    {1, "uint8", dtypes::uint8},
    {2, "int8", dtypes::int8},
    {3, "int16", dtypes::int16},
    {4, "int32", dtypes::int32},
    {5, "int64", dtypes::int64},
    {6, "float16", dtypes::float16},
    {7, "float32", dtypes::float32},
    {8, "float64", dtypes::float64},
    {9, "complex32", dtypes::none},
    {10, "complex64", dtypes::none},
    {11, "complex128", dtypes::none},
    {12, "bool", dtypes::boolean},
    {13, "bfloat16", dtypes::bfloat16},
    {28, "uint16", dtypes::uint16},
    {29, "float8_e4m3fn", dtypes::float8_e4m3fn},
    {30, "float8_e5m2", dtypes::float8_e5m2},
    {31, "float8_e4m3fnuz", dtypes::float8_e4m3fnuz},
    {32, "float8_e5m2fnuz", dtypes::float8_e5m2fnuz},
    {33, "float8_e8m0fnu", dtypes::float8_e8m0fnu},
    {34, "uint32", dtypes::uint32},
    {35, "uint64", dtypes::uint64},
};

const ScalarTypeRow* find_type(ScalarType type) {
  for (const ScalarTypeRow& row : scalar_types) {
    if (row.number == static_cast<int>(type)) return &row;
  }
  return nullptr;
}

// Where a tensor lies in its storage, in elements.
struct Layout {
  std::vector<int64_t> shape, strides;
  int64_t offset = 0;
};

Result<int64_t> constant_of(const Size& size, const Span& span, const std::string& what) {
  if (size.value && *size.value >= 0) return *size.value;
  return error(DiagnosticKind::bad_model, span, "{}: its layout is not constant", what);
}

Result<Layout> layout_of(const TensorMeta& meta, const Span& span, const std::string& what) {
  Layout layout;
  if (meta.sizes.size() != meta.strides.size() ||
      meta.sizes.size() > static_cast<size_t>(frontend::max_rank)) {
    return error(DiagnosticKind::bad_model, span, "{}: {} sizes and {} strides", what,
                 meta.sizes.size(), meta.strides.size());
  }
  for (size_t i = 0; i < meta.sizes.size(); ++i) {
    REPOSE_TRY(extent, constant_of(meta.sizes[i], span, what));
    REPOSE_TRY(stride, constant_of(meta.strides[i], span, what));
    layout.shape.push_back(extent);
    layout.strides.push_back(stride);
  }
  REPOSE_TRY(offset, constant_of(meta.offset, span, what));
  layout.offset = offset;
  return layout;
}

bool is_compact(const Layout& layout) {
  int64_t expected = 1;
  for (size_t i = layout.shape.size(); i-- > 0;) {
    if (layout.shape[i] != 1 && layout.strides[i] != expected) return false;
    expected *= layout.shape[i];
  }
  return true;
}

// The number of elements from the storage's beginning to the tensor's last one; -1: too many.
int64_t reach_elems(const Layout& layout) {
  int64_t last = layout.offset;
  for (size_t i = 0; i < layout.shape.size(); ++i) {
    if (layout.shape[i] == 0) return 0;
    int64_t part = 0;
    if (__builtin_mul_overflow(layout.shape[i] - 1, layout.strides[i], &part) ||
        __builtin_add_overflow(last, part, &last)) {
      return -1;
    }
  }
  return last == INT64_MAX ? -1 : last + 1;
}

Array compacted(const Layout& layout, DType dtype, std::span<const std::byte> storage) {
  const Ref<ArrayNode> result = make_array(layout.shape, dtype);
  const int64_t count = result->num_elements();
  const size_t item_bytes = static_cast<size_t>(dtype.size_bytes());
  std::vector<int64_t> at(layout.shape.size(), 0);
  int64_t source = layout.offset;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(result->mutable_bytes() + static_cast<size_t>(i) * item_bytes,
                storage.data() + static_cast<size_t>(source) * item_bytes, item_bytes);
    for (size_t d = at.size(); d-- > 0;) {
      source += layout.strides[d];
      if (++at[d] < layout.shape[d]) break;
      source -= layout.strides[d] * layout.shape[d];
      at[d] = 0;
    }
  }
  return result;
}

}  // namespace

Result<DType> dtype_of(ScalarType type, const Span& span) {
  const ScalarTypeRow* row = find_type(type);
  if (row && row->dtype) return row->dtype;
  return error(DiagnosticKind::unsupported_dtype, span, "element type `{}` is not supported",
               type_name(type));
}

std::string type_name(ScalarType type) {
  const ScalarTypeRow* row = find_type(type);
  return row ? row->name : fmt::format("number {}", static_cast<int>(type));
}

Result<Array> payload_data(const Program& program, const std::string& name) {
  const Span span = program.span();
  const std::string what = fmt::format("weight `{}`", printable(name));
  if (auto given = program.given.find(name); given != program.given.end()) return given->second;
  auto found = program.payloads.find(name);
  if (found == program.payloads.end()) {
    return error(DiagnosticKind::missing_value, span, "{}: the archive has no contents for it",
                 what);
  }
  const Payload& payload = found->second;
  if (payload.is_pickled) {
    return error(DiagnosticKind::unsupported_feature, span,
                 "{}: is pickled (a subclass of tensors, or an object), which cannot be read "
                 "without Python",
                 what);
  }
  constexpr int strided = 7;
  if (payload.meta.layout != strided) {
    return error(DiagnosticKind::unsupported_feature, span, "{}: is sparse, or has another layout",
                 what);
  }
  REPOSE_TRY(dtype, dtype_of(payload.meta.dtype, span));
  REPOSE_TRY(layout, layout_of(payload.meta, span, what));
  REPOSE_TRY(storage, program.archive.contents(payload.path));
  const int64_t bytes = array_bytes(layout.shape, dtype), reach = reach_elems(layout);
  const auto item_bytes = static_cast<int64_t>(dtype.size_bytes());
  if (bytes < 0 || reach < 0 || reach > static_cast<int64_t>(storage.size()) / item_bytes) {
    return error(DiagnosticKind::bad_model, span, "{}: reaches beyond its {} bytes", what,
                 storage.size());
  }
  if (bytes == 0) return Array(make_array(layout.shape, dtype));
  if (is_compact(layout)) {
    return wrap_array(layout.shape, dtype, storage.data() + layout.offset * item_bytes,
                      program.owner);
  }
  // A stride of 0 repeats elements: what a few bytes expand to is limited.
  constexpr int64_t most_bytes = int64_t{1} << 34;
  if (bytes > most_bytes) {
    return error(DiagnosticKind::too_large, span, "{}: has {} bytes", what, bytes);
  }
  return compacted(layout, dtype, storage);
}

}  // namespace repose::torch
