// Reading text tests, writing blessed ones.
#include "text/text_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

namespace repose::testing_text {

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::vector<std::string> split_outside_brackets(const std::string& text, char separator) {
  std::vector<std::string> parts;
  if (trimmed(text).empty()) return parts;
  int depth = 0;
  char quote = 0;
  std::string part;
  for (char c : text) {
    if (quote) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '(' || c == '[' || c == '{') {
      ++depth;
    } else if (c == ')' || c == ']' || c == '}') {
      --depth;
    } else if (c == separator && depth == 0) {
      parts.push_back(trimmed(part));
      part.clear();
      continue;
    }
    part += c;
  }
  parts.push_back(trimmed(part));
  return parts;
}

namespace {

constexpr const char* separator = "# ----";
constexpr const char* arrow = "# ==>";

std::vector<std::string> lines_of(const std::string& contents) {
  std::vector<std::string> lines;
  std::istringstream stream(contents);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// "name: rest" of a comment "# name: rest"; an empty name where it is prose.
std::pair<std::string, std::string> directive_of(const std::string& comment) {
  const std::string body = trimmed(comment.substr(1));
  if (body == "unchanged") return {body, ""};
  // `# schedule program: step`: the program's name goes with the step.
  const std::string named = "schedule ";
  if (body.rfind(named, 0) == 0 && body.find(':') != std::string::npos) {
    return {"schedule", trimmed(body.substr(named.size()))};
  }
  const size_t end = body.find_first_not_of("abcdefghijklmnopqrstuvwxyz-");
  if (end == 0 || end == std::string::npos || body[end] != ':') return {};
  return {body.substr(0, end), trimmed(body.substr(end + 1))};
}

class FileReader {
 public:
  explicit FileReader(TextFile& file) : file_(file) {}

  void read() {
    read_command();
    bool has_content = false;  // before the first separator
    size_t begin = 1;
    for (size_t i = 1; i < file_.lines.size() && !is_separator(i); ++i) {
      const std::string text = trimmed(file_.lines[i]);
      if (!text.empty() && text[0] != '#') has_content = true;
      begin = i + 1;
    }
    if (has_content) read_case("", 1, begin);
    while (begin < file_.lines.size()) {
      size_t end = begin + 1;
      while (end < file_.lines.size() && !is_separator(end)) ++end;
      const std::string& line = file_.lines[begin];
      const size_t title = line.find_first_not_of("- ", 1);
      read_case(title == std::string::npos ? "" : trimmed(line.substr(title)), begin + 1, end);
      begin = end;
    }
    if (file_.cases.empty()) mistake(1, "the file has no case");
  }

 private:
  TextFile& file_;
  int last_code_line_ = 0;

  bool is_separator(size_t i) const { return file_.lines[i].rfind(separator, 0) == 0; }

  void mistake(size_t line, const std::string& text) {
    file_.mistakes.push_back(fmt::format("{}:{}: {}", file_.path, line, text));
  }

  void read_command() {
    const std::string prefix = "# test: ";
    if (file_.lines.empty() || file_.lines[0].rfind(prefix, 0) != 0) {
      mistake(1, "the first line is not `# test: command`");
      return;
    }
    const std::string text = file_.lines[0].substr(prefix.size());
    const size_t space = text.find(' ');
    file_.command = text.substr(0, space);
    const char* commands[] = {"pass", "parse", "verify", "run", "schedule", "relay", "gradient"};
    if (std::find(std::begin(commands), std::end(commands), file_.command) == std::end(commands)) {
      mistake(1, fmt::format("`{}` is no command", file_.command));
    }
    if (space != std::string::npos) {
      file_.arguments = split_outside_brackets(text.substr(space), ',');
    }
  }

  // Lines [begin, end), counted from 0.
  void read_case(const std::string& title, size_t begin, size_t end) {
    TextCase c;
    c.title = title;
    c.line = static_cast<int>(begin) + 1;
    c.source.assign(begin, '\n');
    last_code_line_ = 0;
    size_t i = begin;
    for (; i < end && file_.lines[i].rfind(arrow, 0) != 0; ++i) read_line(c, i);
    if (i < end) read_expected(c, i + 1, end);
    check_case_with_errors(c);
    file_.cases.push_back(std::move(c));
  }

  // There is no module that anything else could be said of; a refused step leaves one.
  void check_case_with_errors(const TextCase& c) {
    auto is_step = [&](const ExpectedMessage& m) {
      return std::any_of(c.schedule.begin(), c.schedule.end(),
                         [&](const ScheduleLine& s) { return s.line == m.line; });
    };
    const bool has_errors =
        std::any_of(c.messages.begin(), c.messages.end(),
                    [&](const ExpectedMessage& m) { return !m.is_warning && !is_step(m); });
    if (!has_errors) return;
    const auto line = static_cast<size_t>(c.line);
    if (c.expected) mistake(line, "a case with errors has no output");
    if (!c.checks.empty()) mistake(line, "a case with errors has no output for `# check:`");
    for (const RunLine& run : c.runs) {
      mistake(static_cast<size_t>(run.line), "a case with errors has nothing to run");
    }
    if (c.is_unchanged) mistake(line, "a case with errors has no output that is `# unchanged`");
    if (c.no_run) mistake(line, "a case with errors isn't run: `# no-run:` says nothing");
    if (c.no_native) mistake(line, "a case with errors isn't run: `# no-native:` says nothing");
  }

  void read_line(TextCase& c, size_t i) {
    const std::string& line = file_.lines[i];
    c.source += line + "\n";
    const std::string text = trimmed(line);
    if (!text.empty() && text[0] == '#') {
      const auto [name, rest] = directive_of(text);
      if (!name.empty()) read_directive(c, name, rest, i + 1);
      return;
    }
    if (!text.empty()) last_code_line_ = static_cast<int>(i) + 1;
    read_messages(c, line);
  }

  // What stands behind the code of a line.
  void read_messages(TextCase& c, const std::string& line) {
    for (const char* tag : {"# error: ", "# warning: "}) {
      const size_t at = line.find(tag);
      if (at == std::string::npos) continue;
      const std::string message = trimmed(line.substr(at + std::string(tag).size()));
      c.messages.push_back({last_code_line_, message, tag[2] == 'w'});
    }
  }

  void read_directive(TextCase& c, const std::string& name, const std::string& rest, size_t line) {
    if (name == "error" || name == "warning") {
      c.messages.push_back({last_code_line_, rest, name == "warning"});
    } else if (name == "check" || name == "check-not") {
      c.checks.push_back({rest, name == "check-not"});
    } else if (name == "run") {
      c.runs.push_back({static_cast<int>(line), rest});
    } else if (name == "no-run") {
      c.no_run = rest;
    } else if (name == "no-native") {
      c.no_native = rest;
    } else if (name == "unchanged") {
      c.is_unchanged = true;
    } else if (name == "schedule") {
      read_step(c, rest, line);
    } else if (name == "weight") {
      read_weight(c, rest, line);
    } else {
      mistake(line, fmt::format("`# {}:` is not known", name));
      return;
    }
    if (rest.empty() && name != "unchanged") mistake(line, fmt::format("`# {}:` is empty", name));
  }

  // "[program:] step  # error: text"
  void read_step(TextCase& c, const std::string& text, size_t line) {
    if (file_.command != "schedule") mistake(line, "`# schedule:` stands in files of `schedule`");
    ScheduleLine step;
    step.line = last_code_line_ = static_cast<int>(line);
    read_messages(c, text);
    std::string code = trimmed(text.substr(0, text.find('#')));
    if (const size_t colon = code.find(':'); colon != std::string::npos) {
      step.program = trimmed(code.substr(0, colon));
      code = trimmed(code.substr(colon + 1));
    }
    step.column = static_cast<int>(file_.lines[line - 1].find(code)) + 1;
    step.step = std::move(code);
    c.schedule.push_back(std::move(step));
  }

  void read_weight(TextCase& c, const std::string& text, size_t line) {
    std::istringstream stream(text);
    WeightLine weight;
    std::string shape;
    stream >> weight.name >> weight.dtype;
    std::getline(stream, shape);
    shape = trimmed(shape);
    if (shape.size() < 2 || shape.front() != '(' || shape.back() != ')') {
      return mistake(line, "expected `# weight: name dtype (1, 2)`");
    }
    for (const std::string& d : split_outside_brackets(shape.substr(1, shape.size() - 2), ',')) {
      if (!d.empty()) weight.shape.push_back(std::stoll(d));
    }
    c.weights.push_back(std::move(weight));
  }

  void read_expected(TextCase& c, size_t begin, size_t end) {
    c.expected_begin = begin;
    c.expected_end = end;
    while (end > begin && trimmed(file_.lines[end - 1]).empty()) --end;
    c.expected = "";
    for (size_t i = begin; i < end; ++i) *c.expected += file_.lines[i] + "\n";
  }
};

}  // namespace

TextFile read_text_file(std::string path, const std::string& contents) {
  TextFile file;
  file.path = std::move(path);
  file.lines = lines_of(contents);
  FileReader(file).read();
  return file;
}

std::string with_expected(const TextFile& file, const std::map<size_t, std::string>& texts) {
  std::string out;
  size_t next = 0;
  auto copy_to = [&](size_t end) {
    for (; next < end; ++next) out += file.lines[next] + "\n";
  };
  for (const auto& [number, text] : texts) {
    const TextCase& c = file.cases.at(number);
    copy_to(c.expected_begin);
    out += text;
    next = c.expected_end;
    if (next < file.lines.size()) out += "\n";
  }
  copy_to(file.lines.size());
  return out;
}

}  // namespace repose::testing_text
