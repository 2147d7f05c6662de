// The syntax tree of the text form, before names and types mean anything.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "ir/array.h"
#include "script/lexer.h"

namespace repose::script {

// Nested expressions and blocks beyond this are refused, so that nothing that walks a tree
// recursively runs out of stack. A chain a + b + c + … may be longer.
constexpr int max_nesting = 256;
constexpr int max_chain = 4096;

enum class NodeKind {
  name,     // text
  integer,  // text: digits
  real,     // text
  string,   // text: the value
  none,
  boolean,    // text: "True" or "False"
  attribute,  // kids[0].text
  call,       // kids[0](kids[1…], keywords)
  subscript,  // kids[0][kids[1…]]
  slice,      // kids[0]:kids[1], either may be null
  tuple,
  list,
  dict,         // keys and values in turn
  starred,      // *kids[0], an argument
  unary,        // text: "-", "+", "~", "not"
  binary,       // text: the operator
  conditional,  // kids[0] if kids[1] else kids[2]
  lambda,       // text: the source
};

struct Node;
struct Keyword {
  std::string name;
  Position at;
  Node* value;
};

struct Node {
  NodeKind kind = NodeKind::none;
  Position at;
  std::string text;
  std::vector<Node*> kids;
  std::vector<Keyword> keywords;
  bool is_raw_string = false;
  int height = 1;
  int chain = 0;
};

enum class SyntaxKind {
  assign,  // target[: annotation] = value; several targets: a tuple; without value: a declaration
  expression,
  for_,
  with,
  if_,
  while_,
  return_,
  assert_,
  break_,
  continue_,
  function,
  class_,
  import,
  pass,
};

struct Parameter {
  std::string name;
  Position at;
  Node* annotation = nullptr;
};

struct WithItem {
  Node* value;
  Node* target;  // may be null
};

struct Statement {
  SyntaxKind kind = SyntaxKind::pass;
  Position at;
  int depth = 0;  // of the blocks around it
  Node* target = nullptr;
  Node* annotation = nullptr;
  Node* value = nullptr;  // of an assert: the condition; of a `for`: what is iterated
  Node* message = nullptr;
  std::vector<WithItem> items;
  std::vector<Statement*> body;
  std::vector<Statement*> orelse;
  // Functions and classes.
  std::string name;
  Position name_at;
  std::vector<Node*> decorators;
  std::vector<Parameter> type_params;
  std::vector<Parameter> params;
  Node* returns = nullptr;
  bool is_incomplete = false;  // statements of the body could not be read
};

// Owns the nodes.
struct SyntaxTree {
  Ref<const Source> source;
  std::deque<Node> nodes;
  std::deque<Statement> statements;
  std::vector<Statement*> top;
  // First words of statements that could not be read: names that may be unknown for that reason.
  std::set<std::string> lost_names;
  // Names that stand for arrays outside of the text (captured_names.h).
  std::map<const Node*, Array> arrays;

  Span span(const Position& at) const { return {source, at.line, at.column}; }
};

// Parses a file. Every statement that cannot be read is reported and left out.
void parse_syntax(SyntaxTree& tree, Diagnostics& errors);
// Parses one expression: all of `text`, which starts at `first` in the tree's source. Null: an
// error was reported.
Node* parse_fragment(SyntaxTree& tree, std::string_view text, const Position& first,
                     Diagnostics& errors);

// "R.Tensor" for nested attributes of names; "" for anything else.
std::string written_name(const Node& node);
// The same in our spelling: "T.block" where newer TVM writes `tirx.sblock`.
std::string dotted_name(const Node& node);
// The dotted name of what a call calls; "" for null and for anything but a call.
std::string callee_name(const Node* node);
// The value of a call's argument `name=`, or null.
const Node* keyword_argument(const Node& call, std::string_view name);
bool is_list(const Node& node);  // of either brackets: a list or a tuple
// The names that a statement such as `m, n = T.int64(), T.int64()` declares as symbols; none: it
// is another statement.
std::vector<const Node*> declared_symbols(const Statement& s);
// The names that an assignment or a definition binds.
std::vector<std::string> bound_names(const Statement& s);
// The indices of `x[i, j]`, which `x[(i, j)]` has too.
std::span<Node* const> subscript_indices(const Node& subscript);
std::string decorator_name(const Statement& def);  // "R.function"; "": there is none
// The value of `name=` in the decorators of a function, or null.
const Node* decorator_argument(const Statement& def, std::string_view name);

}  // namespace repose::script
