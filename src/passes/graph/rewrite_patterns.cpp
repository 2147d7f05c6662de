// Replaces what patterns match.
#include "passes/graph/rewrite_patterns.h"

#include <algorithm>
#include <unordered_set>

#include "ir/function_facts.h"
#include "passes/graph/eliminate_dead_code.h"

namespace repose {

namespace {

using graph::Binding;
using graph::Value;

// Replacements for each binding of the module; more: the rules have no end.
constexpr size_t max_replacements = 20, min_replacements = 1000;

size_t count_bindings(const Module& module) {
  size_t count = 0;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (f) graph::visit_bindings(f->body, true, [&](const Binding&) { ++count; });
  }
  return count;
}

// Operators that a root may be a call of; empty: anything.
void root_operators(const Pattern& p, std::vector<std::string>& names, bool& anything) {
  if (p->kind == PatternKind::either) {
    for (const Pattern& o : p->operands) root_operators(o, names, anything);
  } else if (p->kind == PatternKind::call && !p->op.empty()) {
    names.push_back(p->op);
  } else {
    anything = true;
  }
}

// Whether the rule may match at all: else nothing has to be built anew.
bool may_match(const Module& module, const PatternRule& rule) {
  std::vector<std::string> names;
  bool found = false;
  root_operators(rule.pattern.roots[0], names, found);
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f || found || is_group(*f)) continue;
    graph::visit_bindings(f->body, true, [&](const Binding& b) {
      const auto* call = graph::as<graph::CallNode>(b.value);
      found = found || (call && call->op &&
                        std::find(names.begin(), names.end(), call->op->name) != names.end());
    });
  }
  return found;
}

bool has_check(const graph::Function& f) {
  bool found = false;
  graph::visit_bindings(f->body, true, [&](const Binding& b) {
    found = found || (is_check(b.value) && !is_promise(b.value));
  });
  return found;
}

class RuleApplier {
 public:
  RuleApplier(const OpTable& ops, const PatternRule& rule) : ops_(ops), rule_(rule) {}

  Result<Module> run(const Module& module) {
    RebuildHooks hooks;
    hooks.begin = [&](Rebuilding&, const std::string&, const graph::Function& f,
                      FunctionOptions&) -> Result<void> {
      taken_.clear();
      replaced_.clear();
      uses_.reset();
      if (!is_group(*f)) uses_.emplace(f);
      return {};
    };
    hooks.binding = [&](Rebuilding& r, const Binding& b) { return binding(r, b); };
    REPOSE_TRY(result, rebuild_functions(module, ops_, hooks));
    return std::move(result);
  }

  size_t replacements() const { return replacements_; }

 private:
  Result<NewBinding> binding(Rebuilding& r, const Binding& b) {
    if (auto known = replaced_.find(b.var.get()); known != replaced_.end()) {
      return NewBinding{known->second, false, {}};
    }
    const ValueUses::Place* place = uses_ ? uses_->find(b.var) : nullptr;
    if (!place) return NewBinding();
    std::optional<PatternMatch> match =
        match_pattern(rule_.pattern, *uses_, *place, r.builder.facts(), r.symbols,
                      [&](const Binding& other) { return taken_.contains(&other); });
    if (!match) return NewBinding();
    std::erase_if(match->values, [](const auto& v) { return v.first->kind != PatternKind::any; });
    for (auto& [node, value] : match->values) value = r.now(value);
    REPOSE_TRY(fits, fits_in(r, *match, b.span));
    if (!fits) return NewBinding();
    REPOSE_TRY(values, rule_.replace(r, *match));
    ++replacements_;
    taken_.insert(match->bindings.begin(), match->bindings.end());
    for (size_t i = 0; i < values.size(); ++i) {
      REPOSE_TRY(leaf, r.builder.normalize(values[i], b.span));
      replaced_[match->roots[i].binding->var.get()] = leaf;
    }
    return NewBinding{replaced_.at(b.var.get()), false, {}};
  }

  // Emits the replacement aside, where it is known what is known here.
  Result<bool> fits_in(Rebuilding& r, const PatternMatch& match, const Span& span) const {
    Builder trial(ops_, r.builder.module());
    const std::string name = trial.module().fresh_name("replacement");
    trial.begin_function(name, trial_parameters(r, match), r.builder.facts(), span);
    graph::ValueMap values = r.values;
    VarMap symbols = r.symbols;
    Rebuilding aside{trial, values, symbols};
    auto emitted = rule_.replace(aside, match);
    if (!emitted.ok()) return in_rule(emitted.errors(), span);
    if (emitted->empty()) return false;
    bool fits = true;
    std::vector<Value> leaves;
    for (size_t i = 0; i < emitted->size(); ++i) {
      auto leaf = trial.normalize((*emitted)[i], span);
      if (!leaf.ok()) return in_rule(leaf.errors(), span);
      const Type was = r.now(match.roots[i].binding->var->type);
      const Truth truth = is_subtype((*leaf)->type, was, trial.facts());
      if (truth == Truth::no) {
        return in_rule(error(DiagnosticKind::type_mismatch, span,
                             "the replacement is of type `{}`, in place of a value of type `{}`",
                             to_string((*leaf)->type), to_string(was)),
                       span);
      }
      fits = fits && truth == Truth::yes;
      leaves.push_back(*leaf);
    }
    if (!fits) return false;
    auto done = trial.end_function(graph::make_tuple(std::move(leaves)));
    if (!done.ok()) return in_rule(done.errors(), span);
    return !has_check(trial.module().graph_function(name));
  }

  // The variables that a replacement may read, and the symbols that are bound here.
  std::vector<graph::Variable> trial_parameters(const Rebuilding& r,
                                                const PatternMatch& match) const {
    std::vector<graph::Variable> params;
    std::unordered_set<const graph::ValueNode*> seen;
    std::unordered_set<const VarNode*> symbols;
    std::vector<Var> unbound;
    auto note_symbols = [&](const Type& t) {
      if (!t) return;
      for (const Var& v : free_vars(t)) {
        if (symbols.insert(v.get()).second) unbound.push_back(v);
      }
    };
    std::function<void(const Value&)> note = [&](const Value& v) {
      if (!seen.insert(v.get()).second) return;
      note_symbols(v->type);
      if (const auto* variable = graph::as<graph::VariableNode>(v)) {
        params.push_back(graph::Variable(variable));
      }
      graph::visit_operands(v, note);
    };
    for (const auto& [node, value] : match.values) note(value);
    for (const Binding* b : match.bindings) {
      note_symbols(b->var->type ? r.now(b->var->type) : nullptr);
      note(r.now(b->value));
    }
    for (const auto& [symbol, value] : match.symbols) note_symbols(prim_type_of(value));
    for (const Var& v : unbound) params.push_back(graph::make_variable(v->name, prim_type_of(v)));
    return params;
  }

  Diagnostics in_rule(Diagnostics problems, const Span& span) const {
    for (Diagnostic& d : problems) {
      if (!d.span) d.span = span;
      d.notes.push_back({{}, fmt::format("in the replacement of rule `{}`", rule_.name)});
    }
    return problems;
  }
  Diagnostics in_rule(Diagnostic problem, const Span& span) const {
    return in_rule(Diagnostics{std::move(problem)}, span);
  }

  const OpTable& ops_;
  const PatternRule& rule_;
  size_t replacements_ = 0;
  std::optional<ValueUses> uses_;  // of the function at hand; none: it is a group
  std::unordered_set<const Binding*> taken_;
  std::unordered_map<const graph::ValueNode*, Value> replaced_;
};

}  // namespace

Result<Module> rewrite_patterns(const Module& module, const OpTable& ops,
                                const std::vector<PatternRule>& rules) {
  const size_t limit = min_replacements + max_replacements * count_bindings(module);
  Module current = module;
  size_t replacements = 0;
  for (bool changed = true; changed;) {
    changed = false;
    for (const PatternRule& rule : rules) {
      while (may_match(current, rule)) {
        RuleApplier applier(ops, rule);
        REPOSE_TRY(next, applier.run(current));
        if (applier.replacements() == 0) break;
        replacements += applier.replacements();
        if (replacements > limit) {
          return error(DiagnosticKind::too_large, {},
                       "rule `{}` still matches after {} replacements: its replacement, or that of "
                       "another rule, makes what it matches",
                       rule.name, replacements);
        }
        current = eliminate_dead_code(next);
        changed = true;
      }
    }
  }
  return replacements > 0 ? current : module;
}

}  // namespace repose
