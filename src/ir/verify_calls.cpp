// Calls in graph functions: operators, functions, call_tir and its kin, and the storage that
// call_tir_inplace overwrites.
#include "ir/match_program.h"
#include "ir/verify_function.h"

namespace repose {

using namespace graph;
using graph::as;
using repose::substitute;

bool allocates_results(std::string_view op) {
  return op == "call_tir" || op == "call_tir_inplace" || op == "call_dps_packed";
}

// ---- Calls

void FunctionVerifier::check(const graph::CallNode& call) {
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

void FunctionVerifier::check_purity(bool pure, std::string_view callee) {
  if (pure || force_pure_) return;
  if (dataflow_) {
    report(DiagnosticKind::impure_call, "a dataflow block calls `{}`, which is not pure", callee);
  } else if (pure_) {
    report(DiagnosticKind::impure_call, "the function is pure, but calls `{}`, which is not",
           callee);
  }
}

void FunctionVerifier::check_operator_call(const graph::CallNode& call) {
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
  if (allocates_results(op.name)) {
    for (const Type& t : call.type_args) {
      check_symbols(t, fmt::format("the result type of `{}`", op.name));
    }
  }
  if (op.name == "call_tir" || op.name == "call_tir_inplace") check_call_tir(call);
}

void FunctionVerifier::check_function_call(const graph::CallNode& call) {
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

void FunctionVerifier::check_call_tir(const graph::CallNode& call) {
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
    report(DiagnosticKind::wrong_arity, "a call of `{}` has {} result types, expected one", g->name,
           call.type_args.size());
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
  match_program(g->name, *f, values, tuple->fields.size(),
                [this](DiagnosticKind kind, const std::string& text) { report(kind, "{}", text); });
}

// Checks what is overwritten; the results that are not.
std::vector<Type> FunctionVerifier::fresh_results(const graph::CallNode& call,
                                                  const TupleNode& args,
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
    // Of a constant, a copy is overwritten: folding may make one of any argument.
    if (target->kind != ValueKind::constant && !overwritable_.count(target.get())) {
      report(DiagnosticKind::ill_formed,
             "argument {} is overwritten, but is no variable of this function", indices[i]);
    }
    if (target->type) {
      check_subtype(target->type, results[i], fmt::format("argument {}", indices[i]),
                    "the result that overwrites it");
    }
  }
  return fresh;
}

// ---- Storage

FunctionVerifier::Roots FunctionVerifier::roots_of(const Value& v) const {
  Roots result;
  collect_roots(v, result);
  return result;
}

void FunctionVerifier::collect_roots(const Value& v, Roots& out) const {
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

void FunctionVerifier::kill_overwritten(const graph::Binding& b) {
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

}  // namespace repose
