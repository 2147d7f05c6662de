// The verifier: what well-formed means.
//
// Modules
// M1  Every global that a function mentions is in the module.
// M2  Tensor programs satisfy T1 … T9 (verify_tir.cpp).
//
// Graph functions
// G1  Every variable is bound once: as a parameter or by a binding.
// G2  A variable is used only after its binding, in the sequence that binds it or inside of it.
// G3  A dataflow variable is bound and used only inside its dataflow block, and not by closures
//     there.
// G4  Every symbol is bound before it is used: by a parameter's type, by match_cast, or by the
//     result of a call or an `if`. What call_tir and call_dps_packed allocate mentions bound
//     symbols only.
// G5  Operands are leaves; bodies end in leaves; call_tir and its kin take a literal tuple.
// G6  Every value and variable has a type; a variable's type is that of its value or above it, the
//     type of a cast is the variable's. Functions have a result type (recursion needs it), which is
//     above that of the result.
// G7  Items of tuples are in range.
// G8  A match_cast that always runs doesn't fail for certain.
// G9  The condition of an `if` is a bool; the type of an `if` is above those of its branches.
// G10 Operators are those of the table, and their calls match their specification; calls of
//     functions match their type.
// G11 A pure function makes no impure call, unless its attribute relax.force_pure says so. A
//     dataflow block has pure calls only, no `if`, no loop, and no call of the function that it is
//     in.
// G12 call_tir: the program is in the module; arguments and results agree with its parameters in
//     number, kind, dtype, rank and, with the program's symbols replaced, in shape.
// G13 call_tir_inplace: every result overwrites one argument of its type, or is new (-1); no value
//     that shares storage with an overwritten one is used later; constants are not overwritten.
// G14 The attribute `donate` maps results to parameters, both by position, each parameter once; the
//     two are tensors of one dtype, shape and layout.
//
// Dimensions that may or may not be equal are no violation: a check at run time decides.
#include "ir/verifier.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "ir/match_program.h"
#include "ir/verify_tir.h"

namespace repose {

namespace {

using namespace graph;
using graph::as;
using repose::as;
using repose::substitute;

// Is there a value of both types? False only where there is none for certain.
bool may_overlap(const Type& a, const Type& b) {
  auto dims_may_equal = [](const std::optional<Dims>& x, const std::optional<Dims>& y) {
    if (!x || !y) return true;
    for (size_t i = 0; i < std::min(x->size(), y->size()); ++i) {
      if (prove_equal((*x)[i], (*y)[i]) == Truth::no) return false;
    }
    return true;
  };
  if (a->kind == TypeKind::any || b->kind == TypeKind::any) return true;
  if (a->kind != b->kind) return false;
  switch (a->kind) {
    case TypeKind::tensor: {
      const auto *x = as<TensorTypeNode>(a), *y = as<TensorTypeNode>(b);
      return !(x->dtype && y->dtype && x->dtype != y->dtype) &&
             !(x->rank >= 0 && y->rank >= 0 && x->rank != y->rank) &&
             !(!x->device.empty() && !y->device.empty() && x->device != y->device) &&
             dims_may_equal(x->shape, y->shape);
    }
    case TypeKind::shape: {
      const auto *x = as<ShapeTypeNode>(a), *y = as<ShapeTypeNode>(b);
      return !(x->rank >= 0 && y->rank >= 0 && x->rank != y->rank) &&
             dims_may_equal(x->dims, y->dims);
    }
    case TypeKind::prim: {
      const auto *x = as<PrimTypeNode>(a), *y = as<PrimTypeNode>(b);
      if (x->dtype != y->dtype) return !x->dtype || !y->dtype;
      return !x->value || !y->value || !x->dtype.is_any_int() ||
             prove_equal(x->value, y->value) != Truth::no;
    }
    case TypeKind::tuple: {
      const auto &x = as<TupleTypeNode>(a)->fields, &y = as<TupleTypeNode>(b)->fields;
      return std::equal(x.begin(), x.end(), y.begin(), y.end(), may_overlap);
    }
    default:
      return true;
  }
}

bool has_known_results(std::string_view op) {
  return op == "call_tir" || op == "call_tir_inplace" || op == "call_dps_packed";
}

class FunctionVerifier {
 public:
  FunctionVerifier(const std::string& name, const Module& module, const OpTable& ops,
                   Diagnostics& problems)
      : name_(name), module_(module), ops_(ops), problems_(problems) {}

  void run(const FunctionNode& f) {
    span_ = f.span;
    force_pure_ = f.attrs.find("relax.force_pure") && f.attrs.get_bool("relax.force_pure");
    check(f);
    check_donations(f);
  }

 private:
  using Roots = std::vector<const ValueNode*>;  // variables whose storage a value may share

  struct Visible {
    int depth;     // of functions around the binding
    int dataflow;  // number of the dataflow block that it is confined to; 0: none
  };

  template <class... Args>
  void report(DiagnosticKind kind, fmt::format_string<Args...> text, Args&&... args) {
    problems_.push_back(
        error(kind, span_, "`{}`: {}", name_, fmt::format(text, std::forward<Args>(args)...)));
  }

  static void flatten(const Type& t, std::vector<Type>& out) {
    if (const auto* tuple = as<TupleTypeNode>(t)) {
      for (const Type& field : tuple->fields) flatten(field, out);
    } else {
      out.push_back(t);
    }
  }

  void check_donations(const FunctionNode& f) {
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

  void check_donation(const Type& result, int64_t position, const VariableNode& param) {
    const auto *r = as<TensorTypeNode>(result), *p = as<TensorTypeNode>(param.type);
    if (r && p && r->dtype == p->dtype && is_subtype(result, param.type) != Truth::no) return;
    report(DiagnosticKind::bad_attribute,
           "`donate`: result {} has type `{}`, parameter `{}` has `{}`", position,
           to_string(result), param.name, to_string(param.type));
  }

  // ---- Scopes. What a sequence binds is undone when it ends.

  class ScopeGuard {
   public:
    explicit ScopeGuard(FunctionVerifier& v)
        : v_(v), vars_(v.var_stack_.size()), symbols_(v.symbol_stack_.size()) {}
    ~ScopeGuard() {
      v_.hide_variables(vars_);
      for (; v_.symbol_stack_.size() > symbols_; v_.symbol_stack_.pop_back()) {
        v_.symbols_.erase(v_.symbol_stack_.back());
      }
    }
    ScopeGuard(const ScopeGuard&) = delete;
    ScopeGuard& operator=(const ScopeGuard&) = delete;

   private:
    FunctionVerifier& v_;
    size_t vars_, symbols_;
  };

  void hide_variables(size_t keep) {
    for (; var_stack_.size() > keep; var_stack_.pop_back()) visible_.erase(var_stack_.back());
  }

  void bind(const Variable& v) {
    if (!bound_.insert(v.get()).second) {
      report(DiagnosticKind::ill_formed, "variable `{}` is bound more than once", v->name);
      return;
    }
    visible_.emplace(v.get(), Visible{depth_, v->is_dataflow ? dataflow_ : 0});
    var_stack_.push_back(v.get());
  }

  void bind_symbol(const Var& v) {
    if (symbols_.insert(v.get()).second) symbol_stack_.push_back(v.get());
  }

  void bind_symbols(const Type& t) {
    for (const Var& v : binding_symbols(t)) bind_symbol(v);
  }

  void check_symbols(const std::vector<Var>& used, std::string_view where) {
    for (const Var& v : used) {
      if (symbols_.count(v.get()) || !reported_.insert(v.get()).second) continue;
      report(DiagnosticKind::unbound_symbol, "symbol `{}` is used in {}, but nothing binds it",
             v->name, where);
    }
  }
  void check_symbols(const Type& t, std::string_view where) {
    if (!t) return;
    std::vector<Var> used = free_vars(t);
    std::unordered_set<const VarNode*> fresh;
    collect_fresh(t, fresh);
    std::erase_if(used, [&](const Var& v) { return fresh.count(v.get()) > 0; });
    check_symbols(used, where);
  }

  // Symbols that only the results of function types mention: fresh in each call.
  static void collect_fresh(const Type& t, std::unordered_set<const VarNode*>& fresh) {
    if (const auto* tuple = as<TupleTypeNode>(t)) {
      for (const Type& f : tuple->fields) collect_fresh(f, fresh);
    } else if (const auto* f = as<FunctionTypeNode>(t)) {
      for (const Type& p : f->params) collect_fresh(p, fresh);
      for (const Var& v : binding_symbols(f->result)) fresh.insert(v.get());
      collect_fresh(f->result, fresh);
    }
  }

  // ---- Functions and bodies

  void check(const FunctionNode& f) {
    ScopeGuard scope(*this);
    Span saved_span = span_;
    if (f.span) span_ = f.span;
    int saved_dataflow = std::exchange(dataflow_, 0);
    bool saved_conditional =
        std::exchange(conditional_, depth_ > 0);  // a closure may not be called
    bool saved_pure = std::exchange(pure_, f.is_pure && !force_pure_);
    auto saved_local = std::exchange(overwritable_, {});
    ++depth_;
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
  void check(const Body& body) {
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

  void hide_dataflow_variables(size_t first) {
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

  void check(const graph::Binding& b) {
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

  static bool shares_storage(const Value& v) {
    return is_leaf(v) || v->kind == ValueKind::tuple_get || v->kind == ValueKind::function;
  }

  void check_type(const graph::Binding& b) {
    const Type& type = b.var->type;
    if (!type) {
      report(DiagnosticKind::ill_formed, "variable `{}` has no type", b.var->name);
      return;
    }
    if (!b.value->type) {
      report(DiagnosticKind::ill_formed, "the value of variable `{}` has no type", b.var->name);
    } else if (b.cast) {
      if (!conditional_ && !may_overlap(b.value->type, b.cast)) {
        report(DiagnosticKind::type_mismatch, "`{}` casts a value of type `{}` to `{}`",
               b.var->name, to_string(b.value->type), to_string(b.cast));
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

  static bool binds_fresh_symbols(const Value& v) {
    if (const auto* call = as<graph::CallNode>(v))
      return !call->op || !has_known_results(call->op->name);
    return v->kind == ValueKind::if_;
  }

  void check_subtype(const Type& derived, const Type& base, std::string_view what,
                     std::string_view than) {
    if (derived == base || is_subtype(derived, base) != Truth::no) return;
    report(DiagnosticKind::type_mismatch, "{} has type `{}`, {} has `{}`", what, to_string(derived),
           than, to_string(base));
  }

  // ---- Values

  void check_leaf(const Value& v, std::string_view what) {
    if (is_leaf(v)) return;
    report(DiagnosticKind::ill_formed, "{} is a {}, expected a leaf (normal form)", what,
           graph::kind_name(v->kind));
  }

  void check_use(const Value& v) {
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

  void check_variable(const VariableNode& v) {
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

  void check_global(const GlobalNode& g) {
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

  void check_value(const Value& v) {
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

  void check(const TupleGetNode& get) {
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

  void check(const graph::IfNode& branch) {
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

  void check_condition(const Type& type) {
    const auto* tensor = as<TensorTypeNode>(type);
    const auto* prim = as<PrimTypeNode>(type);
    if (tensor && tensor->dtype == dtypes::boolean && tensor->rank <= 0) return;
    if (prim && prim->dtype == dtypes::boolean) return;
    report(DiagnosticKind::type_mismatch,
           "the condition of an `if` has type `{}`, expected a bool of rank 0", to_string(type));
  }

  // ---- Calls

  void check(const graph::CallNode& call) {
    if (call.callee) {
      check_leaf(call.callee, "a callee");
      check_use(call.callee);
    }
    for (const Value& a : call.args) {
      check_leaf(a, "an operand");
      check_use(a);
    }
    if (call.op) {
      check_operator_call(call);
    } else {
      check_function_call(call);
    }
  }

  void check_purity(bool pure, std::string_view callee) {
    if (pure || force_pure_) return;
    if (dataflow_) {
      report(DiagnosticKind::impure_call, "a dataflow block calls `{}`, which is not pure", callee);
    } else if (pure_) {
      report(DiagnosticKind::impure_call, "the function is pure, but calls `{}`, which is not",
             callee);
    }
  }

  void check_operator_call(const graph::CallNode& call) {
    const OpDef& op = *call.op;
    if (ops_.find(op.name) != &op) {
      report(DiagnosticKind::unknown_name, "`{}` is no operator of the table", op.name);
      return;
    }
    check_purity(op.pure, op.name);
    if (dataflow_ && op.name == "while_loop") {
      report(DiagnosticKind::ill_formed, "`{}`: a loop inside a dataflow block", binding_);
    }
    Result<Attrs> checked = check_call(op, call.args, call.attrs, span_);
    if (!checked.ok()) {
      for (Diagnostic d : checked.errors()) {
        d.text = fmt::format("`{}`: {}", name_, d.text);
        problems_.push_back(std::move(d));
      }
      return;
    }
    if (has_known_results(op.name)) {
      for (const Type& t : call.type_args) {
        check_symbols(t, fmt::format("the result type of `{}`", op.name));
      }
    }
    if (op.name == "call_tir" || op.name == "call_tir_inplace") check_call_tir(call);
  }

  void check_function_call(const graph::CallNode& call) {
    std::string callee = "a function";
    if (const auto* g = as<GlobalNode>(call.callee)) callee = g->name;
    if (const auto* v = as<VariableNode>(call.callee)) callee = v->name;
    if (const auto* e = as<ExternNode>(call.callee)) callee = e->name;
    const auto* type = as<FunctionTypeNode>(call.callee->type);
    if (!type) {
      report(DiagnosticKind::type_mismatch, "`{}` is called, but is no graph function", callee);
      return;
    }
    check_purity(type->pure, callee);
    if (dataflow_ && call.callee->kind == ValueKind::global && callee == name_) {
      report(DiagnosticKind::ill_formed, "a dataflow block calls the function that it is in");
    }
    if (type->opaque) return;
    if (type->params.size() != call.args.size()) {
      report(DiagnosticKind::wrong_arity, "`{}` takes {} arguments, {} are given", callee,
             type->params.size(), call.args.size());
      return;
    }
    VarMap symbols;
    for (size_t i = 0; i < call.args.size(); ++i) {
      if (call.args[i]->type) match_symbols(type->params[i], call.args[i]->type, symbols);
    }
    for (size_t i = 0; i < call.args.size(); ++i) {
      if (!call.args[i]->type) continue;
      check_subtype(call.args[i]->type, substitute(type->params[i], symbols),
                    fmt::format("argument {} of the call of `{}`", i, callee), "the parameter");
    }
    if (call.type && call.type_args.empty() && type->result) {
      check_subtype(substitute(type->result, symbols), call.type,
                    fmt::format("the result of `{}`", callee), "the call");
    }
  }

  // ---- call_tir

  void check_call_tir(const graph::CallNode& call) {
    const auto* g = as<GlobalNode>(call.args[0]);
    tir::PrimFunc f = g ? module_.prim_func(g->name) : nullptr;
    if (!f) {
      if (g && !module_.find(g->name)) return;  // M1 says so
      report(DiagnosticKind::type_mismatch, "`{}` calls `{}`, which is no tensor program",
             call.op->name, g ? g->name : "a value");
      return;
    }
    const auto* tuple = as<TupleNode>(call.args[1]);
    if (!tuple) {
      report(DiagnosticKind::ill_formed, "the arguments of a call of `{}` are no literal tuple",
             g->name);
      return;
    }
    if (call.type_args.size() != 1) {
      report(DiagnosticKind::wrong_arity, "a call of `{}` has {} result types, expected one",
             g->name, call.type_args.size());
      return;
    }
    if (call.type && is_subtype(call.type_args[0], call.type) == Truth::no) {
      report(DiagnosticKind::type_mismatch, "the call of `{}` has type `{}`, it allocates `{}`",
             g->name, to_string(call.type), to_string(call.type_args[0]));
    }
    std::vector<Type> values;  // what the program's parameters get
    for (const Value& a : tuple->fields) values.push_back(a->type);
    std::vector<Type> results{call.type_args[0]};
    if (const auto* t = as<TupleTypeNode>(results[0])) results = t->fields;
    if (call.op->name == "call_tir_inplace") results = fresh_results(call, *tuple, results);
    values.insert(values.end(), results.begin(), results.end());
    match_program(
        g->name, *f, values, tuple->fields.size(),
        [this](DiagnosticKind kind, const std::string& text) { report(kind, "{}", text); });
  }

  // Checks what is overwritten; the results that are not.
  std::vector<Type> fresh_results(const graph::CallNode& call, const TupleNode& args,
                                  const std::vector<Type>& results) {
    std::vector<int64_t> indices = call.attrs.get_ints("inplace_indices");
    if (indices.size() != results.size()) {
      report(DiagnosticKind::wrong_arity, "inplace_indices has {} members for {} results",
             indices.size(), results.size());
      return results;
    }
    std::vector<Type> fresh;
    std::unordered_set<int64_t> taken;
    for (size_t i = 0; i < indices.size(); ++i) {
      if (indices[i] == -1) {
        fresh.push_back(results[i]);
        continue;
      }
      if (indices[i] < 0 || static_cast<size_t>(indices[i]) >= args.fields.size()) {
        report(DiagnosticKind::bad_argument,
               "result {} overwrites argument {}, there are {} arguments", i, indices[i],
               args.fields.size());
        continue;
      }
      if (!taken.insert(indices[i]).second) {
        report(DiagnosticKind::bad_argument, "two results overwrite argument {}", indices[i]);
      }
      const Value& target = args.fields[indices[i]];
      if (target->kind != ValueKind::variable || !overwritable_.count(target.get())) {
        report(DiagnosticKind::ill_formed,
               "argument {} is overwritten, but is no variable of this function", indices[i]);
      } else if (roots_of(target).empty()) {
        report(DiagnosticKind::ill_formed, "argument {} is overwritten, but is a constant",
               indices[i]);
      }
      if (target->type) {
        check_subtype(target->type, results[i], fmt::format("argument {}", indices[i]),
                      "the result that overwrites it");
      }
    }
    return fresh;
  }

  // ---- Storage

  Roots roots_of(const Value& v) const {
    Roots result;
    collect_roots(v, result);
    return result;
  }

  void collect_roots(const Value& v, Roots& out) const {
    if (v->kind == ValueKind::variable) {
      auto it = roots_.find(v.get());
      if (it != roots_.end()) out.insert(out.end(), it->second.begin(), it->second.end());
    } else if (const auto* tuple = as<TupleNode>(v)) {
      for (const Value& f : tuple->fields) collect_roots(f, out);
    } else if (const auto* get = as<TupleGetNode>(v)) {
      collect_roots(get->tuple, out);
    } else if (const auto* closure = as<FunctionNode>(v)) {  // calling it uses what it captures
      for (const Variable& captured : free_variables(closure->body, closure->params)) {
        collect_roots(captured, out);
      }
    }
  }

  void kill_overwritten(const graph::Binding& b) {
    const auto* call = as<graph::CallNode>(b.value);
    if (!call || !call->op || call->op->name != "call_tir_inplace" || call->args.size() < 2) return;
    const auto* tuple = as<TupleNode>(call->args[1]);
    const Attr* indices = call->attrs.find("inplace_indices");
    if (!tuple || !indices) return;
    for (int64_t i : call->attrs.get_ints("inplace_indices")) {
      if (i < 0 || static_cast<size_t>(i) >= tuple->fields.size()) continue;
      for (const ValueNode* root : roots_of(tuple->fields[i])) overwritten_.insert(root);
    }
  }

  const std::string& name_;
  const Module& module_;
  const OpTable& ops_;
  Diagnostics& problems_;
  Span span_;
  std::string binding_;  // the variable that is being bound, for messages
  bool force_pure_ = false;
  bool pure_ = true;
  bool conditional_ = false;
  int depth_ = 0;
  int dataflow_ = 0;  // number of the open dataflow block; 0: none
  int dataflow_count_ = 0;
  std::unordered_set<const ValueNode*> bound_, overwritable_, overwritten_;
  std::unordered_map<const ValueNode*, Visible> visible_;
  std::vector<const ValueNode*> var_stack_;
  std::unordered_set<const VarNode*> symbols_;
  std::vector<const VarNode*> symbol_stack_;
  std::unordered_map<const ValueNode*, Roots> roots_;
  std::unordered_set<const void*> reported_;
};

}  // namespace

Diagnostics verify(const Module& module, const OpTable& ops) {
  Diagnostics problems;
  for (const std::string& name : module.names()) {
    const Definition& d = *module.find(name);
    if (const auto* f = std::get_if<Function>(&d)) {
      FunctionVerifier(name, module, ops, problems).run(**f);
    } else if (const auto* program = std::get_if<tir::PrimFunc>(&d)) {
      verify_program(name, *program, module, problems);
    }
  }
  return problems;
}

}  // namespace repose
