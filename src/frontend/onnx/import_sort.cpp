// Sorting, and results whose size the data decides.
#include "frontend/onnx/operator_table.h"

namespace repose::onnx {
namespace {

// The one element of an integer operand.
Result<Expr> count_operand(NodeContext& c, size_t i, const char* what) {
  REPOSE_TRY(given, c.input(i));
  REPOSE_TRY(elements, c.elements(given, what));
  if (elements.size() == 1) return elements[0];
  return c.fail(DiagnosticKind::bad_argument, "`{}` has {} elements, expected 1", what,
                elements.size());
}

Result<Values> top_k_of(NodeContext& c, const Expr& k) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(axis, c.integer("axis", -1));
  REPOSE_TRY(largest, c.flag("largest", true));
  return c.call_tuple("topk", {x, graph::make_prim(k)}, {{"axis", axis}, {"largest", largest}});
}

Result<Values> top_k_of_attribute(NodeContext& c) {
  REPOSE_TRY(k, c.integer("k"));
  return top_k_of(c, make_int(k));
}

// `sorted` = 0 leaves the order open: it is the same.
Result<Values> top_k(NodeContext& c) {
  REPOSE_TRY(k, count_operand(c, 1, "K"));
  return top_k_of(c, k);
}

Result<Operand> nonzero(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  return c.call("nonzero", {x});
}

Result<Operand> flat(NodeContext& c, const Operand& x) {
  REPOSE_TRY(dims, c.shape(x));
  Expr count = make_int(1);
  for (const Expr& d : dims) count = count * d;
  return c.reshape(x, {canonical(count)});
}

// What `condition` selects; it may be shorter than the axis.
Result<Operand> compress(NodeContext& c) {
  REPOSE_TRY(given, c.input(0));
  REPOSE_TRY(condition, c.input(1));
  REPOSE_TRY(axis, c.integer("axis", 0));
  Operand x = given;
  if (!c.find("axis")) {
    REPOSE_TRY(elements, flat(c, given));
    x = elements;
  }
  REPOSE_TRY(found, c.call("nonzero", {condition}));
  REPOSE_TRY(indices, flat(c, found));
  return c.call("take", {x, indices}, {{"axis", axis}});
}

Result<Values> unique(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(axis, c.integer("axis", 0));
  REPOSE_TRY(sorted, c.flag("sorted", true));
  return c.call_tuple("unique", {x},
                      {{"sorted", sorted},
                       {"return_index", true},
                       {"return_inverse", true},
                       {"return_counts", true},
                       {"axis", c.find("axis") ? Attr(axis) : Attr()}});
}

Result<Operand> non_max_suppression(NodeContext& c) {
  REPOSE_TRY(boxes, c.input(0));
  REPOSE_TRY(scores, c.input(1));
  REPOSE_TRY(center, c.integer("center_point_box", 0));
  Expr most = make_int(0);
  if (c.has(2)) {
    REPOSE_TRY(k, count_operand(c, 2, "max_output_boxes_per_class"));
    most = k;
  }
  REPOSE_TRY(nothing, c.call("null_value", {}));
  std::vector<Operand> operands{boxes, scores, graph::make_prim(most)};
  for (size_t i : {size_t{3}, size_t{4}}) operands.push_back(c.has(i) ? c.optional(i) : nothing);
  return c.call("non_max_suppression", std::move(operands), {{"center_point_box", center != 0}});
}

}  // namespace

std::span<const OperatorRow> sort_operators() {
  static constexpr OperatorRow rows[] = {
      {"Compress", 9, one<compress>},
      {"NonMaxSuppression", 10, one<non_max_suppression>},
      {"NonZero", 9, one<nonzero>},
      {"TopK", 1, top_k_of_attribute},
      {"TopK", 10, top_k},
      {"Unique", 11, unique},
  };
  return rows;
}

}  // namespace repose::onnx
