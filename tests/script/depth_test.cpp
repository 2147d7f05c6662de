// Nesting: 256 levels are read, more are refused, and 100,000 are refused as quickly.
#include <gtest/gtest.h>

#include <array>
#include <ctime>
#include <initializer_list>

#include "script/parser.h"
#include "script/printer.h"
#include "small_ops.h"
#include "support/slow_build.h"

namespace repose {
namespace {

constexpr int many = 100'000;
constexpr double slowness = is_slow_build ? 20 : 1;  // of clocks

std::string repeat(const std::string& s, int n) {
  std::string out;
  out.reserve(s.size() * static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

std::string graph(const std::string& body) {
  return "@R.function\ndef main(x: R.Tensor((\"n\",), \"float32\"), c: R.Tensor((), \"bool\")):\n" +
         body;
}
std::string value(const std::string& text) {
  return graph("    y = " + text + "\n    return y\n");
}
std::string tensor(const std::string& body) {
  return "@T.prim_func\ndef main(I: T.Buffer((\"n\",), \"int64\")):\n    n = T.int64()\n" + body;
}
std::string scalar(const std::string& text) {
  return tensor("    I[0] = " + text + "\n");
}

Result<Module> read(const std::string& text) {
  return parse_module(make_text_source("t", text), small_ops());
}

// Of this process alone, whatever else the machine does.
class Stopwatch {
 public:
  double seconds() const { return static_cast<double>(std::clock() - start_) / CLOCKS_PER_SEC; }

 private:
  std::clock_t start_ = std::clock();
};

// Refused for its depth, among other things, in linear time.
void expect_too_deep(const std::string& text, const std::string& says = "more than 256") {
  SCOPED_TRACE(text.substr(0, 200));
  const Stopwatch watch;
  Result<Module> m = read(text);
  EXPECT_LT(watch.seconds(), 10 * slowness) << "not in linear time";
  ASSERT_FALSE(m.ok());
  bool found = false;
  for (const Diagnostic& d : m.errors()) {
    found = found ||
            (d.kind == DiagnosticKind::nesting_too_deep && d.text.find(says) != std::string::npos);
  }
  EXPECT_TRUE(found) << m.errors()[0].to_string().substr(0, 300);
}

TEST(Depth, ExpressionsAreLimited) {
  for (const auto& [open, inner, close] : std::initializer_list<std::array<const char*, 3>>{
           {"(", "x", ")"},           {"(", "", ""},
           {"[", "x", "]"},           {"(", "x", ",)"},
           {"{0: ", "x", "}"},        {"-", "x", ""},
           {"not ", "x", ""},         {"lambda: ", "x", ""},
           {"not -", "x", ""},        {"x ** ", "x", ""},
           {"x if c else ", "x", ""}, {"(x if c else ", "x", ")"},
           {"R.relu(", "x", ")"},     {"R.relu(x=", "x", ")"},
           {"R.add(x, ", "x", ")"},   {"x[", "0", "]"},
           {"x[0:", "0", "]"},        {"", "x", "[0]"},
           {"", "x", ".a"},           {"", "x", "()"},
           {"x + (", "x", ")"}}) {
    const std::string text = repeat(open, many) + inner + repeat(close, many);
    expect_too_deep(value(text));
    expect_too_deep(scalar(text));
  }
  expect_too_deep(value("x" + repeat(" + x", many)), "operators in a row");
  expect_too_deep(scalar("n" + repeat(" + n", many)), "operators in a row");
}

TEST(Depth, TypesAreLimited) {
  const std::string type = repeat("R.Tuple(", many) + "R.Object" + repeat(")", many);
  expect_too_deep("@R.function\ndef f(x: " + type + "):\n    return x\n");
  expect_too_deep("@R.function\ndef f(x: R.Object) -> " + type + ":\n    return x\n");
  const std::string quoted = '"' + repeat("(", many) + "n" + repeat(")", many) + '"';
  expect_too_deep("@R.function\ndef f(x: R.Tensor((\"n\", " + quoted + "))):\n    return x\n");
  expect_too_deep("@" + repeat("(", many) + "\ndef f():\n    return\n");
}

// A block in a block, `levels` times, each indented by one more, and what the innermost holds.
std::string nested(const std::string& line, int levels, const std::string& inner) {
  std::string text;
  for (int i = 0; i < levels; ++i) text += std::string(4 + static_cast<size_t>(i), ' ') + line;
  return text + std::string(4 + static_cast<size_t>(levels), ' ') + inner;
}

TEST(Depth, BlocksAreLimited) {
  for (const char* line :
       {"if n > 0:\n", "while n > 0:\n", "for i in range(n):\n", "with T.block(\"b\"):\n",
        "with T.attr(0, \"k\", 0):\n", "if n > 0:  # a comment\n\n"}) {
    expect_too_deep(tensor(nested(line, 300, "I[0] = 1\n")));
    expect_too_deep(tensor(repeat(nested(line, 300, "I[0] = 1\n"), 30)));
    // Behind the limit nothing is read, whatever it is.
    expect_too_deep(tensor(nested(line, 300, repeat("(", many) + "\n")));
    expect_too_deep(tensor(nested(line, 256, repeat(std::string(260, ' ') + line, many / 10))));
  }
  for (const char* line : {"if c:\n", "with R.dataflow():\n", "def f():\n", "class M:\n"}) {
    expect_too_deep(graph(nested(line, 300, "y = x\n")));
  }
  const std::string elif = "    elif n > 1:\n        pass\n";
  expect_too_deep(tensor("    if n > 0:\n        pass\n" + repeat(elif, many)));
}

// Each level is indented by one more, so that a text is quadratic in its depth: 100,000 levels are
// 5 GB, these are 50 MB.
TEST(Depth, IndentationIsLimited) {
  expect_too_deep(tensor(nested("if n > 0:\n", 10'000, "I[0] = 1\n")));
  expect_too_deep(graph(nested("if c:\n", 10'000, "y = x\n")));
  // One line that is indented by as much, and lines that are by one more each, with no block.
  EXPECT_FALSE(read(tensor(std::string(many, ' ') + "I[0] = 1\n")).ok());
  EXPECT_FALSE(read(tensor(nested("I[0] = 1\n", 3'000, "I[0] = 1\n"))).ok());
}

TEST(Depth, OneStatementOfManyLevelsIsLimited) {
  std::string names = "i", extents = "2", items = "T.attr(0, \"k\", 0)";
  for (int i = 0; i < many; ++i) {
    names += ", i";
    extents += ", 2";
    items += ", T.attr(0, \"k\", 0)";
  }
  expect_too_deep(tensor("    for " + names + " in T.grid(" + extents + "):\n        pass\n"));
  expect_too_deep(tensor("    with " + items + ":\n        pass\n"));
}

// What a statement declares stands around the rest of its block: that nests too.
TEST(Depth, ScopesAreLimited) {
  expect_too_deep(tensor(repeat("    x: T.int64 = n + 1\n", many) + "    I[0] = 1\n"), "4096");
  expect_too_deep(tensor(repeat("    T.attr(0, \"k\", 0)\n", many) + "    I[0] = 1\n"));
  const std::string declare = "    B = T.decl_buffer((4,), \"int64\")\n";
  expect_too_deep(tensor(repeat(declare, many) + "    I[0] = 1\n"), "4096");
  // Blocks and attributes together.
  expect_too_deep(
      tensor(repeat("    T.attr(0, \"k\", 0)\n", 200) + nested("if n > 0:\n", 100, "I[0] = 1\n")));
  Result<Module> m = read(tensor(repeat(declare, 4000) + "    I[0] = 1\n"));
  ASSERT_TRUE(m.ok()) << to_string(m.errors());
  const std::string printed = print(*m);
  Result<Module> again = read(printed);
  ASSERT_TRUE(again.ok()) << to_string(again.errors()).substr(0, 500);
  EXPECT_EQ(print(*again), printed);
}

// A compound statement doesn't stand on another's line: it is refused at the first.
TEST(Depth, OneLineHoldsOneBlock) {
  for (const char* line : {"if n > 0: ", "while n > 0: ", "for i in range(n): ", "with T.block(): ",
                           "def f(): ", "class M: ", "if n > 0: pass; "}) {
    Result<Module> m = read(tensor("    " + repeat(line, many) + "\n"));
    ASSERT_FALSE(m.ok()) << line;
    EXPECT_EQ(m.errors()[0].span.line, 4);
    EXPECT_LE(m.errors().size(), 2u) << line;
  }
}

TEST(Depth, LongChainsAndSequencesAreFine) {
  auto is_read = [](const std::string& text) {
    Result<Module> m = read(text);
    EXPECT_TRUE(m.ok()) << to_string(m.errors()).substr(0, 500);
    if (!m.ok()) return;
    EXPECT_FALSE(print(*m).empty());
  };
  is_read(value("x" + repeat(" + x", 1000)));
  is_read(scalar("I[1]" + repeat(" + I[2]", 1000)));
  is_read(scalar(repeat("(", 200) + "I[0]" + repeat(")", 200)));
  is_read(graph(repeat("    x = R.relu(x)\n", many / 10) + "    return x\n"));
  is_read(graph("    with R.dataflow():\n" + repeat("        x = R.relu(x)\n", many / 10) +
                "        R.output(x)\n    return x\n"));
  is_read(tensor(repeat("    I[0] = I[1]\n", many / 10)));
  is_read(tensor(repeat("    if n > 0:\n        I[0] = 1\n", many / 10)));
}

// Many errors, parameters or arguments are no reason to take long either.
TEST(Depth, ManyNamesAreFine) {
  std::string unknown, params, keywords;
  for (int i = 0; i < many; ++i) {
    const std::string number = std::to_string(i);
    unknown += "    x" + number + " = z" + number + "\n";
    params += "x" + number + ": R.Object, ";
    keywords += ", x" + number + "=x";
  }
  const Stopwatch watch;
  Result<Module> m = read(graph(unknown + "    return x\n"));
  ASSERT_FALSE(m.ok());
  EXPECT_EQ(m.errors().size(), 100u);
  EXPECT_NE(m.errors().back().to_string().find("99900 more errors"), std::string::npos);
  EXPECT_FALSE(read(value("R.add(x" + keywords + ")")).ok());
  EXPECT_TRUE(read("@R.function\ndef f(" + params + "):\n    return x0\n").ok());
  EXPECT_LT(watch.seconds(), 20 * slowness) << "not in linear time";
}

}  // namespace
}  // namespace repose
