// A call of a model in progress: what the functions that generated code calls share.
#pragma once

#include "model.h"

namespace repose::rt {

// The text of a failure; empty: none was given.
struct Failure {
  char text[kErrorBytes];
};

struct Call {
  Model& model;
  const repose_rt_function& function;
  Context* context;           // null while only sizes are computed
  DLTensor* const* outputs;   // the caller's, or null
  double operations;          // so far, where they have a limit
  repose_profile* profile;    // null: not recorded
  repose_kernel_run* kernel;  // that runs; null: none that is recorded
};

struct Frame : repose_rt_frame {
  Call* call;
  Failure* failure;
  bool in_parallel;  // loops run in this thread alone
};

inline Frame& as_frame(repose_rt_frame* frame) {
  return *static_cast<Frame*>(frame);
}

inline Text fail_text(Frame& frame) {
  return Text(frame.failure->text, kErrorBytes);
}

}  // namespace repose::rt
