// The tables of runtime/abi.h as constants of an LLVM module.
#pragma once

#include <vector>

#include "codegen/llvm/emitter.h"

namespace repose::codegen {

struct HostFunctions {
  llvm::Function* run = nullptr;
  llvm::Function* sizes = nullptr;
};

// Defines `repose_rt_this_model`, and for each function its entry `__tvm_ffi_<name>` (exported).
// `hosts` has one entry per function of the image.
void define_model_table(ModuleEmitter& emitter, const ModelImage& image,
                        const std::vector<HostFunctions>& hosts);

}  // namespace repose::codegen
