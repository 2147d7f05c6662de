// Patterns over the graph IR: what a part of a function looks like, and where it occurs.
//
//   using namespace pattern;
//   Pattern x = any(), w = constant();
//   Pattern y = call("nn.relu", {call("matmul", {x, w})}) | call("nn.gelu", {call("matmul", {x,
//   w})});
//
// A pattern is a graph of nodes: a node that stands twice in it is one value of the function. An
// edge says "used by": every occurrence of the producer is read by the consumer. A value between
// the leaves and the roots has no users but those of the pattern ("only used by"), unless it is
// `shared`. Different calls of a pattern are different calls of the function.
//
// Types are those of parameters: a node with a type matches values of that type or below it, where
// symbols of the pattern stand for sizes. A symbol is bound by a bare dimension; wherever else it
// occurs, sizes have to be equal for every value of the function's own symbols (prove() says yes).
#pragma once

#include <unordered_map>
#include <vector>

#include "ir/module.h"

namespace repose {

struct PatternNode;
using Pattern = Ref<const PatternNode>;

enum class PatternKind : uint8_t { any, call, tuple, item, leaf, either, cast };

struct PatternFields {
  PatternKind kind = PatternKind::any;
  Type type = nullptr;  // of the value, or above it; null: any
  std::vector<Pattern> operands =
      {};                            // of a call or tuple; the tuple; alternatives; the cast value
  std::string op = {};               // of a call of an operator
  graph::Value leaf = nullptr;       // a leaf; of a call of a function: the function
  Attrs attrs = {};                  // of a call: those that have to be equal
  std::vector<Type> type_args = {};  // of a call, where it has any
  int index = 0;                     // of an item
  bool is_constant = false;          // any: constants only
  bool is_shared = false;            // it may have users outside of the match
};

// Immutable; identity is the node.
struct PatternNode : RefCounted, PatternFields {
  explicit PatternNode(PatternFields fields) : PatternFields(std::move(fields)) {}
};

namespace pattern {

Pattern any(Type type = nullptr);
Pattern constant(Type type = nullptr);
// A call of an operator with these operands, without those left out behind them. Attributes that
// are not in `attrs` may be anything. Impure calls never match.
Pattern call(std::string op, std::vector<Pattern> operands, Attrs attrs = {});
Pattern call(graph::Value function, std::vector<Pattern> operands);
Pattern tuple(std::vector<Pattern> fields);
Pattern item(Pattern tuple, int index);
// An equal constant, string, dtype or name; a shape or prim value whose symbols are the pattern's.
Pattern leaf(graph::Value value);
Pattern either(std::vector<Pattern> alternatives);  // the first that matches
Pattern cast(Pattern value, Type type);             // a match_cast
Pattern with_type(const Pattern& p, Type type);
Pattern with_type_args(const Pattern& p, std::vector<Type> types);  // `out_sinfo=` and its kin
Pattern shared(const Pattern& p);

}  // namespace pattern

inline Pattern operator|(const Pattern& a, const Pattern& b) {
  return pattern::either({a, b});
}

// What is looked for: one value or several, and what has to be proven of the symbols.
struct PatternGraph {
  std::vector<Pattern> roots;
  std::vector<Expr> conditions;
};

// Where values are bound in a function, and what reads them.
class ValueUses {
 public:
  struct Place {
    const graph::Binding* binding = nullptr;
    const graph::BodyNode* body = nullptr;
    const graph::Block* block = nullptr;
    size_t position = 0;  // in the order of the function, nested bodies included
  };

  explicit ValueUses(const graph::Function& f);

  const Place* find(const graph::Value& variable) const;  // null: a parameter, or no variable
  // The bindings that read it; null stands for the result of a body.
  const std::vector<const graph::Binding*>& readers(const graph::Value& variable) const;
  // Whether a call in place overwrites it.
  bool is_overwritten(const graph::Value& variable) const;

 private:
  void visit(const graph::Body& body, size_t& position);

  graph::Function function_;
  std::unordered_map<const graph::ValueNode*, Place> places_;
  std::unordered_map<const graph::ValueNode*, std::vector<const graph::Binding*>> readers_;
  std::unordered_map<const graph::ValueNode*, bool> overwritten_;
};

struct PatternMatch {
  std::unordered_map<const PatternNode*, graph::Value> values;  // leaves or variables
  std::unordered_map<const PatternNode*, size_t> alternatives;  // that an `either` took
  std::unordered_map<const PatternNode*, const graph::CallNode*> calls;
  VarMap symbols;                               // the pattern's
  std::vector<ValueUses::Place> roots;          // in the order of the pattern's
  std::vector<const graph::Binding*> bindings;  // what is matched, roots included, in order
};

// An occurrence of the pattern whose first root, in the order of the function, is bound at `first`,
// and all of whose leaves are there by then. `facts` are known at that place; `now` says what
// stands there for the function's symbols. Bindings that are `taken` belong to no match.
std::optional<PatternMatch> match_pattern(
    const PatternGraph& pattern, const ValueUses& uses, const ValueUses::Place& first,
    const Facts& facts, const VarMap& now,
    const std::function<bool(const graph::Binding&)>& is_taken);

}  // namespace repose
