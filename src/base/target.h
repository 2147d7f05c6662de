// What code is generated for: the machine's instruction set, and the numbers that schedule rules
// compute tiles from. Never the number of cores: results do not depend on it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/dtype.h"

namespace repose {

struct Target {
  std::string name;      // as asked for: "x86-64-v3", "host"
  std::string triple;    // "x86_64-unknown-linux-gnu"
  std::string cpu;       // LLVM's name of the CPU
  std::string features;  // LLVM's feature string; empty: what `cpu` implies
  // LLVM names of the vector and bit features that generated code may use ("avx2", "fma", …),
  // sorted: a model is refused where the CPU that loads it lacks one.
  std::vector<std::string> required_features;

  int vector_bits = 128;  // of the widest vector register
  int vector_registers = 16;
  // Caches of one core, by default those of a typical CPU of the level.
  int64_t l1_bytes = 32 << 10;
  int64_t l2_bytes = 256 << 10;
  int64_t l3_bytes = 2 << 20;  // the share of one core

  bool has(std::string_view feature) const;
  int lanes(DType dtype) const { return vector_bits / (8 * dtype.size_bytes()); }
  bool operator==(const Target&) const = default;
};

// "x86-64-v2", "x86-64-v3" or "x86-64-v4". Another name: an error that lists these. ("host" needs
// LLVM: codegen/llvm/target_llvm.h.)
Result<Target> make_target(std::string_view name);

// The numbers above that follow from `required_features`: registers and default cache sizes.
void set_machine_numbers(Target& target);

}  // namespace repose
