// Runs a case of a text test: its command, and everything that the case says.
#pragma once

#include "text/passes.h"
#include "text/text_file.h"

namespace repose::testing_text {

struct CaseResult {
  std::vector<std::string> failures;  // empty: passed
  std::optional<std::string> output;  // what may stand after `# ==>`
};

struct RunOptions {
  bool is_blessing = false;  // the output may be another than expected
  const std::vector<PassUnderTest>& passes = passes_under_test();
};
CaseResult run_case(const TextFile& file, const TextCase& c, const RunOptions& options = {});

// "" where they are the same, else the lines around the first difference.
std::string text_difference(const std::string& expected, const std::string& actual);
// "" where the text has what the checks say.
std::string check_lines(const std::vector<Check>& checks, const std::string& text);

}  // namespace repose::testing_text
