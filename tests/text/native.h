// Modules compiled for this machine, loaded into this process and called.
#pragma once

#include "text/outcome.h"

struct repose_model;

namespace repose::testing_text {

class NativeModule {
 public:
  static Result<NativeModule> load(const Module& module);
  NativeModule(NativeModule&&) noexcept;
  NativeModule& operator=(NativeModule&&) noexcept;
  ~NativeModule();

  // Arguments are tensors. Several results are a tuple.
  Outcome call(const std::string& function, const std::vector<HostValue>& args) const;

 private:
  explicit NativeModule(repose_model* model) : model_(model) {}
  repose_model* model_ = nullptr;
};

}  // namespace repose::testing_text
