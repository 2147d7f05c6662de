// A folder of artifacts by what they are made from.
#pragma once

#include <optional>
#include <string>

#include "command.h"

namespace repose::cli {

// Names what an artifact depends on: the module as it was read, with weights and places; the
// options; this compiler. 32 hexadecimal digits.
std::string artifact_key(const ReadModel& model, const ModelOptions& options, Emit kind);

class ArtifactCache {
 public:
  // Makes the folder where there is none.
  static Result<ArtifactCache> open(const std::string& folder);

  // Writes the artifact of that key, if it is there, to `output`; whether it is.
  Result<bool> fetch(const std::string& key, const std::string& output) const;
  // Keeps the file `artifact` under that key.
  Result<void> keep(const std::string& key, const std::string& artifact) const;

 private:
  std::string folder_;
};

}  // namespace repose::cli
