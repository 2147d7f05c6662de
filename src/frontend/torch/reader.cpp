// Reads the program's JSON. Whatever doesn't have the expected form ends reading with an exception
// of this file's own, which is an error of the model outside.
#include "frontend/torch/reader.h"

#include <new>
#include <nlohmann/json.hpp>

#include "frontend/common/mapped_file.h"
#include "frontend/common/names.h"

namespace repose::torch {
namespace {

using frontend::MappedFile;
using frontend::printable;
using Json = nlohmann::json;

constexpr int schema_version = 8;
constexpr int max_graph_nesting = 32;

struct Malformed {
  std::string text;
};

// ---- Checked access

const Json* find_member(const Json& object, const char* name) {
  if (!object.is_object()) throw Malformed{fmt::format("expected an object with `{}`", name)};
  auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}
const Json& member(const Json& object, const char* name) {
  if (const Json* found = find_member(object, name)) return *found;
  throw Malformed{fmt::format("`{}` is missing", name)};
}
std::string string_of(const Json& value) {
  if (!value.is_string()) throw Malformed{"expected a text"};
  return value.get<std::string>();
}
int64_t integer_of(const Json& value) {
  if (!value.is_number_integer()) throw Malformed{"expected an integer"};
  if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX}) {
    throw Malformed{"an integer has more than 64 bits"};
  }
  return value.get<int64_t>();
}
bool boolean_of(const Json& value) {
  if (!value.is_boolean()) throw Malformed{"expected `true` or `false`"};
  return value.get<bool>();
}
// PyTorch writes what JSON has no number for as text.
double number_of(const Json& value) {
  if (value.is_number()) return value.get<double>();
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  if (text == "Infinity" || text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity" || text == "-inf") return -std::numeric_limits<double>::infinity();
  if (text == "NaN" || text == "nan") return std::numeric_limits<double>::quiet_NaN();
  throw Malformed{"expected a number"};
}
template <class F>
auto list_of_json(const Json& value, F read) {
  if (!value.is_array()) throw Malformed{"expected a list"};
  std::vector<decltype(read(value))> result;
  for (const Json& item : value) result.push_back(read(item));
  return result;
}
// A union is an object of one member that is set.
std::pair<const std::string&, const Json&> union_of(const Json& value) {
  static const std::string none = "as_none";
  static const Json nothing;
  if (!value.is_object()) throw Malformed{"expected an object of one member"};
  for (const auto& [key, inner] : value.items()) {
    if (!inner.is_null()) return {value.find(key).key(), inner};
  }
  return {none, nothing};
}

// ---- Parts of the schema

Size read_size(const Json& value) {
  const auto [key, inner] = union_of(value);
  if (key == "as_expr") return {std::nullopt, string_of(member(inner, "expr_str"))};
  if (key == "as_name") return {std::nullopt, string_of(inner), true};
  if (key == "as_int") return {integer_of(inner)};
  if (key == "as_bool") return {boolean_of(inner) ? 1 : 0};
  if (key == "as_float") {  // as the expression that it is
    return {std::nullopt, fmt::format("Float('{}')", number_of(inner))};
  }
  throw Malformed{fmt::format("`{}` is no size", printable(key))};
}

TensorMeta read_meta(const Json& value) {
  TensorMeta meta;
  meta.dtype = static_cast<ScalarType>(integer_of(member(value, "dtype")));
  meta.sizes = list_of_json(member(value, "sizes"), read_size);
  meta.strides = list_of_json(member(value, "strides"), read_size);
  meta.offset = read_size(member(value, "storage_offset"));
  meta.layout = static_cast<int>(integer_of(member(value, "layout")));
  if (const Json* device = find_member(value, "device")) {
    meta.device = string_of(member(*device, "type"));
  }
  return meta;
}

std::string tensor_name(const Json& value) {
  return string_of(member(value, "name"));
}
std::string optional_tensor_name(const Json& value) {
  const auto [key, inner] = union_of(value);
  return key == "as_tensor" ? tensor_name(inner) : "";
}

Graph read_graph(const Json& value, int nesting);

Argument read_argument(const Json& value, int nesting) {
  using Kind = Argument::Kind;
  const auto [key, inner] = union_of(value);
  Argument a;
  auto sizes = [&](Kind kind, std::vector<Size> list) {
    a.kind = kind;
    a.sizes = std::move(list);
    return a;
  };
  auto texts = [&](Kind kind, std::vector<std::string> list) {
    a.kind = kind;
    a.texts = std::move(list);
    return a;
  };
  auto numbers = [&](Kind kind, std::vector<double> list) {
    a.kind = kind;
    a.numbers = std::move(list);
    return a;
  };
  auto code = [&](Kind kind) {
    a.kind = kind;
    a.code = integer_of(inner);
    return a;
  };
  auto whole = [](const Json& v) { return Size{integer_of(v)}; };
  auto truth = [](const Json& v) { return Size{boolean_of(v) ? 1 : 0}; };
  if (key == "as_none") return a;
  if (key == "as_tensor") return texts(Kind::tensor, {tensor_name(inner)});
  if (key == "as_tensors") return texts(Kind::tensors, list_of_json(inner, tensor_name));
  if (key == "as_optional_tensor") {
    const std::string name = optional_tensor_name(inner);
    return name.empty() ? a : texts(Kind::tensor, {name});
  }
  if (key == "as_optional_tensors") {
    return texts(Kind::tensors, list_of_json(inner, optional_tensor_name));
  }
  if (key == "as_int") return sizes(Kind::integer, {whole(inner)});
  if (key == "as_ints") return sizes(Kind::integers, list_of_json(inner, whole));
  if (key == "as_sym_int") return sizes(Kind::integer, {read_size(inner)});
  if (key == "as_sym_ints") return sizes(Kind::integers, list_of_json(inner, read_size));
  if (key == "as_bool") return sizes(Kind::boolean, {truth(inner)});
  if (key == "as_bools") return sizes(Kind::booleans, list_of_json(inner, truth));
  if (key == "as_sym_bool") return sizes(Kind::boolean, {read_size(inner)});
  if (key == "as_sym_bools") return sizes(Kind::booleans, list_of_json(inner, read_size));
  if (key == "as_float") return numbers(Kind::number, {number_of(inner)});
  if (key == "as_floats") return numbers(Kind::numbers, list_of_json(inner, number_of));
  if (key == "as_sym_float") return sizes(Kind::number, {read_size(inner)});
  if (key == "as_sym_floats") return sizes(Kind::numbers, list_of_json(inner, read_size));
  if (key == "as_string") return texts(Kind::string, {string_of(inner)});
  if (key == "as_strings") return texts(Kind::strings, list_of_json(inner, string_of));
  if (key == "as_scalar_type") return code(Kind::scalar_type);
  if (key == "as_memory_format") return code(Kind::memory_format);
  if (key == "as_layout") return code(Kind::layout);
  if (key == "as_device") return texts(Kind::device, {string_of(member(inner, "type"))});
  if (key == "as_graph") {
    texts(Kind::graph, {tensor_name(inner)});
    a.graph = std::make_shared<const Graph>(read_graph(member(inner, "graph"), nesting + 1));
    return a;
  }
  return texts(Kind::other, {key});
}

Node read_node(const Json& value, int nesting) {
  Node node;
  node.target = string_of(member(value, "target"));
  for (const Json& input : member(value, "inputs")) {
    node.inputs.push_back(
        {string_of(member(input, "name")), read_argument(member(input, "arg"), nesting)});
  }
  for (const Json& output : member(value, "outputs")) {
    node.outputs.push_back(read_argument(output, nesting));
  }
  if (const Json* name = find_member(value, "name")) node.name = string_of(*name);
  if (const Json* metadata = find_member(value, "metadata")) {
    if (const Json* stack = find_member(*metadata, "nn_module_stack")) {
      node.stack = string_of(*stack);
    }
  }
  return node;
}

Graph read_graph(const Json& value, int nesting) {
  if (nesting > max_graph_nesting) {
    throw Malformed{fmt::format("graphs are nested more than {} deep", max_graph_nesting)};
  }
  Graph graph;
  auto argument = [&](const Json& v) { return read_argument(v, nesting); };
  graph.inputs = list_of_json(member(value, "inputs"), argument);
  graph.outputs = list_of_json(member(value, "outputs"), argument);
  graph.nodes =
      list_of_json(member(value, "nodes"), [&](const Json& v) { return read_node(v, nesting); });
  for (const auto& [name, meta] : member(value, "tensor_values").items()) {
    graph.tensors.emplace(name, read_meta(meta));
  }
  for (const char* part : {"sym_int_values", "sym_bool_values", "sym_float_values"}) {
    const Json* values = find_member(value, part);
    if (!values) continue;
    for (const auto& [name, size] : values->items()) graph.sizes.emplace(name, read_size(size));
  }
  return graph;
}

InputSpec read_input_spec(const Json& value) {
  using Kind = InputSpec::Kind;
  const auto [key, inner] = union_of(value);
  if (key == "user_input") {
    const Argument a = read_argument(member(inner, "arg"), 0);
    if (a.kind == Argument::Kind::tensor) return {Kind::user, a.texts[0], ""};
    if (a.kind == Argument::Kind::integer && a.sizes[0].is_name) {
      return {Kind::user, a.sizes[0].text, ""};
    }
    return {Kind::other, "", argument_kind_name(a.kind)};
  }
  if (key == "constant_input") return {Kind::fixed, string_of(member(inner, "name")), ""};
  const std::pair<const char*, std::pair<Kind, const char*>> stored[] = {
      {"parameter", {Kind::parameter, "parameter_name"}},
      {"buffer", {Kind::buffer, "buffer_name"}},
      {"tensor_constant", {Kind::constant, "tensor_constant_name"}},
  };
  for (const auto& [name, rest] : stored) {
    if (key != name) continue;
    return {rest.first, tensor_name(member(inner, "arg")), string_of(member(inner, rest.second))};
  }
  return {Kind::other, "", key};
}

OutputSpec read_output_spec(const Json& value) {
  using Kind = OutputSpec::Kind;
  const auto [key, inner] = union_of(value);
  if (key == "user_output") return {Kind::user, read_argument(member(inner, "arg"), 0), ""};
  auto mutation = [&](Kind kind, const char* target) {
    Argument a;
    a.kind = Argument::Kind::tensor;
    a.texts = {tensor_name(member(inner, "arg"))};
    return OutputSpec{kind, a, string_of(member(inner, target))};
  };
  if (key == "buffer_mutation") return mutation(Kind::buffer_mutation, "buffer_name");
  if (key == "parameter_mutation") return mutation(Kind::buffer_mutation, "parameter_name");
  if (key == "user_input_mutation") return mutation(Kind::input_mutation, "user_input_name");
  return {Kind::other, {}, key};
}

std::optional<int64_t> optional_integer(const Json& value, const char* name) {
  const Json* found = find_member(value, name);
  return found ? std::optional(integer_of(*found)) : std::nullopt;
}

void read_payloads(Program& program, const std::string& folder, const Json& value) {
  for (const auto& [name, payload] : member(value, "config").items()) {
    Payload p;
    p.path = folder + string_of(member(payload, "path_name"));
    p.is_pickled = boolean_of(member(payload, "use_pickle"));
    if (const Json* meta = find_member(payload, "tensor_meta")) p.meta = read_meta(*meta);
    program.payloads.emplace(name, std::move(p));
  }
}

void read_model_json(Program& program, const Json& value) {
  const Json& version = member(value, "schema_version");
  if (integer_of(member(version, "major")) != schema_version) {
    throw Malformed{fmt::format("its schema has version {}, expected {}",
                                integer_of(member(version, "major")), schema_version)};
  }
  const Json& module = member(value, "graph_module");
  program.graph = read_graph(member(module, "graph"), 0);
  const Json& signature = member(module, "signature");
  program.inputs = list_of_json(member(signature, "input_specs"), read_input_spec);
  program.outputs = list_of_json(member(signature, "output_specs"), read_output_spec);
  for (const auto& [symbol, range] : member(value, "range_constraints").items()) {
    program.ranges.emplace(
        symbol, Range{optional_integer(range, "min_val"), optional_integer(range, "max_val")});
  }
  if (const Json* by = find_member(value, "torch_version")) program.torch_version = string_of(*by);
}

Json parse_json(std::string_view text) {
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) throw Malformed{"is no JSON"};
  return value;
}

// The one program of an archive: "models/NAME.json".
Result<std::string> find_model(const Archive& archive, const Span& span) {
  const std::string folder = archive.root() + "models/";
  std::vector<std::string> names;
  for (const auto& [name, entry] : archive) {
    if (name.starts_with(folder) && name.ends_with(".json")) {
      names.push_back(name.substr(folder.size(), name.size() - folder.size() - 5));
    }
  }
  if (names.size() == 1) return names[0];
  if (archive.has(archive.root() + "serialized_exported_program.json") ||
      archive.has("serialized_exported_program.json")) {
    return error(DiagnosticKind::unsupported_feature, span,
                 "the archive is of PyTorch before 2.8, whose weights are pickled: save it anew "
                 "with `torch.export.save`");
  }
  if (names.empty()) {
    const bool is_pickle = archive.has(archive.root() + "data.pkl");
    return error(DiagnosticKind::unsupported_feature, span, "{}",
                 is_pickle ? "is a pickled module (`torch.save`), which cannot be read without "
                             "Python: export it with `torch.export.save`"
                           : "the archive holds no exported program (`models/*.json`)");
  }
  return error(DiagnosticKind::unsupported_feature, span,
               "the archive holds {} programs, expected 1", names.size());
}

Result<Program> read_archive(std::span<const std::byte> bytes, const Span& span) {
  Program program;
  REPOSE_TRY(archive, Archive::read(bytes, span));
  program.archive = std::move(archive);
  const Archive& entries = program.archive;
  REPOSE_TRY(name, find_model(entries, span));
  std::string at = "models/" + name + ".json";
  try {
    REPOSE_TRY(text, entries.text(entries.root() + at));
    read_model_json(program, parse_json(text));
    for (const char* part : {"weights", "constants"}) {
      const std::string folder = fmt::format("data/{}/", part);
      at = fmt::format("{}{}_{}_config.json", folder, name, part);
      if (!entries.has(entries.root() + at)) continue;
      REPOSE_TRY(config, entries.text(entries.root() + at));
      read_payloads(program, entries.root() + folder, parse_json(config));
    }
  } catch (const Malformed& e) {
    return error(DiagnosticKind::bad_model, span, "`{}`: {}", printable(at), e.text);
  } catch (const Json::exception& e) {
    return error(DiagnosticKind::bad_model, span, "`{}`: {}", printable(at), printable(e.what()));
  } catch (const std::bad_alloc&) {
    return error(DiagnosticKind::too_large, span, "`{}` does not fit into memory", printable(at));
  }
  return program;
}

}  // namespace

const char* argument_kind_name(Argument::Kind kind) {
  using Kind = Argument::Kind;
  switch (kind) {
    case Kind::none:
      return "None";
    case Kind::tensor:
      return "Tensor";
    case Kind::tensors:
      return "Tensor[]";
    case Kind::integer:
      return "int";
    case Kind::integers:
      return "int[]";
    case Kind::number:
      return "float";
    case Kind::numbers:
      return "float[]";
    case Kind::boolean:
      return "bool";
    case Kind::booleans:
      return "bool[]";
    case Kind::string:
      return "str";
    case Kind::strings:
      return "str[]";
    case Kind::scalar_type:
      return "ScalarType";
    case Kind::memory_format:
      return "MemoryFormat";
    case Kind::layout:
      return "Layout";
    case Kind::device:
      return "Device";
    case Kind::graph:
      return "graph";
    case Kind::other:
      return "something else";
  }
  return "?";
}

Result<Program> read_program(std::span<const std::byte> bytes, const std::string& name,
                             std::shared_ptr<const void> owner) {
  const Span span{make_text_source(name, "")};
  REPOSE_TRY(program, read_archive(bytes, span));
  program.source = span.source;
  program.owner = std::move(owner);
  return program;
}

Result<Program> read_program_file(const std::string& path) {
  REPOSE_TRY(file, MappedFile::open(path));
  return read_program(file->bytes(), path, file);
}

}  // namespace repose::torch
