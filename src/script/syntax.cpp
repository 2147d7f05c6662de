// Statements of the text as syntax trees, with recovery by indentation.
#include "script/syntax.h"

#include <algorithm>

#include "script/expression_parser.h"

namespace repose::script {

namespace {

class StatementParser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

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

 private:
  int block_depth_ = 0;
  bool line_ended_ = false;  // behind the last simple statement

  // Drops what is left of a statement that starts at column `indent` + 1, and its block.
  void recover(int indent) {
    if (token_.kind == TokenKind::dedent || token_.kind == TokenKind::end) return;
    lexer_.skip_deeper_than(indent);
    advance();
  }

  Statement* make_statement(SyntaxKind kind) {
    Statement& s = tree_.statements.emplace_back();
    s.kind = kind;
    s.at = token_.at;
    s.depth = block_depth_;
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
      while (token_.is_name("elif") || token_.is_name("else")) recover(indent);  // of this one
    }
  }

  bool end_of_statement() {
    const bool goes_on = accept(";");
    line_ended_ = token_.kind == TokenKind::newline || token_.kind == TokenKind::end;
    if (token_.kind == TokenKind::newline) advance();
    if (line_ended_ || goes_on) return true;
    fail("expected the end of the statement");
    return false;
  }

  // ":" and an indented block, or statements on the same line. `levels` of nesting: more than one
  // where the statement stands for several, one in the other.
  bool parse_block(std::vector<Statement*>& body, size_t levels = 1) {
    if (!expect(":", "before a block")) return false;
    Nest nest(block_depth_, static_cast<int>(std::min<size_t>(levels, max_nesting + 1)));
    if (too_deep(block_depth_, token_.at)) return false;
    return token_.kind == TokenKind::newline ? parse_indented(body) : parse_line(body);
  }

  bool parse_line(std::vector<Statement*>& body) {
    do {
      Statement* s = parse_simple();
      if (!s) return false;
      body.push_back(s);
    } while (!line_ended_);
    return true;
  }

  bool parse_indented(std::vector<Statement*>& body) {
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
      const size_t loops = s->target->kind == NodeKind::tuple ? s->target->kids.size() : 1;
      return s->value && parse_block(s->body, loops) ? s : nullptr;
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
    return parse_block(s->body, s->items.size()) ? s : nullptr;
  }

  Statement* parse_if() {
    Statement* first = make_statement(SyntaxKind::if_);
    Statement* s = first;
    size_t links = 1;  // each `elif` is an `if` in the `else` before it
    while (true) {
      advance();
      s->value = parse_test();
      if (!s->value || !parse_block(s->body, links)) return nullptr;
      if (accept_name("else")) return parse_block(s->orelse, links) ? first : nullptr;
      if (!token_.is_name("elif")) return first;
      ++links;
      Statement* next = make_statement(SyntaxKind::if_);
      s->orelse.push_back(next);
      s = next;
    }
  }

  bool parse_parameters(std::vector<Parameter>& params, const char* close, const char* where) {
    std::set<std::string> names;
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
      if (!names.insert(p.name).second) {
        report(DiagnosticKind::ill_formed, p.at,
               fmt::format("parameter `{}` is given twice", p.name));
        return false;
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

  // `a += b` as `a = a + b`.
  Statement* parse_augmented(Statement* s) {
    Node* sum = make(NodeKind::binary, token_.at,
                     std::string(token_.text.substr(0, token_.text.size() - 1)));
    advance();
    Node* more = parse_tests();
    if (!more) return nullptr;
    s->kind = SyntaxKind::assign;
    s->target = s->value;
    add(sum, s->value);
    add(sum, more);
    s->value = sum;
    if (too_deep(sum->height, sum->at)) return nullptr;
    return end_of_statement() ? s : nullptr;
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
    } else if (token_.is_name("break") || token_.is_name("continue")) {
      s = make_statement(token_.is_name("break") ? SyntaxKind::break_ : SyntaxKind::continue_);
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
      if (token_.is_assignment()) return parse_augmented(s);
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
  StatementParser(tree, Lexer(tree.source->text), errors).parse_file();
}

Node* parse_fragment(SyntaxTree& tree, std::string_view text, const Position& first,
                     Diagnostics& errors) {
  return ExpressionParser(tree, Lexer(text, first, true), errors).parse_all();
}

// ---- Queries

std::string written_name(const Node& node) {
  std::vector<const Node*> members;  // the last one first
  const Node* n = &node;
  for (; n->kind == NodeKind::attribute; n = n->kids[0]) members.push_back(n);
  if (n->kind != NodeKind::name) return "";
  std::string name(n->text);
  for (size_t i = members.size(); i > 0; --i) name.append(".").append(members[i - 1]->text);
  return name;
}

std::string dotted_name(const Node& node) {
  std::string name = written_name(node);
  static constexpr std::pair<std::string_view, std::string_view> modules[] = {
      {"tirx.", "T."},           {"tvm.script.relax.", "R."}, {"tvm.script.tirx.", "T."},
      {"tvm.script.tir.", "T."}, {"tvm.script.ir.", "I."},    {"tvm.script.", "I."}};
  for (const auto& [theirs, ours] : modules) {
    if (!name.starts_with(theirs)) continue;
    name = std::string(ours) + name.substr(theirs.size());
    break;
  }
  static constexpr std::pair<std::string_view, std::string_view> others[] = {
      {"T.sblock", "T.block"},
      {"T.sblock_alloc_buffer", "T.alloc_buffer"},
      {"T.sblock_attr", "T.block_attr"},
      {"I.meta_var", "T.meta_var"}};
  for (const auto& [theirs, ours] : others) {
    if (name == theirs) return std::string(ours);
  }
  return name;
}

std::string callee_name(const Node* node) {
  return node && node->kind == NodeKind::call ? dotted_name(*node->kids[0]) : "";
}

const Node* keyword_argument(const Node& call, std::string_view name) {
  for (const Keyword& k : call.keywords) {
    if (k.name == name) return k.value;
  }
  return nullptr;
}

bool is_list(const Node& node) {
  return node.kind == NodeKind::tuple || node.kind == NodeKind::list;
}

std::vector<const Node*> declared_symbols(const Statement& s) {
  if (s.kind != SyntaxKind::assign || !s.value || s.annotation) return {};
  auto declares = [](const Node& target, const Node& value) {
    std::string callee = callee_name(&value);
    return target.kind == NodeKind::name && value.kids.size() == 1 &&
           (callee == "T.int64" || callee == "T.int32" || callee == "T.index");
  };
  std::vector<const Node*> names;
  if (s.target->kind == NodeKind::tuple && s.value->kind == NodeKind::tuple &&
      s.value->kids.size() == s.target->kids.size()) {
    for (size_t i = 0; i < s.value->kids.size(); ++i) {
      if (!declares(*s.target->kids[i], *s.value->kids[i])) return {};
      names.push_back(s.target->kids[i]);
    }
  } else if (declares(*s.target, *s.value)) {
    names.push_back(s.target);
  }
  return names;
}

std::vector<std::string> bound_names(const Statement& s) {
  if (s.kind == SyntaxKind::function) return {s.name};
  if (s.kind != SyntaxKind::assign) return {};
  if (s.target->kind == NodeKind::name) return {s.target->text};
  std::vector<std::string> names;
  if (s.target->kind == NodeKind::tuple) {
    for (const Node* n : s.target->kids) names.push_back(n->text);
  }
  return names;
}

std::span<Node* const> subscript_indices(const Node& subscript) {
  std::span<Node* const> given = std::span(subscript.kids).subspan(1);
  if (given.size() == 1 && given[0]->kind == NodeKind::tuple) return given[0]->kids;
  return given;
}

std::string decorator_name(const Statement& def) {
  for (const Node* d : def.decorators) {
    std::string name = dotted_name(d->kind == NodeKind::call ? *d->kids[0] : *d);
    if (!name.empty()) return name;
  }
  return "";
}

const Node* decorator_argument(const Statement& def, std::string_view name) {
  for (const Node* d : def.decorators) {
    if (const Node* value = keyword_argument(*d, name)) return value;
  }
  return nullptr;
}

}  // namespace repose::script
