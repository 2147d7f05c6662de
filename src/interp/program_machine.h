// Runs tensor programs: each is translated once into a tree of small nodes whose variables and
// buffers are slots (program_code.h), and the tree is walked.
#pragma once

#include <unordered_map>

#include "interp/limits.h"

namespace repose::interp {

struct ProgramCode;
struct Frame;

// Bytes that programs reach through handles. A handle is a Scalar of dtype handle: `i` is an offset
// in bytes, `f` the number of the memory.
struct Memory {
  std::byte* data = nullptr;
  int64_t bytes = 0;
  uint8_t* written = nullptr;  // a flag per byte, or null: nobody asks
  bool is_writable = true;
};

// What a parameter gets: an array, or a scalar where `array` is null.
struct ProgramArgument {
  Ref<ArrayNode> array;
  bool is_writable = true;
  bool is_result = false;  // must be written completely
  Scalar scalar;
};

class ProgramMachine {
 public:
  explicit ProgramMachine(Limits& limits);
  ~ProgramMachine();

  // Binds the symbols of the buffers' shapes, checks the other dimensions, and runs. `module` (or
  // null) has the programs that this one calls.
  void run(const std::string& name, const tir::PrimFunc& f, const Module* module,
           const std::vector<ProgramArgument>& args, const Span& span);
  // A call from another program: handles and scalars, then the symbols that the buffers bind.
  void call(const std::string& name, const Module* module, const std::vector<Scalar>& values,
            const Span& span);

  int add_memory(const Memory& m) {
    memories_.push_back(m);
    return static_cast<int>(memories_.size()) - 1;
  }
  Memory& memory(const Scalar& handle, const Span& span);
  Limits& limits() { return limits_; }

 private:
  friend struct Frame;
  const ProgramCode& code_of(const std::string& name, const tir::PrimFunc& f);
  void execute(const ProgramCode& code, Frame& frame, const std::vector<Scalar>& params);

  Limits& limits_;
  std::vector<Memory> memories_;  // a stack: frames take back what they added
  std::unordered_map<const tir::PrimFuncNode*, std::unique_ptr<ProgramCode>> codes_;
  int depth_ = 0;
};

}  // namespace repose::interp
