// Modules and programs compiled for this machine, loaded into this process and called.
#pragma once

#include <memory>
#include <span>

#include "text/outcome.h"

struct repose_model;
struct repose_packed_entry;

namespace repose {
class CompiledProgram;
}

namespace repose::testing_text {

// A value as native code takes and gives it: scalars are tensors of rank 0, shapes of rank 1,
// tuples are their members.
HostValue as_native(const HostValue& v);
std::vector<HostValue> as_native(const std::vector<HostValue>& args);

class NativeModule {
 public:
  static Result<NativeModule> load(const Module& module,
                                   std::span<const repose_packed_entry> packed_functions = {});
  NativeModule(NativeModule&&) noexcept;
  NativeModule& operator=(NativeModule&&) noexcept;
  ~NativeModule();

  // Any arguments: `as_native` makes tensors of them. Several results are a tuple.
  Outcome call(const std::string& function, const std::vector<HostValue>& args) const;

 private:
  NativeModule(repose_model* model, std::shared_ptr<std::string> printed)
      : model_(model), printed_(std::move(printed)) {}
  repose_model* model_ = nullptr;
  std::shared_ptr<std::string> printed_;  // by R.print since the call began
};

// One tensor program as it is, without the passes of the pipeline. Subscripts are checked.
class NativeProgram {
 public:
  static Result<NativeProgram> load(const tir::PrimFunc& f);
  // Arguments and result as of `run` (outcome.h).
  Outcome call(const std::vector<HostValue>& args) const;

 private:
  tir::PrimFunc func_;
  std::vector<Var> symbols_;  // of shapes: scalar parameters behind the others
  std::shared_ptr<CompiledProgram> code_;
};

}  // namespace repose::testing_text
