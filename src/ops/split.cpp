// split: parts of a tensor along `axis`, as a tuple.
//   C1: `indices_or_sections` is a number of sections (at least 1), or the ascending positions,
//       none negative, where parts begin after the first.
//   C2: n sections: of extent ceil(d / n) each as far as d reaches, the last ones smaller or
//       empty; positions are clamped to d. The extents of all parts add up to d.
#include "ops/gradient.h"

namespace repose {

namespace {

Result<Type> infer_split(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const Attr& how = *call.attrs.find("indices_or_sections");
  std::vector<int64_t> positions;
  int64_t sections = 0;
  auto bad = [&] {  // C1
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`split`: `indices_or_sections` must be a number of sections (at least 1), or "
                 "ascending positions, none of them negative");
  };
  if (const int64_t* n = how.as_int()) {
    sections = *n;
    if (sections < 1 || sections > 65536) return bad();
  } else if (const AttrList* list = how.as_list()) {
    for (const Attr& item : *list) {
      const int64_t* p = item.as_int();
      if (!p || *p < (positions.empty() ? 0 : positions.back())) return bad();
      positions.push_back(*p);
    }
  } else {
    return bad();
  }
  const size_t count = sections ? static_cast<size_t>(sections) : positions.size() + 1;
  if (x->rank < 0) return tuple_type(std::vector<Type>(count, ranked_like(*x, -1, x->dtype)));
  REPOSE_TRY(axis, normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank));
  if (!x->shape) return tuple_type(std::vector<Type>(count, ranked_like(*x, x->rank, x->dtype)));

  const Expr& dim = (*x->shape)[axis];
  const Facts& facts = context.facts();
  const Expr section = sections ? ceil_div(dim, make_int(sections)) : nullptr;
  const bool even = sections && prove_divisible(dim, sections, facts) == Truth::yes;
  std::vector<Type> parts;
  Expr begin = make_int(0);
  for (size_t i = 0; i < count; ++i) {  // C2
    Expr end = dim;
    if (i + 1 < count) {
      end = sections ? section * static_cast<int64_t>(i + 1) : make_int(positions[i]);
      end = at_most(end, dim, facts);
    }
    Dims shape = *x->shape;
    shape[axis] = simplify(even ? floor_div(dim, make_int(sections)) : end - begin, facts);
    parts.push_back(tensor_like(*x, std::move(shape), x->dtype));
    begin = end;
  }
  return tuple_type(std::move(parts));
}

// One program per part, so that each can be fused with what uses it.
Result<graph::Value> lower_split(Builder& b, const graph::CallNode& call) {
  const size_t count = as<TupleTypeNode>(call.type)->fields.size();
  const int rank = graph::tensor_of(call.args[0])->rank;
  const int64_t given = call.attrs.get_int("axis");
  const size_t axis = static_cast<size_t>(given < 0 ? given + rank : given);
  std::vector<graph::Value> parts;
  Expr begin = make_int(0);
  for (size_t k = 0; k < count; ++k) {
    const Dims& shape = result_shape(call, k);
    REPOSE_TRY(part,
               te::emit_te(b, "split", {call.args[0]}, [&](const std::vector<te::Tensor>& in) {
                 return std::vector<te::Tensor>{te::compute(
                     shape,
                     [&](const te::Indices& i) {
                       te::Indices source = i;
                       source[axis] = i[axis] + begin;
                       return in[0](std::move(source));
                     },
                     "split")};
               }));
    REPOSE_TRY(leaf, b.normalize(part));
    parts.push_back(leaf);
    begin = canonical(begin + shape[axis]);
  }
  return graph::make_tuple(std::move(parts));
}

Gradients split_gradient(Builder&, const Pullback& p) {
  return std::vector<graph::Value>{
      graph::make_op_call(op_concat(), {graph::make_tuple(p.gradients)},
                          Attrs{{"axis", Attr(p.call.attrs.get_int("axis"))}})};
}

}  // namespace

const OpDef& op_split() {
  static const OpDef def{
      .name = "split",
      .args = {{"x"}},
      .attrs = {{"indices_or_sections", AttrKind::any}, {"axis", AttrKind::integer, Attr(0)}},
      .infer = infer_split,
      .lower = lower_split,
      .gradient = split_gradient,
      .doc =
          "a tuple of parts along `axis`: a number of sections, or the positions where parts "
          "begin after the first"};
  return def;
}

}  // namespace repose
