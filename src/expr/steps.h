// The work of the prover, counted in steps: what bounds a question, and what tests count.
//
// A step is one node simplified or bounded, one bound tried, one row of constraints made. A
// question (prove, simplify with facts, assume) has a budget of steps; when that is spent,
// expressions stay as they are, bounds are those of the dtype, and the answer is unknown. So the
// answer depends on the question and what is known of its symbols, never on a clock or on the
// machine.
#pragma once

#include <cstdint>

namespace repose {

// The steps of this thread since it began.
uint64_t steps_spent();

// Takes a step of the question at hand; false: its budget is spent.
bool spend_steps(uint64_t count = 1);

// While it lives, this thread may spend so many steps, or what is left of the budget around it.
class StepBudget {
 public:
  explicit StepBudget(uint64_t steps);
  ~StepBudget();
  StepBudget(const StepBudget&) = delete;
  StepBudget& operator=(const StepBudget&) = delete;

 private:
  uint64_t outer_;
};

}  // namespace repose
