// The public functions: failures become results.
#include "interp/interpreter.h"

#include <new>

#include "interp/graph_machine.h"

namespace repose {

namespace {

template <class T, class F>
Result<T> guarded(const F& f) {
  try {
    return f();
  } catch (interp::Failure& failure) {
    return std::move(failure.diagnostics);
  } catch (const std::bad_alloc&) {
    return error(DiagnosticKind::too_large, {}, "the interpreter has run out of memory");
  }
}

void add_arrays(const HostValue& v, std::vector<Array>& arrays) {
  if (v.tensor()) arrays.push_back(v.tensor());
  if (!v.tuple()) return;
  for (const HostValue& field : *v.tuple()) add_arrays(field, arrays);
}

}  // namespace

Result<HostValue> interpret(const Module& module, const OpTable& ops, const std::string& function,
                            const std::vector<HostValue>& args, const InterpretOptions& options) {
  return guarded<HostValue>([&] {
    interp::GraphMachine machine(ops, options);
    return machine.call(std::make_shared<const Module>(module), function, args);
  });
}

Result<void> interpret_program(const tir::PrimFunc& f, const std::vector<Ref<ArrayNode>>& buffers,
                               const std::vector<Scalar>& scalars,
                               const InterpretOptions& options) {
  return guarded<void>([&]() -> Result<void> {
    interp::Limits limits(options);
    interp::ProgramMachine machine(limits);
    std::vector<interp::ProgramArgument> args;
    size_t next_buffer = 0, next_scalar = 0;
    for (const tir::Param& p : f->params) {
      const bool is_missing =
          p.buffer ? next_buffer >= buffers.size() : next_scalar >= scalars.size();
      if (is_missing) break;
      interp::ProgramArgument arg;
      if (p.buffer) {
        arg.array = buffers[next_buffer++];
      } else {
        arg.scalar = scalars[next_scalar++];
      }
      args.push_back(std::move(arg));
    }
    if (args.size() != f->params.size() || next_buffer != buffers.size() ||
        next_scalar != scalars.size()) {
      return error(DiagnosticKind::wrong_arity, f->span,
                   "a program of {} parameters is given {} buffers and {} scalars",
                   f->params.size(), buffers.size(), scalars.size());
    }
    machine.run("program", f, nullptr, args, f->span);
    return {};
  });
}

Result<std::vector<Array>> interpret_call(const graph::CallNode& call, const OpTable& ops,
                                          const InterpretOptions& options) {
  return guarded<std::vector<Array>>([&] {
    interp::GraphMachine machine(ops, options);
    std::vector<Array> arrays;
    add_arrays(machine.call_operator(call), arrays);
    return arrays;
  });
}

}  // namespace repose
