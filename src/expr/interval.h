// Arithmetic on sets of integers given by a range and a stride.
#pragma once

#include "expr/facts.h"

namespace repose {

Interval interval_point(int64_t value);
Interval interval_between(int64_t lower, int64_t upper);
// Every value that an integer of the dtype has (uint64 ends at infinity).
Interval interval_of_dtype(DType dtype);

// "1..512%8", as declarations write it; no limit where there is none.
std::string range_text(const Interval& range);

bool is_empty(const Interval& a);
bool is_bounded(const Interval& a);  // both limits are finite
// Moves the limits to members; the stride of a point is 1.
Interval tightened(Interval a);
// Both hold (Chinese remainders); empty (lower > upper) if no integer is in both.
Interval intersection(const Interval& a, const Interval& b);
// Either holds.
Interval hull(const Interval& a, const Interval& b);
bool is_within(const Interval& inner, const Interval& outer);

Interval operator+(const Interval& a, const Interval& b);
Interval operator-(const Interval& a);
Interval operator-(const Interval& a, const Interval& b);
Interval operator*(const Interval& a, const Interval& b);
Interval interval_scaled(const Interval& a, int64_t k);
// Where the divisor is 0 there is no value.
Interval interval_floor_div(const Interval& a, const Interval& b);
Interval interval_floor_mod(const Interval& a, const Interval& b);
Interval interval_min(const Interval& a, const Interval& b);
Interval interval_max(const Interval& a, const Interval& b);

// x mod c for every member x, where that is one number.
bool known_residue(const Interval& a, int64_t c, int64_t* residue);

}  // namespace repose
