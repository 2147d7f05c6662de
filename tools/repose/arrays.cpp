// Tensors of the command line: .npy files, and the values that `--input` describes.
#include "arrays.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <random>

#include "command.h"

namespace repose::cli {

namespace {

const std::map<std::string, DType>& npy_types() {
  static const std::map<std::string, DType> types = {
      {"|b1", dtypes::boolean}, {"|i1", dtypes::int8},    {"<i2", dtypes::int16},
      {"<i4", dtypes::int32},   {"<i8", dtypes::int64},   {"|u1", dtypes::uint8},
      {"<u2", dtypes::uint16},  {"<u4", dtypes::uint32},  {"<u8", dtypes::uint64},
      {"<f2", dtypes::float16}, {"<f4", dtypes::float32}, {"<f8", dtypes::float64}};
  return types;
}

// The text of `'key': value` in the header's dictionary, up to the end of the value.
std::string field(const std::string& header, const std::string& key) {
  size_t at = header.find("'" + key + "'");
  if (at == std::string::npos) return "";
  at = header.find(':', at);
  if (at == std::string::npos) return "";
  at = header.find_first_not_of(" \t", at + 1);
  if (at == std::string::npos) return "";
  const char close = header[at] == '\'' ? '\'' : header[at] == '(' ? ')' : ',';
  const size_t end = header.find(close, at + 1);
  if (end == std::string::npos) return "";
  return header.substr(at, end - at + (close == ',' ? 0 : 1));
}

bool parse_shape(const std::string& text, std::vector<int64_t>* shape) {
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') return false;
  const char* p = text.data() + 1;
  const char* end = text.data() + text.size() - 1;
  while (p < end) {
    while (p < end && (*p == ' ' || *p == ',')) ++p;
    if (p == end) break;
    int64_t n = 0;
    auto [next, ec] = std::from_chars(p, end, n);
    if (ec != std::errc() || n < 0) return false;
    shape->push_back(n);
    p = next;
  }
  return true;
}

// The elements of a file whose first axis varies fastest, in row-major order.
void copy_columns(ArrayNode& to, const char* from) {
  const auto size = static_cast<size_t>(to.dtype.size_bytes());
  std::vector<int64_t> index(to.shape.size(), 0);
  for (int64_t i = 0, n = to.num_elements(); i < n; ++i) {
    int64_t at = 0;
    for (size_t d = to.shape.size(); d-- > 0;) at = at * to.shape[d] + index[d];
    std::memcpy(to.mutable_bytes() + static_cast<size_t>(i) * size,
                from + static_cast<size_t>(at) * size, size);
    for (size_t d = to.shape.size(); d-- > 0 && ++index[d] == to.shape[d];) index[d] = 0;
  }
}

Diagnostic bad_file(const std::string& path, const std::string& why) {
  return error(DiagnosticKind::bad_array_file, {}, "`{}` is no array that can be read: {}", path,
               why);
}

}  // namespace

Result<Array> read_npy(const std::string& path) {
  REPOSE_TRY(bytes, read_file(path));
  if (bytes.size() < 10 || bytes.compare(0, 6, "\x93NUMPY") != 0) {
    return bad_file(path, "it does not begin as .npy files do");
  }
  const int version = static_cast<unsigned char>(bytes[6]);
  const size_t length_bytes = version == 1 ? 2 : 4;
  size_t length = 0;
  if (bytes.size() < 8 + length_bytes) return bad_file(path, "its header is cut off");
  for (size_t i = 0; i < length_bytes; ++i) {
    length |= static_cast<size_t>(static_cast<unsigned char>(bytes[8 + i])) << (8 * i);
  }
  const size_t data = 8 + length_bytes + length;
  if (data > bytes.size()) return bad_file(path, "its header is cut off");
  const std::string header = bytes.substr(8 + length_bytes, length);
  std::string type = field(header, "descr");
  if (type.size() < 2) return bad_file(path, "its header has no dtype");
  type = type.substr(1, type.size() - 2);
  auto known = npy_types().find(type);
  if (known == npy_types().end()) return bad_file(path, "dtype `" + type + "` is not supported");
  const std::string order = field(header, "fortran_order");
  if (order != "False" && order != "True") return bad_file(path, "its header has no order");
  std::vector<int64_t> shape;
  if (!parse_shape(field(header, "shape"), &shape))
    return bad_file(path, "its header has no shape");
  const int64_t needed = array_bytes(shape, known->second);
  if (needed < 0 || static_cast<size_t>(needed) != bytes.size() - data) {
    return bad_file(path, "its size does not fit its shape");
  }
  Ref<ArrayNode> array = make_array(shape, known->second);
  if (order == "True") {
    copy_columns(*array, bytes.data() + data);
  } else if (needed) {
    std::memcpy(array->mutable_bytes(), bytes.data() + data, static_cast<size_t>(needed));
  }
  return Array(array);
}

Result<void> write_npy(const std::string& path, const ArrayNode& array) {
  std::string type = array.dtype.bits <= 8 ? "|u1" : "<u2";
  for (const auto& [name, dtype] : npy_types()) {
    if (dtype == array.dtype) type = name;
  }
  std::string shape = "(";
  for (size_t i = 0; i < array.shape.size(); ++i) {
    shape += std::to_string(array.shape[i]) + (array.shape.size() == 1      ? ","
                                               : i + 1 < array.shape.size() ? ", "
                                                                            : "");
  }
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}), }}", type, shape);
  // The data begin at a multiple of 64.
  const size_t total = (10 + header.size() + 1 + 63) / 64 * 64;
  header.resize(total - 10 - 1, ' ');
  header += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(header.size() & 255);
  out += static_cast<char>(header.size() >> 8);
  out += header;
  if (array.dtype.is_packed()) {
    for (int64_t i = 0, n = array.num_elements(); i < n; ++i) {
      const int per_byte = 8 / array.dtype.bits;
      const auto byte = std::to_integer<unsigned>(array.bytes[i / per_byte]);
      const auto shift = static_cast<unsigned>(i % per_byte) * array.dtype.bits;
      out += static_cast<char>(byte >> shift & ((1u << array.dtype.bits) - 1));
    }
    return write_file(path, out);
  }
  out.append(reinterpret_cast<const char*>(array.bytes), array.num_bytes);
  return write_file(path, out);
}

namespace {

constexpr int64_t max_array_bytes = int64_t{1} << 40;

bool has_memory_for(const std::vector<int64_t>& shape, DType dtype) {
  const int64_t bytes = array_bytes(shape, dtype);
  return bytes >= 0 && bytes <= max_array_bytes;
}

// "rand(LOW,HIGH)" as two texts.
std::optional<std::pair<std::string, std::string>> bounds_of(const std::string& fill) {
  const size_t comma = fill.find(',');
  if (comma == std::string::npos || fill.back() != ')') return std::nullopt;
  const size_t begin = std::strlen("rand(");
  return std::pair(fill.substr(begin, comma - begin),
                   fill.substr(comma + 1, fill.size() - comma - 2));
}

template <typename T>
bool parse_whole(std::string_view text, T* value) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  if (text.starts_with('+')) text.remove_prefix(1);
  auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return status == std::errc() && end == text.data() + text.size();
}

// Floats in [low, high), integers from low to high.
template <typename Distribution>
Result<std::function<Scalar(std::mt19937_64&)>> drawn(const std::string& fill, DType dtype,
                                                      typename Distribution::result_type low) {
  using Number = typename Distribution::result_type;
  Number high = 1;
  if (fill != "rand") {
    auto bounds = bounds_of(fill);
    bool good = bounds && parse_whole(bounds->first, &low) && parse_whole(bounds->second, &high) &&
                low <= high;
    if constexpr (std::is_floating_point_v<Number>) good = good && std::isfinite(high - low);
    if (!good) {
      return error(DiagnosticKind::bad_usage, {}, "`{}`: expected rand(low,high) with {} numbers",
                   fill, std::is_floating_point_v<Number> ? "finite" : "whole");
    }
  }
  if constexpr (std::is_floating_point_v<Number>) {
    return {[=](std::mt19937_64& random) {
      return Scalar::of_float(Distribution(low, high)(random), dtype);
    }};
  } else {
    for (const Number bound : {low, high}) {
      const Scalar kept = Scalar::of_int(static_cast<int64_t>(bound), dtype);
      if (static_cast<Number>(kept.i) == bound) continue;
      return error(DiagnosticKind::bad_usage, {}, "`{}`: {} is no {}", fill, bound,
                   dtype.to_string());
    }
    return {[=](std::mt19937_64& random) {
      return Scalar::of_int(static_cast<int64_t>(Distribution(low, high)(random)), dtype);
    }};
  }
}

// What gives one element after the other.
Result<std::function<Scalar(std::mt19937_64&)>> source_of(const std::string& fill, DType dtype) {
  if (fill == "zeros" || fill == "ones") {
    const int value = fill == "ones";
    const Scalar s =
        dtype.is_float() ? Scalar::of_float(value, dtype) : Scalar::of_int(value, dtype);
    return {[s](std::mt19937_64&) { return s; }};
  }
  if (fill != "rand" && !fill.starts_with("rand(")) {
    return error(DiagnosticKind::bad_usage, {},
                 "`{}`: expected rand, rand(low,high), zeros or ones", fill);
  }
  if (dtype.is_float()) return drawn<std::uniform_real_distribution<double>>(fill, dtype, -1);
  if (dtype == dtypes::uint64) {
    return drawn<std::uniform_int_distribution<uint64_t>>(fill, dtype, 0);
  }
  return drawn<std::uniform_int_distribution<int64_t>>(fill, dtype, 0);
}

}  // namespace

Result<Array> fill_array(std::vector<int64_t> shape, DType dtype, const std::string& fill,
                         uint64_t seed) {
  if (!has_memory_for(shape, dtype)) {
    return error(DiagnosticKind::call_refused, {}, "an input of that shape does not fit in memory");
  }
  REPOSE_TRY(next, source_of(fill, dtype));
  Ref<ArrayNode> array = make_array(std::move(shape), dtype);
  std::mt19937_64 random(seed);
  for (int64_t i = 0, n = array->num_elements(); i < n; ++i) array->store(i, next(random));
  return Array(array);
}

namespace {

std::optional<DType> parse_dtype(const std::string& name) {
  static const std::map<std::string, DType> brief = {
      {"i8", dtypes::int8},       {"i16", dtypes::int16},   {"i32", dtypes::int32},
      {"i64", dtypes::int64},     {"u8", dtypes::uint8},    {"u16", dtypes::uint16},
      {"u32", dtypes::uint32},    {"u64", dtypes::uint64},  {"f16", dtypes::float16},
      {"bf16", dtypes::bfloat16}, {"f32", dtypes::float32}, {"f64", dtypes::float64}};
  if (auto it = brief.find(name); it != brief.end()) return it->second;
  auto full = DType::parse(name);
  return full && !full->is_index() && !full->is_handle() && !full->is_vector() ? full
                                                                               : std::nullopt;
}

}  // namespace

Result<InputSpec> parse_input(const std::string& text, uint64_t seed) {
  // The name may contain '=', the value does not, but for a file's name.
  size_t equal = text.find("=@");
  if (equal == std::string::npos) equal = text.rfind('=');
  auto bad = [&] {
    return error(DiagnosticKind::bad_usage, {},
                 "--input `{}`: expected NAME=@FILE.npy or NAME=4x16xi64:rand", text);
  };
  if (equal == std::string::npos || equal == 0) return bad();
  InputSpec spec;
  spec.name = text.substr(0, equal);
  std::string value = text.substr(equal + 1);
  if (value.starts_with("@")) {
    REPOSE_TRY(array, read_npy(value.substr(1)));
    spec.array = array;
    return spec;
  }
  std::string fill = "rand";
  if (size_t colon = value.find(':'); colon != std::string::npos) {
    fill = value.substr(colon + 1);
    value = value.substr(0, colon);
  }
  std::vector<int64_t> shape;
  while (!value.empty() && value[0] >= '0' && value[0] <= '9') {
    int64_t n = 0;
    auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), n);
    if (ec != std::errc() || end == value.data() + value.size() || *end != 'x') return bad();
    shape.push_back(n);
    value.erase(0, static_cast<size_t>(end - value.data()) + 1);
  }
  auto dtype = parse_dtype(value);
  if (!dtype) return bad();
  if (!has_memory_for(shape, *dtype)) {
    return error(DiagnosticKind::bad_usage, {}, "--input `{}`: that does not fit in memory", text);
  }
  REPOSE_TRY(array, fill_array(std::move(shape), *dtype, fill, seed));
  spec.array = array;
  return spec;
}

}  // namespace repose::cli
