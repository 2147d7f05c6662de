// Calls across the levels of the IR, and checks. What they mean: docs/ir.md, "Calls".
#include <algorithm>

#include "ops/ops.h"
#include "ops/type_rules.h"

namespace repose {

namespace {

// C1: one result annotation is given (out_sinfo=): a tensor type with known shape and dtype, or a
// tuple of them. That it fits the program is the verifier's to check.
Result<Type> infer_destination_passing(InferContext& context, const graph::CallNode& call) {
  if (call.type_args.size() != 1) {
    return error(DiagnosticKind::wrong_arity, context.span(),
                 "`{}` needs the type of its result, `out_sinfo=`", call.op->name);
  }
  const Type& type = call.type_args[0];
  std::vector<Type> results{type};
  if (const auto* tuple = as<TupleTypeNode>(type)) results = tuple->fields;
  for (const Type& r : results) {
    const auto* t = as<TensorTypeNode>(r);
    if (!t || !t->shape || !t->dtype) {
      return error(DiagnosticKind::type_mismatch, context.span(),
                   "`{}`: result type `{}`, expected a tensor with a shape and a dtype",
                   call.op->name, to_string(r));
    }
  }
  return type;
}

// The result type is what sinfo_args= says: nothing (any), one type, or several (a tuple).
Result<Type> infer_packed(InferContext&, const graph::CallNode& call) {
  if (call.type_args.empty()) return any_type();
  return call.type_args.size() == 1 ? call.type_args[0] : tuple_type(call.type_args);
}

// C1: inplace_indices has an entry for each result: the argument that it overwrites, a tensor of
// the result's type, or -1; not all are -1, and none is named twice.
Result<Type> infer_inplace_packed(InferContext& context, const graph::CallNode& call) {
  const std::vector<int64_t> indices = call.attrs.get_ints("inplace_indices");
  auto bad = [&](const std::string& what) {
    return error(DiagnosticKind::bad_argument, context.span(), "`call_inplace_packed`: {}", what);
  };
  if (indices.size() != call.type_args.size()) {
    return bad(fmt::format("inplace_indices has {} members for {} results", indices.size(),
                           call.type_args.size()));
  }
  std::vector<int64_t> taken;
  for (size_t i = 0; i < indices.size(); ++i) {
    const int64_t k = indices[i];
    if (k == -1) continue;
    if (k < 0 || static_cast<size_t>(k) + 1 >= call.args.size()) {
      return bad(fmt::format("result {} overwrites argument {}, there are {} arguments", i, k,
                             call.args.size() - 1));
    }
    if (std::find(taken.begin(), taken.end(), k) != taken.end()) {
      return bad(fmt::format("two results overwrite argument {}", k));
    }
    taken.push_back(k);
    const Type& argument = call.args[static_cast<size_t>(k) + 1]->type;
    if (!as<TensorTypeNode>(call.type_args[i]) || !as<TensorTypeNode>(argument) ||
        is_subtype(argument, call.type_args[i], context.facts()) == Truth::no) {
      return bad(fmt::format("result {} of type `{}` overwrites an argument of type `{}`", i,
                             to_string(call.type_args[i]), to_string(argument)));
    }
  }
  if (taken.empty()) return bad("no result overwrites an argument");
  return call.type_args.size() == 1 ? call.type_args[0] : tuple_type(call.type_args);
}

Result<Type> infer_void(InferContext&, const graph::CallNode&) {
  return void_type();
}
Result<Type> infer_any(InferContext&, const graph::CallNode&) {
  return any_type();
}

// C1: the condition is a bool.
Result<Type> infer_check(InferContext& context, const graph::CallNode& call) {
  const auto* p = as<PrimTypeNode>(call.args[0]->type);
  if (p && p->dtype.is_bool()) return void_type();
  return error(DiagnosticKind::type_mismatch, context.span(),
               "`check`: the condition has type `{}`, expected a bool prim value",
               to_string(call.args[0]->type));
}

}  // namespace

const OpDef& op_call_tir() {
  static const OpDef def{
      .name = "call_tir",
      .args = {{"program", ArgKind::function}, {"args", ArgKind::any}},
      .infer = infer_destination_passing,
      .doc = "allocates results of type out_sinfo and calls program(args…, results…)"};
  return def;
}

// A call like any other; what its gradient would be is a function of TVM's Python.
const OpDef& op_call_tir_with_grad() {
  static const OpDef def{
      .name = "call_tir_with_grad",
      .args = {{"program", ArgKind::function}, {"args", ArgKind::any}},
      .attrs = {{"te_grad_name", AttrKind::string}, {"te_grad_kwargs", AttrKind::any, Attr()}},
      .infer = infer_destination_passing,
      .lower = [](Builder&, const graph::CallNode& call) -> Result<graph::Value> {
        return graph::make_op_call(op_call_tir(), call.args, {}, call.type_args);
      },
      .gradient = [](Builder&, const Pullback& p) -> Result<std::vector<graph::Value>> {
        return error(DiagnosticKind::unsupported_feature, {},
                     "`call_tir_with_grad`: its gradient is `{}`, a function of TVM's",
                     p.call.attrs.get_string("te_grad_name"));
      },
      .doc = "call_tir, whose gradient nobody knows here"};
  return def;
}

const OpDef& op_call_tir_inplace() {
  static const OpDef def{
      .name = "call_tir_inplace",
      .args = {{"program", ArgKind::function}, {"args", ArgKind::any}},
      .attrs = {{"inplace_indices", AttrKind::integers}},
      .infer = infer_destination_passing,
      .doc = "call_tir whose result i overwrites argument inplace_indices[i] (-1: a new buffer)"};
  return def;
}

const OpDef& op_call_dps_packed() {
  static const OpDef def{.name = "call_dps_packed",
                         .args = {{"function", ArgKind::any}, {"args", ArgKind::any}},
                         .infer = infer_destination_passing,
                         .doc = "a library function that writes its result into a given buffer"};
  return def;
}

const OpDef& op_call_pure_packed() {
  static const OpDef def{.name = "call_pure_packed",
                         .args = {{"function", ArgKind::any}},
                         .variadic = true,
                         .infer = infer_packed,
                         .doc = "a library function without effects"};
  return def;
}

const OpDef& op_call_packed() {
  static const OpDef def{.name = "call_packed",
                         .args = {{"function", ArgKind::any}},
                         .variadic = true,
                         .pure = false,
                         .infer = infer_packed,
                         .doc = "a library function that may have effects"};
  return def;
}

const OpDef& op_call_inplace_packed() {
  static const OpDef def{.name = "call_inplace_packed",
                         .args = {{"function", ArgKind::any}},
                         .attrs = {{"inplace_indices", AttrKind::integers}},
                         .variadic = true,
                         .infer = infer_inplace_packed,
                         .doc =
                             "a library function that overwrites arguments: result i is argument "
                             "inplace_indices[i] afterwards (-1: what the function gives)"};
  return def;
}

const OpDef& op_null_value() {
  static const OpDef def{.name = "null_value",
                         .args = {},
                         .infer = infer_any,
                         .doc = "stands for an operand that is left out"};
  return def;
}

const OpDef& op_check() {
  static const OpDef def{
      .name = "check",
      .args = {{"condition", ArgKind::prim}},
      .attrs = {{"message", AttrKind::string}, {"guaranteed", AttrKind::boolean, Attr(false)}},
      .variadic = true,
      .infer = infer_check,
      .doc =
          "fails with the message unless the condition holds; {0}, {1}, … in the message stand "
          "for the further operands. Never dropped: proofs may rest on it. guaranteed: an operator "
          "makes sure of the condition, which is there for what follows from it"};
  return def;
}

const OpDef& op_assert_op() {
  static const OpDef def{.name = "assert_op",
                         .args = {{"condition", ArgKind::any}},
                         .attrs = {{"format", AttrKind::string, Attr("")}},
                         .variadic = true,
                         .pure = false,
                         .infer = infer_void,
                         .doc = "fails with the formatted message unless the condition holds"};
  return def;
}

const OpDef& op_print() {
  static const OpDef def{.name = "print",
                         .args = {},
                         .attrs = {{"format", AttrKind::string, Attr("")}},
                         .variadic = true,
                         .pure = false,
                         .infer = infer_void,
                         .doc = "prints its operands"};
  return def;
}

}  // namespace repose
