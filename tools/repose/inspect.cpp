// repose inspect: what an artifact (or a model) takes, gives, and needs; why a dimension is what it
// is, and which checks stay.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "command.h"
#include "condition_text.h"
#include "driver/explain.h"
#include "driver/memory_page.h"
#include "inspect_memory.h"
#include "loaded_model.h"
#include "ops/ops.h"
#include "progress.h"

namespace repose::cli {

namespace {

struct InspectOptions {
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

// The names of sizes that shapes and conditions mention, and those that their definitions do.
void print_sizes(const Json& f) {
  std::vector<SizeText> sizes;
  for (const Json& s : f.value("sizes", Json::array())) {
    sizes.push_back({s["name"].get<std::string>(), s["value"].get<std::string>()});
  }
  std::vector<std::string> formulas;
  for (const Json& v : f["outputs"]) {
    for (const Json& d : v["shape"]) {
      if (d.is_string()) formulas.push_back(d.get<std::string>());
    }
  }
  for (const Json& c : f.value("conditions", Json::array())) formulas.push_back(c);
  const std::vector<SizeText> used = sizes_in_use(sizes, formulas);
  if (!used.empty()) std::printf("  sizes\n");
  for (const SizeText& s : used) std::printf("    %s = %s\n", s.name.c_str(), s.value.c_str());
}

// The formula of a region; of a long one how long it is, and the value at a few sizes.
void print_arena(const Json& f) {
  constexpr size_t most_chars = 200;
  bool is_long = false;
  std::printf("  arena bytes\n");
  for (const Json& m : f["arena_bytes"]) {
    const auto text = m.get<std::string>();
    if (text.size() <= most_chars) {
      std::printf("    %s\n", text.c_str());
    } else {
      std::printf("    a formula of %zu characters, which --memory prints\n", text.size());
      is_long = true;
    }
  }
  for (const Json& sample : is_long ? f.value("arena_samples", Json::array()) : Json::array()) {
    std::string at;
    for (const auto& [name, value] : sample["at"].items()) {
      at += (at.empty() ? "" : ", ") + name + "=" + value.dump();
    }
    std::printf("    %lld at %s\n", sample["bytes"].get<long long>(), at.c_str());
  }
}

void print_text(const Json& root) {
  std::printf("model %s (from %s), for %s, %lld bytes of weights\n",
              root["name"].get<std::string>().c_str(), root["source"].get<std::string>().c_str(),
              root["cpu"].get<std::string>().c_str(), root["weights_bytes"].get<long long>());
  if (root.contains("packed_functions")) {
    std::printf("packed functions, which the host provides\n");
    for (const Json& name : root["packed_functions"]) {
      std::printf("  %s\n", name.get<std::string>().c_str());
    }
  }
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
      if (s.contains("other_names")) {
        std::string names;
        for (const Json& name : s["other_names"]) {
          names += (names.empty() ? "" : ", ") + name.get<std::string>();
        }
        std::printf(", also %s", names.c_str());
      }
      std::printf("\n");
    }
    // Artifacts of earlier versions don't list them.
    const Json conditions = f.value("conditions", Json::array());
    if (!conditions.empty()) std::printf("  conditions\n");
    for (const std::string& line : condition_lines(conditions)) {
      std::printf("    %s\n", line.c_str());
    }
    print_sizes(f);
    print_arena(f);
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

Json as_json(const Derivation& d) {
  Json from = Json::array();
  for (const Derivation& part : d.from) from.push_back(as_json(part));
  return Json{{"text", d.text}, {"from", std::move(from)}};
}

void print_json(const Json& json) {
  print_out(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<void> print_why(const InspectOptions& o) {
  REPOSE_TRY(module, read_model(o.model));
  REPOSE_TRY(function, choose_function(module, o.function));
  REPOSE_TRY(derivation, explain(module, standard_ops(), function, o.why));
  if (o.json) {
    print_json(as_json(derivation));
  } else {
    print_out(to_string(derivation));
  }
  return {};
}

Result<CompiledModel> compile_timed(const InspectOptions& o) {
  const Progress progress("compiling " + o.model.path);
  auto compiled = compile_model(o.model);
  if (compiled.ok() && o.model.time_passes) print_times(compiled->reports);
  return compiled;
}

Result<void> print_checks(const InspectOptions& o) {
  REPOSE_TRY(compiled, compile_timed(o));
  REPOSE_TRY(function, choose_function(compiled.module, o.function));
  REPOSE_TRY(checks, run_time_checks(function, compiled.module.graph_function(function)));
  if (o.json) {
    Json list = Json::array();
    for (const RunTimeCheck& c : checks) {
      list.push_back({{"place", c.place}, {"condition", c.condition}, {"reason", c.reason}});
    }
    print_json(list);
    return {};
  }
  std::printf("%zu %s at run time\n", checks.size(), checks.size() == 1 ? "check" : "checks");
  for (const RunTimeCheck& c : checks) {
    print_out(fmt::format("  {}\n    {}\n    {}\n", c.place, c.condition, c.reason));
  }
  return {};
}

Result<void> write_page(const InspectOptions& o) {
  REPOSE_TRY(compiled, compile_timed(o));
  REPOSE_TRY(function, choose_function(compiled.module, o.function));
  for (const CompiledFunction& f : compiled.functions) {
    if (f.host.interface.name != function) continue;
    const auto initial = o.at.empty() ? std::map<std::string, int64_t>{} : sizes_of(o.at[0]);
    return write_file(o.html, memory_page(f, compiled.options.name, initial));
  }
  return error(DiagnosticKind::bad_usage, {}, "`{}` is not compiled on its own", function);
}

// Questions that only the model answers, not its artifact.
bool asks_model(const InspectOptions& o) {
  return !o.why.empty() || o.checks || !o.html.empty();
}

int explain_model(const InspectOptions& o) {
  for (auto* print : {o.why.empty() ? nullptr : print_why, o.checks ? print_checks : nullptr,
                      o.html.empty() ? nullptr : write_page}) {
    if (!print) continue;
    if (auto printed = print(o); !printed.ok()) return report(printed.errors());
  }
  return 0;
}

// Refuses what would have no effect.
Result<void> check_options(const InspectOptions& o) {
  const int views = o.memory + !o.why.empty() + o.checks;
  if (o.json && views > 1) {
    return error(DiagnosticKind::bad_usage, {},
                 "--json prints one document: give one of --memory, --why and --checks");
  }
  if (o.json && views == 0 && !o.html.empty()) {
    return error(DiagnosticKind::bad_usage, {},
                 "--html writes a page: --json has no effect beside it");
  }
  if (!o.html.empty()) {
    if (auto other = require_other_file(o.html, o.model.path); !other.ok()) return other;
  }
  if (is_artifact(o.model.path)) {
    if (!asks_model(o)) return refuse_for_artifact(o.model);
    return error(DiagnosticKind::bad_usage, {},
                 "`{}` is an artifact; --why, --checks and --html take the model that it was made "
                 "from",
                 o.model.path);
  }
  const bool compiles = o.memory || o.checks || !o.html.empty() || o.why.empty();
  return compiles ? Result<void>()
                  : refuse_given(o.model.of_compiling, "--why reads the model as it is");
}

// The functions that were asked for: the one that is named, or all.
Result<void> choose_functions(Json& root, const std::string& name) {
  if (name.empty()) return {};
  Json chosen = Json::array();
  for (Json& f : root["functions"]) {
    if (f["name"] == name) chosen.push_back(std::move(f));
  }
  if (chosen.empty()) {
    return error(DiagnosticKind::bad_usage, {}, "the model has no function `{}`", name);
  }
  root["functions"] = std::move(chosen);
  return {};
}

int print_metadata(const std::string& metadata, const InspectOptions& o) {
  Json root = Json::parse(metadata);
  if (auto chosen = choose_functions(root, o.function); !chosen.ok())
    return report(chosen.errors());
  if (o.json) {
    print_json(root);
  } else {
    print_text(root);
  }
  return 0;
}

int inspect_artifact(const InspectOptions& o) {
  auto model = LoadedModel::load(o.model.path, {1, 0, true});
  if (!model.ok()) return report(model.errors());
  if (o.memory) return print_memory(**model, {o.at, o.function, o.json});
  repose_info info{};
  repose_get_info((*model)->handle(), &info);
  return print_metadata(std::string(info.metadata_json, static_cast<size_t>(info.metadata_bytes)),
                        o);
}

int run(const InspectOptions& o) {
  if (auto good = check_options(o); !good.ok()) return report(good.errors());
  if (is_artifact(o.model.path)) return inspect_artifact(o);
  if (asks_model(o) && !o.memory) return explain_model(o);
  auto compiled = compile_timed(o);
  if (!compiled.ok()) return report(compiled.errors());
  if (!o.memory) return print_metadata(compiled->metadata, o);
  const int code = print_memory(*compiled, {o.at, o.function, o.json});
  return code == 0 && asks_model(o) ? explain_model(o) : code;
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = app.add_subcommand(
      "inspect", "Print inputs, outputs, symbols, kernels and memory of a model");
  add_model_options(
      *command, options->model, Uses::compiling,
      "An artifact, an .onnx or .pt2 file, or IR text; other options that concern compiling "
      "are of the latter two");
  command->add_flag("--json", options->json, "As JSON");
  CLI::Option* memory =
      command
          ->add_option(
              "--memory", options->at,
              "Only the memory: the bytes of the arena as an expression, and their value at "
              "each of batch=8,seq=512 …")
          ->expected(0, -1);
  command
      ->add_option("--html", options->html,
                   "Write the arena over time into this file, as a page to look at; it opens at "
                   "the first dimensions of --memory")
      ->check(not_empty());
  command->add_option("--why", options->why, "How a dimension (OUTPUT:AXIS) or a symbol came to be")
      ->check(not_empty());
  command->add_flag("--checks", options->checks,
                    "The checks that stay for run time, and why they could not be proven");
  command
      ->add_option("--function", options->function,
                   "Only this one; default: all, and of --why, --checks and --html the only one, "
                   "or main")
      ->check(not_empty());
  command->callback([options, memory, &exit_code] {
    options->memory = memory->count() > 0;
    std::erase(options->at, "");  // --memory alone
    exit_code = run(*options);
  });
}

}  // namespace repose::cli
