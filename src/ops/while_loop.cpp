// Loops over carried values: while_loop(cond, body, init).
//   C1: `cond` and `body` are functions of the module or closures, whose parameters are the carried
//       values: one parameter for each member of `init` where that is a tuple, else one parameter;
//       a function of one parameter that is a tuple takes the whole tuple
//   C2: both are pure
//   C3: `init` and the result of `body` fit the parameters of both: a value fits a parameter if
//       binding the parameter's symbols anew makes the types equal
//   C4: `cond` gives a bool of rank 0
//   result: the carried values after the first test that fails. Its type is that of `body`'s
//       parameters, in which fresh symbols stand for those that each iteration binds
// Runs in the interpreter only.
#include "ops/ops.h"
#include "ops/type_rules.h"

namespace repose {

namespace {

Diagnostic mismatch(InferContext& context, std::string text) {
  return error(DiagnosticKind::type_mismatch, context.span(), "`while_loop`: {}", text);
}

// The type of operand `i`, a function.
Result<const FunctionTypeNode*> function_arg(InferContext& context, const graph::CallNode& call,
                                             size_t i) {
  Type type = call.args[i]->type;
  if (const auto* g = graph::as<graph::GlobalNode>(call.args[i])) {
    const graph::Function f = context.module().graph_function(g->name);
    type = f ? f->type : nullptr;
  }
  const auto* f = as<FunctionTypeNode>(type);
  if (!f || f->opaque) {
    return mismatch(context, fmt::format("operand {} (`{}`) is no function of known parameters", i,
                                         call.op->args[i].name));
  }
  if (!f->pure) {
    return error(DiagnosticKind::impure_call, context.span(),
                 "`while_loop`: operand {} (`{}`) is not pure", i, call.op->args[i].name);
  }
  return f;
}

// The carried values as `f` takes them: as one tuple type if `init` is a tuple.
Result<Type> carried_type(InferContext& context, const FunctionTypeNode& f, const Type& init,
                          const char* name) {
  const auto* members = as<TupleTypeNode>(init);
  const bool takes_all = f.params.size() == 1 && (!members || as<TupleTypeNode>(f.params[0]));
  if (takes_all) return f.params[0];
  const size_t expected = members ? members->fields.size() : 1;
  if (f.params.size() == expected) return tuple_type(f.params);
  return error(DiagnosticKind::wrong_arity, context.span(),
               "`while_loop`: `{}` takes {} values, {} are carried", name, f.params.size(),
               expected);
}

// C3, for one value and one parameter list. Gives the symbols of `params` their values.
Result<void> require_fits(InferContext& context, const Type& value, const Type& params,
                          VarMap& symbols, const std::string& what) {
  match_symbols(params, value, symbols);
  if (is_subtype(value, substitute(params, symbols), context.facts()) != Truth::no) return {};
  return mismatch(context, fmt::format("{} has type `{}`, expected `{}`", what, to_string(value),
                                       to_string(params)));
}

Result<Type> infer_while_loop(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(cond, function_arg(context, call, 0));
  REPOSE_TRY(body, function_arg(context, call, 1));
  const Type init = call.args[2]->type;
  REPOSE_TRY(tested, carried_type(context, *cond, init, "cond"));
  REPOSE_TRY(carried, carried_type(context, *body, init, "body"));
  VarMap of_init, of_test, of_step;
  REPOSE_REQUIRE(require_fits(context, init, carried, of_init, "`init`"));
  REPOSE_REQUIRE(require_fits(context, carried, tested, of_test, "what `body` takes"));
  // Symbols of the scope around stand for themselves; others are bound anew in each iteration.
  VarMap fresh;
  for (const Var& v : binding_symbols(carried)) {
    auto it = of_init.find(v.get());
    const bool is_outer = it != of_init.end() && it->second == Expr(v);
    if (is_outer) of_step.emplace(v.get(), v);
    if (!is_outer) fresh.emplace(v.get(), make_var(v->name, v->dtype, v->role));
  }
  REPOSE_REQUIRE(require_fits(context, body->result, carried, of_step, "the result of `body`"));
  const auto* flag = as<TensorTypeNode>(cond->result);
  const auto* prim = as<PrimTypeNode>(cond->result);
  if (!(flag && flag->dtype.is_bool() && flag->rank == 0) && !(prim && prim->dtype.is_bool())) {
    return mismatch(context, fmt::format("`cond` gives `{}`, expected a bool of rank 0",
                                         to_string(cond->result)));
  }
  return substitute(carried, fresh);
}

}  // namespace

const OpDef& op_while_loop() {
  static const OpDef def{
      .name = "while_loop",
      .args = {{"cond", ArgKind::function}, {"body", ArgKind::function}, {"init", ArgKind::any}},
      .infer = infer_while_loop,
      .doc =
          "C1: cond and body take the carried values. C2: both are pure. C3: init and body's "
          "result fit their parameters. C4: cond gives a bool of rank 0. While cond(carried) "
          "holds, carried = body(carried)"};
  return def;
}

}  // namespace repose
