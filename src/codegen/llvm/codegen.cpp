// Splits a model into modules, generates them in parallel, and returns objects or text.
#include "codegen/llvm/codegen.h"

#include <llvm/IR/LLVMContext.h>

#include <atomic>
#include <exception>
#include <functional>
#include <thread>

#include "codegen/llvm/back_end.h"
#include "codegen/llvm/emitter.h"
#include "codegen/llvm/model_table.h"

namespace repose {

using namespace codegen;

namespace {

// Kernels of one module. Fixed, so that objects depend on the image alone; small enough to keep
// several threads busy.
constexpr size_t kernels_per_module = 16;

// One LLVM module with what it needs to live.
struct Unit {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::TargetMachine> machine;
  std::unique_ptr<llvm::Module> module;
  std::unique_ptr<ModuleEmitter> emitter;
};

Result<std::unique_ptr<Unit>> make_unit(const std::string& name, Effort effort,
                                        const Target& target, const CodegenOptions& options) {
  auto unit = std::make_unique<Unit>();
  REPOSE_TRY(machine, make_target_machine(target, effort));
  unit->machine = std::move(machine);
  unit->module = std::make_unique<llvm::Module>(name, unit->context);
  prepare(*unit->module, *unit->machine);
  unit->emitter = std::make_unique<ModuleEmitter>(*unit->module, target, options);
  return unit;
}

using Kernel = std::pair<std::string, tir::PrimFunc>;

// Names of programs that `f` calls.
void find_calls(const tir::PrimFunc& f, std::unordered_set<std::string>& names) {
  std::unordered_set<const ExprNode*> seen;
  tir::visit_all_exprs(f->body, [&](const Expr& e) {
    visit(e, [&](const Expr& node) {
      if (!seen.insert(node.get()).second) return false;
      const auto* c = as<CallNode>(node);
      if (c && c->intrinsic == Intrinsic::call_program) names.insert(c->name);
      return true;
    });
  });
}

// Declares the kernels that are defined here, and those of other modules that these functions call.
void declare_kernels(ModuleEmitter& emitter, const ModelImage& image, size_t begin, size_t end,
                     const std::vector<tir::PrimFunc>& callers, bool hidden) {
  std::unordered_set<std::string> called;
  for (const tir::PrimFunc& f : callers) find_calls(f, called);
  for (size_t i = 0; i < image.kernels.size(); ++i) {
    const auto& [name, f] = image.kernels[i];
    if ((i >= begin && i < end) || called.contains(name)) emitter.declare_kernel(name, f, hidden);
  }
}

void define_kernels(ModuleEmitter& emitter, const ModelImage& image, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    emitter.define_kernel(image.kernels[i].first, image.kernels[i].second);
  }
}

void define_hosts(ModuleEmitter& emitter, const ModelImage& image) {
  std::vector<HostFunctions> hosts;
  for (const ModelFunction& f : image.functions) {
    hosts.push_back({emitter.define_run(f.name, f.run), emitter.define_sizes(f.name, f.sizes)});
  }
  define_model_table(emitter, image, hosts);
}

// Emits kernels [begin, end), and the host part where `with_host`, into a new unit, and optimises
// it.
Result<std::unique_ptr<Unit>> generate_unit(const ModelImage& image, size_t begin, size_t end,
                                            bool with_host, bool hidden, const Target& target,
                                            const CodegenOptions& options) {
  const Effort effort = begin == end ? Effort::least : Effort::usual;
  REPOSE_TRY(unit, make_unit(image.name, effort, target, options));
  std::vector<tir::PrimFunc> callers;
  for (size_t i = begin; i < end; ++i) callers.push_back(image.kernels[i].second);
  if (with_host) {
    for (const ModelFunction& f : image.functions) callers.insert(callers.end(), {f.run, f.sizes});
  }
  try {
    declare_kernels(*unit->emitter, image, begin, end, callers, hidden);
    define_kernels(*unit->emitter, image, begin, end);
    if (with_host) define_hosts(*unit->emitter, image);
  } catch (const Unsupported& unsupported) {
    return unsupported.diagnostic;
  }
  optimise(*unit->module, *unit->machine);
  return std::move(unit);
}

// Runs work(0) … work(count - 1) on `threads` threads. An exception of one is thrown here.
void run_all(size_t count, int threads, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next{0};
  std::vector<std::exception_ptr> problems(count);
  auto worker = [&] {
    for (size_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        problems[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> pool;
  for (int t = 1; t < threads && static_cast<size_t>(t) < count; ++t) pool.emplace_back(worker);
  worker();
  for (std::thread& t : pool) t.join();
  for (const std::exception_ptr& p : problems) {
    if (p) std::rethrow_exception(p);
  }
}

Result<std::string> text_of(Unit& unit, CodeText kind) {
  if (kind == CodeText::llvm) return print(*unit.module);
  return emit_file(*unit.module, *unit.machine, llvm::CodeGenFileType::AssemblyFile);
}

}  // namespace

Result<std::vector<std::string>> generate_objects(const ModelImage& image, const Target& target,
                                                  const CodegenOptions& options) {
  const size_t groups = (image.kernels.size() + kernels_per_module - 1) / kernels_per_module;
  const size_t count = groups + 1;  // the last one is the host part
  std::vector<Result<std::string>> results(count, std::string());
  run_all(count, options.threads, [&](size_t i) {
    const size_t begin = std::min(i * kernels_per_module, image.kernels.size());
    const size_t end = std::min(begin + kernels_per_module, image.kernels.size());
    auto unit = generate_unit(image, begin, end, i == groups, true, target, options);
    results[i] = unit.ok() ? emit_file(*(*unit)->module, *(*unit)->machine,
                                       llvm::CodeGenFileType::ObjectFile)
                           : Result<std::string>(unit.errors());
  });
  std::vector<std::string> objects;
  Diagnostics problems;
  for (Result<std::string>& r : results) {
    if (r.ok()) {
      objects.push_back(std::move(*r));
    } else {
      problems.insert(problems.end(), r.errors().begin(), r.errors().end());
    }
  }
  if (!problems.empty()) return problems;
  return objects;
}

Result<std::string> generate_text(const ModelImage& image, const Target& target, CodeText kind,
                                  const CodegenOptions& options) {
  REPOSE_TRY(unit, generate_unit(image, 0, image.kernels.size(), true, false, target, options));
  return text_of(*unit, kind);
}

Result<std::string> generate_text(const std::string& name, const tir::PrimFunc& kernel,
                                  const Target& target, CodeText kind,
                                  const CodegenOptions& options) {
  ModelImage image;
  image.name = name;
  image.kernels.emplace_back(name, kernel);
  // Hidden, not internal: nothing calls it here.
  REPOSE_TRY(unit, generate_unit(image, 0, 1, false, true, target, options));
  return text_of(*unit, kind);
}

}  // namespace repose
