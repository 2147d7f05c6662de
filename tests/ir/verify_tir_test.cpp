// The verifier on tensor programs: each invariant T1 … T9, violated and kept.
#include <gtest/gtest.h>

#include "ir/programs.h"
#include "ir/verifier.h"

namespace repose {
namespace {

using namespace testing_ir;
using namespace tir;

struct VerifyProgram : testing::Test {
  using Texts = std::vector<std::string>;
  Var n = make_var("n");
  Buffer a = make_buffer("a", {n}, dtypes::float32), b = make_buffer("b", {n}, dtypes::float32);
  Var l = loop_var("i"), v = loop_var("v");
  Expr one = make_float(1, dtypes::float32);

  Texts problems(const PrimFunc& f) {
    Module module;
    module.set("f", f);
    Texts texts;
    for (const Diagnostic& d : verify(module, test_ops())) {
      EXPECT_EQ(d.text.rfind("`f`: ", 0), 0u) << d.text;
      texts.push_back(d.text.substr(5));
    }
    return texts;
  }
  Texts problems(Stmt body) {
    return problems(make_prim_func({buffer_param(a), buffer_param(b)}, std::move(body)));
  }
  Stmt store(const Expr& index, const Expr& value) {
    return make<StoreNode>(b, std::vector<Expr>{index}, value);
  }
  Stmt loop(Stmt body) { return make<ForNode>(l, i(0), n, ForKind::serial, std::move(body)); }
  BlockNode::Fields block(Stmt body) {
    BlockNode::Fields f;
    f.name = "blk";
    f.iters = {{v, i(0), n, IterKind::spatial, l}};
    f.body = std::move(body);
    return f;
  }
  Stmt in_loop(BlockNode::Fields f) { return loop(make<BlockNode>(std::move(f))); }
};

TEST_F(VerifyProgram, AcceptsAWellFormedProgram) {
  EXPECT_EQ(problems(add_one()), Texts{});
}

TEST_F(VerifyProgram, T1UnboundVariables) {
  EXPECT_EQ(problems(store(l, one)), Texts{"variable `i` is used where it is not bound"});
  EXPECT_EQ(problems(store(make_var("k"), one)), Texts{"symbol `k` is used, but nothing binds it"});
  EXPECT_EQ(problems(make_seq({loop(store(l, one)), store(l, one)})),
            Texts{"variable `i` is used where it is not bound"});
  EXPECT_EQ(problems(loop(loop(store(l, one)))),
            Texts{"variable `i` is bound again where it is visible"});
  Var k = make_var("k");
  Buffer half = make_buffer("half", {k * 2}, dtypes::float32);
  EXPECT_EQ(problems(make_prim_func({buffer_param(half)}, make_seq({}))),
            Texts{"symbol `k` is used, but nothing binds it"});
  EXPECT_EQ(problems(make_prim_func({buffer_param(half), scalar_param(k)}, make_seq({}))), Texts{});
}

TEST_F(VerifyProgram, T1SiblingLoopsMayShareAVariable) {
  EXPECT_EQ(problems(make_seq({loop(store(l, one)), loop(store(l, one))})), Texts{});
}

TEST_F(VerifyProgram, T2LoopVariablesInsideABlock) {
  EXPECT_EQ(problems(in_loop(block(store(l, one)))),
            Texts{"variable `i` is used inside block `blk`, where only axes, parameters, symbols "
                  "and the block's own variables are visible"});
  Var x = make_var("x", dtypes::float32, VarRole::let);
  EXPECT_EQ(problems(in_loop(block(make<LetNode>(x, one, store(v, x))))), Texts{});
  EXPECT_EQ(problems(make<LetNode>(x, one, in_loop(block(store(v, x))))).size(), 1u);
}

TEST_F(VerifyProgram, T2AxesOfEnclosingBlocksAreVisible) {
  Var w = loop_var("w");
  BlockNode::Fields inner;
  inner.name = "inner";
  inner.iters = {{w, i(0), n, IterKind::spatial, v}};
  inner.body = store(w, make_load(a, {v}));
  EXPECT_EQ(problems(in_loop(block(make<BlockNode>(inner)))), Texts{});
}

TEST_F(VerifyProgram, PlacesOfElements) {
  auto evaluated = [](Intrinsic which, DType dtype, const Expr& of) {
    return make<EvaluateNode>(make_call(which, dtype, {of}));
  };
  const Expr element = make_load(a, {i(0)});
  for (auto [which, dtype] : {std::pair{Intrinsic::prefetch, dtypes::int32},
                              std::pair{Intrinsic::buffer_data, dtypes::handle}}) {
    EXPECT_EQ(problems(evaluated(which, dtype, element + element)),
              Texts{fmt::format("`{}` takes an element of a buffer", intrinsic_name(which))});
  }
  EXPECT_EQ(problems(loop(evaluated(Intrinsic::prefetch, dtypes::int32, make_load(a, {l})))),
            Texts{});
}

TEST_F(VerifyProgram, T3UndeclaredBuffers) {
  Buffer t = make_buffer("t", {n}, dtypes::float32);
  EXPECT_EQ(problems(loop(store(l, make_load(t, {l})))),
            Texts{"buffer `t` is used where it is not declared"});
  EXPECT_EQ(problems(make<AllocateNode>(t, loop(store(l, make_load(t, {l}))))), Texts{});
  EXPECT_EQ(problems(make_seq({make<AllocateNode>(t, make_seq({})),
                               make<StoreNode>(t, std::vector<Expr>{i(0)}, one)})),
            Texts{"buffer `t` is used where it is not declared"});
  BlockNode::Fields f = block(store(v, make_load(t, {v})));
  f.alloc_buffers = {t};
  EXPECT_EQ(problems(in_loop(f)), Texts{});
  EXPECT_EQ(problems(make<AllocateNode>(a, make_seq({}))),
            Texts{"buffer `a` is declared again where it is visible"});
}

TEST_F(VerifyProgram, T4IndexDtypes) {
  Var j = make_var("j", dtypes::int32, VarRole::loop);
  EXPECT_EQ(problems(make<ForNode>(j, make_int(0, dtypes::int32), make_int(4, dtypes::int32),
                                   ForKind::serial, make_seq({}))),
            (Texts{"the lower bound of `j` has dtype int32, expected index",
                   "the extent of `j` has dtype int32, expected index",
                   "loop variable `j` has dtype int32, expected index"}));
  EXPECT_EQ(problems(store(make_int(0, dtypes::int64), one)),
            Texts{"index 0 of `b` has dtype int64, expected index"});
  Buffer t = make_buffer("t", {make_int(4, dtypes::int64)}, dtypes::float32);
  EXPECT_EQ(problems(make<AllocateNode>(t, make_seq({}))),
            Texts{"a dimension of `t` has dtype int64, expected index"});
  BlockNode::Fields f = block(make_seq({}));
  f.iters[0].var = make_var("q", dtypes::int32, VarRole::loop);
  EXPECT_EQ(problems(in_loop(f)), Texts{"axis `q` of block `blk` has dtype int32, expected index"});
}

TEST_F(VerifyProgram, T5ValueDtypes) {
  EXPECT_EQ(problems(loop(store(l, make_int(1, dtypes::int32)))),
            Texts{"a value of dtype int32 is stored to `b`, expected float32"});
  Var x = make_var("x", dtypes::int64, VarRole::let);
  EXPECT_EQ(problems(make<LetNode>(x, one, make_seq({}))),
            Texts{"variable `x` has dtype int64, its value has float32"});
  Buffer t = make_buffer("t", {n}, dtypes::float32);
  EXPECT_EQ(problems(make<DeclareNode>(t, one, make_seq({}))),
            Texts{"buffer `t` is declared at a value of dtype float32, expected a handle"});
  Var lane = loop_var("lane");
  EXPECT_EQ(problems(loop(make<StoreNode>(b, std::vector<Expr>{make_ramp(l, i(1), 8)},
                                          make_broadcast(one, 8)))),
            Texts{});
}

TEST_F(VerifyProgram, T6Conditions) {
  EXPECT_EQ(problems(make<tir::IfNode>(i(1), make_seq({}))),
            Texts{"the condition of an `if` has dtype index, expected bool"});
  EXPECT_EQ(problems(make<WhileNode>(one, make_seq({}))),
            Texts{"the condition of a `while` has dtype float32, expected bool"});
  EXPECT_EQ(problems(make<AssertNode>(i(1), "no", std::vector<Expr>{})),
            Texts{"the condition of an assertion has dtype index, expected bool"});
  BlockNode::Fields f = block(make_seq({}));
  f.predicate = l + 0;
  EXPECT_EQ(problems(in_loop(f)), Texts{"the predicate of a block has dtype index, expected bool"});
  EXPECT_EQ(problems(make<StoreNode>(b, std::vector<Expr>{i(0)}, one, Span{}, one)),
            Texts{"the predicate of a store to `b` has dtype float32, expected bool"});
}

TEST_F(VerifyProgram, T7OutOfBounds) {
  EXPECT_EQ(problems(store(i(-1), one)),
            Texts{"index 0 of `b` is `-1`, which is out of bounds: the dimension is `n`"});
  EXPECT_EQ(problems(store(n, one)),
            Texts{"index 0 of `b` is `n`, which is out of bounds: the dimension is `n`"});
  EXPECT_EQ(problems(loop(store(l, make_load(a, {l + n})))).size(), 1u);
  EXPECT_EQ(problems(store(i(5), one)), Texts{});  // n may be 6
  EXPECT_EQ(problems(loop(store(l + 1, one))), Texts{});
}

TEST_F(VerifyProgram, T7GuardsCount) {
  Buffer t = make_buffer("t", {i(4)}, dtypes::float32);
  Expr load = make_load(t, {l + 4});
  auto with = [&](Stmt s) {
    Stmt four = make<ForNode>(l, i(0), i(4), ForKind::serial, std::move(s));
    return problems(make<AllocateNode>(t, four));
  };
  EXPECT_EQ(with(store(l, load)).size(), 1u);
  Expr never = lt(l + 4, i(4));
  EXPECT_EQ(with(make<tir::IfNode>(never, store(l, load))), Texts{});
  EXPECT_EQ(with(store(l, make_if_then_else(never, load, one))), Texts{});
  EXPECT_EQ(with(make_seq({make<AssertNode>(never, "never", std::vector<Expr>{}), store(l, load)})),
            Texts{});
}

TEST_F(VerifyProgram, T7LetVariablesStandForTheirValues) {
  Var x = make_var("x", dtypes::index, VarRole::let),
      y = make_var("y", dtypes::index, VarRole::let);
  auto lets = [&](const Expr& of_x, const Expr& of_y, Stmt body) {
    return problems(make<LetNode>(x, of_x, make<LetNode>(y, of_y, std::move(body))));
  };
  EXPECT_EQ(lets(n, x + 1, store(y, one)),
            Texts{"index 0 of `b` is `y`, which is out of bounds: the dimension is `n`"});
  EXPECT_EQ(lets(n, x + 1, make<tir::IfNode>(lt(y, n), store(y, one))), Texts{});
  EXPECT_EQ(lets(n, x - 1, store(y, one)), Texts{});
  Expr load = make_cast(dtypes::index, make_load(b, {i(0)}));  // memory may change in between
  EXPECT_EQ(lets(load, load - 1, store(y - x, one)), Texts{});
}

// Written out, the last value has 2^64 terms.
TEST_F(VerifyProgram, LetVariablesMayGrow) {
  Expr value = n + 1;
  std::vector<Var> vars;
  std::vector<Expr> values;
  for (int k = 0; k < 64; ++k) {
    vars.push_back(make_var("x", dtypes::index, VarRole::let));
    values.push_back(value);
    value = vars.back() * vars.back() + 1;
  }
  Stmt body = store(i(-1), one);
  for (size_t k = vars.size(); k-- > 0;) body = make<LetNode>(vars[k], values[k], body);
  EXPECT_EQ(problems(body).size(), 1u);
}

TEST_F(VerifyProgram, T7AxisValues) {
  BlockNode::Fields f = block(store(v, one));
  f.iters[0].value = l + n;
  EXPECT_EQ(problems(in_loop(f)).size(), 1u);
}

TEST_F(VerifyProgram, T8InitAndRegions) {
  BlockNode::Fields f = block(store(v, one));
  f.init = store(v, one);
  EXPECT_EQ(problems(in_loop(f)), Texts{"block `blk` has an `init`, but no reduction axis"});
  f = block(store(v, one));
  f.reads = {{a, {}}};
  f.writes = {{b, {{v, i(1)}, {v, i(1)}}}};
  EXPECT_EQ(problems(in_loop(f)), (Texts{"a read of `a` has 0 ranges, expected 1",
                                         "a write of `b` has 2 ranges, expected 1"}));
}

TEST_F(VerifyProgram, T9CalledPrograms) {
  Expr call = make_call(Intrinsic::call_program, dtypes::int32, {}, "absent");
  EXPECT_EQ(problems(make<EvaluateNode>(call)),
            Texts{"the called program `absent` is not in the module"});
}

TEST_F(VerifyProgram, ViewsBindTheirStrides) {
  Var s = make_var("s");
  Buffer view = make_buffer("view", {n}, dtypes::float32, Scope::global, {s});
  BlockNode::Fields f = block(store(v, make_load(view, {v})));
  f.match_buffers = {{view, {a, {{i(0), n}}}}};
  EXPECT_EQ(problems(in_loop(f)), Texts{});
}

}  // namespace
}  // namespace repose
