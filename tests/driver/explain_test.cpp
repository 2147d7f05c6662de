// How dimensions are explained, and which checks are listed.
#include "driver/explain.h"

#include <gtest/gtest.h>

#include "driver/pipeline.h"
#include "ops/ops.h"
#include "script/parser.h"

namespace repose {
namespace {

Module parse(const std::string& text) {
  auto module = parse_module(make_text_source("test.relax", text), standard_ops(), {});
  EXPECT_TRUE(module.ok()) << to_string(module.errors());
  return module.ok() ? *module : Module();
}

std::string why(const Module& module, const std::string& query) {
  auto derivation = explain(module, standard_ops(), "main", query);
  return derivation.ok() ? to_string(*derivation) : to_string(derivation.errors());
}

const char* flattened = R"(
@R.function
def main(b: R.Tensor(("m", 224), "float32")):
    m = T.int64()
    with R.dataflow():
        e = R.exp(b)
        a = R.flatten(e)
        y = R.tanh(a)
        R.output(y)
    return y
)";

TEST(Explain, AProductLeadsToTheDimensionsThatItIsMadeOf) {
  EXPECT_EQ(why(parse(flattened), "0:0"),
            "output `output_0`, dimension 0: `m * 224`\n"
            "  kept by `tanh` (test.relax:8:9)\n"
            "  made by `flatten` (test.relax:7:9)\n"
            "    from dimension 0 of `e`: `m`\n"
            "      kept by `exp` (test.relax:6:9)\n"
            "      dimension 0 of input `b`: `m`\n"
            "        symbol `m`: 0..\n"
            "          bound by dimension 0 of input `b`\n");
}

TEST(Explain, ASumNamesBothOperandsAndWhatIsKnown) {
  const Module module = parse(R"(
@R.function
def main(past: R.Tensor(("b", "p", 8), "float32"), new: R.Tensor(("b", "n", 8), "float32")):
    R.func_attr({"tir_var_upper_bound": {"p": 4096}})
    with R.dataflow():
        y = R.concat((past, new), axis=1)
        R.output(y)
    return y
)");
  const std::string text = why(module, "output_0:1");
  EXPECT_NE(text.find("made by `concat`"), std::string::npos) << text;
  EXPECT_NE(text.find("from dimension 1 of input `past`: `p`"), std::string::npos) << text;
  EXPECT_NE(text.find("symbol `p`: 0..4096"), std::string::npos) << text;
  EXPECT_NE(text.find("from dimension 1 of input `new`: `n`"), std::string::npos) << text;
  const std::string symbol = why(module, "b");
  EXPECT_NE(symbol.find("bound by dimension 0 of input `past`"), std::string::npos) << symbol;
  EXPECT_NE(symbol.find("dimension 0 of input `new` is `b`: checked at entry"), std::string::npos)
      << symbol;
}

TEST(Explain, ElementsOfShapesAreFollowed) {
  const std::string text = why(parse(R"(
@R.function
def main(x: R.Tensor(("n", 6), "float32")):
    with R.dataflow():
        s = R.shape_to_tensor(R.shape_of(x))
        h = R.take(s, R.const([0], "int64"), axis=0)
        k = R.multiply(h, R.const([3], "int64"))
        t = R.concat((k, R.const([2], "int64")), axis=0)
        y = R.reshape(x, R.tensor_to_shape(t))
        R.output(y)
    return y
)"),
                               "0:0");
  EXPECT_NE(text.find("output `output_0`, dimension 0: `n * 3`"), std::string::npos) << text;
  EXPECT_NE(text.find("made by `multiply`"), std::string::npos) << text;
  EXPECT_NE(text.find("dimension 0 of input `x`: `n`"), std::string::npos) << text;
}

TEST(Explain, WhatIsNotThereIsListed) {
  const Module module = parse(flattened);
  for (const char* query : {"nothing", "0:1", "y:0", ":", ""}) {
    auto derivation = explain(module, standard_ops(), "main", query);
    ASSERT_FALSE(derivation.ok()) << query;
    EXPECT_EQ(derivation.errors()[0].kind, DiagnosticKind::bad_usage);
    EXPECT_NE(derivation.errors()[0].text.find("`output_0` (rank 1)"), std::string::npos);
  }
  EXPECT_FALSE(explain(module, standard_ops(), "other", "m").ok());
}

std::vector<RunTimeCheck> checks_of(const char* text) {
  const Module module = parse(text);
  auto checks = run_time_checks("main", module.graph_function("main"));
  EXPECT_TRUE(checks.ok());
  return checks.ok() ? *checks : std::vector<RunTimeCheck>();
}

TEST(RunTimeChecks, SayWhenTheyFail) {
  const auto checks = checks_of(R"(
@R.function
def main(x: R.Tensor(("m",), "float32"), y: R.Tensor(("k", "m"), "float32")):
    R.func_attr({"tir_var_lower_bound": {"m": 2}})
    with R.dataflow():
        z = R.reshape(y, R.shape([4, "k * m // 4"]))
        R.output(z)
    return z
)");
  ASSERT_EQ(checks.size(), 3u);
  EXPECT_EQ(checks[0].place, "entry, dimension 0 of input `x`");
  EXPECT_EQ(checks[0].condition, "2 <= m");
  EXPECT_EQ(checks[1].condition, "dimension 1 == m");
  EXPECT_EQ(checks[2].place, "test.relax:6:9");
  EXPECT_EQ(checks[2].reason.substr(0, 10), "fails for ") << checks[2].reason;
}

TEST(RunTimeChecks, WhatIsProvenIsNotListed) {
  const auto checks = checks_of(R"(
@R.function
def main(x: R.Tensor(("m", 8), "float32")):
    with R.dataflow():
        z = R.reshape(x, R.shape([2, "m * 4"]))
        R.output(z)
    return z
)");
  ASSERT_EQ(checks.size(), 1u);
  EXPECT_EQ(checks[0].place, "entry, input `x`");
  EXPECT_EQ(checks[0].condition, "dimension 1 == 8");
}

TEST(RunTimeChecks, AFailureNearAConstantIsFound) {
  const auto checks = checks_of(R"(
@R.function
def main(x: R.Tensor(("n",), "float32")):
    with R.dataflow():
        z = R.strided_slice(x, R.shape([0]), R.shape([512]), axes=[0])
        y = R.add(x, z)
        R.output(y)
    return y
)");
  ASSERT_EQ(checks.size(), 1u);
  EXPECT_EQ(checks[0].reason, "fails for n = 513") << checks[0].condition;
}

TEST(RunTimeChecks, MatchCastIsOne) {
  const auto checks = checks_of(R"(
@R.function
def main(x: R.Tensor(("m", "n"), "float32")):
    k = T.int64()
    y = R.match_cast(x, R.Tensor((k, 8), "float32"))
    return y
)");
  ASSERT_EQ(checks.size(), 1u);
  EXPECT_EQ(checks[0].condition, "n == 8");
  EXPECT_EQ(checks[0].reason, "fails for n = 0");
}

}  // namespace
}  // namespace repose
