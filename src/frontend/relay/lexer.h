// Tokens of Relay's text.
#pragma once

#include <string>
#include <string_view>

#include "frontend/relay/syntax.h"

namespace repose::relay {

enum class TokenKind {
  name,    // add, nn.conv2d, Tensor
  local,   // %x, %0, %layer1.weight: without `%`
  global,  // @main: without `@`
  number,  // 1, 1.5e-05f, 2i64: with its suffix
  string,  // without quotes, escapes replaced
  symbol,
  end,
  bad,  // `text` says what is wrong
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;
  Place at;
  bool is(std::string_view symbol) const { return kind == TokenKind::symbol && text == symbol; }
  bool is_name(std::string_view name) const { return kind == TokenKind::name && text == name; }
};

// Gives one token after another; comments and `#[…]` are skipped, `#[metadata]` ends the text.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  Token next();

 private:
  std::string_view text_;
  size_t pos_ = 0;
  Place here_{1, 1};

  char peek(size_t ahead = 0) const {
    return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : '\0';
  }
  void advance(size_t count);
  bool skip_blank(std::string* problem);
  std::string take_name(bool is_local);
  Token number();
  Token string();
};

}  // namespace repose::relay
