// What a profile says: the times of kernels, what they had to do, and the machine's limit.
#pragma once

#include <string>
#include <vector>

#include "loaded_model.h"
#include "roofline.h"

namespace repose::cli {

// The runs of one kernel at one place of a function, or those of a kernel at all its places. Per
// call of the model.
struct KernelTime {
  std::string kernel;
  std::vector<std::string> nodes;  // of the model that it computes, as places; of the first place
  int64_t runs = 0;
  double seconds = 0;  // the median over calls
  double flops = 0, read_bytes = 0, written_bytes = 0;

  double bytes() const { return read_bytes + written_bytes; }
};

struct ProfileReport {
  std::string model, function, sizes;
  Machine machine;
  Limits limits;
  int64_t calls = 0;
  double seconds = 0;               // of a call: the median
  double between_seconds = 0;       // of that, outside of kernels: checks, sizes, memory, results
  std::vector<KernelTime> kernels;  // the longest first
  std::vector<KernelTime> places;   // those where one ran, in their order
  std::vector<KernelTime> all_places;  // what runs are numbered by: names alone
  // Of one call, in the order in which they began: for a trace.
  std::vector<repose_kernel_run> runs;
  int64_t begin_ns = 0, end_ns = 0;  // of that call
};

// The operators of nodes, as far as they are nodes of a model: "MatMul, Add, Gelu".
std::string operators_text(const std::vector<std::string>& nodes);

std::string profile_table(const ProfileReport& report, bool by_place);
std::string profile_json(const ProfileReport& report);
// The format of chrome://tracing and ui.perfetto.dev.
std::string profile_trace(const ProfileReport& report);
// A page that needs nothing else.
std::string profile_page(const ProfileReport& report);

}  // namespace repose::cli
