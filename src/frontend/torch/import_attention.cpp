// Attention.
#include "frontend/common/attention.h"

#include <cmath>

#include "frontend/torch/operator_table.h"

namespace repose::torch {
namespace {

using frontend::attend;
using frontend::attention_bias;
using frontend::AttentionMasks;
using frontend::AttentionOperands;

// Of any rank as of rank 4: what stands before heads is one batch.
Operand with_batch(Composite& m, const Operand& x, const Dims& dims) {
  if (dims.size() == 4) return x;
  Expr batch = make_int(1);
  for (size_t i = 0; i + 3 < dims.size(); ++i) batch = batch * dims[i];
  const Expr heads = dims.size() >= 3 ? dims[dims.size() - 3] : make_int(1);
  return m.reshape(x, {canonical(batch), heads, dims[dims.size() - 2], dims.back()});
}

Result<Values> attention(NodeContext& c) {
  REPOSE_TRY(dropout, c.number("dropout_p", 0));
  if (dropout != 0) {
    return c.fail(DiagnosticKind::unsupported_feature,
                  "training is not supported: export the module after `.eval()`");
  }
  REPOSE_TRY(query, c.tensor("query"));
  REPOSE_TRY(key, c.tensor("key"));
  REPOSE_TRY(value, c.tensor("value"));
  REPOSE_TRY(mask, c.optional_tensor("attn_mask"));
  REPOSE_TRY(is_causal, c.flag("is_causal", false));
  REPOSE_TRY(scale, c.number("scale", 0));
  Composite m(c);
  const Dims dims = m.shape(query);
  for (const Operand& x : {query, key, value}) {
    REPOSE_TRY(rank, c.rank(x));
    if (rank >= 2) continue;
    return c.fail(DiagnosticKind::rank_mismatch, "an operand has rank {}, expected at least 2",
                  rank);
  }
  AttentionOperands x{with_batch(m, query, dims), with_batch(m, key, m.shape(key)),
                      with_batch(m, value, m.shape(value))};
  const Dims q = m.shape(x.query, 4, 0), k = m.shape(x.key, 4, 1);
  int64_t size = 0;
  if (scale != 0) {
    x.scale = c.scalar(dtypes::float32, scale);
  } else if (as_const_int(q[3], &size) && size > 0) {
    x.scale = c.scalar(dtypes::float32, 1 / std::sqrt(static_cast<double>(size)));
  } else {
    x.scale = m.unary("rsqrt", m.number(q[3], dtypes::float32));
  }
  AttentionMasks masks;
  masks.mask = mask;
  masks.is_causal = is_causal;
  if (mask && dims.size() > 4) {
    return c.fail(DiagnosticKind::unsupported_feature, "a mask of operands of rank {}",
                  dims.size());
  }
  x.bias = attention_bias(c, m, masks, m.dtype(x.query), q[2], k[2]);
  x.may_mask_rows = mask != nullptr;
  const Operand y = attend(c, m, x).result;
  REPOSE_TRY(shape, c.result_shape());
  return m.results({m.reshape(y, shape)});
}

}  // namespace

std::span<const OperatorRow> attention_operators() {
  static constexpr OperatorRow rows[] = {
      {"aten._scaled_dot_product_flash_attention_for_cpu.default", attention},
      {"aten.scaled_dot_product_attention.default", attention},
  };
  return rows;
}

}  // namespace repose::torch
