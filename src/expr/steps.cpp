// The counter and the limit of the question at hand, per thread.
#include "expr/steps.h"

#include <algorithm>
#include <limits>

namespace repose {

namespace {

// Not state that an answer depends on from call to call: the limit is that of the innermost
// question on this thread's stack, and the counter is only read by those who measure.
thread_local uint64_t spent = 0;
thread_local uint64_t limit = std::numeric_limits<uint64_t>::max();

}  // namespace

uint64_t steps_spent() {
  return spent;
}

bool spend_steps(uint64_t count) {
  if (spent >= limit) return false;
  spent += count;
  return true;
}

StepBudget::StepBudget(uint64_t steps) : outer_(limit) {
  limit = std::min(limit, spent + steps);  // counts never come near 2^64
}

StepBudget::~StepBudget() {
  limit = outer_;
}

}  // namespace repose
