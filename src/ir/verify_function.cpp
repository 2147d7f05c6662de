// Graph functions: scopes, bodies and values (calls: verify_calls.cpp).
#include "ir/verify_function.h"
#include "ir/cast.h"

#include <algorithm>

#include "ir/verify_attributes.h"

namespace repose {

using namespace graph;
using graph::as;

namespace {

// Is there a value of both types? False only where there is none for certain.
void flatten(const Type& t, std::vector<Type>& out) {
  if (const auto* tuple = as<TupleTypeNode>(t)) {
    for (const Type& field : tuple->fields) flatten(field, out);
  } else {
    out.push_back(t);
  }
}

// Symbols that only the results of function types mention: fresh in each call.
void collect_fresh(const Type& t, std::unordered_set<const VarNode*>& fresh) {
  if (const auto* tuple = as<TupleTypeNode>(t)) {
    for (const Type& f : tuple->fields) collect_fresh(f, fresh);
  } else if (const auto* f = as<FunctionTypeNode>(t)) {
    for (const Type& p : f->params) collect_fresh(p, fresh);
    for (const Var& v : binding_symbols(f->result)) fresh.insert(v.get());
    collect_fresh(f->result, fresh);
  }
}

bool shares_storage(const Value& v) {
  return is_leaf(v) || v->kind == ValueKind::tuple_get || v->kind == ValueKind::function;
}

bool binds_fresh_symbols(const Value& v) {
  if (const auto* call = as<graph::CallNode>(v))
    return !call->op || !allocates_results(call->op->name);
  return v->kind == ValueKind::if_;
}

}  // namespace

// ---- Donations

void FunctionVerifier::check_donations(const FunctionNode& f) {
  const Attr* donate = f.attrs.find("donate");
  if (!donate) return;
  const AttrDict* entries = donate->as_dict();
  std::vector<Type> results;
  if (f.result_type) flatten(f.result_type, results);
  auto refuse = [&] {
    report(DiagnosticKind::bad_attribute,
           "`donate` is no dictionary from the {} results to the {} parameters, by position",
           results.size(), f.params.size());
  };
  if (!entries) return refuse();
  std::unordered_set<int64_t> taken;
  for (const auto& [output, input] : *entries) {
    const int64_t *o = output.as_int(), *i = input.as_int();
    if (!o || !i || *o < 0 || *i < 0 || static_cast<size_t>(*o) >= results.size() ||
        static_cast<size_t>(*i) >= f.params.size()) {
      refuse();
    } else if (!taken.insert(*i).second) {
      report(DiagnosticKind::bad_attribute, "`donate` gives parameter `{}` to two results",
             f.params[*i]->name);
    } else {
      check_donation(results[*o], *o, *f.params[*i]);
    }
  }
}

void FunctionVerifier::check_donation(const Type& result, int64_t position,
                                      const VariableNode& param) {
  const auto *r = as<TensorTypeNode>(result), *p = as<TensorTypeNode>(param.type);
  if (r && p && r->dtype == p->dtype && is_subtype(result, param.type) != Truth::no) return;
  report(DiagnosticKind::bad_attribute,
         "`donate`: result {} has type `{}`, parameter `{}` has `{}`", position, to_string(result),
         param.name, to_string(param.type));
}

// ---- Scopes. What a sequence binds is undone when it ends.

void FunctionVerifier::hide_variables(size_t keep) {
  for (; var_stack_.size() > keep; var_stack_.pop_back()) visible_.erase(var_stack_.back());
}

void FunctionVerifier::bind(const Variable& v) {
  if (!bound_.insert(v.get()).second) {
    report(DiagnosticKind::ill_formed, "variable `{}` is bound more than once", v->name);
    return;
  }
  visible_.emplace(v.get(), Visible{depth_, v->is_dataflow ? dataflow_ : 0});
  var_stack_.push_back(v.get());
}

void FunctionVerifier::bind_symbol(const Var& v) {
  if (symbols_.insert(v.get()).second) symbol_stack_.push_back(v.get());
}

void FunctionVerifier::bind_symbols(const Type& t) {
  for (const Var& v : binding_symbols(t)) bind_symbol(v);
}

void FunctionVerifier::check_symbols(const std::vector<Var>& used, std::string_view where) {
  for (const Var& v : used) {
    if (symbols_.count(v.get()) || !reported_.insert(v.get()).second) continue;
    report(DiagnosticKind::unbound_symbol, "symbol `{}` is used in {}, but nothing binds it",
           v->name, where);
  }
}
void FunctionVerifier::check_symbols(const Type& t, std::string_view where) {
  if (!t) return;
  std::vector<Var> used = free_vars(t);
  std::unordered_set<const VarNode*> fresh;
  collect_fresh(t, fresh);
  std::erase_if(used, [&](const Var& v) { return fresh.count(v.get()) > 0; });
  check_symbols(used, where);
}

// ---- Functions and bodies

void FunctionVerifier::check(const FunctionNode& f) {
  ScopeGuard scope(*this);
  Span saved_span = span_;
  if (f.span) span_ = f.span;
  int saved_dataflow = std::exchange(dataflow_, 0);
  bool saved_conditional = std::exchange(conditional_, depth_ > 0);  // a closure may not be called
  bool saved_pure = std::exchange(pure_, f.is_pure && !force_pure_);
  auto saved_local = std::exchange(overwritable_, {});
  ++depth_;
  for (Diagnostic& d : attribute_problems(name_, f, span_)) problems_.push_back(std::move(d));
  for (const Variable& p : f.params) {
    if (p->type) bind_symbols(p->type);
  }
  for (const Variable& p : f.params) {
    bind(p);
    overwritable_.insert(p.get());
    roots_[p.get()] = {p.get()};
    if (!p->type) {
      report(DiagnosticKind::ill_formed, "parameter `{}` has no type", p->name);
    }
    check_symbols(p->type, fmt::format("the type of parameter `{}`", p->name));
  }
  check(f.body);
  if (!f.result_type) {
    report(DiagnosticKind::ill_formed, "the function has no result type");
  } else {
    if (f.body->result->type) {
      check_subtype(f.body->result->type, f.result_type, "the result", "the result type");
    }
    bind_symbols(f.result_type);  // each call binds those that the parameters don't
    check_symbols(f.result_type, "the result type");
  }
  --depth_;
  overwritable_ = std::move(saved_local);
  pure_ = saved_pure;
  conditional_ = saved_conditional;
  dataflow_ = saved_dataflow;
  span_ = saved_span;
}

// A sequence; its result is checked where its variables are still visible.
void FunctionVerifier::check(const Body& body) {
  for (const Block& block : body->blocks) {
    size_t first = var_stack_.size();
    int saved_dataflow = dataflow_;
    if (block.is_dataflow) {
      if (dataflow_) report(DiagnosticKind::ill_formed, "a dataflow block inside another one");
      dataflow_ = ++dataflow_count_;
    }
    for (const graph::Binding& b : block.bindings) check(b);
    if (!block.is_dataflow) continue;
    dataflow_ = saved_dataflow;
    hide_dataflow_variables(first);
  }
  check_leaf(body->result, "the result of a body");
  check_use(body->result);
}

void FunctionVerifier::hide_dataflow_variables(size_t first) {
  std::vector<const ValueNode*> stay;
  for (size_t i = first; i < var_stack_.size(); ++i) {
    if (visible_.at(var_stack_[i]).dataflow == 0) {
      stay.push_back(var_stack_[i]);
    } else {
      visible_.erase(var_stack_[i]);
    }
  }
  var_stack_.resize(first);
  var_stack_.insert(var_stack_.end(), stay.begin(), stay.end());
}

void FunctionVerifier::check(const graph::Binding& b) {
  Span saved = span_;
  if (b.span) span_ = b.span;
  binding_ = b.var->name;
  if (b.value->kind == ValueKind::function) bind(b.var);  // it may call itself
  check_value(b.value);
  binding_ = b.var->name;
  check_type(b);
  if (b.value->kind != ValueKind::function) bind(b.var);
  if (b.var->is_dataflow && !dataflow_) {
    report(DiagnosticKind::ill_formed,
           "dataflow variable `{}` is bound outside of a dataflow block", b.var->name);
  }
  overwritable_.insert(b.var.get());
  roots_[b.var.get()] = shares_storage(b.value) ? roots_of(b.value) : Roots{b.var.get()};
  kill_overwritten(b);
  span_ = saved;
}

void FunctionVerifier::check_type(const graph::Binding& b) {
  const Type& type = b.var->type;
  if (!type) {
    report(DiagnosticKind::ill_formed, "variable `{}` has no type", b.var->name);
    return;
  }
  if (!b.value->type) {
    report(DiagnosticKind::ill_formed, "the value of variable `{}` has no type", b.var->name);
  } else if (b.cast) {
    if (!conditional_ && !may_overlap(b.value->type, b.cast)) {
      report(DiagnosticKind::type_mismatch, "`{}` casts a value of type `{}` to `{}`", b.var->name,
             to_string(b.value->type), to_string(b.cast));
    }
    if (!structural_equal(b.cast, type)) {
      report(DiagnosticKind::type_mismatch, "variable `{}` has type `{}`, it is cast to `{}`",
             b.var->name, to_string(type), to_string(b.cast));
    }
  } else {
    check_subtype(b.value->type, type, fmt::format("the value of `{}`", b.var->name),
                  "the variable");
  }
  if (b.cast || binds_fresh_symbols(b.value)) bind_symbols(type);
  check_symbols(type, fmt::format("the type of `{}`", b.var->name));
}

void FunctionVerifier::check_subtype(const Type& derived, const Type& base, std::string_view what,
                                     std::string_view than) {
  if (derived == base || is_subtype(derived, base) != Truth::no) return;
  report(DiagnosticKind::type_mismatch, "{} has type `{}`, {} has `{}`", what, to_string(derived),
         than, to_string(base));
}

// ---- Values

void FunctionVerifier::check_leaf(const Value& v, std::string_view what) {
  if (is_leaf(v)) return;
  report(DiagnosticKind::ill_formed, "{} is a {}, expected a leaf (normal form)", what,
         graph::kind_name(v->kind));
}

void FunctionVerifier::check_use(const Value& v) {
  switch (v->kind) {
    case ValueKind::variable:
      return check_variable(*as<VariableNode>(v));
    case ValueKind::tuple:
      for (const Value& f : as<TupleNode>(v)->fields) check_use(f);
      return;
    case ValueKind::shape:
      for (const Expr& d : as<ShapeNode>(v)->dims) check_symbols(free_vars(d), "a shape");
      return;
    case ValueKind::prim_value:
      return check_symbols(free_vars(as<PrimValueNode>(v)->value), "a prim value");
    case ValueKind::global:
      return check_global(*as<GlobalNode>(v));
    case ValueKind::tuple_get:
    case ValueKind::call:
    case ValueKind::if_:
    case ValueKind::function:
      return check_value(v);
    default:
      return;
  }
}

void FunctionVerifier::check_variable(const VariableNode& v) {
  if (auto it = visible_.find(&v); it != visible_.end()) {
    if (it->second.dataflow && it->second.depth != depth_ && reported_.insert(&v).second) {
      report(DiagnosticKind::ill_formed,
             "a closure uses the dataflow variable `{}`, which is bound outside of it", v.name);
    }
    auto roots = roots_.find(&v);
    if (roots == roots_.end()) return;
    for (const ValueNode* root : roots->second) {
      if (!overwritten_.count(root) || !reported_.insert(&v).second) continue;
      report(DiagnosticKind::ill_formed,
             "`{}` is used after a call_tir_inplace has overwritten its storage", v.name);
    }
    return;
  }
  if (!reported_.insert(&v).second) return;
  if (v.is_dataflow && bound_.count(&v)) {
    report(DiagnosticKind::ill_formed,
           "dataflow variable `{}` is used outside of its dataflow block", v.name);
  } else if (bound_.count(&v)) {
    report(DiagnosticKind::ill_formed,
           "variable `{}` is used outside of the sequence that binds it", v.name);
  } else {
    report(DiagnosticKind::ill_formed, "variable `{}` is used before it is bound", v.name);
  }
}

void FunctionVerifier::check_global(const GlobalNode& g) {
  const Definition* d = module_.find(g.name);
  if (!d) {
    report(DiagnosticKind::unknown_name, "there is no `{}` in the module", g.name);
    return;
  }
  const auto* f = std::get_if<Function>(d);
  if (f && g.type && (*f)->type && is_subtype((*f)->type, g.type) == Truth::no) {
    report(DiagnosticKind::type_mismatch, "`{}` is taken for a `{}`, it is a `{}`", g.name,
           to_string(g.type), to_string((*f)->type));
  }
}

void FunctionVerifier::check_value(const Value& v) {
  switch (v->kind) {
    case ValueKind::tuple:
      for (const Value& f : as<TupleNode>(v)->fields) check_leaf(f, "a member of a tuple");
      break;
    case ValueKind::tuple_get:
      return check(*as<TupleGetNode>(v));
    case ValueKind::call:
      return check(*as<graph::CallNode>(v));
    case ValueKind::if_:
      return check(*as<graph::IfNode>(v));
    case ValueKind::function:
      return check(*as<FunctionNode>(v));
    default:
      break;
  }
  check_use(v);
}

void FunctionVerifier::check(const TupleGetNode& get) {
  check_leaf(get.tuple, "the operand of an item");
  check_use(get.tuple);
  const auto* type = as<TupleTypeNode>(get.tuple->type);
  if (!type) {
    report(DiagnosticKind::type_mismatch,
           "`{}` is an item of a value of type `{}`, which is no "
           "tuple",
           binding_, to_string(get.tuple->type));
  } else if (get.index < 0 || static_cast<size_t>(get.index) >= type->fields.size()) {
    report(DiagnosticKind::bad_argument, "`{}` is item {} of a tuple with {} members", binding_,
           get.index, type->fields.size());
  }
}

void FunctionVerifier::check(const graph::IfNode& branch) {
  if (dataflow_)
    report(DiagnosticKind::ill_formed, "`{}`: an `if` inside a dataflow block", binding_);
  std::string name = binding_;
  check_leaf(branch.condition, "the condition of an `if`");
  check_use(branch.condition);
  check_condition(branch.condition->type);
  bool saved_conditional = std::exchange(conditional_, true);
  std::unordered_set<const ValueNode*> before = overwritten_, after = overwritten_;
  for (const Body& body : {branch.then_body, branch.else_body}) {
    ScopeGuard scope(*this);
    overwritten_ = before;
    check(body);
    after.insert(overwritten_.begin(), overwritten_.end());
    if (branch.type && body->result->type) {
      check_subtype(body->result->type, branch.type,
                    fmt::format("a branch of the `if` that gives `{}`", name), "the `if`");
    }
  }
  overwritten_ = std::move(after);
  conditional_ = saved_conditional;
}

void FunctionVerifier::check_condition(const Type& type) {
  const auto* tensor = as<TensorTypeNode>(type);
  const auto* prim = as<PrimTypeNode>(type);
  if (tensor && tensor->dtype == dtypes::boolean && tensor->rank <= 0) return;
  if (prim && prim->dtype == dtypes::boolean) return;
  report(DiagnosticKind::type_mismatch,
         "the condition of an `if` has type `{}`, expected a bool of rank 0", to_string(type));
}

}  // namespace repose
