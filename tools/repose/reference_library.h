// Another library that runs the same model beside Repose: a process of Python that is told when its
// turn is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "ir/array.h"

namespace repose::cli {

// What `--vs` takes; each is a package of Python.
inline const std::vector<std::string>& reference_libraries() {
  static const std::vector<std::string> names = {"onnxruntime", "openvino"};
  return names;
}

class ReferenceLibrary {
 public:
  // `library`: one of reference_libraries(). `model`: an ONNX file.
  static Result<std::unique_ptr<ReferenceLibrary>> start(const std::string& library,
                                                         const std::string& model, int threads);
  ~ReferenceLibrary();
  ReferenceLibrary(const ReferenceLibrary&) = delete;
  ReferenceLibrary& operator=(const ReferenceLibrary&) = delete;

  const std::string& version() const { return version_; }  // "onnxruntime 1.27.0"
  // Calls with these inputs from now on; the results of the first call.
  Result<std::vector<Array>> prepare(const std::vector<std::string>& names,
                                     const std::vector<Array>& inputs,
                                     const std::vector<std::string>& outputs);
  // Calls for about so long; the seconds of each call.
  Result<std::vector<double>> round(double seconds);

 private:
  ReferenceLibrary() = default;
  Result<std::string> ask(const std::string& line);

  std::string version_, folder_;
  int pid_ = -1, to_ = -1, from_ = -1;
  std::string unread_;
};

}  // namespace repose::cli
