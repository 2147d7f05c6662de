// Parts of attention that several operators are composed of.
#pragma once

#include <functional>

#include "frontend/common/composite.h"

namespace repose::frontend {

// (batch, length, heads * size) as (batch, heads, length, size), and back.
Operand split_heads(CallContext& c, Composite& m, const Operand& x, int64_t heads, size_t operand);
Operand join_heads(Composite& m, const Operand& x);

// Which keys each query sees.
struct AttentionMasks {
  Operand mask;     // bool, or a float that is added; broadcasts to (batch, heads, queries, keys),
                    // but may have fewer columns, what follows is masked; null: none
  Operand lengths;  // int64 (batch, 1, 1, 1): the number of keys that count; null: all
  Operand offset;   // int64: the place of query 0 among the keys; null: 0
  bool is_causal = false;
  int64_t left = -1, right = -1;  // how far a query sees; -1: any distance
};
// What is added to the scores: 0 or the mask where a query sees a key, -infinity elsewhere; null:
// nothing.
Operand attention_bias(CallContext& c, Composite& m, const AttentionMasks& masks, DType dtype,
                       const Expr& queries, const Expr& keys);

struct AttentionOperands {
  Operand query, key, value;  // (batch, heads, length, size); heads of keys are shared by groups
  Operand scale = nullptr;    // float32
  Operand bias = nullptr;
  bool may_mask_rows = false;      // may the bias leave a query without a key? Its result is 0
  double softcap = 0;              // 0: none
  DType precision = dtypes::none;  // of softmax; none: the operands'
  // What else is done to scores and to weights, in that precision.
  std::function<Operand(const Operand&)> modify_scores = nullptr, modify_weights = nullptr;
};
struct Attended {
  Operand products, capped, biased, weights, result;  // one after the other
};
// softmax(softcap(query * key' * scale) + bias) * value.
Attended attend(CallContext& c, Composite& m, const AttentionOperands& x);

}  // namespace repose::frontend
