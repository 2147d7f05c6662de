// Calls of packed functions.
#include "ir/packed_call.h"

#include "ir/op.h"

#define REPOSE_NO_LOADER
#include "repose/repose.h"

namespace repose {

namespace {

int rank_of(const ShapeTypeNode& shape) {
  return shape.dims ? static_cast<int>(shape.dims->size()) : shape.rank;
}

}  // namespace

bool is_packed_call(const graph::CallNode& call) {
  return call.op && (call.op->name == "call_packed" || call.op->name == "call_pure_packed" ||
                     call.op->name == "call_inplace_packed");
}

bool is_dps_packed(const graph::CallNode& call) {
  return call.op && call.op->name == "call_dps_packed";
}

int packed_kind(const Type& type) {
  if (as<TensorTypeNode>(type)) return REPOSE_VALUE_TENSOR;
  const auto* shape = as<ShapeTypeNode>(type);
  if (shape && rank_of(*shape) >= 0) return REPOSE_VALUE_SHAPE;
  const auto* prim = as<PrimTypeNode>(type);
  if (!prim || !prim->dtype) return REPOSE_VALUE_NONE;
  if (prim->dtype.is_bool()) return REPOSE_VALUE_BOOL;
  return prim->dtype.is_float() ? REPOSE_VALUE_FLOAT : REPOSE_VALUE_INT;
}

int packed_count(const Type& type) {
  const auto* shape = as<ShapeTypeNode>(type);
  return shape && rank_of(*shape) > 0 ? rank_of(*shape) : 0;
}

}  // namespace repose
