// `# run:` lines: calls with their results.
//
//   # run: main([1, 2], [[3]]) == [4, 5]        the same bits
//   # run: main([1, 2]) ~= ([2.7], [7.4])       rounding apart; a tuple of results
//   # run: main([1, 2]) fails: dimension 0      the message contains this
//
// Arguments and results are nested lists, which take the dtype of the parameter or result, or
// R.const(…), R.shape(…), numbers for scalars, tuples of these in parentheses. An argument may be
// named: main(x=[1]).
#pragma once

#include "text/outcome.h"

namespace repose::testing_text {

struct Call {
  std::string function;
  std::vector<HostValue> args;
  std::string expected;  // the result's text; of the message, where it fails
  bool fails = false;
  Closeness closeness = Closeness::exact;
};

// The call with its arguments made for the function of the module, a graph function.
Result<Call> read_call(const std::string& text, const Module& module);

// "" where the outcome is what the line says, else what it was. `check_native` is for native code:
// `interpreted` tells what the result would be as a value of the graph.
std::string check_outcome(const Call& call, const Outcome& outcome);
std::string check_native(const Call& call, const Outcome& native, const Outcome& interpreted);

}  // namespace repose::testing_text
