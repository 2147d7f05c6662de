// Graph operators: what the IR needs to know about one. Each is defined in one file of src/ops.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "ir/graph.h"

namespace repose {

class Builder;

// Which sizes were found to have gone into which broadcasts (src/ops/type_rules.h), so that nobody
// looks through a long chain of broadcasts again. What was found holds for as long as the facts do.
class FoundBroadcasts {
 public:
  bool contains(const Expr& operand, const Expr& broadcast) const;
  void add(const Expr& operand, const Expr& broadcast);

 private:
  std::unordered_multimap<uint64_t, std::pair<Expr, Expr>> pairs_;  // by their hashes
};

// The view that a type rule has of the call's surroundings.
class InferContext {
 public:
  virtual ~InferContext() = default;
  virtual const Facts& facts() const = 0;
  // The elements of a tensor of rank 0 or 1 as expressions, where they are known: integers as index
  // expressions, booleans as bool, floats as their dtype. Null otherwise.
  virtual const std::vector<Expr>* elements_of(const graph::Value& v) const = 0;
  // States a fact that must hold where the call runs. Proven: nothing happens. Refuted in
  // unconditional code: an error diagnostic. Otherwise a run-time check with this text is placed
  // before the call, and the condition is known from there on. `message` may mention values as {0},
  // {1}, …. An empty one says that the operator itself sees to it, as to the number of its results:
  // the condition is known, and nothing checks it.
  virtual Result<void> require(const Expr& condition, const std::string& message,
                               std::vector<Expr> values) = 0;
  // The type of a function or tensor program of the module; null if there is none.
  virtual const struct Module& module() const = 0;
  virtual Span span() const = 0;
  virtual FoundBroadcasts& found_broadcasts() = 0;
};

enum class ArgKind : uint8_t {
  tensor,
  tensors /* a tuple of tensors */,
  shape,
  prim,
  function,
  string,
  dtype,
  any
};
enum class AttrKind : uint8_t {
  boolean,
  integer,
  number,
  string,
  dtype,
  integers,
  optional_integer,
  optional_integers,
  dtype_or_none,
  any
};

struct ArgSpec {
  const char* name;
  ArgKind kind = ArgKind::tensor;
  bool optional = false;  // trailing arguments may be left out; others are given as R.null_value()
};

struct AttrSpec {
  const char* name;
  AttrKind kind;
  std::optional<Attr> absent = std::nullopt;  // the default; none: must be given
};

// A call of a function that is differentiated, as reverse mode comes to it: the gradients are those
// of the target of the function.
struct Pullback {
  const graph::CallNode& call;  // typed; operands are leaves, shapes of tensors are known
  graph::Value result;          // what the call is bound to
  // In the result, or in each member where that is a tuple: null where it is no float tensor.
  std::vector<graph::Value> gradients;
  std::vector<bool> wanted;  // by operand: whether anybody asks for the gradient in it
};

// An operator. `infer` gets a call whose arguments are typed and match `args`, with every attribute
// present (defaults filled in) and of its kind.
struct OpDef {
  std::string_view name;  // "add"; text writes R.add
  std::vector<ArgSpec> args;
  std::vector<AttrSpec> attrs = {};
  bool variadic = false;  // any number of further arguments
  bool pure = true;
  // Result type. Errors are about the user's program.
  Result<Type> (*infer)(InferContext&, const graph::CallNode&) = nullptr;
  // The call in terms of tensor programs (call_tir) or simpler operators; null: later stages know
  // it.
  Result<graph::Value> (*lower)(Builder&, const graph::CallNode&) = nullptr;
  // The elements of a result of rank 0 or 1 with at most 64 elements, from known elements of the
  // operands; nothing where they cannot be known. Null: never known.
  std::optional<std::vector<Expr>> (*elements)(const InferContext&, const graph::CallNode&,
                                               const Type& result) = nullptr;
  // The gradients in the operands, one for each, of the operand's type (a tuple of them for a tuple
  // of tensors), as expressions of calls, whose nodes may be shared; null: nothing flows into that
  // operand. Null: the operator has no gradient, and reverse mode refuses it (src/ops/gradient.h).
  Result<std::vector<graph::Value>> (*gradient)(Builder&, const Pullback&) = nullptr;
  const char* doc = "";  // constraints C1…Cn, attributes, result
};

// The operators by name.
class OpTable {
 public:
  explicit OpTable(std::span<const OpDef* const> ops);
  const OpDef* find(std::string_view name) const;                // null: unknown
  const std::vector<const OpDef*>& all() const { return ops_; }  // in order of names

 private:
  std::vector<const OpDef*> ops_;
};

// Checks arguments and attributes of a call against the operator's specification, and fills in
// defaults: the attributes to make the call with.
Result<Attrs> check_call(const OpDef& op, const std::vector<graph::Value>& args, Attrs attrs,
                         Span span);

}  // namespace repose
