// Rules written as functions.
#include "passes/graph/pattern_rules.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "ir/function_facts.h"
#include "ir/structural.h"
#include "passes/graph/eliminate_dead_code.h"
#include "passes/graph/emit_body.h"
#include "passes/graph/fuse_by_pattern.h"

namespace repose {

namespace {

using graph::Binding;
using graph::Function;
using graph::Value;

// A pattern function as a pattern, with the nodes by the names of what they match.
struct ReadPattern {
  PatternGraph graph;
  std::vector<std::pair<graph::Variable, Pattern>> params;  // null: a symbol or a choice alone
  std::map<std::string, Pattern> by_name;
  std::map<std::string, Pattern> choices;  // by the parameter that says which branch matches
};

class PatternReader {
 public:
  PatternReader(std::string name, const Function& f) : name_(std::move(name)), f_(f) {}

  Result<ReadPattern> run() {
    constants_ = names("constants");
    shared_ = names("shared");
    read_open();
    for (const graph::Variable& p : f_->params) {
      const bool is_constant = take(constants_, p->name);
      Pattern node = is_constant ? pattern::constant(p->type) : pattern::any(p->type);
      nodes_[p.get()] = node;
    }
    body(f_->body);
    read_roots();
    if (problems_.empty()) read_params();
    for (const auto* list : {&constants_, &shared_}) {
      for (const std::string& name : *list) {
        report(f_->span, "`{}` lists `{}`, which is no {}",
               list == &shared_ ? "shared" : "constants", name,
               list == &shared_ ? "call of it" : "parameter of it");
      }
    }
    for (const auto& [name, attributes] : open_) {
      report(f_->span, "`open` lists `{}`, which is no call of it", name);
    }
    if (!problems_.empty()) return problems_;
    return std::move(result_);
  }

 private:
  template <class... Args>
  void report(const Span& span, fmt::format_string<Args...> text, Args&&... args) {
    problems_.push_back(error(DiagnosticKind::bad_argument, span ? span : f_->span,
                              "pattern `{}`: {}", name_,
                              fmt::format(text, std::forward<Args>(args)...)));
  }

  // ---- Attributes of the function --------------------------------------------------------------

  std::vector<std::string> names(const char* key) {
    const Attr* attr = f_->attrs.find(key);
    return attr ? names(*attr, key) : std::vector<std::string>{};
  }

  std::vector<std::string> names(const Attr& attr, const std::string& key) {
    std::vector<std::string> result;
    const AttrList* list = attr.as_list();
    if (!list) report({}, "`{}` is no list of names", key);
    for (const Attr& item : list ? *list : AttrList{}) {
      if (item.as_string()) {
        result.push_back(*item.as_string());
      } else {
        report({}, "`{}` is no list of names", key);
      }
    }
    return result;
  }

  void read_open() {
    const Attr* attr = f_->attrs.find("open");
    if (!attr) return;
    if (!attr->as_dict()) {
      return report({}, "`open` is no dictionary from calls to lists of their attributes");
    }
    for (const auto& [call, attributes] : *attr->as_dict()) {
      if (!call.as_string()) {
        report({}, "`open` is no dictionary from calls to lists of their attributes");
        continue;
      }
      open_[*call.as_string()] = names(attributes, "open");
    }
  }

  static bool take(std::vector<std::string>& list, const std::string& name) {
    return std::erase(list, name) > 0;
  }

  // ---- Bindings --------------------------------------------------------------------------------

  void body(const graph::Body& b) {
    for (const graph::Block& block : b->blocks) {
      for (const Binding& binding : block.bindings) this->binding(binding);
    }
  }

  void binding(const Binding& b) {
    if (is_check(b.value)) {
      const Expr condition = check_condition(b.value);
      if (condition && !is_promise(b.value)) result_.graph.conditions.push_back(condition);
      return;
    }
    Pattern node = bound_node(b);
    if (!node) return;
    nodes_[b.var.get()] = node;
    result_.by_name[b.var->name] = node;
  }

  Pattern bound_node(const Binding& b) {
    const std::string& name = b.var->name;
    const bool is_shared = take(shared_, name);
    Pattern node;
    if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
      node = alternatives(b, *choice);
    } else if (const auto* call = graph::as<graph::CallNode>(b.value)) {
      node = call_node(b, *call);
    } else if (b.value->kind == graph::ValueKind::function) {
      report(b.span, "a closure, which no pattern matches");
    } else {
      node = operand(b.value);
    }
    if (node && b.cast) node = pattern::cast(node, b.cast);
    if (node && is_shared && node->kind == PatternKind::either) {
      report(b.span, "`shared` lists `{}`, an `if`: it may list the values of its branches", name);
    }
    if (node && is_shared) node = pattern::shared(node);
    return node;
  }

  Pattern alternatives(const Binding& b, const graph::IfNode& choice) {
    const auto* which = graph::as<graph::VariableNode>(choice.condition);
    const bool is_param = std::any_of(f_->params.begin(), f_->params.end(),
                                      [&](const auto& p) { return p.get() == which; });
    if (!is_param || !as<PrimTypeNode>(which->type)) {
      report(b.span,
             "the condition of an `if` is a parameter of type `R.Prim(\"bool\")`, which says "
             "what alternative matches");
      return nullptr;
    }
    if (result_.choices.contains(which->name)) {
      report(b.span, "a second `if` depends on `{}`: each has a parameter of its own", which->name);
      return nullptr;
    }
    body(choice.then_body);
    body(choice.else_body);
    const Pattern a = operand(choice.then_body->result), c = operand(choice.else_body->result);
    if (!a || !c) return nullptr;
    const Pattern node = pattern::either({a, c});
    result_.choices[which->name] = node;
    return node;
  }

  Pattern call_node(const Binding& b, const graph::CallNode& call) {
    if (!is_pure_call(call)) {
      report(b.span, "`{}` has effects: no pattern matches it",
             call.op ? std::string(call.op->name) : "a call");
      return nullptr;
    }
    std::vector<Pattern> operands;
    for (const Value& arg : call.args) operands.push_back(operand(arg));
    while (!operands.empty() && is_null_value(call.args[operands.size() - 1])) operands.pop_back();
    if (std::count(operands.begin(), operands.end(), nullptr)) return nullptr;
    if (!call.op) {
      if (call.callee->kind == graph::ValueKind::global) {
        return pattern::call(call.callee, std::move(operands));
      }
      report(b.span, "a call of a closure, which no pattern matches");
      return nullptr;
    }
    Attrs attrs = call.attrs;
    if (auto open = open_.find(b.var->name); open != open_.end()) {
      for (const std::string& name : open->second) {
        if (!attrs.find(name)) {
          report(b.span, "`open` lists `{}` of `{}`, but `{}` has no such attribute", name,
                 b.var->name, call.op->name);
        }
        attrs.erase(name);
      }
      open_.erase(open);
    }
    const Pattern node =
        pattern::call(std::string(call.op->name), std::move(operands), std::move(attrs));
    return call.type_args.empty() ? node : pattern::with_type_args(node, call.type_args);
  }

  static bool is_null_value(const Value& v) {
    const auto* call = graph::as<graph::CallNode>(v);
    return call && call->op && call->op->name == "null_value";
  }

  Pattern operand(const Value& v) {
    if (auto known = nodes_.find(v.get()); known != nodes_.end()) {
      used_.insert(v.get());
      return known->second;
    }
    if (v->kind == graph::ValueKind::variable) return nullptr;  // reported where it is bound
    if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      std::vector<Pattern> fields;
      for (const Value& field : tuple->fields) fields.push_back(operand(field));
      if (std::count(fields.begin(), fields.end(), nullptr)) return nullptr;
      return pattern::tuple(std::move(fields));
    }
    if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
      const Pattern tuple = operand(get->tuple);
      return tuple ? pattern::item(tuple, get->index) : nullptr;
    }
    if (is_null_value(v)) return pattern::call("null_value", {});
    return pattern::leaf(v);
  }

  // ---- Roots and parameters --------------------------------------------------------------------

  void read_roots() {
    std::vector<Value> results{f_->body->result};
    if (const auto* tuple = graph::as<graph::TupleNode>(results[0])) results = tuple->fields;
    for (const Value& v : results) {
      const Pattern root = operand(v);
      if (!root && problems_.empty()) report({}, "its result is unknown");
      if (!root) return;
      const bool is_call = root->kind == PatternKind::call || root->kind == PatternKind::either ||
                           root->kind == PatternKind::item;
      if (!is_call) return report({}, "its result is no call: it would match every value");
      result_.graph.roots.push_back(root);
    }
    if (results.empty()) report({}, "it has no result");
  }

  void read_params() {
    for (const graph::Variable& p : f_->params) {
      if (used_.contains(p.get())) {
        result_.params.emplace_back(p, nodes_.at(p.get()));
        result_.by_name[p->name] = nodes_.at(p.get());
        continue;
      }
      const auto* prim = as<PrimTypeNode>(p->type);
      if (!result_.choices.contains(p->name) && !(prim && prim->value)) {
        report({}, "parameter `{}` is not used", p->name);
      }
      result_.params.emplace_back(p, nullptr);
    }
  }

  const std::string name_;
  const Function& f_;
  ReadPattern result_;
  Diagnostics problems_;
  std::vector<std::string> constants_, shared_;
  std::map<std::string, std::vector<std::string>> open_;
  std::unordered_map<const graph::ValueNode*, Pattern> nodes_;
  std::unordered_set<const graph::ValueNode*> used_;
};

// ---- Replacements
// ----------------------------------------------------------------------------------------

// A replacement function and how it hangs together with its pattern.
struct ReadReplacement {
  Function function;
  std::vector<std::pair<graph::Variable, size_t>> params;  // by position in the pattern's
  // Calls that take their open attributes from what a call of the pattern matched.
  std::unordered_map<const graph::ValueNode*, Pattern> attrs_of;
};

class ReplacementReader {
 public:
  ReplacementReader(std::string name, const Function& f, const ReadPattern& pattern)
      : name_(std::move(name)), f_(f), pattern_(pattern) {}

  Result<ReadReplacement> run() {
    result_.function = f_;
    for (const graph::Variable& p : f_->params) param(p);
    for (const graph::Variable& p : f_->params) check_type(p);
    size_t results = 1;
    if (const auto* tuple = as<TupleTypeNode>(f_->body->result->type))
      results = tuple->fields.size();
    if (pattern_.graph.roots.size() != results && pattern_.graph.roots.size() != 1) {
      report("it gives {} values, its pattern {}", results, pattern_.graph.roots.size());
    }
    read_attrs_of();
    if (!problems_.empty()) return problems_;
    return std::move(result_);
  }

 private:
  template <class... Args>
  void report(fmt::format_string<Args...> text, Args&&... args) {
    problems_.push_back(error(DiagnosticKind::bad_argument, f_->span, "replacement `{}`: {}", name_,
                              fmt::format(text, std::forward<Args>(args)...)));
  }

  void param(const graph::Variable& p) {
    for (size_t i = 0; i < pattern_.params.size(); ++i) {
      const graph::Variable& own = pattern_.params[i].first;
      if (own->name != p->name) continue;
      result_.params.emplace_back(p, i);
      match_symbols(p->type, own->type, symbols_);
      return;
    }
    std::vector<std::string> names;
    for (const auto& [own, node] : pattern_.params) names.push_back(own->name);
    report("its pattern has no parameter `{}`; there are {}", p->name,
           names.empty() ? "none" : fmt::format("`{}`", fmt::join(names, "`, `")));
  }

  // What matches is of the parameter's type.
  void check_type(const graph::Variable& p) {
    for (const auto& [own, node] : pattern_.params) {
      if (own->name != p->name) continue;
      if (is_subtype(own->type, substitute(p->type, symbols_)) != Truth::yes) {
        report("parameter `{}` is of type `{}`, in its pattern of type `{}`", p->name,
               to_string(p->type), to_string(own->type));
      }
    }
  }

  void read_attrs_of() {
    const Attr* attr = f_->attrs.find("attrs_of");
    if (!attr) return;
    if (!attr->as_dict())
      return report("`attrs_of` is no dictionary from its calls to the pattern's");
    for (const auto& [mine, theirs] : *attr->as_dict()) {
      if (!mine.as_string() || !theirs.as_string()) {
        report("`attrs_of` is no dictionary from its calls to the pattern's");
        continue;
      }
      attrs_of(*mine.as_string(), *theirs.as_string());
    }
  }

  void attrs_of(const std::string& mine, const std::string& theirs) {
    const auto node = pattern_.by_name.find(theirs);
    if (node == pattern_.by_name.end() || node->second->kind != PatternKind::call) {
      return report("`attrs_of` names `{}`, which is no call of its pattern", theirs);
    }
    bool found = false;
    graph::visit_bindings(f_->body, true, [&](const Binding& b) {
      const auto* call = graph::as<graph::CallNode>(b.value);
      if (b.var->name != mine || !call || !call->op) return;
      found = true;
      result_.attrs_of[b.value.get()] = node->second;
    });
    if (!found) report("`attrs_of` names `{}`, which is no call of an operator in it", mine);
  }

  const std::string name_;
  const Function& f_;
  const ReadPattern& pattern_;
  ReadReplacement result_;
  VarMap symbols_;
  Diagnostics problems_;
};

// The body with the attributes that are taken from the match.
graph::Body with_attrs(const graph::Body& body, const ReadReplacement& r,
                       const PatternMatch& match) {
  std::vector<graph::Block> blocks = body->blocks;
  for (graph::Block& block : blocks) {
    for (Binding& b : block.bindings) {
      if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
        b.value =
            make_ref<graph::IfNode>(choice->condition, with_attrs(choice->then_body, r, match),
                                    with_attrs(choice->else_body, r, match), choice->type);
        continue;
      }
      const auto of = r.attrs_of.find(b.value.get());
      if (of == r.attrs_of.end()) continue;
      const auto* call = graph::as<graph::CallNode>(b.value);
      const auto matched = match.calls.find(of->second.get());
      if (matched == match.calls.end()) continue;  // another alternative
      Attrs attrs = call->attrs;
      for (const auto& [name, value] : matched->second->attrs) {
        if (!of->second->attrs.find(name) && attrs.find(name)) attrs.set(name, value);
      }
      b.value = make_ref<graph::CallNode>(call->op, call->callee, call->args, std::move(attrs),
                                          call->type_args, call->type);
    }
  }
  return make_ref<graph::BodyNode>(std::move(blocks), body->result);
}

Value param_value(const ReadPattern& pattern, size_t i, const PatternMatch& match) {
  const auto& [param, node] = pattern.params[i];
  if (node) {
    auto it = match.values.find(node.get());
    return it == match.values.end() ? nullptr : it->second;
  }
  if (auto choice = pattern.choices.find(param->name); choice != pattern.choices.end()) {
    auto taken = match.alternatives.find(choice->second.get());
    if (taken == match.alternatives.end()) return nullptr;
    return graph::make_prim(make_bool(taken->second == 0));
  }
  const auto* symbol = as<VarNode>(as<PrimTypeNode>(param->type)->value);
  auto it = symbol ? match.symbols.find(symbol) : match.symbols.end();
  return it == match.symbols.end() ? nullptr : graph::make_prim(it->second);
}

PatternRule make_rule(std::string name, ReadPattern pattern, ReadReplacement replacement) {
  PatternRule rule{std::move(name), pattern.graph, nullptr};
  rule.replace = [p = std::move(pattern), r = std::move(replacement)](
                     Rebuilding& now, const PatternMatch& match) -> Result<std::vector<Value>> {
    graph::ValueMap values;
    VarMap symbols;
    for (const auto& [param, i] : r.params) {
      const Value value = param_value(p, i, match);
      if (!value) continue;  // of another alternative
      values.emplace(param.get(), value);
      match_symbols(param->type, value->type, symbols);
    }
    // What reading placed are checks of the rule's own types; the Builder sees what is needed here.
    const CallRewrite drop_checks = [](Builder&, const graph::CallNode& call, const Span&) {
      return Result<Value>(is_check(Value(&call)) ? graph::make_tuple({}) : Value());
    };
    REPOSE_TRY(result, emit_body(now.builder, with_attrs(r.function->body, r, match),
                                 std::move(values), std::move(symbols), drop_checks));
    if (p.graph.roots.size() == 1) return std::vector<Value>{result};
    std::vector<Value> items;
    for (size_t i = 0; i < p.graph.roots.size(); ++i) {
      const auto* tuple = graph::as<graph::TupleNode>(result);
      items.push_back(tuple ? tuple->fields[i]
                            : graph::make_tuple_get(result, static_cast<int>(i)));
    }
    return items;
  };
  return rule;
}

// What stands behind `prefix` in a name, "" or "_NAME"; nothing: another name.
std::optional<std::string> suffix(const std::string& name, const std::string& prefix) {
  if (name.rfind(prefix, 0) != 0) return std::nullopt;
  std::string rest = name.substr(prefix.size());
  if (!rest.empty() && rest[0] != '_') return std::nullopt;
  return rest;
}

Span span_of(const Definition& d) {
  if (const auto* f = std::get_if<Function>(&d)) return (*f)->span;
  if (const auto* f = std::get_if<tir::PrimFunc>(&d)) return (*f)->span;
  return {};
}

bool is_private(const Definition& d) {
  if (const auto* f = std::get_if<Function>(&d)) return (*f)->is_private;
  if (const auto* f = std::get_if<tir::PrimFunc>(&d)) return (*f)->is_private;
  return true;
}

Result<PatternRule> read_rule(const Module& module, const OpTable& ops, const std::string& name,
                              const std::string& rest) {
  const Function f = module.graph_function(name);
  if (!f) {
    return error(DiagnosticKind::bad_argument, span_of(*module.find(name)),
                 "pattern `{}` is no graph function", name);
  }
  REPOSE_TRY(pattern, PatternReader(name, f).run());
  const Function replacement = module.graph_function("replacement" + rest);
  const Attr* composite = f->attrs.find("Composite");
  if (replacement && composite) {
    return error(DiagnosticKind::bad_argument, f->span,
                 "pattern `{}` has both a replacement and the attribute `Composite`", name);
  }
  if (composite) {
    if (!composite->as_string()) {
      return error(DiagnosticKind::bad_argument, f->span, "pattern `{}`: `Composite` is no string",
                   name);
    }
    return fusion_rule(ops, {*composite->as_string(), pattern.graph, nullptr});
  }
  if (!replacement) {
    return error(DiagnosticKind::bad_argument, f->span,
                 "pattern `{}` has neither a replacement, a function `replacement{}`, nor the "
                 "attribute `Composite`, the name of a group",
                 name, rest);
  }
  REPOSE_TRY(read, ReplacementReader("replacement" + rest, replacement, pattern).run());
  return make_rule(name, std::move(pattern), std::move(read));
}

}  // namespace

Result<PatternRules> read_pattern_rules(const Module& module, const OpTable& ops) {
  PatternRules result;
  Diagnostics problems;
  for (const std::string& name : module.names()) {
    const Definition& d = *module.find(name);
    if (const auto rest = suffix(name, "pattern")) {
      auto rule = read_rule(module, ops, name, *rest);
      if (rule.ok()) {
        result.rules.push_back(*std::move(rule));
      } else {
        for (const Diagnostic& p : rule.errors()) problems.push_back(p);
      }
    } else if (const auto rest = suffix(name, "replacement")) {
      if (module.find("pattern" + *rest)) continue;
      problems.push_back(error(DiagnosticKind::bad_argument, span_of(d),
                               "`{}` has no pattern, a function `pattern{}`", name, *rest));
    } else if (is_private(d)) {
      result.helpers.set(name, d);
    } else {
      problems.push_back(
          error(DiagnosticKind::bad_argument, span_of(d),
                "`{}` is neither a pattern nor a replacement: what replacements call "
                "is private",
                name));
    }
  }
  if (problems.empty() && result.rules.empty()) {
    problems.push_back(error(DiagnosticKind::bad_argument, {},
                             "no pattern: a function is called `pattern` or `pattern_NAME`"));
  }
  if (!problems.empty()) return problems;
  return result;
}

Result<Module> apply_pattern_rules(const Module& module, const OpTable& ops,
                                   const PatternRules& rules) {
  Module with_helpers = module;
  for (const std::string& name : rules.helpers.names()) {
    const Definition& helper = *rules.helpers.find(name);
    if (module.find(name)) {
      const tir::PrimFunc mine = module.prim_func(name), theirs = rules.helpers.prim_func(name);
      if (mine && theirs && structural_equal(mine, theirs)) continue;
      return error(DiagnosticKind::bad_argument, span_of(helper),
                   "the module has a function `{}` already: call that of the rules otherwise",
                   name);
    }
    with_helpers.set(name, helper);
  }
  REPOSE_TRY(result, rewrite_patterns(with_helpers, ops, rules.rules));
  const std::vector<std::string>& names = module.names();
  const bool is_same = std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return module.graph_function(name) == result.graph_function(name);
  });
  return is_same ? module : eliminate_dead_code(result);
}

Result<Module> apply_own_rules(const Module& module, const OpTable& ops) {
  Module own, others = module;
  for (const std::string& name : module.names()) {
    const bool is_rule = suffix(name, "pattern") || suffix(name, "replacement");
    if (!is_rule || !is_private(*module.find(name))) continue;
    own.set(name, *module.find(name));
    others.erase(name);
  }
  if (own.names().empty()) return module;
  REPOSE_TRY(rules, read_pattern_rules(own, ops));
  REPOSE_TRY(result, rewrite_patterns(others, ops, rules.rules));
  return std::move(result);
}

}  // namespace repose
