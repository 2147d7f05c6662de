// What shares bytes, from text to plan: chains in place, views, concatenations, branches, results.
#include "memory/alias.h"

#include <gtest/gtest.h>

#include "ir/function_facts.h"
#include "memory/order.h"
#include "memory/plan.h"
#include "ops/ops.h"
#include "passes/graph/eliminate_dead_code.h"
#include "passes/lower/expose_symbols.h"
#include "passes/lower/legalize.h"
#include "passes/tensor/find_sharing.h"
#include "script/parser.h"

namespace repose {
namespace {

struct Planned {
  Module module;
  graph::Function function;
  MemoryPlan plan;

  explicit Planned(const std::string& text) {
    auto parsed = parse_module(make_text_source("test.relax", text), standard_ops());
    EXPECT_TRUE(parsed.ok()) << to_string(parsed.errors());
    auto lowered = legalize(*parsed, standard_ops());
    EXPECT_TRUE(lowered.ok()) << to_string(lowered.errors());
    module = eliminate_dead_code(
        find_sharing(expose_symbols(eliminate_dead_code(*lowered)), standard_ops()));
    function = module.graph_function("main");
    plan = plan_memory(function, module, declared_facts(function));
  }

  std::string peak() const { return to_string(plan.regions[0].bytes); }
  int views() const {
    int n = 0;
    graph::visit_bindings(function->body, true, [&](const graph::Binding& b) {
      const auto* call = graph::as<graph::CallNode>(b.value);
      n += call && call->op && call->op->name == "view";
    });
    return n;
  }
};

std::string main_of(const std::string& params, const std::string& result, const std::string& body,
                    const std::string& symbols = "m = T.int64()\n    n = T.int64()") {
  return "@R.function\ndef main(" + params + ") -> " + result + ":\n    " + symbols + "\n" + body;
}
const char* x_m = "x: R.Tensor((\"m\", 224), \"float32\")";
const char* xy = "x: R.Tensor((\"m\", 16), \"float32\"), y: R.Tensor((\"n\", 16), \"float32\")";

TEST(Alias, AChainOverOneBufferLivesInTheResult) {
  const Planned p(main_of(x_m, "R.Tensor((\"m * 224\",), \"float32\")",
                          "    a = R.exp(x)\n    b = R.flatten(a)\n    c = R.nn.relu(b)\n"
                          "    d = R.tanh(c)\n    return d\n",
                          "m = T.int64()"));
  EXPECT_EQ(p.peak(), "0");
}

// Where the chain does not end in the result's buffer, it needs one buffer.
TEST(Alias, AChainThatIsReducedNeedsOneBuffer) {
  const Planned p(main_of(x_m, "R.Tensor((\"m\",), \"float32\")",
                          "    a = R.exp(x)\n    b = R.tanh(a)\n    c = R.nn.relu(b)\n"
                          "    d = R.sum(c, axis=[1])\n    return d\n",
                          "m = T.int64()"));
  EXPECT_EQ(p.peak(), "m * 896");
}

TEST(Alias, SoftmaxIsWrittenOverItsOperandButASumIsNot) {
  const Planned p(main_of(x_m, "R.Tensor((\"m\", 224), \"float32\")",
                          "    a = R.exp(x)\n    b = R.nn.softmax(a, axis=-1)\n"
                          "    c = R.nn.softmax(b, axis=-1)\n    return c\n",
                          "m = T.int64()"));
  EXPECT_EQ(p.peak(), "0");
  // Along the outer axis, rows of the operand are columns of the softmax.
  const Planned t(main_of(x_m, "R.Tensor((224, \"m\"), \"float32\")",
                          "    a = R.exp(x)\n    b = R.permute_dims(a)\n    return b\n",
                          "m = T.int64()"));
  EXPECT_EQ(t.peak(), "m * 896");
}

TEST(Alias, AnOperandThatIsNeededLaterIsNotWrittenOver) {
  const Planned p(main_of(x_m, "R.Tensor((\"m\", 224), \"float32\")",
                          "    a = R.exp(x)\n    b = R.tanh(a)\n    c = R.sum(b, axis=[1], "
                          "keepdims=True)\n    d = R.add(a, c)\n    return d\n",
                          "m = T.int64()"));
  // `a` is in the result's buffer; `b` and the sums are beside it.
  EXPECT_EQ(p.peak(), "m * 896 + (m + 15) // 16 * 64");
}

TEST(Alias, InputsAreNeverWritten) {
  const Planned p(main_of(x_m, "R.Tensor((\"m\",), \"float32\")",
                          "    a = R.exp(x)\n    d = R.sum(a, axis=[1])\n    return d\n",
                          "m = T.int64()"));
  EXPECT_EQ(p.peak(), "m * 896");
}

// Types of few bits take exactly the bytes that their elements share.
TEST(Alias, PackedElementsShareBytes) {
  auto peak_of = [](const std::string& shape, const std::string& dtype) {
    const std::string x = "x: R.Tensor(" + shape + ", \"int32\")";
    return Planned(main_of(x, "R.Tensor(" + shape + ", \"int32\")",
                           "    a = R.astype(x, dtype=\"" + dtype +
                               "\")\n    b = R.astype(a, dtype=\"int32\")\n    return b\n",
                           "m = T.int64()"))
        .peak();
  };
  EXPECT_EQ(peak_of("(\"m\", 128)", "int4"), "m * 64");
  EXPECT_EQ(peak_of("(\"m\", 128)", "uint2"), "(m + 1) // 2 * 64");
  EXPECT_EQ(peak_of("(\"m\", 128)", "int8"), "m * 128");
  EXPECT_EQ(peak_of("(\"m\",)", "int4"), "(m + 127) // 128 * 64");
  EXPECT_EQ(peak_of("(5, 51)", "uint4"), "128");  // 127.5 bytes
  EXPECT_EQ(peak_of("(5, 51)", "int2"), "64");
}

TEST(Alias, ContiguousSlicesAndSplitsAreViews) {
  const Planned p(main_of("x: R.Tensor((\"m\", 16), \"float32\")", "R.Tensor((4, 16), \"float32\")",
                          "    e = R.exp(x)\n"
                          "    a = R.strided_slice(e, R.shape([1]), R.shape([5]), axes=[0], "
                          "assume_inbound=True)\n"
                          "    s = R.split(a, 2, axis=0)\n    u = s[0]\n    v = s[1]\n"
                          "    w = R.concat((v, u), axis=0)\n    return w\n",
                          "m = T.int64()"));
  EXPECT_EQ(p.views(), 3);
  EXPECT_EQ(p.peak(), "m * 64");
}

TEST(Alias, AnInnerSliceIsNoView) {
  const Planned p(main_of("x: R.Tensor((\"m\", 16), \"float32\")",
                          "R.Tensor((\"m\", 4), \"float32\")",
                          "    a = R.strided_slice(x, R.shape([0]), R.shape([4]), axes=[1])\n"
                          "    return a\n",
                          "m = T.int64()"));
  EXPECT_EQ(p.views(), 0);
}

TEST(Alias, PartsOfAConcatenationAreMadeInPlace) {
  const Planned p(main_of(xy, "R.Tensor((\"m + n\", 16), \"float32\")",
                          "    a = R.nn.softmax(x, axis=-1)\n    b = R.nn.softmax(y, axis=-1)\n"
                          "    c = R.concat((a, b), axis=0)\n    return c\n"));
  EXPECT_EQ(p.peak(), "0");
  ASSERT_EQ(p.plan.aliases.parts_to_copy.size(), 1U);
  EXPECT_TRUE(p.plan.aliases.parts_to_copy.begin()->second.empty());
}

TEST(Alias, AnInputIsCopiedIntoAConcatenation) {
  const Planned p(main_of(xy, "R.Tensor((\"m + n\", 16), \"float32\")",
                          "    b = R.nn.softmax(y, axis=-1)\n"
                          "    c = R.concat((x, b), axis=0)\n    return c\n"));
  EXPECT_EQ(p.peak(), "0");
  ASSERT_EQ(p.plan.aliases.parts_to_copy.size(), 1U);
  EXPECT_EQ(p.plan.aliases.parts_to_copy.begin()->second, std::vector<size_t>{0});
}

TEST(Alias, AConcatenationAlongAnInnerAxisIsComputed) {
  const Planned p(main_of("x: R.Tensor((\"m\", 16), \"float32\")",
                          "R.Tensor((\"m\", 32), \"float32\")",
                          "    a = R.exp(x)\n    b = R.tanh(x)\n"
                          "    c = R.concat((a, b), axis=1)\n    return c\n",
                          "m = T.int64()"));
  EXPECT_TRUE(p.plan.aliases.parts_to_copy.empty());
  EXPECT_EQ(p.peak(), "m * 128");
}

TEST(Alias, BranchesShareBytes) {
  const Planned p(
      main_of("x: R.Tensor((\"m\", 16), \"float32\"), c: R.Tensor((), \"bool\")",
              "R.Tensor((\"m\",), \"float32\")",
              "    if c:\n        a = R.permute_dims(x)\n        r = R.nn.softmax(a, axis=0)\n"
              "    else:\n        b = R.exp(x)\n        r = R.permute_dims(b)\n"
              "    s = R.sum(r, axis=[0])\n    return s\n",
              "m = T.int64()"));
  // The larger branch has an operand and the result; both results are one block.
  EXPECT_EQ(p.peak(), "m * 128");
}

std::string data_decides(const std::string& check) {
  return main_of("x: R.Tensor((\"n\", 8), \"float32\"), t: R.Tensor((1,), \"int64\")",
                 "R.Tensor((8,), \"float32\")",
                 "    k = T.int64()\n"
                 "    s = R.tensor_to_shape(t)\n    u = R.match_cast(s, R.Shape([k]))\n" +
                     check +
                     "    w = R.sum(x, axis=[0])\n"
                     "    a = R.broadcast_to(w, R.shape([k, 8]))\n"
                     "    b = R.sum(a, axis=[0])\n    return b\n",
                 "n = T.int64()");
}

TEST(SizeLimits, ASizeWithALimitIsPlannedAtEntry) {
  const Planned bounded(
      data_decides("    c = R.check(R.prim_value(k <= n), message=\"too many\")\n"));
  ASSERT_EQ(bounded.plan.regions.size(), 1U);
  EXPECT_EQ(bounded.peak(), "(n + 1) // 2 * 64 + 64");
  // What an operator says of its result: two comparisons, and terms on both sides.
  const Planned both(data_decides(
      "    c = R.check(R.prim_value(0 <= k and k + 3 <= n + 3), message=\"too many\")\n"));
  ASSERT_EQ(both.plan.regions.size(), 1U);
  EXPECT_EQ(both.peak(), bounded.peak());
  const Planned open(data_decides(""));
  EXPECT_EQ(open.plan.regions.size(), 2U);
}

TEST(SizeLimits, ALimitOfALimit) {
  const Planned chain(
      main_of("x: R.Tensor((\"n\", 8), \"float32\"), t: R.Tensor((2,), \"int64\")",
              "R.Tensor((8,), \"float32\")",
              "    k = T.int64()\n    j = T.int64()\n"
              "    s = R.tensor_to_shape(t)\n    u = R.match_cast(s, R.Shape([k, j]))\n"
              "    c = R.check(R.prim_value(k <= n), message=\"k\")\n"
              "    d = R.check(R.prim_value(j <= k), message=\"j\")\n"
              "    w = R.sum(x, axis=[0])\n"
              "    a = R.broadcast_to(w, R.shape([j, 8]))\n"
              "    b = R.sum(a, axis=[0])\n    return b\n",
              "n = T.int64()"));
  ASSERT_EQ(chain.plan.regions.size(), 1U);
  EXPECT_EQ(chain.peak(), "(n + 1) // 2 * 64 + 64");
}

// Sizes are clamped so that sums with them stay in 64 bits: that is no limit.
TEST(SizeLimits, NotANumberBeyondAnyMemory) {
  const Planned p(main_of("x: R.Tensor((\"n\", 8), \"float32\"), t: R.Tensor((1,), \"int64\")",
                          "R.Tensor((8,), \"float32\")",
                          "    k = T.int64()\n    n = T.int64()\n"
                          "    u = R.match_cast(R.tensor_to_shape(t), R.Shape([k]))\n"
                          "    c = R.check(R.prim_value(0 <= k), message=\"k\")\n"
                          "    w = R.sum(x, axis=[0])\n"
                          "    a = R.broadcast_to(w, R.shape([T.min(k, 36028797018963968), 8]))\n"
                          "    b = R.cumsum(R.cumsum(a, axis=0), axis=0)\n"
                          "    d = R.sum(b, axis=[0])\n    return d\n",
                          ""));
  EXPECT_EQ(p.plan.regions.size(), 2U);
}

// `sum` of `steps` lines over x of (n, 8), two of which hold a tensor whose size they decide.
Planned planned_from(const std::string& steps, const std::string& symbols = "k = T.int64()") {
  return Planned(
      main_of("x: R.Tensor((\"n\", 8), \"float32\"), t: R.Tensor((3,), \"int64\"), p: R.Tensor((), "
              "\"bool\")",
              "R.Tensor((8,), \"float32\")",
              "    n = T.int64()\n" + steps + "    w = R.cumsum(R.cumsum(y, axis=0), axis=0)\n" +
                  "    z = R.sum(w, axis=[0])\n    return z\n",
              symbols));
}

TEST(SizeLimits, FromTheFormOfASize) {
  const Planned p = planned_from(
      "    u = R.match_cast(R.tensor_to_shape(t), R.Shape([b, e, s]))\n"
      "    y = R.strided_slice(x, R.shape([b]), R.shape([e]), R.shape([1]), axes=[0])\n",
      "b, e, s = T.int64(), T.int64(), T.int64()");
  ASSERT_EQ(p.plan.regions.size(), 1U);
  EXPECT_EQ(p.peak(), "(n + 1) // 2 * 128");
}

// A loop over x (n, 16), with what it carries, how it goes on, and its body.
Planned looped(const std::string& carried, const std::string& test, const std::string& body,
               const std::string& init, const std::string& result,
               const std::string& type = "R.Tensor((16,), \"float32\")") {
  return Planned(main_of("x: R.Tensor((\"n\", 16), \"float32\")", type,
                         "    @R.function\n"
                         "    def goes_on(j: R.Prim(value=\"j\"), " +
                             carried + "):\n" + test +
                             "    @R.function\n"
                             "    def step(j: R.Prim(value=\"j\"), " +
                             carried + "):\n" + body +
                             "    r = R.while_loop(goes_on, step, (R.prim_value(0), " + init +
                             "))\n" + result + "    return y\n",
                         "n = T.int64()"));
}

TEST(Loops, WhatTheBodyMakesIsMadeInTheHome) {
  const Planned p = looped(
      "h: R.Tensor((\"n\", 16), \"float32\")", "        return R.prim_value(j < 9)\n",
      "        return (R.prim_value(j + 1), R.tanh(h))\n", "x", "    y = R.sum(r[1], axis=[0])\n");
  EXPECT_EQ(p.peak(), "n * 64");
  // What is needed after the result is made keeps its bytes.
  const Planned both =
      looped("h: R.Tensor((\"n\", 16), \"float32\")", "        return R.prim_value(j < 9)\n",
             "        a = R.nn.softmax(h, axis=0)\n"
             "        return (R.prim_value(j + 1), R.add(R.cumsum(a, axis=0), h))\n",
             "x", "    y = R.sum(r[1], axis=[0])\n");
  EXPECT_EQ(both.peak(), "n * 192");
}

TEST(Loops, RowsAreStackedInPlace) {
  const std::string rows = "rows: R.Tensor((\"j\", 16), \"float32\")";
  const std::string body =
      "        R.check(R.prim_value((0 <= j) and (j < n)), message=\"\")\n"
      "        row = R.strided_slice(x, R.shape([0]), R.shape([1]), axes=[0], "
      "assume_inbound=True)\n"
      "        s = R.nn.softmax(row, axis=-1)\n"
      "        return (R.prim_value(j + 1), R.concat((rows, s), axis=0))\n";
  const std::string none = "R.zeros(R.shape([0, 16]), \"float32\")";
  const Planned p = looped(rows, "        return R.prim_value(j < n)\n", body, none,
                           "    y = R.sum(r[1], axis=[0])\n");
  EXPECT_EQ(p.peak(), "n * 64");
  EXPECT_EQ(p.plan.regions.size(), 1U);
  ASSERT_EQ(p.plan.aliases.parts_to_copy.size(), 1U);
  EXPECT_TRUE(p.plan.aliases.parts_to_copy.begin()->second.empty());
  // In the result's buffer, if all of it will be filled.
  const std::string same = "    y = R.match_cast(r[1], R.Tensor((n, 16), \"float32\"))\n";
  const Planned result = looped(rows, "        return R.prim_value(j < n)\n", body, none, same,
                                "R.Tensor((\"n\", 16), \"float32\")");
  EXPECT_EQ(result.plan.aliases.copied_results, std::vector<bool>{false});
  EXPECT_EQ(result.peak(), "0");
  const Planned fewer = looped(rows, "        return R.prim_value(j + 1 < n)\n", body, none,
                               "    y = r[1]\n", "R.Tensor(ndim=2, dtype=\"float32\")");
  EXPECT_EQ(fewer.plan.aliases.copied_results, std::vector<bool>{true});
}

TEST(Loops, WhatHasNoBoundGrowsInTwoRegions) {
  const std::string test =
      "        s: R.Tensor((), \"float32\") = R.sum(v)\n"
      "        return R.less(s, R.const(100.0, \"float32\"))\n";
  const std::string init = "x", result = "    y = R.sum(r[1], axis=[0])\n";
  const Planned grows =
      looped("v: R.Tensor((\"k\", 16), \"float32\")", test,
             "        return (R.prim_value(j + 1), R.concat((v, x), axis=0))\n", init, result);
  EXPECT_EQ(grows.plan.regions.size(), 3U);
  EXPECT_EQ(grows.plan.aliases.appended.size(), 1U);
  EXPECT_FALSE(grows.plan.undecided.empty());
  // A size that stays has the bound that it had before.
  const Planned stays = looped("v: R.Tensor((\"k\", 16), \"float32\")", test,
                               "        return (R.prim_value(j + 1), R.tanh(v))\n", init, result);
  EXPECT_EQ(stays.plan.regions.size(), 1U);
}

TEST(SizeLimits, FromAnEquation) {
  // The parts of a split: each is what the others leave, and no other is below 0.
  const Planned split = planned_from(
      "    u = R.match_cast(R.tensor_to_shape(t), R.Shape([a, b, c]))\n"
      "    f = R.check(R.prim_value(0 <= b and 0 <= c), message=\"\")\n"
      "    g = R.check(R.prim_value(n == a + b + c), message=\"\")\n"
      "    y = R.strided_slice(x, R.shape([0]), R.shape([a]), axes=[0], assume_inbound=True)\n",
      "a, b, c = T.int64(), T.int64(), T.int64()");
  EXPECT_EQ(split.plan.regions.size(), 1U);
  // Another name for a size.
  const Planned renamed = planned_from(
      "    q = R.flatten(R.exp(x))\n"
      "    y = R.match_cast(q, R.Tensor((a,), \"float32\"))\n"
      "    v = R.cumsum(R.cumsum(y, axis=0), axis=0)\n"
      "    y = R.reshape(v, R.shape([n, 8]))\n",
      "a = T.int64()");
  EXPECT_EQ(renamed.plan.regions.size(), 1U);
  // Nothing bounds it: it has a region of its own.
  const Planned open = planned_from(
      "    u = R.match_cast(R.tensor_to_shape(t), R.Shape([a, b, c]))\n"
      "    g = R.check(R.prim_value(n == a + b + c), message=\"\")\n"
      "    y = R.broadcast_to(R.sum(x, axis=[0]), R.shape([T.max(a, 0), 8]))\n",
      "a, b, c = T.int64(), T.int64(), T.int64()");
  EXPECT_EQ(open.plan.regions.size(), 2U);
}

TEST(SizeLimits, OfWhatEitherBranchGives) {
  auto branches = [](const std::string& check) {
    return planned_from(
        "    u = R.match_cast(R.tensor_to_shape(t), R.Shape([a, b, c]))\n"
        "    if p:\n" +
            check +
            "        y = R.broadcast_to(R.sum(x, axis=[0]), R.shape([T.max(a, 0), 8]))\n"
            "    else:\n"
            "        y = R.exp(x)\n",
        "a, b, c = T.int64(), T.int64(), T.int64()");
  };
  EXPECT_EQ(
      branches("        f = R.check(R.prim_value(a <= n), message=\"\")\n").plan.regions.size(),
      1U);
  EXPECT_EQ(branches("").plan.regions.size(), 3U);  // in the branch, and behind it
}

}  // namespace
}  // namespace repose
