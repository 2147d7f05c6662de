// LLVM as a service: modules to optimised IR, assembly or object code for a target.
#pragma once

#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include <memory>
#include <string>

#include "base/diagnostic.h"
#include "base/target.h"

namespace repose::codegen {

// What LLVM does about a module. The least takes a tenth of the time: for code that runs briefly,
// such as host functions, which only compute sizes and run once a call.
enum class Effort { usual, least };

// One per thread. An error where LLVM does not know the target.
Result<std::unique_ptr<llvm::TargetMachine>> make_target_machine(const Target& target,
                                                                 Effort effort = Effort::usual);

// Gives `module` the target's triple and data layout; to be called before anything is emitted.
void prepare(llvm::Module& module, const llvm::TargetMachine& machine);

// Clean-up only: memory to registers, common expressions, invariant code. No vectoriser, no
// unroller; nothing that changes a result.
void optimise(llvm::Module& module, llvm::TargetMachine& machine);

Result<std::string> emit_file(llvm::Module& module, llvm::TargetMachine& machine,
                              llvm::CodeGenFileType type);
std::string print(const llvm::Module& module);

}  // namespace repose::codegen
