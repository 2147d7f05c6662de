// Elements picked by indices and by position.
#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"

namespace repose::onnx {
namespace {

Result<Operand> gather(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(indices, c.input(1));
  REPOSE_TRY(axis, c.integer("axis", 0));
  return c.call("take", {x, indices}, {{"axis", axis}});
}

Result<Operand> gather_elements(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(indices, c.input(1));
  REPOSE_TRY(axis, c.integer("axis", 0));
  return c.call("gather_elements", {x, indices}, {{"axis", axis}});
}

Result<Operand> gather_nd(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(indices, c.input(1));
  REPOSE_TRY(batch_dims, c.integer("batch_dims", 0));
  return c.call("gather_nd", {x, indices}, {{"batch_dims", batch_dims}});
}

Result<Operand> scatter_elements(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(indices, c.input(1));
  REPOSE_TRY(updates, c.input(2));
  REPOSE_TRY(axis, c.integer("axis", 0));
  REPOSE_TRY(reduction, c.string("reduction", "none"));
  return c.call("scatter_elements", {x, indices, updates},
                {{"axis", axis}, {"reduction", printable(reduction)}});
}

Result<Operand> scatter_nd(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(indices, c.input(1));
  REPOSE_TRY(updates, c.input(2));
  REPOSE_TRY(reduction, c.string("reduction", "none"));
  return c.call("scatter_nd", {x, indices, updates}, {{"reduction", printable(reduction)}});
}

Result<Operand> trilu(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(upper, c.flag("upper", true));
  Expr k = make_int(0);
  if (c.has(1)) {
    REPOSE_TRY(elements, c.elements(c.optional(1), "k"));
    if (elements.size() != 1) {
      return c.fail(DiagnosticKind::bad_argument, "`k` has {} elements, expected 1",
                    elements.size());
    }
    k = elements[0];
  }
  return c.call(upper ? "triu" : "tril", {x, graph::make_prim(k)});
}

// Where only the data tells the axis: of the results for each axis the one that it names.
Result<Operand> cumulative_along_data(NodeContext& c, const Operand& x, const Operand& axis,
                                      const char* op, Attrs attrs) {
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(elements, c.elements(axis, "axis"));
  if (elements.size() != 1 || rank < 1) {
    return c.fail(DiagnosticKind::bad_argument, "`axis` has {} elements, expected 1",
                  elements.size());
  }
  Composite m(c);
  m.require(logical_and(le(make_int(-rank), elements[0]), lt(elements[0], make_int(rank))),
            "axis {0} of a tensor of rank {1}", {elements[0], make_int(rank)});
  const Operand at = m.number(elements[0], dtypes::int64);
  Operand y;
  for (int64_t a = 0; a < rank; ++a) {
    attrs.set("axis", a);
    const Operand along = m.call(op, {x}, attrs);
    const Operand is_named =
        m.either(m.equal(at, static_cast<double>(a)), m.equal(at, static_cast<double>(a - rank)));
    y = y ? m.where(is_named, along, y) : along;
  }
  return m.result(y);
}

template <bool is_product>
Result<Operand> cumulative(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(where, c.input(1));
  REPOSE_TRY(exclusive, c.flag("exclusive", false));
  REPOSE_TRY(reverse, c.flag("reverse", false));
  const char* op = is_product ? "cumprod" : "cumsum";
  Attrs attrs{{"axis", 0}, {"exclusive", exclusive}, {"reverse", reverse}};
  if (!c.known(where)) return cumulative_along_data(c, x, where, op, std::move(attrs));
  REPOSE_TRY(axis, c.constants(where, "axis"));
  if (axis.size() != 1) {
    return c.fail(DiagnosticKind::bad_argument, "`axis` has {} elements, expected 1", axis.size());
  }
  attrs.set("axis", axis[0]);
  return c.call(op, {x}, std::move(attrs));
}

// The first sequence_lens[b] elements along `time_axis` in reverse order, for each b along
// `batch_axis`.
Result<Operand> reverse_sequence(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(given, c.input(1));
  REPOSE_TRY(given_batch, c.integer("batch_axis", 1));
  REPOSE_TRY(given_time, c.integer("time_axis", 0));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(batch, c.axis(given_batch, rank));
  REPOSE_TRY(time, c.axis(given_time, rank));
  if (batch == time) {
    return c.fail(DiagnosticKind::bad_attribute, "`batch_axis` and `time_axis` are both {}", batch);
  }
  Composite m(c);
  const Dims dims = m.shape(x), lengths = m.shape(given, 1, 1);
  if (!m.ok()) return m.result(nullptr);
  Dims column(dims.size(), make_int(1));
  column[static_cast<size_t>(batch)] = lengths[0];
  const Operand length = m.reshape(m.cast(given, dtypes::int64), column);
  const Operand place = m.arange_along(dims[static_cast<size_t>(time)], dtypes::int64, time, rank);
  const Operand mirrored = m.subtract(m.subtract(length, place), 1.0);
  const Operand from = m.where(m.less(place, length), mirrored, place);
  return m.result(m.call("gather_elements", {x, m.broadcast(from, dims)}, {{"axis", time}}));
}

// Indices from -depth up to before depth; others give no element the on-value.
Result<Operand> one_hot(NodeContext& c) {
  REPOSE_TRY(given, c.input(0));
  REPOSE_TRY(count, c.input(1));
  REPOSE_TRY(values, c.input(2));
  REPOSE_TRY(axis, c.integer("axis", -1));
  REPOSE_TRY(indices, c.cast(given, dtypes::int64));
  REPOSE_TRY(rank, c.rank(indices));
  REPOSE_TRY(at, c.axis(axis, rank + 1));
  REPOSE_TRY(whole, c.cast(count, dtypes::int64));
  REPOSE_TRY(depths, c.elements(whole, "depth"));
  if (depths.size() != 1) {
    return c.fail(DiagnosticKind::bad_argument, "`depth` has {} elements, expected 1",
                  depths.size());
  }
  auto ok =
      c.require(le(make_int(0), depths[0]), "`depth` is {0}, expected at least 0", {depths[0]});
  if (!ok.ok()) return ok.errors();
  // Rows of the classes 0, 1, … along the new dimension.
  REPOSE_TRY(classes, c.call("arange", {graph::make_prim(depths[0])}));
  Dims row(static_cast<size_t>(rank + 1), make_int(1));
  REPOSE_TRY(extent, c.shape(classes));
  row[static_cast<size_t>(at)] = extent[0];
  REPOSE_TRY(columns, c.reshape(classes, row));
  REPOSE_TRY(expanded, c.call("expand_dims", {indices}, {{"axis", std::vector<int64_t>{at}}}));
  REPOSE_TRY(depth, c.reshape(whole, {}));
  REPOSE_TRY(is_negative, c.call("less", {expanded, c.scalar(dtypes::int64, 0)}));
  REPOSE_TRY(from_end, c.call("add", {expanded, depth}));
  REPOSE_TRY(wanted, c.call("where", {is_negative, from_end, expanded}));
  REPOSE_TRY(hits, c.call("equal", {wanted, columns}));
  REPOSE_TRY(pair, c.call_tuple("split", {values}, {{"indices_or_sections", 2}, {"axis", 0}}));
  REPOSE_TRY(off, c.reshape(pair[0], {}));
  REPOSE_TRY(on, c.reshape(pair[1], {}));
  return c.call("where", {hits, on, off});
}

template <bool is_max>
Result<Operand> arg_extreme(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(axis, c.integer("axis", 0));
  REPOSE_TRY(keep, c.flag("keepdims", true));
  REPOSE_TRY(last, c.flag("select_last_index", false));
  return c.call(is_max ? "argmax" : "argmin", {x},
                {{"axis", axis}, {"keepdims", keep}, {"select_last", last}});
}

}  // namespace

std::span<const OperatorRow> index_operators() {
  static constexpr OperatorRow rows[] = {
      {"ArgMax", 1, one<arg_extreme<true>>},
      {"ArgMin", 1, one<arg_extreme<false>>},
      {"CumProd", 26, one<cumulative<true>>},
      {"CumSum", 11, one<cumulative<false>>},
      {"Gather", 1, one<gather>},
      {"GatherElements", 11, one<gather_elements>},
      {"GatherND", 11, one<gather_nd>},
      {"OneHot", 9, one<one_hot>},
      {"ReverseSequence", 10, one<reverse_sequence>},
      {"Scatter", 9, one<scatter_elements>},
      {"ScatterElements", 11, one<scatter_elements>},
      {"ScatterND", 11, one<scatter_nd>},
      {"Trilu", 14, one<trilu>},
  };
  return rows;
}

}  // namespace repose::onnx
