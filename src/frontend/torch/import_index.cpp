// Elements at indices: reading and writing.
#include <algorithm>

#include "frontend/torch/operator_table.h"

namespace repose::torch {
namespace {

// ---- Along one axis

Result<Operand> embedding(NodeContext& c) {
  REPOSE_TRY(weight, c.tensor("weight"));
  REPOSE_TRY(indices, c.tensor("indices"));
  return c.call("take", {weight, indices}, {{"axis", 0}});
}

Result<Operand> index_select(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(axis, c.integer("dim"));
  REPOSE_TRY(indices, c.tensor("index"));
  return c.call("take", {x, indices}, {{"axis", axis}});
}

Result<Operand> gather(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(axis, c.integer("dim"));
  REPOSE_TRY(indices, c.tensor("index"));
  REPOSE_TRY(rank, c.rank(x));
  if (rank == 0) return x;
  return c.call("gather_elements", {x, indices}, {{"axis", axis}});
}

// The updates that indices stand for: the first ones along each axis.
Result<Operand> updates_of(NodeContext& c, const Operand& indices, DType dtype) {
  REPOSE_TRY(dims, c.shape(indices));
  Composite m(c);
  if (!c.has("src")) {
    REPOSE_TRY(value, c.tensor_or_number("value", dtype));
    return m.result(m.full(dims, value));
  }
  REPOSE_TRY(src, c.tensor("src"));
  REPOSE_TRY(have, c.shape(src));
  Operand y = m.cast(src, dtype);
  for (size_t i = 0; i < dims.size() && i < have.size(); ++i) {
    if (prove_equal(dims[i], have[i], c.facts()) == Truth::yes) continue;
    m.require(le(dims[i], have[i]), "{0} indices along an axis and {1} elements",
              {dims[i], have[i]});
    y = m.slice(y, static_cast<int64_t>(i), make_int(0), dims[i]);
  }
  return m.result(y);
}

Result<Operand> scatter_by(NodeContext& c, const char* reduction) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(axis, c.integer("dim"));
  REPOSE_TRY(indices, c.tensor("index"));
  REPOSE_TRY(updates, updates_of(c, indices, c.dtype(x)));
  return c.call("scatter_elements", {x, indices, updates},
                {{"axis", axis}, {"reduction", reduction}});
}

Result<Operand> scatter(NodeContext& c) {
  return scatter_by(c, "update");
}
Result<Operand> scatter_add(NodeContext& c) {
  return scatter_by(c, "add");
}
Result<Operand> scatter_reduce(NodeContext& c) {
  REPOSE_TRY(reduction, c.string("reduce", "sum"));
  REPOSE_TRY(include_self, c.flag("include_self", true));
  if (!include_self) {
    return c.fail(DiagnosticKind::unsupported_feature, "`include_self=False` is not supported");
  }
  if (reduction == "sum") return scatter_by(c, "add");
  if (reduction == "prod") return scatter_by(c, "mul");
  if (reduction == "amax") return scatter_by(c, "max");
  if (reduction == "amin") return scatter_by(c, "min");
  return c.fail(DiagnosticKind::unsupported_feature, "`reduce=\"{}\"` is not supported",
                printable(reduction));
}

Result<Operand> one_hot(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(shape, c.result_shape());
  if (shape.empty()) return c.fail(DiagnosticKind::bad_model, "its result has rank 0");
  Composite m(c);
  const Operand classes = m.arange_along(shape.back(), c.dtype(x), rank, rank + 1);
  return m.result(m.cast(m.equal(m.unsqueeze(x, {rank}), classes), dtypes::int64));
}

// ---- Lists of indices, as x[:, i, j]

// Integer tensors by axis; a mask stands for the places where it holds, of as many axes.
struct Indices {
  std::vector<int64_t> axes;
  std::vector<Operand> tensors;  // int64, of one shape
  Dims shape;
  bool are_adjacent = true;
};

// The larger of two dimensions that broadcast.
Expr joined(NodeContext& c, Composite& m, const Expr& a, const Expr& b) {
  if (is_const_int(a, 1) || prove_equal(a, b, c.facts()) == Truth::yes) return b;
  if (is_const_int(b, 1)) return a;
  m.require(eq(a, b), "indices of {0} and {1} elements", {a, b});
  return a;
}

Result<Indices> indices_of(NodeContext& c, int64_t rank) {
  REPOSE_TRY(given, c.tensors("indices"));
  Composite m(c);
  Indices result;
  int64_t axis = 0;
  for (const Operand& index : given) {
    if (!index) {
      ++axis;
      continue;
    }
    if (!c.dtype(index).is_bool() && c.dtype(index) != dtypes::uint8) {
      result.axes.push_back(axis++);
      result.tensors.push_back(m.cast(index, dtypes::int64));
      continue;
    }
    REPOSE_TRY(mask_rank, c.rank(index));
    REPOSE_TRY(places, c.call("nonzero", {index}));  // (rank, count)
    for (int64_t i = 0; i < mask_rank; ++i) {
      const Operand row = m.squeeze(m.slice(places, 0, make_int(i), make_int(i + 1)), {0});
      result.axes.push_back(axis++);
      result.tensors.push_back(m.cast(row, dtypes::int64));
    }
  }
  if (result.axes.empty() || axis > rank) {
    return c.fail(DiagnosticKind::bad_argument, "{} indices of a tensor of rank {}", axis, rank);
  }
  for (const Operand& t : result.tensors) {
    Dims dims = m.shape(t);
    while (dims.size() < result.shape.size()) dims.insert(dims.begin(), make_int(1));
    while (result.shape.size() < dims.size()) {
      result.shape.insert(result.shape.begin(), make_int(1));
    }
    for (size_t i = 0; i < dims.size(); ++i)
      result.shape[i] = joined(c, m, result.shape[i], dims[i]);
  }
  for (Operand& t : result.tensors) t = m.broadcast(t, result.shape);
  if (!m.ok()) return m.results({}).errors();
  for (size_t i = 1; i < result.axes.size(); ++i) {
    result.are_adjacent = result.are_adjacent && result.axes[i] == result.axes[i - 1] + 1;
  }
  return result;
}

// The indexed axes first, then the others.
std::vector<int64_t> indexed_first(const Indices& indices, int64_t rank) {
  std::vector<int64_t> axes = indices.axes;
  for (int64_t i = 0; i < rank; ++i) {
    if (std::find(indices.axes.begin(), indices.axes.end(), i) == indices.axes.end()) {
      axes.push_back(i);
    }
  }
  return axes;
}

std::vector<int64_t> inverse(const std::vector<int64_t>& axes) {
  std::vector<int64_t> result(axes.size());
  for (size_t i = 0; i < axes.size(); ++i) {
    result[static_cast<size_t>(axes[i])] = static_cast<int64_t>(i);
  }
  return result;
}

// Where the axes of the indices and the others, in this order, lie in the result: those of adjacent
// indices in their place, of others in front.
std::vector<int64_t> result_order(const Indices& indices, int64_t rank) {
  const auto count = static_cast<int64_t>(indices.shape.size());
  const int64_t others = rank - static_cast<int64_t>(indices.axes.size());
  const int64_t before = indices.are_adjacent ? indices.axes[0] : 0;
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < before; ++i) axes.push_back(count + i);
  for (int64_t i = 0; i < count; ++i) axes.push_back(i);
  for (int64_t i = before; i < others; ++i) axes.push_back(count + i);
  return axes;
}

// The indices as tuples along a last axis.
Operand tuples_of(Composite& m, const Indices& indices) {
  const auto last = static_cast<int64_t>(indices.shape.size());
  std::vector<Operand> columns;
  for (const Operand& t : indices.tensors) columns.push_back(m.unsqueeze(t, {last}));
  return m.concat(columns, last);
}

Result<Operand> index(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(indices, indices_of(c, rank));
  Composite m(c);
  if (indices.axes.size() == 1) return m.result(m.gather(x, indices.tensors[0], indices.axes[0]));
  const Operand first = m.permute(x, indexed_first(indices, rank));
  const Operand y = m.call("gather_nd", {first, tuples_of(m, indices)});
  return m.result(m.permute(y, result_order(indices, rank)));
}

// x where the mask doesn't hold, the number elsewhere.
Result<Operand> put_number(NodeContext& c, const Operand& x, const Operand& mask,
                           const Operand& number) {
  Composite m(c);
  Dims dims = m.shape(mask);
  dims.resize(m.shape(x).size(), make_int(1));
  const Operand value = m.reshape(m.cast(number, c.dtype(x)), {});
  return m.result(m.where(m.reshape(mask, dims), value, x));
}

Result<Operand> index_put(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(values, c.tensor("values"));
  REPOSE_TRY(accumulate, c.flag("accumulate", false));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(given, c.tensors("indices"));
  REPOSE_TRY(value_rank, c.rank(values));
  if (given.size() == 1 && given[0] && c.dtype(given[0]).is_bool() && value_rank == 0 &&
      !accumulate) {
    return put_number(c, x, given[0], values);
  }
  REPOSE_TRY(indices, indices_of(c, rank));
  Composite m(c);
  const std::vector<int64_t> axes = indexed_first(indices, rank);
  const Operand first = m.permute(x, axes);
  const Dims dims = m.shape(first);
  // The values' shape in the order of the result, then with the indices' axes in front.
  Dims wanted = indices.shape;
  wanted.insert(wanted.end(), dims.begin() + static_cast<int64_t>(indices.axes.size()), dims.end());
  const std::vector<int64_t> order = result_order(indices, rank);
  Dims shown;
  for (int64_t a : order) shown.push_back(wanted[static_cast<size_t>(a)]);
  const Operand updates = m.permute(m.broadcast(m.cast(values, c.dtype(x)), shown), inverse(order));
  const Operand y = m.call("scatter_nd", {first, tuples_of(m, indices), updates},
                           {{"reduction", accumulate ? "add" : "update"}});
  return m.result(m.permute(y, inverse(axes)));
}

// ---- Places that the data decides

Result<Operand> nonzero(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(places, c.call("nonzero", {x}));
  Composite m(c);
  return m.result(m.cast(m.permute(places, {1, 0}), dtypes::int64));
}

Result<Operand> masked_select(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(mask, c.tensor("mask"));
  Composite m(c);
  // Both broadcast to what `where` makes of them.
  const Operand whole = m.where(mask, x, x);
  const Dims dims = m.shape(whole);
  const Operand places = m.call("nonzero", {m.broadcast(mask, dims)});
  return m.result(m.call("gather_nd", {whole, m.permute(places, {1, 0})}));
}

// ---- Parts that are replaced

// x with the elements from `begin` to `end` along an axis replaced.
Result<Operand> replaced(NodeContext& c, const Operand& x, const Operand& part, int64_t axis,
                         const Expr& begin, const Expr& end) {
  REPOSE_TRY(dims, c.shape(x));
  const Expr extent = dims[static_cast<size_t>(axis)];
  Composite m(c);
  const Operand before = m.slice(x, axis, make_int(0), begin);
  const Operand after = m.slice(x, axis, end, extent);
  return m.result(m.concat({before, m.cast(part, c.dtype(x)), after}, axis));
}

Result<Operand> slice_scatter(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(src, c.tensor("src"));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(src_dims, c.shape(src));
  REPOSE_TRY(given, c.integer("dim", 0));
  REPOSE_TRY(axis, c.axis(given, static_cast<int64_t>(dims.size())));
  REPOSE_TRY(step, c.integer("step", 1));
  REPOSE_TRY(start, c.size("start", 0));
  if (step != 1) return c.fail(DiagnosticKind::unsupported_feature, "a step of {}", step);
  if (src_dims.size() != dims.size()) {
    return c.fail(DiagnosticKind::rank_mismatch, "`src` has rank {}, expected {}", src_dims.size(),
                  dims.size());
  }
  const Expr& extent = dims[static_cast<size_t>(axis)];
  const Expr from_front = make_select(lt(start, make_int(0)), start + extent, start);
  const Expr begin = simplify(min(max(from_front, make_int(0)), extent), c.facts());
  const Expr end = simplify(begin + src_dims[static_cast<size_t>(axis)], c.facts());
  auto stated = c.require(le(end, extent), "elements up to {0} of {1} are replaced", {end, extent});
  if (!stated.ok()) return stated.errors();
  return replaced(c, x, src, axis, begin, end);
}

Result<Operand> select_scatter(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(src, c.tensor("src"));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(given, c.integer("dim"));
  REPOSE_TRY(axis, c.axis(given, static_cast<int64_t>(dims.size())));
  REPOSE_TRY(at, c.size("index"));
  const Expr& extent = dims[static_cast<size_t>(axis)];
  const Expr begin = simplify(make_select(lt(at, make_int(0)), at + extent, at), c.facts());
  auto stated = c.require(logical_and(le(make_int(0), begin), lt(begin, extent)),
                          "entry {0} of {1} is replaced", {at, extent});
  if (!stated.ok()) return stated.errors();
  Composite m(c);
  REPOSE_TRY(row, m.result(m.unsqueeze(src, {axis})));
  return replaced(c, x, row, axis, begin, canonical(begin + 1));
}

}  // namespace

std::span<const OperatorRow> index_operators() {
  static constexpr OperatorRow rows[] = {
      {"aten.argwhere.default", one<nonzero>},
      {"aten.embedding.default", one<embedding>},
      {"aten.gather.default", one<gather>},
      {"aten.index.Tensor", one<index>},
      {"aten.index_put.default", one<index_put>},
      {"aten.index_select.default", one<index_select>},
      {"aten.masked_select.default", one<masked_select>},
      {"aten.nonzero.default", one<nonzero>},
      {"aten.one_hot.default", one<one_hot>},
      {"aten.scatter.src", one<scatter>},
      {"aten.scatter.value", one<scatter>},
      {"aten.scatter_add.default", one<scatter_add>},
      {"aten.scatter_reduce.two", one<scatter_reduce>},
      {"aten.select_scatter.default", one<select_scatter>},
      {"aten.slice_scatter.default", one<slice_scatter>},
  };
  return rows;
}

}  // namespace repose::torch
