// The order of passes. This is the only place that orders them.
#include "driver/pipeline.h"

#include <algorithm>
#include <optional>
#include <span>
#include <type_traits>

#include "driver/evaluate.h"
#include "ir/verifier.h"
#include "memory/order.h"
#include "passes/graph/adjust_matmul_order.h"
#include "passes/graph/bind_symbolic_vars.h"
#include "passes/graph/canonicalize_bindings.h"
#include "passes/graph/combine_parallel_matmul.h"
#include "passes/graph/convert_layout.h"
#include "passes/graph/decompose_composites.h"
#include "passes/graph/eliminate_common_subexpressions.h"
#include "passes/graph/eliminate_dead_code.h"
#include "passes/graph/external_groups.h"
#include "passes/graph/fold_batch_norm.h"
#include "passes/graph/fold_constants.h"
#include "passes/graph/fold_scales.h"
#include "passes/graph/hoist_checks.h"
#include "passes/graph/inline_functions.h"
#include "passes/graph/lambda_lift.h"
#include "passes/graph/lift_transform_params.h"
#include "passes/graph/pattern_rules.h"
#include "passes/lower/compact_parameters.h"
#include "passes/lower/expose_symbols.h"
#include "passes/lower/legalize.h"
#include "passes/lower/specify_interface.h"
#include "passes/lower/specify_packed_calls.h"
#include "passes/lower/split_casts.h"
#include "passes/tensor/assign_layouts.h"
#include "passes/tensor/expand_math.h"
#include "passes/tensor/find_sharing.h"
#include "passes/tensor/fuse_programs.h"
#include "passes/tensor/generalize_programs.h"
#include "passes/tensor/lower_blocks.h"
#include "passes/tensor/move_scales.h"
#include "passes/tensor/share_programs.h"
#include "passes/tensor/vectorize_loops.h"

namespace repose {

namespace {

struct Pass {
  PassInfo info;
  Result<Module> (*run)(const Module&, const OpTable&, const PipelineOptions&);
};

// A pass without options.
template <auto pass>
Result<Module> run(const Module& m, const OpTable& ops, const PipelineOptions&) {
  if constexpr (std::is_invocable_v<decltype(pass), const Module&>) {
    return pass(m);
  } else {
    return pass(m, ops);
  }
}

const Pass passes[] = {
    {{"inline_functions", "puts the bodies of called graph functions in place of the calls", false},
     run<inline_functions>},
    {{"split_casts", "casts the members of a tuple one by one", true}, run<split_casts>},
    {{"specify_packed_calls", "names what the results of packed functions don't say", true},
     run<specify_packed_calls>},
    {{"specify_interface", "makes parameters and results tensors whose dimensions have names",
      true},
     run<specify_interface>},
    {{"hoist_checks", "moves checks of what is known at entry to the head", false},
     run<hoist_checks>},
    {{"compact_parameters", "copies parameters with declared strides", true},
     run<compact_parameters>},
    {{"fold_constants", "evaluates what has only constant operands", false},
     [](const Module& m, const OpTable& ops, const PipelineOptions& o) -> Result<Module> {
       return fold_constants(m, ops, make_call_evaluator(ops, o.target));
     }},
    {{"eliminate_common_subexpressions", "computes equal pure calls once", false},
     run<eliminate_common_subexpressions>},
    {{"eliminate_dead_code", "drops what nobody uses", false},
     [](const Module& m, const OpTable&, const PipelineOptions&) -> Result<Module> {
       return eliminate_dead_code(m);
     }},
    {{"fold_scales", "folds constant scales and shifts of channels into weights", false},
     run<fold_scales>},
    {{"legalize", "replaces operators by tensor programs", true},
     [](const Module& m, const OpTable& ops, const PipelineOptions&) -> Result<Module> {
       auto lowered = legalize(m, ops);
       if (!lowered.ok()) return lowered.errors();
       return eliminate_dead_code(*lowered);
     }},
    {{"assign_layouts", "keeps images with channels last where convolutions want them so", false},
     run<assign_layouts>},
    {{"fuse_programs", "makes one program of calls that share their loops", false},
     [](const Module& m, const OpTable& ops, const PipelineOptions&) -> Result<Module> {
       return eliminate_dead_code(fuse_programs(m, ops));
     }},
    {{"inline_groups", "puts the programs of groups in place of their calls", true},
     [](const Module& m, const OpTable& ops, const PipelineOptions&) -> Result<Module> {
       REPOSE_TRY(inlined, inline_groups(m, ops));
       return eliminate_dead_code(inlined);
     }},
    {{"move_scales", "scales queries and sums of attention, not scores and weights", false},
     run<move_scales>},
    {{"expose_symbols", "passes every symbol of a program as a scalar", true}, run<expose_symbols>},
    {{"generalize_programs", "makes one program of those that quotients of sizes make equal",
      false},
     run<generalize_programs>},
    {{"find_sharing", "finds views, and results that may lie in operands' memory", false},
     [](const Module& m, const OpTable& ops, const PipelineOptions&) -> Result<Module> {
       return eliminate_dead_code(find_sharing(m, ops));
     }},
    {{"schedule_programs", "tiles, vectorizes, parallelizes; packs constant operands", false},
     [](const Module& m, const OpTable&, const PipelineOptions& o) -> Result<Module> {
       return schedule_programs(m, o.target, make_program_evaluator(o.target), o.schedule);
     }},
    {{"share_programs", "makes one program of those that differ in sizes only", false},
     run<share_programs>},
    {{"order_bindings", "runs kernels in an order that needs little memory", false},
     [](const Module& m, const OpTable&, const PipelineOptions&) -> Result<Module> {
       return order_bindings(m);
     }},
};

// Asked for by name only. None of them is required.
const Pass further[] = {
    {{"gradient", "adds the gradient of a function", false, true},
     [](const Module& m, const OpTable& ops, const PipelineOptions& o) -> Result<Module> {
       return gradient(m, ops, o.gradient);
     }},
    {{"to_mixed_precision", "computes products and what follows them in 16 bits", false, true},
     [](const Module& m, const OpTable& ops, const PipelineOptions& o) -> Result<Module> {
       REPOSE_TRY(narrowed, to_mixed_precision(m, ops, o.mixed_precision));
       return eliminate_dead_code(narrowed);
     }},
    {{"rewrite_patterns", "applies the rules that the module has, and drops them", false},
     run<apply_own_rules>},
    {{"canonicalize_bindings", "drops names for what has a name already", false},
     run<canonicalize_bindings>},
    {{"adjust_matmul_order", "orders the products of three matrices by what they cost", false},
     run<adjust_matmul_order>},
    {{"bind_symbolic_vars", "makes numbers of symbols whose declared range is one number", false},
     run<bind_symbolic_vars>},
    {{"call_external_groups", "makes calls of packed functions of composite functions", false},
     [](const Module& m, const OpTable& ops, const PipelineOptions&) -> Result<Module> {
       return call_external_groups(m, ops);
     }},
    {{"combine_parallel_matmul",
      "makes one product of those that have their left operand in common", false},
     run<combine_parallel_matmul>},
    {{"convert_layout", "gives convolutions and pools channels last", false},
     [](const Module& m, const OpTable& ops, const PipelineOptions&) -> Result<Module> {
       return convert_layout(m, ops);
     }},
    {{"decompose_composites", "replaces operators that consist of others by these", false},
     run<decompose_composites>},
    {{"fold_batch_norm", "folds batch normalisation into weights, constants or not", false},
     run<fold_batch_norm>},
    {{"lambda_lift", "makes functions of the module of closures that are only called", false},
     run<lambda_lift>},
    {{"lift_transform_params", "moves what depends on weights alone into a function of its own",
      false},
     run<lift_transform_params>},
    {{"merge_composite", "makes one group of composite functions that feed each other", false},
     run<merge_composite>},
};

std::vector<const Pass*> all_passes() {
  std::vector<const Pass*> all;
  for (const Pass& p : passes) all.push_back(&p);
  for (const Pass& p : further) all.push_back(&p);
  return all;
}

const Pass* find_pass(const std::string& name) {
  for (const Pass* p : all_passes()) {
    if (p->info.name == name) return p;
  }
  return nullptr;
}

std::vector<PassInfo> infos_of(std::span<const Pass> table) {
  std::vector<PassInfo> list;
  for (const Pass& p : table) list.push_back(p.info);
  return list;
}

Diagnostic unknown_pass(const std::string& name) {
  std::string known;
  for (const Pass* p : all_passes()) {
    known += (known.empty() ? "" : ", ") + std::string(p->info.name);
  }
  return error(DiagnosticKind::bad_usage, {}, "no pass is called `{}`; there are {}", name, known);
}

}  // namespace

const std::vector<PassInfo>& pipeline_passes() {
  static const std::vector<PassInfo> infos = infos_of(passes);
  return infos;
}

const std::vector<PassInfo>& further_passes() {
  static const std::vector<PassInfo> infos = infos_of(further);
  return infos;
}

Result<Module> run_pass(const std::string& name, const Module& module, const OpTable& ops,
                        const PipelineOptions& options) {
  const Pass* pass = find_pass(name);
  if (!pass) return unknown_pass(name);
  REPOSE_TRY(result, pass->run(module, ops, options));
  if (options.verify) {
    Diagnostics problems = verify(result, ops);
    if (!problems.empty()) {
      problems.push_back(error(DiagnosticKind::internal, {},
                               "pass `{}` gave a module that is not well formed", name));
      return problems;
    }
  }
  if (options.after_pass) options.after_pass(name, result);
  return std::move(result);
}

Result<Module> run_pipeline(const Module& module, const OpTable& ops,
                            const PipelineOptions& options, std::vector<PassReport>* reports) {
  for (const std::string& name : options.disabled) {
    const Pass* pass = find_pass(name);
    if (!pass) return unknown_pass(name);
    if (pass->info.required) {
      return error(DiagnosticKind::bad_usage, {}, "pass `{}` cannot be disabled", name);
    }
  }
  Module current = module;
  for (const Pass& pass : passes) {
    if (std::count(options.disabled.begin(), options.disabled.end(), pass.info.name)) continue;
    std::optional<WorkStep> step;
    if (reports) step.emplace(*reports, pass.info.name);
    REPOSE_TRY(next, run_pass(pass.info.name, current, ops, options));
    current = std::move(next);
  }
  return current;
}

tir::PrimFunc finish_program(const tir::PrimFunc& f) {
  return expand_math(vectorize_loops(lower_blocks(f)));
}

}  // namespace repose
