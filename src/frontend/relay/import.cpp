// From Relay's functions to the builder's.
#include "frontend/relay/import.h"

#include <algorithm>
#include <map>
#include <set>

#include "frontend/relay/operator_table.h"
#include "frontend/relay/parser.h"
#include "ir/function_facts.h"

namespace repose {

namespace relay {

namespace {

// Symbols of one function that an operator needs equal, by name: the second stays.
using Names = std::map<std::string, std::string>;
using Equal = std::map<std::string, Names>;  // by function

constexpr int max_calls = 500;  // of functions in each other

std::string standing_name(const Names& equal, std::string name) {
  for (auto it = equal.find(name); it != equal.end(); it = equal.find(name)) name = it->second;
  return name;
}

class RelayImporter {
 public:
  RelayImporter(const Program& program, const Ref<const Source>& source, const OpTable& ops,
                const Equal& equal)
      : program_(program), source_(source), builder_(ops), equal_(equal) {}

  Result<Module> run() {
    for (const Definition& d : program_.functions) {
      if (!definitions_.emplace(d.name, &d).second) {
        return error(DiagnosticKind::ill_formed, span(d.function->at), "`@{}` is defined twice",
                     d.name);
      }
    }
    for (const Definition& d : program_.functions) {
      REPOSE_REQUIRE(define(d));
    }
    return in_order_of_the_text();
  }

 private:
  using Scope = std::map<std::string, Operand>;

  const Program& program_;
  Ref<const Source> source_;
  Builder builder_;
  const Equal& equal_;
  std::map<std::string, const Definition*> definitions_;
  std::map<std::string, bool> defined_;  // false: begun
  std::vector<Scope> scopes_;
  std::map<std::string, Var> symbols_;  // of the function, by name
  std::set<std::string> unnamed_;       // names of `?`: each has one of its own
  std::string function_;                // of the module, which is being built
  int calls_ = 0;

  Span span(const Place& at) const { return {source_, at.line, at.column}; }

  template <class... Args>
  Diagnostic fail(DiagnosticKind kind, const Place& at, fmt::format_string<Args...> text,
                  Args&&... args) const {
    return error(kind, span(at), text, std::forward<Args>(args)...);
  }

  // ---- Functions of the module

  // A function after those that it calls.
  Result<void> define(const Definition& d) {
    if (defined_.contains(d.name)) return {};
    defined_[d.name] = false;
    if (++calls_ > max_calls) {
      return fail(DiagnosticKind::nesting_too_deep, d.function->at,
                  "functions call each other more than {} deep", max_calls);
    }
    REPOSE_REQUIRE(define_called(*d.function));
    --calls_;
    scopes_.clear();
    symbols_.clear();
    unnamed_.clear();
    function_ = frontend::identifier(d.name);
    const bool has_main = definitions_.contains("main");
    FunctionOptions options;
    options.is_private = has_main && d.name != "main";
    auto made = function(*d.function, function_, options);
    if (!made.ok()) return made.errors();
    defined_[d.name] = true;
    return {};
  }

  Result<void> define_called(const ExprNode& e) {
    if (e.kind == ExprKind::function_) {
      auto it = definitions_.find(e.name);
      if (it == definitions_.end()) {
        return fail(DiagnosticKind::unknown_name, e.at, "no function is called `@{}`", e.name);
      }
      if (auto known = defined_.find(e.name); known != defined_.end() && !known->second) {
        return fail(DiagnosticKind::unsupported_feature, e.at,
                    "`@{}` calls itself, which isn't supported", e.name);
      }
      // Its own scopes: what has been begun here has none yet.
      return define(*it->second);
    }
    for (const ExprRef& a : e.args) REPOSE_REQUIRE(define_called(*a));
    for (const Body& b : e.bodies) {
      for (const Statement& s : b.statements) REPOSE_REQUIRE(define_called(*s.value));
      REPOSE_REQUIRE(define_called(*b.result));
    }
    return {};
  }

  Module in_order_of_the_text() {
    Module module;
    for (const Definition& d : program_.functions) {
      const std::string name = frontend::identifier(d.name);
      module.set(name, builder_.module().graph_function(name));
    }
    return module;
  }

  // ---- Types

  Expr dimension(const RelayType::Dim& d, const std::string& name) {
    if (d.size) return make_int(*d.size);
    std::string key = d.name;
    if (key.empty()) {
      key = frontend::identifier(name);
      while (!unnamed_.insert(key).second) key += "_";
    }
    if (auto it = equal_.find(function_); it != equal_.end()) key = standing_name(it->second, key);
    Var& symbol = symbols_[key];
    if (!symbol) symbol = make_var(frontend::identifier(key));
    return symbol;
  }

  // `name`: of what has the type, for symbols.
  Result<Type> type(const RelayType& t, const std::string& name) {
    if (t.kind == RelayType::Kind::function) {
      return fail(DiagnosticKind::unsupported_feature, t.at,
                  "a parameter that is a function isn't supported");
    }
    if (t.kind == RelayType::Kind::tuple) {
      std::vector<Type> fields;
      for (size_t i = 0; i < t.fields.size(); ++i) {
        REPOSE_TRY(field, type(t.fields[i], fmt::format("{}_{}", name, i)));
        fields.push_back(field);
      }
      return tuple_type(std::move(fields));
    }
    if (t.dims.size() > static_cast<size_t>(frontend::max_rank)) {
      return fail(DiagnosticKind::too_large, t.at, "a tensor of {} dimensions, at most {} are",
                  t.dims.size(), frontend::max_rank);
    }
    Dims dims;
    for (size_t i = 0; i < t.dims.size(); ++i) {
      dims.push_back(dimension(t.dims[i], fmt::format("{}_{}", name, i)));
    }
    REPOSE_REQUIRE(frontend::check_size(dims, t.dtype, span(t.at)));
    return tensor_type(std::move(dims), t.dtype);
  }

  // What the text states of a value. Where its shape is not known, a cast names it.
  Result<Operand> stated(const Operand& value, const RelayType& t, const std::string& what) {
    auto wrong = [&] {
      return fail(DiagnosticKind::type_mismatch, t.at, "{} has type `{}`, another one is stated",
                  what, to_string(value->type));
    };
    if (t.kind == RelayType::Kind::function) return value;
    if (t.kind == RelayType::Kind::tuple) {
      const auto* tuple = as<TupleTypeNode>(value->type);
      if (!tuple || tuple->fields.size() != t.fields.size()) return wrong();
      const auto* literal = graph::as<graph::TupleNode>(value);
      for (size_t i = 0; literal && i < t.fields.size(); ++i) {
        if (auto field = stated(literal->fields[i], t.fields[i], what); !field.ok()) {
          return field.errors();
        }
      }
      return value;
    }
    const TensorTypeNode* tensor = graph::tensor_of(value);
    if (!tensor || (tensor->dtype && tensor->dtype != t.dtype)) return wrong();
    if (tensor->rank >= 0 && tensor->rank != static_cast<int>(t.dims.size())) return wrong();
    if (!tensor->shape) {
      Dims dims;
      for (const RelayType::Dim& d : t.dims)
        dims.push_back(d.size ? make_int(*d.size) : make_var("d"));
      REPOSE_TRY(cast, builder_.emit_match_cast(value, tensor_type(dims, t.dtype), "", span(t.at)));
      return Operand(cast);
    }
    for (size_t i = 0; i < t.dims.size(); ++i) {
      if (!t.dims[i].size) continue;
      const Expr is = (*tensor->shape)[i], expected = make_int(*t.dims[i].size);
      REPOSE_REQUIRE(builder_.require(
          eq(is, expected), fmt::format("{}: dimension {} is {{0}}, {{1}} is stated", what, i),
          {is, expected}, span(t.at)));
    }
    return value;
  }

  // ---- Functions and bodies

  Result<Operand> function(const ExprNode& f, const std::string& name, FunctionOptions options) {
    Scope scope;
    std::vector<graph::Variable> params;
    for (const Param& p : f.params) {
      REPOSE_TRY(t, type(p.type, p.name));
      params.push_back(graph::make_variable(frontend::identifier(p.name), t));
      if (!scope.emplace(p.name, params.back()).second) {
        return fail(DiagnosticKind::ill_formed, p.at, "two parameters are called `%{}`", p.name);
      }
    }
    builder_.begin_function(name, std::move(params), {}, span(f.at));
    scopes_.push_back(std::move(scope));
    REPOSE_TRY(result, body(f.bodies[0]));
    scopes_.pop_back();
    if (!f.result) return builder_.end_function(result, std::move(options));
    REPOSE_TRY(checked, stated(result, *f.result, "the result"));
    return builder_.end_function(checked, std::move(options));
  }

  Result<Operand> body(const Body& b) {
    scopes_.emplace_back();
    for (const Statement& s : b.statements) {
      REPOSE_TRY(value, expression(*s.value, s.name));
      if (s.type) {
        REPOSE_TRY(checked, stated(value, *s.type, "`%" + s.name + "`"));
        value = checked;
      }
      scopes_.back()[s.name] = value;
    }
    auto result = expression(*b.result, "");
    scopes_.pop_back();
    return result;
  }

  const Operand* find(const std::string& name) const {
    for (size_t i = scopes_.size(); i-- > 0;) {
      if (auto it = scopes_[i].find(name); it != scopes_[i].end()) return &it->second;
    }
    return nullptr;
  }

  // ---- Expressions. A leaf; `name`: what it is bound to.

  Result<Operand> expression(const ExprNode& e, const std::string& name) {
    switch (e.kind) {
      case ExprKind::variable:
        return variable(e);
      case ExprKind::function_: {
        const std::string id = frontend::identifier(e.name);
        return Operand(graph::make_global(id, builder_.module().graph_function(id)->type));
      }
      case ExprKind::operator_:
        return fail(DiagnosticKind::unsupported_feature, e.at,
                    "the operator `{}` as a value isn't supported", e.name);
      case ExprKind::literal:
        return Operand(graph::make_constant(make_scalar_array(e.value)));
      case ExprKind::tuple: {
        Values fields;
        for (const ExprRef& a : e.args) {
          REPOSE_TRY(field, expression(*a, ""));
          fields.push_back(field);
        }
        return Operand(graph::make_tuple(std::move(fields)));
      }
      case ExprKind::projection: {
        REPOSE_TRY(tuple, expression(*e.args[0], ""));
        return projection(tuple, e.index, e.at, name);
      }
      case ExprKind::call:
        return call(e, name);
      case ExprKind::if_:
        return choice(e, name);
      case ExprKind::closure: {
        REPOSE_TRY(closure, function(e, frontend::identifier(name.empty() ? "fn" : name), {}));
        REPOSE_TRY(bound, builder_.emit(closure, frontend::identifier(name), span(e.at)));
        return Operand(bound);
      }
      case ExprKind::block:
        return body(e.bodies[0]);
    }
    return fail(DiagnosticKind::internal, e.at, "an expression of no kind");
  }

  // Names may have dots, so `%x.0` is a name, or else item 0 of `%x`.
  Result<Operand> variable(const ExprNode& e) {
    if (const Operand* found = find(e.name)) return *found;
    const size_t dot = e.name.rfind('.');
    if (dot != std::string::npos && dot + 1 < e.name.size() && e.name.size() - dot < 8 &&
        e.name.find_first_not_of("0123456789", dot + 1) == std::string::npos) {
      ExprNode tuple = e;
      tuple.name = e.name.substr(0, dot);
      REPOSE_TRY(value, variable(tuple));
      return projection(value, std::stoi(e.name.substr(dot + 1)), e.at, "");
    }
    return fail(DiagnosticKind::unknown_name, e.at, "no variable is called `%{}`", e.name);
  }

  Result<Operand> projection(const Operand& tuple, int index, const Place& at,
                             const std::string& name) {
    const auto* type = as<TupleTypeNode>(tuple->type);
    if (!type || static_cast<size_t>(index) >= type->fields.size()) {
      return fail(DiagnosticKind::type_mismatch, at, "there is no item {} of a value of type `{}`",
                  index, to_string(tuple->type));
    }
    if (const auto* literal = graph::as<graph::TupleNode>(tuple)) {
      return literal->fields[static_cast<size_t>(index)];
    }
    REPOSE_TRY(item, builder_.emit(graph::make_tuple_get(tuple, index), hint(name), span(at)));
    return Operand(item);
  }

  static std::string hint(const std::string& name) {
    const bool is_number = !name.empty() && name.find_first_not_of("0123456789") == name.npos;
    return name.empty() || is_number ? "" : frontend::identifier(name);
  }

  Result<Operand> call(const ExprNode& e, const std::string& name) {
    const ExprNode& callee = *e.args[0];
    Values args;
    for (size_t i = 1; i < e.args.size(); ++i) {
      REPOSE_TRY(arg, expression(*e.args[i], ""));
      args.push_back(arg);
    }
    if (callee.kind == ExprKind::operator_) return operator_call(e, std::move(args), name);
    REPOSE_TRY(function, expression(callee, ""));
    REPOSE_TRY(made, builder_.emit(graph::make_function_call(function, std::move(args)), hint(name),
                                   span(e.at)));
    return Operand(made);
  }

  Result<Operand> operator_call(const ExprNode& e, Values args, const std::string& name) {
    const RelayOperator* op = find_operator(e.args[0]->name);
    if (!op) {
      return fail(DiagnosticKind::unsupported_operator, e.at, "the operator `{}` isn't supported",
                  e.args[0]->name);
    }
    RelayCall c(builder_, span(e.at), e, std::move(args), hint(name));
    REPOSE_TRY(made, op->import(c, op->op));
    REPOSE_REQUIRE(c.require_all_read());
    return made;
  }

  Result<Operand> choice(const ExprNode& e, const std::string& name) {
    REPOSE_TRY(condition, expression(*e.args[0], ""));
    const TensorTypeNode* t = graph::tensor_of(condition);
    if (!t || t->rank != 0 || !t->dtype.is_bool()) {
      return fail(DiagnosticKind::type_mismatch, e.at,
                  "the condition has type `{}`, expected a bool of rank 0",
                  to_string(condition->type));
    }
    builder_.begin_if(condition, span(e.at));
    REPOSE_TRY(then_result, body(e.bodies[0]));
    builder_.begin_else(then_result);
    REPOSE_TRY(else_result, body(e.bodies[1]));
    REPOSE_TRY(joined, builder_.end_if(else_result, hint(name)));
    return Operand(joined);
  }
};

// Adds symbols of functions that have to be equal. False: nothing is new.
bool add_equal(const Module& module, Equal& equal) {
  bool found = false;
  for (const std::string& name : module.names()) {
    Names& names = equal[name];
    for (const EqualSymbols& e : equal_symbols(module.graph_function(name))) {
      const std::string a = standing_name(names, e.a->name), b = standing_name(names, e.b->name);
      if (a == b) continue;
      names[b] = a;
      found = true;
    }
  }
  return found;
}

}  // namespace

}  // namespace relay

Result<Module> import_relay(const Ref<const Source>& text, const OpTable& ops, bool unify) {
  REPOSE_TRY(program, relay::parse_program(text));
  relay::Equal equal;
  for (;;) {
    REPOSE_TRY(module, relay::RelayImporter(program, text, ops, equal).run());
    if (!unify || !relay::add_equal(module, equal)) return module;
  }
}

}  // namespace repose
