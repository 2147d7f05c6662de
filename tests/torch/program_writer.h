// Writes small .pt2 archives, byte by byte, as `torch.export.save` lays them out.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace repose::torch::test {

using Json = nlohmann::json;

// A zip archive of stored entries.
class ArchiveWriter {
 public:
  void add(const std::string& name, const std::string& contents, uint16_t method = 0,
           uint16_t flags = 0) {
    const auto size = static_cast<uint32_t>(contents.size());
    const auto name_bytes = static_cast<uint16_t>(name.size());
    directory_ += number<uint32_t>(0x02014b50) + number<uint16_t>(20) + number<uint16_t>(20) +
                  number(flags) + number(method) + std::string(8, '\0') + number(size) +
                  number(size) + number(name_bytes) + std::string(12, '\0') +
                  number(static_cast<uint32_t>(bytes_.size())) + name;
    bytes_ += number<uint32_t>(0x04034b50) + number<uint16_t>(20) + number(flags) + number(method) +
              std::string(8, '\0') + number(size) + number(size) + number(name_bytes) +
              number<uint16_t>(0) + name + contents;
    ++count_;
  }
  std::string bytes() const {
    return bytes_ + directory_ + number<uint32_t>(0x06054b50) + std::string(4, '\0') +
           number(count_) + number(count_) + number(static_cast<uint32_t>(directory_.size())) +
           number(static_cast<uint32_t>(bytes_.size())) + number<uint16_t>(0);
  }

 private:
  template <class T>
  static std::string number(T value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }
  std::string bytes_, directory_;
  uint16_t count_ = 0;
};

constexpr int float32 = 7, int64 = 5, boolean = 12;

// A dimension: a number, or sympy's text.
inline Json dimension(const Json& dim) {
  if (dim.is_number()) return {{"as_int", dim}};
  return {{"as_expr", {{"expr_str", dim}, {"hint", nullptr}}}};
}
inline std::string symbol(const std::string& name) {
  return "Symbol('" + name + "', positive=True, integer=True)";
}

inline Json tensor(const std::string& name) {
  return {{"as_tensor", {{"name", name}}}};
}
inline Json integer(int64_t value) {
  return {{"as_int", value}};
}
inline Json named(const std::string& name) {
  return {{"as_sym_int", {{"as_name", name}}}};
}

struct ProgramWriter {
  Json graph{{"inputs", Json::array()},          {"outputs", Json::array()},
             {"nodes", Json::array()},           {"tensor_values", Json::object()},
             {"sym_int_values", Json::object()}, {"sym_bool_values", Json::object()}};
  Json input_specs = Json::array(), output_specs = Json::array();
  Json ranges = Json::object(), weights = Json::object();
  int schema = 8;
  std::vector<std::pair<std::string, std::string>> payloads;

  static Json meta(int dtype, const Json& dims) {
    Json sizes = Json::array(), strides = Json::array();
    int64_t stride = 1;
    for (size_t i = dims.size(); i-- > 0;) {
      strides.insert(strides.begin(), Json{{"as_int", stride}});
      if (dims[i].is_number()) stride *= dims[i].get<int64_t>();
    }
    for (const Json& d : dims) sizes.push_back(dimension(d));
    return {{"dtype", dtype},
            {"sizes", sizes},
            {"requires_grad", false},
            {"device", {{"type", "cpu"}, {"index", nullptr}}},
            {"strides", strides},
            {"storage_offset", {{"as_int", 0}}},
            {"layout", 7}};
  }
  void input(const std::string& name, int dtype, const Json& dims) {
    graph["inputs"].push_back(tensor(name));
    graph["tensor_values"][name] = meta(dtype, dims);
    input_specs.push_back({{"user_input", {{"arg", tensor(name)}}}});
  }
  void weight(const std::string& name, const std::string& target, const Json& dims,
              const std::vector<float>& values, const char* kind = "parameter") {
    graph["inputs"].push_back(tensor(name));
    graph["tensor_values"][name] = meta(float32, dims);
    const std::string key = std::string(kind) + "_name";
    input_specs.push_back({{kind, {{"arg", {{"name", name}}}, {key, target}}}});
    const std::string path = "weight_" + std::to_string(payloads.size());
    weights[target] = {{"path_name", path},
                       {"is_param", true},
                       {"use_pickle", false},
                       {"tensor_meta", meta(float32, dims)}};
    payloads.emplace_back(path, std::string(reinterpret_cast<const char*>(values.data()),
                                            values.size() * sizeof(float)));
  }
  // args: {"self", tensor("x"), "dim", integer(1)}
  void node(const std::string& target, const std::string& name, int dtype, const Json& dims,
            const Json& args) {
    graph["tensor_values"][name] = meta(dtype, dims);
    bare_node(target, name, Json::array({tensor(name)}), args);
  }
  void bare_node(const std::string& target, const std::string& name, const Json& outputs,
                 const Json& args) {
    Json inputs = Json::array();
    for (size_t i = 0; i + 1 < args.size(); i += 2) {
      inputs.push_back({{"name", args[i]}, {"arg", args[i + 1]}, {"kind", 1}});
    }
    graph["nodes"].push_back({{"target", "torch.ops." + target},
                              {"inputs", inputs},
                              {"outputs", outputs},
                              {"metadata", Json::object()},
                              {"name", name}});
  }
  void output(const std::string& name) {
    graph["outputs"].push_back(tensor(name));
    output_specs.push_back({{"user_output", {{"arg", tensor(name)}}}});
  }

  Json model() const {
    return {{"graph_module",
             {{"graph", graph},
              {"signature", {{"input_specs", input_specs}, {"output_specs", output_specs}}},
              {"module_call_graph", Json::array()}}},
            {"opset_version", {{"aten", 10}}},
            {"range_constraints", ranges},
            {"schema_version", {{"major", schema}, {"minor", 1}}},
            {"torch_version", "test"}};
  }
  std::string archive() const {
    ArchiveWriter zip;
    for (const auto& [path, contents] : payloads) zip.add("m/data/weights/" + path, contents);
    zip.add("m/data/weights/model_weights_config.json", Json{{"config", weights}}.dump());
    zip.add("m/models/model.json", model().dump());
    zip.add("m/archive_format", "pt2");
    return zip.bytes();
  }
};

}  // namespace repose::torch::test
