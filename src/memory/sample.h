// Values of symbols at which sizes are compared: what planning knows of shapes that it cannot
// enumerate. Nothing that must hold for all shapes rests on them.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "expr/facts.h"

namespace repose {

using SymbolValues = std::unordered_map<const VarNode*, int64_t>;

// The value of an index expression (or bool condition: 0, 1) over symbols; saturates at the limits
// of int64. Nothing where it mentions another variable, a load or a call, or divides by zero.
std::optional<int64_t> evaluate(const Expr& e, const SymbolValues& values);

// The value of a size in bytes: from 0, and at most 2^46: more than a process has, and little
// enough that sums over the blocks of a function stay within int64.
std::optional<int64_t> evaluate_bytes(const Expr& bytes, const SymbolValues& values);

// Assignments within the ranges of the symbols: all low, all high, in between, each symbol alone
// low or high, and a few drawn with a fixed seed. A symbol without an upper bound is taken up to
// some hundreds. Names of sizes, among the symbols or behind them, have the values of their
// definitions.
std::vector<SymbolValues> sample_values(const std::vector<Var>& symbols, const Facts& facts);

// Gives each name, in order, the value of its definition, where it has none yet.
void evaluate_names(const std::vector<std::pair<Var, Expr>>& names, SymbolValues& values);

// The value that `v` may have nearest to `wanted`.
int64_t nearest_value(const Var& v, int64_t wanted, const Facts& facts);

}  // namespace repose
