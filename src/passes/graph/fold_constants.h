// Evaluates calls whose operands are all constants, and values whose elements are known.
//
// before:  a = R.const([1, 2]); b = add(a, a)
// after:   b = R.const([2, 4])
// requires: normal form
// ensures: the same results bit for bit; no constant of more than 64 MB comes from smaller ones.
//          Tensor programs that are called with constants (call_tir) are interpreted, those of few
//          steps.
#pragma once

#include <functional>

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// Evaluates an operator call with constant operands and a result of constant shape; nothing where
// it cannot.
using CallEvaluator = std::function<std::optional<std::vector<Array>>(const graph::CallNode& call)>;

Result<Module> fold_constants(const Module& module, const OpTable& ops,
                              const CallEvaluator& evaluate);

}  // namespace repose
