// Runs graph functions: a stack of bodies, of functions, branches and loops, so that the depth of
// recursion costs no stack of the process.
#pragma once

#include <unordered_map>

#include "interp/program_machine.h"

struct repose_packed_value;  // repose.h

namespace repose {

// What a body sees: its variables and symbols.
struct Environment {
  std::unordered_map<const graph::ValueNode*, HostValue> values;
  std::unordered_map<const VarNode*, Scalar> symbols;
};

struct ClosureValue {
  graph::Function function;
  std::shared_ptr<const Module> module;  // that its body speaks of
  Environment captured;
  graph::Variable self;  // its own name inside its body; null for a function of the module
};

namespace interp {

// ---- Types and symbols of values (match_value.cpp) ----------------------------------------------

struct MatchContext {
  DiagnosticKind kind;  // of a mismatch
  const Span& span;
  std::string what;  // "argument 0 of `main`"
  // Expressions over symbols that nothing has bound are left out: inference knows the symbol, no
  // value has it.
  bool skips_unbound = false;
};
Scalar eval_symbolic(const Expr& e, const Environment& env, const Span& span);
// Binds the bare symbols of `type` that are not bound yet.
void bind_symbols(const Type& type, const HostValue& value, Environment& env,
                  const MatchContext& context);
// Fails unless the value is one of the type.
void check_value(const Type& type, const HostValue& value, const Environment& env,
                 const MatchContext& context);
// The type with every expression as a constant.
Type eval_type(const Type& type, const Environment& env, const Span& span);

class GraphMachine {
 public:
  GraphMachine(const OpTable& ops, const InterpretOptions& options);

  HostValue call(std::shared_ptr<const Module> module, const std::string& function,
                 const std::vector<HostValue>& args);
  HostValue call_operator(const graph::CallNode& call);

 private:
  // A body that runs, or a loop between two of its calls.
  struct Frame {
    std::shared_ptr<const Module> module;
    std::shared_ptr<Environment> env;
    graph::Body body;          // null: a loop
    graph::Function function;  // null: a branch
    size_t block = 0, binding = 0;
    HostValue condition, step, carried;  // of a loop
    bool is_testing = false;             // the call that runs is that of the condition
    Span span;                           // of the call
  };
  // An operator lowered for the types of its operands.
  struct Instance {
    const OpDef* op;
    Attrs attrs;
    std::vector<Type> types;
    std::shared_ptr<const ClosureValue> closure;
  };
  using Handler = HostValue (GraphMachine::*)(const graph::CallNode& call, const Span& span);

  HostValue run();
  const graph::Binding* current() const;
  void start(const graph::Binding& b);
  void finish(const graph::Binding& b, HostValue value);
  void deliver(HostValue value);
  void push_call(const HostValue& callee, std::vector<HostValue> args, const Span& span,
                 DiagnosticKind mismatch = DiagnosticKind::run_time_check);
  void push(Frame frame, const Span& span);
  void start_call(const graph::CallNode& call, const Span& span);
  void start_loop(const graph::CallNode& call, const Span& span);
  void loop_call(HostValue f, const Span& span);
  void start_if(const graph::IfNode& choice, const Span& span);
  void start_instance(const graph::CallNode& call, const Span& span);
  void check_declared_ranges(const graph::FunctionNode& f, const Environment& env,
                             const MatchContext& context);

  HostValue operand(const graph::Value& v, const Span& span);
  HostValue make_closure(const graph::Function& f, const graph::Variable& self);
  Array tensor_operand(const graph::CallNode& call, size_t i, const Span& span);
  bool condition_operand(const graph::Value& v, const Span& span);
  Environment& env() { return *frames_.back().env; }

  // Operators that are no tensor programs.
  HostValue call_tir(const graph::CallNode& call, const Span& span);
  HostValue call_packed(const graph::CallNode& call, const Span& span);
  HostValue call_dps(const graph::CallNode& call, const std::string& name, const HostValue& given,
                     const Span& span);
  HostValue call_in_place(const graph::CallNode& call, const std::string& name,
                          std::vector<HostValue> args, const Span& span);
  // Which arguments a packed function writes: the last ones, or some by position.
  struct Written {
    size_t last = 0;
    std::vector<int64_t> in_place;  // -1: none
  };
  HostValue call_entry(const std::string& name, const std::vector<HostValue>& args,
                       const Written& written, const Type& result, const Span& span);
  HostValue packed_result(const Type& type, repose_packed_value*& next, const std::string& name,
                          const Span& span);
  HostValue null_value(const graph::CallNode& call, const Span& span);
  HostValue check(const graph::CallNode& call, const Span& span);
  HostValue print(const graph::CallNode& call, const Span& span);
  HostValue reshape(const graph::CallNode& call, const Span& span);
  HostValue shape_of(const graph::CallNode& call, const Span& span);
  HostValue shape_to_tensor(const graph::CallNode& call, const Span& span);
  HostValue tensor_to_shape(const graph::CallNode& call, const Span& span);

  std::shared_ptr<const ClosureValue> instance(const graph::CallNode& call,
                                               const std::vector<HostValue>& args,
                                               const Span& span);

  const OpTable& ops_;
  const InterpretOptions& options_;
  Limits limits_;
  ProgramMachine programs_;
  std::unordered_map<const OpDef*, Handler> handlers_;
  const OpDef* while_loop_;
  std::vector<Frame> frames_;
  std::unordered_multimap<std::string, Instance> instances_;  // by operator and types, as text
};

}  // namespace interp
}  // namespace repose
