// Makes one matrix product of several with the same left operand.
#include "passes/graph/combine_parallel_matmul.h"

#include <algorithm>

#include "ops/composite.h"
#include "passes/graph/eliminate_dead_code.h"
#include "passes/graph/pattern.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Binding;
using graph::Value;

// Products that become one, in order; the first is where it stands.
using Products = std::vector<const Binding*>;

bool is_weight(const Value& v, const ValueUses& uses) {
  if (v->kind == graph::ValueKind::constant) return true;
  return v->kind == graph::ValueKind::variable && !uses.find(v);  // a parameter
}

const graph::CallNode* product_by_weight(const Binding& b, const ValueUses& uses) {
  const auto* call = graph::as<graph::CallNode>(b.value);
  if (!call || !call->op || call->op->name != "matmul" || b.cast) return nullptr;
  const TensorTypeNode *x = graph::tensor_of(call->args[0]), *w = graph::tensor_of(call->args[1]);
  if (!x || !w || !x->shape || !w->shape || x->rank < 2 || w->rank != 2) return nullptr;
  return is_weight(call->args[1], uses) && !uses.is_overwritten(call->args[0]) ? call : nullptr;
}

bool fits(const graph::CallNode& a, const graph::CallNode& b) {
  const TensorTypeNode *v = graph::tensor_of(a.args[1]), *w = graph::tensor_of(b.args[1]);
  return a.args[0] == b.args[0] && a.attrs == b.attrs && v->dtype == w->dtype &&
         structural_equal((*v->shape)[0], (*w->shape)[0]);
}

void collect(const graph::Body& body, const ValueUses& uses, std::vector<Products>& all) {
  std::vector<Products> here;
  for (const graph::Block& block : body->blocks) {
    // A dataflow variable is there in its own block only.
    const size_t first = here.size();
    for (const Binding& b : block.bindings) {
      if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
        collect(choice->then_body, uses, all);
        collect(choice->else_body, uses, all);
      }
      const graph::CallNode* call = product_by_weight(b, uses);
      if (!call) continue;
      auto same = std::find_if(
          here.begin() + static_cast<std::ptrdiff_t>(first), here.end(),
          [&](const Products& p) { return fits(*graph::as<graph::CallNode>(p[0]->value), *call); });
      if (same == here.end()) {
        here.push_back({&b});
      } else {
        same->push_back(&b);
      }
    }
  }
  for (Products& p : here) {
    if (p.size() > 1) all.push_back(std::move(p));
  }
}

// One product, and a slice of it for each.
Result<std::vector<Value>> combine(Rebuilding& r, const Products& products) {
  std::vector<Value> weights;
  Dims ends{make_int(0)};
  for (const Binding* b : products) {
    weights.push_back(r.now(graph::as<graph::CallNode>(b->value)->args[1]));
    ends.push_back(canonical(ends.back() + (*graph::tensor_of(weights.back())->shape)[1]));
  }
  const auto* first = graph::as<graph::CallNode>(products[0]->value);
  const Value weight = graph::make_op_call(*r.builder.ops().find("concat"),
                                           {graph::make_tuple(weights)}, Attrs{{"axis", 1}});
  const Value product =
      graph::make_op_call(*first->op, {r.now(first->args[0]), weight}, first->attrs);
  REPOSE_TRY(all, r.builder.emit(product, products[0]->var->name, products[0]->span));
  std::vector<Value> slices;
  const int64_t axis = graph::tensor_of(all)->rank - 1;
  for (size_t i = 0; i < products.size(); ++i) {
    const Value slice = sliced(all, axis, ends[i], ends[i + 1]);
    REPOSE_TRY(var, r.builder.emit(slice, products[i]->var->name, products[i]->span));
    slices.push_back(var);
  }
  return slices;
}

}  // namespace

Result<Module> combine_parallel_matmul(const Module& module, const OpTable& ops) {
  std::vector<Products> groups;
  std::unordered_map<const Binding*, size_t> group_of;
  std::unordered_map<const Binding*, Value> made;
  bool any = false;
  RebuildHooks hooks;
  hooks.begin = [&](Rebuilding&, const std::string&, const graph::Function& f,
                    FunctionOptions&) -> Result<void> {
    groups.clear();
    group_of.clear();
    made.clear();
    collect(f->body, ValueUses(f), groups);
    for (size_t i = 0; i < groups.size(); ++i) {
      for (const Binding* b : groups[i]) group_of.emplace(b, i);
    }
    any = any || !groups.empty();
    return {};
  };
  hooks.binding = [&](Rebuilding& r, const Binding& b) -> Result<NewBinding> {
    const auto group = group_of.find(&b);
    if (group == group_of.end()) return NewBinding();
    if (!made.contains(&b)) {
      const Products& products = groups[group->second];
      REPOSE_TRY(values, combine(r, products));
      for (size_t i = 0; i < products.size(); ++i) made.emplace(products[i], values[i]);
    }
    return NewBinding{made.at(&b), false, {}};
  };
  REPOSE_TRY(result, rebuild_functions(module, ops, hooks));
  return any ? eliminate_dead_code(result) : module;
}

}  // namespace repose
