// Calls of packed functions in host functions: arguments are handed to the runtime one by one, and
// what the host gives is checked and copied to its place (runtime/packed_call.cpp). docs/adr/0060.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "host/statements.h"
#include "ir/module.h"

namespace repose {

// What lowering knows of the function around the calls.
struct PackedContext {
  // Where tensor leaf i of a value is; null where it has no place.
  std::function<Expr(const graph::Value&, size_t)> place;
  // The members of a shape that the data decides.
  std::function<std::optional<Dims>(const graph::Value&)> shape;
  // Binds `want` if it is a symbol that nothing has bound, else requires that `have` equals it;
  // `what` begins the message.
  std::function<void(const Span&, const std::string& what, const Expr& want, const Expr& have)>
      match;
  std::function<void(const Span&, const std::string& what)> refuse;
};

class PackedCalls {
 public:
  // `names`: of the packed functions that the model calls, by number; grows.
  PackedCalls(std::vector<std::string>& names, PackedContext context)
      : names_(names), context_(std::move(context)) {}

  int num_held() const { return num_held_; }

  // A binding that names, groups or takes apart what is held, or stands for no value.
  void note(const graph::Binding& b);

  // Calls and binds the symbols of what comes; then `receive` copies tensors to `places`, one per
  // tensor leaf, null where it is held or lies there already.
  void call(Statements& out, const graph::Binding& b);
  void receive(Statements& out, const graph::Binding& b, const std::vector<Expr>& places);
  // A match_cast of what is held, in the same two steps.
  void name_held(Statements& out, const graph::Binding& b);

  // The integer or bool that a variable of no known value holds; null: it holds none.
  Expr held_number(Statements& out, const graph::Value& v);

  // Results are written where they lie.
  void call_dps(Statements& out, const graph::Binding& b, const std::vector<Expr>& places);
  // R.print and R.assert_op (`condition` holds or the call fails).
  void print(Statements& out, const graph::Binding& b);
  void assert_that(Statements& out, const graph::Binding& b, const Expr& condition);

 private:
  // A result that is no tuple.
  struct Leaf {
    Type type;
    std::string what;  // "item 1 of `y`"
    int held = 0;
  };

  void runtime(Statements& out, const char* function, std::vector<Expr> args) const;
  void push(Statements& out, const graph::Value& v, const Span& span);
  void push_part(Statements& out, const graph::Value& v, const Type& type, size_t& tensor,
                 size_t& leaf, const Span& span);
  void push_tensor(Statements& out, const TensorTypeNode& t, const Expr& data);
  void push_number(Statements& out, const Expr& value);
  void push_dims(Statements& out, const Dims& dims) const;
  bool check_printable(const graph::Value& v, const Span& span);
  std::optional<Expr> number_of(const graph::Value& function, const Span& span);
  void check_leaf(Statements& out, const Leaf& leaf, const Span& span);
  const std::vector<int>* held_of(const graph::Value& v);

  std::vector<std::string>& names_;
  PackedContext context_;
  int num_held_ = 0;
  std::unordered_map<const graph::ValueNode*, std::vector<int>> held_;  // per leaf
  std::unordered_set<const graph::ValueNode*> nulls_;
};

}  // namespace repose
