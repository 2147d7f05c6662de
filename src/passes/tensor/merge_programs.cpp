// Finds equal programs by their hashes, and renews the calls of those that are merged.
#include "passes/tensor/merge_programs.h"

#include <unordered_map>

#include "expr/facts.h"
#include "ir/function_facts.h"
#include "ir/structural.h"
#include "passes/graph/rewrite_calls.h"

namespace repose {

namespace {

using Fields = std::vector<graph::Value>;

const Fields& args_of(const graph::CallNode& call) {
  return graph::as<graph::TupleNode>(call.args[1])->fields;
}

class Merger {
 public:
  Merger(const Module& module, const Generalize& generalize)
      : result_(module), generalize_(generalize) {}

  Module run() {
    find_programs();
    for (const std::string& name : order_) {
      if (others_.contains(name)) continue;
      auto general = generalize_(result_.prim_func(name), calls_.at(name));
      if (!general) continue;
      const uint64_t hash = structural_hash(general->func);
      general_.emplace(name, std::move(*general));
      share(name, by_hash_[hash]);
    }
    if (shared_.empty()) return std::move(result_);
    rewrite_calls(result_, [&](const graph::CallNode& call, const Type& type) {
      return is_call_tir(call) ? renewed(call, type) : nullptr;
    });
    for (const auto& [name, stands_for] : shared_) {
      if (name == stands_for) {
        result_.set(name, general_.at(name).func);
      } else {
        result_.erase(name);
      }
    }
    return std::move(result_);
  }

 private:
  static const std::string& program_of(const graph::CallNode& call) {
    return graph::as<graph::GlobalNode>(call.args[0])->name;
  }

  // Private programs that call_tir alone calls, in the order of their calls.
  void find_programs() {
    rewrite_calls(result_, [&](const graph::CallNode& call, const Type&) -> graph::Value {
      for (size_t i = is_call_tir(call) ? 1 : 0; i < call.args.size(); ++i) {
        if (const auto* g = graph::as<graph::GlobalNode>(call.args[i])) others_.insert(g->name);
      }
      if (!is_call_tir(call)) return nullptr;
      const std::string& name = program_of(call);
      const tir::PrimFunc f = result_.prim_func(name);
      if (!f) return nullptr;
      if (!f->is_private || !tir::bound_symbols(*f).empty()) others_.insert(name);
      see(name, args_of(call));
      return nullptr;
    });
  }

  void see(const std::string& name, const Fields& args) {
    auto [it, is_new] = calls_.try_emplace(name);
    ProgramCalls& calls = it->second;
    if (is_new) {
      order_.push_back(name);
      calls = {args.size(), std::vector<bool>(args.size(), true)};
    }
    for (size_t i = 0; i < args.size(); ++i) {
      if (!graph::as<graph::ConstantNode>(args[i])) calls.is_constant[i] = false;
    }
  }

  // With an earlier program that is equal. Constants may be packed as a schedule wants them: where
  // one program's are, so are the other's.
  void share(const std::string& name, std::vector<std::string>& same_hash) {
    for (const std::string& other : same_hash) {
      if (calls_.at(other).is_constant != calls_.at(name).is_constant ||
          !structural_equal(general_.at(other).func, general_.at(name).func)) {
        continue;
      }
      shared_.emplace(other, other);
      shared_.emplace(name, other);
      return;
    }
    same_hash.push_back(name);
  }

  graph::Value renewed(const graph::CallNode& call, const Type& type) {
    auto shared = shared_.find(program_of(call));
    if (shared == shared_.end()) return nullptr;
    const tir::PrimFunc f = result_.prim_func(shared->first);
    const GeneralProgram& general = general_.at(shared->first);
    const Fields& old = args_of(call);
    Fields args;
    VarMap scalars;
    for (size_t i = 0; i < old.size(); ++i) {
      if (const auto* prim = graph::as<graph::PrimValueNode>(old[i])) {
        scalars.emplace(f->params[i].var.get(), prim->value);
      }
      if (!general.gone.contains(i)) args.push_back(old[i]);
    }
    for (const Expr& size : general.sizes) {
      args.push_back(graph::make_prim(canonical(substitute(size, scalars))));
    }
    return make_ref<graph::CallNode>(
        call.op, nullptr,
        Fields{graph::make_global(shared->second), graph::make_tuple(std::move(args))}, call.attrs,
        call.type_args, type);
  }

  Module result_;
  const Generalize& generalize_;
  std::vector<std::string> order_;
  std::unordered_set<std::string> others_;  // that stay as they are
  std::unordered_map<std::string, ProgramCalls> calls_;
  std::unordered_map<std::string, GeneralProgram> general_;
  std::unordered_map<uint64_t, std::vector<std::string>> by_hash_;
  std::unordered_map<std::string, std::string> shared_;  // the program that stands for each
};

}  // namespace

Module merge_programs(const Module& module, const Generalize& generalize) {
  return Merger(module, generalize).run();
}

}  // namespace repose
