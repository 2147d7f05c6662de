// From a module to an artifact: pipeline, memory plan, host functions, code, link.
#pragma once

#include <map>
#include <optional>

#include "driver/pipeline.h"
#include "host/lower_host.h"

namespace repose {

struct CompileOptions {
  PipelineOptions pipeline;    // pipeline.target says what to compile for
  std::string name = "model";  // in metadata
  std::string name_prefix;     // of exported symbols, for static linking
  int threads = 1;             // of the compiler; the artifact does not depend on it
  std::string source;          // metadata: what the module was read from
  bool reuse_memory = true;    // false: every intermediate has bytes of its own
  bool debug_memory = false;   // dead bytes of the arena become NaN patterns (HostOptions)
  bool profile = false;        // the artifact can tell when each kernel ran (repose_set_profile)
  bool count_work = false;     // CompiledFunction::work
};

// One public graph function, compiled.
struct CompiledFunction {
  HostFunction host;
  MemoryPlan plan;
  std::map<std::string, int> operators;  // how often each is called, before the pipeline
  std::vector<Expr> conditions;          // of the symbols, besides ranges: else a call is refused
  // What each kernel's call has to do; with CompileOptions::profile or count_work. Of branches both
  // are there.
  std::vector<CallProfile> work;
};

struct Work {
  double flops = 0, bytes = 0;
};
// That work at these values of the function's symbols, in their order. Nothing where the data
// decides.
std::optional<std::vector<Work>> work_at(const CompiledFunction& function,
                                         const std::vector<int64_t>& sizes);

// Where the data decides how much memory a call takes: a text that names the symbols that have no
// upper bound. Else empty.
std::string undecided_text(const CompiledFunction& function);

struct CompiledModel {
  Module module;  // after the pipeline
  // The module's programs, finished, in its order: what code is made from.
  std::vector<std::pair<std::string, tir::PrimFunc>> kernels;
  std::vector<CompiledFunction> functions;
  WeightTable weights;
  std::vector<std::string> packed_functions;  // that functions call, by number
  std::string metadata;                       // JSON
  std::vector<PassReport> reports;            // passes, then planning, code generation
  CompileOptions options;
};

// What comes after the pipeline and is shown to PipelineOptions::after_pass too: finish_programs,
// the kernels that code is made from; lower_to_host, the functions that call them, with their
// sizes, offsets and checks.
const std::vector<std::string>& steps_after_pipeline();

Result<CompiledModel> compile(const Module& module, const OpTable& ops,
                              const CompileOptions& options);

enum class Emit { shared, object, llvm, assembly };
// Writes the artifact. It is written aside and renamed: a failure leaves no half-written file. What
// is there and no regular file stays as it is: an error. A link stays, its target is replaced.
Result<void> write_artifact(CompiledModel& model, Emit kind, const std::string& path);

// The whole contents, in the same way.
Result<void> write_file(const std::string& path, std::string_view contents);

}  // namespace repose
