// Statements of graph functions: bindings, and their annotations against derived types.
#include <algorithm>

#include "script/read_graph.h"

namespace repose::script {

using graph::Value;
using graph::Variable;

bool GraphFunctionReader::read_statements(std::span<Statement* const> body) {
  bool ok = true;
  for (const Statement* s : body) {
    if (read_statement(*s)) continue;
    poison(*s);
    ok = false;
  }
  return ok;
}

bool GraphFunctionReader::read_statement(const Statement& s) {
  auto fail = [&](const char* text) {
    context_.fail(DiagnosticKind::syntax, s.at, "{}", text);
    return false;
  };
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
      return fail("expected `with R.dataflow():`");
    case SyntaxKind::return_:
      return fail("`return` ends a function: nothing follows it");
    case SyntaxKind::expression: {
      std::string callee = callee_name(s.value);
      if (s.value->kind == NodeKind::string || callee == "R.func_attr") return true;
      if (callee == "R.output") return fail("`R.output` ends a dataflow block");
      if (s.value->kind != NodeKind::call) return fail("expected a statement");
      return read_binding("_", *s.value, nullptr, s.at) != nullptr;
    }
    default:
      return fail("this statement doesn't belong in a graph function");
  }
}

bool GraphFunctionReader::read_assign(const Statement& s) {
  std::vector<const Node*> symbols = declared_symbols(s);
  for (const Node* n : symbols) declared_.insert(n->text);
  if (!symbols.empty()) return true;
  if (!s.value) {
    context_.fail(DiagnosticKind::syntax, s.at, "expected `=` and a value");
    return false;
  }
  if (s.target->kind != NodeKind::name) return read_items(s);
  if (s.target->text == "cls" && s.value->kind == NodeKind::name) return true;  // cls = Module
  Variable v = read_binding(s.target->text, *s.value, s.annotation, s.at);
  if (v) define(s.target->text, v);
  return v != nullptr;
}

// `a, b = tuple`.
bool GraphFunctionReader::read_items(const Statement& s) {
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
    if (!context_.check(item)) return false;
    define(name, *item);
  }
  return true;
}

Variable GraphFunctionReader::read_binding(const std::string& name, const Node& value,
                                           const Node* annotation, const Position& at) {
  bool is_output = builder_.in_dataflow() && outputs_.count(name) > 0;
  bool is_cast = callee_name(&value) == "R.match_cast";
  if (is_cast && value.kids.size() != 3) {
    return context_.fail(DiagnosticKind::wrong_arity, value.at,
                         "`R.match_cast` takes a value and a type");
  }
  Value v = values_.read(is_cast ? *value.kids[1] : value);
  if (!v) return nullptr;
  Type type;
  std::vector<std::string> fresh;
  if (is_cast) {
    TypeReader::visit_binding_names(*value.kids[2],
                                    [&](const Node&, const std::string& symbol, VarRole) {
                                      if (!scopes_.find(symbol)) fresh.push_back(symbol);
                                    });
    bind_names(*value.kids[2]);
    type = types_.read(*value.kids[2]);
    if (!type) return nullptr;
  }
  auto bound = is_cast ? builder_.emit_match_cast(v, type, name, span(at), is_output)
                       : builder_.emit_binding(v, name, span(at), is_output);
  if (!context_.check(bound)) return nullptr;
  for (const std::string& symbol : fresh) {
    if (!heed_range(Var(as<VarNode>(scopes_.find(symbol)->symbol)), symbol, at)) return nullptr;
  }
  if (annotation && !check_annotation(*annotation, (*bound)->type, at)) return nullptr;
  return *bound;
}

// ---- Annotations

// Symbols that a type has and the text can't name yet get the annotation's unknown names, in order.
bool GraphFunctionReader::name_fresh_symbols(const Node& annotation, const Type& derived,
                                             const Position& at) {
  std::vector<std::string> unknown;
  types_.visit_names(annotation, [&](const Node&, const std::string& name) {
    bool seen = std::find(unknown.begin(), unknown.end(), name) != unknown.end();
    if (!scopes_.find(name) && !seen) unknown.push_back(name);
  });
  if (unknown.empty()) return true;
  std::set<const ExprNode*> named;
  scopes_.visit([&](const std::string&, const Entry& e) {
    if (e.symbol) named.insert(e.symbol.get());
  });
  size_t next = 0;
  for (const Var& v : free_vars(derived)) {
    if (next == unknown.size()) break;
    if (named.count(v.get())) continue;
    auto pending = of_results_.find(unknown[next]);
    if (pending != of_results_.end()) results_map_[pending->second.get()] = v;
    builder_.name_symbol(v, unknown[next]);
    define_symbol(unknown[next], v);
    if (!heed_range(v, unknown[next++], at)) return false;
  }
  return true;
}

bool GraphFunctionReader::require_equal_dims(const Type& a, const Type& b, const Position& at) {
  auto each = [&](const Dims& x, const Dims& y) {
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (structural_equal(x[i], y[i])) continue;
      auto ok = builder_.require(eq(x[i], y[i]),
                                 fmt::format("dimension {} is {{0}}, its annotation says {{1}}", i),
                                 {x[i], y[i]}, span(at));
      if (!context_.check(ok)) return false;
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

bool GraphFunctionReader::check_annotation(const Node& annotation, const Type& derived,
                                           const Position& at) {
  if (!name_fresh_symbols(annotation, derived, at)) return false;
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

}  // namespace repose::script
