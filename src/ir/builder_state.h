// What a Builder keeps while a function is made, and what its files share.
#pragma once

#include <unordered_set>

#include "ir/builder.h"
#include "ir/function_facts.h"

namespace repose {

using graph::Binding;
using graph::Block;
using graph::Body;
using graph::Value;
using graph::Variable;

// A body under construction: of a function, or of one branch of an `if`.
struct Builder::Frame {
  enum class Kind { function, then_branch, else_branch };
  Kind kind = Kind::function;
  std::vector<Block> blocks;
  bool in_dataflow = false;
  bool conditional = false;  // runs only under a run-time condition
  Facts facts;
  FoundBroadcasts found_broadcasts;
  std::unordered_set<const VarNode*> bound;
  std::vector<Expr> bound_here;  // keeps the symbols of `bound` alive

  void bind_symbol(const Var& v) {
    if (bound.insert(v.get()).second) bound_here.push_back(v);
  }

  // A branch in this body: what is known and bound here is there too.
  std::unique_ptr<Frame> branch(Kind branch_kind) const {
    auto f = std::make_unique<Frame>();
    f->kind = branch_kind;
    f->conditional = true;
    f->facts = facts;
    f->found_broadcasts = found_broadcasts;
    f->bound = bound;
    return f;
  }

  // Those of the block that is open, in dataflow or not.
  std::vector<Binding>& bindings() {
    if (blocks.empty() || blocks.back().is_dataflow != in_dataflow) {
      blocks.push_back(Block{in_dataflow, {}});
    }
    return blocks.back().bindings;
  }
};

struct Builder::FunctionState {
  std::string name;
  std::vector<Variable> params;
  Span span;
  bool impure = false;
  Span impure_span;
  std::string impure_callee;
  std::vector<std::unique_ptr<Frame>> frames;
  // Names of sizes that are known at entry stand before everything else.
  std::vector<Binding> head;
  Facts at_entry;
  std::unordered_set<const VarNode*> known_at_entry;
  std::unordered_set<const VarNode*> bound_at_entry;  // those of parameters, and those around
  std::string hint;  // what the result of the call at hand is to be called
  // An `if` whose branches are being built: its condition, and the finished first branch.
  struct OpenIf {
    Value condition;
    Span span;
    Body then_body;
    std::unordered_map<const graph::ValueNode*, std::vector<Expr>> elements;  // before the branches
  };
  std::vector<OpenIf> ifs;
  std::unordered_map<const graph::ValueNode*, std::vector<Expr>> elements;
  // What variables are that hold closures, or tuples of them.
  std::unordered_map<const graph::ValueNode*, Value> closures;
  std::vector<Value> keep_alive;
  std::unordered_map<const VarNode*, std::string>
      symbol_names;        // wanted; of the outermost function
  std::vector<Var> named;  // keeps these symbols alive
};

// What a type rule sees of the builder.
class BuilderInferContext : public InferContext {
 public:
  BuilderInferContext(Builder& builder, Span span) : builder_(builder), span_(std::move(span)) {}
  const Facts& facts() const override { return builder_.facts(); }
  FoundBroadcasts& found_broadcasts() override { return builder_.frame().found_broadcasts; }
  const std::vector<Expr>* elements_of(const Value& v) const override {
    return builder_.elements_of(v);
  }
  Result<void> require(const Expr& condition, const std::string& message,
                       std::vector<Expr> values) override {
    if (message.empty()) {  // the operator's promise
      builder_.assume(condition);
      return {};
    }
    return builder_.require(condition, message, std::move(values), span_);
  }
  const Module& module() const override { return builder_.module_; }
  Span span() const override { return span_; }

 private:
  Builder& builder_;
  Span span_;
};

// A result type in which new symbols stand for what is made of symbols that are neither known nor
// bound by the type: for `n * 3` where nothing says what `n` is.
Type with_bound_symbols(const Type& type, const std::function<bool(const Var&)>& is_known);

// Gives the symbols that `param` binds their values from `arg`, and lists what else must be equal.
void match_types(const Type& param, const Type& arg, VarMap& symbols,
                 std::vector<std::pair<Expr, Expr>>& equal);

}  // namespace repose
