// Every pass under its name, with the ways in which it departs from the others.
#include "text/passes.h"

#include "driver/pipeline.h"
#include "ops/ops.h"
#include "passes/tensor/expand_math.h"
#include "passes/tensor/lower_blocks.h"
#include "passes/tensor/vectorize_loops.h"
#include "schedule/schedule.h"

namespace repose::testing_text {

namespace {

// What is departed from, by pass of the pipeline.
struct Departure {
  const char* pass;
  const char* second_run = nullptr;
  const char* drops_failures = nullptr;
  Closeness closeness = Closeness::exact;
};

constexpr const char* drops_dead_code = "it drops calls whose results nobody uses";

constexpr Departure departures[] = {
    {"eliminate_dead_code", nullptr, drops_dead_code},
    {"gradient", "it adds a function, which is there already"},
    {"fold_scales", nullptr, drops_dead_code,
     Closeness::rounding},  // weights are scaled, not results
    {"legalize", nullptr, drops_dead_code},
    {"inline_groups", nullptr, drops_dead_code},
    {"rewrite_patterns", nullptr, drops_dead_code},
    {"canonicalize_bindings", nullptr, drops_dead_code},
    {"combine_parallel_matmul", nullptr, drops_dead_code},
    {"call_external_groups", nullptr, drops_dead_code},
    {"lambda_lift", nullptr, drops_dead_code},
    {"decompose_composites", nullptr, drops_dead_code},
    {"adjust_matmul_order", nullptr, drops_dead_code, Closeness::rounding},
    {"fold_batch_norm", nullptr, drops_dead_code,
     Closeness::rounding},  // weights are scaled, not results
    {"convert_layout", nullptr, drops_dead_code,
     Closeness::rounding},  // sums of convolutions run over channels first
    {"assign_layouts", nullptr, drops_dead_code},
    {"fuse_programs", nullptr, drops_dead_code},
    {"to_mixed_precision", nullptr, drops_dead_code, Closeness::half},
    {"move_scales", nullptr, nullptr, Closeness::rounding},
};

// Constants are evaluated by code for the baseline, which every machine runs.
std::function<Result<Module>(const Module&)> pipeline_pass(std::string name) {
  return [name = std::move(name)](const Module& m) -> Result<Module> {
    PipelineOptions options;
    REPOSE_TRY(target, make_target("x86-64-v2"));
    options.target = std::move(target);
    return run_pass(name, m, standard_ops(), options);
  };
}

// Constants are packed by the interpreter, so that any target's schedules can be made.
Result<Array> interpret_packer(const tir::PrimFunc& program, const std::vector<Array>& inputs) {
  std::vector<Ref<ArrayNode>> buffers;
  for (const Array& in : inputs) {
    Ref<ArrayNode> copy = make_array(in->shape, in->dtype);
    std::copy(in->bytes, in->bytes + in->num_bytes, copy->mutable_bytes());
    buffers.push_back(copy);
  }
  const Buffer& result = program->params.back().buffer;
  std::vector<int64_t> shape(result->shape.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    REPOSE_CHECK(as_const_int(result->shape[i], &shape[i]), "packers have constant shapes");
  }
  Ref<ArrayNode> packed = make_array(shape, result->dtype);
  buffers.push_back(packed);
  auto done = interpret_program(program, buffers);
  if (!done.ok()) return done.errors();
  return Array(packed);
}

std::function<Result<Module>(const Module&)> schedule_for(std::string target_name) {
  return [target_name = std::move(target_name)](const Module& m) -> Result<Module> {
    REPOSE_TRY(target, make_target(target_name));
    return schedule_programs(m, target, interpret_packer);
  };
}

std::function<Result<Module>(const Module&)> each_program(
    tir::PrimFunc (*pass)(const tir::PrimFunc&)) {
  return [pass](const Module& m) -> Result<Module> {
    Module result = m;
    for (const std::string& name : m.names()) {
      if (tir::PrimFunc f = m.prim_func(name)) result.set(name, pass(f));
    }
    return result;
  };
}

std::vector<PassUnderTest> make_passes() {
  std::vector<PassUnderTest> all;
  std::vector<PassInfo> infos = pipeline_passes();
  infos.insert(infos.end(), further_passes().begin(), further_passes().end());
  for (const PassInfo& info : infos) {
    PassUnderTest pass;
    pass.name = info.name;
    pass.on_request = info.on_request;
    pass.run = pipeline_pass(info.name);
    for (const Departure& d : departures) {
      if (pass.name != d.pass) continue;
      pass.second_run = d.second_run;
      pass.drops_failures = d.drops_failures;
      pass.closeness = d.closeness;
    }
    pass.makes_tensors = pass.name == "specify_interface";
    if (pass.name == "schedule_programs") {
      pass.run = schedule_for("x86-64-v3");
      pass.variants = {schedule_for("x86-64-v2"), schedule_for("x86-64-v4")};
      pass.closeness = Closeness::rounding;  // it reassociates reductions
      pass.second_run = "it takes stages and gives loops";
    }
    all.push_back(std::move(pass));
  }
  PassUnderTest lower, vectorize, expand;
  lower.name = "lower_blocks";
  lower.run = each_program(lower_blocks);
  vectorize.name = "vectorize_loops";
  vectorize.run = each_program(vectorize_loops);
  expand.name = "expand_math";
  expand.run = each_program([](const tir::PrimFunc& f) { return expand_math(f); });
  expand.closeness = Closeness::rounding;  // its polynomials are not the interpreter's functions
  expand.not_printed = "its expressions share their parts: printed, they would not end";
  all.push_back(std::move(lower));
  all.push_back(std::move(vectorize));
  all.push_back(std::move(expand));
  return all;
}

}  // namespace

const std::vector<PassUnderTest>& passes_under_test() {
  static const std::vector<PassUnderTest> all = make_passes();
  return all;
}

}  // namespace repose::testing_text
