// Tensor contents that a model keeps in other files, beside its own.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/diagnostic.h"
#include "frontend/common/mapped_file.h"
#include "frontend/onnx/model.h"

namespace repose::onnx {

using frontend::MappedFile;

// The files of one model. Each is mapped once, when first asked for, and shared. May be used from
// several threads.
class ExternalFiles {
 public:
  // `folder` is the one that holds the model; nothing outside of it is ever opened. Without a
  // value the model has no folder (it was given as bytes), and no external data.
  explicit ExternalFiles(std::optional<std::string> folder) : folder_(std::move(folder)) {}

  // The file at `location`, relative to the folder. `what` names the tensor in messages.
  // bad_model: the location is absolute, has a `..`, or leads out of the folder by a symbolic link.
  // cannot_read: there is no such file, or no folder.
  Result<std::shared_ptr<const MappedFile>> open(std::string_view location, const Span& span,
                                                 const std::string& what);

 private:
  std::optional<std::string> folder_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const MappedFile>, std::less<>> by_location_;
  std::map<std::string, std::shared_ptr<const MappedFile>> by_path_;
};

struct ExternalBytes {
  std::shared_ptr<const MappedFile> file;
  std::span<const std::byte> bytes;
};

// The `size` bytes that `tensor.external_data` describes. `what` names the tensor in messages.
Result<ExternalBytes> external_bytes(const Model& model, const Tensor& tensor, uint64_t size,
                                     const std::string& what);

}  // namespace repose::onnx
