// The lexer: numbers, strings, symbols and indentation.
#include "script/lexer.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace repose::script {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_char(char c) {
  return is_name_start(c) || is_digit(c);
}
int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_utf8(std::string* out, uint32_t c) {
  auto put = [&](uint32_t byte) { *out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | (c >> 6));
    put(0x80 | (c & 63));
  } else if (c < 0x10000) {
    put(0xe0 | (c >> 12));
    put(0x80 | ((c >> 6) & 63));
    put(0x80 | (c & 63));
  } else {
    put(0xf0 | (c >> 18));
    put(0x80 | ((c >> 12) & 63));
    put(0x80 | ((c >> 6) & 63));
    put(0x80 | (c & 63));
  }
}

constexpr std::array two_chars = {"->", "**", "//", "<<", ">>", "<=", ">=", "==", "!=", ":="};
constexpr std::array assignments = {
    "**=", "//=", "<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@="};
constexpr std::array keywords = {
    "False", "None",     "True",  "and",    "as",   "assert", "async",  "await",    "break",
    "class", "continue", "def",   "del",    "elif", "else",   "except", "finally",  "for",
    "from",  "global",   "if",    "import", "in",   "is",     "lambda", "nonlocal", "not",
    "or",    "pass",     "raise", "return", "try",  "while",  "with",   "yield"};

}  // namespace

bool is_keyword(std::string_view name) {
  return std::find(keywords.begin(), keywords.end(), name) != keywords.end();
}

bool Token::is_assignment() const {
  return kind == TokenKind::symbol &&
         std::find(assignments.begin(), assignments.end(), text) != assignments.end();
}

bool is_identifier(std::string_view name) {
  if (name.empty() || !is_name_start(name[0])) return false;
  return std::all_of(name.begin(), name.end(), is_name_char) && !is_keyword(name);
}

Lexer::Lexer(std::string_view text, Position first, bool is_fragment)
    : text_(text), first_(first), is_fragment_(is_fragment), line_(first.line) {
  if (is_fragment_) {
    at_line_start_ = false;
    brackets_ = 1;  // line ends mean nothing
  } else if (text_.starts_with("\xef\xbb\xbf")) {
    pos_ = line_start_ = 3;  // a byte order mark
  }
}

Position Lexer::here() const {
  int column = static_cast<int>(pos_ - line_start_) + 1;
  if (line_ == first_.line) column += first_.column - 1;
  return {first_.offset + pos_, line_, column};
}

void Lexer::next_line() {
  ++line_;
  line_start_ = pos_;
}

Token Lexer::make(TokenKind kind, size_t begin, const Position& at) const {
  return {kind, text_.substr(begin, pos_ - begin), "", at};
}

Token Lexer::bad(std::string what, const Position& at) const {
  return {TokenKind::bad, {}, std::move(what), at};
}

// Skips spaces, comments, continued lines and, inside brackets, line ends. True: the line ended.
bool Lexer::skip_blank() {
  while (pos_ < text_.size()) {
    char c = peek();
    if (c == '#') {
      while (pos_ < text_.size() && peek() != '\n') ++pos_;
    } else if (c == '\n') {
      if (brackets_ == 0) return true;
      ++pos_;
      next_line();
    } else if (c == '\\' && (peek(1) == '\n' || (peek(1) == '\r' && peek(2) == '\n'))) {
      pos_ += peek(1) == '\n' ? 2 : 3;
      next_line();
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
      ++pos_;
    } else {
      return false;
    }
  }
  return true;
}

// The indentation of the next line that is not blank, which the lexer moves to.
int Lexer::measure_indent() {
  while (true) {
    int width = 0;
    while (peek() == ' ' || peek() == '\t' || peek() == '\f') {
      width = peek() == '\t' ? (width / 8 + 1) * 8 : width + 1;
      ++pos_;
    }
    if (peek() == '#') {
      while (pos_ < text_.size() && peek() != '\n') ++pos_;
    }
    if (peek() == '\r' && (peek(1) == '\n' || pos_ + 1 == text_.size())) ++pos_;
    if (pos_ >= text_.size()) return 0;
    if (peek() != '\n') return width;
    ++pos_;
    next_line();
  }
}

Token Lexer::lex_indentation(bool* found) {
  at_line_start_ = false;
  *found = true;
  int width = measure_indent();
  if (width > indents_.back()) {
    indents_.push_back(width);
    return make(TokenKind::indent, pos_, here());
  }
  while (width < indents_.back()) {
    indents_.pop_back();
    ++pending_dedents_;
  }
  if (width > indents_.back()) {
    indents_.push_back(width);  // as if the block had started here, to go on
    --pending_dedents_;
    return bad("this indentation matches no block around it", here());
  }
  *found = false;
  return {};
}

Token Lexer::next() {
  if (at_line_start_) {
    bool found = false;
    Token token = lex_indentation(&found);
    if (found) return token;
  }
  if (pending_dedents_ > 0) {
    --pending_dedents_;
    return make(TokenKind::dedent, pos_, here());
  }
  bool line_ended = skip_blank();
  Position at = here();
  if (line_ended && pos_ < text_.size()) {
    Token token = make(TokenKind::newline, pos_, at);
    ++pos_;
    next_line();
    at_line_start_ = true;
    emitted_newline_ = true;
    return token;
  }
  if (pos_ >= text_.size()) {
    if (!emitted_newline_ && !is_fragment_) {  // the last line has no end
      emitted_newline_ = true;
      brackets_ = 0;
      at_line_start_ = true;
      return make(TokenKind::newline, pos_, at);
    }
    return make(TokenKind::end, pos_, at);
  }
  emitted_newline_ = false;
  char c = peek();
  size_t begin = pos_;
  if (is_name_start(c)) {
    size_t end = pos_;
    while (end < text_.size() && is_name_char(text_[end])) ++end;
    bool raw_string = end == pos_ + 1 && (c == 'r' || c == 'b' || c == 'u' || c == 'f') &&
                      end < text_.size() && (text_[end] == '"' || text_[end] == '\'');
    if (raw_string) {
      pos_ = end;
      return bad("string prefixes are not supported", at);
    }
    pos_ = end;
    return make(TokenKind::name, begin, at);
  }
  if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return lex_number();
  if (c == '"' || c == '\'') return lex_string();
  auto starts_with = [&](std::string_view symbol) {
    if (text_.substr(pos_, symbol.size()) != symbol) return false;
    pos_ += symbol.size();
    return true;
  };
  if (std::any_of(assignments.begin(), assignments.end(), starts_with) ||
      std::any_of(two_chars.begin(), two_chars.end(), starts_with)) {
    return make(TokenKind::symbol, begin, at);
  }
  ++pos_;
  if (c == '(' || c == '[' || c == '{') ++brackets_;
  if ((c == ')' || c == ']' || c == '}') && brackets_ > (is_fragment_ ? 1 : 0)) --brackets_;
  if (std::string_view("()[]{},:;.=+-*/%<>&|^~@").find(c) == std::string_view::npos) {
    return bad(std::string("`") + c + "` is not part of the language", at);
  }
  return make(TokenKind::symbol, begin, at);
}

Token Lexer::lex_number() {
  Position at = here();
  size_t begin = pos_;
  bool real = false;
  if (peek() == '0' && (peek(1) == 'x' || peek(1) == 'X')) {
    pos_ += 2;
    while (hex_value(peek()) >= 0) ++pos_;
  } else {
    while (is_digit(peek()) || (peek() == '_' && is_digit(peek(1)))) ++pos_;
    if (peek() == '.') {
      real = true;
      ++pos_;
      while (is_digit(peek())) ++pos_;
    }
    if (peek() == 'e' || peek() == 'E') {
      size_t digits = peek(1) == '+' || peek(1) == '-' ? 2 : 1;
      if (is_digit(peek(digits))) {
        real = true;
        pos_ += digits;
        while (is_digit(peek())) ++pos_;
      }
    }
  }
  if (is_name_start(peek())) {
    while (is_name_char(peek())) ++pos_;
    return bad("`" + std::string(text_.substr(begin, pos_ - begin)) + "` is no number", at);
  }
  return make(real ? TokenKind::real : TokenKind::integer, begin, at);
}

bool Lexer::lex_escape(std::string* out, std::string* problem) {
  ++pos_;
  char c = peek();
  ++pos_;
  auto hex = [&](int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i) {
      int digit = hex_value(peek());
      if (digit < 0) {
        *problem = "an escape sequence lacks hexadecimal digits";
        return;
      }
      value = value * 16 + static_cast<uint32_t>(digit);
      ++pos_;
    }
    if (value > 0x10ffff) {
      *problem = "an escape sequence names no character";
    } else if (digits == 2) {
      *out += static_cast<char>(value);  // a byte
    } else {
      append_utf8(out, value);
    }
  };
  switch (c) {
    case 'n':
      *out += '\n';
      return true;
    case 't':
      *out += '\t';
      return true;
    case 'r':
      *out += '\r';
      return true;
    case 'a':
      *out += '\a';
      return true;
    case 'b':
      *out += '\b';
      return true;
    case 'f':
      *out += '\f';
      return true;
    case 'v':
      *out += '\v';
      return true;
    case '0':
      *out += '\0';
      return true;
    case '\\':
    case '\'':
    case '"':
      *out += c;
      return true;
    case '\n':
      next_line();
      return true;
    case 'x':
      hex(2);
      break;
    case 'u':
      hex(4);
      break;
    case 'U':
      hex(8);
      break;
    default:
      *problem = "unknown escape sequence in a string";
      break;
  }
  return problem->empty();
}

Token Lexer::lex_string() {
  Position at = here();
  size_t begin = pos_;
  char quote = peek();
  bool triple = peek(1) == quote && peek(2) == quote;
  pos_ += triple ? 3 : 1;
  Token token{TokenKind::string, {}, "", at, !triple};
  std::string problem;
  while (true) {
    if (pos_ >= text_.size() || (!triple && peek() == '\n')) {
      return bad("a string that doesn't end", at);
    }
    char c = peek();
    if (c == quote && (!triple || (peek(1) == quote && peek(2) == quote))) break;
    if (c == '\\') {
      token.is_raw_string = false;
      std::string what;
      if (pos_ + 1 == text_.size()) return bad("a string that doesn't end", at);
      if (!lex_escape(&token.value, &what) && problem.empty()) problem = what;
      continue;
    }
    token.value += c;
    ++pos_;
    if (c == '\n') next_line();
  }
  pos_ += triple ? 3 : 1;
  if (!problem.empty()) return bad(problem, at);
  token.text = text_.substr(begin, pos_ - begin);
  return token;
}

void Lexer::rewind(const Position& at) {
  line_ = at.line;
  pos_ = at.offset - first_.offset - static_cast<size_t>(at.column - 1);
  line_start_ = pos_;
  at_line_start_ = true;
}

void Lexer::skip_deeper_than(int indent) {
  brackets_ = 0;
  pending_dedents_ = 0;
  if (!at_line_start_) {
    while (pos_ < text_.size() && peek() != '\n') ++pos_;
    if (pos_ < text_.size()) {
      ++pos_;
      next_line();
    }
  }
  at_line_start_ = true;
  emitted_newline_ = true;
  while (indents_.size() > 1 && indents_.back() > indent) indents_.pop_back();
  while (pos_ < text_.size()) {
    int width = measure_indent();
    if (pos_ >= text_.size()) return;
    if (width <= indent) {
      // Back to the start of the line: its indentation is a token of its own.
      pos_ = line_start_;
      return;
    }
    while (pos_ < text_.size() && peek() != '\n') ++pos_;
    if (pos_ < text_.size()) {
      ++pos_;
      next_line();
    }
  }
}

}  // namespace repose::script
