// What `repose bench` measured: how it is printed, kept, and compared with what was kept.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "roofline.h"

namespace repose::cli {

// Seconds of calls.
struct Times {
  size_t calls = 0;
  double least = 0, median = 0, p90 = 0, p99 = 0;
};
Times times_of(std::vector<double> seconds);

// One shape, with one number of threads.
struct BenchRow {
  int threads = 0;
  std::string sizes;         // "batch=1, seq=16"
  double first_seconds = 0;  // of the first call with these sizes
  Times times;
  int64_t arena_bytes = 0;     // -1: the data decides
  int64_t resident_bytes = 0;  // what the process has taken since before the model was loaded
  std::optional<double> flops, bytes;      // of a call
  double least_seconds = 0;                // what the machine needs for them at least
  std::optional<Times> reference;          // of the other library
  double difference = 0;                   // of its results, as a part of their magnitude
  std::optional<double> baseline_seconds;  // the median that was kept
};

struct BenchReport {
  std::string model, function;
  Machine machine;
  std::string compiler;        // version of Repose
  std::string date;            // UTC
  std::vector<Limits> limits;  // per number of threads
  double compile_seconds = 0;  // 0: an artifact
  double load_seconds = 0;
  int64_t artifact_bytes = 0;
  std::string reference;  // "onnxruntime 1.27.0"; empty: none
  std::vector<BenchRow> rows;
};

std::string bench_table(const BenchReport& report);
std::string bench_json(const BenchReport& report);
std::string bench_markdown(const BenchReport& report);
std::string bench_page(const BenchReport& report);  // needs nothing else

// Puts the medians of a report that bench_json wrote, named `path`, beside those of the same sizes
// and threads. An error where it is of another model, or has none of the rows.
Result<void> add_baseline(BenchReport& report, const std::string& path, const std::string& text);
// "+5%": 0.05.
Result<double> parse_allowance(const std::string& text);
// An error for each row that takes longer than the baseline by more than that.
Diagnostics slower_rows(const BenchReport& report, double allowance);

}  // namespace repose::cli
