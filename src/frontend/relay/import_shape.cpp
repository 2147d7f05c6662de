// Operators that move elements or make tensors.
#include <algorithm>

#include "frontend/relay/operator_table.h"

namespace repose::relay {

namespace {

// ---- Shapes

// Relay's codes for dimensions of a new shape: 0 copies the dimension, -1 is what is left, -2
// copies all that remain, -3 is the product of two, -4 splits one into the two that follow.
Result<Dims> reshaped(RelayCall& c, const Dims& from, const Dims& codes) {
  Dims to, rest;             // `rest`: dimensions of the operand whose elements no copy has taken
  size_t at = 0;             // of `from`
  Expr known = make_int(1);  // product of the dimensions that are given
  int inferred = -1;
  auto bad = [&](const char* why) {
    return c.fail(DiagnosticKind::bad_attribute, "the new shape {} {} the operand's {}",
                  to_string(codes), why, to_string(from));
  };
  for (size_t i = 0; i < codes.size(); ++i) {
    int64_t code = 1;
    as_const_int(codes[i], &code);
    const bool needs_dim = code == 0 || code == -3 || code == -4;
    if (needs_dim && at + (code == -3) >= from.size()) return bad("has more dimensions than");
    if (code >= 1 || code == -1) {
      if (code == -1 && inferred >= 0) return bad("leaves two dimensions open for");
      if (code == -1) inferred = static_cast<int>(to.size());
      if (code != -1) known = known * codes[i];
      to.push_back(codes[i]);
      if (at < from.size()) rest.push_back(from[at++]);
    } else if (code == 0) {
      to.push_back(from[at++]);
    } else if (code == -2) {
      while (at < from.size()) to.push_back(from[at++]);
    } else if (code == -3) {
      to.push_back(canonical(from[at] * from[at + 1]));
      at += 2;
    } else if (code == -4) {
      int64_t first = 1, second = 1;
      if (i + 2 >= codes.size()) return bad("ends behind a split of");
      as_const_int(codes[i + 1], &first);
      as_const_int(codes[i + 2], &second);
      if (first == -1 && second == -1) return bad("leaves two dimensions open for");
      const Expr& whole = from[at++];
      to.push_back(first == -1 ? canonical(floor_div(whole, codes[i + 2])) : codes[i + 1]);
      to.push_back(second == -1 ? canonical(floor_div(whole, codes[i + 1])) : codes[i + 2]);
      i += 2;
    } else {
      return bad("has an unknown code for");
    }
  }
  while (at < from.size()) rest.push_back(from[at++]);
  if (inferred < 0) return to;
  // What was copied cancels out; the operator checks the rest.
  Expr elements = make_int(1);
  for (const Expr& d : rest) elements = elements * d;
  to[static_cast<size_t>(inferred)] = canonical(floor_div(elements, known));
  return to;
}

Result<Operand> import_reshape(RelayCall& c, const char*) {
  REPOSE_REQUIRE(c.require_operands(1, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(from, c.shape(x));
  REPOSE_TRY(codes, c.sizes("newshape", 1));
  c.ignore({"allowzero"});
  REPOSE_TRY(to, reshaped(c, from, codes));
  return c.reshape(x, to);
}

// The shape of the second operand.
Result<Operand> import_like(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(2, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(like, c.tensor(1));
  REPOSE_TRY(shape, c.shape(like));
  c.ignore({"lhs_begin", "lhs_end", "rhs_begin", "rhs_end"});
  return c.call(op, {x, graph::make_shape(shape)});
}

Result<Operand> import_collapse_like(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(2, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(like, c.tensor(1));
  return c.call(op, {x, like});
}

Result<Operand> import_broadcast(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(shape, c.sizes("shape", 1));
  c.ignore({"dtype"});
  return c.call(op, {x, graph::make_shape(shape)});
}

Result<Operand> import_flatten(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  return c.call(op, {x});
}

Result<Operand> import_transpose(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(axes, c.integers("axes"));
  return c.call(op, {x}, {{"axes", axes.empty() ? Attr() : Attr(axes)}});
}

// A layout as a permutation of another one's letters.
Result<Operand> import_layout(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(from, c.text("src_layout", ""));
  REPOSE_TRY(to, c.text("dst_layout", ""));
  std::vector<int64_t> axes;
  for (const char letter : to) {
    const size_t at = from.find(letter);
    if (at != std::string::npos) axes.push_back(static_cast<int64_t>(at));
  }
  if (axes.size() != from.size() || axes.size() != to.size()) {
    return c.fail(DiagnosticKind::unsupported_feature,
                  "from layout \"{}\" to \"{}\", expected the same letters", from, to);
  }
  return c.call(op, {x}, {{"axes", Attr(axes)}});
}

Result<Operand> import_expand_dims(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(rank, c.rank(x));
  REPOSE_TRY(axis, c.integer("axis", 0));
  REPOSE_TRY(count, c.integer("num_newaxis", 1));
  if (count < 0 || count > frontend::max_rank) {
    return c.fail(DiagnosticKind::bad_attribute, "`num_newaxis` is {}", count);
  }
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < count; ++i) axes.push_back((axis < 0 ? axis + rank + 1 : axis) + i);
  return axes.empty() ? Result<Operand>(x) : c.call(op, {x}, {{"axis", Attr(axes)}});
}

Result<Operand> import_squeeze(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  const bool is_given = c.has("axis");
  REPOSE_TRY(axes, c.integers("axis"));
  if (is_given && axes.empty()) return x;
  return c.call(op, {x}, {{"axis", is_given ? Attr(axes) : Attr()}});
}

// ---- Parts

Result<Operand> import_concatenate(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(parts, c.tensors(0));
  REPOSE_TRY(axis, c.integer("axis", 0));
  return c.call(op, {graph::make_tuple(parts)}, {{"axis", Attr(axis)}});
}

Result<Operand> import_split(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(how, c.integers("indices_or_sections"));
  REPOSE_TRY(axis, c.integer("axis", 0));
  const bool is_list = c.is_list("indices_or_sections");
  return c.call(op, {x},
                {{"indices_or_sections", is_list || how.empty() ? Attr(how) : Attr(how[0])},
                 {"axis", Attr(axis)}});
}

Result<Operand> import_slice(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(from, c.shape(x));
  REPOSE_TRY(begin, c.integers("begin"));
  REPOSE_TRY(end, c.integers("end"));
  REPOSE_TRY(strides, c.integers("strides"));
  REPOSE_TRY(axes, c.integers("axes"));
  REPOSE_TRY(mode, c.text("slice_mode", "end"));
  const bool is_size = mode == "size";
  if (axes.empty()) {
    for (size_t d = 0; d < begin.size(); ++d) axes.push_back(static_cast<int64_t>(d));
  }
  if (end.size() != begin.size() || axes.size() != begin.size()) {
    return c.fail(DiagnosticKind::bad_attribute, "{} begins, {} ends and {} axes", begin.size(),
                  end.size(), axes.size());
  }
  if (strides.empty() || is_size) strides.assign(begin.size(), 1);
  if (strides.size() == 1) strides.assign(begin.size(), strides[0]);
  if (strides.size() != begin.size()) {
    return c.fail(DiagnosticKind::bad_attribute, "{} begins and {} strides", begin.size(),
                  strides.size());
  }
  Dims begins, ends, steps;
  for (size_t i = 0; i < begin.size(); ++i) {
    REPOSE_TRY(axis, c.axis(axes[i], static_cast<int64_t>(from.size())));
    begins.push_back(make_int(begin[i]));
    ends.push_back(!is_size       ? make_int(end[i])
                   : end[i] == -1 ? from[static_cast<size_t>(axis)]
                                  : make_int(begin[i] + end[i]));
    steps.push_back(make_int(strides[i]));
  }
  return c.call(op,
                {x, graph::make_shape(std::move(begins)), graph::make_shape(std::move(ends)),
                 graph::make_shape(std::move(steps))},
                {{"axes", Attr(axes)}});
}

// ---- Subscripts

Result<Operand> import_take(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(2, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(indices, c.tensor(1));
  REPOSE_TRY(batch, c.integer("batch_dims", 0));
  REPOSE_TRY(mode, c.text("mode", "clip"));
  const bool has_axis = c.has("axis");
  REPOSE_TRY(axis, c.integer("axis", 0));
  if (batch != 0) return c.fail(DiagnosticKind::unsupported_feature, "`batch_dims` is {}", batch);
  Composite m(c);
  const Operand source = has_axis ? x : m.call("flatten", {x});
  return m.result(m.call(op, {source, indices}, {{"axis", Attr(axis)}, {"mode", Attr(mode)}}));
}

Result<Operand> import_gather(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(2, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(indices, c.tensor(1));
  REPOSE_TRY(axis, c.integer("axis", 0));
  return c.call(op, {x, indices}, {{"axis", Attr(axis)}});
}

// Relay has the members of a tuple of subscripts along the first dimension.
Result<Operand> import_gather_nd(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(2, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(indices, c.tensor(1));
  REPOSE_TRY(rank, c.rank(indices));
  REPOSE_TRY(batch, c.integer("batch_dims", 0));
  c.ignore({"index_rank"});
  std::vector<int64_t> axes;
  for (int64_t d = 1; d < rank; ++d) axes.push_back(d);
  axes.push_back(0);
  Composite m(c);
  return m.result(m.call(op, {x, m.permute(indices, axes)}, {{"batch_dims", Attr(batch)}}));
}

Result<Operand> import_one_hot(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(3, 3));
  REPOSE_TRY(indices, c.tensor(0));
  REPOSE_TRY(on, c.tensor(1));
  REPOSE_TRY(off, c.tensor(2));
  REPOSE_TRY(depth, c.integer("depth", 0));
  REPOSE_TRY(axis, c.integer("axis", -1));
  REPOSE_TRY(dtype, c.dtype_named("dtype", c.dtype(on)));
  const Expr on_value = c.known_scalar(on), off_value = c.known_scalar(off);
  if (!on_value || !off_value) {
    return c.fail(DiagnosticKind::unsupported_feature, "the values are no constants");
  }
  REPOSE_TRY(made, c.call(op,
                          {indices, graph::make_prim(on_value), graph::make_prim(off_value),
                           graph::make_prim(make_int(depth))},
                          {{"axis", Attr(axis)}}));
  return c.cast(made, dtype);
}

// ---- Repetitions and orders

Result<Operand> import_tile(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(repeats, c.sizes("reps", 1));
  return c.call(op, {x, graph::make_shape(repeats)});
}

Result<Operand> import_repeat(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(repeats, c.integer("repeats", 1));
  REPOSE_TRY(axis, c.integer("axis", 0));
  return c.call(op, {x}, {{"repeats", Attr(repeats)}, {"axis", Attr(axis)}});
}

Result<Operand> import_flip(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(axis, c.integer("axis", 0));
  return c.call(op, {x}, {{"axis", Attr(axis)}});
}

Result<Operand> import_scan(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  const bool has_axis = c.has("axis");
  REPOSE_TRY(axis, c.integer("axis", 0));
  REPOSE_TRY(dtype, c.dtype_named("dtype", c.dtype(x)));
  REPOSE_TRY(exclusive, c.boolean("exclusive", false));
  Composite m(c);
  const Operand source = has_axis ? x : m.call("flatten", {x});
  return m.result(
      m.call(op, {source},
             {{"axis", Attr(axis)}, {"dtype", Attr(dtype)}, {"exclusive", Attr(exclusive)}}));
}

Result<Operand> import_sort(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(axis, c.integer("axis", -1));
  REPOSE_TRY(ascends, c.boolean("is_ascend", true));
  Attrs attrs{{"axis", Attr(axis)}, {"descending", Attr(!ascends)}};
  if (c.op() == "argsort") {
    REPOSE_TRY(dtype, c.dtype_named("dtype", dtypes::int32));
    attrs.set("dtype", Attr(dtype));
  }
  return c.call(op, {x}, std::move(attrs));
}

Result<Operand> import_topk(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 2));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(k, c.sizes("k", 1));
  REPOSE_TRY(axis, c.integer("axis", -1));
  REPOSE_TRY(wanted, c.text("ret_type", "both"));
  REPOSE_TRY(ascends, c.boolean("is_ascend", false));
  REPOSE_TRY(dtype, c.dtype_named("dtype", dtypes::int32));
  if (k.size() != 1) return c.fail(DiagnosticKind::bad_attribute, "`k` is no number");
  return c.call(op, {x, graph::make_prim(k[0])},
                {{"axis", Attr(axis)},
                 {"ret_type", Attr(wanted)},
                 {"largest", Attr(!ascends)},
                 {"dtype", Attr(dtype)}});
}

// ---- Sizes and new tensors

Result<Operand> import_size(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 1));
  REPOSE_TRY(x, c.tensor(0));
  REPOSE_TRY(dtype, c.dtype_named("dtype", dtypes::int32));
  Composite m(c);
  const Operand found = m.call(op, {x});
  const bool is_shape = std::string_view(op) == "shape_of";
  return m.result(m.cast(is_shape ? m.call("shape_to_tensor", {found}) : found, dtype));
}

Result<Operand> import_full(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(1, 2));
  REPOSE_TRY(fill, c.tensor(0));
  REPOSE_TRY(shape, c.sizes("shape", 1));
  REPOSE_TRY(dtype, c.dtype_named("dtype", c.dtype(fill)));
  return c.call(op, {graph::make_shape(shape), fill}, {{"dtype", Attr(dtype)}});
}

Result<Operand> import_filled(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(0, 1));
  REPOSE_TRY(shape, c.sizes("shape", 0));
  REPOSE_TRY(dtype, c.dtype_named("dtype", dtypes::float32));
  return c.call(op, {graph::make_shape(shape)}, {{"dtype", Attr(dtype)}});
}

Result<Operand> import_filled_like(RelayCall& c, const char* op) {
  const bool is_full = std::string_view(op) == "full_like";
  REPOSE_REQUIRE(c.require_operands(1 + is_full, 1 + is_full));
  Values operands;
  for (size_t i = 0; i < c.num_operands(); ++i) {
    REPOSE_TRY(operand, c.tensor(i));
    operands.push_back(operand);
  }
  return c.call(op, operands);
}

Result<Operand> import_arange(RelayCall& c, const char* op) {
  REPOSE_REQUIRE(c.require_operands(3, 3));
  REPOSE_TRY(dtype, c.dtype_named("dtype", dtypes::float32));
  c.ignore({"start", "stop", "step"});
  Values numbers;
  for (size_t i = 0; i < 3; ++i) {
    REPOSE_TRY(operand, c.tensor(i));
    Expr value = c.known_scalar(operand);
    if (!value && c.dtype(operand).is_data_int()) {
      REPOSE_TRY(members, c.elements(operand, i == 0 ? "start" : i == 1 ? "stop" : "step"));
      if (members.size() == 1) value = members[0];
    }
    if (!value) return c.fail(DiagnosticKind::unsupported_feature, "a bound is no known number");
    numbers.push_back(graph::make_prim(value));
  }
  return c.call(op, numbers, {{"dtype", Attr(dtype)}});
}

}  // namespace

std::span<const RelayOperator> movement_operators() {
  static constexpr RelayOperator table[] = {
      {"argsort", import_sort, "argsort"},
      {"broadcast_to", import_broadcast, "broadcast_to"},
      {"broadcast_to_like", import_like, "broadcast_to"},
      {"collapse_sum_like", import_collapse_like, "collapse_sum_like"},
      {"concatenate", import_concatenate, "concat"},
      {"cumprod", import_scan, "cumprod"},
      {"cumsum", import_scan, "cumsum"},
      {"dyn.broadcast_to", import_broadcast, "broadcast_to"},
      {"dyn.reshape", import_reshape},
      {"dyn.tile", import_tile, "tile"},
      {"dyn.topk", import_topk, "topk"},
      {"expand_dims", import_expand_dims, "expand_dims"},
      {"gather", import_gather, "gather_elements"},
      {"gather_nd", import_gather_nd, "gather_nd"},
      {"layout_transform", import_layout, "permute_dims"},
      {"nn.batch_flatten", import_flatten, "nn.batch_flatten"},
      {"one_hot", import_one_hot, "one_hot"},
      {"repeat", import_repeat, "repeat"},
      {"reshape", import_reshape},
      {"reshape_like", import_like, "reshape"},
      {"reverse", import_flip, "flip"},
      {"sort", import_sort, "sort"},
      {"split", import_split, "split"},
      {"squeeze", import_squeeze, "squeeze"},
      {"stack", import_concatenate, "stack"},
      {"strided_slice", import_slice, "strided_slice"},
      {"take", import_take, "take"},
      {"tile", import_tile, "tile"},
      {"topk", import_topk, "topk"},
      {"transpose", import_transpose, "permute_dims"},
  };
  return table;
}

std::span<const RelayOperator> creation_operators() {
  static constexpr RelayOperator table[] = {
      {"arange", import_arange, "arange"},
      {"dyn.full", import_full, "full"},
      {"dyn.ones", import_filled, "ones"},
      {"dyn.zeros", import_filled, "zeros"},
      {"full", import_full, "full"},
      {"full_like", import_filled_like, "full_like"},
      {"ndarray_size", import_size, "size"},
      {"ones", import_filled, "ones"},
      {"ones_like", import_filled_like, "ones_like"},
      {"shape_of", import_size, "shape_of"},
      {"zeros", import_filled, "zeros"},
      {"zeros_like", import_filled_like, "zeros_like"},
  };
  return table;
}

}  // namespace repose::relay
