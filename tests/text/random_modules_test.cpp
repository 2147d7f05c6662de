// Random modules of every statement and type: they verify, read back, and either compile and do
// what the interpreter does, or are refused by name.
// REPOSE_RANDOM_MODULES: how many. REPOSE_RANDOM_FIRST: the first seed.
// REPOSE_RANDOM_KEEP: a file that gets each module before it is compiled, for one that crashes.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "ir/structural.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "repose/repose.h"
#include "script/parser.h"
#include "script/printer.h"
#include "support/slow_build.h"
#include "text/inputs.h"
#include "text/module_grower.h"
#include "text/native.h"
#include "text/run_case.h"

namespace repose::testing_text {
namespace {

// ---- The host's functions -----------------------------------------------------------------------

int64_t count_of(const DLTensor& t) {
  int64_t count = 1;
  for (int k = 0; k < t.ndim; ++k) count *= t.shape[k];
  return count;
}
float* floats(const DLTensor& t) {
  return static_cast<float*>(t.data);
}

struct Copy {
  DLManagedTensorVersioned tensor{};
  std::vector<int64_t> shape;
  std::vector<char> bytes;
};

int32_t same(void*, repose_packed_call* call) {
  const repose_packed_value& x = call->arguments[0];
  repose_packed_value& result = call->results[0];
  if (x.kind != REPOSE_VALUE_TENSOR) {
    result.kind = x.kind;
    result.as = x.as;
    return 0;
  }
  const DLTensor& from = *x.as.tensor;
  auto* copy = new Copy;
  copy->shape.assign(from.shape, from.shape + from.ndim);
  const auto* begin = static_cast<const char*>(from.data);
  copy->bytes.assign(begin, begin + count_of(from) * ((from.dtype.bits + 7) / 8));
  copy->bytes.resize(copy->bytes.size() + 1);
  DLTensor& t = copy->tensor.dl_tensor;
  t = from;
  t.data = copy->bytes.data();
  t.byte_offset = 0;
  t.shape = copy->shape.data();
  t.strides = nullptr;
  copy->tensor.manager_ctx = copy;
  copy->tensor.deleter = [](DLManagedTensorVersioned* self) {
    delete static_cast<Copy*>(self->manager_ctx);
  };
  result.kind = REPOSE_VALUE_TENSOR;
  result.as.result = &copy->tensor;
  return 0;
}
int32_t note(void* calls, repose_packed_call*) {
  ++*static_cast<int*>(calls);
  return 0;
}
int32_t twice(void*, repose_packed_call* call) {
  const DLTensor &x = *call->arguments[0].as.tensor, &y = *call->arguments[1].as.tensor;
  for (int64_t i = 0; i < count_of(x); ++i) floats(y)[i] = 2 * floats(x)[i];
  return 0;
}
int32_t accumulate(void*, repose_packed_call* call) {
  const DLTensor &x = *call->arguments[0].as.tensor, &y = *call->arguments[1].as.tensor;
  for (int64_t i = 0; i < count_of(x); ++i) floats(x)[i] += floats(y)[i];
  return 0;
}

// ---- One module ---------------------------------------------------------------------------------

struct Tally {
  int compiled = 0, ran = 0;
  std::map<std::string, int> refusals;
};

std::string compare(const Module& module, Tally& tally) {
  int calls = 0;
  const std::vector<repose_packed_entry> functions{{"test.same", same, nullptr},
                                                   {"test.note", note, &calls},
                                                   {"test.twice", twice, nullptr},
                                                   {"test.accumulate", accumulate, nullptr}};
  auto native = NativeModule::load(module, functions);
  if (!native.ok()) {
    for (const Diagnostic& d : native.errors()) {
      // A cast that inlining shows to fail always is an error of the module's.
      const bool is_refusal = d.kind == DiagnosticKind::unsupported_feature ||
                              d.text.find(" is cast to ") != std::string::npos;
      if (!is_refusal) return "refused: " + d.to_string();
    }
    ++tally.refusals[native.errors()[0].text];
    return "";
  }
  ++tally.compiled;
  const Signature s = signature(module.graph_function("main"));
  bool ran = false;
  uint32_t seed = 0;
  std::vector<Assignment> all = assignments(s);
  if (all.size() > 6) all.resize(6);
  for (const Assignment& symbols : all) {
    const auto args = random_arguments(s, symbols, Contents::small, ++seed);
    if (!args) continue;
    calls = 0;
    const Outcome want = run(module, "main", *args, functions);
    if (want.kind == Outcome::Kind::too_large) continue;
    const int wanted_calls = std::exchange(calls, 0);
    const Outcome have = native->call("main", *args);
    ran |= want.kind == Outcome::Kind::ran;
    std::string found;
    if (want.kind != have.kind) {
      found = fmt::format("the interpreter {}, native code {}",
                          want.error.empty() ? "runs" : want.error,
                          have.error.empty() ? "runs" : have.error);
    } else if (want.kind == Outcome::Kind::ran) {
      found = difference(as_native(want.value), have.value, Closeness::rounding);
      if (want.printed != have.printed) found += "printed: " + want.printed + have.printed;
      if (wanted_calls != calls) found += fmt::format("{} and {} calls", wanted_calls, calls);
    }
    if (!found.empty()) return to_string(symbols) + ": " + found;
  }
  tally.ran += ran;
  return "";
}

std::string check_module(const Module& module, const std::string& text, Tally& tally) {
  const Diagnostics problems = verify(module, standard_ops());
  if (!problems.empty()) return "not well formed: " + to_string(problems);
  auto again = parse_module(make_text_source("module", text), standard_ops());
  if (!again.ok()) return "it doesn't read back: " + to_string(again.errors());
  if (!structural_equal(module, *again)) {
    const std::string other = text_difference(text, print(*again));
    return "it reads back as another" + (other.empty() ? ", which prints the same" : ":" + other);
  }
  return compare(module, tally);
}

TEST(RandomModules, CompileOrAreRefusedByName) {
  const int count = random_count("REPOSE_RANDOM_MODULES", 15, 5);
  const int first = random_count("REPOSE_RANDOM_FIRST", 0, 0);
  const char* keep = std::getenv("REPOSE_RANDOM_KEEP");
  Tally tally;
  for (int seed = first; seed < first + count; ++seed) {
    std::string found, text;
    try {
      const Module module = ModuleGrower(static_cast<uint32_t>(seed)).grow();
      text = print(module);
      if (keep) std::ofstream(keep) << "# seed " << seed << "\n" << text;
      found = check_module(module, text, tally);
    } catch (const InternalError& e) {
      found = std::string("internal error: ") + e.what();
    }
    if (!found.empty()) ADD_FAILURE() << "module " << seed << ": " << found << "\n" << text;
  }
  if (count >= 15) {
    EXPECT_GT(tally.compiled, count / 2);
    EXPECT_GT(tally.ran, count / 5);
  }
  RecordProperty("compiled", tally.compiled);
  for (const auto& [why, times] : tally.refusals) {
    if (keep) fmt::print("{} times: {}\n", times, why);
  }
}

}  // namespace
}  // namespace repose::testing_text
