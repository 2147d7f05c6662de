// User-facing errors: their text with place, line and caret.
#include "base/diagnostic.h"

#include <algorithm>

#include "base/printable.h"

template class std::vector<repose::Diagnostic>;

namespace repose {

Diagnostics list_of(Diagnostic diagnostic) {
  Diagnostics list;
  list.push_back(std::move(diagnostic));
  return list;
}

const char* kind_name(DiagnosticKind kind) {
  switch (kind) {
#define DIAGNOSTIC(name, failure) \
  case DiagnosticKind::name:      \
    return #name;
#include "base/diagnostic_kinds.def"
#undef DIAGNOSTIC
  }
  return "?";
}

Failure kind_failure(DiagnosticKind kind) {
  switch (kind) {
#define DIAGNOSTIC(name, failure) \
  case DiagnosticKind::name:      \
    return Failure::failure;
#include "base/diagnostic_kinds.def"
#undef DIAGNOSTIC
  }
  return Failure::internal;
}

namespace {

// The part of a long line that is shown around its caret.
constexpr size_t max_line_bytes = 200;

// As wide as `text`. Tabs are kept, so that the caret stands under its character whatever a tab's
// width.
std::string blank(std::string_view text) {
  std::string out;
  for (char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) out += c == '\t' ? '\t' : ' ';
  }
  return out;
}

void append_place(std::string& out, const Span& span) {
  if (!span.source || span.source->kind != Source::Kind::text || span.line <= 0) return;
  std::string_view line = span.source->line(span.line);
  if (line.empty()) return;
  size_t column = std::min<size_t>(std::max(span.column, 1), line.size() + 1) - 1;
  std::string_view before, after;
  if (line.size() > max_line_bytes) {
    auto next_character = [&](size_t at) {  // of UTF-8
      while (at < line.size() && (static_cast<unsigned char>(line[at]) & 0xc0) == 0x80) ++at;
      return at;
    };
    const size_t half = max_line_bytes / 2;
    const size_t begin = next_character(column > half ? column - half : 0);
    const size_t end = next_character(std::min(begin + max_line_bytes, line.size()));
    if (begin > 0) before = "... ";
    if (end < line.size()) after = " ...";
    line = line.substr(begin, end - begin);
    column -= std::min(begin, column);
  }
  out += fmt::format("  {}{}{}\n  {}", before, escape_controls(line), after,
                     std::string(before.size(), ' '));
  out += blank(escape_controls(line.substr(0, column))) + "^\n";
}

void append_message(std::string& out, const Span& span, const char* severity,
                    const std::string& text) {
  std::string place = span.to_string();
  if (!place.empty()) out += escape_controls(place) + ": ";
  out += fmt::format("{}: {}", severity, escape_controls(text));
}

}  // namespace

std::string Diagnostic::to_string() const {
  std::string out;
  append_message(out, span, severity == Severity::error ? "error" : "warning", text);
  std::string name = kind_name(kind);
  std::replace(name.begin(), name.end(), '_', '-');
  out += fmt::format(" [{}]\n", name);
  append_place(out, span);
  for (const Note& note : notes) {
    append_message(out, note.span, "note", note.text);
    out += '\n';
    append_place(out, note.span);
  }
  return out;
}

std::string to_string(const Diagnostics& diagnostics) {
  std::string out;
  for (const Diagnostic& d : diagnostics) out += d.to_string();
  return out;
}

void fail_check(const char* file, int line, const char* condition, const std::string& why) {
  throw InternalError(fmt::format("{}:{}: {} ({})", file, line, why, condition));
}

}  // namespace repose
