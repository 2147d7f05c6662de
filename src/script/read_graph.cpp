// Graph functions: scopes of variables and symbols, bindings, blocks, branches, closures.
#include "script/read_graph.h"

#include <algorithm>
#include <functional>

#include "script/read_types.h"
#include "script/read_value.h"

namespace repose::script {

using graph::Value;
using graph::Variable;

namespace {

std::string callee_name(const Node* node) {
  return node && node->kind == NodeKind::call ? dotted_name(*node->kids[0]) : "";
}

const Node* decorator_keyword(const Statement& def, std::string_view name) {
  for (const Node* d : def.decorators) {
    for (const Keyword& k : d->keywords) {
      if (k.name == name) return k.value;
    }
  }
  return nullptr;
}

// `m = T.int64()`, `m, n = T.int64(), T.int64()`: the names; empty: another statement.
std::vector<const Node*> declared_symbols(const Statement& s) {
  if (s.kind != SyntaxKind::assign || !s.value || s.annotation) return {};
  auto declares = [](const Node& target, const Node& value) {
    std::string callee = callee_name(&value);
    return target.kind == NodeKind::name && value.kids.size() == 1 &&
           (callee == "T.int64" || callee == "T.int32" || callee == "T.index" ||
            callee == "tirx.int64");
  };
  std::vector<const Node*> names;
  if (s.target->kind == NodeKind::tuple && s.value->kind == NodeKind::tuple &&
      s.value->kids.size() == s.target->kids.size()) {
    for (size_t i = 0; i < s.value->kids.size(); ++i) {
      if (!declares(*s.target->kids[i], *s.value->kids[i])) return {};
      names.push_back(s.target->kids[i]);
    }
  } else if (declares(*s.target, *s.value)) {
    names.push_back(s.target);
  }
  return names;
}

}  // namespace

class GraphFunctionReader::Reader : public GraphScope {
 public:
  Reader(ModuleReader& module, const Statement& def)
      : module_(module),
        context_(module.context),
        builder_(module.builder),
        exprs_(module.context, *this),
        types_(module.context, exprs_),
        values_(module, *this, exprs_, types_),
        def_(def) {
    scopes_.emplace_back();
    for (const std::string& s : module.symbols) declared_.insert(s);
    types_.enter_callable = [this](const Node& annotation) { enter_callable(annotation); };
    types_.leave_callable = [this] { scopes_.pop_back(); };
  }

  bool read_signature() { return read_signature(def_, &signature_); }
  Type type() const { return signature_.type(); }
  const std::vector<Variable>& params() const { return signature_.params; }
  bool read_body();

  // GraphScope.
  Expr find_variable(const Node& name) override {
    const Entry* e = find(name.text);
    return e ? e->symbol : nullptr;
  }
  Variable find_value(const std::string& name) override {
    const Entry* e = find(name);
    return e ? e->variable : nullptr;
  }
  bool explain(const Node& name) override;
  std::vector<std::string> candidates() const override {
    std::vector<std::string> names;
    for (const Scope& scope : scopes_) {
      for (const auto& [name, entry] : scope) names.push_back(name);
    }
    for (const auto& [name, is_program] : module_.globals) names.push_back(name);
    return names;
  }

 private:
  struct Entry {
    Variable variable;
    Expr symbol;
    bool poisoned = false;
  };
  using Scope = std::map<std::string, Entry>;
  struct Signature {
    std::vector<Variable> params;
    Type result;  // null: no annotation
    bool pure = true;
    Type type() const {
      if (!result) return nullptr;
      std::vector<Type> types;
      for (const Variable& p : params) types.push_back(p->type);
      return function_type(std::move(types), result, pure);
    }
  };

  ModuleReader& module_;
  ReadContext& context_;
  Builder& builder_;
  ExprReader exprs_;
  TypeReader types_;
  ValueReader values_;
  const Statement& def_;
  Signature signature_;
  std::vector<Scope> scopes_;
  std::set<std::string> declared_;         // symbols that no type has bound yet
  std::map<std::string, Var> of_results_;  // symbols that only return annotations mention
  VarMap results_map_;                     // of those, what stands for them in the body
  std::set<std::string> outputs_;          // of the dataflow block that is being read

  const Entry* find(const std::string& name) const {
    for (size_t i = scopes_.size(); i-- > 0;) {
      auto it = scopes_[i].find(name);
      if (it != scopes_[i].end()) return &it->second;
    }
    return nullptr;
  }
  Span span(const Position& at) const { return context_.tree.span(at); }
  void report(const Diagnostics& errors) {
    context_.errors.insert(context_.errors.end(), errors.begin(), errors.end());
  }
  template <class T>
  bool check(const Result<T>& result) {
    if (!result.ok()) report(result.errors());
    return result.ok();
  }
  void define(const std::string& name, Variable v) {
    scopes_.back()[name] = {std::move(v), nullptr};
  }
  void poison(const Statement& s);
  void enter_callable(const Node& annotation);
  void bind_names(const Node& annotation, bool from_result);
  bool read_signature(const Statement& def, Signature* out);
  Facts read_facts(const Attrs& attrs);
  bool read_attrs(const Statement& def, Attrs* attrs);
  bool read_function_body(const Statement& def, const Signature& signature, Value* closure);

  bool read_statements(const std::vector<Statement*>& body, size_t count);
  bool read_statement(const Statement& s);
  bool read_assign(const Statement& s);
  Variable read_binding(const std::string& name, const Node& value, const Node* annotation,
                        const Position& at);
  bool name_fresh_symbols(const Node& annotation, const Type& derived);
  bool check_annotation(const Node& annotation, const Type& derived, const Position& at);
  bool require_equal_dims(const Type& a, const Type& b, const Position& at);
  bool read_dataflow(const Statement& s);
  Variable read_if(const Statement& s);
  bool read_branch(const std::vector<Statement*>& body, std::string* name, const Node** annotation,
                   Value* result);
  bool read_closure(const Statement& s);
};

// ---- Scopes
// --------------------------------------------------------------------------------------

bool GraphFunctionReader::Reader::explain(const Node& name) {
  const Entry* e = find(name.text);
  if (e) {
    if (e->poisoned) return true;
    if (e->variable) {
      context_.fail(DiagnosticKind::type_mismatch, name.at,
                    "`{}` is a value of type `{}`, expected a symbol", name.text,
                    to_string(e->variable->type));
      return true;
    }
  }
  if (module_.poisoned.count(name.text)) return true;
  if (context_.tree.lost_names.count(name.text)) return true;
  if (declared_.count(name.text) || of_results_.count(name.text)) {
    context_.fail(DiagnosticKind::unbound_symbol, name.at,
                  "symbol `{}` is used before a dimension binds it", name.text);
    return true;
  }
  return false;
}

void GraphFunctionReader::Reader::poison(const Statement& s) {
  auto add = [&](const std::string& name) {
    Entry e;
    e.poisoned = true;
    scopes_.back()[name] = e;
  };
  if (s.kind == SyntaxKind::function) add(s.name);
  if (s.kind == SyntaxKind::if_ && !s.body.empty()) poison(*s.body.back());
  if (s.kind != SyntaxKind::assign) return;
  if (s.target->kind == NodeKind::name) add(s.target->text);
  for (const Node* n : s.target->kids) {
    if (n && s.target->kind == NodeKind::tuple) add(n->text);
  }
}

// Names that R.Callable mentions and nobody knows are symbols of its own.
void GraphFunctionReader::Reader::enter_callable(const Node& annotation) {
  scopes_.emplace_back();
  std::vector<const Node*> stack(annotation.kids.begin(), annotation.kids.end());
  for (const Keyword& k : annotation.keywords) stack.push_back(k.value);
  while (!stack.empty()) {
    const Node* n = stack.back();
    stack.pop_back();
    if (!n) continue;
    if (n->kind == NodeKind::tuple || n->kind == NodeKind::list) {
      stack.insert(stack.end(), n->kids.begin(), n->kids.end());
      continue;
    }
    if (callee_name(n) == "R.Callable") continue;  // opens its own
    types_.visit_names(*n, [&](const Node&, const std::string& name) {
      if (!find(name)) {
        Entry e;
        e.symbol = make_var(name, dtypes::index, VarRole::dimension);
        scopes_.back()[name] = e;
      }
    });
  }
}

// Binds the names that stand alone in the annotation and are not bound yet, in the current scope.
void GraphFunctionReader::Reader::bind_names(const Node& annotation, bool from_result) {
  TypeReader::visit_binding_names(
      annotation, [&](const Node&, const std::string& name, VarRole role) {
        if (find(name)) return;
        auto known = of_results_.find(name);
        Var v = known != of_results_.end() ? known->second : make_var(name, dtypes::index, role);
        if (from_result) {
          of_results_[name] = v;
        } else {
          Entry e;
          e.symbol = v;
          scopes_.back()[name] = e;
        }
      });
}

// ---- Functions
// -----------------------------------------------------------------------------------

bool GraphFunctionReader::Reader::read_signature(const Statement& def, Signature* out) {
  for (const Parameter& p : def.type_params) declared_.insert(p.name);
  for (const Statement* s : def.body) {
    for (const Node* n : declared_symbols(*s)) declared_.insert(n->text);
  }
  if (const Node* pure = decorator_keyword(def, "pure")) out->pure = pure->text != "False";
  // Binding positions of all parameters first, then every other dimension.
  std::map<std::string, Expr> prims;
  for (const Parameter& p : def.params) {
    if (!p.annotation) continue;
    bind_names(*p.annotation, false);
    std::string name = dotted_name(*p.annotation);
    if (name == "T.int64" || name == "T.int32" || name == "T.index") {  // `k: T.int64`
      if (!find(p.name)) {
        Entry e;
        e.symbol = make_var(p.name, dtypes::index, VarRole::value);
        scopes_.back()[p.name] = e;
      }
      prims[p.name] = find(p.name)->symbol;
    }
  }
  bool ok = true;
  for (const Parameter& p : def.params) {
    Type type;
    if (!p.annotation) {
      context_.fail(DiagnosticKind::syntax, p.at, "parameter `{}` needs a type", p.name);
    } else if (prims.count(p.name)) {
      type = prim_type_of(prims[p.name]);
    } else {
      type = types_.read(*p.annotation);
    }
    ok = ok && type;
    if (type) out->params.push_back(graph::make_variable(p.name, type));
  }
  if (def.returns) {
    // A return type may mention symbols that only a call binds.
    bind_names(*def.returns, true);
    scopes_.emplace_back();
    types_.visit_names(*def.returns, [&](const Node&, const std::string& name) {
      if (find(name)) return;
      Entry e;
      auto known = of_results_.find(name);
      if (known == of_results_.end()) {
        known = of_results_.emplace(name, make_var(name, dtypes::index)).first;
      }
      e.symbol = known->second;
      scopes_.back()[name] = e;
    });
    out->result = types_.read(*def.returns);
    scopes_.pop_back();
    ok = ok && out->result;
  }
  return ok;
}

bool GraphFunctionReader::Reader::read_attrs(const Statement& def, Attrs* attrs) {
  for (const Statement* s : def.body) {
    if (s->kind != SyntaxKind::expression || callee_name(s->value) != "R.func_attr") continue;
    if (s->value->kids.size() != 2) {
      context_.fail(DiagnosticKind::wrong_arity, s->at, "`R.func_attr` takes one dictionary");
      return false;
    }
    if (!read_attr_dict(context_, exprs_, *s->value->kids[1], attrs)) return false;
  }
  return true;
}

// Declared ranges and divisors of symbols.
Facts GraphFunctionReader::Reader::read_facts(const Attrs& attrs) {
  Facts facts;
  auto each = [&](const char* key, const std::function<void(Interval&, int64_t)>& apply) {
    const Attr* a = attrs.find(key);
    const AttrDict* dict = a ? a->as_dict() : nullptr;
    if (!dict) return;
    for (const auto& [name, value] : *dict) {
      const std::string* text = name.as_string();
      const Entry* e = text ? find(*text) : nullptr;
      const auto* v = e ? as<VarNode>(e->symbol) : nullptr;
      const int64_t* limit = value.as_int();
      if (!v || !limit) continue;
      Interval range;
      apply(range, *limit);
      facts.restrict(Var(v), range);
    }
  };
  each("tir_var_lower_bound", [](Interval& r, int64_t v) { r.lower = v; });
  each("tir_var_upper_bound", [](Interval& r, int64_t v) { r.upper = v; });
  each("tir_var_divisor", [](Interval& r, int64_t v) { r.divisor = v > 0 ? v : 1; });
  return facts;
}

bool GraphFunctionReader::Reader::read_function_body(const Statement& def,
                                                     const Signature& signature, Value* closure) {
  FunctionOptions options;
  options.result_type = signature.result;
  options.is_pure = signature.pure;
  if (const Node* is_private = decorator_keyword(def, "private")) {
    options.is_private = is_private->text == "True";
  }
  bool ok = read_attrs(def, &options.attrs);
  builder_.begin_function(def.name, signature.params, read_facts(options.attrs), span(def.name_at));
  scopes_.emplace_back();
  for (const Variable& p : signature.params) {
    const Entry* known = find(p->name);
    Entry e;
    e.variable = p;
    if (known && known->symbol && p->type->kind == TypeKind::prim) e.symbol = known->symbol;
    scopes_.back()[p->name] = e;
  }
  size_t count = def.body.size();
  const Statement* last = count ? def.body.back() : nullptr;
  bool returns = last && last->kind == SyntaxKind::return_;
  ok = read_statements(def.body, returns ? count - 1 : count) && ok;
  Value result = graph::make_tuple({});
  if (!returns) {
    if (ok && !def.is_incomplete) {
      context_.fail(DiagnosticKind::syntax, last ? last->at : def.at,
                    "function `{}` doesn't end with `return`", def.name);
    }
    ok = false;
  } else if (last->value) {
    Value v = values_.read(*last->value);
    auto leaf = v ? builder_.normalize(v, span(last->at)) : Result<Value>(result);
    ok = check(leaf) && v && ok;
    if (leaf.ok()) result = *leaf;
  }
  if (options.result_type) options.result_type = substitute(options.result_type, results_map_);
  if (!ok) options.result_type = nullptr;
  scopes_.pop_back();
  auto done = builder_.end_function(result, options);
  if (!done.ok()) {
    if (ok) report(done.errors());
    return false;
  }
  *closure = *done;
  return ok;
}

bool GraphFunctionReader::Reader::read_body() {
  Value ignored;
  return read_function_body(def_, signature_, &ignored);
}

// ---- Statements
// ----------------------------------------------------------------------------------

bool GraphFunctionReader::Reader::read_statements(const std::vector<Statement*>& body,
                                                  size_t count) {
  bool ok = true;
  for (size_t i = 0; i < count; ++i) {
    if (read_statement(*body[i])) continue;
    poison(*body[i]);
    ok = false;
  }
  return ok;
}

bool GraphFunctionReader::Reader::read_statement(const Statement& s) {
  switch (s.kind) {
    case SyntaxKind::pass:
    case SyntaxKind::import:
      return true;
    case SyntaxKind::assign:
      return read_assign(s);
    case SyntaxKind::if_:
      return read_if(s) != nullptr;
    case SyntaxKind::function:
      return read_closure(s);
    case SyntaxKind::with:
      if (s.items.size() == 1 && callee_name(s.items[0].value) == "R.dataflow") {
        return read_dataflow(s);
      }
      context_.fail(DiagnosticKind::syntax, s.at, "expected `with R.dataflow():`");
      return false;
    case SyntaxKind::return_:
      context_.fail(DiagnosticKind::syntax, s.at, "`return` ends a function: nothing follows it");
      return false;
    case SyntaxKind::expression: {
      std::string callee = callee_name(s.value);
      if (s.value->kind == NodeKind::string || callee == "R.func_attr") return true;
      if (callee == "R.output") {
        context_.fail(DiagnosticKind::syntax, s.at, "`R.output` ends a dataflow block");
        return false;
      }
      if (s.value->kind != NodeKind::call) {
        context_.fail(DiagnosticKind::syntax, s.at, "expected a statement");
        return false;
      }
      return read_binding("_", *s.value, nullptr, s.at) != nullptr;
    }
    default:
      context_.fail(DiagnosticKind::syntax, s.at,
                    "this statement doesn't belong in a graph function");
      return false;
  }
}

bool GraphFunctionReader::Reader::read_assign(const Statement& s) {
  std::vector<const Node*> symbols = declared_symbols(s);
  if (!symbols.empty()) {
    for (const Node* n : symbols) declared_.insert(n->text);
    return true;
  }
  if (!s.value) {
    context_.fail(DiagnosticKind::syntax, s.at, "expected `=` and a value");
    return false;
  }
  if (s.target->kind == NodeKind::name) {
    if (s.target->text == "cls" && s.value->kind == NodeKind::name) return true;  // cls = Module
    Variable v = read_binding(s.target->text, *s.value, s.annotation, s.at);
    if (v) define(s.target->text, v);
    return v != nullptr;
  }
  bool names = s.target->kind == NodeKind::tuple;
  for (const Node* n : s.target->kids) names = names && n && n->kind == NodeKind::name;
  if (!names) {
    context_.fail(DiagnosticKind::syntax, s.target->at, "expected a name before `=`");
    return false;
  }
  Variable tuple = read_binding("t", *s.value, s.annotation, s.at);
  if (!tuple) return false;
  const auto* type = as<TupleTypeNode>(tuple->type);
  size_t count = s.target->kids.size();
  if (!type || type->fields.size() != count) {
    context_.fail(DiagnosticKind::type_mismatch, s.at, "{} names for a value of type `{}`", count,
                  to_string(tuple->type));
    return false;
  }
  for (size_t i = 0; i < count; ++i) {
    const std::string& name = s.target->kids[i]->text;
    auto item = builder_.emit_binding(graph::make_tuple_get(tuple, static_cast<int>(i)), name,
                                      span(s.at), outputs_.count(name) > 0);
    if (!check(item)) return false;
    define(name, *item);
  }
  return true;
}

Variable GraphFunctionReader::Reader::read_binding(const std::string& name, const Node& value,
                                                   const Node* annotation, const Position& at) {
  bool is_output = builder_.in_dataflow() && outputs_.count(name) > 0;
  if (callee_name(&value) == "R.match_cast") {
    if (value.kids.size() != 3) {
      return context_.fail(DiagnosticKind::wrong_arity, value.at,
                           "`R.match_cast` takes a value and a type");
    }
    Value operand = values_.read(*value.kids[1]);
    if (!operand) return nullptr;
    bind_names(*value.kids[2], false);
    Type type = types_.read(*value.kids[2]);
    if (!type) return nullptr;
    auto cast = builder_.emit_match_cast(operand, type, name, span(at), is_output);
    if (!check(cast)) return nullptr;
    if (annotation && !check_annotation(*annotation, (*cast)->type, at)) return nullptr;
    return *cast;
  }
  Value v = values_.read(value);
  if (!v) return nullptr;
  auto bound = builder_.emit_binding(v, name, span(at), is_output);
  if (!check(bound)) return nullptr;
  if (annotation && !check_annotation(*annotation, (*bound)->type, at)) return nullptr;
  return *bound;
}

// Symbols that a type has and the text can't name yet get the annotation's unknown names, in order.
bool GraphFunctionReader::Reader::name_fresh_symbols(const Node& annotation, const Type& derived) {
  std::vector<std::string> unknown;
  types_.visit_names(annotation, [&](const Node&, const std::string& name) {
    bool seen = std::find(unknown.begin(), unknown.end(), name) != unknown.end();
    if (!find(name) && !seen) unknown.push_back(name);
  });
  if (unknown.empty()) return true;
  std::set<const ExprNode*> named;
  for (const Scope& scope : scopes_) {
    for (const auto& [name, e] : scope) {
      if (e.symbol) named.insert(e.symbol.get());
    }
  }
  size_t next = 0;
  for (const Var& v : free_vars(derived)) {
    if (next == unknown.size()) break;
    if (named.count(v.get())) continue;
    Entry e;
    e.symbol = v;
    auto pending = of_results_.find(unknown[next]);
    if (pending != of_results_.end()) results_map_[pending->second.get()] = v;
    scopes_.back()[unknown[next++]] = e;
  }
  return true;
}

bool GraphFunctionReader::Reader::require_equal_dims(const Type& a, const Type& b,
                                                     const Position& at) {
  auto each = [&](const Dims& x, const Dims& y) {
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (structural_equal(x[i], y[i])) continue;
      auto ok = builder_.require(eq(x[i], y[i]),
                                 fmt::format("dimension {} is {{0}}, its annotation says {{1}}", i),
                                 {x[i], y[i]}, span(at));
      if (!check(ok)) return false;
    }
    return true;
  };
  if (const auto *x = as<TensorTypeNode>(a), *y = as<TensorTypeNode>(b); x && y) {
    return !x->shape || !y->shape || each(*x->shape, *y->shape);
  }
  if (const auto *x = as<ShapeTypeNode>(a), *y = as<ShapeTypeNode>(b); x && y) {
    return !x->dims || !y->dims || each(*x->dims, *y->dims);
  }
  if (const auto *x = as<TupleTypeNode>(a), *y = as<TupleTypeNode>(b); x && y) {
    for (size_t i = 0; i < x->fields.size() && i < y->fields.size(); ++i) {
      if (!require_equal_dims(x->fields[i], y->fields[i], at)) return false;
    }
  }
  return true;
}

bool GraphFunctionReader::Reader::check_annotation(const Node& annotation, const Type& derived,
                                                   const Position& at) {
  name_fresh_symbols(annotation, derived);
  Type stated = types_.read(annotation);
  if (!stated) return false;
  if (structural_equal(stated, derived)) return true;
  Truth fits = is_subtype(derived, stated, builder_.facts());
  if (fits == Truth::yes) return true;
  if (fits == Truth::unknown) return require_equal_dims(derived, stated, at);
  const char* hint = is_subtype(stated, derived, builder_.facts()) != Truth::no
                         ? " (a more precise type needs `R.match_cast`)"
                         : "";
  context_.fail(DiagnosticKind::type_mismatch, annotation.at,
                "the value has type `{}`, its annotation says `{}`{}", to_string(derived),
                to_string(stated), hint);
  return false;
}

bool GraphFunctionReader::Reader::read_dataflow(const Statement& s) {
  if (builder_.in_dataflow()) {
    context_.fail(DiagnosticKind::ill_formed, s.at, "a dataflow block inside another");
    return false;
  }
  std::set<std::string> outputs;
  size_t count = s.body.size();
  const Statement* last = count ? s.body.back() : nullptr;
  bool has_output =
      last && last->kind == SyntaxKind::expression && callee_name(last->value) == "R.output";
  bool ok = true;
  if (has_output) {
    --count;
    for (size_t i = 1; i < last->value->kids.size(); ++i) {
      const Node& n = *last->value->kids[i];
      if (n.kind != NodeKind::name) {
        context_.fail(DiagnosticKind::syntax, n.at, "`R.output` takes names");
        ok = false;
        continue;
      }
      outputs.insert(n.text);
    }
  }
  builder_.begin_dataflow();
  scopes_.emplace_back();
  for (size_t i = 0; i < count; ++i) {
    // The last binding of an output's name is what leaves the block.
    outputs_.clear();
    auto binds_later = [&](const std::string& name) {
      for (size_t k = i + 1; k < count; ++k) {
        const Statement& later = *s.body[k];
        if (later.kind == SyntaxKind::function && later.name == name) return true;
        if (later.kind != SyntaxKind::assign) continue;
        if (later.target->kind == NodeKind::name && later.target->text == name) return true;
        for (const Node* n : later.target->kids) {
          if (later.target->kind == NodeKind::tuple && n->text == name) return true;
        }
      }
      return false;
    };
    for (const std::string& name : outputs) {
      if (!binds_later(name)) outputs_.insert(name);
    }
    if (read_statement(*s.body[i])) continue;
    poison(*s.body[i]);
    ok = false;
  }
  outputs_.clear();
  Scope inner = std::move(scopes_.back());
  scopes_.pop_back();
  builder_.end_dataflow();
  for (auto& [name, e] : inner) {
    // Symbols stay: their scope is the sequence, not the block.
    if (e.symbol || e.poisoned || outputs.count(name)) scopes_.back()[name] = e;
  }
  for (const std::string& name : outputs) {
    auto it = inner.find(name);
    if (it != inner.end()) continue;
    context_.fail(DiagnosticKind::unknown_name, last->at,
                  "`R.output` of `{}`, which the block doesn't bind", name);
    ok = false;
  }
  return ok;
}

// ---- if and closures
// -----------------------------------------------------------------------------

bool GraphFunctionReader::Reader::read_branch(const std::vector<Statement*>& body,
                                              std::string* name, const Node** annotation,
                                              Value* result) {
  scopes_.emplace_back();
  bool ok = read_statements(body, body.empty() ? 0 : body.size() - 1);
  const Statement* last = body.empty() ? nullptr : body.back();
  if (last && last->kind == SyntaxKind::if_) {
    Variable v = read_if(*last);
    ok = ok && v;
    if (v) {
      *name = v->name;
      *result = v;
    }
  } else if (last && last->kind == SyntaxKind::assign && last->value &&
             last->target->kind == NodeKind::name) {
    *name = last->target->text;
    *annotation = last->annotation;
    Span at = span(last->at);
    if (callee_name(last->value) == "R.match_cast") {
      Variable v = read_binding(*name, *last->value, nullptr, last->at);
      ok = ok && v;
      if (v) *result = v;
    } else {
      Value v = values_.read(*last->value);
      ok = ok && v;
      if (v && !graph::is_leaf(v)) {
        auto bound = builder_.emit(v, *name, at);
        ok = check(bound) && ok;
        if (bound.ok()) *result = *bound;
      } else if (v) {
        auto leaf = builder_.normalize(v, at);
        ok = check(leaf) && ok;
        if (leaf.ok()) *result = *leaf;
      }
    }
  } else {
    ok = false;
  }
  scopes_.pop_back();
  return ok && *result;
}

Variable GraphFunctionReader::Reader::read_if(const Statement& s) {
  auto binds = [](const std::vector<Statement*>& body) {
    const Statement* last = body.empty() ? nullptr : body.back();
    if (!last) return false;
    return last->kind == SyntaxKind::if_ || (last->kind == SyntaxKind::assign && last->value &&
                                             last->target->kind == NodeKind::name);
  };
  if (s.orelse.empty() || !binds(s.body) || !binds(s.orelse)) {
    return context_.fail(DiagnosticKind::syntax, s.at,
                         "both branches of an `if` end by binding the same name");
  }
  if (builder_.in_dataflow()) {
    return context_.fail(DiagnosticKind::ill_formed, s.at, "an `if` inside a dataflow block");
  }
  Value condition = values_.read(*s.value);
  bool ok = condition != nullptr;
  if (condition) {
    auto leaf = builder_.normalize(condition, span(s.value->at));
    ok = check(leaf);
    if (leaf.ok()) condition = *leaf;
  }
  if (!ok) condition = graph::make_prim(make_bool(true));
  const auto* tensor = graph::tensor_of(condition);
  const auto* prim = as<PrimTypeNode>(condition->type);
  bool is_bool = (tensor && (!tensor->dtype || tensor->dtype.is_bool()) && tensor->rank <= 0 &&
                  (!tensor->shape || tensor->shape->empty())) ||
                 (prim && prim->dtype.is_bool());
  if (!is_bool) {
    context_.fail(DiagnosticKind::type_mismatch, s.value->at,
                  "a condition of type `{}`, expected a bool of rank 0",
                  to_string(condition->type));
    ok = false;
  }
  std::string then_name, else_name;
  const Node *then_annotation = nullptr, *else_annotation = nullptr;
  Value nothing = graph::make_tuple({});
  Value then_result, else_result;
  builder_.begin_if(condition, span(s.at));
  ok = read_branch(s.body, &then_name, &then_annotation, &then_result) && ok;
  builder_.begin_else(then_result ? then_result : nothing);
  ok = read_branch(s.orelse, &else_name, &else_annotation, &else_result) && ok;
  if (ok && then_name != else_name) {
    context_.fail(DiagnosticKind::syntax, s.at,
                  "both branches of an `if` end by binding the same name, found `{}` and `{}`",
                  then_name, else_name);
    ok = false;
  }
  auto result = builder_.end_if(else_result ? else_result : nothing, then_name);
  if (!ok) return nullptr;
  if (!check(result)) return nullptr;
  for (const Node* annotation : {then_annotation, else_annotation}) {
    if (!annotation) continue;
    name_fresh_symbols(*annotation, (*result)->type);
    // A branch's own type may say more than the common one.
    const Value& own = annotation == then_annotation ? then_result : else_result;
    Type stated = types_.read(*annotation);
    if (!stated) return nullptr;
    if (!structural_equal(stated, (*result)->type) &&
        is_subtype(own->type, stated, builder_.facts()) == Truth::no) {
      return context_.fail(DiagnosticKind::type_mismatch, annotation->at,
                           "the value has type `{}`, its annotation says `{}`",
                           to_string(own->type), to_string(stated));
    }
  }
  define(then_name, *result);
  return *result;
}

bool GraphFunctionReader::Reader::read_closure(const Statement& s) {
  bool is_function = false;
  for (const Node* d : s.decorators) {
    is_function =
        is_function || dotted_name(d->kind == NodeKind::call ? *d->kids[0] : *d) == "R.function";
  }
  if (!is_function) {
    context_.fail(DiagnosticKind::syntax, s.at, "expected `@R.function` before a closure");
    return false;
  }
  Signature signature;
  scopes_.emplace_back();
  std::map<std::string, Var> outer_results = of_results_;
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
  scopes_.pop_back();
  if (!ok) return false;
  if (self) {
    builder_.emit_closure(self, closure, span(s.at));
  } else {
    auto bound = builder_.emit_binding(closure, s.name, span(s.at), is_output);
    if (!check(bound)) return false;
    self = *bound;
  }
  define(s.name, self);
  return true;
}

// ---- The public face
// -----------------------------------------------------------------------------

GraphFunctionReader::GraphFunctionReader(ModuleReader& module, const Statement& def)
    : reader_(std::make_unique<Reader>(module, def)) {}
GraphFunctionReader::~GraphFunctionReader() = default;
bool GraphFunctionReader::read_signature() {
  return reader_->read_signature();
}
Type GraphFunctionReader::type() const {
  return reader_->type();
}
const std::vector<Variable>& GraphFunctionReader::params() const {
  return reader_->params();
}
bool GraphFunctionReader::read_body() {
  return reader_->read_body();
}

}  // namespace repose::script
