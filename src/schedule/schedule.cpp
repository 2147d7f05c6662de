// Chooses a schedule rule for every program, and packs constants as the rules ask.
#include "schedule/schedule.h"

#include "base/work.h"
#include "ir/function_facts.h"
#include "passes/graph/rewrite_calls.h"
#include "passes/tensor/lower_blocks.h"
#include "schedule/finish.h"
#include "schedule/replay.h"
#include "schedule/rules.h"
#include "script/suggest.h"

namespace repose {

namespace {

Result<ScheduledProgram> finished(schedule::Scheduled s) {
  ScheduledProgram result;
  for (schedule::LayoutRequest& request : s.layouts) {
    result.packings.push_back({request.param, std::move(request.packer)});
  }
  REPOSE_TRY(loops, schedule::finish_schedule(s));
  result.func = loops;
  result.steps = std::move(s.steps);
  return result;
}

}  // namespace

ScheduledProgram schedule_program(const tir::PrimFunc& given, const Target& target,
                                  const std::vector<bool>& is_constant) {
  const tir::PrimFunc f = schedule::with_distinct_params(given);  // rules name buffers of `f`
  auto staged = to_stages(f);
  ScheduledProgram result;
  // Whether a rule fits; its schedule is the result then.
  auto fits = [&](const char* rule, Result<schedule::Scheduled> steps) {
    auto done = steps.ok() ? finished(std::move(*steps)) : Result<ScheduledProgram>(steps.errors());
    if (done.ok()) {
      done->refused = std::move(result.refused);
      result = std::move(*done);
    } else {
      result.refused.push_back(fmt::format("{}: {}", rule, done.errors()[0].text));
    }
    return done.ok();
  };
  if (staged && !staged->stages.empty()) {
    const ProgramKind kind = classify(*staged);
    if (kind == ProgramKind::attention &&
        fits("attention", schedule::attention(f, *staged, target))) {
      return result;
    }
    if (kind == ProgramKind::contraction && is_single_nest(*staged) &&
        fits("contraction", schedule::contraction(f, *staged, target, is_constant))) {
      return result;
    }
    if (fits("rows", schedule::rows(f, *staged, target))) return result;
  }
  result.func = lower_blocks(f);
  return result;
}

namespace {

using Fields = std::vector<graph::Value>;

// Applies a person's steps. They may read operands after they wrote results.
Result<ScheduledProgram> schedule_as_written(const tir::PrimFunc& f,
                                             const schedule::ScheduleText& text,
                                             const std::vector<bool>& is_constant) {
  schedule::Scheduled s = schedule::begin_schedule(f);
  if (auto done = schedule::replay(s, text.steps); !done.ok()) return done.errors();
  ScheduledProgram result;
  for (schedule::LayoutRequest& request : s.layouts) {
    if (request.param >= is_constant.size() || !is_constant[request.param]) {
      return error(DiagnosticKind::illegal_schedule, text.at,
                   "`{}` cannot be packed in advance: not every call passes a constant",
                   f->params[request.param].buffer->name);
    }
    result.packings.push_back({request.param, std::move(request.packer)});
  }
  REPOSE_TRY(loops, schedule::finish_schedule(s));
  Attrs attrs = loops->attrs;
  attrs.erase("in_place");
  result.func =
      tir::make_prim_func(loops->params, loops->body, loops->is_private, attrs, loops->span);
  result.steps = std::move(s.steps);
  return result;
}

// Which of a call's arguments are constants that may be packed. A call in place keeps its own: its
// program's results are among them.
std::vector<bool> constant_args(const graph::CallNode& call) {
  const bool packs = call.op->name == "call_tir";
  std::vector<bool> result;
  for (const graph::Value& a : graph::as<graph::TupleNode>(call.args[1])->fields) {
    result.push_back(packs && graph::as<graph::ConstantNode>(a));
  }
  return result;
}

class ModuleScheduler {
 public:
  ModuleScheduler(const Module& module, const Target& target, const ProgramEvaluator& evaluate,
                  const ScheduleOptions& options)
      : result_(module), target_(target), evaluate_(evaluate), options_(options) {}

  Result<Module> run() {
    // An operand may be packed where every call of the program passes a constant.
    for_each_call([&](const std::string& name, const graph::CallNode& call) {
      std::vector<bool> here = constant_args(call);
      auto [it, first] = constant_.emplace(name, here);
      for (size_t i = 0; !first && i < here.size(); ++i) it->second[i] = it->second[i] && here[i];
    });
    for (const auto& [name, text] : options_.written) {
      if (result_.prim_func(name)) {
        constant_.try_emplace(name);
      } else {
        problems_.push_back(unknown_program(name, text.at));
      }
    }
    for (const auto& [name, is_constant] : constant_) {
      const WorkPart part(name);
      schedule_one(name, is_constant);
    }
    if (!problems_.empty()) return problems_;
    rewrite_calls(
        result_, [&](const graph::CallNode& call, const Type& type) { return repack(call, type); });
    if (!problems_.empty()) return problems_;
    return std::move(result_);
  }

 private:
  using Visit = std::function<void(const std::string&, const graph::CallNode&)>;
  void for_each_call(const Visit& visit) {
    rewrite_calls(result_, [&](const graph::CallNode& call, const Type&) -> graph::Value {
      if (is_program_call(call)) {
        const std::string& name = graph::as<graph::GlobalNode>(call.args[0])->name;
        if (result_.prim_func(name)) visit(name, call);
      }
      return nullptr;
    });
  }

  void schedule_one(const std::string& name, const std::vector<bool>& is_constant) {
    const tir::PrimFunc f = result_.prim_func(name);
    const Target target = options_.target_of ? options_.target_of(name, f) : target_;
    const auto written = options_.written.find(name);
    Result<ScheduledProgram> scheduled = written == options_.written.end()
                                             ? schedule_program(f, target, is_constant)
                                             : schedule_as_written(f, written->second, is_constant);
    if (!scheduled.ok()) {
      problems_.insert(problems_.end(), scheduled.errors().begin(), scheduled.errors().end());
      return;
    }
    if (options_.on_program) {
      options_.on_program(name, *scheduled);
    }
    result_.set(name, scheduled->func);
    packings_[name] = std::move(scheduled->packings);
  }

  Diagnostic unknown_program(const std::string& name, const Span& at) const {
    std::vector<std::string> programs;
    for (const std::string& known : result_.names()) {
      if (result_.prim_func(known)) programs.push_back(known);
    }
    return error(DiagnosticKind::unknown_name, at, "there is no tensor program `{}`{}", name,
                 script::suggest(name, programs));
  }

  graph::Value repack(const graph::CallNode& call, const Type& type) {
    if (!is_call_tir(call)) return nullptr;
    auto it = packings_.find(graph::as<graph::GlobalNode>(call.args[0])->name);
    if (it == packings_.end() || it->second.empty()) return nullptr;
    Fields args = graph::as<graph::TupleNode>(call.args[1])->fields;
    for (const Packing& packing : it->second) {
      const auto* constant = graph::as<graph::ConstantNode>(args[packing.param]);
      graph::Value& packed = packed_[{constant->data.get(), packing.packer.get()}];
      if (!packed) {
        auto array = evaluate_(packing.packer, {constant->data});
        if (!array.ok()) {
          problems_.insert(problems_.end(), array.errors().begin(), array.errors().end());
          return nullptr;
        }
        packed = graph::make_constant(*array, constant->weight_name);
      }
      args[packing.param] = packed;
    }
    return make_ref<graph::CallNode>(call.op, nullptr,
                                     Fields{call.args[0], graph::make_tuple(std::move(args))},
                                     call.attrs, call.type_args, type);
  }

  Module result_;
  const Target& target_;
  const ProgramEvaluator& evaluate_;
  const ScheduleOptions& options_;
  Diagnostics problems_;
  std::map<std::string, std::vector<bool>> constant_;
  std::unordered_map<std::string, std::vector<Packing>> packings_;
  std::map<std::pair<const ArrayNode*, const tir::PrimFuncNode*>, graph::Value> packed_;
};

}  // namespace

Result<Module> schedule_programs(const Module& module, const Target& target,
                                 const ProgramEvaluator& evaluate, const ScheduleOptions& options) {
  return ModuleScheduler(module, target, evaluate, options).run();
}

}  // namespace repose
