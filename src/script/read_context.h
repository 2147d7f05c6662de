// What every reader of the syntax tree has: the tree, and where errors and warnings go.
#pragma once

#include "script/suggest.h"
#include "script/syntax.h"

namespace repose::script {

// More errors of one text are counted, not shown.
constexpr size_t max_errors = 100;

// What fails reports why, once, and gives null or false.
struct ReadContext {
  SyntaxTree& tree;
  Diagnostics& errors;
  Diagnostics warnings = {};

  Span span(const Node& node) const { return tree.span(node.at); }
  template <class... Args>
  std::nullptr_t fail(DiagnosticKind kind, const Position& at, fmt::format_string<Args...> text,
                      Args&&... args) {
    errors.push_back(error(kind, tree.span(at), text, std::forward<Args>(args)...));
    return nullptr;
  }
  void report(const Diagnostics& more) { errors.insert(errors.end(), more.begin(), more.end()); }
  // What `name` may have meant. Each look costs as much as there are names, so that a text with
  // many errors gets no more of them.
  template <class F>
  std::string hint(std::string_view name, const F& candidates) const {
    return errors.size() < max_errors ? suggest(name, candidates()) : "";
  }
  // Is there a value? Reports why there is none.
  template <class T>
  bool check(const Result<T>& result) {
    if (!result.ok()) report(result.errors());
    return result.ok();
  }
};

}  // namespace repose::script
