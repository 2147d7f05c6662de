// Chooses a schedule rule for every program, and packs constants as the rules ask.
#include "schedule/schedule.h"

#include "base/work.h"
#include "passes/graph/rewrite_calls.h"
#include "passes/tensor/lower_blocks.h"
#include "schedule/rules.h"

namespace repose {

ScheduledProgram schedule_program(const tir::PrimFunc& f, const Target& target,
                                  const std::vector<bool>& is_constant) {
  auto staged = to_stages(f);
  if (!staged || staged->stages.empty()) return {lower_blocks(f), {}};
  if (classify(*staged) == ProgramKind::contraction && is_single_nest(*staged)) {
    if (auto done = schedule_contraction(*staged, target, is_constant)) return std::move(*done);
  }
  return {schedule_rows(*staged, target), {}};
}

namespace {

using Fields = std::vector<graph::Value>;

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
  ModuleScheduler(const Module& module, const Target& target, const ProgramEvaluator& evaluate)
      : result_(module), target_(target), evaluate_(evaluate) {}

  Result<Module> run() {
    // An operand may be packed where every call of the program passes a constant.
    for_each_call([&](const std::string& name, const graph::CallNode& call) {
      std::vector<bool> here = constant_args(call);
      auto [it, first] = constant_.emplace(name, here);
      for (size_t i = 0; !first && i < here.size(); ++i) it->second[i] = it->second[i] && here[i];
    });
    for (const auto& [name, is_constant] : constant_) {
      const WorkPart part(name);
      ScheduledProgram scheduled = schedule_program(result_.prim_func(name), target_, is_constant);
      result_.set(name, scheduled.func);
      packings_[name] = std::move(scheduled.packings);
    }
    rewrite_calls(
        result_, [&](const graph::CallNode& call, const Type& type) { return repack(call, type); });
    if (!problems_.empty()) return problems_;
    return std::move(result_);
  }

 private:
  using Visit = std::function<void(const std::string&, const graph::CallNode&)>;
  void for_each_call(const Visit& visit) {
    rewrite_calls(result_, [&](const graph::CallNode& call, const Type&) -> graph::Value {
      if (call.op && (call.op->name == "call_tir" || call.op->name == "call_tir_inplace")) {
        const std::string& name = graph::as<graph::GlobalNode>(call.args[0])->name;
        if (result_.prim_func(name)) visit(name, call);
      }
      return nullptr;
    });
  }

  graph::Value repack(const graph::CallNode& call, const Type& type) {
    if (!call.op || call.op->name != "call_tir") return nullptr;
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
  Diagnostics problems_;
  std::map<std::string, std::vector<bool>> constant_;
  std::unordered_map<std::string, std::vector<Packing>> packings_;
  std::map<std::pair<const ArrayNode*, const tir::PrimFuncNode*>, graph::Value> packed_;
};

}  // namespace

Result<Module> schedule_programs(const Module& module, const Target& target,
                                 const ProgramEvaluator& evaluate) {
  return ModuleScheduler(module, target, evaluate).run();
}

}  // namespace repose
