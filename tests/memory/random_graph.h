// Random graph functions as they are after fusion: calls of programs, views, tuples, branches,
// constants, and symbols that the data decides.
#pragma once

#include <random>

#include "ir/builder.h"

namespace repose::testing_memory {

struct RandomGraph {
  graph::Function function;
  std::vector<Var> symbols;  // of the parameters
  Facts facts;               // their ranges
};

RandomGraph random_graph(uint32_t seed);

}  // namespace repose::testing_memory
