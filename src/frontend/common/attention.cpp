// Parts of attention as composites of contractions, softmax and data movement.
#include "frontend/common/attention.h"

#include <limits>

namespace repose::frontend {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// Query heads per head of keys, which has to divide them.
Expr group_size(CallContext& c, Composite& m, const Expr& query_heads, const Expr& key_heads) {
  if (prove_equal(query_heads, key_heads, c.facts()) == Truth::yes) return make_int(1);
  m.require(logical_and(lt(make_int(0), key_heads),
                        eq(floor_mod(query_heads, max(key_heads, make_int(1))), make_int(0))),
            "{0} heads of queries share {1} heads of keys", {query_heads, key_heads});
  return simplify(floor_div(query_heads, key_heads), c.facts());
}

// The product of each head of a with the head of b that it shares: (batch, heads, rows, columns).
// The rows of the heads that share one stand below each other.
Operand grouped_product(Composite& m, const Operand& a, const Operand& b, const Expr& group) {
  if (is_const_int(group, 1)) return m.matmul(a, b);
  const Dims da = m.shape(a, 4, 0), db = m.shape(b, 4, 1);
  const Operand rows = m.reshape(a, {da[0], db[1], canonical(group * da[2]), da[3]});
  return m.reshape(m.matmul(rows, b), {da[0], da[1], da[2], db[3]});
}

}  // namespace

// ---- Heads
// ---------------------------------------------------------------------------------------

Operand split_heads(CallContext& c, Composite& m, const Operand& x, int64_t heads, size_t operand) {
  const Dims d = m.shape(x, 3, operand);
  const Expr count = make_int(heads);
  m.require(
      eq(floor_mod(d[2], count), make_int(0)),
      fmt::format("operand {} has rows of {{0}} elements, which {{1}} heads don't divide", operand),
      {d[2], count});
  const Expr size = simplify(floor_div(d[2], count), c.facts());
  return m.permute(m.reshape(x, {d[0], d[1], count, size}), {0, 2, 1, 3});
}

Operand join_heads(Composite& m, const Operand& x) {
  const Operand rows = m.permute(x, {0, 2, 1, 3});
  const Dims d = m.shape(rows, 4, 0);
  return m.reshape(rows, {d[0], d[1], canonical(d[2] * d[3])});
}

// ---- Scores
// --------------------------------------------------------------------------------------

Operand attention_bias(CallContext& c, Composite& m, const AttentionMasks& masks, DType dtype,
                       const Expr& queries, const Expr& keys) {
  Operand mask = masks.mask;
  if (mask) {
    const Dims d = m.shape(mask);
    if (d.empty()) {
      m.fail({c.fail(DiagnosticKind::rank_mismatch, "the mask has rank 0, expected 1 to 4")});
      return nullptr;
    }
    const Expr missing = simplify(keys - d.back(), c.facts());
    if (!is_const_int(missing, 0)) {  // a mask may end early
      m.require(le(d.back(), keys), "the mask has {0} columns, there are {1} keys",
                {d.back(), keys});
      const bool is_bool = m.dtype(mask).is_bool();
      mask =
          m.pad(mask, -1, make_int(0), missing, m.scalar(m.dtype(mask), is_bool ? 0 : -infinity));
    }
  }
  Operand allowed;
  auto allow = [&](const Operand& condition) {
    allowed = allowed ? m.both(allowed, condition) : condition;
  };
  if (mask && m.dtype(mask).is_bool()) {
    allow(mask);
    mask = nullptr;
  }
  const DType wide = dtypes::int64;
  auto columns = [&] { return m.arange_along(keys, wide, 1, 2); };
  if (masks.is_causal || masks.left >= 0 || masks.right >= 0) {
    // Where the query lies among the keys.
    Operand place = m.arange_along(queries, wide, 0, 2);
    if (masks.offset) place = m.add(place, masks.offset);
    if (masks.is_causal) allow(m.less_equal(columns(), place));
    if (masks.left >= 0) {
      allow(m.less_equal(m.subtract(place, columns()), static_cast<double>(masks.left)));
    }
    if (masks.right >= 0) {
      allow(m.less_equal(m.subtract(columns(), place), static_cast<double>(masks.right)));
    }
  }
  if (masks.lengths) allow(m.less(columns(), masks.lengths));
  if (!allowed) return m.cast(mask, dtype);
  const Operand kept = mask ? m.cast(mask, dtype) : m.scalar(dtype, 0);
  return m.where(allowed, kept, -infinity);
}

Attended attend(CallContext& c, Composite& m, const AttentionOperands& x) {
  const Dims q = m.shape(x.query, 4, 0), k = m.shape(x.key, 4, 1);
  const DType dtype = m.dtype(x.query);
  const Expr group = group_size(c, m, q[1], k[1]);
  // Products of 16-bit floats may overflow: both factors take the root of the scale.
  const Operand scale = x.scale ? m.cast(x.scale, dtype) : nullptr;
  Operand query = x.query, key = x.key;
  if (scale && dtype.bits < 32) {
    const Operand root = m.cast(m.unary("sqrt", x.scale), dtype);
    query = m.multiply(query, root);
    key = m.multiply(key, root);
  } else if (scale) {
    query = m.multiply(query, scale);
  }
  Attended y;
  y.products = grouped_product(m, query, m.permute(key, {0, 1, 3, 2}), group);
  y.capped = y.products;
  if (x.softcap > 0) {
    const Operand part = m.unary("tanh", m.divide(y.products, x.softcap));
    y.capped = m.multiply(part, x.softcap);
  }
  y.biased = x.bias ? m.add(y.capped, x.bias) : y.capped;
  const DType precision = x.precision ? x.precision : dtype;
  Operand scores = m.cast(y.biased, precision);
  if (x.modify_scores) scores = x.modify_scores(scores);
  Operand weights = m.call("nn.softmax", {scores}, {{"axis", -1}});
  if (x.modify_weights) weights = x.modify_weights(weights);
  if (x.bias && x.may_mask_rows) {  // a row without keys gives zeros
    const Operand most = m.max(x.bias, {-1});
    weights = m.where(m.equal(most, -infinity), 0.0, weights);
  }
  y.weights = m.cast(weights, dtype);
  y.result = grouped_product(m, m.cast(y.weights, m.dtype(x.value)), x.value, group);
  return y;
}

}  // namespace repose::frontend
