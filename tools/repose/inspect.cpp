// repose inspect: what an artifact (or a model) takes, gives, and needs; why a dimension is what it
// is, and which checks stay.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "command.h"
#include "driver/explain.h"
#include "driver/memory_page.h"
#include "inspect_memory.h"
#include "loaded_model.h"
#include "ops/ops.h"

namespace repose::cli {

namespace {

struct Options {
  ModelOptions model;
  bool json = false;
  bool memory = false;
  std::vector<std::string> at;  // "batch=8,seq=512"
  std::string function;
  std::string why;
  std::string html;
  bool checks = false;
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
        std::string more;
        if (v.contains("strides")) more += ", strides " + shape_text(v["strides"]);
        if (v.contains("reuses_input")) {
          const auto input = v["reuses_input"].get<size_t>();
          more += ", may reuse " + f["inputs"][input]["name"].get<std::string>();
        }
        std::printf("    %s: %s %s%s\n", v["name"].get<std::string>().c_str(),
                    v["dtype"].get<std::string>().c_str(), shape_text(v["shape"]).c_str(),
                    more.c_str());
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
    std::printf("  operators\n");
    for (const auto& [name, count] : f["operators"].items()) {
      std::printf("    %4d  %s\n", count.get<int>(), name.c_str());
    }
    std::map<std::string, int> calls;
    for (const Json& k : f["kernels"]) ++calls[k.get<std::string>()];
    std::printf("  kernels (%zu calls of %zu programs)\n", f["kernels"].size(), calls.size());
    for (const auto& [name, count] : calls) std::printf("    %4d  %s\n", count, name.c_str());
  }
}

// The function asked about: the one that is named, else the only one or `main`.
Result<std::string> choose_function(const Module& module, const std::string& name) {
  std::vector<std::string> found;
  for (const std::string& n : module.names()) {
    graph::Function f = module.graph_function(n);
    if (f && (n == name || (name.empty() && !f->is_private))) found.push_back(n);
  }
  if (name.empty() && std::count(found.begin(), found.end(), "main")) return std::string("main");
  if (found.size() == 1) return found[0];
  if (!name.empty()) {
    return error(DiagnosticKind::bad_usage, {}, "the model has no function `{}`", name);
  }
  return error(DiagnosticKind::bad_usage, {}, "the model has {} functions: name one by --function",
               found.size());
}

Result<void> print_why(const Options& o) {
  REPOSE_TRY(module, read_model(o.model));
  REPOSE_TRY(function, choose_function(module, o.function));
  REPOSE_TRY(derivation, explain(module, standard_ops(), function, o.why));
  std::fputs(to_string(derivation).c_str(), stdout);
  return {};
}

Result<void> print_checks(const Options& o) {
  REPOSE_TRY(compiled, compile_model(o.model));
  REPOSE_TRY(function, choose_function(compiled.module, o.function));
  REPOSE_TRY(checks, run_time_checks(function, compiled.module.graph_function(function)));
  std::printf("%zu checks at run time\n", checks.size());
  for (const RunTimeCheck& c : checks) {
    std::printf("  %s\n    %s\n    %s\n", c.place.c_str(), c.condition.c_str(), c.reason.c_str());
  }
  return {};
}

Result<void> write_page(const Options& o) {
  REPOSE_TRY(compiled, compile_model(o.model));
  REPOSE_TRY(function, choose_function(compiled.module, o.function));
  for (const CompiledFunction& f : compiled.functions) {
    if (f.host.interface.name != function) continue;
    const auto initial = o.at.empty() ? std::map<std::string, int64_t>{} : sizes_of(o.at[0]);
    return write_file(o.html, memory_page(f, compiled.options.name, initial));
  }
  return error(DiagnosticKind::bad_usage, {}, "`{}` is not compiled on its own", function);
}

// Questions that only the model answers, not its artifact.
bool asks_model(const Options& o) {
  return !o.why.empty() || o.checks || !o.html.empty();
}

int explain_model(const Options& o) {
  for (auto* print : {o.why.empty() ? nullptr : print_why, o.checks ? print_checks : nullptr,
                      o.html.empty() ? nullptr : write_page}) {
    if (!print) continue;
    if (auto printed = print(o); !printed.ok()) return report(printed.errors());
  }
  return 0;
}

int run(const Options& o) {
  if (asks_model(o) && is_artifact(o.model.path)) {
    return report({error(DiagnosticKind::bad_usage, {},
                         "`{}` is an artifact; --why, --checks and --html take the model that it "
                         "was made from",
                         o.model.path)});
  }
  if (asks_model(o) && !o.memory) return explain_model(o);
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
    if (o.memory) {
      const int code = print_memory(*compiled, o.at, o.json);
      return code == 0 && asks_model(o) ? explain_model(o) : code;
    }
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
  command->add_option("--html", options->html,
                      "Write the arena over time into this file, as a page to look at; it opens "
                      "at the first dimensions of --memory");
  command->add_option("--why", options->why,
                      "How a dimension (OUTPUT:AXIS) or a symbol came to be");
  command->add_flag("--checks", options->checks,
                    "The checks that stay for run time, and why they could not be proven");
  command->add_option("--function", options->function,
                      "Of --why, --checks and --html; default: the only function, or main");
  command->callback([options, memory, &exit_code] {
    options->memory = memory->count() > 0;
    std::erase(options->at, "");  // --memory alone
    exit_code = run(*options);
  });
}

}  // namespace repose::cli
