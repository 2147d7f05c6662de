// Expressions of the text as syntax trees: operators by precedence, calls, literals.
#include "script/expression_parser.h"

#include <algorithm>
#include <set>

namespace repose::script {

namespace {

struct BinaryOperator {
  std::string_view text;
  int level;
  bool is_right_associative = false;
};
constexpr BinaryOperator binary_operators[] = {
    {"or", 1}, {"and", 2}, {"==", 4}, {"!=", 4},  {"<", 4},  {"<=", 4}, {">", 4},
    {">=", 4}, {"|", 5},   {"^", 6},  {"&", 7},   {"<<", 8}, {">>", 8}, {"+", 9},
    {"-", 9},  {"*", 10},  {"/", 10}, {"//", 10}, {"%", 10}, {"@", 10}, {"**", 12, true}};
constexpr int level_not = 3;
constexpr int level_compare = 4;
constexpr int level_unary = 11;

const BinaryOperator* operator_here(const Token& token, int level) {
  if (token.kind != TokenKind::symbol && token.kind != TokenKind::name) return nullptr;
  for (const BinaryOperator& op : binary_operators) {
    if (op.level >= level && op.text == token.text) return &op;
  }
  return nullptr;
}

}  // namespace

ExpressionParser::ExpressionParser(SyntaxTree& tree, Lexer lexer, Diagnostics& errors)
    : tree_(tree), lexer_(std::move(lexer)), errors_(errors) {
  advance();
}

Node* ExpressionParser::parse_all() {
  Node* node = parse_test();
  if (node && token_.kind != TokenKind::end) return fail("expected the end of the expression");
  return node;
}

// ---- Tokens and errors

std::string ExpressionParser::found() const {
  switch (token_.kind) {
    case TokenKind::newline:
      return "the end of the line";
    case TokenKind::indent:
      return "an indentation";
    case TokenKind::dedent:
      return "the end of the block";
    case TokenKind::end:
      return "the end of the text";
    case TokenKind::string:
      return "a string";
    default:
      return "`" + std::string(token_.text) + "`";
  }
}

void ExpressionParser::report(DiagnosticKind kind, const Position& at, std::string text) {
  errors_.push_back({kind, tree_.span(at), std::move(text), {}});
}

std::nullptr_t ExpressionParser::fail(const std::string& what) {
  if (token_.kind == TokenKind::bad) {
    report(DiagnosticKind::syntax, token_.at, token_.value);
  } else {
    report(DiagnosticKind::syntax, token_.at, what + ", found " + found());
  }
  return nullptr;
}

bool ExpressionParser::accept(std::string_view symbol) {
  if (!token_.is(symbol)) return false;
  advance();
  return true;
}

bool ExpressionParser::accept_name(std::string_view name) {
  if (!token_.is_name(name)) return false;
  advance();
  return true;
}

bool ExpressionParser::expect(std::string_view symbol, const char* where) {
  if (accept(symbol)) return true;
  fail("expected `" + std::string(symbol) + "` " + where);
  return false;
}

Node* ExpressionParser::make(NodeKind kind, const Position& at, std::string text) {
  Node& node = tree_.nodes.emplace_back();
  node.kind = kind;
  node.at = at;
  node.text = std::move(text);
  return &node;
}

void ExpressionParser::add(Node* parent, Node* kid) {
  parent->kids.push_back(kid);
  if (kid) parent->height = std::max(parent->height, kid->height + 1);
}

bool ExpressionParser::too_deep(int height, const Position& at) {
  if (height <= max_nesting) return false;
  report(DiagnosticKind::nesting_too_deep, at,
         fmt::format("more than {} levels of nesting", max_nesting));
  return true;
}
// ---- Expressions

Node* ExpressionParser::parse_test() {
  Nest nest(depth_);
  if (too_deep(depth_, token_.at)) return nullptr;
  if (token_.is_name("lambda")) return parse_lambda();
  Node* value = parse_operators(1);
  if (!value || !token_.is_name("if")) return value;
  Node* node = make(NodeKind::conditional, value->at);
  advance();
  Node* condition = parse_operators(1);
  if (!condition) return nullptr;
  if (!accept_name("else")) return fail("expected `else`");
  Node* other = parse_test();
  if (!other) return nullptr;
  for (Node* kid : {value, condition, other}) add(node, kid);
  return too_deep(node->height, node->at) ? nullptr : node;
}

Node* ExpressionParser::parse_lambda() {
  Node* node = make(NodeKind::lambda, token_.at);
  advance();
  while (!token_.is(":")) {
    if (token_.kind != TokenKind::name && !token_.is(",")) return fail("expected a parameter");
    advance();
  }
  advance();
  Node* body = parse_test();
  if (!body) return nullptr;
  size_t end = token_.at.offset;
  std::string_view text = tree_.source->text;
  text = text.substr(node->at.offset, end - node->at.offset);
  for (char c : text) {  // one line, single spaces
    bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (space && (node->text.empty() || node->text.back() == ' ')) continue;
    node->text += space ? ' ' : c;
  }
  while (!node->text.empty() && node->text.back() == ' ') node->text.pop_back();
  add(node, body);
  return node;
}

Node* ExpressionParser::parse_operators(int level) {
  Node* left = parse_prefix();
  if (!left) return nullptr;
  bool compared = false;
  while (const BinaryOperator* op = operator_here(token_, level)) {
    if (op->level == level_compare && compared) {
      return fail("comparisons don't chain: expected `and` between them");
    }
    compared = op->level == level_compare;
    Node* node = make(NodeKind::binary, token_.at, std::string(op->text));
    advance();
    Node* right = nullptr;
    if (op->level < level_not && token_.is_name("not")) {
      right = parse_prefix();
    } else {
      Nest nest(depth_);
      if (too_deep(depth_, token_.at)) return nullptr;
      right = parse_operators(op->is_right_associative ? op->level - 1 : op->level + 1);
    }
    if (!right) return nullptr;
    node->kids = {left, right};
    node->height = std::max(left->height, right->height + 1);
    node->chain = left->chain + 1;
    if (node->chain > max_chain) {
      report(DiagnosticKind::nesting_too_deep, node->at,
             fmt::format("more than {} operators in a row", max_chain));
      return nullptr;
    }
    if (too_deep(node->height, node->at)) return nullptr;
    left = node;
  }
  return left;
}

Node* ExpressionParser::parse_prefix() {
  bool is_not = token_.is_name("not");
  if (!is_not && !token_.is("-") && !token_.is("+") && !token_.is("~")) return parse_postfix();
  Nest nest(depth_);
  if (too_deep(depth_, token_.at)) return nullptr;
  Node* node = make(NodeKind::unary, token_.at, std::string(token_.text));
  advance();
  Node* operand = parse_operators(is_not ? level_not : level_unary);
  if (!operand) return nullptr;
  add(node, operand);
  return too_deep(node->height, node->at) ? nullptr : node;
}

Node* ExpressionParser::parse_postfix() {
  Node* node = parse_atom();
  while (node) {
    Node* outer = nullptr;
    if (token_.is(".")) {
      outer = make(NodeKind::attribute, node->at);
      advance();
      if (token_.kind != TokenKind::name) return fail("expected a name after `.`");
      outer->text = token_.text;
      advance();
      add(outer, node);
    } else if (token_.is("(")) {
      outer = make(NodeKind::call, node->at);
      add(outer, node);
      if (!parse_arguments(outer)) return nullptr;
      if (Node* special = special_float(*outer)) outer = special;
    } else if (token_.is("[")) {
      outer = make(NodeKind::subscript, node->at);
      add(outer, node);
      if (!parse_subscripts(outer)) return nullptr;
    } else {
      return node;
    }
    if (too_deep(outer->height, outer->at)) return nullptr;
    node = outer;
  }
  return nullptr;
}

// `float("inf")`, `float("-inf")` and `float("nan")` as the literals that they are; else null.
Node* ExpressionParser::special_float(const Node& call) {
  const bool is_float = call.kids[0]->kind == NodeKind::name && call.kids[0]->text == "float";
  if (!is_float || call.kids.size() != 2 || call.kids[1]->kind != NodeKind::string) return nullptr;
  const std::string& text = call.kids[1]->text;
  const bool is_negative = text == "-inf";
  if (!is_negative && text != "inf" && text != "nan") return nullptr;
  Node* name = make(NodeKind::name, call.at, text == "nan" ? "nan" : "inf");
  if (!is_negative) return name;
  Node* node = make(NodeKind::unary, call.at, "-");
  add(node, name);
  return node;
}

bool ExpressionParser::parse_arguments(Node* call) {
  advance();
  std::set<std::string> names;
  while (!token_.is(")")) {
    const bool is_bare = token_.kind == TokenKind::name;
    Node* value = token_.is("*") ? parse_starred() : parse_test();
    if (!value) return false;
    if (is_bare && value->kind == NodeKind::name && accept("=")) {
      if (!parse_keyword(call, *value, names)) return false;
    } else if (!add_positional(call, value)) {
      return false;
    }
    if (!accept(",")) break;
  }
  return expect(")", "or `,` after an argument");
}

// `*shape` among arguments: its members, one by one.
Node* ExpressionParser::parse_starred() {
  Node* node = make(NodeKind::starred, token_.at);
  advance();
  Node* list = parse_test();
  if (!list) return nullptr;
  add(node, list);
  return too_deep(node->height, node->at) ? nullptr : node;
}

// The value of the argument `name=`. `names`: those before it.
bool ExpressionParser::parse_keyword(Node* call, const Node& name, std::set<std::string>& names) {
  Node* given = parse_test();
  if (!given) return false;
  if (!names.insert(name.text).second) {
    report(DiagnosticKind::bad_argument, name.at,
           fmt::format("argument `{}` is given twice", name.text));
    return false;
  }
  call->keywords.push_back({name.text, name.at, given});
  call->height = std::max(call->height, given->height + 1);
  return true;
}

bool ExpressionParser::add_positional(Node* call, Node* value) {
  if (!call->keywords.empty()) {
    report(DiagnosticKind::syntax, value->at, "a positional argument after a keyword argument");
    return false;
  }
  add(call, value);
  return true;
}

bool ExpressionParser::parse_subscripts(Node* outer) {
  advance();
  while (!token_.is("]")) {
    Position at = token_.at;
    Node* low = token_.is(":") ? nullptr : parse_test();
    if (!low && !token_.is(":")) return false;
    if (token_.is(":")) {
      Node* slice = make(NodeKind::slice, at);
      advance();
      Node* high = nullptr;
      if (!token_.is("]") && !token_.is(",")) {
        high = parse_test();
        if (!high) return false;
      }
      add(slice, low);
      add(slice, high);
      low = slice;
    }
    add(outer, low);
    if (!accept(",")) break;
  }
  return expect("]", "after the indices");
}

// Elements up to `close`; true in *comma if there was one.
bool ExpressionParser::parse_elements(Node* node, const char* close, bool* comma) {
  while (!token_.is(close)) {
    Node* element = parse_test();
    if (!element) return false;
    add(node, element);
    if (!accept(",")) break;
    *comma = true;
  }
  return expect(close, "or `,` after an element");
}

Node* ExpressionParser::parse_atom() {
  Position at = token_.at;
  switch (token_.kind) {
    case TokenKind::name: {
      std::string text(token_.text);
      NodeKind kind = text == "None"                      ? NodeKind::none
                      : text == "True" || text == "False" ? NodeKind::boolean
                                                          : NodeKind::name;
      if (kind == NodeKind::name && is_keyword(text)) return fail("expected an expression");
      advance();
      return make(kind, at, std::move(text));
    }
    case TokenKind::integer:
    case TokenKind::real: {
      std::string text;
      for (char c : token_.text) {
        if (c != '_') text += c;
      }
      NodeKind kind = token_.kind == TokenKind::integer ? NodeKind::integer : NodeKind::real;
      advance();
      return make(kind, at, std::move(text));
    }
    case TokenKind::string: {
      Node* node = make(NodeKind::string, at, token_.value);
      node->is_raw_string = token_.is_raw_string;
      advance();
      while (token_.kind == TokenKind::string) {  // adjacent literals are one
        node->text += token_.value;
        node->is_raw_string = false;
        advance();
      }
      return node;
    }
    default:
      break;
  }
  bool comma = false;
  if (accept("(")) {
    Node* node = make(NodeKind::tuple, at);
    if (!parse_elements(node, ")", &comma)) return nullptr;
    return node->kids.size() == 1 && !comma ? node->kids[0] : node;
  }
  if (accept("[")) {
    Node* node = make(NodeKind::list, at);
    return parse_elements(node, "]", &comma) ? node : nullptr;
  }
  if (accept("{")) {
    Node* node = make(NodeKind::dict, at);
    while (!token_.is("}")) {
      Node* key = parse_test();
      if (!key || !expect(":", "after a key")) return nullptr;
      Node* value = parse_test();
      if (!value) return nullptr;
      add(node, key);
      add(node, value);
      if (!accept(",")) break;
    }
    return expect("}", "or `,` after an entry") ? node : nullptr;
  }
  return fail("expected an expression");
}

// An expression, or several with commas: a tuple.
Node* ExpressionParser::parse_tests() {
  Node* first = parse_test();
  if (!first || !token_.is(",")) return first;
  Node* tuple = make(NodeKind::tuple, first->at);
  add(tuple, first);
  while (accept(",")) {
    if (token_.kind == TokenKind::newline || token_.is("=") || token_.is_name("in")) break;
    Node* next = parse_test();
    if (!next) return nullptr;
    add(tuple, next);
  }
  return tuple;
}

}  // namespace repose::script
