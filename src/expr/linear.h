// Systems of linear constraints over the integers, and whether one has a solution.
//
// The method is the Omega test (W. Pugh, "The Omega test: a fast and practical integer programming
// algorithm for dependence analysis", Supercomputing 1991): equalities are solved by unimodular
// substitution; of the inequalities one variable after the other is eliminated as Fourier and
// Motzkin do, exactly where one side's coefficients are 1. Where none are, the real shadow
// refutes, the dark shadow confirms, and what lies between is searched in splinters. Complete,
// within the budget; a number that leaves int64 ends it as unknown.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace repose {

// sum of coefficient * variable + constant, which is zero or not above zero.
struct LinearConstraint {
  bool is_zero = false;
  int64_t constant = 0;
  std::vector<std::pair<int, int64_t>> terms;  // variable (from 0), coefficient
};

enum class Solvable : uint8_t { no, yes, unknown };

// `budget` counts the rows that are made, and is used up: shared by several calls.
Solvable solve(const std::vector<LinearConstraint>& constraints, int* budget);

}  // namespace repose
