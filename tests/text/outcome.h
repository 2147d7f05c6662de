// What a call came to, and whether two calls agree.
#pragma once

#include <span>

#include "interp/interpreter.h"

namespace repose::testing_text {

struct Outcome {
  enum class Kind { ran, refused, too_large };  // too_large: beyond the steps of a test
  Kind kind = Kind::ran;
  HostValue value;
  std::string printed;  // by R.print
  std::string error;    // where it was refused
};

// Packed functions are those given. Calls a graph function; or a tensor program, whose result is
// the tuple of its buffers afterwards.
Outcome run(const Module& module, const std::string& function, const std::vector<HostValue>& args,
            std::span<const repose_packed_entry> packed_functions = {});

// Calls a tensor program whose parameter `result` may lie in the memory of parameter `operand`,
// which has as many bytes; `in_place`: it does. The value is the tuple of all buffers afterwards
// but the operand's.
Outcome run_with_shared_memory(const tir::PrimFunc& program, const std::vector<HostValue>& args,
                               size_t result, size_t operand, bool in_place);

// How near floats have to be: the same bits (all NaNs are one), rounding apart, or rounding of 16
// bits.
enum class Closeness { exact, rounding, half };

// "" where the values are equal, else the first difference. Tuples are flattened first.
std::string difference(const HostValue& a, const HostValue& b, Closeness closeness);

}  // namespace repose::testing_text
