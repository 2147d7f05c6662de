// A comparison that is known to hold, in the form that the prover combines.
#pragma once

#include "expr/facts.h"
#include "expr/polynomial.h"

namespace repose {

// `difference` <= 0, == 0 or != 0.
struct Hypothesis {
  enum class Kind : uint8_t { at_most_zero, zero, not_zero };
  Kind kind;
  Polynomial difference;
};

// prove() without distinguishing cases: what learning may ask.
Truth prove_directly(const Expr& condition, const Facts& facts);

}  // namespace repose
