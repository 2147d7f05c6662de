// Reading by mmap, writing through a stream.
#include "script/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

namespace repose {

namespace {

using Json = nlohmann::json;

struct DTypeName {
  const char* name;
  DType dtype;
};
constexpr DTypeName dtype_names[] = {
    {"BOOL", dtypes::boolean}, {"U8", dtypes::uint8},      {"I8", dtypes::int8},
    {"U16", dtypes::uint16},   {"I16", dtypes::int16},     {"U32", dtypes::uint32},
    {"I32", dtypes::int32},    {"U64", dtypes::uint64},    {"I64", dtypes::int64},
    {"F16", dtypes::float16},  {"BF16", dtypes::bfloat16}, {"F32", dtypes::float32},
    {"F64", dtypes::float64}};

constexpr uint64_t max_header_bytes = 100'000'000;
constexpr size_t data_alignment = 64;

struct Mapping {
  const std::byte* bytes = nullptr;
  size_t size = 0;
  Mapping() = default;
  Mapping(const Mapping&) = delete;
  ~Mapping() {
    if (bytes) munmap(const_cast<std::byte*>(bytes), size);
  }
};

Result<std::shared_ptr<const Mapping>> map_file(const std::string& path) {
  auto fail = [&](const char* what) {
    return error(DiagnosticKind::cannot_read, {}, "cannot {} `{}`: {}", what, path,
                 std::strerror(errno));
  };
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail("open");
  struct stat info{};
  if (fstat(fd, &info) != 0) {
    Diagnostic d = fail("read");
    close(fd);
    return d;
  }
  auto mapping = std::make_shared<Mapping>();
  mapping->size = static_cast<size_t>(info.st_size);
  if (mapping->size > 0) {
    void* p = mmap(nullptr, mapping->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
      mapping->size = 0;
      Diagnostic d = fail("map");
      close(fd);
      return d;
    }
    mapping->bytes = static_cast<const std::byte*>(p);
  }
  close(fd);
  return std::shared_ptr<const Mapping>(mapping);
}

// An unsigned integer of the header that fits int64.
bool to_size(const Json& json, int64_t* out) {
  if (!json.is_number_unsigned() || json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    return false;
  }
  *out = static_cast<int64_t>(json.get<uint64_t>());
  return true;
}

}  // namespace

Array WeightFile::find(std::string_view name) const {
  auto it = arrays.find(name);
  return it == arrays.end() ? nullptr : it->second;
}

Result<WeightFile> read_safetensors(const std::string& path) {
  REPOSE_TRY(mapping, map_file(path));
  auto bad = [&](const std::string& what) {
    return error(DiagnosticKind::bad_array_file, {}, "`{}` is no safetensors file: {}", path, what);
  };
  if (mapping->size < 8) return bad("it has no header");
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, mapping->bytes, 8);
  if (header_bytes > max_header_bytes || header_bytes > mapping->size - 8) {
    return bad("its header is longer than the file");
  }
  const char* begin = reinterpret_cast<const char*>(mapping->bytes) + 8;
  Json header = Json::parse(begin, begin + header_bytes, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return bad("its header is no JSON object");
  const std::byte* data = mapping->bytes + 8 + header_bytes;
  auto data_bytes = static_cast<int64_t>(mapping->size - 8 - header_bytes);
  WeightFile file;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    auto wrong = [&](const char* what) { return bad(fmt::format("array `{}` {}", name, what)); };
    if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") ||
        !entry.contains("data_offsets")) {
      return wrong("lacks a dtype, a shape or offsets");
    }
    const Json &dtype_json = entry["dtype"], &shape_json = entry["shape"],
               &offsets = entry["data_offsets"];
    if (!dtype_json.is_string() || !shape_json.is_array() || !offsets.is_array() ||
        offsets.size() != 2) {
      return wrong("has a malformed entry");
    }
    DType dtype;
    for (const DTypeName& d : dtype_names) {
      if (dtype_json.get_ref<const std::string&>() == d.name) dtype = d.dtype;
    }
    if (!dtype) {
      return error(DiagnosticKind::unsupported_dtype, {}, "array `{}` of `{}` has dtype `{}`", name,
                   path, dtype_json.get_ref<const std::string&>());
    }
    std::vector<int64_t> shape;
    for (const Json& dim : shape_json) {
      int64_t size = 0;
      if (!to_size(dim, &size)) return wrong("has a dimension that is no size");
      shape.push_back(size);
    }
    int64_t first = 0, last = 0;
    if (!to_size(offsets[0], &first) || !to_size(offsets[1], &last) || first > last ||
        last > data_bytes) {
      return wrong("lies outside of the file");
    }
    if (array_bytes(shape, dtype) != last - first) {
      return wrong("has another number of bytes than its shape says");
    }
    file.arrays.emplace(name, wrap_array(std::move(shape), dtype, data + first, mapping));
  }
  return file;
}

Result<void> write_safetensors(const std::string& path,
                               const std::vector<std::pair<std::string, Array>>& arrays) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  uint64_t offset = 0;
  for (const auto& [name, array] : arrays) {
    const char* dtype = nullptr;
    for (const DTypeName& d : dtype_names) {
      if (d.dtype == array->dtype) dtype = d.name;
    }
    if (!dtype) {
      return error(DiagnosticKind::unsupported_dtype, {}, "array `{}` has dtype `{}`", name,
                   array->dtype.to_string());
    }
    header[name] = {{"dtype", dtype},
                    {"shape", array->shape},
                    {"data_offsets", {offset, offset + array->num_bytes}}};
    offset += array->num_bytes;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  while ((text.size() + 8) % data_alignment != 0) text += ' ';
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  uint64_t header_bytes = text.size();
  out.write(reinterpret_cast<const char*>(&header_bytes), 8);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  for (const auto& [name, array] : arrays) {
    out.write(reinterpret_cast<const char*>(array->bytes),
              static_cast<std::streamsize>(array->num_bytes));
  }
  out.flush();
  if (!out) {
    return error(DiagnosticKind::cannot_write, {}, "cannot write `{}`: {}", path,
                 std::strerror(errno));
  }
  return {};
}

}  // namespace repose
