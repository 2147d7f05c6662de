// Patterns over the graph IR: the nodes, and a search with backtracking.
#include "passes/graph/pattern.h"

#include <algorithm>
#include <unordered_set>

#include "ir/function_facts.h"
#include "ir/op.h"

namespace repose {

using graph::Binding;
using graph::Value;

// ---- Nodes
// -----------------------------------------------------------------------------------------------

namespace pattern {

Pattern any(Type type) {
  return make_ref<PatternNode>(PatternFields{.type = std::move(type)});
}

Pattern constant(Type type) {
  return make_ref<PatternNode>(PatternFields{.type = std::move(type), .is_constant = true});
}

Pattern call(std::string op, std::vector<Pattern> operands, Attrs attrs) {
  return make_ref<PatternNode>(PatternFields{.kind = PatternKind::call,
                                             .operands = std::move(operands),
                                             .op = std::move(op),
                                             .attrs = std::move(attrs)});
}

Pattern call(Value function, std::vector<Pattern> operands) {
  return make_ref<PatternNode>(PatternFields{
      .kind = PatternKind::call, .operands = std::move(operands), .leaf = std::move(function)});
}

Pattern tuple(std::vector<Pattern> fields) {
  return make_ref<PatternNode>(
      PatternFields{.kind = PatternKind::tuple, .operands = std::move(fields)});
}

Pattern item(Pattern tuple, int index) {
  return make_ref<PatternNode>(
      PatternFields{.kind = PatternKind::item, .operands = {std::move(tuple)}, .index = index});
}

Pattern leaf(Value value) {
  return make_ref<PatternNode>(PatternFields{.kind = PatternKind::leaf, .leaf = std::move(value)});
}

Pattern either(std::vector<Pattern> alternatives) {
  return make_ref<PatternNode>(
      PatternFields{.kind = PatternKind::either, .operands = std::move(alternatives)});
}

Pattern cast(Pattern value, Type type) {
  return make_ref<PatternNode>(PatternFields{
      .kind = PatternKind::cast, .type = std::move(type), .operands = {std::move(value)}});
}

Pattern with_type(const Pattern& p, Type type) {
  PatternFields fields = *p;
  fields.type = std::move(type);
  return make_ref<PatternNode>(std::move(fields));
}

Pattern with_type_args(const Pattern& p, std::vector<Type> types) {
  PatternFields fields = *p;
  fields.type_args = std::move(types);
  return make_ref<PatternNode>(std::move(fields));
}

Pattern shared(const Pattern& p) {
  PatternFields fields = *p;
  fields.is_shared = true;
  return make_ref<PatternNode>(std::move(fields));
}

}  // namespace pattern

// ---- Uses
// ------------------------------------------------------------------------------------------------

ValueUses::ValueUses(const graph::Function& f) : function_(f) {
  size_t position = 0;
  visit(f->body, position);
}

void ValueUses::visit(const graph::Body& body, size_t& position) {
  const Binding* reader = nullptr;
  std::function<void(const Value&)> note = [&](const Value& v) {
    if (v->kind == graph::ValueKind::variable) readers_[v.get()].push_back(reader);
    graph::visit_operands(v, note);
  };
  for (const graph::Block& block : body->blocks) {
    for (const Binding& b : block.bindings) {
      reader = &b;
      places_[b.var.get()] = {&b, body.get(), &block, position++};
      if (b.value->kind != graph::ValueKind::function) note(b.value);
      if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
        visit(choice->then_body, position);
        visit(choice->else_body, position);
      } else if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
        visit(closure->body, position);
      }
      const auto* call = graph::as<graph::CallNode>(b.value);
      if (!call || !call->op || call->op->name != "call_tir_inplace") continue;
      const auto* args = graph::as<graph::TupleNode>(call->args[1]);
      for (int64_t i : call->attrs.get_ints("inplace_indices")) {
        if (i >= 0) overwritten_[args->fields[static_cast<size_t>(i)].get()] = true;
      }
    }
  }
  reader = nullptr;
  note(body->result);
}

const ValueUses::Place* ValueUses::find(const Value& variable) const {
  auto it = places_.find(variable.get());
  return it == places_.end() ? nullptr : &it->second;
}

const std::vector<const Binding*>& ValueUses::readers(const Value& variable) const {
  static const std::vector<const Binding*> none;
  auto it = readers_.find(variable.get());
  return it == readers_.end() ? none : it->second;
}

bool ValueUses::is_overwritten(const Value& variable) const {
  return overwritten_.contains(variable.get());
}

// ---- Matching
// --------------------------------------------------------------------------------------------

namespace {

// Operands without those that are left out at the end.
size_t given_operands(const std::vector<Value>& args) {
  size_t n = args.size();
  while (n > 0) {
    const auto* call = graph::as<graph::CallNode>(args[n - 1]);
    if (!call || !call->op || call->op->name != "null_value") break;
    --n;
  }
  return n;
}

bool same_constant(const ArrayNode& a, const ArrayNode& b) {
  return &a == &b || (a.dtype == b.dtype && a.shape == b.shape && equal_bytes(a, b));
}

// A search in progress. A copy is a branch of it.
struct Search {
  PatternMatch match;
  std::vector<std::pair<Pattern, Value>> pending;
  std::vector<std::pair<Type, Type>> types;  // of the pattern, of the value
  // The node that each binding belongs to.
  std::unordered_map<const Binding*, const PatternNode*> covered;
};

class Matcher {
 public:
  Matcher(const PatternGraph& pattern, const ValueUses& uses, const ValueUses::Place& first,
          const Facts& facts, const VarMap& now,
          const std::function<bool(const Binding&)>& is_taken)
      : pattern_(pattern),
        uses_(uses),
        first_(first),
        facts_(facts),
        now_(now),
        is_taken_(is_taken) {}

  std::optional<PatternMatch> run() {
    for (size_t i = 0; i < pattern_.roots.size(); ++i) {
      Search s;
      s.match.roots.resize(pattern_.roots.size());
      if (!begin_root(s, i, first_)) continue;
      if (auto found = solve(std::move(s))) return found;
    }
    return std::nullopt;
  }

 private:
  bool begin_root(Search& s, size_t i, const ValueUses::Place& place) const {
    s.match.roots[i] = place;
    s.pending.emplace_back(pattern_.roots[i], place.binding->var);
    return true;
  }

  std::optional<PatternMatch> solve(Search s) const {
    while (!s.pending.empty()) {
      auto [p, v] = std::move(s.pending.back());
      s.pending.pop_back();
      if (p->kind == PatternKind::either) {
        for (size_t i = 0; i < p->operands.size(); ++i) {
          Search branch = s;
          branch.match.alternatives[p.get()] = i;
          branch.match.values[p.get()] = v;
          if (p->type) branch.types.emplace_back(p->type, v->type);
          branch.pending.emplace_back(p->operands[i], v);
          if (auto found = solve(std::move(branch))) return found;
        }
        return std::nullopt;
      }
      if (!step(s, p, v)) return std::nullopt;
    }
    for (size_t i = 0; i < pattern_.roots.size(); ++i) {
      if (!s.match.roots[i].binding) return next_root(s, i);
    }
    return finish(std::move(s));
  }

  // Whatever reads, within a few steps, what is matched by now may be another root.
  std::optional<PatternMatch> next_root(const Search& s, size_t i) const {
    for (const ValueUses::Place* place : candidates(s)) {
      Search branch = s;
      if (!begin_root(branch, i, *place)) continue;
      if (auto found = solve(std::move(branch))) return found;
    }
    return std::nullopt;
  }

  std::vector<const ValueUses::Place*> candidates(const Search& s) const {
    std::unordered_set<const Binding*> seen;
    std::vector<const ValueUses::Place*> places;
    std::vector<Value> front;
    for (const auto& [p, v] : s.match.values) front.push_back(v);
    for (size_t depth = 0; depth < max_distance && !front.empty(); ++depth) {
      std::vector<Value> next;
      for (const Value& v : front) {
        for (const Binding* b : uses_.readers(v)) {
          if (!b || !seen.insert(b).second) continue;
          next.push_back(b->var);
          const ValueUses::Place* place = uses_.find(b->var);
          if (place->body == first_.body && place->position > first_.position)
            places.push_back(place);
        }
      }
      front = std::move(next);
    }
    std::sort(places.begin(), places.end(),
              [](const auto* a, const auto* b) { return a->position < b->position; });
    return places;
  }

  // What a variable is bound to, through other names of it; the bindings on the way are covered.
  // Null: something else covers one of them, or they are elsewhere.
  Value resolve(Search& s, const Pattern& p, Value v) const {
    while (v->kind == graph::ValueKind::variable) {
      const ValueUses::Place* place = uses_.find(v);
      if (!place) return v;
      const Binding& b = *place->binding;
      if (b.cast && p->kind != PatternKind::cast) return v;
      const bool is_free = graph::is_leaf(b.value) && b.value->kind != graph::ValueKind::variable &&
                           b.value->kind != graph::ValueKind::tuple;
      if (!is_free) {
        if (place->body != first_.body || is_taken_(b)) return nullptr;
        if (!s.covered.emplace(&b, p.get()).second) return nullptr;
      }
      if (b.cast) return v;
      v = b.value;
    }
    return v;
  }

  // The variable that others name, for comparisons.
  Value origin(Value v) const {
    while (const ValueUses::Place* place = uses_.find(v)) {
      if (place->binding->cast || place->binding->value->kind != graph::ValueKind::variable) break;
      v = place->binding->value;
    }
    return v;
  }

  bool step(Search& s, const Pattern& p, const Value& v) const {
    if (auto known = s.match.values.find(p.get()); known != s.match.values.end()) {
      const Value a = origin(known->second), b = origin(v);
      const auto *x = graph::as<graph::ConstantNode>(a), *y = graph::as<graph::ConstantNode>(b);
      return a == b || (x && y && same_constant(*x->data, *y->data));
    }
    s.match.values.emplace(p.get(), v);
    if (p->type && p->kind != PatternKind::cast) s.types.emplace_back(p->type, v->type);
    if (p->kind == PatternKind::any) return matches_any(p, v);
    const Value found = resolve(s, p, v);
    if (!found) return false;
    switch (p->kind) {
      case PatternKind::call:
        return match_call(s, p, found);
      case PatternKind::tuple:
        return match_tuple(s, p, found);
      case PatternKind::item:
        return match_item(s, p, found);
      case PatternKind::leaf:
        return match_leaf(s, p, found);
      case PatternKind::cast:
        return match_cast(s, p, found);
      default:
        return false;
    }
  }

  bool matches_any(const Pattern& p, const Value& v) const {
    if (!p->is_constant) return true;
    const ValueUses::Place* place = uses_.find(origin(v));
    const Value& end = place ? place->binding->value : origin(v);
    return end->kind == graph::ValueKind::constant;
  }

  bool match_call(Search& s, const Pattern& p, const Value& v) const {
    const auto* call = graph::as<graph::CallNode>(v);
    if (!call || is_check(v) || !is_pure_call(*call)) return false;
    if (p->leaf ? !call->callee || !same_leaf(p->leaf, call->callee)
                : !call->op || call->op->name != p->op) {
      return false;
    }
    if (given_operands(call->args) != p->operands.size()) return false;
    for (const auto& [name, value] : p->attrs) {
      const Attr* own = call->attrs.find(name);
      if (!own || !(*own == value)) return false;
    }
    if (!p->type_args.empty()) {
      if (p->type_args.size() != call->type_args.size()) return false;
      for (size_t i = 0; i < p->type_args.size(); ++i) {
        s.types.emplace_back(p->type_args[i], call->type_args[i]);
      }
    }
    s.match.calls.emplace(p.get(), call);
    push_operands(s, p->operands, call->args);
    return true;
  }

  bool match_tuple(Search& s, const Pattern& p, const Value& v) const {
    const auto* tuple = graph::as<graph::TupleNode>(v);
    if (!tuple || tuple->fields.size() != p->operands.size()) return false;
    push_operands(s, p->operands, tuple->fields);
    return true;
  }

  bool match_item(Search& s, const Pattern& p, const Value& v) const {
    const auto* get = graph::as<graph::TupleGetNode>(v);
    if (!get || get->index != p->index) return false;
    s.pending.emplace_back(p->operands[0], get->tuple);
    return true;
  }

  bool match_cast(Search& s, const Pattern& p, const Value& v) const {
    const ValueUses::Place* place = uses_.find(v);
    if (!place || !place->binding->cast) return false;
    s.types.emplace_back(p->type, place->binding->cast);
    s.pending.emplace_back(p->operands[0], place->binding->value);
    return true;
  }

  bool match_leaf(Search& s, const Pattern& p, const Value& v) const {
    const graph::ValueKind kind = p->leaf->kind;
    if (kind == graph::ValueKind::shape || kind == graph::ValueKind::prim_value) {
      s.types.emplace_back(p->leaf->type, v->type);
      return true;
    }
    return same_leaf(p->leaf, v);
  }

  static bool same_leaf(const Value& a, const Value& b) {
    if (a->kind != b->kind) return false;
    switch (a->kind) {
      case graph::ValueKind::constant:
        return same_constant(*graph::as<graph::ConstantNode>(a)->data,
                             *graph::as<graph::ConstantNode>(b)->data);
      case graph::ValueKind::string:
        return graph::as<graph::StringNode>(a)->value == graph::as<graph::StringNode>(b)->value;
      case graph::ValueKind::dtype:
        return graph::as<graph::DTypeNode>(a)->value == graph::as<graph::DTypeNode>(b)->value;
      case graph::ValueKind::global:
        return graph::as<graph::GlobalNode>(a)->name == graph::as<graph::GlobalNode>(b)->name;
      case graph::ValueKind::external:
        return graph::as<graph::ExternNode>(a)->name == graph::as<graph::ExternNode>(b)->name;
      default:
        return false;
    }
  }

  // The first operand is looked at first.
  static void push_operands(Search& s, const std::vector<Pattern>& patterns,
                            const std::vector<Value>& values) {
    for (size_t i = patterns.size(); i-- > 0;) s.pending.emplace_back(patterns[i], values[i]);
  }

  // ---- What is asked of the whole match --------------------------------------------------------

  std::optional<PatternMatch> finish(Search s) const {
    PatternMatch& m = s.match;
    for (const auto& [binding, node] : s.covered) m.bindings.push_back(binding);
    std::sort(m.bindings.begin(), m.bindings.end(), [&](const Binding* a, const Binding* b) {
      return uses_.find(a->var)->position < uses_.find(b->var)->position;
    });
    if (!are_roots_free(s) || !is_closed(s) || !are_leaves_there(s)) return std::nullopt;
    if (!unify(s)) return std::nullopt;
    for (const Expr& c : pattern_.conditions) {
      if (prove(canonical(substitute(c, m.symbols)), facts_) != Truth::yes) return std::nullopt;
    }
    return std::move(m);
  }

  static bool are_roots_free(const Search& s) {
    return std::all_of(s.match.roots.begin(), s.match.roots.end(),
                       [&](const auto& root) { return s.covered.contains(root.binding); });
  }

  // Nobody else reads what lies between.
  bool is_closed(const Search& s) const {
    for (const auto& [binding, node] : s.covered) {
      const bool is_root =
          std::any_of(s.match.roots.begin(), s.match.roots.end(),
                      [b = binding](const auto& root) { return root.binding == b; });
      if (is_root || node->is_shared) continue;
      for (const Binding* reader : uses_.readers(binding->var)) {
        if (!reader || !s.covered.contains(reader)) return false;
      }
    }
    return true;
  }

  // Whatever the match reads from outside is visible where its first root stands.
  bool are_leaves_there(const Search& s) const {
    bool there = true;
    std::function<void(const Value&)> look = [&](const Value& v) {
      if (uses_.is_overwritten(v)) there = false;
      const ValueUses::Place* place = uses_.find(v);
      if (place && !s.covered.contains(place->binding)) {
        const auto* variable = graph::as<graph::VariableNode>(v);
        there = there && place->position < first_.position &&
                (!variable->is_dataflow || place->block == first_.block);
      }
      graph::visit_operands(v, look);
    };
    for (const auto& [binding, node] : s.covered) look(binding->value);
    for (const auto& [p, v] : s.match.values) {
      if (p->kind == PatternKind::any) look(v);
    }
    return there;
  }

  bool unify(Search& s) const {
    for (auto& [want, have] : s.types) {
      have = substitute(have, now_);
      match_symbols(want, have, s.match.symbols);
    }
    return std::all_of(s.types.begin(), s.types.end(), [&](const auto& pair) {
      return is_subtype(pair.second, substitute(pair.first, s.match.symbols), facts_) == Truth::yes;
    });
  }

  static constexpr size_t max_distance = 16;  // from a matched value to another root

  const PatternGraph& pattern_;
  const ValueUses& uses_;
  const ValueUses::Place& first_;
  const Facts& facts_;
  const VarMap& now_;
  const std::function<bool(const Binding&)>& is_taken_;
};

}  // namespace

std::optional<PatternMatch> match_pattern(const PatternGraph& pattern, const ValueUses& uses,
                                          const ValueUses::Place& first, const Facts& facts,
                                          const VarMap& now,
                                          const std::function<bool(const Binding&)>& is_taken) {
  return Matcher(pattern, uses, first, facts, now, is_taken).run();
}

}  // namespace repose
