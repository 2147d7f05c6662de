// Tokens of the text form: Python's, with indentation as tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace repose::script {

// Where a token or node starts. Lines and columns count from 1, columns in bytes.
struct Position {
  size_t offset = 0;
  int line = 1;
  int column = 1;
};

enum class TokenKind { name, integer, real, string, symbol, newline, indent, dedent, end, bad };

struct Token {
  TokenKind kind = TokenKind::end;
  std::string_view text;  // as written: names, numbers, symbols
  std::string value;      // of a string, escapes replaced; of a bad token, what is wrong
  Position at;
  bool is_raw_string = false;  // no escape was replaced: positions inside follow from the text

  bool is(std::string_view symbol) const { return kind == TokenKind::symbol && text == symbol; }
  bool is_name(std::string_view name) const { return kind == TokenKind::name && text == name; }
  bool is_assignment() const;  // with an operator: `+=`, `//=`, …
};

// Gives one token after another. Inside brackets line ends don't count. Tokens refer to the text.
class Lexer {
 public:
  // `first`: where `text` starts in its source, for expressions inside of string literals, which
  // have no line structure (`is_fragment`).
  explicit Lexer(std::string_view text, Position first = {}, bool is_fragment = false);

  Token next();
  size_t offset() const { return pos_; }  // in the text, behind the last token

  bool in_brackets() const { return brackets_ > 0; }
  // Goes back to the start of the line of `at`.
  void rewind(const Position& at);

  // After an error: drops the rest of the line and all lines that are indented by more than
  // `indent` columns, forgets open brackets, and goes on from there.
  void skip_deeper_than(int indent);

 private:
  std::string_view text_;
  Position first_;
  bool is_fragment_;
  size_t pos_ = 0;
  int line_ = 1;
  size_t line_start_ = 0;
  int brackets_ = 0;
  bool at_line_start_ = true;
  bool emitted_newline_ = true;
  int pending_dedents_ = 0;
  std::vector<int> indents_{0};

  char peek(size_t ahead = 0) const {
    return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : '\0';
  }
  Position here() const;
  void next_line();
  bool skip_blank();
  int measure_indent();
  Token make(TokenKind kind, size_t begin, const Position& at) const;
  Token bad(std::string what, const Position& at) const;
  Token lex_indentation(bool* found);
  Token lex_number();
  Token lex_string();
  bool lex_escape(std::string* out, std::string* problem);
};

// Is `name` one of Python's reserved words? Such names are changed when they are printed.
bool is_keyword(std::string_view name);
bool is_identifier(std::string_view name);

}  // namespace repose::script
