// Files of named arrays in the safetensors format (https://github.com/huggingface/safetensors):
// eight bytes of header length, a JSON header, then the data. Weights that text names by R.weight
// lie in one.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "ir/array.h"

namespace repose {

// The arrays of a mapped file; they keep it mapped.
struct WeightFile {
  std::map<std::string, Array, std::less<>> arrays;

  Array find(std::string_view name) const;  // null: no such array
};

// Maps the file and checks its header: every array lies inside and has as many bytes as its shape
// says.
Result<WeightFile> read_safetensors(const std::string& path);
// Replaces the file. Names are unique.
Result<void> write_safetensors(const std::string& path,
                               const std::vector<std::pair<std::string, Array>>& arrays);

}  // namespace repose
