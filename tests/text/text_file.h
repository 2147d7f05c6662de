// Text tests: a file of cases, what its lines mean, and how blessed texts go back into it.
// CONTRIBUTING.md ("Text tests") describes the format.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace repose::testing_text {

// `# error: text` or `# warning: text`: a message about `line` that contains `text`.
struct ExpectedMessage {
  int line = 0;  // of the file; 0: about no line
  std::string text;
  bool is_warning = false;
};

// `# check: text`: the output has it, after what the check before found. `# check-not: text`:
// nowhere between the checks beside it.
struct Check {
  std::string text;
  bool is_not = false;
};

// `# run: …` (run_line.h).
struct RunLine {
  int line = 0;
  std::string text;
};

// `# schedule: step`, `# schedule program: step`.
struct ScheduleLine {
  int line = 0;
  int column = 0;       // where the step begins
  std::string program;  // "": the first one
  std::string step;
};

// `# weight: name dtype shape`: the array of R.weight(name), with fixed contents.
struct WeightLine {
  std::string name, dtype;
  std::vector<int64_t> shape;
};

struct TextCase {
  std::string title;   // of the `# ----` line; may be empty
  int line = 0;        // its first line
  std::string source;  // the module's text, every line under its number in the file
  std::vector<ExpectedMessage> messages;
  std::vector<Check> checks;
  std::vector<RunLine> runs;
  std::vector<ScheduleLine> schedule;
  std::vector<WeightLine> weights;
  std::optional<std::string> no_run, no_native;  // why it isn't run
  bool is_unchanged = false;                     // `# unchanged`: the output is the input
  std::optional<std::string> expected;           // after `# ==>`
  size_t expected_begin = 0, expected_end = 0;   // its lines in the file, counted from 0
};

struct TextFile {
  std::string path;
  std::string command;                 // "pass", "verify", "parse", "run", "schedule", "relay"
  std::vector<std::string> arguments;  // "pass": names of passes
  std::vector<std::string> lines;
  std::vector<TextCase> cases;
  std::vector<std::string> mistakes;  // of the file itself, with line numbers
};

TextFile read_text_file(std::string path, const std::string& contents);

// The file with other texts after `# ==>`, by the number of the case.
std::string with_expected(const TextFile& file, const std::map<size_t, std::string>& texts);

std::string trimmed(const std::string& text);
// Parts between separators outside of brackets and quotes, trimmed; none for an empty text.
std::vector<std::string> split_outside_brackets(const std::string& text, char separator);

}  // namespace repose::testing_text
