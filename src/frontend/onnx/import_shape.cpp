// Shapes: reshaping, transposing, joining and cutting tensors, and shapes as tensors.
#include <algorithm>
#include <numeric>

#include "frontend/onnx/data_axes.h"
#include "frontend/onnx/operator_table.h"

namespace repose::onnx {
namespace {

Expr product(const Dims& dims, size_t begin, size_t end) {
  Expr result = make_int(1);
  for (size_t i = begin; i < end; ++i) result = result * dims[i];
  return canonical(result);
}

// ---- Reshape
// -------------------------------------------------------------------------------------

// A product as its factors: a constant, and everything else.
struct Factors {
  int64_t constant = 1;
  bool overflows = false;
  std::vector<Expr> others;

  void multiply(const Expr& e) {
    int64_t value = 0;
    if (as_const_int(e, &value)) {
      overflows = overflows || __builtin_mul_overflow(constant, value, &constant);
    } else if (e->kind == ExprKind::mul) {
      multiply(e->args[0]);
      multiply(e->args[1]);
    } else {
      others.push_back(e);
    }
  }
  Expr product() const {
    Expr result = make_int(constant);
    for (const Expr& e : others) result = result * e;
    return canonical(result);
  }
};

// total / known, where a reshape has one dimension to be found. Common factors are cancelled even
// where they may be 0: an empty (batch, seq, 384) reshaped to (batch, seq, -1) keeps 384.
Expr exact_quotient(const Dims& total, const Dims& known, const Facts& facts) {
  Factors a, b;
  for (const Expr& e : total) a.multiply(e);
  for (const Expr& e : known) b.multiply(e);
  for (size_t i = 0; i < b.others.size();) {
    auto same = std::find_if(a.others.begin(), a.others.end(), [&](const Expr& e) {
      return structural_equal(e, b.others[i]) || prove_equal(e, b.others[i], facts) == Truth::yes;
    });
    if (same == a.others.end()) {
      ++i;
      continue;
    }
    a.others.erase(same);
    b.others.erase(b.others.begin() + static_cast<int64_t>(i));
  }
  if (a.constant != 0 && b.constant != 0 && !a.overflows && !b.overflows) {
    const int64_t common = std::gcd(a.constant, b.constant);
    a.constant /= common;
    b.constant /= common;
  }
  const Expr divisor = b.product();
  if (is_const_int(divisor, 1)) return a.product();
  if (is_const_int(divisor, 0)) return make_int(0);
  return simplify(floor_div(a.product(), divisor), facts);
}

// Dimension `i` of the new shape is what is left, if `asked` is -1: a quotient, whose divisor the
// other dimensions are (those that don't cancel).
Result<void> require_divisor(NodeContext& c, size_t i, const Expr& asked, const Expr& divisor) {
  return c.require(logical_or(ne(asked, make_int(-1)), ne(divisor, make_int(0))),
                   fmt::format("dimension {} of the new shape is {{0}}, but there is no such size "
                               "where the other dimensions make {{1}} elements",
                               i),
                   {asked, divisor});
}

// The dimensions that Reshape's operand `shape` asks for. 0 copies a dimension of x (unless
// `allow_zero`), -1 is what is left. An element that is known to be a dimension is taken as it is,
// also where it is 0 when the model runs.
Result<Dims> reshape_target(NodeContext& c, const Dims& x, const std::vector<Expr>& elements,
                            bool allow_zero) {
  Dims target;
  std::vector<size_t> open;   // is -1
  std::vector<size_t> maybe;  // may be -1
  for (size_t i = 0; i < elements.size(); ++i) {
    const Expr& e = elements[i];
    int64_t value = 0;
    const bool is_constant = as_const_int(e, &value);
    if (is_constant && value < -1) {
      return c.fail(DiagnosticKind::bad_argument, "`shape` asks for dimension {} to be {}", i,
                    value);
    }
    if (is_constant && value == -1) open.push_back(i);
    const bool copies = is_constant && value == 0 && !allow_zero;
    if (copies && i >= x.size()) {
      return c.fail(DiagnosticKind::bad_argument,
                    "`shape` copies dimension {} of a tensor of rank {}", i, x.size());
    }
    target.push_back(copies ? x[i] : e);
    if (is_constant || prove_le(make_int(0), e, c.facts()) == Truth::yes) continue;
    maybe.push_back(i);
    if (!allow_zero && i < x.size()) target[i] = make_select(eq(e, make_int(0)), x[i], e);
  }
  if (open.size() > 1) {
    return c.fail(DiagnosticKind::bad_argument, "`shape` has more than one -1");
  }
  const Dims given = target;
  auto without = [&](size_t i) {
    Dims others = given;
    others.erase(others.begin() + static_cast<int64_t>(i));
    return others;
  };
  if (open.size() == 1) {
    const Expr left = exact_quotient(x, without(open[0]), c.facts());
    if (left->kind == ExprKind::floor_div) {
      auto ok = require_divisor(c, open[0], elements[open[0]], left->args[1]);
      if (!ok.ok()) return ok.errors();
    }
    target[open[0]] = left;
  } else {
    // Where one is -1, the product of all is that of the others, negated: one for all that may be.
    const bool share = maybe.size() > 2;
    Expr others =
        share ? c.builder().name_size(make_int(0) - product(given, 0, given.size()), "others")
              : nullptr;
    const Expr total = product(x, 0, x.size());
    for (size_t i : maybe) {
      if (!share) others = product(without(i), 0, given.size() - 1);
      auto ok = require_divisor(c, i, elements[i], others);
      if (!ok.ok()) return ok.errors();
      target[i] = make_select(eq(elements[i], make_int(-1)), floor_div(total, others), given[i]);
    }
  }
  for (Expr& e : target) e = simplify(e, c.facts());
  return target;
}

Result<Operand> reshape(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(shape, c.input(1));
  REPOSE_TRY(allow_zero, c.flag("allowzero", false));
  REPOSE_TRY(elements, c.elements(shape, "shape"));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(target, reshape_target(c, dims, elements, allow_zero));
  return c.reshape(x, std::move(target));
}

Result<Operand> reshape_to_attribute(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(shape, c.integers("shape"));
  if (!shape) return c.fail(DiagnosticKind::bad_attribute, "attribute `shape` is missing");
  std::vector<Expr> elements;
  for (int64_t n : *shape) elements.push_back(make_int(n));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(target, reshape_target(c, dims, elements, false));
  return c.reshape(x, std::move(target));
}

Result<Operand> flatten(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(given, c.integer("axis", 1));
  REPOSE_TRY(dims, c.shape(x));
  const int64_t rank = static_cast<int64_t>(dims.size());
  if (given < -rank || given > rank) {
    return c.fail(DiagnosticKind::bad_attribute, "axis {} of a tensor of rank {}", given, rank);
  }
  const size_t axis = static_cast<size_t>(given < 0 ? given + rank : given);
  return c.reshape(x, {product(dims, 0, axis), product(dims, axis, dims.size())});
}

Result<Operand> squeeze(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  if (c.has(1) && !c.known(c.optional(1))) {
    REPOSE_TRY(rank, c.rank(x));
    REPOSE_TRY(axes, DataAxes::make(c, c.optional(1), rank));
    return squeeze_along(c, x, axes);
  }
  REPOSE_TRY(axes, c.constants_or_attr(1, "axes"));
  return c.call("squeeze", {x}, {{"axis", axes ? Attr(*axes) : Attr()}});
}

Result<Operand> unsqueeze(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  if (c.has(1) && !c.known(c.optional(1))) return unsqueeze_along(c, x, c.optional(1));
  REPOSE_TRY(axes, c.constants_or_attr(1, "axes"));
  if (!axes) return c.fail(DiagnosticKind::bad_attribute, "`axes` is missing");
  if (axes->size() > static_cast<size_t>(max_rank)) {
    return c.fail(DiagnosticKind::too_large, "adds {} dimensions, at most {} are supported",
                  axes->size(), max_rank);
  }
  return c.call("expand_dims", {x}, {{"axis", *axes}});
}

Result<Operand> transpose(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(perm, c.integers("perm"));
  return c.call("permute_dims", {x}, {{"axes", perm ? Attr(*perm) : Attr()}});
}

// ---- Shapes as tensors
// ---------------------------------------------------------------------------

Result<Operand> shape(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(start, c.integer("start", 0));
  REPOSE_TRY(end, c.integer("end", rank));
  auto position = [&](int64_t p) {
    return std::clamp<int64_t>(p < 0 && p >= -rank ? p + rank : p, 0, rank);
  };
  REPOSE_TRY(dims, c.shape(x));
  const int64_t first = position(start), last = std::max(first, position(end));
  return c.call("shape_to_tensor",
                {graph::make_shape(Dims(dims.begin() + first, dims.begin() + last))});
}

Result<Operand> size(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(count,
             c.call("shape_to_tensor", {graph::make_shape({product(dims, 0, dims.size())})}));
  return c.reshape(count, {});
}

Result<Operand> expand(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(shape, c.input(1));
  REPOSE_TRY(elements, c.elements(shape, "shape"));
  return c.call("expand", {x, graph::make_shape(elements)});
}

Result<Operand> tile(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(repeats, c.input(1));
  REPOSE_TRY(elements, c.elements(repeats, "repeats"));
  return c.call("tile", {x, graph::make_shape(elements)});
}

// Before operator set 6: how often along which axis.
Result<Operand> tile_one_axis(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(tiles, c.input(1));
  REPOSE_TRY(axis_operand, c.input(2));
  REPOSE_TRY(count, c.elements(tiles, "tiles"));
  REPOSE_TRY(given, c.constants(axis_operand, "axis"));
  if (count.size() != 1 || given.size() != 1) {
    return c.fail(DiagnosticKind::bad_argument, "{} counts and {} axes, expected one of each",
                  count.size(), given.size());
  }
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(axis, c.axis(given[0], rank));
  Dims repeats(static_cast<size_t>(rank), make_int(1));
  repeats[static_cast<size_t>(axis)] = count[0];
  return c.call("tile", {x, graph::make_shape(repeats)});
}

// ---- Joining and cutting
// -------------------------------------------------------------------------

Result<Operand> concat(NodeContext& c) {
  REPOSE_TRY(parts, c.all_inputs());
  REPOSE_TRY(axis, c.opset() < 4 ? c.integer("axis", 1) : c.integer("axis"));
  if (parts.size() == 1) return parts[0];
  return c.call("concat", {graph::make_tuple(parts)}, {{"axis", axis}});
}

// Parts of the given extents, which add up to the dimension.
Result<Values> split_by(NodeContext& c, const Operand& x, int64_t axis,
                        const std::vector<Expr>& extents) {
  REPOSE_TRY(dims, c.shape(x));
  const Expr& dim = dims[static_cast<size_t>(axis)];
  Expr total = make_int(0);
  std::vector<Expr> ends;
  std::vector<int64_t> positions;
  bool is_constant = true;
  for (size_t i = 0; i < extents.size(); ++i) {
    auto ok = c.require(le(make_int(0), extents[i]), "part {1} has {0} elements",
                        {extents[i], make_int(static_cast<int64_t>(i))});
    if (!ok.ok()) return ok.errors();
    total = canonical(total + extents[i]);
    ends.push_back(total);
    int64_t end = 0;
    is_constant = is_constant && as_const_int(total, &end);
    if (i + 1 < extents.size()) positions.push_back(end);
  }
  auto ok =
      c.require(eq(dim, total), "the parts have {1} elements, dimension has {0}", {dim, total});
  if (!ok.ok()) return ok.errors();
  if (extents.size() == 1) return Values{x};
  if (is_constant) {
    return c.call_tuple("split", {x}, {{"indices_or_sections", positions}, {"axis", axis}});
  }
  Values parts;
  for (size_t i = 0; i < extents.size(); ++i) {
    const Expr begin = i == 0 ? make_int(0) : ends[i - 1];
    REPOSE_TRY(
        part, c.call("strided_slice", {x, graph::make_shape({begin}), graph::make_shape({ends[i]})},
                     {{"axes", std::vector<int64_t>{axis}}, {"assume_inbound", true}}));
    parts.push_back(part);
  }
  return parts;
}

Result<Values> split(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(given, c.integer("axis", 0));
  REPOSE_TRY(axis, c.axis(given, rank));
  const int64_t outputs = static_cast<int64_t>(c.node().outputs.size());
  std::vector<Expr> extents;
  if (c.has(1)) {
    REPOSE_TRY(elements, c.elements(c.optional(1), "split"));
    extents = elements;
  } else if (c.opset() < 13) {
    REPOSE_TRY(sizes, c.integers("split"));
    for (int64_t s : sizes ? *sizes : std::vector<int64_t>()) extents.push_back(make_int(s));
  }
  if (!extents.empty()) return split_by(c, x, axis, extents);
  REPOSE_TRY(parts, c.integer("num_outputs", outputs));
  if (parts < 1 || parts < outputs || parts > 65536) {
    return c.fail(DiagnosticKind::bad_attribute, "{} parts, the node has {} outputs", parts,
                  outputs);
  }
  REPOSE_TRY(dims, c.shape(x));
  const Expr& dim = dims[static_cast<size_t>(axis)];
  if (c.opset() < 18) {  // later, the last part may be smaller
    auto ok =
        c.require(eq(floor_mod(dim, make_int(parts)), make_int(0)),
                  "{0} elements cannot be split into {1} equal parts", {dim, make_int(parts)});
    if (!ok.ok()) return ok.errors();
  }
  if (parts == 1) return Values{x};
  return c.call_tuple("split", {x}, {{"indices_or_sections", parts}, {"axis", axis}});
}

// A bound that data gives, so that sums with dimensions stay within int64.
Expr tamed(const Expr& e, int64_t most) {
  return min(max(e, make_int(-most)), make_int(most));
}

// Elements of one axis by a step whose sign only the data tells.
Result<Operand> slice_either_way(NodeContext& c, const Operand& x, int64_t given, const Expr& start,
                                 const Expr& end, const Expr& given_step) {
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(axis, c.axis(given, static_cast<int64_t>(dims.size())));
  const Expr step = tamed(given_step, int64_t{1} << 40);  // beyond any dimension
  auto nonzero =
      c.require(ne(step, make_int(0)), "the step along axis {0} is {1}", {make_int(axis), step});
  if (!nonzero.ok()) return nonzero.errors();
  const Expr &dim = dims[static_cast<size_t>(axis)], zero = make_int(0), one = make_int(1);
  const Expr forward = lt(zero, step);
  auto clamped = [&](const Expr& given_bound, const Expr& least, const Expr& most) {
    const Expr bound = tamed(given_bound, int64_t{1} << 62);
    return min(max(make_select(lt(bound, zero), bound + dim, bound), least), most);
  };
  const Expr most = make_select(forward, dim, dim - 1);
  const Expr first = clamped(start, zero, most);
  const Expr last = clamped(end, make_select(forward, zero, make_int(-1)), most);
  const Expr length = make_select(forward, last - first, first - last);
  const Expr count = max(zero, ceil_div(length, max(one, make_select(forward, step, zero - step))));
  Composite m(c);
  const Operand steps = m.multiply(m.arange(simplify(count, c.facts()), dtypes::int64),
                                   m.number(step, dtypes::int64));
  return m.result(m.gather_inside(x, m.add(steps, m.number(first, dtypes::int64)), axis));
}

// Where a slice starts: ONNX clamps that to the elements which there are; `strided_slice`, as NumPy
// does, to -1 where it goes backwards.
Expr clamped_start(const Expr& start, const Expr& dim, const Expr& step, const Facts& facts) {
  const Expr zero = make_int(0);
  int64_t value = 0;
  const bool is_constant = as_const_int(start, &value);
  if (is_constant && value >= -1) return start;  // -1 of nothing is nothing either way
  if (prove(lt(zero, step), facts) == Truth::yes) return start;
  const Expr tame = tamed(start, int64_t{1} << 62);
  const Expr from_end = simplify(max(tame + dim, zero), facts);
  return is_constant ? from_end : simplify(make_select(lt(tame, zero), from_end, tame), facts);
}

Result<Operand> slice_along(NodeContext& c, Operand x, std::vector<Expr> starts,
                            std::vector<Expr> ends, std::vector<int64_t> axes,
                            std::vector<Expr> steps) {
  if (starts.size() != ends.size() || starts.size() != axes.size() ||
      starts.size() != steps.size()) {
    return c.fail(DiagnosticKind::bad_argument,
                  "{} starts, {} ends, {} axes and {} steps, expected as many of each",
                  starts.size(), ends.size(), axes.size(), steps.size());
  }
  for (size_t i = steps.size(); i-- > 0;) {
    if (prove(ne(steps[i], make_int(0)), c.facts()) != Truth::unknown &&
        (prove(lt(make_int(0), steps[i]), c.facts()) != Truth::unknown)) {
      continue;
    }
    REPOSE_TRY(y, slice_either_way(c, x, axes[i], starts[i], ends[i], steps[i]));
    x = y;
    const auto at = static_cast<std::ptrdiff_t>(i);
    for (auto* list : {&starts, &ends, &steps}) list->erase(list->begin() + at);
    axes.erase(axes.begin() + at);
  }
  if (starts.empty()) return x;
  REPOSE_TRY(dims, c.shape(x));
  for (size_t i = 0; i < axes.size(); ++i) {
    REPOSE_TRY(axis, c.axis(axes[i], static_cast<int64_t>(dims.size())));
    starts[i] = clamped_start(starts[i], dims[static_cast<size_t>(axis)], steps[i], c.facts());
  }
  return c.call("strided_slice",
                {x, graph::make_shape(starts), graph::make_shape(ends), graph::make_shape(steps)},
                {{"axes", axes}});
}

std::vector<int64_t> first_axes(size_t count) {
  std::vector<int64_t> axes(count);
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

// Where only the data tells the axes: along every dimension, by whatever is given for it.
Result<Operand> slice_along_data(NodeContext& c, const Operand& x, const std::vector<Expr>& starts,
                                 const std::vector<Expr>& ends, const std::vector<Expr>& steps) {
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(axes, DataAxes::make(c, c.optional(3), static_cast<int64_t>(dims.size())));
  if (axes.size() != starts.size() || axes.size() != ends.size() || axes.size() != steps.size()) {
    return c.fail(DiagnosticKind::bad_argument,
                  "{} starts, {} ends, {} axes and {} steps, expected as many of each",
                  starts.size(), ends.size(), axes.size(), steps.size());
  }
  std::vector<Expr> first, last, step;
  for (size_t d = 0; d < dims.size(); ++d) {
    const auto at = static_cast<int64_t>(d);
    first.push_back(simplify(axes.value_at(at, starts, make_int(0)), c.facts()));
    last.push_back(simplify(axes.value_at(at, ends, dims[d]), c.facts()));
    step.push_back(simplify(axes.value_at(at, steps, make_int(1)), c.facts()));
  }
  return slice_along(c, x, first, last, first_axes(dims.size()), step);
}

Result<Operand> slice(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(start, c.input(1));
  REPOSE_TRY(end, c.input(2));
  REPOSE_TRY(starts, c.elements(start, "starts"));
  REPOSE_TRY(ends, c.elements(end, "ends"));
  std::vector<int64_t> axes = first_axes(starts.size());
  std::vector<Expr> steps(starts.size(), make_int(1));
  if (c.has(4)) {
    REPOSE_TRY(given, c.elements(c.optional(4), "steps"));
    steps = given;
  }
  if (c.has(3) && !c.known(c.optional(3))) return slice_along_data(c, x, starts, ends, steps);
  if (c.has(3)) {
    REPOSE_TRY(given, c.constants(c.optional(3), "axes"));
    axes = given;
  }
  return slice_along(c, x, starts, ends, axes, steps);
}

Result<Operand> slice_by_attributes(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(starts, c.integers("starts"));
  REPOSE_TRY(ends, c.integers("ends"));
  REPOSE_TRY(axes, c.integers("axes"));
  if (!starts || !ends)
    return c.fail(DiagnosticKind::bad_attribute, "`starts` or `ends` is missing");
  std::vector<Expr> first, last;
  for (int64_t v : *starts) first.push_back(make_int(v));
  for (int64_t v : *ends) last.push_back(make_int(v));
  return slice_along(c, x, first, last, axes ? *axes : first_axes(first.size()),
                     std::vector<Expr>(first.size(), make_int(1)));
}

// ---- Pad
// -----------------------------------------------------------------------------------------

Result<Operand> pad_by(NodeContext& c, const Operand& x, const std::vector<Expr>& pads,
                       const std::vector<int64_t>& axes, const Operand& fill) {
  REPOSE_TRY(mode, c.string("mode", "constant"));
  REPOSE_TRY(rank, c.rank(x));
  if (pads.size() != 2 * axes.size()) {
    return c.fail(DiagnosticKind::bad_argument, "{} pads for {} axes, expected {}", pads.size(),
                  axes.size(), 2 * axes.size());
  }
  const char* name = mode == "constant"  ? "constant"
                     : mode == "reflect" ? "reflect"
                     : mode == "edge"    ? "replicate"
                     : mode == "wrap"    ? "circular"
                                         : nullptr;
  if (!name) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `mode` is \"{}\"", printable(mode));
  }
  Dims widths(static_cast<size_t>(2 * rank), make_int(0));
  for (size_t i = 0; i < axes.size(); ++i) {
    REPOSE_TRY(axis, c.axis(axes[i], rank));
    widths[static_cast<size_t>(2 * axis)] = pads[i];
    widths[static_cast<size_t>(2 * axis + 1)] = pads[i + axes.size()];
  }
  std::vector<Operand> args{x, graph::make_shape(widths)};
  if (fill && mode == "constant") args.push_back(fill);
  return c.call("nn.pad", std::move(args), {{"pad_mode", name}});
}

Result<Operand> pad(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(widths, c.input(1));
  REPOSE_TRY(pads, c.elements(widths, "pads"));
  REPOSE_TRY(rank, c.rank(x));
  std::vector<int64_t> axes = first_axes(static_cast<size_t>(rank));
  if (c.has(3)) {
    REPOSE_TRY(given, c.constants(c.optional(3), "axes"));
    axes = given;
  }
  Operand fill;
  if (c.has(2)) {
    REPOSE_TRY(scalar, c.reshape(c.optional(2), {}));
    fill = scalar;
  }
  return pad_by(c, x, pads, axes, fill);
}

Result<Operand> pad_by_attributes(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  const char* name = c.opset() < 2 ? "paddings" : "pads";
  REPOSE_TRY(pads, c.integers(name));
  REPOSE_TRY(value, c.number("value", 0));
  REPOSE_TRY(rank, c.rank(x));
  if (!pads) return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` is missing", name);
  std::vector<Expr> widths;
  for (int64_t p : *pads) widths.push_back(make_int(p));
  return pad_by(c, x, widths, first_axes(static_cast<size_t>(rank)), c.scalar_like(x, value));
}

// ---- Blocks of depth and space
// -------------------------------------------------------------------

struct Blocks {
  Operand x;
  Dims dims;
  int64_t size = 1;
};

Result<Blocks> blocks_of(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(size, c.integer("blocksize"));
  REPOSE_TRY(dims, c.shape(x));
  constexpr int64_t largest = 1 << 20;
  if (dims.size() != 4) {
    return c.fail(DiagnosticKind::rank_mismatch, "operand 0 has rank {}, expected 4", dims.size());
  }
  if (size < 1 || size > largest) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `blocksize` is {}", size);
  }
  return Blocks{x, dims, size};
}

Result<Operand> regroup(NodeContext& c, const Operand& x, Dims split, std::vector<int64_t> axes,
                        Dims joined) {
  REPOSE_TRY(parts, c.reshape(x, std::move(split)));
  REPOSE_TRY(moved, c.call("permute_dims", {parts}, {{"axes", axes}}));
  return c.reshape(moved, std::move(joined));
}

Result<Operand> depth_to_space(NodeContext& c) {
  REPOSE_TRY(b, blocks_of(c));
  REPOSE_TRY(mode, c.string("mode", "DCR"));
  const Dims& d = b.dims;
  const Expr size = make_int(b.size);
  const Expr depth = simplify(floor_div(d[1], make_int(b.size * b.size)), c.facts());
  const Dims joined{d[0], depth, canonical(d[2] * size), canonical(d[3] * size)};
  if (mode == "CRD") {
    return regroup(c, b.x, {d[0], depth, size, size, d[2], d[3]}, {0, 1, 4, 2, 5, 3}, joined);
  }
  if (mode != "DCR") {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `mode` is \"{}\"", printable(mode));
  }
  return regroup(c, b.x, {d[0], size, size, depth, d[2], d[3]}, {0, 3, 4, 1, 5, 2}, joined);
}

Result<Operand> space_to_depth(NodeContext& c) {
  REPOSE_TRY(b, blocks_of(c));
  const Dims& d = b.dims;
  const Expr size = make_int(b.size);
  const Expr height = simplify(floor_div(d[2], size), c.facts());
  const Expr width = simplify(floor_div(d[3], size), c.facts());
  REPOSE_TRY(mode, c.string("mode", "DCR"));
  if (mode != "DCR" && mode != "CRD") {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `mode` is \"{}\"", printable(mode));
  }
  const std::vector<int64_t> axes = mode == "CRD" ? std::vector<int64_t>{0, 1, 3, 5, 2, 4}
                                                  : std::vector<int64_t>{0, 3, 5, 1, 2, 4};
  return regroup(c, b.x, {d[0], d[1], height, size, width, size}, axes,
                 {d[0], canonical(d[1] * (b.size * b.size)), height, width});
}

}  // namespace

std::span<const OperatorRow> shape_operators() {
  static constexpr OperatorRow rows[] = {
      {"Concat", 1, one<concat>},
      {"DepthToSpace", 1, one<depth_to_space>},
      {"Expand", 8, one<expand>},
      {"Flatten", 1, one<flatten>},
      {"Pad", 1, one<pad_by_attributes>},
      {"Pad", 11, one<pad>},
      {"Reshape", 1, one<reshape_to_attribute>},
      {"Reshape", 5, one<reshape>},
      {"Shape", 1, one<shape>},
      {"Size", 1, one<size>},
      {"Slice", 1, one<slice_by_attributes>},
      {"Slice", 10, one<slice>},
      {"SpaceToDepth", 1, one<space_to_depth>},
      {"Split", 1, split},
      {"Squeeze", 1, one<squeeze>},
      {"Tile", 1, one<tile_one_axis>},
      {"Tile", 6, one<tile>},
      {"Transpose", 1, one<transpose>},
      {"Unsqueeze", 1, one<unsqueeze>},
  };
  return rows;
}

}  // namespace repose::onnx
