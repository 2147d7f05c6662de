// Small programs and operators that the tests of the IR share.
#pragma once

#include "ir/module.h"
#include "ir/op.h"

namespace repose::testing_ir {

inline Expr i(int64_t v) {
  return make_int(v);
}
inline Type f32(Dims dims) {
  return tensor_type(std::move(dims), dtypes::float32);
}
inline Var loop_var(const std::string& name) {
  return make_var(name, dtypes::index, VarRole::loop);
}

// b[v] = a[v] + 1 for v in [0, n), in a block.
inline tir::PrimFunc add_one(bool is_private = true, const std::string& block = "add") {
  Var n = make_var("n");
  Buffer a = make_buffer("a", {n}, dtypes::float32), b = make_buffer("b", {n}, dtypes::float32);
  Var l = loop_var("i"), v = loop_var("v");
  tir::Stmt store = tir::make<tir::StoreNode>(b, std::vector<Expr>{v},
                                              make_load(a, {v}) + make_float(1, dtypes::float32));
  tir::BlockNode::Fields fields;
  fields.name = block;
  fields.iters = {{v, i(0), n, tir::IterKind::spatial, l}};
  fields.reads = {{a, {{v, i(1)}}}};
  fields.writes = {{b, {{v, i(1)}}}};
  fields.body = store;
  tir::Stmt loop =
      tir::make<tir::ForNode>(l, i(0), n, tir::ForKind::serial, tir::make<tir::BlockNode>(fields));
  return tir::make_prim_func({tir::buffer_param(a), tir::buffer_param(b)}, loop, is_private);
}

inline graph::Body body_of(std::vector<graph::Block> blocks, graph::Value result) {
  return make_ref<graph::BodyNode>(std::move(blocks), std::move(result));
}

inline graph::Function function_of(std::vector<graph::Variable> params, graph::Body body,
                                   Type result, bool pure = true, Attrs attrs = {}) {
  return make_ref<graph::FunctionNode>(std::move(params), std::move(body), std::move(result), pure,
                                       false, std::move(attrs), Span{});
}

inline Result<Type> infer_nothing(InferContext&, const graph::CallNode&) {
  return any_type();
}

// Operators that the tests call: the ones that the verifier knows by name, one pure, one impure.
inline const OpTable& test_ops() {
  static const OpDef copy{.name = "copy", .args = {{"x"}}, .infer = infer_nothing};
  static const OpDef call_tir{.name = "call_tir",
                              .args = {{"program", ArgKind::function}, {"args", ArgKind::any}},
                              .infer = infer_nothing};
  static const OpDef inplace{.name = "call_tir_inplace",
                             .args = {{"program", ArgKind::function}, {"args", ArgKind::any}},
                             .attrs = {{"inplace_indices", AttrKind::integers}},
                             .infer = infer_nothing};
  static const OpDef packed{.name = "call_packed",
                            .args = {{"function", ArgKind::any}},
                            .variadic = true,
                            .pure = false,
                            .infer = infer_nothing};
  static const OpDef while_loop{
      .name = "while_loop", .args = {{"x", ArgKind::any}}, .infer = infer_nothing};
  static const OpDef* const list[] = {&copy, &call_tir, &inplace, &packed, &while_loop};
  static const OpTable table(list);
  return table;
}

inline graph::Value call_op(const char* name, std::vector<graph::Value> args, Type type,
                            Attrs attrs = {}, std::vector<Type> type_args = {}) {
  return make_ref<graph::CallNode>(test_ops().find(name), nullptr, std::move(args),
                                   std::move(attrs), std::move(type_args), std::move(type));
}

inline graph::Value call_tir(const std::string& program, std::vector<graph::Value> args, Type out) {
  return call_op("call_tir", {graph::make_global(program), graph::make_tuple(std::move(args))}, out,
                 {}, {out});
}

}  // namespace repose::testing_ir
