// The prover's other parts: what canonical forms and intervals leave open (prove.cpp).
//
// First a few assignments are tried, with names computed from their definitions. If the condition
// holds in one and fails in another, that is the answer: unknown. Otherwise what didn't happen is
// refuted (refute.h), with the facts that share symbols with the condition; where one symbol is
// known to be a multiple of something, it is replaced by the product with a new symbol, so that
// products divide exactly.
#pragma once

#include "expr/facts.h"

namespace repose {

// What a condition was seen to be in assignments that the facts allow.
struct Outcomes {
  bool holds = false, fails = false;
};
Outcomes find_witnesses(const Expr& condition, const Facts& facts);

// `condition` as it was asked, `simplified` by the facts.
Truth decide_by_cases(const Expr& condition, const Expr& simplified, const Facts& facts,
                      const Outcomes& seen);

// prove() by canonical forms and intervals alone.
Truth prove_quickly(const Expr& condition, const Facts& facts);

}  // namespace repose
