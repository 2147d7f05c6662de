// The x86-64 micro-architecture levels (System V ABI, "Micro-Architecture Levels") as targets.
#include "base/target.h"

#include <algorithm>

namespace repose {

namespace {

const std::vector<std::string> level2 = {"cx16", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3"};
const std::vector<std::string> level3 = {"avx",  "avx2", "bmi",   "bmi2",
                                         "f16c", "fma",  "lzcnt", "movbe"};
const std::vector<std::string> level4 = {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"};

}  // namespace

bool Target::has(std::string_view feature) const {
  return std::find(required_features.begin(), required_features.end(), feature) !=
         required_features.end();
}

void set_machine_numbers(Target& target) {
  bool v4 = std::all_of(level4.begin(), level4.end(),
                        [&](const std::string& f) { return target.has(f); });
  bool v3 = target.has("avx2") && target.has("fma");
  target.vector_bits = v4 ? 512 : v3 ? 256 : 128;
  target.vector_registers = v4 ? 32 : 16;
  target.l1_bytes = (v4 ? 48 : 32) << 10;
  target.l2_bytes = v4 ? (1 << 20) : v3 ? (512 << 10) : (256 << 10);
  target.l3_bytes = 2 << 20;
}

Result<Target> make_target(std::string_view name) {
  Target target;
  target.name = target.cpu = std::string(name);
  target.triple = "x86_64-unknown-linux-gnu";
  if (name != "x86-64-v2" && name != "x86-64-v3" && name != "x86-64-v4") {
    return error(DiagnosticKind::bad_usage, {},
                 "unknown CPU `{}`: expected `host`, `x86-64-v2`, `x86-64-v3` or `x86-64-v4`",
                 name);
  }
  int level = name.back() - '0';
  std::vector<std::string>& all = target.required_features;
  all = level2;
  if (level >= 3) all.insert(all.end(), level3.begin(), level3.end());
  if (level >= 4) all.insert(all.end(), level4.begin(), level4.end());
  std::sort(all.begin(), all.end());
  set_machine_numbers(target);
  return target;
}

}  // namespace repose
