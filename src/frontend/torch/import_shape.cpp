// Shapes: views, joining, cutting, repeating and padding. PyTorch says which shape each result has.
#include <algorithm>

#include "frontend/torch/operator_table.h"

namespace repose::torch {
namespace {

// ---- The same elements in another shape

Result<Operand> reshape_to_result(NodeContext& c) {
  REPOSE_TRY(x, c.tensor(c.has("self") ? "self" : "input"));
  REPOSE_TRY(shape, c.result_shape());
  return c.reshape(x, shape);
}

Result<Operand> broadcast_to_result(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(shape, c.result_shape());
  return c.call("broadcast_to", {x, graph::make_shape(shape)});
}

Result<Operand> permute(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(given, c.integers("dims"));
  std::vector<int64_t> axes;
  for (int64_t a : given) {
    REPOSE_TRY(axis, c.axis(a, rank));
    axes.push_back(axis);
  }
  return c.call("permute_dims", {x}, {{"axes", axes}});
}

Result<Operand> swapped(NodeContext& c, const char* first, const char* second, int64_t absent_first,
                        int64_t absent_second) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(x));
  if (rank < 2) return x;
  REPOSE_TRY(given_a, c.integer(first, absent_first));
  REPOSE_TRY(given_b, c.integer(second, absent_second));
  REPOSE_TRY(a, c.axis(given_a, rank));
  REPOSE_TRY(b, c.axis(given_b, rank));
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < rank; ++i) axes.push_back(i == a ? b : i == b ? a : i);
  return c.call("permute_dims", {x}, {{"axes", axes}});
}

Result<Operand> transpose(NodeContext& c) {
  return swapped(c, "dim0", "dim1", 0, 1);
}
Result<Operand> swap_axes(NodeContext& c) {
  return swapped(c, "axis0", "axis1", 0, 1);
}
Result<Operand> matrix_transpose(NodeContext& c) {
  return swapped(c, "", "", -2, -1);
}

Result<Operand> reversed_axes(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(x));
  std::vector<int64_t> axes;
  for (int64_t i = rank; i-- > 0;) axes.push_back(i);
  return c.call("permute_dims", {x}, {{"axes", axes}});
}

Result<Operand> move_axes(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(source, c.integers("source"));
  REPOSE_TRY(target, c.integers("destination"));
  if (source.size() != target.size()) {
    return c.fail(DiagnosticKind::bad_argument, "moves {} axes to {} places", source.size(),
                  target.size());
  }
  std::vector<int64_t> axes(static_cast<size_t>(rank), -1), rest;
  for (size_t i = 0; i < source.size(); ++i) {
    REPOSE_TRY(from, c.axis(source[i], rank));
    REPOSE_TRY(to, c.axis(target[i], rank));
    axes[static_cast<size_t>(to)] = from;
  }
  for (int64_t i = 0; i < rank; ++i) {
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) rest.push_back(i);
  }
  size_t next = 0;
  for (int64_t& a : axes) {
    if (a >= 0) continue;
    if (next == rest.size()) return c.fail(DiagnosticKind::bad_argument, "moves an axis twice");
    a = rest[next++];
  }
  return c.call("permute_dims", {x}, {{"axes", axes}});
}

// ---- Joining

// PyTorch leaves out tensors of shape (0,) among others.
bool is_legacy_empty(const Operand& v) {
  const TensorTypeNode* t = graph::tensor_of(v);
  return t->shape && t->shape->size() == 1 && is_const_int((*t->shape)[0], 0);
}

Result<std::vector<Operand>> parts_of(NodeContext& c) {
  REPOSE_TRY(given, c.tensors("tensors"));
  REPOSE_TRY(dtype, c.result_dtype());
  std::vector<Operand> parts;
  for (const Operand& part : given) {
    if (!part) return c.fail(DiagnosticKind::bad_argument, "one of its tensors is None");
    REPOSE_TRY(cast, c.cast(part, dtype));
    parts.push_back(cast);
  }
  return parts;
}

Result<Operand> concat(NodeContext& c) {
  REPOSE_TRY(given, parts_of(c));
  REPOSE_TRY(axis, c.integer("dim", 0));
  std::vector<Operand> parts;
  const TensorMeta* result = c.result_meta(0);
  const bool may_leave_out = result && result->sizes.size() != 1;
  for (const Operand& part : given) {
    if (!may_leave_out || !is_legacy_empty(part)) parts.push_back(part);
  }
  Composite m(c);
  return parts.empty() ? Result<Operand>(given[0]) : m.result(m.concat(parts, axis));
}

Result<Operand> stack(NodeContext& c) {
  REPOSE_TRY(parts, parts_of(c));
  REPOSE_TRY(given, c.integer("dim", 0));
  REPOSE_TRY(rank, c.rank(parts[0]));
  REPOSE_TRY(axis, c.axis(given, rank + 1));
  Composite m(c);
  for (Operand& part : parts) part = m.unsqueeze(part, {axis});
  return m.result(m.concat(parts, axis));
}

// ---- Cutting

// x[begin : end : step] along an axis, bounds as in Python.
Result<Operand> slice_of(NodeContext& c, const Operand& x, int64_t axis, const Expr& begin,
                         const Expr& end, int64_t step) {
  std::vector<Operand> args{x, graph::make_shape({begin}), graph::make_shape({end})};
  if (step != 1) args.push_back(graph::make_shape({make_int(step)}));
  return c.call("strided_slice", std::move(args), {{"axes", std::vector<int64_t>{axis}}});
}

Result<Operand> slice(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(given, c.integer("dim", 0));
  REPOSE_TRY(axis, c.axis(given, static_cast<int64_t>(dims.size())));
  REPOSE_TRY(step, c.integer("step", 1));
  REPOSE_TRY(begin, c.size("start", 0));
  REPOSE_TRY(end, c.size("end", INT64_MAX));
  const Expr& extent = dims[static_cast<size_t>(axis)];
  int64_t last = 0;
  if (as_const_int(end, &last) && last > (int64_t{1} << 48)) end = extent;
  if (is_const_int(begin, 0) && step == 1 && prove_equal(end, extent, c.facts()) == Truth::yes) {
    return x;
  }
  return slice_of(c, x, axis, begin, end, step);
}

// Entry `index` of an axis, without the axis.
Result<Operand> entry_of(NodeContext& c, const Operand& x, int64_t axis, const Expr& index) {
  REPOSE_TRY(dims, c.shape(x));
  const Expr& extent = dims[static_cast<size_t>(axis)];
  const Expr from_end = canonical(index + extent);
  const Expr at = simplify(make_select(lt(index, make_int(0)), from_end, index), c.facts());
  auto stated = c.require(logical_and(le(make_int(0), at), lt(at, extent)),
                          "entry {0} of {1} is asked for", {index, extent});
  if (!stated.ok()) return stated.errors();
  Composite m(c);
  return m.result(m.squeeze(m.slice(x, axis, at, canonical(at + 1)), {axis}));
}

Result<Operand> select(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(given, c.integer("dim"));
  REPOSE_TRY(axis, c.axis(given, rank));
  REPOSE_TRY(index, c.size("index"));
  return entry_of(c, x, axis, index);
}

Result<Values> unbind(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(given, c.integer("dim", 0));
  REPOSE_TRY(axis, c.axis(given, rank));
  Values results;
  for (size_t i = 0; i < c.num_outputs(); ++i) {
    REPOSE_TRY(entry, entry_of(c, x, axis, make_int(static_cast<int64_t>(i))));
    results.push_back(entry);
  }
  return results;
}

Result<Operand> narrow(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(given, c.integer("dim"));
  REPOSE_TRY(axis, c.axis(given, rank));
  REPOSE_TRY(start, c.size("start"));
  REPOSE_TRY(length, c.size("length"));
  return slice_of(c, x, axis, start, canonical(start + length), 1);
}

// Into parts as long as PyTorch says the results are.
Result<Values> split(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(given, c.integer("dim", 0));
  REPOSE_TRY(axis, c.axis(given, rank));
  Composite m(c);
  Values results;
  Expr begin = make_int(0);
  for (size_t i = 0; i < c.num_outputs(); ++i) {
    REPOSE_TRY(shape, c.result_shape(i));
    if (shape.size() != static_cast<size_t>(rank)) {
      return c.fail(DiagnosticKind::bad_model, "a part has rank {}, expected {}", shape.size(),
                    rank);
    }
    const Expr end = simplify(begin + shape[static_cast<size_t>(axis)], c.facts());
    REPOSE_TRY(dims, c.shape(x));
    m.require(le(end, dims[static_cast<size_t>(axis)]), "parts of {0} elements of {1}",
              {end, dims[static_cast<size_t>(axis)]});
    results.push_back(m.slice(x, axis, begin, end));
    begin = end;
  }
  return m.results(results);
}

// ---- Repeating and moving

Result<Operand> repeat(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(repeats, c.sizes("repeats"));
  REPOSE_TRY(dims, c.shape(x));
  while (dims.size() < repeats.size()) dims.insert(dims.begin(), make_int(1));
  REPOSE_TRY(wide, c.reshape(x, dims));
  return c.call("tile", {wide, graph::make_shape(repeats)});
}

Result<Operand> repeat_each(NodeContext& c) {
  REPOSE_TRY(given, c.tensor("self"));
  REPOSE_TRY(repeats, c.size("repeats"));
  REPOSE_TRY(shape, c.result_shape());
  Composite m(c);
  Operand x = given;
  int64_t axis = 0;
  Dims dims = m.shape(x);
  if (!c.has("dim")) {
    Expr count = make_int(1);
    for (const Expr& d : dims) count = count * d;
    x = m.reshape(x, {canonical(count)});
  } else {
    REPOSE_TRY(dim, c.integer("dim"));
    REPOSE_TRY(found, c.axis(dim, static_cast<int64_t>(dims.size())));
    axis = found;
  }
  dims = m.shape(x);
  if (!m.ok()) return m.result(nullptr);
  dims.insert(dims.begin() + axis + 1, repeats);
  return m.result(m.reshape(m.broadcast(m.unsqueeze(x, {axis + 1}), dims), shape));
}

Result<Operand> flip(NodeContext& c) {
  REPOSE_TRY(given, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(given));
  REPOSE_TRY(axes, c.integers("dims"));
  Operand x = given;
  for (int64_t a : axes) {
    REPOSE_TRY(axis, c.axis(a, rank));
    REPOSE_TRY(turned, c.call("flip", {x}, {{"axis", axis}}));
    x = turned;
  }
  return x;
}

// Elements move by `shift` along an axis; those beyond the end come in again at the beginning.
Result<Operand> roll_axis(NodeContext& c, const Operand& x, const Expr& shift, int64_t axis) {
  REPOSE_TRY(dims, c.shape(x));
  const Expr extent = dims[static_cast<size_t>(axis)];
  Composite m(c);
  const Expr moved = floor_mod(shift, max(extent, make_int(1)));
  const Expr cut =
      simplify(make_select(eq(moved, make_int(0)), make_int(0), extent - moved), c.facts());
  return m.result(
      m.concat({m.slice(x, axis, cut, extent), m.slice(x, axis, make_int(0), cut)}, axis));
}

Result<Operand> roll(NodeContext& c) {
  REPOSE_TRY(given, c.tensor("self"));
  REPOSE_TRY(shifts, c.sizes("shifts"));
  REPOSE_TRY(axes, c.integers("dims"));
  REPOSE_TRY(dims, c.shape(given));
  Operand x = given;
  if (axes.empty() && shifts.size() == 1) {
    Expr count = make_int(1);
    for (const Expr& d : dims) count = count * d;
    REPOSE_TRY(flat, c.reshape(x, {canonical(count)}));
    REPOSE_TRY(rolled, roll_axis(c, flat, shifts[0], 0));
    return c.reshape(rolled, dims);
  }
  if (axes.size() != shifts.size()) {
    return c.fail(DiagnosticKind::bad_argument, "{} shifts of {} axes", shifts.size(), axes.size());
  }
  for (size_t i = 0; i < axes.size(); ++i) {
    REPOSE_TRY(axis, c.axis(axes[i], static_cast<int64_t>(dims.size())));
    REPOSE_TRY(rolled, roll_axis(c, x, shifts[i], axis));
    x = rolled;
  }
  return x;
}

// Windows of `size` elements along an axis, each `step` after the one before, as a last axis.
Result<Operand> unfold(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(given, c.integer("dimension"));
  REPOSE_TRY(axis, c.axis(given, rank));
  REPOSE_TRY(size, c.integer("size"));
  REPOSE_TRY(step, c.integer("step"));
  REPOSE_TRY(shape, c.result_shape());
  if (shape.size() != static_cast<size_t>(rank) + 1) {
    return c.fail(DiagnosticKind::bad_model, "its result has rank {}", shape.size());
  }
  Composite m(c);
  const Operand begin =
      m.multiply(m.arange_along(shape[static_cast<size_t>(axis)], dtypes::int64, 0, 2),
                 static_cast<double>(step));
  const Operand places = m.add(begin, m.arange_along(make_int(size), dtypes::int64, 1, 2));
  const Operand windows = m.gather(x, places, axis);
  std::vector<int64_t> axes;
  for (int64_t i = 0; i <= rank; ++i) {
    if (i != axis + 1) axes.push_back(i);
  }
  axes.push_back(axis + 1);
  return m.result(m.permute(windows, axes));
}

// ---- Padding

// (left, right) of the last axis first.
Result<Dims> widths_of(NodeContext& c, const char* arg, size_t rank) {
  REPOSE_TRY(given, c.sizes(arg));
  if (given.size() % 2 != 0 || given.size() / 2 > rank) {
    return c.fail(DiagnosticKind::bad_argument, "{} paddings of a tensor of rank {}", given.size(),
                  rank);
  }
  Dims widths(2 * rank, make_int(0));
  for (size_t i = 0; i < given.size() / 2; ++i) {
    const size_t axis = rank - 1 - i;
    widths[2 * axis] = given[2 * i];
    widths[2 * axis + 1] = given[2 * i + 1];
  }
  return widths;
}

Result<Operand> padded(NodeContext& c, const std::string& mode, const char* arg) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(widths, widths_of(c, arg, static_cast<size_t>(rank)));
  if (mode != "constant") {
    return c.call("nn.pad", {x, graph::make_shape(widths)}, {{"pad_mode", mode}});
  }
  Operand fill = c.scalar_like(x, 0);
  if (c.has("value")) {
    REPOSE_TRY(value, c.tensor_or_number("value", c.dtype(x)));
    REPOSE_TRY(cast, c.cast(value, c.dtype(x)));
    fill = cast;
  }
  return c.call("nn.pad", {x, graph::make_shape(widths), fill});
}

Result<Operand> pad(NodeContext& c) {
  REPOSE_TRY(mode, c.string("mode", "constant"));
  if (mode == "reflect") return padded(c, "reflect", "pad");
  if (mode == "replicate") return padded(c, "replicate", "pad");
  if (mode == "circular") return padded(c, "circular", "pad");
  return padded(c, "constant", "pad");
}
Result<Operand> constant_pad(NodeContext& c) {
  return padded(c, "constant", "pad");
}
Result<Operand> reflection_pad(NodeContext& c) {
  return padded(c, "reflect", "padding");
}
Result<Operand> replication_pad(NodeContext& c) {
  return padded(c, "replicate", "padding");
}

// ---- Images as channels

Result<Operand> pixel_shuffle(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(r, c.integer("upscale_factor"));
  return c.call("nn.pixel_shuffle", {x}, {{"upscale_factor", r}});
}

Result<Operand> pixel_unshuffle(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(r, c.integer("downscale_factor"));
  REPOSE_TRY(shape, c.result_shape());
  Composite m(c);
  const Dims d = m.shape(x, 4, 0), y = shape;
  if (r < 1 || y.size() != 4) return c.fail(DiagnosticKind::bad_argument, "a factor of {}", r);
  const Expr factor = make_int(r);
  const Operand apart = m.reshape(x, {d[0], d[1], y[2], factor, y[3], factor});
  return m.result(m.reshape(m.permute(apart, {0, 1, 3, 5, 2, 4}), y));
}

Result<Operand> channel_shuffle(NodeContext& c) {
  REPOSE_TRY(x, c.tensor("self"));
  REPOSE_TRY(groups, c.integer("groups"));
  Composite m(c);
  const Dims d = m.shape(x);
  if (groups < 1 || d.size() < 2) {
    return c.fail(DiagnosticKind::bad_argument, "{} groups of a tensor of rank {}", groups,
                  d.size());
  }
  const Expr members = simplify(floor_div(d[1], make_int(groups)), c.facts());
  Dims apart{d[0], make_int(groups), members};
  apart.insert(apart.end(), d.begin() + 2, d.end());
  std::vector<int64_t> axes{0, 2, 1};
  for (size_t i = 3; i < apart.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  return m.result(m.reshape(m.permute(m.reshape(x, apart), axes), d));
}

Result<Values> meshgrid(NodeContext& c) {
  REPOSE_TRY(tensors, c.tensors("tensors"));
  REPOSE_TRY(indexing, c.string("indexing", "ij"));
  Composite m(c);
  Values results;
  for (size_t i = 0; i < c.num_outputs() && i < tensors.size(); ++i) {
    REPOSE_TRY(shape, c.result_shape(i));
    const size_t axis = indexing == "xy" && i < 2 ? 1 - i : i;
    if (axis >= shape.size()) return c.fail(DiagnosticKind::bad_model, "a grid of another rank");
    Dims dims(shape.size(), make_int(1));
    dims[axis] = shape[axis];
    results.push_back(m.broadcast(m.reshape(tensors[i], dims), shape));
  }
  return m.results(results);
}

}  // namespace

std::span<const OperatorRow> shape_operators() {
  static constexpr OperatorRow rows[] = {
      {"aten._reshape_alias.default", one<reshape_to_result>, Effect::view},
      {"aten._unsafe_view.default", one<reshape_to_result>},
      {"aten.broadcast_to.default", one<broadcast_to_result>, Effect::view},
      {"aten.cat.default", one<concat>},
      {"aten.channel_shuffle.default", one<channel_shuffle>},
      {"aten.chunk.default", split, Effect::view},
      {"aten.concat.default", one<concat>},
      {"aten.concatenate.default", one<concat>},
      {"aten.constant_pad_nd.default", one<constant_pad>},
      {"aten.expand.default", one<broadcast_to_result>, Effect::view},
      {"aten.expand_as.default", one<broadcast_to_result>, Effect::view},
      {"aten.flatten.using_ints", one<reshape_to_result>, Effect::view},
      {"aten.flip.default", one<flip>},
      {"aten.meshgrid.default", meshgrid, Effect::view},
      {"aten.meshgrid.indexing", meshgrid, Effect::view},
      {"aten.movedim.int", one<move_axes>, Effect::view},
      {"aten.movedim.intlist", one<move_axes>, Effect::view},
      {"aten.mT.default", one<matrix_transpose>, Effect::view},
      {"aten.narrow.default", one<narrow>, Effect::view},
      {"aten.numpy_T.default", one<reversed_axes>, Effect::view},
      {"aten.pad.default", one<pad>},
      {"aten.permute.default", one<permute>, Effect::view},
      {"aten.pixel_shuffle.default", one<pixel_shuffle>},
      {"aten.pixel_unshuffle.default", one<pixel_unshuffle>},
      {"aten.reflection_pad1d.default", one<reflection_pad>},
      {"aten.reflection_pad2d.default", one<reflection_pad>},
      {"aten.reflection_pad3d.default", one<reflection_pad>},
      {"aten.repeat.default", one<repeat>},
      {"aten.repeat_interleave.self_int", one<repeat_each>},
      {"aten.replication_pad1d.default", one<replication_pad>},
      {"aten.replication_pad2d.default", one<replication_pad>},
      {"aten.replication_pad3d.default", one<replication_pad>},
      {"aten.reshape.default", one<reshape_to_result>, Effect::view},
      {"aten.reshape_as.default", one<reshape_to_result>, Effect::view},
      {"aten.roll.default", one<roll>},
      {"aten.select.int", one<select>, Effect::view},
      {"aten.slice.Tensor", one<slice>, Effect::view},
      {"aten.split.Tensor", split, Effect::view},
      {"aten.split.sizes", split, Effect::view},
      {"aten.split_with_sizes.default", split, Effect::view},
      {"aten.split_with_sizes_copy.default", split},
      {"aten.squeeze.default", one<reshape_to_result>, Effect::view},
      {"aten.squeeze.dim", one<reshape_to_result>, Effect::view},
      {"aten.squeeze.dims", one<reshape_to_result>, Effect::view},
      {"aten.stack.default", one<stack>},
      {"aten.swapaxes.default", one<swap_axes>, Effect::view},
      {"aten.t.default", one<reversed_axes>, Effect::view},
      {"aten.tensor_split.sections", split, Effect::view},
      {"aten.transpose.int", one<transpose>, Effect::view},
      {"aten.unbind.int", unbind, Effect::view},
      {"aten.unflatten.int", one<reshape_to_result>, Effect::view},
      {"aten.unfold.default", one<unfold>, Effect::view},
      {"aten.unsafe_chunk.default", split, Effect::view},
      {"aten.unsafe_split.Tensor", split, Effect::view},
      {"aten.unsqueeze.default", one<reshape_to_result>, Effect::view},
      {"aten.view.default", one<reshape_to_result>, Effect::view},
      {"aten.view_as.default", one<reshape_to_result>, Effect::view},
  };
  return rows;
}

}  // namespace repose::torch
