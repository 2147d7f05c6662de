// repose compile --tune: measures what the rules make of other numbers.
#include <algorithm>
#include <chrono>
#include <numeric>

#include "call_sizes.h"
#include "profile_calls.h"
#include "progress.h"
#include "script/printer.h"
#include "tuning.h"

namespace repose::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double measured_seconds = 0.2;  // at each shape
constexpr double least_share = 0.01;      // of a call's time: what takes less is not looked at
constexpr double least_gain = 0.03;       // of a program's time: the rest is noise

std::vector<MachineNumbers> other_numbers(const Target& target) {
  const MachineNumbers usual = numbers_of(target);
  std::vector<MachineNumbers> all(5, usual);
  all[0].l1_bytes *= 2;
  all[1].l1_bytes /= 2;
  all[2].l2_bytes *= 2;
  all[3].l2_bytes /= 2;
  all[4].vector_bits /= 2;
  if (usual.vector_bits <= 256) all.pop_back();
  return all;
}

// Seconds of a call of the model at each shape: of all, and of each program.
struct Times {
  std::vector<double> calls;
  std::map<std::string, std::vector<double>> programs;

  double all_calls() const { return std::accumulate(calls.begin(), calls.end(), 0.0); }
  double program(const std::string& name) const {
    const auto it = programs.find(name);
    return it == programs.end() ? 0 : std::accumulate(it->second.begin(), it->second.end(), 0.0);
  }
};

// The time with these numbers over the usual one, on average over the shapes.
double ratio(const std::vector<double>& times, const std::vector<double>& usual) {
  double sum = 0;
  for (size_t i = 0; i < usual.size(); ++i) sum += usual[i] > 0 ? times[i] / usual[i] : 1;
  return sum / static_cast<double>(usual.size());
}

struct Choice {
  MachineNumbers numbers;
  double ratio = 1;  // of its time to the usual one
};
using Choices = std::map<std::string, Choice>;  // by program

class Tuner {
 public:
  Tuner(const ModelOptions& model, const TuneOptions& o, Tuning& tuning)
      : options_(o), model_(model), tuning_(tuning) {
    model_.profile = true;
    model_.tuned_file.clear();
    model_.trace = model_.time_passes = false;
    model_.print_after.clear();
    model_.dump_folder.clear();
    // Each program by its own name.
    model_.disabled.emplace_back("share_programs");
  }

  Result<std::string> run() {
    const auto end = Clock::now() + std::chrono::duration<double>(options_.seconds);
    {
      const Progress progress("tuning " + model_.path, true);
      REPOSE_TRY(read, prepare_model(model_));
      read_ = std::move(read);
    }
    const Target& target = read_.options.pipeline.target;
    const MachineNumbers usual = numbers_of(target);
    REPOSE_TRY(plain, build([&](const std::string&) { return usual; }));
    if (std::all_of(keys_.begin(), keys_.end(),
                    [&](const auto& program) { return tuning_.find(program.second); })) {
      return fmt::format("tuned before: all {} programs\n", keys_.size());
    }
    const std::map<std::string, std::string> usual_loops = loops_;
    REPOSE_TRY(before, measure(*plain));
    Choices best;
    const std::vector<MachineNumbers> others = other_numbers(target);
    size_t tried = 0;
    for (const MachineNumbers& numbers : others) {
      if (tried > 0 && Clock::now() >= end) break;
      ++tried;
      REPOSE_TRY(built, build([&](const std::string&) { return numbers; }));
      REPOSE_TRY(times, measure(*built));
      for (const auto& [program, seconds] : before.programs) {
        const auto it = times.programs.find(program);
        if (it == times.programs.end() || !matters(seconds, before.calls)) continue;
        if (loops_[program] == usual_loops.at(program)) continue;
        const double r = ratio(it->second, seconds);
        const auto so_far = best.find(program);
        const double least = so_far == best.end() ? 1 - least_gain : so_far->second.ratio;
        if (r < least) best[program] = {numbers, r};
      }
    }
    return confirm(*plain, best, usual, tried == others.size());
  }

 private:
  using NumbersOf = std::function<MachineNumbers(const std::string& program)>;

  Result<std::unique_ptr<LoadedModel>> build(const NumbersOf& numbers_of_program) {
    const Progress progress("tuning " + model_.path, true);
    const Target target = read_.options.pipeline.target;
    read_.options.pipeline.schedule.target_of = [&](const std::string& name,
                                                    const tir::PrimFunc& f) {
      keys_.emplace(name, program_key(f, target));
      return with_numbers(target, numbers_of_program(name));
    };
    read_.options.pipeline.schedule.on_program = [&](const std::string& name,
                                                     const ScheduledProgram& scheduled) {
      loops_[name] = print(scheduled.func, "program");
    };
    auto compiled = compile_prepared(read_, model_);
    if (!compiled.ok()) return compiled.errors();
    compiled->options.pipeline.schedule = {};  // it refers to what ends here
    return LoadedModel::load(*compiled, {1, 0});
  }

  Result<Times> measure(const LoadedModel& model) {
    const Progress progress("tuning " + model_.path, true);
    REPOSE_TRY(function, model.function(""));
    REPOSE_TRY(all_sizes, parse_sizes(options_.shapes, model, function, "--tune-shapes"));
    Times times;
    for (const CallSizes& sizes : all_sizes) {
      REPOSE_TRY(fills, parse_fills(input_names(model, function), {}));
      REPOSE_TRY(inputs, make_inputs(model, function, sizes, fills));
      REPOSE_TRY(call, PreparedCall::make(model, function, std::move(inputs)));
      ProfileReport report;
      auto done = profile_calls(model, function, call, {2, 0, measured_seconds}, report);
      if (!done.ok()) return done.errors();
      for (const KernelTime& kernel : report.kernels) {
        std::vector<double>& seconds = times.programs[kernel.kernel];
        seconds.resize(times.calls.size());  // it didn't run at shapes before
        seconds.push_back(kernel.seconds);
      }
      times.calls.push_back(report.seconds);
      for (auto& [program, seconds] : times.programs) seconds.resize(times.calls.size());
    }
    return times;
  }

  static bool matters(const std::vector<double>& seconds, const std::vector<double>& calls) {
    for (size_t i = 0; i < calls.size(); ++i) {
      if (seconds[i] >= least_share * calls[i]) return true;
    }
    return false;
  }

  // Keeps what is faster when all are together, measured in turns. `is_complete`: all numbers were
  // tried, so that programs which gained nothing need not be tried again.
  Result<std::string> confirm(const LoadedModel& plain, const Choices& best,
                              const MachineNumbers& usual, bool is_complete) {
    REPOSE_TRY(tuned, build([&](const std::string& program) {
                 const auto it = best.find(program);
                 return it == best.end() ? usual : it->second.numbers;
               }));
    Times before, after;
    for (int round = 0; round < 2; ++round) {
      REPOSE_TRY(b, measure(plain));
      REPOSE_TRY(a, measure(*tuned));
      if (round == 0 || b.all_calls() < before.all_calls()) before = std::move(b);
      if (round == 0 || a.all_calls() < after.all_calls()) after = std::move(a);
    }
    std::string lines;
    int found = 0;
    for (const auto& [program, key] : keys_) {
      TunedProgram p{program, usual, before.program(program), after.program(program)};
      const auto it = best.find(program);
      if (it != best.end() && p.seconds <= p.usual_seconds * (1 - least_gain)) {
        p.numbers = it->second.numbers;
        ++found;
        lines += fmt::format("  {}: {:.3f} → {:.3f} ms, {}\n", program, p.usual_seconds * 1e3,
                             p.seconds * 1e3, difference_text(p.numbers, usual));
      } else if (!is_complete) {
        continue;
      }
      tuning_.set(key, std::move(p));
    }
    return fmt::format("tuned: {} of {} programs are faster with other numbers\n", found,
                       keys_.size()) +
           lines;
  }

  const TuneOptions& options_;
  ModelOptions model_;
  Tuning& tuning_;
  ReadModel read_;
  std::map<std::string, std::string> keys_;   // by program
  std::map<std::string, std::string> loops_;  // of the last build, by program
};

}  // namespace

Result<std::string> tune(const ModelOptions& model, const TuneOptions& options, Tuning& tuning) {
  return Tuner(model, options, tuning).run();
}

}  // namespace repose::cli
