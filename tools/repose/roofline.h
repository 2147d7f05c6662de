// What the machine can do at most, measured: what a kernel's speed is a fraction of.
#pragma once

#include <string>
#include <vector>

#include "base/diagnostic.h"

namespace repose::cli {

struct Limits {
  int threads = 0;
  double gflops = 0;     // multiplications and additions of float32 in registers
  double read_gbps = 0;  // reading memory that no cache holds
};

// With so many threads at work. Takes about a second.
Limits measure_limits(int threads);
// "GFLOPS,GBPS", measured before or known.
Result<Limits> parse_limits(const std::string& text, int threads);

// The least seconds for so much work.
double least_seconds(const Limits& limits, double flops, double bytes);

// What results were measured on.
struct Machine {
  std::string cpu;                 // "AMD EPYC 7B13"
  std::vector<std::string> flags;  // those of vectors: "avx2", "fma", "avx512f", …
  int cpus = 0;                    // that this process may use
  double memory_gb = 0;
  std::string system;  // kernel
};
Machine this_machine();

}  // namespace repose::cli
