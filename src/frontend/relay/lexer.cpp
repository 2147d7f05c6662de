// Relay's text as tokens.
#include "frontend/relay/lexer.h"

#include <cctype>

namespace repose::relay {

namespace {

bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_';
}
bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c));
}

}  // namespace

void Lexer::advance(size_t count) {
  for (; count > 0 && pos_ < text_.size(); --count, ++pos_) {
    if (text_[pos_] == '\n') {
      ++here_.line;
      here_.column = 0;
    }
    ++here_.column;
  }
}

// False, with what is wrong, where a comment has no end.
bool Lexer::skip_blank(std::string* problem) {
  auto skip_to = [&](std::string_view end) {
    const size_t found = text_.find(end, pos_);
    advance(found == std::string_view::npos ? text_.size() : found + end.size() - pos_);
    return found != std::string_view::npos;
  };
  while (pos_ < text_.size()) {
    const std::string_view rest = text_.substr(pos_);
    if (std::isspace(static_cast<unsigned char>(peek()))) {
      advance(1);
    } else if (rest.starts_with("//")) {
      skip_to("\n");
    } else if (rest.starts_with("/*")) {
      if (skip_to("*/")) continue;
      *problem = "a comment has no `*/`";
      return false;
    } else if (rest.starts_with("#[metadata]")) {
      pos_ = text_.size();
    } else if (rest.starts_with("#[")) {
      if (skip_to("]")) continue;
      *problem = "`#[` has no `]`";
      return false;
    } else {
      return true;
    }
  }
  return true;
}

// Names of variables may have dots and colons (`%layer1.0.weight`, `%aten::add_0.1`); those of
// operators have dots between words.
std::string Lexer::take_name(bool is_local) {
  const size_t begin = pos_;
  const bool is_number = is_digit(peek());
  while (is_letter(peek()) || is_digit(peek())) {
    advance(1);
    if (is_number) {
      while (is_digit(peek())) advance(1);
      break;
    }
    const bool is_dot = peek() == '.' && (is_letter(peek(1)) || (is_local && is_digit(peek(1))));
    if (is_dot) advance(1);
    if (is_local && peek() == ':' && peek(1) == ':' && is_letter(peek(2))) advance(2);
  }
  return std::string(text_.substr(begin, pos_ - begin));
}

Token Lexer::number() {
  Token t{TokenKind::number, "", here_};
  const size_t begin = pos_;
  while (is_digit(peek())) advance(1);
  if (peek() == '.' && is_digit(peek(1))) {
    advance(1);
    while (is_digit(peek())) advance(1);
  }
  if (peek() == 'e' || peek() == 'E') {
    const size_t sign = peek(1) == '-' || peek(1) == '+';
    if (is_digit(peek(1 + sign))) {
      advance(1 + sign);
      while (is_digit(peek())) advance(1);
    }
  }
  while (is_letter(peek()) || is_digit(peek())) advance(1);  // the suffix
  t.text = std::string(text_.substr(begin, pos_ - begin));
  return t;
}

Token Lexer::string() {
  Token t{TokenKind::string, "", here_};
  advance(1);
  while (pos_ < text_.size() && peek() != '"') {
    if (peek() == '\\' && pos_ + 1 < text_.size()) {
      advance(1);
      t.text += peek() == 'n' ? '\n' : peek() == 't' ? '\t' : peek();
    } else {
      t.text += peek();
    }
    advance(1);
  }
  if (pos_ >= text_.size()) return {TokenKind::bad, "a string has no end", t.at};
  advance(1);
  return t;
}

Token Lexer::next() {
  std::string problem;
  const Place begin = here_;
  if (!skip_blank(&problem)) return {TokenKind::bad, problem, begin};
  if (pos_ >= text_.size()) return {TokenKind::end, "", here_};
  const Place at = here_;
  const char c = peek();
  if (c == '"') return string();
  if (is_digit(c)) return number();
  if (is_letter(c)) return {TokenKind::name, take_name(false), at};
  if ((c == '%' || c == '@') && (is_letter(peek(1)) || is_digit(peek(1)))) {
    advance(1);
    return {c == '%' ? TokenKind::local : TokenKind::global, take_name(c == '%'), at};
  }
  for (const std::string_view two : {"->", "=>", "==", "!=", "<=", ">="}) {
    if (!text_.substr(pos_).starts_with(two)) continue;
    advance(2);
    return {TokenKind::symbol, std::string(two), at};
  }
  if (std::string_view("()[]{},;:=.?+-*/<>").find(c) != std::string_view::npos) {
    advance(1);
    return {TokenKind::symbol, std::string(1, c), at};
  }
  advance(1);
  return {TokenKind::bad, std::string("`") + c + "` means nothing here", at};
}

}  // namespace repose::relay
