// repose inspect --memory: the peak as an expression, and at given dimensions.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "loaded_model.h"

namespace repose::cli {

// `at`: lists of dimensions ("batch=8,seq=512"). Return an exit code. Of a model also the lower
// bound: the largest sum of bytes that are live at one time.
//
// Both refuse text that is no such list.
int print_memory(const CompiledModel& model, const std::vector<std::string>& at, bool json);
int print_memory(const LoadedModel& model, const std::vector<std::string>& at, bool json);

// The sizes of such a list by name, as far as it is one.
std::map<std::string, int64_t> sizes_of(const std::string& at);

}  // namespace repose::cli
