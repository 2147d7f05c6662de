// Asks LLVM what this machine is.
#include "codegen/llvm/target_llvm.h"

#include <llvm/ADT/StringMap.h>
#include <llvm/TargetParser/Host.h>

#include <algorithm>

namespace repose {

namespace {

// Features beyond the levels that instruction selection may use for the code that Repose emits.
constexpr const char* extensions[] = {
    "avx512bf16", "avx512bitalg", "avx512fp16", "avx512ifma",      "avx512vbmi", "avx512vbmi2",
    "avx512vnni", "avxifma",      "avxvnni",    "avx512vpopcntdq", "gfni",
};

}  // namespace

Result<Target> host_target() {
  llvm::StringMap<bool> found = llvm::sys::getHostCPUFeatures();
  Result<Target> v2 = make_target("x86-64-v2");
  for (const std::string& feature : v2->required_features) {
    if (!found.lookup(feature)) {
      return error(DiagnosticKind::unsupported_feature, {},
                   "this CPU has no `{}`: x86-64-v2 is the oldest level that is supported",
                   feature);
    }
  }
  Target target = *v2;
  target.name = "host";
  target.cpu = llvm::sys::getHostCPUName().str();
  Result<Target> v4 = make_target("x86-64-v4");
  target.required_features.clear();
  for (const std::string& feature : v4->required_features) {
    if (found.lookup(feature)) target.required_features.push_back(feature);
  }
  for (const char* feature : extensions) {
    if (found.lookup(feature)) target.required_features.push_back(feature);
  }
  std::sort(target.required_features.begin(), target.required_features.end());
  // The map's order is arbitrary.
  std::vector<std::string> words;
  for (const auto& entry : found) {
    words.push_back((entry.getValue() ? "+" : "-") + entry.getKey().str());
  }
  std::sort(words.begin(), words.end(),
            [](const std::string& a, const std::string& b) { return a.substr(1) < b.substr(1); });
  for (const std::string& word : words)
    target.features += (target.features.empty() ? "" : ",") + word;
  set_machine_numbers(target);
  return target;
}

Result<Target> find_target(std::string_view name) {
  return name == "host" ? host_target() : make_target(name);
}

}  // namespace repose
