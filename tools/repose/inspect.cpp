// repose inspect: what an artifact (or a model) takes, gives, and needs.
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "command.h"
#include "inspect_memory.h"
#include "loaded_model.h"

namespace repose::cli {

namespace {

struct Options {
  ModelOptions model;
  bool json = false;
  bool memory = false;
  std::vector<std::string> at;  // "batch=8,seq=512"
};

using Json = nlohmann::ordered_json;

std::string shape_text(const Json& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    text +=
        (i ? ", " : "") + (shape[i].is_string() ? shape[i].get<std::string>() : shape[i].dump());
  }
  return text + ")";
}

void print_text(const Json& root) {
  std::printf("model %s (from %s), for %s, %lld bytes of weights\n",
              root["name"].get<std::string>().c_str(), root["source"].get<std::string>().c_str(),
              root["cpu"].get<std::string>().c_str(), root["weights_bytes"].get<long long>());
  for (const Json& f : root["functions"]) {
    std::printf("\nfunction %s\n", f["name"].get<std::string>().c_str());
    for (const char* kind : {"inputs", "outputs"}) {
      std::printf("  %s\n", kind);
      for (const Json& v : f[kind]) {
        std::printf("    %s: %s %s\n", v["name"].get<std::string>().c_str(),
                    v["dtype"].get<std::string>().c_str(), shape_text(v["shape"]).c_str());
      }
    }
    std::printf("  symbols\n");
    for (const Json& s : f["symbols"]) {
      std::printf("    %s: dimension %d of %s, %lld..", s["name"].get<std::string>().c_str(),
                  s["axis"].get<int>(), s["from"].get<std::string>().c_str(),
                  s["lower"].get<long long>());
      if (s.contains("upper")) std::printf("%lld", s["upper"].get<long long>());
      if (s.contains("divisor")) std::printf(", a multiple of %lld", s["divisor"].get<long long>());
      std::printf("\n");
    }
    std::printf("  arena bytes\n");
    for (const Json& m : f["arena_bytes"]) std::printf("    %s\n", m.get<std::string>().c_str());
    std::map<std::string, int> calls;
    for (const Json& k : f["kernels"]) ++calls[k.get<std::string>()];
    std::printf("  kernels (%zu calls of %zu programs)\n", f["kernels"].size(), calls.size());
    for (const auto& [name, count] : calls) std::printf("    %4d  %s\n", count, name.c_str());
  }
}

int run(const Options& o) {
  std::string metadata;
  if (is_artifact(o.model.path)) {
    auto model = LoadedModel::load(o.model.path, 1);
    if (!model.ok()) return report(model.errors());
    if (o.memory) return print_memory(**model, o.at, o.json);
    repose_info info{};
    info.struct_size = sizeof info;
    (*model)->handle()->api->get_info((*model)->handle(), &info);
    metadata.assign(info.metadata_json, static_cast<size_t>(info.metadata_bytes));
  } else {
    auto compiled = compile_model(o.model);
    if (!compiled.ok()) return report(compiled.errors());
    if (o.memory) return print_memory(*compiled, o.at, o.json);
    metadata = compiled->metadata;
  }
  const Json root = Json::parse(metadata);
  if (o.json) {
    std::printf("%s\n", root.dump(2).c_str());
  } else {
    print_text(root);
  }
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "inspect", "Print inputs, outputs, symbols, kernels and memory of a model");
  add_model_options(*command, options->model);
  command->add_flag("--json", options->json, "As JSON");
  CLI::Option* memory =
      command
          ->add_option(
              "--memory", options->at,
              "Only the memory: the bytes of the arena as an expression, and their value at "
              "each of batch=8,seq=512 …")
          ->expected(0, -1);
  command->callback([options, memory, &exit_code] {
    options->memory = memory->count() > 0;
    exit_code = run(*options);
  });
}

}  // namespace repose::cli
