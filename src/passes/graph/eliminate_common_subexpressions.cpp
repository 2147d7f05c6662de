// Computes equal pure calls once.
#include "passes/graph/eliminate_common_subexpressions.h"

#include <functional>
#include <string_view>
#include <unordered_set>

#include "ir/function_facts.h"

namespace repose {

namespace {

using graph::Value;

// Small constants are compared by contents, large ones by identity: importers make each once.
constexpr size_t max_compared_bytes = 256;

bool same_leaf(const Value& a, const Value& b) {
  if (a == b) return true;
  if (a->kind != b->kind) return false;
  if (const auto *x = graph::as<graph::ConstantNode>(a), *y = graph::as<graph::ConstantNode>(b);
      x && y) {
    return x->data == y->data ||
           (x->data->num_bytes <= max_compared_bytes && equal_bytes(*x->data, *y->data));
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

uint64_t mix(uint64_t key, uint64_t value) {
  return key * 0x9e3779b97f4a7c15ULL + value;
}

uint64_t mix_pointer(uint64_t key, const void* node) {
  return mix(key, reinterpret_cast<uintptr_t>(node));
}

uint64_t key_of(const ArrayNode& array) {
  if (array.num_bytes > max_compared_bytes) return mix_pointer(0, &array);
  // What is left of a last byte of packed elements belongs to none.
  const size_t rest = array.dtype.is_packed() && array.num_bytes > 0 ? 1 : 0;
  const auto* bytes = reinterpret_cast<const char*>(array.bytes);
  return std::hash<std::string_view>()(std::string_view(bytes, array.num_bytes - rest));
}

// Equal leaves have equal keys, and so have equal calls; the converse is same_leaf's and
// same_call's to say.
uint64_t key_of_leaf(const Value& v) {
  uint64_t key = static_cast<uint64_t>(v->kind);
  if (graph::as<graph::VariableNode>(v)) return mix_pointer(key, v.get());
  if (const auto* constant = graph::as<graph::ConstantNode>(v)) {
    return mix(key, key_of(*constant->data));
  }
  if (const auto* shape = graph::as<graph::ShapeNode>(v)) {
    for (const Expr& d : shape->dims) key = mix(key, d->hash());
  }
  if (const auto* prim = graph::as<graph::PrimValueNode>(v)) return mix(key, prim->value->hash());
  if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
    for (const Value& field : tuple->fields) key = mix(key, key_of_leaf(field));
  }
  return key;
}

uint64_t key_of(const Value& v) {
  if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
    return mix(key_of_leaf(get->tuple), static_cast<uint64_t>(get->index));
  }
  const auto* call = graph::as<graph::CallNode>(v);
  uint64_t key = mix_pointer(0, call->op);
  for (const Value& a : call->args) key = mix(key, key_of_leaf(a));
  return key;
}

// What is overwritten in place, and all that it is made of, as it may lie in the same bytes:
// nothing else may be the same variable.
std::unordered_set<const graph::ValueNode*> overwritten(const graph::Body& body) {
  std::unordered_set<const graph::ValueNode*> found;
  std::vector<graph::Binding> bindings;
  graph::visit_bindings(body, true, [&](const graph::Binding& b) { bindings.push_back(b); });
  const std::function<void(const Value&)> note = [&](const Value& v) {
    found.insert(v.get());
    if (graph::as<graph::TupleNode>(v)) graph::visit_operands(v, note);
  };
  for (size_t i = bindings.size(); i-- > 0;) {
    const Value& value = bindings[i].value;
    if (found.contains(bindings[i].var.get())) graph::visit_operands(value, note);
    const auto* call = graph::as<graph::CallNode>(value);
    if (!call || !call->op || !call->attrs.find("inplace_indices")) continue;
    const auto* tuple = graph::as<graph::TupleNode>(call->args[1]);
    for (const int64_t at : call->attrs.get_ints("inplace_indices")) {
      if (at < 0) continue;
      const auto place = static_cast<size_t>(at);
      if (tuple && call->op->name == "call_tir_inplace") {
        note(tuple->fields[place]);
      } else {
        note(call->args[place + 1]);
      }
    }
  }
  return found;
}

class Eliminator {
 public:
  explicit Eliminator(std::unordered_set<const graph::ValueNode*> overwritten)
      : overwritten_(std::move(overwritten)) {}

  graph::Body run(const graph::Body& body,
                  std::unordered_multimap<uint64_t, graph::Binding> known) {
    std::vector<graph::Block> blocks;
    bool changed = false;
    for (const graph::Block& block : body->blocks) {
      graph::Block out{block.is_dataflow, {}};
      std::unordered_set<const graph::VariableNode*> in_block;
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
        if (pure && !b.cast && !overwritten_.contains(b.var.get())) {
          const uint64_t key = key_of(copy.value);
          const graph::Binding* earlier = nullptr;
          auto [begin, end] = known.equal_range(key);
          for (auto it = begin; it != end && !earlier; ++it) {
            // A dataflow variable is visible in its own block only.
            const bool visible =
                !it->second.var->is_dataflow || in_block.contains(it->second.var.get());
            if (visible && same_call(it->second.value, copy.value)) earlier = &it->second;
          }
          if (earlier && (b.var->is_dataflow || !block.is_dataflow)) {
            replaced_[b.var.get()] = earlier->var;
            changed = true;
            continue;
          }
          known.emplace(key, copy);
        }
        in_block.insert(copy.var.get());
        out.bindings.push_back(std::move(copy));
      }
      if (!out.bindings.empty()) blocks.push_back(std::move(out));
    }
    Value result = graph::substitute(body->result, replaced_, {});
    if (!changed && result == body->result) return body;
    return make_ref<graph::BodyNode>(std::move(blocks), result);
  }

 private:
  const std::unordered_set<const graph::ValueNode*> overwritten_;
  graph::ValueMap replaced_;
};

}  // namespace

Module eliminate_common_subexpressions(const Module& module) {
  Module result = module;
  for (const std::string& name : module.names()) {
    graph::Function f = module.graph_function(name);
    if (!f) continue;
    graph::Body body = Eliminator(overwritten(f->body)).run(f->body, {});
    if (body != f->body) {
      result.set(name, make_ref<graph::FunctionNode>(f->params, body, f->result_type, f->is_pure,
                                                     f->is_private, f->attrs, f->span));
    }
  }
  return result;
}

}  // namespace repose
