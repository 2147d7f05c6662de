// Arguments for functions: an assignment of their symbols, and random contents.
#pragma once

#include <random>

#include "interp/interpreter.h"

namespace repose::testing_text {

// Values of symbols.
using Assignment = std::vector<std::pair<Var, int64_t>>;
std::string to_string(const Assignment& symbols);  // "m=7, n=0"

// A function whose arguments can be made: a graph function or a tensor program.
struct Signature {
  std::vector<Var> symbols;  // that decide the arguments' shapes
  std::vector<Type> params;  // of a tensor program: tensors and scalars
  Facts facts;               // ranges of the symbols
};
Signature signature(const graph::Function& f);
Signature signature(const tir::PrimFunc& f);

// Every symbol takes each of 0, 1, 2, 7 and 64 that its range and divisor allow (where that is less
// than two values: the least ones that they allow). All combinations where they are few, else those
// of one value for all symbols, and random ones.
std::vector<Assignment> assignments(const Signature& f);

enum class Contents {
  small,    // floats in [-2, 2], integers 0 and 1
  special,  // infinities, NaNs, signed zeros, subnormals among them; integers in [-3, 8]
};

// Nothing where a parameter has a type that no argument can be made for (a function, an object), an
// extent that the symbols don't decide, or more than 10000 elements.
std::optional<std::vector<HostValue>> random_arguments(const Signature& f,
                                                       const Assignment& symbols, Contents contents,
                                                       uint32_t seed);
Array random_array(std::vector<int64_t> shape, DType dtype, Contents contents,
                   std::mt19937& random);

}  // namespace repose::testing_text
