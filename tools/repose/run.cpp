// repose run: calls an artifact, or a model that is compiled first.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "arrays.h"
#include "base/printable.h"
#include "command.h"
#include "loaded_model.h"

namespace repose::cli {

namespace {

struct RunOptions {
  ModelOptions model;
  std::string function;
  std::vector<std::string> inputs;
  std::string output;
  int threads = 0;
  int64_t operations_limit = 0;
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
    Array& place = arrays[static_cast<size_t>(it - names.begin())];
    if (place) {
      problems.push_back(
          error(DiagnosticKind::bad_usage, {}, "input `{}` is given twice", spec->name));
    }
    place = spec->array;
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

std::vector<std::string> output_names(const LoadedModel& model, int function) {
  repose_function info{};
  repose_get_function(model.handle(), function, &info);
  std::vector<std::string> names;
  for (int i = 0; i < info.num_outputs; ++i) {
    repose_value value{};
    repose_get_output(model.handle(), function, i, &value);
    names.emplace_back(value.name);
  }
  return names;
}

// A file for each name, in a folder: its text, as far as a file's name may have it, and a number
// where another result has taken that.
std::vector<std::string> file_names(const std::vector<std::string>& names) {
  constexpr size_t max_stem_bytes = 200;
  std::vector<std::string> files;
  for (const std::string& name : names) {
    std::string stem = name;
    std::replace(stem.begin(), stem.end(), '/', '_');
    if (stem.size() > max_stem_bytes) {
      size_t end = max_stem_bytes;
      while (end > 0 && (static_cast<unsigned char>(stem[end]) & 0xc0) == 0x80) --end;  // of UTF-8
      stem.resize(end);
    }
    std::string file = stem + ".npy";
    for (int k = 1; std::count(files.begin(), files.end(), file); ++k) {
      file = fmt::format("{}_{}.npy", stem, k);
    }
    files.push_back(file);
  }
  return files;
}

std::string element_text(const Scalar& s) {
  if (s.dtype.is_float()) return fmt::format("{:.6g}", s.f);
  if (s.dtype == dtypes::uint64) return fmt::format("{}", static_cast<uint64_t>(s.i));
  return fmt::format("{}", s.i);
}

// The first elements: "[1, 2, …]".
std::string elements_text(const ArrayNode& array) {
  constexpr int64_t max_shown = 6;
  std::string text;
  for (int64_t k = 0; k < std::min(array.num_elements(), max_shown); ++k) {
    text += (k ? ", " : " [") + element_text(array.load(k));
  }
  if (text.empty()) return text;
  return text + (max_shown < array.num_elements() ? ", …]" : "]");
}

// And writes them, where there is a folder.
Result<void> print_results(const std::vector<std::string>& names, const std::vector<Array>& results,
                           const std::string& folder) {
  const std::vector<std::string> files = file_names(names);
  for (size_t i = 0; i < results.size(); ++i) {
    std::string line = fmt::format("{}: {} {}{}", names[i], results[i]->dtype.to_string(),
                                   shape_text(results[i]->shape), elements_text(*results[i]));
    if (!folder.empty() && files[i] != names[i] + ".npy") line += " in " + files[i];
    print_out(escape_controls(line) + "\n");
    if (folder.empty()) continue;
    auto written = write_npy(fmt::format("{}/{}", folder, files[i]), *results[i]);
    if (!written.ok()) return written;
  }
  return {};
}

Result<std::unique_ptr<LoadedModel>> load(const RunOptions& o) {
  if (!is_artifact(o.model.path))
    return LoadedModel::load(o.model, {o.threads, o.operations_limit});
  if (auto none = refuse_for_artifact(o.model); !none.ok()) return none.errors();
  return LoadedModel::load(o.model.path, {o.threads, o.operations_limit});
}

int run(const RunOptions& o) {
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
  auto printed = print_results(output_names(**model, *function), *results, o.output);
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
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Run an artifact, a model or IR text");
  add_model_options(
      *command, options->model, Uses::compiling,
      "An artifact, an .onnx or .pt2 file, or IR text; other options that concern compiling "
      "are of the latter two");
  command->add_option("--function", options->function, "The graph function; default: main")
      ->check(not_empty());
  command->add_option("-i,--input", options->inputs,
                      "NAME=@x.npy, or NAME=4x16xi64:rand (rand, rand(lo,hi), zeros, ones)");
  command
      ->add_option(
          "--operations-limit", options->operations_limit,
          "The call fails where it would store more elements, reductions counted by steps; "
          "default: none")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--threads", options->threads, "Threads; default: as the machine allows")
      ->check(thread_count());
  command->add_option("--output", options->output, "Write each result into this folder as NAME.npy")
      ->check(not_empty());
  command->add_option("--repeat", options->repeat, "Call again so many times and print the time")
      ->check(CLI::NonNegativeNumber);
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace repose::cli
