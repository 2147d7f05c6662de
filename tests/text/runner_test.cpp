// The runner of text tests: what it reads, and that it fails where it has to.
#include <gtest/gtest.h>

#include "ops/ops.h"
#include "passes/graph/rewrite_calls.h"
#include "text/run_case.h"

namespace repose::testing_text {
namespace {

TextFile file_of(const std::string& text) {
  return read_text_file("t.relax", text);
}

// What is wrong with the first case, as one text.
std::string failures(const std::string& text, const RunOptions& options = {}) {
  const TextFile file = file_of(text);
  EXPECT_TRUE(file.mistakes.empty()) << file.mistakes[0];
  std::string all;
  for (const std::string& f : run_case(file, file.cases.at(0), options).failures) all += f + "\n";
  return all;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::string relu =
    "@R.function\n"
    "def main(x: R.Tensor((\"n\",), \"float32\")):\n"
    "    y = R.nn.relu(x)\n"
    "    return y\n";

// ---- The format --------------------------------------------------------------------------------

TEST(TextFile, HasCasesWithLines) {
  const TextFile file = file_of(
      "# test: pass a, b\n"
      "# about the file\n"
      "# ---- first one\n"
      "x  # warning: wrong\n"
      "# warning: more\n"
      "# check: one\n"
      "# check-not: two\n"
      "# weight: w float32 (3, 4)\n"
      "# ----\n"
      "y\n"
      "# run: main([1]) == [2]\n"
      "# no-run: there is no reason\n"
      "# ==>\n"
      "z\n"
      "\n");
  EXPECT_TRUE(file.mistakes.empty());
  EXPECT_EQ(file.command, "pass");
  EXPECT_EQ(file.arguments, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(file.cases.size(), 2u);
  const TextCase &a = file.cases[0], &b = file.cases[1];
  EXPECT_EQ(a.title, "first one");
  EXPECT_EQ(a.source.substr(0, 5), "\n\n\nx ") << "lines keep their numbers";
  ASSERT_EQ(a.messages.size(), 2u);
  EXPECT_EQ(a.messages[0].line, 4);
  EXPECT_EQ(a.messages[1].line, 4) << "a line of comment is about the line before";
  EXPECT_TRUE(a.messages[1].is_warning);
  ASSERT_EQ(a.checks.size(), 2u);
  EXPECT_TRUE(a.checks[1].is_not);
  ASSERT_EQ(a.weights.size(), 1u);
  EXPECT_EQ(a.weights[0].shape, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(b.runs.at(0).line, 11);
  EXPECT_EQ(*b.expected, "z\n");
  EXPECT_EQ(b.no_run, "there is no reason");
}

TEST(TextFile, MistakesAreReported) {
  EXPECT_TRUE(contains(file_of("x\n").mistakes.at(0), "t.relax:1: the first line"));
  EXPECT_TRUE(contains(file_of("# test: pas x\ny\n").mistakes.at(0), "`pas` is no command"));
  EXPECT_TRUE(contains(file_of("# test: parse\n").mistakes.at(0), "no case"));
  EXPECT_TRUE(contains(file_of("# test: parse\nx\n# chek: y\n").mistakes.at(0), "t.relax:3"));
  EXPECT_TRUE(contains(file_of("# test: parse\nx\n# no-run:\n").mistakes.at(0), "is empty"));
  EXPECT_TRUE(contains(file_of("# test: parse\nx # error: y\n# ==>\nz\n").mistakes.at(0),
                       "a case with errors has no output"));
}

// What stands beside an expected error, and would never be looked at.
TEST(TextFile, CasesWithErrorsSayNothingElse) {
  auto mistakes = [](const std::string& line) {
    const TextFile file = file_of("# test: parse\nx  # error: y\n" + line + "\n");
    return file.mistakes.empty() ? "" : file.mistakes[0];
  };
  EXPECT_EQ(mistakes(""), "");
  EXPECT_EQ(mistakes("# warning: z"), "");
  EXPECT_EQ(mistakes("# weight: w float32 (3, 4)"), "");
  EXPECT_EQ(mistakes("# run: main([1]) == [2]"),
            "t.relax:3: a case with errors has nothing to run");
  for (const char* line : {"# check: z", "# check-not: z", "# unchanged", "# ==>\nz"}) {
    EXPECT_TRUE(contains(mistakes(line), "t.relax:2: a case with errors has no output")) << line;
  }
  for (const char* line : {"# no-run: z", "# no-native: z"}) {
    EXPECT_TRUE(contains(mistakes(line), "a case with errors isn't run")) << line;
  }
}

TEST(TextFile, BlessedTextsStandWhereTheOldOnesStood) {
  const std::string text =
      "# test: parse\n# ---- a\nx\n# ==>\nold\nlonger\n\n# ---- b\ny\n# ==>\nold\n";
  const std::string blessed = with_expected(file_of(text), {{0, "new\n"}});
  EXPECT_EQ(blessed, "# test: parse\n# ---- a\nx\n# ==>\nnew\n\n# ---- b\ny\n# ==>\nold\n");
  EXPECT_EQ(with_expected(file_of(blessed), {{0, "new\n"}, {1, "old\n"}}), blessed);
}

TEST(TextFile, SplitsOutsideOfBracketsAndQuotes) {
  EXPECT_EQ(split_outside_brackets("[1, 2], f(3, 4), \"a,b\"", ','),
            (std::vector<std::string>{"[1, 2]", "f(3, 4)", "\"a,b\""}));
  EXPECT_TRUE(split_outside_brackets(" ", ',').empty());
}

// ---- What a case says --------------------------------------------------------------------------

TEST(TextCase, ErrorsStandOnTheirLines) {
  const std::string head =
      "# test: parse\n@R.function\ndef main(x: R.Tensor((2,), \"float32\")):\n";
  const std::string wrong = "    y = R.add(x, R.const([1, 2, 3], \"float32\"))";
  const std::string end = "\n    return x\n";
  EXPECT_EQ(failures(head + wrong + "  # error: dimension" + end), "");
  EXPECT_TRUE(contains(failures(head + wrong + end), "unexpected: t.relax:4"));
  EXPECT_TRUE(contains(failures(head + wrong + "  # error: something else" + end),
                       "line 4: no error contains `something else`"));
  EXPECT_TRUE(contains(failures(head + "    z = x  # error: dimension\n" + wrong + end),
                       "line 4: no error contains `dimension`"));
  EXPECT_TRUE(contains(failures(head + wrong + "  # error: dimension  # error: more" + end),
                       "no error contains"));
}

TEST(TextCase, OutputIsCompared) {
  const std::string text = "# test: parse\n" + relu + "# ==>\n";
  EXPECT_TRUE(contains(failures(text + "wrong\n"), "another output than expected"));
  EXPECT_TRUE(contains(failures("# test: parse\n" + relu + "# check: tanh\n"), "not there"));
  EXPECT_TRUE(contains(failures("# test: parse\n" + relu + "# check-not: relu\n"), "it is there"));
  EXPECT_TRUE(contains(failures("# test: parse\n" + relu), "expects nothing"));
  const TextFile file = file_of(text);
  RunOptions options;
  options.is_blessing = true;
  const CaseResult result = run_case(file, file.cases[0], options);
  EXPECT_TRUE(result.failures.empty());
  EXPECT_EQ(failures(with_expected(file, {{0, *result.output}})), "");
}

TEST(TextCase, ChecksAreInOrder) {
  auto checks = [](std::vector<Check> list) { return check_lines(list, "a b c b"); };
  EXPECT_EQ(checks({{"a"}, {"c"}, {"b"}}), "");
  EXPECT_NE(checks({{"c"}, {"a"}}), "");
  EXPECT_NE(checks({{"a"}, {"b", true}, {"c"}}), "");
  EXPECT_EQ(checks({{"a"}, {"b"}, {"b", true}, {"c"}, {"a", true}}), "");
  EXPECT_NE(checks({{"c"}, {"b", true}}), "");
}

TEST(TextCase, CallsAreCompared) {
  auto with = [](const std::string& run) {
    return failures("# test: parse\n" + relu + "# run: " + run + "\n");
  };
  EXPECT_EQ(with("main([-1, 2]) == [0, 2]"), "");
  EXPECT_EQ(with("main(x=[-1, 2]) ~= [0.00001, 2]"), "");
  EXPECT_EQ(with("main([[1]]) fails: x"), "");
  const std::string wrong = with("main([-1, 2]) == [0, 3]");
  EXPECT_TRUE(contains(wrong, "interpreter: element 1")) << wrong;
  EXPECT_TRUE(contains(wrong, "native code: element 1")) << wrong;
  EXPECT_TRUE(contains(with("main([1]) == [1, 1]"), "interpreter"));
  EXPECT_TRUE(contains(with("main([1]) fails: x"), "it ran"));
  EXPECT_TRUE(contains(with("main([[1]]) fails: something else"), "another message"));
  EXPECT_TRUE(contains(with("main([[1]]) == [1]"), "rank"));
  EXPECT_TRUE(contains(with("main([1], [2]) == [1]"), "takes 1 arguments"));
  EXPECT_TRUE(contains(with("other([1]) == [1]"), "no graph function `other`"));
  EXPECT_TRUE(contains(with("main([1])"), "expected `function(arguments)"));
}

// ---- Schedules ---------------------------------------------------------------------------------

const std::string copy =
    "@T.prim_func\n"
    "def main(A: T.Buffer((\"n\",), \"float32\"), B: T.Buffer((\"n\",), \"float32\")):\n"
    "    n = T.int64()\n"
    "    for i in range(n):\n"
    "        with T.block(\"B\"):\n"
    "            v = T.axis.spatial(n, i)\n"
    "            B[v] = A[v]\n";

TEST(TextFile, StepsHavePlacesAndPrograms) {
  const TextFile file = file_of(
      "# test: schedule\nx\n# schedule: a, b = split(i, 8, masked)  # error: wrong\n"
      "#  schedule f: parallel(i, 1)\n# error: worse\n# check: x\n");
  EXPECT_TRUE(file.mistakes.empty());
  const TextCase& c = file.cases.at(0);
  ASSERT_EQ(c.schedule.size(), 2u);
  EXPECT_EQ(c.schedule[0].step, "a, b = split(i, 8, masked)");
  EXPECT_EQ(c.schedule[0].program, "");
  EXPECT_EQ(c.schedule[0].line, 3);
  EXPECT_EQ(c.schedule[0].column, 13);
  EXPECT_EQ(c.schedule[1].step, "parallel(i, 1)");
  EXPECT_EQ(c.schedule[1].program, "f");
  ASSERT_EQ(c.messages.size(), 2u);
  EXPECT_EQ(c.messages[0].line, 3);
  EXPECT_EQ(c.messages[1].line, 4);
  EXPECT_TRUE(contains(file_of("# test: parse\nx\n# schedule: f(i)\n").mistakes.at(0),
                       "stands in files of `schedule`"));
}

TEST(TextCase, StepsAreAppliedOrRefused) {
  auto with = [](const std::string& lines) {
    return failures("# test: schedule\n" + copy + lines);
  };
  EXPECT_EQ(with("# schedule: parallel(i, 1)\n# check: T.parallel(n)\n"), "");
  EXPECT_EQ(with("# schedule: unroll(i)  # error: at most 64\n# check: range(n)\n"), "");
  EXPECT_TRUE(contains(with("# schedule: unroll(i)\n# check: range(n)\n"),
                       "unexpected: t.relax:9:13: error: a loop of at most 64 iterations"));
  EXPECT_TRUE(contains(with("# schedule: unroll(i)\n# check: range(n)\n"), "[illegal-schedule]"));
  EXPECT_TRUE(contains(with("# schedule: parallel(i, 1)  # error: no\n"),
                       "line 9: no error contains `no`"));
  EXPECT_TRUE(contains(with("# schedule f: parallel(i, 1)\n# check: n\n"),
                       "there is no tensor program `f`"));
  EXPECT_TRUE(contains(with("# schedule: parallel(i, 1)\n"), "expects nothing"));
}

// ---- What always holds of passes
// -----------------------------------------------------------------

// Passes that are wrong, each in one way.
class WrongPasses : public testing::Test {
 protected:
  static Result<Module> rename_operator(const Module& m, const char* from, const char* to) {
    Module result = m;
    rewrite_calls(result, [&](const graph::CallNode& call, const Type& type) -> graph::Value {
      if (!call.op || call.op->name != from) return nullptr;
      return make_ref<graph::CallNode>(standard_ops().find(to), nullptr, call.args, call.attrs,
                                       call.type_args, type);
    });
    return result;
  }

  static Result<Module> drop_bindings(const Module& m) {
    Module result = m;
    const graph::Function f = m.graph_function("main");
    auto body = make_ref<graph::BodyNode>(std::vector<graph::Block>{}, f->body->result);
    result.set("main", make_ref<graph::FunctionNode>(f->params, body, f->result_type, f->is_pure,
                                                     f->is_private, f->attrs, f->span));
    return result;
  }

  static PassUnderTest pass(std::function<Result<Module>(const Module&)> run) {
    PassUnderTest p;
    p.name = "wrong";
    p.run = std::move(run);
    return p;
  }

  static std::string run(const PassUnderTest& p, const std::string& text,
                         const std::string& directives = "# check: main\n") {
    const std::vector<PassUnderTest> passes{p};
    return failures("# test: pass wrong\n" + text + directives, RunOptions{false, passes});
  }
};

TEST_F(WrongPasses, NothingIsWrongWithNone) {
  EXPECT_EQ(run(pass([](const Module& m) { return Result<Module>(m); }), relu), "");
  EXPECT_TRUE(contains(failures("# test: pass unheard\n" + relu + "# check: main\n"),
                       "no pass is called `unheard`"));
}

TEST_F(WrongPasses, AnotherValue) {
  auto p = pass([](const Module& m) { return rename_operator(m, "nn.relu", "exp"); });
  EXPECT_TRUE(contains(run(p, relu), "before and after: element"));
}

TEST_F(WrongPasses, AnotherValueForOneExtentOnly) {
  // A mean is the sum of one element alone, and not a number for none.
  const std::string sum =
      "@R.function\ndef main(x: R.Tensor((\"n\",), \"float32\")):\n"
      "    R.func_attr({\"tir_var_upper_bound\": {\"n\": 1}})\n"
      "    y = R.sum(x, keepdims=True)\n    return y\n";
  auto p = pass([](const Module& m) { return rename_operator(m, "sum", "mean"); });
  EXPECT_TRUE(contains(run(p, sum), "n=0: before and after: element 0"));
}

TEST_F(WrongPasses, NotIdempotent) {
  auto p = pass([](const Module& m) {
    auto once = rename_operator(m, "negative", "abs");
    return rename_operator(*once, "nn.relu", "negative");
  });
  EXPECT_TRUE(contains(run(p, relu), "a second time changes its result"));
}

TEST_F(WrongPasses, NotWellFormed) {
  auto p = pass(drop_bindings);
  EXPECT_TRUE(contains(run(p, relu), "not well formed"));
}

TEST_F(WrongPasses, DropsAnEffect) {
  const std::string prints =
      "@R.function(pure=False)\ndef main(x: R.Tensor((\"n\",), \"float32\")):\n"
      "    R.print(x, format=\"{}\")\n    return x\n";
  auto p = pass(drop_bindings);
  EXPECT_TRUE(contains(run(p, prints), "it printed"));
}

TEST_F(WrongPasses, DropsACheck) {
  const std::string checks =
      "@R.function\ndef main(x: R.Tensor((\"n\",), \"float32\"), y: R.Tensor((\"m\",), "
      "\"float32\")):\n"
      "    n, m = T.int64(), T.int64()\n"
      "    R.check(R.prim_value(n == m), message=\"equal\")\n    return x\n";
  PassUnderTest p = pass(drop_bindings);
  EXPECT_TRUE(contains(run(p, checks), "it was refused before, and runs after"));
  p.drops_failures = "it may";
  EXPECT_EQ(run(p, checks), "");
}

TEST_F(WrongPasses, PromisesOfSharedMemory) {
  auto program = [](const std::string& from) {
    return "@T.prim_func\ndef main(A: T.Buffer((\"n\",), \"float32\"), "
           "B: T.Buffer((\"n\",), \"float32\")):\n"
           "    n = T.int64()\n    T.func_attr({\"in_place\": [1, 0]})\n"
           "    for i in range(n):\n        B[i] = A[" +
           from + "] + T.float32(1)\n";
  };
  auto same = pass([](const Module& m) { return Result<Module>(m); });
  EXPECT_EQ(run(same, program("i")), "");
  EXPECT_TRUE(contains(run(same, program("n - 1 - i")), "result 1 in place of 0, n="));
}

TEST_F(WrongPasses, WrongForOneTarget) {
  PassUnderTest p = pass([](const Module& m) { return Result<Module>(m); });
  p.variants.push_back([](const Module& m) { return rename_operator(m, "nn.relu", "exp"); });
  EXPECT_TRUE(contains(run(p, relu), "variant 1"));
}

TEST_F(WrongPasses, WhatCannotRunHasToSaySo) {
  auto same = pass([](const Module& m) { return Result<Module>(m); });
  const std::string never =
      "@R.function\ndef main(x: R.Tensor((\"n\",), \"float32\")):\n"
      "    n = T.int64()\n"
      "    R.check(R.prim_value(n * 2 == 13), message=\"never\")\n    return x\n";
  EXPECT_TRUE(contains(run(same, never), "runs for no arguments; say `# no-run: reason`"));
  EXPECT_EQ(run(same, never, "# no-run: never\n# check: main\n"), "");
  EXPECT_TRUE(contains(run(same, relu, "# no-run: never\n# check: main\n"), "runs, though"));
  const std::string object = "@R.function\ndef main(x: R.Object):\n    return x\n";
  EXPECT_TRUE(contains(run(same, object), "runs for no arguments"));
}

}  // namespace
}  // namespace repose::testing_text
