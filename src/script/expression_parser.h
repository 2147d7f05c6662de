// The parser's tokens, errors and expressions; statements are built on it (syntax.cpp).
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "script/syntax.h"

namespace repose::script {

// Recursive descent. What gives a node gives null where it reported an error.
class ExpressionParser {
 public:
  ExpressionParser(SyntaxTree& tree, Lexer lexer, Diagnostics& errors);

  // One expression and nothing behind it.
  Node* parse_all();

 protected:
  // Counts levels of nesting while it lives.
  struct Nest {
    explicit Nest(int& depth, int levels = 1) : depth(depth), levels(levels) { depth += levels; }
    ~Nest() { depth -= levels; }
    int& depth;
    int levels;
  };

  SyntaxTree& tree_;
  Lexer lexer_;
  Diagnostics& errors_;
  Token token_;

  void advance() { token_ = lexer_.next(); }
  void report(DiagnosticKind kind, const Position& at, std::string text);
  // Reports `what`, and what is found instead.
  std::nullptr_t fail(const std::string& what);
  bool accept(std::string_view symbol);
  bool accept_name(std::string_view name);
  bool expect(std::string_view symbol, const char* where);
  bool too_deep(int height, const Position& at);
  Node* make(NodeKind kind, const Position& at, std::string text = "");
  static void add(Node* parent, Node* kid);

  Node* parse_test();
  // An expression, or several with commas: a tuple.
  Node* parse_tests();

 private:
  int depth_ = 0;

  std::string found() const;
  Node* parse_lambda();
  Node* parse_operators(int level);
  Node* parse_prefix();
  Node* parse_postfix();
  bool parse_arguments(Node* call);
  Node* parse_starred();
  Node* special_float(const Node& call);
  bool parse_keyword(Node* call, const Node& name, std::set<std::string>& names);
  bool add_positional(Node* call, Node* value);
  bool parse_subscripts(Node* outer);
  bool parse_elements(Node* node, const char* close, bool* comma);
  Node* parse_atom();
};

}  // namespace repose::script
