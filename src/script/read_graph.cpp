// Graph functions: scopes of variables and symbols, signatures, attributes.
#include "script/read_graph.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "ir/function_facts.h"
#include "script/read_attr.h"

namespace repose::script {

using graph::Value;
using graph::Variable;

GraphFunctionReader::GraphFunctionReader(ModuleReader& module, const Statement& def)
    : module_(module),
      context_(module.context),
      builder_(module.builder),
      exprs_(module.context, *this),
      types_(module.context, exprs_),
      values_(module, *this, exprs_, types_),
      def_(def),
      declared_(module.symbols.begin(), module.symbols.end()) {
  types_.enter_callable = [this](const Node& annotation) { enter_callable(annotation); };
  types_.leave_callable = [this] { scopes_.pop(); };
  types_.type_of_value = [this](const std::string& name) {
    const Variable v = find_value(name);
    return v ? v->type : nullptr;
  };
}

// ---- Names

Expr GraphFunctionReader::find_variable(const Node& name) {
  const Entry* e = scopes_.find(name.text);
  return e ? e->symbol : nullptr;
}

Variable GraphFunctionReader::find_value(const std::string& name) {
  const Entry* e = scopes_.find(name);
  return e ? e->variable : nullptr;
}

std::vector<std::string> GraphFunctionReader::candidates() const {
  std::vector<std::string> names = scopes_.names();
  for (const auto& [name, is_program] : module_.globals) names.push_back(name);
  return names;
}

bool GraphFunctionReader::explain(const Node& name) {
  const Entry* e = scopes_.find(name.text);
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

// What a wrong statement would have bound is not reported again where it is used.
void GraphFunctionReader::poison(const Statement& s) {
  const Statement* last = &s;
  while (last->kind == SyntaxKind::if_ && !last->body.empty()) last = last->body.back();
  for (const std::string& name : bound_names(*last)) {
    scopes_.innermost()[name] = {nullptr, nullptr, true};
  }
}

// Names that R.Callable mentions and nobody knows are symbols of its own.
void GraphFunctionReader::enter_callable(const Node& annotation) {
  scopes_.push();
  std::vector<const Node*> stack(annotation.kids.begin(), annotation.kids.end());
  for (const Keyword& k : annotation.keywords) stack.push_back(k.value);
  while (!stack.empty()) {
    const Node* n = stack.back();
    stack.pop_back();
    if (!n) continue;
    if (is_list(*n)) {
      stack.insert(stack.end(), n->kids.begin(), n->kids.end());
      continue;
    }
    if (callee_name(n) == "R.Callable") continue;  // opens its own
    types_.visit_names(*n, [&](const Node&, const std::string& name) {
      if (scopes_.find(name)) return;
      define_symbol(name, make_var(name, dtypes::index, VarRole::dimension));
    });
  }
}

// The symbol of a name that a return annotation mentions and no parameter binds.
Var GraphFunctionReader::result_symbol(const std::string& name, VarRole role) {
  Var& symbol = of_results_[name];
  if (!symbol) symbol = make_var(name, dtypes::index, role);
  return symbol;
}

// Binds the names that stand alone in the annotation and are not bound yet, in the current scope.
void GraphFunctionReader::bind_names(const Node& annotation) {
  TypeReader::visit_binding_names(
      annotation, [&](const Node&, const std::string& name, VarRole role) {
        if (scopes_.find(name)) return;
        auto known = of_results_.find(name);
        define_symbol(
            name, known != of_results_.end() ? known->second : make_var(name, dtypes::index, role));
      });
}

void GraphFunctionReader::bind_results(const Node& types) {
  if (!is_list(types)) return bind_names(types);
  for (const Node* type : types.kids) bind_names(*type);
}

// ---- Signatures

Type GraphFunctionReader::Signature::type() const {
  if (!result) return nullptr;
  std::vector<Type> types;
  for (const Variable& p : params) types.push_back(p->type);
  return function_type(std::move(types), result, pure);
}

bool GraphFunctionReader::read_signature(const Statement& def, Signature* out) {
  for (const Parameter& p : def.type_params) declared_.insert(p.name);
  for (const Statement* s : def.body) {
    for (const Node* n : declared_symbols(*s)) declared_.insert(n->text);
  }
  if (const Node* pure = decorator_argument(def, "pure")) out->pure = pure->text != "False";
  bool ok = read_params(def, out);
  return (!def.returns || read_result_type(def, out)) && ok;
}

// What the names stand for that statements bind: by the first of each.
void GraphFunctionReader::find_roles(const std::vector<Statement*>& body,
                                     std::map<std::string, VarRole>& roles) {
  auto add = [&](const Node& annotation) {
    TypeReader::visit_binding_names(annotation, [&](const Node&, const std::string& name,
                                                    VarRole role) { roles.emplace(name, role); });
  };
  for (const Statement* s : body) {
    if (s->kind == SyntaxKind::function) continue;  // its symbols are its own
    if (s->annotation) add(*s->annotation);
    if (s->value && callee_name(s->value) == "R.match_cast" && s->value->kids.size() > 2) {
      add(*s->value->kids[2]);
    }
    find_roles(s->body, roles);
    find_roles(s->orelse, roles);
  }
}

bool GraphFunctionReader::read_params(const Statement& def, Signature* out) {
  // Binding positions of all parameters first, then every other dimension.
  std::map<std::string, Expr> prims;
  for (const Parameter& p : def.params) {
    if (!p.annotation) continue;
    bind_names(*p.annotation);
    std::string name = dotted_name(*p.annotation);
    if (name == "T.int64" || name == "T.int32" || name == "T.index") {  // `k: T.int64`
      if (!scopes_.find(p.name)) {
        define_symbol(p.name, make_var(p.name, dtypes::index, VarRole::value));
      }
      prims[p.name] = scopes_.find(p.name)->symbol;
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
  return ok;
}

// A return type may mention symbols that only a call binds.
bool GraphFunctionReader::read_result_type(const Statement& def, Signature* out) {
  const Node& annotation = *def.returns;
  std::map<std::string, VarRole> roles;
  find_roles(def.body, roles);
  TypeReader::visit_binding_names(annotation,
                                  [&](const Node&, const std::string& name, VarRole role) {
                                    if (scopes_.find(name)) return;
                                    result_symbol(name, roles.emplace(name, role).first->second);
                                  });
  scopes_.push();
  types_.visit_names(annotation, [&](const Node&, const std::string& name) {
    const VarRole role = roles.emplace(name, VarRole::dimension).first->second;
    if (!scopes_.find(name)) define_symbol(name, result_symbol(name, role));
  });
  out->result = types_.read(annotation);
  scopes_.pop();
  return out->result != nullptr;
}

bool GraphFunctionReader::read_attrs(const Statement& def, FunctionOptions* options) {
  for (const Statement* s : def.body) {
    if (s->kind != SyntaxKind::expression || callee_name(s->value) != "R.func_attr") continue;
    if (s->value->kids.size() != 2) {
      context_.fail(DiagnosticKind::wrong_arity, s->at, "`R.func_attr` takes one dictionary");
      return false;
    }
    options->attrs_span = span(s->at);
    if (!read_attr_dict(context_, exprs_, *s->value->kids[1], &options->attrs)) return false;
  }
  return true;
}

// Declared ranges and divisors of the parameters' symbols.
Facts GraphFunctionReader::read_facts(const Attrs& attrs) {
  Facts facts;
  scopes_.visit([&](const std::string& name, const Entry& e) {
    if (const auto* v = as<VarNode>(e.symbol)) {
      facts.restrict(Var(v), declared_range(attrs, name, v->role));
    }
  });
  return facts;
}

// The range that the function's attributes declare of a symbol that its body binds: a check here.
bool GraphFunctionReader::heed_range(const Var& symbol, const std::string& name,
                                     const Position& at) {
  if (!attrs_) return true;
  const Interval range = declared_range(*attrs_, name, VarRole::value);
  const bool is_declared =
      std::any_of(std::begin(range_attributes), std::end(range_attributes),
                  [&](const char* key) { return symbol_attr(*attrs_, key, name) != nullptr; });
  if (!is_declared) return true;
  heeded_.insert(name);
  return context_.check(builder_.require_range(symbol, range, span(at)));
}

// ---- Bodies

// What the last statement returns: a leaf.
bool GraphFunctionReader::read_result(const Statement& def, Value* result) {
  const Statement* last = def.body.empty() ? nullptr : def.body.back();
  if (!last || last->kind != SyntaxKind::return_) {
    if (!def.is_incomplete) {
      context_.fail(DiagnosticKind::syntax, last ? last->at : def.at,
                    "function `{}` doesn't end with `return`", def.name);
    }
    return false;
  }
  if (!last->value) return true;
  Value leaf = values_.read_leaf(*last->value, last->at);
  if (leaf) *result = leaf;
  return leaf != nullptr;
}

// A declared range of a symbol that the function doesn't have says nothing of it.
void GraphFunctionReader::drop_absent_ranges(const Statement& def, const Signature& signature,
                                             Attrs* attrs) {
  std::set<std::string> names;
  for (const Variable& p : signature.params) {
    for (const Var& v : free_vars(p->type)) names.insert(v->name);
  }
  std::set<std::string> absent;
  for (const char* key : range_attributes) {
    const Attr* ranges = attrs->find(key);
    const AttrDict* dict = ranges ? ranges->as_dict() : nullptr;
    for (size_t i = 0; dict && i < dict->size(); ++i) {
      const std::string* name = (*dict)[i].first.as_string();
      if (name && !names.contains(*name)) absent.insert(*name);
    }
  }
  for (const std::string& name : absent) {
    context_.warnings.push_back(warning(
        DiagnosticKind::unknown_name, span(def.name_at),
        "`{}`: a range is declared of `{}`, which is no symbol here{}", def.name, name,
        context_.hint(name, [&] { return std::vector<std::string>(names.begin(), names.end()); })));
    erase_range(*attrs, name);
  }
}

bool GraphFunctionReader::read_function_body(const Statement& def, const Signature& signature,
                                             Value* closure) {
  FunctionOptions options;
  options.result_type = signature.result;
  options.is_pure = signature.pure;
  if (const Node* is_private = decorator_argument(def, "private")) {
    options.is_private = is_private->text == "True";
  }
  bool ok = read_attrs(def, &options);
  const Attrs* outer_attrs = std::exchange(attrs_, &options.attrs);
  auto outer_heeded = std::exchange(heeded_, {});
  builder_.begin_function(def.name, signature.params, read_facts(options.attrs), span(def.name_at));
  scopes_.push();
  for (const Variable& p : signature.params) {
    const Entry* known = scopes_.find(p->name);
    const bool is_symbol = known && known->symbol && p->type->kind == TypeKind::prim;
    scopes_.innermost()[p->name] = {p, is_symbol ? known->symbol : nullptr};
  }
  std::span<Statement* const> body = def.body;
  const bool returns = !body.empty() && body.back()->kind == SyntaxKind::return_;
  ok = read_statements(body.first(body.size() - (returns ? 1 : 0))) && ok;
  Value result = graph::make_tuple({});
  if (ok || returns) ok = read_result(def, &result) && ok;
  if (options.result_type) options.result_type = substitute(options.result_type, results_map_);
  if (!ok) options.result_type = nullptr;
  scopes_.pop();
  attrs_ = outer_attrs;
  for (const std::string& name : std::exchange(heeded_, std::move(outer_heeded))) {
    erase_range(options.attrs, name);
  }
  drop_absent_ranges(def, signature, &options.attrs);
  auto done = builder_.end_function(result, options);
  if (!done.ok()) {
    if (ok) context_.report(done.errors());
    return false;
  }
  *closure = *done;
  return ok;
}

bool GraphFunctionReader::read_body() {
  Value ignored;
  return read_function_body(def_, signature_, &ignored);
}

}  // namespace repose::script
