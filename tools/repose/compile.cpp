// repose compile: a model in, an artifact out.
#include <filesystem>
#include <optional>

#include "artifact_cache.h"
#include "command.h"
#include "progress.h"
#include "tuning.h"

namespace repose::cli {

namespace {

struct CompileFileOptions {
  ModelOptions model;
  std::string output;
  std::string emit = "so";
  std::string cache;  // a folder; empty: none
  bool tunes = false;
  TuneOptions tune;
};

// The file to write.
std::string output_of(const CompileFileOptions& o) {
  static const std::map<std::string, const char*> extensions = {
      {"so", ".so"}, {"o", ".o"}, {"llvm", ".ll"}, {"asm", ".s"}};
  if (!o.output.empty()) return o.output;
  return std::filesystem::path(o.model.path).stem().string() + extensions.at(o.emit);
}

// What is shown while it compiles is not kept.
bool shows_steps(const ModelOptions& o) {
  return !o.print_after.empty() || !o.dump_folder.empty() || o.trace || o.time_passes || o.verify;
}

Result<void> check_tuning(const CompileFileOptions& o) {
  const auto wrong = [](const char* text) {
    return error(DiagnosticKind::bad_usage, {}, "{}", text);
  };
  if (!o.tunes && !o.tune.shapes.empty()) return wrong("--tune-shapes: no effect without --tune");
  if (!o.tunes) return {};
  if (o.tune.seconds <= 0) return wrong("--tune: expected a number of seconds above 0");
  if (o.model.tuned_file.empty())
    return wrong("--tune: expected --tuned FILE, where what it finds is kept");
  if (o.model.cpu != "host") return wrong("--tune: it measures on this machine, not for --cpu");
  return require_other_file(o.model.tuned_file, o.model.path);
}

// Adds to the file what measuring finds.
Result<void> tune_into(const CompileFileOptions& o) {
  Tuning tuning;
  std::error_code ec;
  if (std::filesystem::exists(o.model.tuned_file, ec)) {
    REPOSE_TRY(before, Tuning::read(o.model.tuned_file));
    tuning = std::move(before);
  }
  REPOSE_TRY(found, tune(o.model, o.tune, tuning));
  if (auto written = tuning.write(o.model.tuned_file); !written.ok()) return written;
  print_out(found);
  return {};
}

int run(const CompileFileOptions& o) {
  static const std::map<std::string, Emit> kinds = {
      {"so", Emit::shared}, {"o", Emit::object}, {"llvm", Emit::llvm}, {"asm", Emit::assembly}};
  if (auto model = refuse_artifact(o.model.path); !model.ok()) return report(model.errors());
  if (auto good = check_tuning(o); !good.ok()) return report(good.errors());
  const std::string output = output_of(o);
  if (auto other = require_other_file(output, o.model.path); !other.ok())
    return report(other.errors());
  std::optional<ArtifactCache> cache;
  if (!o.cache.empty()) {
    auto opened = ArtifactCache::open(o.cache);
    if (!opened.ok()) return report(opened.errors());
    cache = std::move(*opened);
  }
  if (o.tunes) {
    if (auto tuned = tune_into(o); !tuned.ok()) return report(tuned.errors());
  }
  std::optional<Progress> progress(std::in_place, "compiling " + o.model.path, true);
  auto read = prepare_model(o.model, o.model.name);
  if (!read.ok()) return report(read.errors());
  const std::string key = cache ? artifact_key(*read, o.model, kinds.at(o.emit)) : "";
  if (cache && !shows_steps(o.model)) {
    auto fetched = cache->fetch(key, output);
    if (!fetched.ok()) return report(fetched.errors());
    if (*fetched) return 0;
  }
  auto compiled = compile_prepared(*read, o.model);
  if (!compiled.ok()) return report(compiled.errors());
  auto written = write_artifact(*compiled, kinds.at(o.emit), output);
  if (written.ok() && cache) written = cache->keep(key, output);
  progress.reset();
  if (!written.ok()) return report(written.errors());
  if (o.model.time_passes) print_times(compiled->reports);
  return 0;
}

}  // namespace

void add_compile(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<CompileFileOptions>();
  CLI::App* command = app.add_subcommand("compile", "Compile a model into a native library");
  add_model_options(*command, options->model, Uses::compiling, "An .onnx or .pt2 file, or IR text");
  command
      ->add_option("-o,--output", options->output,
                   "The artifact; default: the model's name with the extension of its kind")
      ->check(not_empty());
  command->add_option("--emit", options->emit, "so, o, llvm or asm")
      ->check(CLI::IsMember({"so", "o", "llvm", "asm"}))
      ->capture_default_str();
  command
      ->add_option("--name", options->model.name,
                   "Name of the model, and prefix of its symbols for static linking")
      ->check(not_empty());
  command
      ->add_option("--cache", options->cache,
                   "A folder of artifacts: what was made before from the same model, options and "
                   "compiler is taken from there")
      ->check(not_empty());
  command
      ->add_flag(
          "--tune{60}", options->tune.seconds,
          "Measure the kernels with other numbers of the machine, and keep what is faster in "
          "the file of --tuned; =SECONDS, about so long (60)")
      ->each([options](const std::string&) { options->tunes = true; });
  command
      ->add_option("--tune-shapes", options->tune.shapes,
                   "The sizes at which --tune measures: batch=1,seq=128 batch=8,seq=16")
      ->check(not_empty());
  command->add_flag("--profile", options->model.profile,
                    "The artifact can tell how long each kernel takes: for repose profile");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace repose::cli
