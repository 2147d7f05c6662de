// What every reader of the syntax tree has: the tree, and where errors go.
#pragma once

#include "script/syntax.h"

namespace repose::script {

// What fails reports why, once, and gives null or false.
struct ReadContext {
  SyntaxTree& tree;
  Diagnostics& errors;

  Span span(const Node& node) const { return tree.span(node.at); }
  template <class... Args>
  std::nullptr_t fail(DiagnosticKind kind, const Position& at, fmt::format_string<Args...> text,
                      Args&&... args) {
    errors.push_back(error(kind, tree.span(at), text, std::forward<Args>(args)...));
    return nullptr;
  }
  void report(const Diagnostics& more) { errors.insert(errors.end(), more.begin(), more.end()); }
  // Is there a value? Reports why there is none.
  template <class T>
  bool check(const Result<T>& result) {
    if (!result.ok()) report(result.errors());
    return result.ok();
  }
};

}  // namespace repose::script
