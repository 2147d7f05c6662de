// repose profile: how long each kernel of a model takes, and how far that is from the machine's
// limit.
#include "call_sizes.h"
#include "command.h"
#include "profile_calls.h"
#include "progress.h"

namespace repose::cli {

namespace {

struct ProfileOptions {
  ModelOptions model;
  std::string function;
  std::vector<std::string> shapes;
  std::vector<std::string> inputs;
  std::string limits;
  std::string trace, page;
  int threads = 0;
  int warm_up = 3;
  int repeat = 0;  // 0: about a second
  bool json = false, by_place = false;
};

Result<std::unique_ptr<LoadedModel>> load(const ProfileOptions& o) {
  if (is_artifact(o.model.path)) {
    if (auto none = refuse_for_artifact(o.model); !none.ok()) return none.errors();
    return LoadedModel::load(o.model.path, {o.threads, 0});
  }
  ModelOptions model = o.model;
  model.profile = true;
  return LoadedModel::load(model, {o.threads, 0});
}

Result<ProfileReport> make_report(const ProfileOptions& o) {
  REPOSE_TRY(model, load(o));
  if (repose_set_profile(model->handle(), nullptr) != REPOSE_OK) {
    return error(DiagnosticKind::bad_usage, {},
                 "`{}` was compiled without --profile: compile it again with it, or give the model",
                 o.model.path);
  }
  REPOSE_TRY(function, model->function(o.function));
  REPOSE_TRY(all_sizes, parse_sizes(o.shapes, *model, function));
  if (all_sizes.size() != 1) {
    return error(DiagnosticKind::bad_usage, {}, "--shapes: {} shapes, expected one",
                 all_sizes.size());
  }
  const CallSizes& sizes = all_sizes[0];
  REPOSE_TRY(fills, parse_fills(input_names(*model, function), o.inputs));
  REPOSE_TRY(inputs, make_inputs(*model, function, sizes, fills));
  repose_info info{};
  repose_get_info(model->handle(), &info);
  repose_function f{};
  repose_get_function(model->handle(), function, &f);
  ProfileReport report;
  report.model = info.name;
  report.function = f.name;
  report.sizes = sizes.text;
  report.machine = this_machine();
  if (o.limits.empty()) {
    const Progress progress("measuring the machine", true);
    report.limits = measure_limits(info.num_threads);
  } else {
    REPOSE_TRY(limits, parse_limits(o.limits, info.num_threads));
    report.limits = limits;
  }
  const Progress progress("calling the model", true);
  REPOSE_TRY(call, PreparedCall::make(*model, function, std::move(inputs)));
  if (auto done = profile_calls(*model, function, call, {o.warm_up, o.repeat}, report); !done.ok())
    return done.errors();
  return report;
}

Result<void> profile(const ProfileOptions& o) {
  if (o.json && o.by_place) {
    return error(DiagnosticKind::bad_usage, {},
                 "--json has every place: --places has no effect beside it");
  }
  for (const std::string& output : {o.trace, o.page}) {
    if (output.empty()) continue;
    if (auto other = require_other_file(output, o.model.path); !other.ok()) return other;
  }
  if (!o.trace.empty() && o.trace == o.page) {
    return error(DiagnosticKind::bad_usage, {}, "--chrome-trace and --html name the same file");
  }
  if (!o.limits.empty()) {
    if (auto good = parse_limits(o.limits, 1); !good.ok()) return good.errors();
  }
  REPOSE_TRY(report, make_report(o));
  print_out(o.json ? profile_json(report) : profile_table(report, o.by_place));
  if (!o.trace.empty()) {
    if (auto written = write_file(o.trace, profile_trace(report)); !written.ok()) return written;
  }
  if (!o.page.empty()) return write_file(o.page, profile_page(report));
  return {};
}

}  // namespace

void add_profile(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ProfileOptions>();
  CLI::App* command = app.add_subcommand(
      "profile", "How long each kernel of a model takes, beside the machine's limit");
  add_model_options(
      *command, options->model, Uses::compiling,
      "An artifact that was compiled with --profile, an .onnx or .pt2 file, or IR text; other "
      "options that concern compiling are of the latter two");
  command->add_option("--function", options->function, "The graph function; default: main")
      ->check(not_empty());
  command
      ->add_option("--shapes", options->shapes,
                   "The sizes of the inputs: batch=1,seq=128; every symbol has to have one")
      ->check(not_empty());
  command->add_option("-i,--input", options->inputs,
                      "How to fill an input: NAME=rand (default), rand(low,high), zeros or ones");
  command->add_option("--threads", options->threads, "Threads; default: as the machine allows")
      ->check(thread_count());
  command->add_option("--warm-up", options->warm_up, "Calls before those that count")
      ->capture_default_str()
      ->check(CLI::Range(0, 1'000'000));
  command->add_option("--repeat", options->repeat, "Calls that count; default: about a second")
      ->check(CLI::Range(1, 1'000'000));
  command->add_flag("--places", options->by_place,
                    "A line for each place where a kernel is called, in their order");
  command
      ->add_option("--limits", options->limits,
                   "The machine's limit as GFLOPS,GBPS; default: measured")
      ->check(not_empty());
  command->add_flag("--json", options->json, "As JSON");
  command
      ->add_option("--chrome-trace", options->trace,
                   "Write one call into this file, for chrome://tracing and ui.perfetto.dev")
      ->check(not_empty());
  command
      ->add_option("--html", options->page,
                   "Write a page into this file: the kernels beside the machine's roofline")
      ->check(not_empty());
  command->callback([options, &exit_code] {
    const auto done = profile(*options);
    exit_code = done.ok() ? 0 : report(done.errors());
  });
}

}  // namespace repose::cli
