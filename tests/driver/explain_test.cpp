// How dimensions are explained, and which checks are listed.
#include "driver/explain.h"

#include <gtest/gtest.h>

#include "driver/pipeline.h"
#include "ir/function_facts.h"
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

TEST(Explain, ANameOfASizeLeadsToWhatItStandsFor) {
  const Module module = parse(R"(
@R.function
def main(x: R.Tensor(("m",), "float32")):
    m = T.int64()
    s = T.int64()
    t = T.int64()
    with R.dataflow():
        a = R.match_cast(R.prim_value((m + 1) // 2 + (m + 2) // 3 + (m + 4) // 5 + (m + 6) // 7 + (m + 10) // 11), R.Prim(value="s"))
        b = R.match_cast(R.prim_value((s + 1) // 2 + (m + 2) // 3 + (m + 4) // 5 + (m + 6) // 7 + (m + 10) // 11), R.Prim(value="t"))
        y = R.broadcast_to(R.sum(x), R.shape([t]))
        R.output(y)
    return y
)");
  const std::string text = why(module, "0:0");
  EXPECT_NE(text.find("symbol `t`: 0.."), std::string::npos) << text;
  EXPECT_NE(text.find(" + (s + 1) // 2`, computed"), std::string::npos) << text;
  EXPECT_NE(text.find("symbol `s`\n"), std::string::npos) << text;
  EXPECT_NE(text.find("stands for `(m + 1) // 2 + "), std::string::npos) << text;
  EXPECT_EQ(text.find("the data decides"), std::string::npos) << text;
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

TEST(RunTimeChecks, MatchCastToABoundSymbolIsOne) {
  const auto checks = checks_of(R"(
@R.function
def main(x: R.Tensor(("m",), "float32"), y: R.Tensor(("n",), "float32")):
    m, n = T.int64(), T.int64()
    a = R.match_cast(x, R.Tensor((n,), "float32"))
    z = R.add(a, y)
    return z
)");
  ASSERT_EQ(checks.size(), 1u);
  EXPECT_EQ(checks[0].condition, "m == n");
}

TEST(RunTimeChecks, CounterexamplesKeepToWhatIsKnown) {
  const auto checks = checks_of(R"(
@R.function
def main(x: R.Tensor(("n",), "float32"), y: R.Tensor(("k",), "float32")):
    n, k = T.int64(), T.int64()
    R.check(R.prim_value(n < k), message="")
    R.check(R.prim_value(k < 4), message="")
    R.check(R.prim_value(n != 2), message="")
    R.check(R.prim_value(n < 4), message="")
    return x
)");
  ASSERT_EQ(checks.size(), 4u);
  EXPECT_EQ(checks[2].reason.substr(0, 16), "fails for n = 2") << checks[2].reason;
  EXPECT_EQ(checks[3].reason, "follows from what is checked before");
}

TEST(Explain, SaysWhereARangeComesFrom) {
  const Module module = parse(R"(
@R.function
def main(x: R.Tensor(("n",), "float32"), y: R.Tensor(("b", "a"), "float32")):
    with R.dataflow():
        z = R.strided_slice(x, R.shape([0]), R.shape([512]), axes=[0])
        w = R.add(x, z)
        r = R.reshape(y, R.shape(["b", "a // 8", 8]))
        R.output(w, r)
    return (w, r)
)");
  const std::string n = why(module, "n");
  EXPECT_NE(n.find("0..512: `add` (test.relax:6:9) makes sure of n == T.min(n, 512)"),
            std::string::npos)
      << n;
}

TEST(Explain, SaysHowLargeASizeFromDataIs) {
  const Module module = parse(R"(
@R.function
def main(x: R.Tensor(("m", "n"), "float32")):
    y = R.nonzero(x)
    return y
)");
  const std::string text = why(module, "nonzero_count");
  EXPECT_NE(text.find("known: nonzero_count <= m * n, by `nonzero` (test.relax:4:5)"),
            std::string::npos)
      << text;
}

TEST(Explain, AScalarOperandIsCalledSo) {
  const std::string text = why(parse(R"(
@R.function
def main(k: R.Prim(value="k"), x: R.Tensor(("n",), "float32")):
    y = R.zeros(R.shape([k + 1]), dtype="float32")
    return y
)"),
                               "0:0");
  EXPECT_EQ(text.find("a value"), std::string::npos) << text;
}

TEST(Explain, TwoSymbolsAreNotCalledTheSame) {
  const Module module = parse(R"(
@R.function
def main(p: R.Tensor((), "bool"), x: R.Tensor(("c", "d"), "float32")):
    if p:
        o = R.concat((x, x), axis=0)
    else:
        o = R.exp(x)
    k = T.int64()
    y: R.Tensor((2, k), "int64") = R.nonzero(x)
    z = R.nonzero(o)
    return (o, y, z)
)");
  const char* wanted =
      "R.Tuple(R.Tensor((d_1, d), dtype=\"float32\"), R.Tensor((2, k), dtype=\"int64\"), "
      "R.Tensor((2, nonzero_count), dtype=\"int64\"))";
  EXPECT_EQ(to_string(module.graph_function("main")->result_type), wanted);
  auto lowered = run_pipeline(module, standard_ops(), {});
  ASSERT_TRUE(lowered.ok()) << to_string(lowered.errors());
  EXPECT_EQ(to_string(lowered->graph_function("main")->result_type), wanted);
}

TEST(RunTimeChecks, WhatAnOperatorGuaranteesIsNone) {
  auto lowered = run_pipeline(parse(R"(
@R.function
def main(x: R.Tensor(("m", "n"), "float32")):
    y = R.nonzero(x)
    return y
)"),
                              standard_ops(), {});
  ASSERT_TRUE(lowered.ok()) << to_string(lowered.errors());
  const graph::Function f = lowered->graph_function("main");
  auto checks = run_time_checks("main", f);
  ASSERT_TRUE(checks.ok());
  EXPECT_TRUE(checks->empty());
  // It is there, with its place, under one name.
  bool is_there = false;
  graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
    if (!is_promise(b.value)) return;
    is_there = true;
    EXPECT_EQ(b.span.to_string(), "test.relax:4:5");
  });
  EXPECT_TRUE(is_there);
  EXPECT_EQ(to_string(f->result_type), "R.Tensor((2, nonzero_count), dtype=\"int64\")");
}

TEST(RunTimeChecks, NegativeValuesAreTried) {
  const auto checks = checks_of(R"(
@R.function
def main(x: R.Tensor((2,), "int64")):
    k = T.int64()
    s = R.match_cast(R.tensor_to_shape(x), R.Shape([k, 8]))
    R.check(R.prim_value(k >= -1), message="")
    return x
)");
  ASSERT_FALSE(checks.empty());
  EXPECT_EQ(checks.back().condition, "-1 <= k");
  EXPECT_EQ(checks.back().reason, "fails for k = -2");
}

TEST(Explain, FunctionsThatALoopCallsStay) {
  const Module module = parse(R"(
@R.function(private=True)
def cond(i: R.Tensor((), "int64"), x: R.Tensor(("n",), "float32")) -> R.Tensor((), "bool"):
    with R.dataflow():
        c = R.less(i, R.const(3, "int64"))
        R.output(c)
    return c

@R.function(private=True)
def body(i: R.Tensor((), "int64"), x: R.Tensor(("n",), "float32")) -> R.Tuple(R.Tensor((), "int64"), R.Tensor(("n",), "float32")):
    with R.dataflow():
        j = R.add(i, R.const(1, "int64"))
        y = R.exp(x)
        R.output(j, y)
    return (j, y)

@R.function
def main(x: R.Tensor(("n",), "float32")):
    r = R.while_loop(cls.cond, cls.body, (R.const(0, "int64"), x))
    y = r[1]
    return y
)");
  const std::string text = why(module, "0:0");
  EXPECT_NE(text.find("bound where `while_loop` (test.relax:19:5)"), std::string::npos) << text;
}

TEST(Explain, ConditionsOfBranchesAreNotKnownOutside) {
  const Module module = parse(R"(
@R.function
def main(c: R.Tensor((), "bool"), x: R.Tensor(("n",), "float32"), y: R.Tensor(("m",), "float32")):
    if c:
        z = R.add(R.concat((x, x)), R.concat((y, y)))
        w = R.sum(z)
    else:
        w = R.sum(x)
    return w
)");
  const std::string text = why(module, "n");
  EXPECT_EQ(text.find("known"), std::string::npos) << text;
}

}  // namespace
}  // namespace repose
