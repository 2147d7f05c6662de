// Orders the products of three matrices by what they cost.
#include "passes/graph/adjust_matmul_order.h"

#include "passes/graph/rewrite_patterns.h"

namespace repose {

namespace {

using graph::Value;

// Multiplications of (x a) b and of x (a b), for x of (…, n, k), a of (k, m), b of (m, p).
struct Costs {
  Expr from_left, from_right;
};

std::optional<Costs> costs(const Value& x, const Value& a, const Value& b) {
  const TensorTypeNode *tx = graph::tensor_of(x), *ta = graph::tensor_of(a),
                       *tb = graph::tensor_of(b);
  if (!tx || !ta || !tb || !tx->shape || !ta->shape || !tb->shape || tx->rank < 2 ||
      ta->rank != 2 || tb->rank != 2) {
    return std::nullopt;
  }
  const bool one_float = tx->dtype == ta->dtype && ta->dtype == tb->dtype && tx->dtype.is_float();
  if (!one_float) return std::nullopt;
  Expr rows = make_int(1);
  for (size_t d = 0; d + 1 < tx->shape->size(); ++d) rows = rows * (*tx->shape)[d];
  const Expr &k = tx->shape->back(), &m = (*tb->shape)[0], &p = (*tb->shape)[1];
  return Costs{canonical(rows * k * m + rows * m * p), canonical(k * m * p + rows * k * p)};
}

bool is_cheaper(const Expr& after, const Expr& before, const Facts& facts) {
  return prove(le(after, before), facts) == Truth::yes &&
         prove(le(before, after), facts) != Truth::yes;
}

PatternRule rule(bool from_left) {
  const Pattern x = pattern::any(), a = pattern::any(), b = pattern::any();
  const Pattern product =
      from_left
          ? pattern::call("matmul", {pattern::call("matmul", {x, a}, {{"out_dtype", Attr()}}), b},
                          {{"out_dtype", Attr()}})
          : pattern::call("matmul", {x, pattern::call("matmul", {a, b}, {{"out_dtype", Attr()}})},
                          {{"out_dtype", Attr()}});
  PatternRule result{
      from_left ? "matmul_from_left" : "matmul_from_right", {{product}, {}}, nullptr};
  result.replace = [=](Rebuilding& r, const PatternMatch& match) -> Result<std::vector<Value>> {
    const Value &vx = match.values.at(x.get()), &va = match.values.at(a.get()),
                &vb = match.values.at(b.get());
    const auto cost = costs(vx, va, vb);
    if (!cost) return std::vector<Value>{};
    const Expr &before = from_left ? cost->from_left : cost->from_right,
               &after = from_left ? cost->from_right : cost->from_left;
    if (!is_cheaper(after, before, r.builder.facts())) return std::vector<Value>{};
    const OpDef& matmul = *r.builder.ops().find("matmul");
    auto times = [&](const Value& v, const Value& w) {
      return graph::make_op_call(matmul, {v, w});
    };
    return std::vector<Value>{from_left ? times(vx, times(va, vb)) : times(times(vx, va), vb)};
  };
  return result;
}

}  // namespace

Result<Module> adjust_matmul_order(const Module& module, const OpTable& ops) {
  return rewrite_patterns(module, ops, {rule(true), rule(false)});
}

}  // namespace repose
