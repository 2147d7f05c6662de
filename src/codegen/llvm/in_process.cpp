// Programs that run in the compiler's process, with a small runtime of their own.
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/IR/LLVMContext.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "codegen/llvm/back_end.h"
#include "codegen/llvm/codegen.h"
#include "codegen/llvm/emitter.h"
#include "runtime/abi.h"

namespace repose {

using namespace codegen;

namespace {

constexpr unsigned max_threads = 8;

// What one call records and takes.
struct Run {
  std::mutex mutex;
  std::string message;
  std::unique_ptr<void, decltype(&std::free)> workspace{nullptr, &std::free};
};

// That of the call, or of a piece of a parallel loop.
struct Frame : repose_rt_frame {
  Run* run = nullptr;
};

Run& run_of(repose_rt_frame* frame) {
  return *static_cast<Frame*>(frame)->run;
}

std::string fill_in(const char* message, const int64_t* values, int32_t count) {
  std::string text = message;
  for (int32_t i = 0; i < count; ++i) {
    std::string place = "{" + std::to_string(i) + "}";
    for (size_t at = text.find(place); at != std::string::npos; at = text.find(place, at)) {
      std::string value = std::to_string(values[i]);
      text.replace(at, place.size(), value);
      at += value.size();
    }
  }
  return text;
}

int32_t fail(repose_rt_frame* frame, int32_t status, const char* message, const int64_t* values,
             int32_t count) {
  Run& run = run_of(frame);
  std::lock_guard lock(run.mutex);
  if (run.message.empty()) run.message = fill_in(message, values, count);
  return status;
}

// The one region of an entry: the program's workspace.
void* region(repose_rt_frame* frame, int32_t, int64_t bytes) {
  auto& workspace = run_of(frame).workspace;
  const size_t size = (static_cast<size_t>(bytes) + 127) & ~size_t{63};
  workspace.reset(bytes < 0 ? nullptr : std::aligned_alloc(64, size));
  if (!workspace) {
    fail(frame, REPOSE_RT_OUT_OF_MEMORY, "out of memory: {0} bytes of workspace", &bytes, 1);
  }
  return workspace.get();
}

int32_t parallel(repose_rt_frame* frame, repose_rt_body body, void* closure, int64_t extent,
                 int64_t grain, void* workspaces, int64_t workspace_bytes) {
  if (extent <= 0) return 0;
  const int64_t pieces = std::min((extent + grain - 1) / grain, frame->num_threads);
  std::vector<int32_t> statuses(static_cast<size_t>(pieces));
  auto run = [&](int64_t i) {
    Frame inner = *static_cast<Frame*>(frame);
    inner.workspace = static_cast<char*>(workspaces) + i * workspace_bytes;
    int64_t begin = extent / pieces * i + std::min(i, extent % pieces);
    int64_t end = extent / pieces * (i + 1) + std::min(i + 1, extent % pieces);
    statuses[static_cast<size_t>(i)] = body(&inner, closure, begin, end);
  };
  std::vector<std::thread> others;
  for (int64_t i = 1; i < pieces; ++i) others.emplace_back(run, i);
  run(0);
  for (std::thread& t : others) t.join();
  auto failed = std::find_if(statuses.begin(), statuses.end(), [](int32_t s) { return s != 0; });
  return failed == statuses.end() ? 0 : *failed;
}

using Entry = int32_t (*)(repose_rt_frame*, void* const*, const int64_t*);

class JitProgram final : public CompiledProgram {
 public:
  JitProgram(std::unique_ptr<llvm::orc::LLJIT> jit, Entry entry)
      : jit_(std::move(jit)), entry_(entry) {}

  Result<void> call(void* const* buffers, const int64_t* scalars) const override {
    Run run;
    Frame frame{};
    frame.num_threads = std::clamp(std::thread::hardware_concurrency(), 1u, max_threads);
    frame.run = &run;
    int32_t status = entry_(&frame, buffers, scalars);
    if (status == 0) return {};
    return error(DiagnosticKind::run_time_check, {}, "{}", run.message);
  }

 private:
  std::unique_ptr<llvm::orc::LLJIT> jit_;
  Entry entry_;
};

Diagnostic describe(llvm::Error problem) {
  return error(DiagnosticKind::code_generation, {}, "cannot run compiled code: {}",
               llvm::toString(std::move(problem)));
}

// Loads one object and finds its entry.
Result<std::unique_ptr<CompiledProgram>> load(std::string object) {
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit) return describe(jit.takeError());
  llvm::orc::LLJIT& j = **jit;
  llvm::orc::SymbolMap symbols;
  auto define = [&](const char* name, auto* address) {
    symbols[j.mangleAndIntern(name)] = {llvm::orc::ExecutorAddr::fromPtr(address),
                                        llvm::JITSymbolFlags::Exported};
  };
  define("repose_rt_fail", &fail);
  define("repose_rt_parallel", &parallel);
  define("repose_rt_region", &region);
  // What LLVM itself may call for big copies.
  define("memcpy", static_cast<void* (*)(void*, const void*, size_t)>(&std::memcpy));
  define("memmove", static_cast<void* (*)(void*, const void*, size_t)>(&std::memmove));
  define("memset", static_cast<void* (*)(void*, int, size_t)>(&std::memset));
  if (auto e = j.getMainJITDylib().define(llvm::orc::absoluteSymbols(std::move(symbols)))) {
    return describe(std::move(e));
  }
  if (auto e = j.addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(object, "program"))) {
    return describe(std::move(e));
  }
  auto entry = j.lookup("repose_entry");
  if (!entry) return describe(entry.takeError());
  Entry address = entry->toPtr<Entry>();
  return std::unique_ptr<CompiledProgram>(std::make_unique<JitProgram>(std::move(*jit), address));
}

}  // namespace

Result<std::unique_ptr<CompiledProgram>> compile_in_process(const tir::PrimFunc& f,
                                                            const Target& target,
                                                            const CodegenOptions& options) {
  REPOSE_TRY(machine,
             make_target_machine(target, options.runs_briefly ? Effort::least : Effort::usual));
  llvm::LLVMContext context;
  llvm::Module module("program", context);
  prepare(module, *machine);
  try {
    ModuleEmitter emitter(module, target, options);
    emitter.declare_kernel("program", f, false);
    emitter.define_kernel("program", f);
    emitter.define_entry("repose_entry", "program", f);
  } catch (const Unsupported& unsupported) {
    return unsupported.diagnostic;
  }
  optimise(module, *machine);
  REPOSE_TRY(object, emit_file(module, *machine, llvm::CodeGenFileType::ObjectFile));
  return load(std::move(object));
}

}  // namespace repose
