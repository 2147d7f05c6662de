// Hands groups over to external libraries.
#include "passes/graph/external_groups.h"

#include <algorithm>
#include <set>

#include "ir/function_facts.h"
#include "passes/graph/eliminate_dead_code.h"
#include "passes/graph/fuse_by_pattern.h"
#include "passes/graph/group_function.h"
#include "passes/graph/pattern.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Binding;
using graph::Value;

// The composite function that a value calls; null: none.
graph::Function composite_called(const Module& module, const Value& v) {
  const auto* call = graph::as<graph::CallNode>(v);
  const auto* global = call && call->callee ? graph::as<graph::GlobalNode>(call->callee) : nullptr;
  const graph::Function f = global ? module.graph_function(global->name) : nullptr;
  const Attr* composite = f ? f->attrs.find("Composite") : nullptr;
  return composite && composite->as_string() ? f : nullptr;
}

std::string composite_name(const graph::Function& f) {
  return *f->attrs.find("Composite")->as_string();
}

// ---- Merging
// ---------------------------------------------------------------------------------------------

std::string backend_of(const Module& module, const Value& v) {
  const graph::Function f = composite_called(module, v);
  const std::string name = f ? composite_name(f) : "";
  const size_t dot = name.find('.');
  return dot == std::string::npos ? "" : name.substr(0, dot);
}

// A run of bindings whose order is free, and the groups in it. A node is a group or a binding
// alone.
class RunMerger {
 public:
  RunMerger(const Module& module, std::span<const Binding> run) : module_(module), run_(run) {
    for (size_t i = 0; i < run.size(); ++i) {
      at_[run[i].var.get()] = i;
      node_.push_back(i);
      members_.push_back({i});
      operands_.emplace_back();
      std::function<void(const Value&)> note = [&](const Value& v) {
        if (auto it = at_.find(v.get()); it != at_.end() && it->second < i) {
          operands_[i].insert(it->second);
        }
        graph::visit_operands(v, note);
      };
      if (graph::as<graph::VariableNode>(run[i].value)) note(run[i].value);
      graph::visit_operands(run[i].value, note);
    }
  }

  // Joins what may be joined; the nodes in an order in which they can run.
  std::vector<std::vector<size_t>> run() {
    for (size_t i = 0; i < run_.size(); ++i) {
      const std::string backend = backend_of(module_, run_[i].value);
      if (backend.empty()) continue;
      for (size_t operand : operands_[i]) {
        if (backend_of(module_, run_[operand].value) == backend) try_join(node_[operand], node_[i]);
      }
    }
    return ordered();
  }

 private:
  std::set<size_t> operands_of(size_t node) const {
    std::set<size_t> nodes;
    for (size_t member : members_[node]) {
      for (size_t operand : operands_[member]) {
        if (node_[operand] != node) nodes.insert(node_[operand]);
      }
    }
    return nodes;
  }

  // Whether `from` needs `what`, through at least one other node.
  bool needs_through_others(size_t from, size_t what) const {
    std::set<size_t> seen;
    std::vector<size_t> open;
    for (size_t o : operands_of(from)) {
      if (o != what) open.push_back(o);
    }
    while (!open.empty()) {
      const size_t node = open.back();
      open.pop_back();
      if (!seen.insert(node).second) continue;
      for (size_t o : operands_of(node)) {
        if (o == what) return true;
        open.push_back(o);
      }
    }
    return false;
  }

  void try_join(size_t producer, size_t consumer) {
    if (producer == consumer || needs_through_others(consumer, producer)) return;
    for (size_t member : members_[consumer]) node_[member] = producer;
    std::vector<size_t>& all = members_[producer];
    all.insert(all.end(), members_[consumer].begin(), members_[consumer].end());
    std::sort(all.begin(), all.end());
    members_[consumer].clear();
  }

  // In the order of the bindings, but operands first.
  std::vector<std::vector<size_t>> ordered() const {
    std::vector<std::vector<size_t>> result;
    std::set<size_t> done;
    for (size_t i = 0; i < run_.size(); ++i) place(node_[i], done, result);
    return result;
  }

  void place(size_t root, std::set<size_t>& done, std::vector<std::vector<size_t>>& result) const {
    std::vector<size_t> open{root};
    while (!open.empty()) {
      const size_t node = open.back();
      bool ready = true;
      if (!done.contains(node)) {
        for (size_t o : operands_of(node)) {
          if (done.contains(o)) continue;
          open.push_back(o);
          ready = false;
        }
      }
      if (!ready) continue;
      open.pop_back();
      if (done.insert(node).second) result.push_back(members_[node]);
    }
  }

  const Module& module_;
  std::span<const Binding> run_;
  std::unordered_map<const graph::ValueNode*, size_t> at_;
  std::vector<size_t> node_;                  // of each binding
  std::vector<std::vector<size_t>> members_;  // of each node, in order
  std::vector<std::set<size_t>> operands_;    // of each binding, within the run
};

bool is_free_to_move(const Binding& b) {
  const auto* call = graph::as<graph::CallNode>(b.value);
  const bool overwrites = call && call->op && call->op->name == "call_tir_inplace";
  return !b.cast && !is_check(b.value) && b.value->kind != graph::ValueKind::if_ &&
         b.value->kind != graph::ValueKind::function && (!call || is_pure_call(*call)) &&
         !overwrites;
}

class CompositeMerger {
 public:
  CompositeMerger(const Module& module, const OpTable& ops) : result_(module), ops_(ops) {}

  Result<Module> run() {
    bool any = false;
    for (const std::string& name : std::vector<std::string>(result_.names())) {
      const graph::Function f = result_.graph_function(name);
      if (!f || is_group(*f)) continue;
      const ValueUses uses(f);
      std::vector<graph::Block> blocks = f->body->blocks;
      bool changed = false;
      for (size_t i = 0; i < blocks.size(); ++i) {
        REPOSE_TRY(merged, block(f->body->blocks[i], uses, changed));
        blocks[i] = std::move(merged);
      }
      if (!changed) continue;
      any = true;
      result_.set(name,
                  make_ref<graph::FunctionNode>(
                      f->params, make_ref<graph::BodyNode>(std::move(blocks), f->body->result),
                      f->result_type, f->is_pure, f->is_private, f->attrs, f->span));
    }
    return any ? eliminate_dead_code(result_) : result_;
  }

 private:
  Result<graph::Block> block(const graph::Block& b, const ValueUses& uses, bool& changed) {
    graph::Block out{b.is_dataflow, {}};
    for (size_t begin = 0; begin < b.bindings.size();) {
      size_t end = begin;
      while (end < b.bindings.size() && is_free_to_move(b.bindings[end])) ++end;
      const std::span<const Binding> run(&b.bindings[begin], end - begin);
      for (const std::vector<size_t>& members : RunMerger(result_, run).run()) {
        if (members.size() == 1) {
          out.bindings.push_back(run[members[0]]);
          continue;
        }
        auto done = group(run, members, uses, out);
        if (!done.ok()) return done.errors();
        changed = true;
      }
      if (end < b.bindings.size()) out.bindings.push_back(b.bindings[end++]);
      begin = end;
    }
    return out;
  }

  Result<void> group(std::span<const Binding> run, const std::vector<size_t>& members,
                     const ValueUses& uses, graph::Block& out) {
    std::vector<const Binding*> bindings;
    for (size_t i : members) bindings.push_back(&run[i]);
    std::vector<graph::Variable> outputs;
    for (const Binding* b : bindings) {
      const std::vector<const Binding*>& readers = uses.readers(b->var);
      const bool is_read = std::any_of(readers.begin(), readers.end(), [&](const Binding* r) {
        return std::find(bindings.begin(), bindings.end(), r) == bindings.end();
      });
      if (is_read || !b->var->is_dataflow) outputs.push_back(b->var);
    }
    const std::string backend = backend_of(result_, bindings[0]->value);
    REPOSE_TRY(made, make_group(result_, ops_, bindings, outputs, {}, {}, {},
                                group_function_name(backend + "_group"),
                                Attrs{{"Composite", backend + ".group"}, {"Primitive", true}}));
    if (!made.function) {
      for (const Binding* b : bindings) out.bindings.push_back(*b);
      return {};
    }
    const std::string name =
        add_group(result_, group_function_name(backend + "_group"), made.function);
    std::vector<Type> types;
    for (const graph::Variable& v : outputs) types.push_back(v->type);
    const Type type = outputs.size() == 1 ? types[0] : tuple_type(types);
    const Value call = make_ref<graph::CallNode>(
        nullptr, graph::make_global(name, result_.graph_function(name)->type), std::move(made.args),
        Attrs{}, std::vector<Type>{}, type);
    const Span span = bindings.back()->span;
    if (outputs.size() == 1) {
      out.bindings.push_back({outputs[0], call, nullptr, span});
      return {};
    }
    const graph::Variable all = graph::make_variable(name, type, out.is_dataflow);
    out.bindings.push_back({all, call, nullptr, span});
    for (size_t i = 0; i < outputs.size(); ++i) {
      out.bindings.push_back(
          {outputs[i], graph::make_tuple_get(all, static_cast<int>(i)), nullptr, span});
    }
    return {};
  }

  Module result_;
  const OpTable& ops_;
};

// ---- Handing over
// ----------------------------------------------------------------------------------------

bool is_written_by_others(const Type& t) {
  const auto* tensor = as<TensorTypeNode>(t);
  return tensor && tensor->shape && tensor->dtype && tensor->strides.empty();
}

Result<std::optional<std::string>> own_name(const std::string& composite, const graph::Function&) {
  if (composite.find('.') == std::string::npos) return std::optional<std::string>();
  return std::optional<std::string>(composite);
}

}  // namespace

Result<Module> merge_composite(const Module& module, const OpTable& ops) {
  return CompositeMerger(module, ops).run();
}

Result<Module> call_external_groups(const Module& module, const OpTable& ops,
                                    const ExternalCodegen& codegen) {
  bool any = false;
  const ExternalCodegen name_of = codegen ? codegen : ExternalCodegen(own_name);
  RebuildHooks hooks;
  bool in_group = false;
  hooks.begin = [&](Rebuilding&, const std::string&, const graph::Function& f,
                    FunctionOptions&) -> Result<void> {
    in_group = is_group(*f);
    return {};
  };
  hooks.call = [&](Builder& b, const graph::CallNode& call, const Span&) -> Result<Value> {
    const graph::Function f = in_group ? nullptr : composite_called(module, Value(&call));
    if (!f) return Value();
    REPOSE_TRY(typed, b.infer_only(Value(&call)));
    if (!is_written_by_others(typed->type)) return Value();
    REPOSE_TRY(name, name_of(composite_name(f), f));
    if (!name) return Value();
    any = true;
    return graph::make_op_call(*ops.find("call_dps_packed"),
                               {make_ref<graph::ExternNode>(*name), graph::make_tuple(call.args)},
                               {}, {typed->type});
  };
  REPOSE_TRY(result, rebuild_functions(module, ops, hooks));
  return any ? eliminate_dead_code(result) : module;
}

}  // namespace repose
