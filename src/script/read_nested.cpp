// Statements of graph functions that hold others: dataflow blocks, branches, closures.
#include "script/read_graph.h"

namespace repose::script {

using graph::Value;
using graph::Variable;

// ---- Dataflow blocks

// The names of `R.output` at the end of the block, where it has one.
bool GraphFunctionReader::read_outputs(const Statement& s, std::set<std::string>* outputs) {
  bool ok = true;
  for (size_t i = 1; i < s.value->kids.size(); ++i) {
    const Node& n = *s.value->kids[i];
    if (n.kind == NodeKind::name) {
      outputs->insert(n.text);
    } else {
      context_.fail(DiagnosticKind::syntax, n.at, "`R.output` takes names");
      ok = false;
    }
  }
  return ok;
}

bool GraphFunctionReader::read_dataflow(const Statement& s) {
  if (builder_.in_dataflow()) {
    context_.fail(DiagnosticKind::ill_formed, s.at, "a dataflow block inside another");
    return false;
  }
  std::span<Statement* const> body = s.body;
  std::set<std::string> outputs;
  bool ok = true;
  const Statement* last = body.empty() ? nullptr : body.back();
  if (last && last->kind == SyntaxKind::expression && callee_name(last->value) == "R.output") {
    ok = read_outputs(*last, &outputs);
    body = body.first(body.size() - 1);
  }
  // The last binding of an output's name is what leaves the block.
  std::map<std::string, const Statement*> last_binding;
  for (const Statement* inner : body) {
    for (const std::string& name : bound_names(*inner)) {
      if (outputs.count(name)) last_binding[name] = inner;
    }
  }
  builder_.begin_dataflow();
  scopes_.push();
  for (Statement* const& inner : body) {
    outputs_.clear();
    for (const std::string& name : bound_names(*inner)) {
      auto binding = last_binding.find(name);
      if (binding != last_binding.end() && binding->second == inner) outputs_.insert(name);
    }
    ok = read_statements({&inner, 1}) && ok;
  }
  outputs_.clear();
  const auto inner = scopes_.pop();
  builder_.end_dataflow();
  for (const auto& [name, e] : inner) {
    // Symbols stay: their scope is the sequence, not the block.
    if (e.symbol || e.poisoned || outputs.count(name)) scopes_.innermost()[name] = e;
  }
  for (const std::string& name : outputs) {
    if (inner.count(name)) continue;
    context_.fail(DiagnosticKind::unknown_name, last->at,
                  "`R.output` of `{}`, which the block doesn't bind", name);
    ok = false;
  }
  return ok;
}

// ---- Branches

struct GraphFunctionReader::Branch {
  std::string name;  // of what it binds last
  const Node* annotation = nullptr;
  Type stated;  // by the annotation, where the branch knows its names
  Value result;
};

// The last statement of a branch.
bool GraphFunctionReader::read_branch_result(const Statement& last, Branch* branch) {
  if (last.kind == SyntaxKind::if_) {
    Variable v = read_if(last);
    if (v) branch->name = v->name;
    branch->result = v;
    return v != nullptr;
  }
  branch->name = last.target->text;
  branch->annotation = last.annotation;
  if (callee_name(last.value) == "R.match_cast") {
    branch->result = read_binding(branch->name, *last.value, nullptr, last.at);
    return branch->result != nullptr;
  }
  Value v = values_.read(*last.value);
  if (!v) return false;
  if (graph::is_leaf(v)) {
    branch->result = values_.leaf_of(v, last.at);
  } else {
    auto bound = builder_.emit(v, branch->name, span(last.at));
    if (context_.check(bound)) branch->result = *bound;
  }
  return branch->result != nullptr;
}

bool GraphFunctionReader::read_branch(const std::vector<Statement*>& body, Branch* branch) {
  scopes_.push();
  bool ok = read_statements(std::span(body).first(body.size() - 1));
  ok = read_branch_result(*body.back(), branch) && ok;
  if (branch->annotation) {
    bool is_known = true;
    types_.visit_names(*branch->annotation, [&](const Node&, const std::string& name) {
      is_known = is_known && scopes_.find(name);
    });
    if (is_known) branch->stated = types_.read(*branch->annotation);
  }
  scopes_.pop();
  return ok;
}

// The condition as a leaf; null: an error was reported.
Value GraphFunctionReader::read_if_condition(const Node& node) {
  Value condition = values_.read_leaf(node, node.at);
  if (!condition) return nullptr;
  const auto* tensor = graph::tensor_of(condition);
  const auto* prim = as<PrimTypeNode>(condition->type);
  bool is_bool = (tensor && (!tensor->dtype || tensor->dtype.is_bool()) && tensor->rank <= 0 &&
                  (!tensor->shape || tensor->shape->empty())) ||
                 (prim && prim->dtype.is_bool());
  if (is_bool) return condition;
  return context_.fail(DiagnosticKind::type_mismatch, node.at,
                       "a condition of type `{}`, expected a bool of rank 0",
                       to_string(condition->type));
}

// A branch's own type may say more than the common one.
bool GraphFunctionReader::check_branch_annotation(const Branch& branch, const Type& common) {
  if (!branch.annotation) return true;
  if (!name_fresh_symbols(*branch.annotation, common, branch.annotation->at)) return false;
  const Type stated = branch.stated ? branch.stated : types_.read(*branch.annotation);
  if (!stated) return false;
  const Type& own = branch.result->type;
  if (structural_equal(stated, common) || is_subtype(own, stated, builder_.facts()) != Truth::no) {
    return true;
  }
  context_.fail(DiagnosticKind::type_mismatch, branch.annotation->at,
                "the value has type `{}`, its annotation says `{}`", to_string(own),
                to_string(stated));
  return false;
}

Variable GraphFunctionReader::read_if(const Statement& s) {
  auto binds = [](const std::vector<Statement*>& body) {
    const Statement* last = body.empty() ? nullptr : body.back();
    if (!last) return false;
    return last->kind == SyntaxKind::if_ || (last->kind == SyntaxKind::assign && last->value &&
                                             last->target->kind == NodeKind::name);
  };
  if (!binds(s.body) || !binds(s.orelse)) {
    return context_.fail(DiagnosticKind::syntax, s.at,
                         "both branches of an `if` end by binding the same name");
  }
  if (builder_.in_dataflow()) {
    return context_.fail(DiagnosticKind::ill_formed, s.at, "an `if` inside a dataflow block");
  }
  // The branches are read whatever is wrong, to report what is wrong in them too.
  Value condition = read_if_condition(*s.value);
  bool ok = condition != nullptr;
  auto or_nothing = [](const Value& v) { return v ? v : graph::make_tuple({}); };
  Branch then_branch, else_branch;
  builder_.begin_if(condition ? condition : graph::make_prim(make_bool(true)), span(s.at));
  ok = read_branch(s.body, &then_branch) && ok;
  builder_.begin_else(or_nothing(then_branch.result));
  ok = read_branch(s.orelse, &else_branch) && ok;
  if (ok && then_branch.name != else_branch.name) {
    context_.fail(DiagnosticKind::syntax, s.at,
                  "both branches of an `if` end by binding the same name, found `{}` and `{}`",
                  then_branch.name, else_branch.name);
    ok = false;
  }
  auto result = builder_.end_if(or_nothing(else_branch.result), then_branch.name);
  if (!ok || !context_.check(result)) return nullptr;
  for (const Branch* branch : {&then_branch, &else_branch}) {
    if (!check_branch_annotation(*branch, (*result)->type)) return nullptr;
  }
  define(then_branch.name, *result);
  return *result;
}

// ---- Closures

bool GraphFunctionReader::read_closure(const Statement& s) {
  if (decorator_name(s) != "R.function") {
    context_.fail(DiagnosticKind::syntax, s.at, "expected `@R.function` before a closure");
    return false;
  }
  Signature signature;
  scopes_.push();
  std::map<std::string, Var> outer_results = of_results_;
  VarMap outer_map = results_map_;
  std::set<std::string> outer_outputs = std::move(outputs_);
  outputs_.clear();
  bool is_output = outer_outputs.count(s.name) > 0;
  bool ok = read_signature(s, &signature);
  Variable self;
  if (ok && signature.result) {
    self = graph::make_variable(s.name, signature.type(), builder_.in_dataflow() && !is_output);
    define(s.name, self);
  }
  Value closure;
  ok = ok && read_function_body(s, signature, &closure);
  outputs_ = std::move(outer_outputs);
  of_results_ = std::move(outer_results);
  results_map_ = std::move(outer_map);  // of symbols that end here
  scopes_.pop();
  if (!ok) return false;
  if (self) {
    // Its result may be in symbols of the body, which the annotation only named.
    if (!structural_equal(self->type, closure->type)) {
      const auto typed = graph::make_variable(self->name, closure->type, self->is_dataflow);
      closure = graph::substitute(closure, {{self.get(), typed}}, {});
      self = typed;
    }
    builder_.emit_closure(self, closure, span(s.at));
  } else {
    auto bound = builder_.emit_binding(closure, s.name, span(s.at), is_output);
    if (!context_.check(bound)) return false;
    self = *bound;
  }
  define(s.name, self);
  return true;
}

}  // namespace repose::script
