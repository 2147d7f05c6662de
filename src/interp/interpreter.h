// The oracle: evaluates graph functions and tensor programs as they are written, one scalar at a
// time.
//
// Covers both levels of the IR completely: unknown ranks, closures, recursion, loops. Every
// subscript is checked per dimension, every match_cast and every type that a binding states is
// checked against the value. An operator means what its lowering means: a call is lowered for the
// actual types of its operands and then interpreted. Packed functions are those of the options;
// others are refused by name.
// Arithmetic is that of expr/scalar.h.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "ir/module.h"
#include "ir/op.h"

struct repose_packed_entry;  // repose.h

namespace repose {

class HostValue;

// A graph function together with the values and symbols that it captured.
struct ClosureValue;

// The name of a function outside of the module.
struct ExternName {
  std::string name;
};

// An object that a packed function gave: for others to take.
struct ForeignValue;

// A value of the graph IR on the host. Immutable, cheap to copy.
class HostValue {
 public:
  using Shape = std::vector<int64_t>;
  using Tuple = std::vector<HostValue>;

  HostValue() = default;                              // what R.null_value() gives
  HostValue(Array v) : value_(std::move(v)) {}        // NOLINT: implicit on purpose
  HostValue(Ref<ArrayNode> v) : value_(Array(v)) {}   // NOLINT
  HostValue(Shape v) : value_(std::move(v)) {}        // NOLINT
  HostValue(Scalar v) : value_(v) {}                  // NOLINT
  HostValue(std::string v) : value_(std::move(v)) {}  // NOLINT
  HostValue(DType v) : value_(v) {}                   // NOLINT
  HostValue(ExternName v) : value_(std::move(v)) {}   // NOLINT
  HostValue(Tuple v);                                 // NOLINT
  HostValue(std::shared_ptr<const ClosureValue> v) : value_(std::move(v)) {}  // NOLINT
  HostValue(std::shared_ptr<const ForeignValue> v) : value_(std::move(v)) {}  // NOLINT

  bool is_none() const { return value_.index() == 0; }
  Array tensor() const;  // null if it is no tensor
  const Shape* shape() const { return std::get_if<Shape>(&value_); }
  const Scalar* scalar() const { return std::get_if<Scalar>(&value_); }
  const std::string* string() const { return std::get_if<std::string>(&value_); }
  const DType* dtype() const { return std::get_if<DType>(&value_); }
  const ExternName* external() const { return std::get_if<ExternName>(&value_); }
  const Tuple* tuple() const;
  const ClosureValue* closure() const;
  const ForeignValue* foreign() const;

 private:
  std::variant<std::monostate, Array, Shape, Scalar, std::string, DType, ExternName,
               std::shared_ptr<const Tuple>, std::shared_ptr<const ClosureValue>,
               std::shared_ptr<const ForeignValue>>
      value_;
};

// The most precise type of a value; dimensions are constants.
Type type_of(const HostValue& v);
// For messages and R.print; long tensors are cut.
std::string to_string(const HostValue& v);

struct InterpretOptions {
  int64_t max_bytes = int64_t{8} << 30;  // of tensors alive at once; more is too_large
  // Loop iterations, calls and bindings; more is too_large.
  int64_t max_steps = std::numeric_limits<int64_t>::max();
  int max_call_depth = 2000;  // nested calls and branches; more is nesting_too_deep
  std::function<void(const std::string&)> print;  // gets what R.print says; null: dropped
  // As repose_options has them. What they give is copied.
  const repose_packed_entry* packed_functions = nullptr;
  size_t num_packed_functions = 0;
};

// Calls a graph function of the module. The arguments are checked against the parameters' types
// (call_refused), checks that fail are run_time_check.
Result<HostValue> interpret(const Module& module, const OpTable& ops, const std::string& function,
                            const std::vector<HostValue>& args,
                            const InterpretOptions& options = {});

// Runs a tensor program. `buffers`: an array per buffer parameter, inputs and results alike, all of
// which the program may write; `scalars`: a value per scalar parameter. Both in order.
Result<void> interpret_program(const tir::PrimFunc& f, const std::vector<Ref<ArrayNode>>& buffers,
                               const std::vector<Scalar>& scalars = {},
                               const InterpretOptions& options = {});

// Evaluates an operator call whose operands are constants; the tensors of its result, in order.
Result<std::vector<Array>> interpret_call(const graph::CallNode& call, const OpTable& ops,
                                          const InterpretOptions& options = {});

}  // namespace repose
