// The sizes at which `bench` and `profile` call a model, and inputs of these sizes.
#pragma once

#include <string>
#include <vector>

#include "loaded_model.h"

namespace repose::cli {

struct CallSizes {
  std::string text;             // "batch=1, seq=16"; empty where the model has no symbols
  std::vector<int64_t> values;  // one per symbol of the function
  int64_t arena_bytes = 0;      // -1: the data decides
};

// "batch=1,seq=16", or "batch=8,seq=1..512+64": from 1 to 512 in steps of 64; `*2` doubles. Several
// ranges give every combination. Each is asked of the model, which may refuse it. `option` is what
// messages call them.
Result<std::vector<CallSizes>> parse_sizes(const std::vector<std::string>& texts,
                                           const LoadedModel& model, int function,
                                           const std::string& option = "--shapes");

// What --input says about each of these inputs, NAME=FILL: how to fill it (arrays.h).
Result<std::vector<std::string>> parse_fills(const std::vector<std::string>& inputs,
                                             const std::vector<std::string>& specs);

std::vector<std::string> input_names(const LoadedModel& model, int function);
// Inputs of these sizes, filled so.
Result<std::vector<Array>> make_inputs(const LoadedModel& model, int function,
                                       const CallSizes& sizes,
                                       const std::vector<std::string>& fills);

}  // namespace repose::cli
