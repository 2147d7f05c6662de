// What `--tune` found: for single programs, the numbers of the machine with which the rules make
// the fastest loops. Kept in a file.
#pragma once

#include <map>
#include <string>

#include "base/target.h"
#include "command.h"

namespace repose::cli {

// Those of a target that rules read, and that no measurement would tell beforehand how to use best.
struct MachineNumbers {
  int vector_bits = 0;
  int64_t l1_bytes = 0, l2_bytes = 0;

  bool operator==(const MachineNumbers&) const = default;
};
MachineNumbers numbers_of(const Target& target);
Target with_numbers(Target target, const MachineNumbers& numbers);
// What is not as usual: "vectors of 256 bits, first cache of 96 kB"; else "as computed".
std::string difference_text(const MachineNumbers& numbers, const MachineNumbers& usual);

// Names a program by what it computes and for which target: 32 hexadecimal digits.
std::string program_key(const tir::PrimFunc& f, const Target& target);

struct TunedProgram {
  std::string program;  // its name in the model where it was measured
  MachineNumbers numbers;
  // Of a call of that model at the sizes where it was measured, one after another: with the usual
  // numbers, and with these.
  double usual_seconds = 0, seconds = 0;
};

class Tuning {
 public:
  static Result<Tuning> read(const std::string& path);
  Result<void> write(const std::string& path) const;

  const TunedProgram* find(const std::string& key) const;
  void set(const std::string& key, TunedProgram program);
  // Schedules programs that are in here with their numbers. A copy is kept.
  void apply(PipelineOptions& pipeline) const;

 private:
  std::map<std::string, TunedProgram> programs_;  // by key
};

struct TuneOptions {
  double seconds = 60;              // after that no other numbers are tried
  std::vector<std::string> shapes;  // as those of `bench`
};

// Measures the model's programs with other numbers than the usual ones, on one thread, and puts
// what was fastest into `tuning`, also where that is the usual. What was found, for people. Nothing
// is measured where every program is in there.
Result<std::string> tune(const ModelOptions& model, const TuneOptions& options, Tuning& tuning);

}  // namespace repose::cli
