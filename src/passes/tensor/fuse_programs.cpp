// Groups calls of tensor programs and makes one program of each group.
#include "passes/tensor/fuse_programs.h"

#include <algorithm>
#include <unordered_set>

#include "base/message_text.h"
#include "base/work.h"
#include "ir/function_facts.h"
#include "passes/tensor/attention.h"
#include "passes/tensor/classify.h"
#include "passes/tensor/find_sharing.h"

namespace repose {

namespace {

using graph::Binding;
using graph::Value;

// A call as it stands in its caller: stages over the caller's symbols, and what each input buffer
// is.
struct Group {
  StagedProgram program;                         // params: unused; `inputs` and `output` instead
  std::vector<std::pair<Buffer, Value>> inputs;  // each value once
  std::unordered_map<const graph::ValueNode*, int> readers;  // calls of the group, by input
  Buffer output;
  std::string name;
  int cost = 0;          // of its stages
  size_t nodes = 0;      // of their values
  bool is_view = false;  // a reshape that costs nothing while it stands alone
  bool changed = false;
  int barrier = 0;                      // calls in place that stand before it
  const graph::Block* block = nullptr;  // in which it stands
};

// Does it overwrite an argument?
bool overwrites(const Value& v) {
  if (const auto* choice = graph::as<graph::IfNode>(v)) {
    bool found = false;
    for (const graph::Body* body : {&choice->then_body, &choice->else_body}) {
      graph::visit_bindings(*body, true,
                            [&](const Binding& b) { found = found || overwrites(b.value); });
    }
    return found;
  }
  const auto* call = graph::as<graph::CallNode>(v);
  return call && call->op && call->op->name == "call_tir_inplace";
}

// Says in each check of an index which call it comes from: the program of a group has several.
Expr with_place(const Expr& value, const Span& span) {
  if (!span) return value;
  return rewrite(value, [&](const Expr& e) -> Expr {
    const auto* call = as<CallNode>(e);
    if (!call || call->intrinsic != Intrinsic::check_index || !call->name.empty()) return e;
    return make_call(Intrinsic::check_index, e->dtype, e->args, place_text(span));
  });
}

// A subscript of an extent 1 is 0, or an axis of extent 1: here the axis, so that a stage reads the
// point that it writes whether an extent is 1 or a symbol.
Expr with_unit_axes(const Stage& s, const Expr& value) {
  bool any = false;
  for (const Expr& e : s.extents) any = any || is_const_int(e, 1);
  if (!any) return value;
  return rewrite(value, [&](const Expr& e) -> Expr {
    const auto* load = as<LoadNode>(e);
    if (!load || load->buffer->shape.size() != s.axes.size()) return e;
    std::vector<Expr> args = e->args;
    bool changed = false;
    for (size_t d = 0; d < args.size(); ++d) {
      if (!is_const_int(args[d], 0) || !is_const_int(s.extents[d], 1) ||
          !is_const_int(load->buffer->shape[d], 1)) {
        continue;
      }
      args[d] = s.axes[d];
      changed = true;
    }
    return changed ? with_args(e, std::move(args)) : e;
  });
}

// The call's program with the caller's symbols and values put in; nothing if it has several results
// or is not in stage form.
std::optional<Group> instantiate(const Module& module, const Binding& b,
                                 const graph::CallNode& call) {
  const std::string& name = graph::as<graph::GlobalNode>(call.args[0])->name;
  tir::PrimFunc f = module.prim_func(name);
  const auto* result = as<TensorTypeNode>(b.var->type);
  if (!f || !result || !result->strides.empty()) return std::nullopt;
  f = tir::clone(f);

  const std::vector<Value>& args = graph::as<graph::TupleNode>(call.args[1])->fields;
  VarMap symbols;
  std::vector<std::pair<Buffer, const TensorTypeNode*>> buffers;
  std::vector<Value> values;
  size_t next = 0;
  for (const tir::Param& p : f->params) {
    if (next < args.size()) {
      const Value& a = args[next++];
      if (p.buffer) {
        buffers.emplace_back(p.buffer, graph::tensor_of(a));
        values.push_back(a);
      } else {
        const auto* prim = graph::as<graph::PrimValueNode>(a);
        if (!prim) return std::nullopt;
        symbols.emplace(p.var.get(), prim->value);
      }
    } else {
      buffers.emplace_back(p.buffer, result);
    }
  }
  if (buffers.size() != values.size() + 1) return std::nullopt;
  for (const auto& [buffer, type] : buffers) {
    if (!type || !type->shape || !type->strides.empty() || !buffer->strides.empty())
      return std::nullopt;
    for (size_t d = 0; d < buffer->shape.size(); ++d) {
      if (const auto* v = as<VarNode>(buffer->shape[d])) symbols.emplace(v, (*type->shape)[d]);
    }
  }
  Group group;
  group.name = name;
  tir::BufferMap replaced;
  for (size_t i = 0; i < buffers.size(); ++i) {
    const bool is_output = i + 1 == buffers.size();
    if (!is_output) {  // a value that is passed twice is one input
      auto same = std::find_if(group.inputs.begin(), group.inputs.end(),
                               [&](const auto& in) { return in.second == values[i]; });
      if (same != group.inputs.end()) {
        replaced.emplace(buffers[i].first.get(), same->first);
        continue;
      }
    }
    Buffer own =
        make_buffer(buffers[i].first->name, *buffers[i].second->shape, buffers[i].first->dtype);
    replaced.emplace(buffers[i].first.get(), own);
    if (is_output) {
      group.output = own;
    } else {
      group.inputs.emplace_back(own, values[i]);
    }
  }
  tir::Stmt body = tir::substitute(f->body, symbols, replaced);
  auto staged = to_stages(tir::with_body(f, body));
  if (!staged) return std::nullopt;
  group.program = std::move(*staged);
  for (Stage& s : group.program.stages) {
    s.value = with_place(s.value, b.span);
    for (Expr& e : s.extents) e = canonical(e);
    for (Expr& e : s.reduce_extents) e = canonical(e);
    s.value = with_unit_axes(s, s.value);
  }
  return group;
}

// R[i…] = X[unflatten(flatten(i…))] as a program of its own.
std::optional<Group> view_group(const Binding& b, const graph::CallNode& call) {
  const auto *from = graph::tensor_of(call.args[0]), *to = as<TensorTypeNode>(b.var->type);
  if (!from || !to || !from->shape || !to->shape) return std::nullopt;
  Group group;
  group.name = "reshape";
  group.is_view = true;
  Buffer in = make_buffer("x", *from->shape, from->dtype);
  group.output = make_buffer(b.var->name, *to->shape, to->dtype);
  group.inputs.emplace_back(in, call.args[0]);
  Stage s;
  s.name = "reshape";
  s.target = group.output;
  s.span = b.span;
  std::vector<Expr> indices;
  for (size_t i = 0; i < to->shape->size(); ++i) {
    s.axes.push_back(make_var("v_i" + std::to_string(i), dtypes::index, VarRole::loop));
    s.extents.push_back((*to->shape)[i]);
    s.indices.push_back(s.axes.back());
  }
  s.value = make_load(in, reshape_indices(*from->shape, *to->shape, s.indices));
  group.program.stages.push_back(std::move(s));
  return group;
}

// The axes of `s` that a load of another stage's result mentions, and whether that is all of them.
bool mentions_all_axes(const Stage& s, const Expr& load) {
  auto mentioned = [&](const Var& v, const Expr& extent) {
    if (is_const_int(extent, 1)) return true;
    for (const Expr& i : load->args) {
      if (uses_var(i, v)) return true;
    }
    return false;
  };
  for (size_t i = 0; i < s.axes.size(); ++i) {
    if (!mentioned(s.axes[i], s.extents[i])) return false;
  }
  for (size_t i = 0; i < s.reduce_axes.size(); ++i) {
    if (!mentioned(s.reduce_axes[i], s.reduce_extents[i])) return false;
  }
  return true;
}

bool is_plain_load(const Expr& e) {
  return e->kind == ExprKind::load;
}

// May the value of `producer` be computed at every place that reads it?
bool may_inline(const StagedProgram& p, const Stage& producer, const FuseOptions& options) {
  if (producer.is_reduction() || !stores_identity(producer)) return false;
  const bool moves = is_data_movement(producer);
  const int cost = cost_of(producer.value);
  int sites = 0;
  bool ok = true;
  for (const Stage& s : p.stages) {
    if (&s == &producer) continue;
    auto contraction = match_contraction(s);
    std::unordered_set<const ExprNode*> seen;
    auto count = [&](const Expr& e, bool in_a) {
      visit(e, [&](const Expr& node) {
        if (!seen.insert(node.get()).second) return false;
        const auto* load = as<LoadNode>(node);
        if (!load || load->buffer != producer.target) return true;
        ++sites;
        if (in_a) {
          // Read once per tile of columns, one element at a time: only a plain load is as cheap.
          ok = ok && is_plain_load(producer.value);
        } else if (contraction) {
          ok = ok && cost <= options.max_inlined_cost;  // packed once
        } else if (!mentions_all_axes(s, node)) {
          ok = ok && (moves || cost <= 1);
        }
        return true;
      });
    };
    if (contraction) {
      count(contraction->a, true);
      count(contraction->b, false);
    } else {
      count(s.value, false);
    }
  }
  return ok && (sites <= 1 || moves || cost <= 1);
}

// Inlines what is cheap; the rest stays a stage.
void inline_stages(StagedProgram& p, const FuseOptions& options) {
  for (size_t i = 0; i + 1 < p.stages.size();) {
    if (!may_inline(p, p.stages[i], options)) {
      ++i;
      continue;
    }
    const Stage producer = p.stages[i];
    p.stages.erase(p.stages.begin() + static_cast<int64_t>(i));
    for (Stage& s : p.stages) {
      Expr value = inline_loads(s.value, producer.target, producer.axes, producer.value);
      if (value == s.value) continue;
      // Ranges of the axes let subscripts such as (i * 32 + j) // 32 become i.
      const Facts facts = axis_facts(s);
      s.value = rewrite(value, [&](const Expr& e) -> Expr {
        if (e->kind != ExprKind::load) return e;
        std::vector<Expr> args;
        for (const Expr& x : e->args) args.push_back(simplify(x, facts));
        return with_args(e, std::move(args));
      });
      s.value = with_unit_axes(s, s.value);
    }
    std::erase(p.allocated, producer.target);
  }
}

int cost_of(const StagedProgram& p) {
  int cost = 0;
  for (const Stage& s : p.stages) cost += cost_of(s.value);
  return cost;
}

// At most `most` + 1.
size_t nodes_of(const StagedProgram& p, size_t most) {
  size_t nodes = 0;
  for (const Stage& s : p.stages) nodes += tree_size(s.value, most + 1);
  return std::min(nodes, most + 1);
}

// Who groups calls wants one kernel, whatever it costs to compile.
constexpr FuseOptions of_groups{64, 1024, 65536, 50'000};

class Fuser {
 public:
  Fuser(const Module& module, const OpTable& ops, const FuseOptions& options)
      : ops_(ops), given_(options), result_(module) {}

  Module run() {
    for (const std::string& name : std::vector<std::string>(result_.names())) {
      graph::Function f = result_.graph_function(name);
      if (!f) continue;
      options_ = is_group(*f) ? of_groups : given_;
      uses_.clear();
      count_uses(f->body);
      graph::Body body = fuse_body(f->body);
      if (body == f->body) continue;
      result_.set(name, make_ref<graph::FunctionNode>(f->params, body, f->result_type, f->is_pure,
                                                      f->is_private, f->attrs, f->span));
    }
    return std::move(result_);
  }

 private:
  void count_uses(const graph::Body& body) {
    for (const graph::Block& block : body->blocks) {
      for (const Binding& b : block.bindings) {
        std::unordered_set<const graph::ValueNode*> operands;  // a consumer counts once
        std::function<void(const Value&)> note = [&](const Value& v) {
          if (graph::as<graph::TupleNode>(v)) {
            graph::visit_operands(v, note);
          } else {
            operands.insert(v.get());
          }
        };
        if (graph::as<graph::VariableNode>(b.value)) note(b.value);
        graph::visit_operands(b.value, note);
        for (const graph::ValueNode* v : operands) ++uses_[v];
        if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
          count_uses(choice->then_body);
          count_uses(choice->else_body);
        } else if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
          count_uses(closure->body);
        }
      }
    }
    std::function<void(const Value&)> note = [&](const Value& v) {
      ++uses_[v.get()];
      graph::visit_operands(v, note);
    };
    note(body->result);
  }

  // Whether a closure's parameter is the first part of a concatenation. What a loop carries grows
  // in place, which the memory plan can do for a concatenation alone.
  static bool appends_to_parameter(const Group& group, const std::vector<graph::Variable>* params) {
    if (!params || group.is_view) return false;
    StagedProgram program = group.program;
    program.params.clear();
    for (const auto& [buffer, value] : group.inputs) {
      program.params.push_back(tir::buffer_param(buffer));
    }
    program.params.push_back(tir::buffer_param(group.output));
    const Sharing sharing = find_sharing(program);
    if (sharing.concatenation.empty()) return false;
    const size_t first = sharing.concatenation[0];
    return first < group.inputs.size() && std::any_of(
                                              params->begin(), params->end(),
                                              [&](const graph::Variable& p) {
                                                return p.get() == group.inputs[first].second.get();
                                              });
  }

  // `params`: of the closure that has this body.
  graph::Body fuse_body(const graph::Body& body,
                        const std::vector<graph::Variable>* params = nullptr) {
    std::unordered_map<const graph::ValueNode*, Group> groups;  // of this body, by result
    std::unordered_set<const graph::ValueNode*> absorbed;
    bool changed = false;
    std::unordered_map<const graph::ValueNode*, Value> nested;
    int barrier = 0;
    for (const graph::Block& block : body->blocks) {
      for (const Binding& b : block.bindings) {
        const WorkPart part(b.span);
        if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
          graph::Body t = fuse_body(choice->then_body, params),
                      e = fuse_body(choice->else_body, params);
          if (t != choice->then_body || e != choice->else_body) {
            changed = true;
            nested[b.var.get()] = make_ref<graph::IfNode>(choice->condition, t, e, choice->type);
          }
        }
        if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
          graph::Body inner = fuse_body(closure->body, &closure->params);
          if (inner != closure->body) {
            changed = true;
            nested[b.var.get()] = make_ref<graph::FunctionNode>(
                closure->params, inner, closure->result_type, closure->is_pure, closure->is_private,
                closure->attrs, closure->span);
          }
        }
        if (overwrites(b.value)) ++barrier;
        const auto* call = graph::as<graph::CallNode>(b.value);
        if (!call || !call->op || b.cast) continue;
        std::optional<Group> group;
        if (call->op->name == "call_tir") group = instantiate(result_, b, *call);
        if (call->op->name == "reshape") group = view_group(b, *call);
        if (!group || appends_to_parameter(*group, params)) continue;
        for (const auto& [buffer, value] : group->inputs) group->readers[value.get()] = 1;
        group->cost = cost_of(group->program);
        group->nodes = nodes_of(group->program, options_.max_nodes);
        group->barrier = barrier;
        group->block = &block;
        absorb(*group, groups, absorbed);
        changed = changed || group->changed;
        groups.emplace(b.var.get(), std::move(*group));
      }
    }
    if (!changed) return body;
    std::vector<graph::Block> blocks;
    for (const graph::Block& block : body->blocks) {
      graph::Block out{block.is_dataflow, {}};
      for (const Binding& b : block.bindings) {
        if (absorbed.count(b.var.get())) continue;
        Binding copy = b;
        if (auto it = nested.find(b.var.get()); it != nested.end()) copy.value = it->second;
        if (auto it = groups.find(b.var.get()); it != groups.end() && it->second.changed) {
          copy.value = emit(it->second, b);
        }
        out.bindings.push_back(std::move(copy));
      }
      if (!out.bindings.empty()) blocks.push_back(std::move(out));
    }
    return make_ref<graph::BodyNode>(std::move(blocks), body->result);
  }

  // Takes producers that only this group reads into it, as long as that is worth it.
  void absorb(Group& group, const std::unordered_map<const graph::ValueNode*, Group>& groups,
              std::unordered_set<const graph::ValueNode*>& absorbed) {
    for (bool again = true; again;) {
      again = false;
      for (size_t i = 0; i < group.inputs.size() && !again; ++i) {
        const Value v = group.inputs[i].second;
        auto it = groups.find(v.get());
        if (it == groups.end() || uses_[v.get()] != group.readers[v.get()]) continue;
        std::optional<Group> merged = merge(it->second, group, i);
        if (!merged) {
          again = absorb_attention(it->second, group, i, groups, absorbed);
          continue;
        }
        absorbed.insert(v.get());
        group = std::move(*merged);
        again = true;
      }
    }
  }

  // Weights (`producer`) that only `group` reads, made of scores that only they read: the three
  // together may be a nest where no two of them are.
  bool absorb_attention(const Group& producer, Group& group, size_t input,
                        const std::unordered_map<const graph::ValueNode*, Group>& groups,
                        std::unordered_set<const graph::ValueNode*>& absorbed) {
    if (!match_contraction(group.program.stages.back()) || producer.is_view) return false;
    const Value weights = group.inputs[input].second;
    for (size_t i = 0; i < producer.inputs.size(); ++i) {
      const Value scores = producer.inputs[i].second;
      auto it = groups.find(scores.get());
      if (it == groups.end() || uses_[scores.get()] != producer.readers.at(scores.get()) ||
          !match_contraction(it->second.program.stages.front()) ||
          !may_move(it->second, producer) || !may_move(producer, group)) {
        continue;
      }
      Group all = joined(joined(it->second, producer, i), group, input);
      if (!is_small(all) || !match_attention(all.program)) continue;
      absorbed.insert(scores.get());
      absorbed.insert(weights.get());
      group = std::move(all);
      return true;
    }
    return false;
  }

  // The producer's operands have to be there, and as they were, where the consumer stands.
  static bool may_move(const Group& producer, const Group& consumer) {
    if (producer.barrier != consumer.barrier) return false;
    return producer.block == consumer.block ||
           std::none_of(producer.inputs.begin(), producer.inputs.end(), [](const auto& in) {
             const auto* v = graph::as<graph::VariableNode>(in.second);
             return v && v->is_dataflow;
           });
  }

  // One program of both, whose `input` the producer makes.
  Group joined(const Group& producer, const Group& consumer, size_t input) const {
    Group merged;
    merged.barrier = consumer.barrier;
    merged.block = consumer.block;
    merged.changed = true;
    merged.output = consumer.output;
    merged.program.attrs = consumer.program.attrs;
    merged.inputs = producer.inputs;
    merged.readers = producer.readers;
    for (const auto& [value, count] : consumer.readers) {
      if (value != consumer.inputs[input].second.get()) merged.readers[value] += count;
    }
    // Each call's program was instantiated on its own: the same value has two buffers by now.
    tir::BufferMap same{{consumer.inputs[input].first.get(), producer.output}};
    for (size_t i = 0; i < consumer.inputs.size(); ++i) {
      if (i == input) continue;
      auto known = std::find_if(merged.inputs.begin(), merged.inputs.end(), [&](const auto& in) {
        return in.second == consumer.inputs[i].second;
      });
      if (known == merged.inputs.end()) {
        merged.inputs.push_back(consumer.inputs[i]);
      } else {
        same.emplace(consumer.inputs[i].first.get(), known->first);
      }
    }
    StagedProgram& p = merged.program;
    p.stages = producer.program.stages;
    p.allocated = producer.program.allocated;
    p.allocated.push_back(producer.output);
    p.allocated.insert(p.allocated.end(), consumer.program.allocated.begin(),
                       consumer.program.allocated.end());
    for (Stage s : consumer.program.stages) {
      s.value = tir::substitute_buffers(s.value, same);
      p.stages.push_back(std::move(s));
    }
    inline_stages(p, options_);
    merged.cost = cost_of(p);
    merged.nodes = nodes_of(p, options_.max_nodes);
    merged.name = producer.is_view ? consumer.name : producer.name + "_" + consumer.name;
    return merged;
  }

  bool is_small(const Group& group) const {
    return static_cast<int>(group.program.stages.size()) <= options_.max_stages &&
           group.nodes <= options_.max_nodes;
  }

  std::optional<Group> merge(const Group& producer, const Group& consumer, size_t input) const {
    if (consumer.is_view || !may_move(producer, consumer)) return std::nullopt;
    if (producer.cost > 0 && producer.cost + consumer.cost > options_.max_cost) return std::nullopt;
    if (producer.nodes + consumer.nodes > options_.max_nodes) return std::nullopt;
    Group merged = joined(producer, consumer, input);
    const StagedProgram& p = merged.program;
    if (!is_small(merged) || !is_single_nest(p)) return std::nullopt;
    // A view alone is free: it is worth a kernel's subscripts only next to other moved data, or in
    // a contraction.
    if (producer.is_view && classify(p) != ProgramKind::contraction &&
        !std::all_of(p.stages.begin(), p.stages.end(), is_data_movement)) {
      return std::nullopt;
    }
    return merged;
  }

  Value emit(const Group& group, const Binding& b) {
    std::vector<tir::Param> inputs;
    std::vector<Value> args;
    for (const auto& [buffer, value] : group.inputs) {
      inputs.push_back(tir::buffer_param(buffer));
      args.push_back(value);
    }
    StagedProgram p = group.program;
    p.params.clear();
    te::Program closed =
        te::close_program(inputs, {tir::buffer_param(group.output)}, from_stages(p)->body, p.attrs);
    std::string name = group.name.size() <= 60 ? group.name : group.name.substr(0, 60);
    const std::string global = result_.add_prim_func(name, closed.func);
    for (const Expr& s : closed.symbols) args.push_back(graph::make_prim(s));
    return make_ref<graph::CallNode>(
        ops_.find("call_tir"), nullptr,
        std::vector<Value>{graph::make_global(global), graph::make_tuple(std::move(args))}, Attrs{},
        std::vector<Type>{b.var->type}, b.var->type);
  }

  const OpTable& ops_;
  const FuseOptions& given_;
  FuseOptions options_;  // of the function at hand
  Module result_;
  std::unordered_map<const graph::ValueNode*, int> uses_;
};

}  // namespace

Module fuse_programs(const Module& module, const OpTable& ops, const FuseOptions& options) {
  return Fuser(module, ops, options).run();
}

}  // namespace repose
