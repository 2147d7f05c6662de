// Sequences of tensors, as far as how long they are is known when the model is compiled, a loop has
// built them, or a tensor was split into slices.
//
// A sequence is a tuple of its tensors. One that a loop appends to ends with a tensor whose rows
// are what the iterations gave: the loop stacks them (import_building_loop in building_loops.cpp).
#include "frontend/common/composite.h"
#include "frontend/common/loop_builder.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/sequences.h"

namespace repose::onnx {
namespace {

Diagnostic no_rows(const NodeContext& c) {
  return c.fail(DiagnosticKind::unsupported_feature,
                "changes a sequence whose length only a run tells, which is not supported");
}

// Operand `i`, counted from the front among `count` places; `absent` where there is none.
Result<size_t> place(NodeContext& c, size_t i, size_t count, size_t absent) {
  if (!c.has(i)) return absent;
  REPOSE_TRY(given, c.constants(c.optional(i), "position"));
  const auto places = static_cast<int64_t>(count);
  if (given.size() != 1 || given[0] < -places || given[0] >= places) {
    return c.fail(DiagnosticKind::bad_argument, "the position is no number from {} to {}", -places,
                  places - 1);
  }
  return static_cast<size_t>(given[0] < 0 ? given[0] + places : given[0]);
}

Result<Operand> sequence_empty(NodeContext& /*c*/) {
  return sequence_of({});
}

Result<Operand> sequence_construct(NodeContext& c) {
  REPOSE_TRY(parts, c.all_inputs());
  return sequence_of({parts, nullptr});
}

Result<Operand> sequence_insert(NodeContext& c) {
  REPOSE_TRY(s, sequence_at(c, 0));
  REPOSE_TRY(x, c.input(1));
  if (s.rows) return no_rows(c);
  const size_t end = s.parts.size();
  size_t at = end;
  if (c.has(2)) {  // also behind the last
    REPOSE_TRY(given, c.constants(c.optional(2), "position"));
    const bool is_end = given.size() == 1 && given[0] == static_cast<int64_t>(end);
    if (!is_end) {
      REPOSE_TRY(found, place(c, 2, end, end));
      at = found;
    }
  }
  s.parts.insert(s.parts.begin() + static_cast<std::ptrdiff_t>(at), x);
  return sequence_of(std::move(s));
}

Result<Operand> sequence_erase(NodeContext& c) {
  REPOSE_TRY(s, sequence_at(c, 0));
  if (s.rows) return no_rows(c);
  if (s.parts.empty()) return c.fail(DiagnosticKind::bad_argument, "the sequence is empty");
  REPOSE_TRY(at, place(c, 1, s.parts.size(), s.parts.size() - 1));
  s.parts.erase(s.parts.begin() + static_cast<std::ptrdiff_t>(at));
  return sequence_of(std::move(s));
}

// A row that the data may choose.
Result<Operand> row_at(NodeContext& c, const Operand& rows) {
  REPOSE_TRY(position, c.input(1));
  REPOSE_TRY(elements, c.elements(position, "position"));
  REPOSE_TRY(dims, c.shape(rows));
  if (elements.size() != 1) {
    return c.fail(DiagnosticKind::bad_argument, "{} positions, expected 1", elements.size());
  }
  const Expr zero = make_int(0);
  const Expr at =
      simplify(make_select(lt(elements[0], zero), elements[0] + dims[0], elements[0]), c.facts());
  auto inside = c.require(logical_and(le(zero, at), lt(at, dims[0])),
                          "position {0} of a sequence of {1} tensors", {elements[0], dims[0]});
  if (!inside.ok()) return inside.errors();
  return row_of(c, rows, at);
}

Result<Operand> sequence_element(NodeContext& c) {
  REPOSE_TRY(s, sequence_at(c, 0));
  if (s.rows && s.parts.empty()) return row_at(c, s.rows);
  if (s.rows) return no_rows(c);
  REPOSE_TRY(at, place(c, 1, s.parts.size(), 0));
  return s.parts[at];
}

Result<Operand> sequence_length(NodeContext& c) {
  REPOSE_TRY(s, sequence_at(c, 0));
  Expr length = make_int(static_cast<int64_t>(s.parts.size()));
  if (s.rows) {
    REPOSE_TRY(dims, c.shape(s.rows));
    length = canonical(length + dims[0]);
  }
  Composite m(c);
  return m.result(m.number(length, dtypes::int64));
}

// The rows of x along `axis`: a dimension of their own there, or one after the other.
Result<Operand> rows_along(NodeContext& c, const Operand& x, int64_t axis, bool is_new) {
  REPOSE_TRY(dims, c.shape(x));
  std::vector<int64_t> order;
  for (int64_t d = 1; d < static_cast<int64_t>(dims.size()); ++d) order.push_back(d);
  order.insert(order.begin() + axis, 0);
  Composite m(c);
  const Operand moved = m.permute(x, order);
  if (is_new) return m.result(moved);
  Dims joined(dims.begin() + 1, dims.end());
  const auto at = static_cast<size_t>(axis);
  joined[at] = canonical(joined[at] * dims[0]);
  return m.result(m.reshape(moved, joined));
}

Result<Operand> concat_from_sequence(NodeContext& c) {
  REPOSE_TRY(s, sequence_at(c, 0));
  REPOSE_TRY(given, c.integer("axis"));
  REPOSE_TRY(is_new, c.flag("new_axis", false));
  if (s.parts.empty() && !s.rows) {
    return c.fail(DiagnosticKind::bad_argument, "the sequence is empty");
  }
  REPOSE_TRY(of_one, c.rank(s.rows ? s.rows : s.parts[0]));
  const int64_t rank = of_one - (s.rows ? 1 : 0);
  REPOSE_TRY(axis, c.axis(given, is_new ? rank + 1 : rank));
  Composite m(c);
  std::vector<Operand> all;
  for (const Operand& part : s.parts) all.push_back(is_new ? m.unsqueeze(part, {axis}) : part);
  if (s.rows) all.push_back(m.take(rows_along(c, s.rows, axis, is_new)));
  return m.result(all.size() == 1 ? all[0] : m.concat(all, axis));
}

// Whether the parts have one element each, as many as the axis has, which is no number.
Result<bool> splits_into_rows(NodeContext& c, const Expr& whole) {
  int64_t number = 0;
  if (as_const_int(whole, &number)) return false;
  if (!c.has(1)) return true;
  REPOSE_TRY(rank, c.rank(c.optional(1)));
  const Expr size = rank == 0 ? c.known_scalar(c.optional(1)) : nullptr;
  return size && is_const_int(size, 1);
}

// The extents of the parts along the axis: as given, or pieces of one size, the last of which may
// be shorter.
Result<std::vector<Expr>> extents_of_parts(NodeContext& c, const Expr& whole) {
  int64_t size = 1;
  if (c.has(1)) {
    REPOSE_TRY(rank, c.rank(c.optional(1)));
    REPOSE_TRY(given, c.elements(c.optional(1), "split"));
    if (rank == 1) return given;
    if (!as_const_int(given[0], &size)) size = 0;
  }
  int64_t extent = 0;
  constexpr int64_t most = 1024;
  if (size < 1 || !as_const_int(whole, &extent) || extent / size > most) {
    return c.fail(DiagnosticKind::unsupported_feature,
                  "the number of parts is not known when the model is compiled, or more than {}",
                  most);
  }
  std::vector<Expr> extents;
  for (int64_t at = 0; at < extent; at += size) {
    extents.push_back(make_int(std::min(size, extent - at)));
  }
  return extents;
}

Result<Operand> split_to_sequence(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(given, c.integer("axis", 0));
  REPOSE_TRY(axis, c.axis(given, static_cast<int64_t>(dims.size())));
  REPOSE_TRY(keeps, c.flag("keepdims", true));
  const bool drops_axis = !keeps && !c.has(1);
  const Expr& whole = dims[static_cast<size_t>(axis)];
  Composite m(c);
  Sequence s;
  REPOSE_TRY(into_rows, splits_into_rows(c, whole));
  if (into_rows) {
    std::vector<int64_t> order{axis};
    for (int64_t d = 0; d < static_cast<int64_t>(dims.size()); ++d) {
      if (d != axis) order.push_back(d);
    }
    const Operand moved = m.permute(x, order);
    REPOSE_TRY(rows, m.result(drops_axis ? moved : m.unsqueeze(moved, {axis + 1})));
    s.rows = rows;
    return sequence_of(std::move(s));
  }
  REPOSE_TRY(extents, extents_of_parts(c, whole));
  Expr at = make_int(0);
  for (const Expr& extent : extents) {
    const Expr end = canonical(at + extent);
    const Operand part = m.slice(x, axis, at, end);
    s.parts.push_back(drops_axis ? m.squeeze(part, {axis}) : part);
    at = end;
  }
  m.require(eq(at, whole), "the parts have {0} elements, the dimension {1}", {at, whole});
  if (!m.ok()) return m.result(nullptr);
  return sequence_of(std::move(s));
}

}  // namespace

bool takes_sequences(const Node& node) {
  static constexpr std::string_view names[] = {
      "SequenceInsert",     "SequenceErase", "SequenceAt",         "SequenceLength",
      "Identity",           "Optional",      "OptionalGetElement", "OptionalHasElement",
      "ConcatFromSequence", "SequenceMap"};
  return (node.domain.empty() || node.domain == "ai.onnx") &&
         std::find(std::begin(names), std::end(names), node.op_type) != std::end(names);
}

std::span<const OperatorRow> sequence_operators() {
  static constexpr OperatorRow rows[] = {
      {"ConcatFromSequence", 11, one<concat_from_sequence>},
      {"SequenceAt", 11, one<sequence_element>},
      {"SequenceConstruct", 11, one<sequence_construct>},
      {"SequenceEmpty", 11, one<sequence_empty>},
      {"SequenceErase", 11, one<sequence_erase>},
      {"SequenceInsert", 11, one<sequence_insert>},
      {"SequenceLength", 11, one<sequence_length>},
      {"SplitToSequence", 11, one<split_to_sequence>},
  };
  return rows;
}

}  // namespace repose::onnx
