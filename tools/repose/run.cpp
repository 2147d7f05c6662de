// repose run: calls an artifact, or a model that is compiled first.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "arrays.h"
#include "command.h"
#include "loaded_model.h"

namespace repose::cli {

namespace {

struct Options {
  ModelOptions model;
  std::string function;
  std::vector<std::string> inputs;
  std::string output;
  int threads = 0;
  int repeat = 0;
};

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (int64_t n : shape) text += (text.empty() ? "" : "x") + std::to_string(n);
  return text.empty() ? "scalar" : text;
}

// The arrays in the order of the function's inputs; every input once.
Result<std::vector<Array>> order_inputs(const LoadedModel& model, int function,
                                        const std::vector<std::string>& specs) {
  repose_function info{};
  info.struct_size = sizeof info;
  model.handle()->api->get_function(model.handle(), function, &info);
  std::vector<Array> arrays(static_cast<size_t>(info.num_inputs));
  std::vector<std::string> names;
  for (int i = 0; i < info.num_inputs; ++i) {
    repose_value value{};
    value.struct_size = sizeof value;
    model.handle()->api->get_input(model.handle(), function, i, &value);
    names.emplace_back(value.name);
  }
  Diagnostics problems;
  uint64_t seed = 1;
  for (const std::string& text : specs) {
    auto spec = parse_input(text, seed++);
    if (!spec.ok()) {
      problems.insert(problems.end(), spec.errors().begin(), spec.errors().end());
      continue;
    }
    auto it = std::find(names.begin(), names.end(), spec->name);
    if (it == names.end()) {
      problems.push_back(
          error(DiagnosticKind::bad_usage, {}, "the model has no input `{}`", spec->name));
      continue;
    }
    arrays[static_cast<size_t>(it - names.begin())] = spec->array;
  }
  for (size_t i = 0; i < arrays.size(); ++i) {
    if (!arrays[i] && problems.empty()) {
      problems.push_back(
          error(DiagnosticKind::bad_usage, {}, "input `{}` is missing: give --input", names[i]));
    }
  }
  if (!problems.empty()) return problems;
  return arrays;
}

Result<void> print_results(const LoadedModel& model, int function,
                           const std::vector<Array>& results, const std::string& folder) {
  for (size_t i = 0; i < results.size(); ++i) {
    repose_value value{};
    value.struct_size = sizeof value;
    model.handle()->api->get_output(model.handle(), function, static_cast<int>(i), &value);
    std::printf("%s: %s %s", value.name, results[i]->dtype.to_string().c_str(),
                shape_text(results[i]->shape).c_str());
    const int64_t shown = std::min<int64_t>(results[i]->num_elements(), 6);
    for (int64_t k = 0; k < shown; ++k) {
      const Scalar s = results[i]->load(k);
      if (s.dtype.is_float()) {
        std::printf("%s%.6g", k ? ", " : " [", s.f);
      } else {
        std::printf("%s%lld", k ? ", " : " [", static_cast<long long>(s.i));
      }
    }
    if (shown) std::printf("%s]", shown < results[i]->num_elements() ? ", …" : "");
    std::printf("\n");
    if (folder.empty()) continue;
    std::string name = value.name;
    std::replace(name.begin(), name.end(), '/', '_');
    auto written = write_npy(fmt::format("{}/{}.npy", folder, name), *results[i]);
    if (!written.ok()) return written;
  }
  return {};
}

Result<std::unique_ptr<LoadedModel>> load(const Options& o) {
  if (is_artifact(o.model.path)) return LoadedModel::load(o.model.path, o.threads);
  REPOSE_TRY(compiled, compile_model(o.model));
  return LoadedModel::load(compiled, o.threads);
}

int run(const Options& o) {
  auto model = load(o);
  if (!model.ok()) return report(model.errors());
  auto function = (*model)->function(o.function);
  if (!function.ok()) return report(function.errors());
  auto inputs = order_inputs(**model, *function, o.inputs);
  if (!inputs.ok()) return report(inputs.errors());
  auto results = (*model)->call(*function, *inputs);
  if (!results.ok()) return report(results.errors());
  if (!o.output.empty()) {
    std::error_code ec;
    std::filesystem::create_directories(o.output, ec);
  }
  auto printed = print_results(**model, *function, *results, o.output);
  if (!printed.ok()) return report(printed.errors());
  if (o.repeat > 0) {
    std::vector<double> times;
    for (int i = 0; i < o.repeat; ++i) {
      const auto start = std::chrono::steady_clock::now();
      auto again = (*model)->call(*function, *inputs);
      if (!again.ok()) return report(again.errors());
      times.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
              .count());
    }
    std::sort(times.begin(), times.end());
    std::printf("time: median %.3f ms, fastest %.3f ms of %d calls\n", times[times.size() / 2],
                times[0], o.repeat);
  }
  return 0;
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("run", "Run an artifact, a model or IR text");
  add_model_options(*command, options->model);
  command->add_option("--function", options->function, "The graph function; default: main");
  command->add_option("-i,--input", options->inputs,
                      "NAME=@x.npy, or NAME=4x16xi64:rand (rand, rand(lo,hi), zeros, ones)");
  command->add_option("--threads", options->threads, "Threads; default: as the machine allows");
  command->add_option("--output", options->output,
                      "Write each result into this folder as NAME.npy");
  command->add_option("--repeat", options->repeat, "Call again so many times and print the time");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace repose::cli
