// A few operators, enough to write programs in text without the operator library.
#pragma once

#include "ir/builder.h"

namespace repose {

inline Result<Type> infer_like_first(InferContext&, const graph::CallNode& call) {
  return call.args[0]->type;
}

inline Result<Type> infer_elementwise(InferContext& context, const graph::CallNode& call) {
  const auto* a = graph::tensor_of(call.args[0]);
  const auto* b = graph::tensor_of(call.args[1]);
  if (a->dtype != b->dtype) {
    return error(DiagnosticKind::dtype_mismatch, context.span(), "`{}`: dtypes `{}` and `{}`",
                 call.op->name, a->dtype.to_string(), b->dtype.to_string());
  }
  if (!a->shape || !b->shape) return tensor_type_of_rank(-1, a->dtype);
  if (a->shape->size() < b->shape->size()) return call.args[1]->type;
  if (a->shape->size() == b->shape->size()) {
    for (size_t i = 0; i < a->shape->size(); ++i) {
      auto same =
          context.require(eq((*a->shape)[i], (*b->shape)[i]), "dimensions {0} and {1} differ",
                          {(*a->shape)[i], (*b->shape)[i]});
      if (!same.ok()) return same.errors();
    }
  }
  return call.args[0]->type;
}

inline Result<Type> infer_reshape(InferContext&, const graph::CallNode& call) {
  const auto* shape = as<ShapeTypeNode>(call.args[1]->type);
  DType dtype = graph::tensor_of(call.args[0])->dtype;
  if (!shape->dims) return tensor_type_of_rank(shape->rank, dtype);
  return tensor_type(*shape->dims, dtype);
}

inline Diagnostic needs_shape(InferContext& context, const graph::CallNode& call) {
  return error(DiagnosticKind::rank_mismatch, context.span(), "`{}` needs a shape that fits",
               call.op->name);
}

inline Result<Type> infer_permute(InferContext& context, const graph::CallNode& call) {
  const auto* t = graph::tensor_of(call.args[0]);
  for (int64_t axis : call.attrs.get_ints("axes")) {
    bool fits = t->shape && axis >= 0 && axis < static_cast<int64_t>(t->shape->size());
    if (!fits) return needs_shape(context, call);
  }
  Dims dims;
  for (int64_t axis : call.attrs.get_ints("axes")) dims.push_back(t->shape->at(axis));
  return tensor_type(std::move(dims), t->dtype);
}

inline Result<Type> infer_sum(InferContext& context, const graph::CallNode& call) {
  const auto* t = graph::tensor_of(call.args[0]);
  if (!t->shape) return needs_shape(context, call);
  std::vector<int64_t> axes = call.attrs.get_ints("axis");
  Dims dims;
  for (size_t i = 0; i < t->shape->size(); ++i) {
    bool reduced = std::find(axes.begin(), axes.end(), static_cast<int64_t>(i)) != axes.end();
    if (!reduced) {
      dims.push_back((*t->shape)[i]);
    } else if (call.attrs.get_bool("keepdims")) {
      dims.push_back(make_int(1));
    }
  }
  return tensor_type(std::move(dims), t->dtype);
}

// The number of distinct elements is known when it runs.
inline Result<Type> infer_unique(InferContext&, const graph::CallNode& call) {
  return tensor_type({make_var("u")}, graph::tensor_of(call.args[0])->dtype);
}

inline Result<Type> infer_concat(InferContext& context, const graph::CallNode& call) {
  const auto* tuple = as<TupleTypeNode>(call.args[0]->type);
  for (const Type& t : tuple->fields) {
    const auto* tensor = as<TensorTypeNode>(t);
    if (!tensor->shape || tensor->shape->empty()) return needs_shape(context, call);
  }
  if (tuple->fields.empty()) return needs_shape(context, call);
  Expr total = make_int(0);
  for (const Type& t : tuple->fields) total = total + as<TensorTypeNode>(t)->shape->at(0);
  return tensor_type({total}, as<TensorTypeNode>(tuple->fields[0])->dtype);
}

inline Result<Type> infer_split(InferContext&, const graph::CallNode& call) {
  return tuple_type({call.args[0]->type, call.args[0]->type});
}

inline Result<Type> infer_compare(InferContext& context, const graph::CallNode& call) {
  if (!graph::tensor_of(call.args[0])->shape) return needs_shape(context, call);
  return tensor_type(*graph::tensor_of(call.args[0])->shape, dtypes::boolean);
}

inline Result<Type> infer_astype(InferContext& context, const graph::CallNode& call) {
  if (!graph::tensor_of(call.args[0])->shape) return needs_shape(context, call);
  return tensor_type(*graph::tensor_of(call.args[0])->shape, call.attrs.get_dtype("dtype"));
}

inline Result<Type> infer_result(InferContext& context, const graph::CallNode& call) {
  if (call.type_args.size() == 1) return call.type_args[0];
  return error(DiagnosticKind::wrong_arity, context.span(), "`{}` needs `out_sinfo=`",
               call.op->name);
}

inline Result<Type> infer_packed(InferContext&, const graph::CallNode& call) {
  if (call.type_args.empty()) return any_type();
  return call.type_args.size() == 1 ? call.type_args[0] : tuple_type(call.type_args);
}

inline Result<Type> infer_void(InferContext&, const graph::CallNode&) {
  return void_type();
}
inline Result<Type> infer_any(InferContext&, const graph::CallNode&) {
  return any_type();
}
inline Result<Type> infer_loop(InferContext&, const graph::CallNode& call) {
  return call.args[2]->type;
}

inline const OpTable& small_ops() {
  static const std::vector<OpDef> defs = {
      {.name = "add", .args = {{"a"}, {"b"}}, .infer = infer_elementwise},
      {.name = "multiply", .args = {{"a"}, {"b"}}, .infer = infer_elementwise},
      {.name = "less", .args = {{"a"}, {"b"}}, .infer = infer_compare},
      {.name = "relu", .args = {{"x"}}, .infer = infer_like_first},
      {.name = "negative", .args = {{"x"}}, .infer = infer_like_first},
      {.name = "reshape", .args = {{"x"}, {"shape", ArgKind::shape}}, .infer = infer_reshape},
      {.name = "permute_dims",
       .args = {{"x"}},
       .attrs = {{"axes", AttrKind::integers}},
       .infer = infer_permute},
      {.name = "sum",
       .args = {{"x"}},
       .attrs = {{"axis", AttrKind::optional_integers, Attr()},
                 {"keepdims", AttrKind::boolean, Attr(false)}},
       .infer = infer_sum},
      {.name = "scale",
       .args = {{"x"}, {"bias", ArgKind::tensor, true}},
       .attrs = {{"factor", AttrKind::number, Attr(1.0)},
                 {"mode", AttrKind::string, Attr("plain")},
                 {"extra", AttrKind::any, Attr()}},
       .infer = infer_like_first},
      {.name = "astype",
       .args = {{"x"}},
       .attrs = {{"dtype", AttrKind::dtype}},
       .infer = infer_astype},
      {.name = "unique", .args = {{"x"}}, .infer = infer_unique},
      {.name = "concat", .args = {{"x", ArgKind::tensors}}, .infer = infer_concat},
      {.name = "split2", .args = {{"x"}}, .infer = infer_split},
      {.name = "null_value", .args = {}, .infer = infer_any},
      {.name = "call_tir",
       .args = {{"program", ArgKind::function}, {"args", ArgKind::any}},
       .infer = infer_result},
      {.name = "call_tir_inplace",
       .args = {{"program", ArgKind::function}, {"args", ArgKind::any}},
       .attrs = {{"inplace_indices", AttrKind::integers}},
       .infer = infer_result},
      {.name = "call_dps_packed",
       .args = {{"function", ArgKind::any}, {"args", ArgKind::any}},
       .infer = infer_result},
      {.name = "call_pure_packed",
       .args = {{"function", ArgKind::any}},
       .variadic = true,
       .infer = infer_packed},
      {.name = "call_packed",
       .args = {{"function", ArgKind::any}},
       .variadic = true,
       .pure = false,
       .infer = infer_packed},
      {.name = "while_loop",
       .args = {{"cond", ArgKind::function}, {"body", ArgKind::function}, {"init", ArgKind::any}},
       .infer = infer_loop},
      {.name = "check",
       .args = {{"condition", ArgKind::prim}},
       .attrs = {{"message", AttrKind::string}},
       .variadic = true,
       .infer = infer_void},
      {.name = "print",
       .args = {},
       .attrs = {{"format", AttrKind::string, Attr("")}},
       .variadic = true,
       .pure = false,
       .infer = infer_void},
  };
  static const OpTable table = [] {
    std::vector<const OpDef*> pointers;
    for (const OpDef& d : defs) pointers.push_back(&d);
    return OpTable(pointers);
  }();
  return table;
}

}  // namespace repose
