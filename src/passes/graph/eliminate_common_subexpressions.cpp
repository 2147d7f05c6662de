// Computes equal pure calls once.
#include "passes/graph/eliminate_common_subexpressions.h"

#include "ir/function_facts.h"

namespace repose {

namespace {

using graph::Value;

bool same_leaf(const Value& a, const Value& b) {
  if (a == b) return true;
  if (a->kind != b->kind) return false;
  if (const auto *x = graph::as<graph::ConstantNode>(a), *y = graph::as<graph::ConstantNode>(b);
      x && y) {
    // Small constants by contents, large ones by identity: importers make each once.
    return x->data == y->data || (x->data->num_bytes <= 256 && equal_bytes(*x->data, *y->data));
  }
  if (const auto *x = graph::as<graph::ShapeNode>(a), *y = graph::as<graph::ShapeNode>(b); x && y) {
    if (x->dims.size() != y->dims.size()) return false;
    for (size_t i = 0; i < x->dims.size(); ++i) {
      if (!structural_equal(x->dims[i], y->dims[i])) return false;
    }
    return true;
  }
  if (const auto *x = graph::as<graph::PrimValueNode>(a), *y = graph::as<graph::PrimValueNode>(b);
      x && y) {
    return structural_equal(x->value, y->value);
  }
  if (const auto *x = graph::as<graph::TupleNode>(a), *y = graph::as<graph::TupleNode>(b); x && y) {
    if (x->fields.size() != y->fields.size()) return false;
    for (size_t i = 0; i < x->fields.size(); ++i) {
      if (!same_leaf(x->fields[i], y->fields[i])) return false;
    }
    return true;
  }
  if (const auto *x = graph::as<graph::GlobalNode>(a), *y = graph::as<graph::GlobalNode>(b);
      x && y) {
    return x->name == y->name;
  }
  if (const auto *x = graph::as<graph::StringNode>(a), *y = graph::as<graph::StringNode>(b);
      x && y) {
    return x->value == y->value;
  }
  if (const auto *x = graph::as<graph::DTypeNode>(a), *y = graph::as<graph::DTypeNode>(b); x && y) {
    return x->value == y->value;
  }
  return false;
}

bool same_call(const Value& a, const Value& b) {
  const auto *x = graph::as<graph::CallNode>(a), *y = graph::as<graph::CallNode>(b);
  if (x && y) {
    if (x->op != y->op || x->args.size() != y->args.size() || !(x->attrs == y->attrs) ||
        !structural_equal(a->type, b->type)) {
      return false;
    }
    for (size_t i = 0; i < x->args.size(); ++i) {
      if (!same_leaf(x->args[i], y->args[i])) return false;
    }
    return true;
  }
  const auto *g = graph::as<graph::TupleGetNode>(a), *h = graph::as<graph::TupleGetNode>(b);
  return g && h && g->index == h->index && same_leaf(g->tuple, h->tuple);
}

// Equal calls have equal keys; the converse is same_call's to say.
uint64_t key_of(const Value& v) {
  if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
    return reinterpret_cast<uintptr_t>(get->tuple.get()) * 31 + static_cast<uint64_t>(get->index);
  }
  const auto* call = graph::as<graph::CallNode>(v);
  uint64_t key = reinterpret_cast<uintptr_t>(call->op);
  for (const Value& a : call->args) {
    key = key * 0x9e3779b97f4a7c15ULL + (graph::as<graph::VariableNode>(a)
                                             ? reinterpret_cast<uintptr_t>(a.get())
                                             : static_cast<uint64_t>(a->kind));
  }
  return key;
}

class Eliminator {
 public:
  graph::Body run(const graph::Body& body,
                  std::unordered_multimap<uint64_t, graph::Binding> known) {
    std::vector<graph::Block> blocks;
    bool changed = false;
    for (const graph::Block& block : body->blocks) {
      graph::Block out{block.is_dataflow, {}};
      for (const graph::Binding& b : block.bindings) {
        graph::Binding copy = b;
        copy.value = graph::substitute(b.value, replaced_, {});
        if (const auto* choice = graph::as<graph::IfNode>(copy.value)) {
          graph::Body t = run(choice->then_body, known), e = run(choice->else_body, known);
          if (t != choice->then_body || e != choice->else_body) {
            copy.value = make_ref<graph::IfNode>(choice->condition, t, e, choice->type);
          }
        }
        if (const auto* closure = graph::as<graph::FunctionNode>(copy.value)) {
          graph::Body inner = run(closure->body, known);
          if (inner != closure->body) {
            copy.value = make_ref<graph::FunctionNode>(closure->params, inner, closure->result_type,
                                                       closure->is_pure, closure->is_private,
                                                       closure->attrs, closure->span);
          }
        }
        changed = changed || copy.value != b.value;
        const auto* call = graph::as<graph::CallNode>(copy.value);
        const bool pure = (call && call->op && call->op->pure && !is_check(copy.value) &&
                           call->op->name != "call_tir_inplace") ||
                          graph::as<graph::TupleGetNode>(copy.value);
        if (pure && !b.cast) {
          const uint64_t key = key_of(copy.value);
          const graph::Binding* earlier = nullptr;
          auto [begin, end] = known.equal_range(key);
          for (auto it = begin; it != end && !earlier; ++it) {
            // A dataflow variable is visible in its own block only.
            const bool visible = !it->second.var->is_dataflow || is_in(out, it->second.var);
            if (visible && same_call(it->second.value, copy.value)) earlier = &it->second;
          }
          if (earlier && (b.var->is_dataflow || !block.is_dataflow)) {
            replaced_[b.var.get()] = earlier->var;
            changed = true;
            continue;
          }
          known.emplace(key, copy);
        }
        out.bindings.push_back(std::move(copy));
      }
      if (!out.bindings.empty()) blocks.push_back(std::move(out));
    }
    Value result = graph::substitute(body->result, replaced_, {});
    if (!changed && result == body->result) return body;
    return make_ref<graph::BodyNode>(std::move(blocks), result);
  }

 private:
  static bool is_in(const graph::Block& block, const graph::Variable& v) {
    for (const graph::Binding& b : block.bindings) {
      if (b.var == v) return true;
    }
    return false;
  }

  graph::ValueMap replaced_;
};

}  // namespace

Module eliminate_common_subexpressions(const Module& module) {
  Module result = module;
  for (const std::string& name : module.names()) {
    graph::Function f = module.graph_function(name);
    if (!f) continue;
    graph::Body body = Eliminator().run(f->body, {});
    if (body != f->body) {
      result.set(name, make_ref<graph::FunctionNode>(f->params, body, f->result_type, f->is_pure,
                                                     f->is_private, f->attrs, f->span));
    }
  }
  return result;
}

}  // namespace repose
