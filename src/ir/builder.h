// Builds graph functions in normal form, inferring types as it goes.
#pragma once

#include <memory>
#include <unordered_map>

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

struct FunctionOptions {
  Type result_type;  // null: inferred
  bool is_pure = true;
  bool is_private = false;
  Attrs attrs;
  Span attrs_span;  // where they are written; none: that of the function
};

// How a function is being built: one Builder per module under construction.
//
//   Builder b(table);
//   auto x = make_variable("x", tensor_type({m, make_int(224)}, dtypes::float32));
//   b.begin_function("main", {x});
//   b.begin_dataflow();
//   auto y = *b.emit(make_op_call(*table.find("flatten"), {x}));
//   auto out = b.emit_output(y);
//   b.end_dataflow();
//   Result<void> done = b.end_function(out);
//   Module mod = b.module();
class Builder {
 public:
  // A size of more nodes gets a name (docs/adr/0044-names-of-sizes.md).
  static constexpr size_t max_size_nodes = 24;

  explicit Builder(const OpTable& ops, Module base = {});
  ~Builder();
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  const OpTable& ops() const { return ops_; }
  Module& module() { return module_; }

  // Parameters bind the symbols of their types. `facts` are known at entry (declared ranges).
  // Functions nest: a begin inside another makes a closure.
  void begin_function(std::string name, std::vector<graph::Variable> params, Facts facts = {},
                      Span span = {});
  // Ends the function (checks attributes, result type and purity), gives its symbols distinct
  // names, and adds it to the module; for a closure, gives the value.
  Result<graph::Value> end_function(graph::Value result, FunctionOptions options = {});

  void begin_dataflow();
  void end_dataflow();
  bool in_dataflow() const;

  // Normalises `value` (nested operands get bindings of their own), infers its type, and binds it
  // to a new variable (leaves too, unless they are variables already). `name` is a hint.
  Result<graph::Variable> emit(const graph::Value& value, std::string name = "", Span span = {});
  // Like emit, but always makes a binding, of a variable too. With `is_output` the variable is
  // visible after the dataflow block.
  Result<graph::Variable> emit_binding(const graph::Value& value, std::string name, Span span,
                                       bool is_output);
  // Binds a closure to `var`, by which its own body may have called it.
  void emit_closure(graph::Variable var, const graph::Value& closure, Span span = {});
  // Leaves stay leaves; anything else is emitted. What operators' lowerings call for operands.
  Result<graph::Value> normalize(const graph::Value& value, Span span = {});
  // The value with operands normalised and its type inferred, without a binding of its own.
  Result<graph::Value> infer_only(const graph::Value& value, Span span = {}) {
    return infer(value, std::move(span));
  }
  // var = match_cast(value, type): binds the unbound symbols of `type`. A cast that cannot succeed
  // is an error.
  Result<graph::Variable> emit_match_cast(const graph::Value& value, Type type,
                                          std::string name = "", Span span = {},
                                          bool is_output = false);
  // A variable that is visible after the dataflow block.
  graph::Variable emit_output(const graph::Value& value, std::string name = "", Span span = {});

  // if: begin_if; bindings; begin_else(then result); bindings; end_if(else result).
  void begin_if(graph::Value condition, Span span = {});
  void begin_else(graph::Value then_result);
  Result<graph::Variable> end_if(graph::Value else_result, std::string name = "");

  // What is known at this point.
  const Facts& facts() const;
  void assume(const Expr& condition);
  // Places a run-time check unless `condition` is proven; see InferContext::require.
  Result<void> require(const Expr& condition, const std::string& message,
                       std::vector<Expr> values = {}, Span span = {});
  // The same for what an operator guarantees of its results: a check that says so.
  Result<void> promise(const Expr& condition, const std::string& message,
                       std::vector<Expr> values = {}, Span span = {});
  // The size itself, or where it has more than `max_size_nodes` nodes a symbol that stands for it:
  // the same for equal sizes. `hint`: what to call it.
  Expr name_size(const Expr& size, const std::string& hint, const Span& span = {});
  // Whether a symbol is bound at this point.
  bool binds(const VarNode* symbol) const;
  // The declared range of a symbol that is bound inside of the function: a check where it is bound.
  Result<void> require_range(const Var& symbol, const Interval& range, Span span = {});
  // What a symbol of the function is to be called if no earlier one has that name.
  void name_symbol(const Var& symbol, const std::string& name);
  // The place of what is bound without one.
  void set_span(Span span) { span_ = std::move(span); }
  const std::vector<Expr>* elements_of(const graph::Value& v) const;
  // The closure that a value is, whatever it is called by now; null: only a run can tell.
  const graph::FunctionNode* closure_of(const graph::Value& v) const;
  // Says what the elements of a tensor are (importers that know more than the operators do).
  void set_elements(const graph::Variable& v, std::vector<Expr> elements);

  // Warnings so far.
  const Diagnostics& warnings() const { return warnings_; }

 private:
  friend class BuilderInferContext;
  struct FunctionState;
  struct Frame;
  const OpTable& ops_;
  Module module_;
  std::vector<std::unique_ptr<FunctionState>> functions_;
  Diagnostics warnings_;
  Span span_;

  Frame& frame() const;
  Result<void> place_check(const Expr& condition, Attrs given, const std::vector<Expr>& values,
                           Span span);
  Type name_sizes(const Type& type, const Span& span);
  graph::Value with_named_sizes(const graph::Value& shape, const Span& span);
  void define(const Var& name, const Expr& value);
  graph::Value known_value(graph::Value v) const;
  graph::Variable bind(graph::Value value, Type type, Type cast, std::string name, Span span,
                       bool force_output);
  Result<graph::Value> infer(const graph::Value& value, Span span);
  Result<graph::Value> infer_call(const graph::CallNode& call, Span span);
  Result<void> require_result(const Type& annotation, const Type& derived, Span span);
};

// A call_tir value: the program `name`, arguments, symbols passed explicitly, and result type(s) as
// operators' lowerings make it.
graph::Value make_call_tir(const OpTable& ops, const std::string& program,
                           std::vector<graph::Value> args, std::vector<Type> results,
                           Dims symbols = {});

}  // namespace repose
