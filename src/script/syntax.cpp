// The parser of the syntax tree: recursive descent over tokens, with recovery by indentation.
#include "script/syntax.h"

#include <algorithm>

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

class Parser {
 public:
  Parser(SyntaxTree& tree, Lexer lexer, Diagnostics& errors)
      : tree_(tree), lexer_(std::move(lexer)), errors_(errors) {
    advance();
  }

  void parse_file() {
    while (token_.kind != TokenKind::end) {
      if (token_.kind == TokenKind::indent) {
        fail("unexpected indentation");
        recover(0);
        continue;
      }
      if (token_.kind == TokenKind::dedent || token_.kind == TokenKind::newline) {
        advance();
        continue;
      }
      parse_statement(tree_.top);
    }
  }

  Node* parse_all() {
    Node* node = parse_test();
    if (node && token_.kind != TokenKind::end) return fail("expected the end of the expression");
    return node;
  }

 private:
  SyntaxTree& tree_;
  Lexer lexer_;
  Diagnostics& errors_;
  Token token_;
  int depth_ = 0;
  int block_depth_ = 0;

  // ---- Tokens --------------------------------------------------------------------------------

  void advance() { token_ = lexer_.next(); }

  std::string found() const {
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
  void report(DiagnosticKind kind, const Position& at, std::string text) {
    errors_.push_back({kind, tree_.span(at), std::move(text), {}});
  }
  std::nullptr_t fail(const std::string& what) {
    if (token_.kind == TokenKind::bad) {
      report(DiagnosticKind::syntax, token_.at, token_.value);
    } else {
      report(DiagnosticKind::syntax, token_.at, what + ", found " + found());
    }
    return nullptr;
  }
  bool accept(std::string_view symbol) {
    if (!token_.is(symbol)) return false;
    advance();
    return true;
  }
  bool accept_name(std::string_view name) {
    if (!token_.is_name(name)) return false;
    advance();
    return true;
  }
  bool expect(std::string_view symbol, const char* where) {
    if (accept(symbol)) return true;
    fail("expected `" + std::string(symbol) + "` " + where);
    return false;
  }
  // Drops what is left of a statement that starts at column `indent` + 1, and its block.
  void recover(int indent) {
    if (token_.kind == TokenKind::dedent || token_.kind == TokenKind::end) return;
    lexer_.skip_deeper_than(indent);
    advance();
  }

  Node* make(NodeKind kind, const Position& at, std::string text = "") {
    Node& node = tree_.nodes.emplace_back();
    node.kind = kind;
    node.at = at;
    node.text = std::move(text);
    return &node;
  }
  void add(Node* parent, Node* kid) {
    parent->kids.push_back(kid);
    if (kid) parent->height = std::max(parent->height, kid->height + 1);
  }
  bool too_deep(int height, const Position& at) {
    if (height <= max_nesting) return false;
    report(DiagnosticKind::nesting_too_deep, at,
           fmt::format("more than {} levels of nesting", max_nesting));
    return true;
  }

  // ---- Expressions ---------------------------------------------------------------------------

  struct Nest {
    explicit Nest(int& depth) : depth(depth) { ++depth; }
    ~Nest() { --depth; }
    int& depth;
  };

  Node* parse_test() {
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

  Node* parse_lambda() {
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

  const BinaryOperator* operator_here(int level) const {
    if (token_.kind != TokenKind::symbol && token_.kind != TokenKind::name) return nullptr;
    for (const BinaryOperator& op : binary_operators) {
      if (op.level >= level && op.text == token_.text) return &op;
    }
    return nullptr;
  }

  Node* parse_operators(int level) {
    Node* left = parse_prefix();
    if (!left) return nullptr;
    bool compared = false;
    while (const BinaryOperator* op = operator_here(level)) {
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

  Node* parse_prefix() {
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

  Node* parse_postfix() {
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

  bool parse_arguments(Node* call) {
    advance();
    while (!token_.is(")")) {
      if (token_.kind == TokenKind::name && !is_keyword(token_.text)) {
        // A name before `=` is a keyword argument.
        Node* value = parse_test();
        if (!value) return false;
        if (token_.is("=")) {
          if (value->kind != NodeKind::name) {
            fail("expected `,` or `)` after an argument");
            return false;
          }
          Position at = value->at;
          std::string name = value->text;
          advance();
          Node* given = parse_test();
          if (!given) return false;
          for (const Keyword& k : call->keywords) {
            if (k.name == name) {
              report(DiagnosticKind::bad_argument, at,
                     fmt::format("argument `{}` is given twice", name));
              return false;
            }
          }
          call->keywords.push_back({std::move(name), at, given});
          call->height = std::max(call->height, given->height + 1);
        } else if (!add_positional(call, value)) {
          return false;
        }
      } else {
        Node* value = parse_test();
        if (!value || !add_positional(call, value)) return false;
      }
      if (!accept(",")) break;
    }
    return expect(")", "after the arguments");
  }

  bool add_positional(Node* call, Node* value) {
    if (!call->keywords.empty()) {
      report(DiagnosticKind::syntax, value->at, "a positional argument after a keyword argument");
      return false;
    }
    add(call, value);
    return true;
  }

  bool parse_subscripts(Node* outer) {
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
  bool parse_elements(Node* node, const char* close, bool* comma) {
    while (!token_.is(close)) {
      Node* element = parse_test();
      if (!element) return false;
      add(node, element);
      if (!accept(",")) break;
      *comma = true;
    }
    return expect(close, "or `,` after an element");
  }

  Node* parse_atom() {
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
  Node* parse_tests() {
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

  // ---- Statements ----------------------------------------------------------------------------

  Statement* make_statement(SyntaxKind kind) {
    Statement& s = tree_.statements.emplace_back();
    s.kind = kind;
    s.at = token_.at;
    return &s;
  }

  void parse_statement(std::vector<Statement*>& out) {
    const Token first = token_;
    size_t errors = errors_.size();
    if (Statement* s = parse_one()) {
      out.push_back(s);
    } else if (errors_.size() > errors) {
      if (first.kind == TokenKind::name) tree_.lost_names.emplace(first.text);
      // An open bracket may have swallowed the line end: the next statement is not to blame.
      int indent = first.at.column - 1;
      bool next_line =
          lexer_.in_brackets() && token_.at.line > first.at.line && token_.at.column - 1 <= indent;
      if (next_line && token_.kind != TokenKind::dedent) lexer_.rewind(token_.at);
      recover(indent);
    }
  }

  bool end_of_statement() {
    if (token_.kind == TokenKind::newline) {
      advance();
      return true;
    }
    if (accept(";")) {
      if (token_.kind == TokenKind::newline) advance();
      return true;
    }
    if (token_.kind == TokenKind::end) return true;
    fail("expected the end of the statement");
    return false;
  }

  // ":" and an indented block (or one statement on the same line).
  bool parse_block(std::vector<Statement*>& body) {
    if (!expect(":", "before a block")) return false;
    Nest nest(block_depth_);
    if (too_deep(block_depth_, token_.at)) return false;
    if (token_.kind != TokenKind::newline) {
      Statement* s = parse_simple();
      if (s) body.push_back(s);
      return s != nullptr;
    }
    advance();
    if (token_.kind != TokenKind::indent) {
      fail("expected an indented block");
      return false;
    }
    advance();
    while (token_.kind != TokenKind::dedent && token_.kind != TokenKind::end) {
      if (token_.kind == TokenKind::indent) {
        fail("unexpected indentation");
        recover(token_.at.column - 2);
        continue;
      }
      if (token_.kind == TokenKind::newline) {
        advance();
        continue;
      }
      parse_statement(body);
    }
    if (token_.kind == TokenKind::dedent) advance();
    return true;
  }

  Statement* parse_one() {
    if (token_.is("@") || token_.is_name("def") || token_.is_name("class")) {
      return parse_definition();
    }
    if (token_.is_name("if")) return parse_if();
    if (token_.is_name("for")) {
      Statement* s = make_statement(SyntaxKind::for_);
      advance();
      s->target = parse_tests_before_in();
      if (!s->target) return nullptr;
      if (!accept_name("in")) return fail("expected `in`");
      s->value = parse_test();
      return s->value && parse_block(s->body) ? s : nullptr;
    }
    if (token_.is_name("while")) {
      Statement* s = make_statement(SyntaxKind::while_);
      advance();
      s->value = parse_test();
      return s->value && parse_block(s->body) ? s : nullptr;
    }
    if (token_.is_name("with")) return parse_with();
    return parse_simple();
  }

  Node* parse_tests_before_in() {
    Node* tuple = nullptr;
    while (true) {
      if (token_.kind != TokenKind::name || is_keyword(token_.text)) {
        return fail("expected a loop variable");
      }
      Node* name = make(NodeKind::name, token_.at, std::string(token_.text));
      advance();
      if (!tuple && !token_.is(",")) return name;
      if (!tuple) tuple = make(NodeKind::tuple, name->at);
      add(tuple, name);
      if (!accept(",")) return tuple;
    }
  }

  Statement* parse_with() {
    Statement* s = make_statement(SyntaxKind::with);
    advance();
    do {
      Node* value = parse_test();
      if (!value) return nullptr;
      Node* target = nullptr;
      if (accept_name("as")) {
        target = parse_test();
        if (!target) return nullptr;
      }
      s->items.push_back({value, target});
    } while (accept(","));
    return parse_block(s->body) ? s : nullptr;
  }

  Statement* parse_if() {
    Statement* first = make_statement(SyntaxKind::if_);
    Statement* s = first;
    int links = 0;
    while (true) {
      advance();
      s->value = parse_test();
      if (!s->value || !parse_block(s->body)) return nullptr;
      if (accept_name("else")) return parse_block(s->orelse) ? first : nullptr;
      if (!token_.is_name("elif")) return first;
      if (too_deep(block_depth_ + ++links, token_.at)) return nullptr;
      Statement* next = make_statement(SyntaxKind::if_);
      s->orelse.push_back(next);
      s = next;
    }
  }

  bool parse_parameters(std::vector<Parameter>& params, const char* close, const char* where) {
    while (!token_.is(close)) {
      if (token_.kind != TokenKind::name || is_keyword(token_.text)) {
        fail("expected a parameter");
        return false;
      }
      Parameter p{std::string(token_.text), token_.at};
      advance();
      if (accept(":")) {
        p.annotation = parse_test();
        if (!p.annotation) return false;
      }
      for (const Parameter& other : params) {
        if (other.name == p.name) {
          report(DiagnosticKind::ill_formed, p.at,
                 fmt::format("parameter `{}` is given twice", p.name));
          return false;
        }
      }
      params.push_back(std::move(p));
      if (!accept(",")) break;
    }
    return expect(close, where);
  }

  Statement* parse_definition() {
    std::vector<Node*> decorators;
    Position at = token_.at;
    while (accept("@")) {
      Node* decorator = parse_test();
      if (!decorator) return nullptr;
      decorators.push_back(decorator);
      if (token_.kind != TokenKind::newline) return fail("expected the end of the line");
      advance();
    }
    bool is_class = token_.is_name("class");
    if (!is_class && !token_.is_name("def")) return fail("expected `def` or `class`");
    Statement* s = make_statement(is_class ? SyntaxKind::class_ : SyntaxKind::function);
    s->at = at;
    s->decorators = std::move(decorators);
    advance();
    if (token_.kind != TokenKind::name || is_keyword(token_.text)) return fail("expected a name");
    s->name = token_.text;
    s->name_at = token_.at;
    advance();
    if (!is_class) {
      if (accept("[") && !parse_parameters(s->type_params, "]", "after the symbols")) {
        return nullptr;
      }
      if (!expect("(", "before the parameters")) return nullptr;
      if (!parse_parameters(s->params, ")", "after the parameters")) return nullptr;
      if (accept("->")) {
        s->returns = parse_test();
        if (!s->returns) return nullptr;
      }
    }
    size_t errors = errors_.size();
    if (!parse_block(s->body)) return nullptr;
    s->is_incomplete = errors_.size() > errors;
    return s;
  }

  Statement* parse_simple() {
    Statement* s = nullptr;
    if (token_.is_name("return")) {
      s = make_statement(SyntaxKind::return_);
      advance();
      if (token_.kind != TokenKind::newline && token_.kind != TokenKind::end) {
        s->value = parse_tests();
        if (!s->value) return nullptr;
      }
    } else if (token_.is_name("pass")) {
      s = make_statement(SyntaxKind::pass);
      advance();
    } else if (token_.is_name("import") || token_.is_name("from")) {
      s = make_statement(SyntaxKind::import);
      while (token_.kind != TokenKind::newline && token_.kind != TokenKind::end) advance();
    } else if (token_.is_name("assert")) {
      s = make_statement(SyntaxKind::assert_);
      advance();
      s->value = parse_test();
      if (!s->value) return nullptr;
      if (accept(",")) {
        s->message = parse_test();
        if (!s->message) return nullptr;
      }
    } else {
      s = make_statement(SyntaxKind::expression);
      Node* first = parse_tests();
      if (!first) return nullptr;
      s->value = first;
      if (accept(":")) {
        s->kind = SyntaxKind::assign;
        s->target = first;
        s->value = nullptr;
        s->annotation = parse_test();
        if (!s->annotation) return nullptr;
      }
      if (accept("=")) {
        s->kind = SyntaxKind::assign;
        s->target = first;
        s->value = parse_tests();
        if (!s->value) return nullptr;
      }
    }
    return end_of_statement() ? s : nullptr;
  }
};

}  // namespace

void parse_syntax(SyntaxTree& tree, Diagnostics& errors) {
  Parser(tree, Lexer(tree.source->text), errors).parse_file();
}

Node* parse_fragment(SyntaxTree& tree, std::string_view text, const Position& first,
                     Diagnostics& errors) {
  return Parser(tree, Lexer(text, first, true), errors).parse_all();
}

std::string dotted_name(const Node& node) {
  if (node.kind == NodeKind::name) return node.text;
  if (node.kind != NodeKind::attribute) return "";
  std::string base = dotted_name(*node.kids[0]);
  return base.empty() ? "" : base + "." + node.text;
}

}  // namespace repose::script
