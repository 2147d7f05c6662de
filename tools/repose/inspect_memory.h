// repose inspect --memory: the peak as an expression, and at given dimensions.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "loaded_model.h"

namespace repose::cli {

// The name of a size and its definition, as text.
struct SizeText {
  std::string name, value;
};
// Of the names, each after those that it mentions, those that formulas or their definitions
// mention.
std::vector<SizeText> sizes_in_use(const std::vector<SizeText>& sizes,
                                   const std::vector<std::string>& formulas);

struct MemoryQuery {
  std::vector<std::string> at;  // lists of dimensions ("batch=8,seq=512")
  std::string function;         // empty: all
  bool json = false;
};

// Return an exit code: text that is no such list is refused, and so are sizes that the model
// refuses. Of a model also the lower bound: the largest sum of bytes that are live at one time.
int print_memory(const CompiledModel& model, const MemoryQuery& query);
int print_memory(const LoadedModel& model, const MemoryQuery& query);

// The sizes of such a list by name, as far as it is one.
std::map<std::string, int64_t> sizes_of(const std::string& at);

}  // namespace repose::cli
