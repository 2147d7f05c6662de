// The verifier on graph functions: each invariant G1 … G15 and M1, violated and kept.
#include <gtest/gtest.h>

#include "ir/programs.h"
#include "ir/verifier.h"

namespace repose {
namespace {

using namespace testing_ir;
using graph::Binding;
using graph::Block;
using graph::Body;
using graph::make_variable;
using graph::Value;
using graph::Variable;

struct VerifyGraph : testing::Test {
  Var m = make_var("m"), n = make_var("n");
  Variable x = make_variable("x", f32({m}));
  Variable y = make_variable("y", f32({m}));
  Variable z = make_variable("z", f32({m}));
  Module module;

  void SetUp() override { module.set("add_one", add_one()); }

  Value copy(const Value& v) { return call_op("copy", {v}, v->type); }

  // The texts of the violations by `main`, without its name.
  std::vector<std::string> problems(const graph::Function& f) {
    module.set("main", f);
    std::vector<std::string> texts;
    for (const Diagnostic& d : verify(module, test_ops())) {
      EXPECT_EQ(d.text.rfind("`main`: ", 0), 0u) << d.text;
      texts.push_back(d.text.substr(std::string("`main`: ").size()));
    }
    return texts;
  }
  std::vector<std::string> problems(std::vector<Block> blocks, Value result, bool pure = true,
                                    Attrs attrs = {}) {
    Type type = result->type ? result->type : any_type();
    return problems(function_of({x}, body_of(std::move(blocks), std::move(result)), type, pure,
                                std::move(attrs)));
  }
  static Block plain(std::vector<Binding> bindings) { return {false, std::move(bindings)}; }
  static Block dataflow(std::vector<Binding> bindings) { return {true, std::move(bindings)}; }

  using Texts = std::vector<std::string>;
};

TEST_F(VerifyGraph, AcceptsAWellFormedFunction) {
  Variable inner = make_variable("inner", f32({m}), true);
  EXPECT_EQ(problems({dataflow({{inner, copy(x), {}, {}},
                                {y, call_tir("add_one", {inner}, f32({m})), {}, {}}}),
                      plain({{z, copy(y), {}, {}}})},
                     z),
            Texts{});
}

TEST_F(VerifyGraph, G1VariableBoundTwice) {
  EXPECT_EQ(problems({plain({{y, copy(x), {}, {}}, {y, copy(x), {}, {}}})}, y),
            Texts{"variable `y` is bound more than once"});
}

TEST_F(VerifyGraph, G2UseBeforeBinding) {
  EXPECT_EQ(problems({plain({{y, copy(z), {}, {}}, {z, copy(x), {}, {}}})}, y),
            Texts{"variable `z` is used before it is bound"});
}

TEST_F(VerifyGraph, G2UseOutsideOfABranch) {
  Value condition = graph::make_prim(make_bool(true));
  Body then_body = body_of({plain({{z, copy(x), {}, {}}})}, z), else_body = body_of({}, x);
  Value branch = make_ref<graph::IfNode>(condition, then_body, else_body, f32({m}));
  EXPECT_EQ(problems({plain({{y, branch, {}, {}}})}, z),
            Texts{"variable `z` is used outside of the sequence that binds it"});
}

TEST_F(VerifyGraph, G3DataflowVariableOutsideOfItsBlock) {
  Variable inner = make_variable("inner", f32({m}), true);
  EXPECT_EQ(problems({dataflow({{inner, copy(x), {}, {}}}), plain({{y, copy(inner), {}, {}}})}, y),
            Texts{"dataflow variable `inner` is used outside of its dataflow block"});
  Variable lonely = make_variable("lonely", f32({m}), true);
  EXPECT_EQ(problems({plain({{lonely, copy(x), {}, {}}})}, x),
            Texts{"dataflow variable `lonely` is bound outside of a dataflow block"});
}

TEST_F(VerifyGraph, G3ClosureUsesADataflowVariable) {
  Variable inner = make_variable("inner", f32({m}), true);
  graph::Function closure = function_of({}, body_of({}, inner), f32({m}));
  Variable f = make_variable("f", closure->type);
  EXPECT_EQ(problems({dataflow({{inner, copy(x), {}, {}}, {f, closure, {}, {}}})}, x),
            Texts{"a closure uses the dataflow variable `inner`, which is bound outside of it"});
}

TEST_F(VerifyGraph, G4UnboundSymbols) {
  EXPECT_EQ(problems({plain({{y, graph::make_shape({n}), {}, {}}})}, x).front(),
            "symbol `n` is used in a shape, but nothing binds it");
  Variable s = make_variable("s", shape_type({n * 2}));
  EXPECT_EQ(problems({plain({{s, graph::make_shape({n * 2}), {}, {}}})}, x),
            Texts{"symbol `n` is used in a shape, but nothing binds it"});
  Variable out = make_variable("out", f32({n}));
  EXPECT_EQ(problems({plain({{out, call_tir("add_one", {x}, f32({n})), {}, {}}})}, x),
            Texts{"symbol `n` is used in the result type of `call_tir`, but nothing binds it"});
  Variable p = make_variable("p", f32({n * 2}));
  EXPECT_EQ(problems(function_of({p}, body_of({}, p), f32({n * 2}))),
            Texts{"symbol `n` is used in the type of parameter `p`, but nothing binds it"});
}

TEST_F(VerifyGraph, G4MatchCastAndCallsBindSymbols) {
  Variable cast = make_variable("cast", f32({n}));
  Variable s = make_variable("s", shape_type({n * 2}));
  EXPECT_EQ(
      problems({plain({{cast, x, f32({n}), {}}, {s, graph::make_shape({n * 2}), {}, {}}})}, s),
      Texts{});
  Variable fresh = make_variable("fresh", f32({n}));
  EXPECT_EQ(problems({plain({{fresh, call_op("copy", {x}, f32({n})), {}, {}}})}, fresh), Texts{});
}

TEST_F(VerifyGraph, G5NormalForm) {
  EXPECT_EQ(problems({plain({{y, call_op("copy", {copy(x)}, f32({m})), {}, {}}})}, y),
            Texts{"an operand is a call, expected a leaf (normal form)"});
  EXPECT_EQ(problems({}, copy(x)),
            Texts{"the result of a body is a call, expected a leaf (normal form)"});
  Variable t = make_variable("t", tuple_type({f32({m})}));
  Value call = call_op("call_tir", {graph::make_global("add_one"), t}, f32({m}), {}, {f32({m})});
  EXPECT_EQ(problems({plain({{t, graph::make_tuple({x}), {}, {}}, {y, call, {}, {}}})}, y),
            Texts{"the arguments of a call of `add_one` are no literal tuple"});
}

TEST_F(VerifyGraph, G6Types) {
  Variable untyped = make_variable("u", nullptr);
  EXPECT_EQ(problems({plain({{untyped, copy(x), {}, {}}})}, x), Texts{"variable `u` has no type"});
  EXPECT_EQ(problems({plain({{y, call_op("copy", {x}, nullptr), {}, {}}})}, x),
            Texts{"the value of variable `y` has no type"});
  Variable wrong = make_variable("w", f32({m, m}));
  EXPECT_EQ(problems({plain({{wrong, copy(x), {}, {}}})}, x),
            Texts{"the value of `w` has type `R.Tensor((m,), dtype=\"float32\")`, the variable has "
                  "`R.Tensor((m, m), dtype=\"float32\")`"});
  EXPECT_EQ(problems(function_of({x}, body_of({}, x), f32({m + 1}))),
            Texts{"the result has type `R.Tensor((m,), dtype=\"float32\")`, the result type has "
                  "`R.Tensor((\"" +
                  to_string(canonical(m + 1)) + "\",), dtype=\"float32\")`"});
  EXPECT_EQ(problems(function_of({x}, body_of({}, x), nullptr)),
            Texts{"the function has no result type"});
  Variable cast = make_variable("c", f32({m}));
  EXPECT_EQ(problems({plain({{cast, x, f32({i(4)}), {}}})}, x),
            Texts{"variable `c` has type `R.Tensor((m,), dtype=\"float32\")`, it is cast to "
                  "`R.Tensor((4,), dtype=\"float32\")`"});
}

TEST_F(VerifyGraph, G6AnnotationsMayKnowLess) {
  Variable wide = make_variable("w", tensor_type_of_rank(1, dtypes::float32));
  EXPECT_EQ(problems({plain({{wide, copy(x), {}, {}}})}, wide), Texts{});
}

TEST_F(VerifyGraph, G7TupleItems) {
  Value tuple = graph::make_tuple({x});
  EXPECT_EQ(problems({plain({{y, graph::make_tuple_get(tuple, 1), {}, {}}})}, x).front(),
            "`y` is item 1 of a tuple with 1 members");
  EXPECT_EQ(problems({plain({{y, graph::make_tuple_get(x, 0), {}, {}}})}, x).front(),
            "`y` is an item of a value of type `R.Tensor((m,), dtype=\"float32\")`, which is no "
            "tuple");
}

TEST_F(VerifyGraph, G8MatchCastThatFails) {
  Type t = f32({m, n});
  Variable c = make_variable("c", t);
  EXPECT_EQ(problems({plain({{c, x, t, {}}})}, x),
            Texts{"`c` casts a value of type `R.Tensor((m,), dtype=\"float32\")` to "
                  "`R.Tensor((m, n), dtype=\"float32\")`"});
  Body failing = body_of({plain({{c, x, t, {}}})}, x);
  Value branch =
      make_ref<graph::IfNode>(graph::make_prim(make_bool(true)), failing, body_of({}, x), f32({m}));
  EXPECT_EQ(problems({plain({{y, branch, {}, {}}})}, y), Texts{});
}

TEST_F(VerifyGraph, G9Conditions) {
  Value branch = make_ref<graph::IfNode>(x, body_of({}, x), body_of({}, x), f32({m}));
  EXPECT_EQ(problems({plain({{y, branch, {}, {}}})}, y),
            Texts{"the condition of an `if` has type `R.Tensor((m,), dtype=\"float32\")`, expected "
                  "a bool of rank 0"});
  Value differ = make_ref<graph::IfNode>(graph::make_prim(make_bool(true)), body_of({}, x),
                                         body_of({}, graph::make_shape({m})), f32({m}));
  EXPECT_EQ(problems({plain({{y, differ, {}, {}}})}, y),
            Texts{"a branch of the `if` that gives `y` has type `R.Shape([m])`, the `if` has "
                  "`R.Tensor((m,), dtype=\"float32\")`"});
}

TEST_F(VerifyGraph, G10Calls) {
  EXPECT_EQ(problems({plain({{y, call_op("copy", {x, x}, f32({m})), {}, {}}})}, y),
            Texts{"`copy` takes 1 operands, 2 are given"});
  static const OpDef foreign{.name = "foreign", .args = {{"x"}}};
  Value call = make_ref<graph::CallNode>(&foreign, nullptr, std::vector<Value>{x}, Attrs{},
                                         std::vector<Type>{}, f32({m}));
  EXPECT_EQ(problems({plain({{y, call, {}, {}}})}, y),
            Texts{"`foreign` is no operator of the table"});

  Var k = make_var("k");
  Variable p = make_variable("p", f32({k, k}));
  graph::Function square = function_of({p}, body_of({}, p), f32({k, k}));
  module.set("square", square);
  auto call_square = [&](std::vector<Value> args, Type type) {
    return make_ref<graph::CallNode>(nullptr, graph::make_global("square", square->type),
                                     std::move(args), Attrs{}, std::vector<Type>{}, type);
  };
  EXPECT_EQ(problems({plain({{y, call_square({x, x}, f32({m})), {}, {}}})}, y),
            Texts{"`square` takes 1 arguments, 2 are given"});
  Variable wide = make_variable("wide", f32({m, m + 1}));
  Variable r = make_variable("r", f32({m, m}));
  EXPECT_EQ(problems({plain({{wide, call_op("copy", {x}, f32({m, m + 1})), {}, {}},
                             {r, call_square({wide}, f32({m, m})), {}, {}}})},
                     r)
                .front()
                .substr(0, 45),
            "argument 0 of the call of `square` has type `");
  Value not_callable = make_ref<graph::CallNode>(nullptr, x, std::vector<Value>{}, Attrs{},
                                                 std::vector<Type>{}, f32({m}));
  EXPECT_EQ(problems({plain({{y, not_callable, {}, {}}})}, y),
            Texts{"`x` is called, but is no graph function"});
}

TEST_F(VerifyGraph, G11Purity) {
  Value impure = call_op("call_packed", {make_ref<graph::ExternNode>("f")}, f32({m}));
  EXPECT_EQ(problems({plain({{y, impure, {}, {}}})}, y),
            Texts{"the function is pure, but calls `call_packed`, which is not"});
  EXPECT_EQ(problems({plain({{y, impure, {}, {}}})}, y, false), Texts{});
  EXPECT_EQ(problems({plain({{y, impure, {}, {}}})}, y, true, {{"relax.force_pure", true}}),
            Texts{});
  EXPECT_EQ(problems({dataflow({{y, impure, {}, {}}})}, y, false),
            Texts{"a dataflow block calls `call_packed`, which is not pure"});
}

TEST_F(VerifyGraph, G11NoControlFlowInDataflowBlocks) {
  Value branch = make_ref<graph::IfNode>(graph::make_prim(make_bool(true)), body_of({}, x),
                                         body_of({}, x), f32({m}));
  EXPECT_EQ(problems({dataflow({{y, branch, {}, {}}})}, y),
            Texts{"`y`: an `if` inside a dataflow block"});
  EXPECT_EQ(problems({dataflow({{y, call_op("while_loop", {x}, f32({m})), {}, {}}})}, y),
            Texts{"`y`: a loop inside a dataflow block"});
  Type self = function_type({f32({m})}, f32({m}), true);
  Value recursion =
      make_ref<graph::CallNode>(nullptr, graph::make_global("main", self), std::vector<Value>{x},
                                Attrs{}, std::vector<Type>{}, f32({m}));
  EXPECT_EQ(problems({dataflow({{y, recursion, {}, {}}})}, y),
            Texts{"a dataflow block calls the function that it is in"});
  EXPECT_EQ(problems({plain({{y, recursion, {}, {}}})}, y), Texts{});
}

TEST_F(VerifyGraph, M1UnknownGlobal) {
  EXPECT_EQ(problems({plain({{y, call_tir("absent", {x}, f32({m})), {}, {}}})}, y),
            Texts{"there is no `absent` in the module"});
}

TEST_F(VerifyGraph, G12CallTir) {
  auto with = [&](std::vector<Value> args, Type out) {
    Variable v = make_variable("v", out);
    return problems({plain({{v, call_tir("add_one", std::move(args), out), {}, {}}})}, x);
  };
  EXPECT_EQ(with({x, x}, f32({m})),
            Texts{"`add_one` has 2 parameters, the call gives 2 arguments and 1 results"});
  EXPECT_EQ(with({graph::make_shape({m})}, f32({m})),
            Texts{"argument 0 of `add_one` has type `R.Shape([m])`, parameter `a` is a buffer"});
  EXPECT_EQ(with({x}, tensor_type({m}, dtypes::float16)),
            Texts{"result 0 of `add_one` has dtype float16, buffer `b` has float32"});
  EXPECT_EQ(with({x}, f32({m, m})), Texts{"result 0 of `add_one` has rank 2, buffer `b` has 1"});
  EXPECT_EQ(with({x}, f32({m + 1})),
            Texts{"result 0 of `add_one`: dimension 0 is `" + to_string(canonical(m + 1)) +
                  "`, buffer `b` has `m` there"});
  module.set("graph", function_of({y}, body_of({}, y), f32({m})));
  Variable v = make_variable("v", f32({m}));
  EXPECT_EQ(problems({plain({{v, call_tir("graph", {x}, f32({m})), {}, {}}})}, x),
            Texts{"`call_tir` calls `graph`, which is no tensor program"});
}

TEST_F(VerifyGraph, G12ScalarParameters) {
  Var k = make_var("k"), s = make_var("s");
  Buffer out = make_buffer("out", {s}, dtypes::float32);
  module.set("fill", tir::make_prim_func({tir::scalar_param(k), tir::buffer_param(out)},
                                         tir::make_seq({})));
  EXPECT_EQ(problems({plain({{y, call_tir("fill", {graph::make_prim(m)}, f32({m})), {}, {}}})}, y),
            Texts{});
  EXPECT_EQ(problems({plain({{y, call_tir("fill", {x}, f32({m})), {}, {}}})}, y),
            Texts{"argument 0 of `fill` has type `R.Tensor((m,), dtype=\"float32\")`, parameter "
                  "`k` is a scalar of dtype index"});
}

struct VerifyInplace : VerifyGraph {
  void SetUp() override {
    Var k = make_var("k");
    Buffer a = make_buffer("a", {k}, dtypes::float32);
    module.set("twice", tir::make_prim_func({tir::buffer_param(a)}, tir::make_seq({})));
  }
  Value twice(const Value& v, std::vector<int64_t> indices = {0}) {
    return call_op("call_tir_inplace", {graph::make_global("twice"), graph::make_tuple({v})},
                   f32({m}), {{"inplace_indices", indices}}, {f32({m})});
  }
};

TEST_F(VerifyInplace, G13LaterUse) {
  EXPECT_EQ(problems({plain({{y, copy(x), {}, {}}, {z, twice(y), {}, {}}})}, z), Texts{});
  Variable w = make_variable("w", f32({m}));
  EXPECT_EQ(
      problems({plain({{y, copy(x), {}, {}}, {z, twice(y), {}, {}}, {w, copy(y), {}, {}}})}, w),
      Texts{"`y` is used after a call_tir_inplace has overwritten its storage"});
}

TEST_F(VerifyInplace, G13LaterUseOfAnAlias) {
  Variable t = make_variable("t", tuple_type({f32({m})}));
  Variable w = make_variable("w", f32({m}));
  EXPECT_EQ(problems({plain({{y, copy(x), {}, {}},
                             {t, graph::make_tuple({y}), {}, {}},
                             {z, twice(y), {}, {}},
                             {w, graph::make_tuple_get(t, 0), {}, {}}})},
                     x),
            Texts{"`t` is used after a call_tir_inplace has overwritten its storage"});
}

TEST_F(VerifyInplace, G13BranchesDontSeeEachOther) {
  Value condition = graph::make_prim(make_bool(true));
  Variable a = make_variable("a", f32({m})), b = make_variable("b", f32({m}));
  Variable w = make_variable("w", f32({m}));
  Value branch = make_ref<graph::IfNode>(condition, body_of({plain({{a, twice(y), {}, {}}})}, a),
                                         body_of({plain({{b, copy(y), {}, {}}})}, b), f32({m}));
  EXPECT_EQ(problems({plain({{y, copy(x), {}, {}}, {z, branch, {}, {}}})}, z), Texts{});
  EXPECT_EQ(problems({plain({{y, copy(x), {}, {}}, {z, branch, {}, {}}, {w, copy(y), {}, {}}})}, w),
            Texts{"`y` is used after a call_tir_inplace has overwritten its storage"});
}

TEST_F(VerifyInplace, G13Targets) {
  EXPECT_EQ(problems({plain({{y, twice(x, {3}), {}, {}}})}, y).front(),
            "result 0 overwrites argument 3, there are 1 arguments");
  EXPECT_EQ(problems({plain({{y, twice(x, {0, 0}), {}, {}}})}, y).front(),
            "inplace_indices has 2 members for 1 results");
  Value constant = graph::make_constant(make_array({4}, dtypes::float32));
  Variable c = make_variable("c", constant->type);
  EXPECT_EQ(problems({plain({{c, constant, {}, {}}, {y, twice(c), {}, {}}})}, y), Texts{});
  EXPECT_EQ(problems({plain({{y, twice(constant), {}, {}}})}, y), Texts{});
}

TEST_F(VerifyGraph, G14Donations) {
  auto with = [&](Attr donate) {
    Attrs attrs;
    attrs.set("donate", std::move(donate));
    return problems({plain({{y, copy(x), {}, {}}})}, y, true, attrs);
  };
  auto entry = [](int64_t result, int64_t param) { return std::pair(Attr(result), Attr(param)); };
  const Texts no_map{
      "`donate` is no dictionary from the 1 results to the 1 parameters, by position"};
  EXPECT_EQ(with(Attr(AttrDict{})), Texts{});
  EXPECT_EQ(with(Attr(AttrDict{entry(0, 0)})), Texts{});
  EXPECT_EQ(with(Attr(int64_t{3})), no_map);
  EXPECT_EQ(with(Attr(AttrDict{entry(0, 1)})), no_map);
  EXPECT_EQ(with(Attr(AttrDict{entry(-1, 0)})), no_map);
  EXPECT_EQ(with(Attr(AttrDict{{Attr("x"), Attr(int64_t{0})}})), no_map);
  EXPECT_EQ(with(Attr(AttrDict{entry(0, 0), entry(0, 0)})),
            Texts{"`donate` gives parameter `x` to two results"});
  Attrs attrs;
  attrs.set("donate", Attr(AttrDict{entry(0, 0)}));
  Variable w = make_variable("w", f32({m + make_int(1)}));
  EXPECT_EQ(
      problems(function_of({w, x}, body_of({}, x), f32({m}), true, attrs)),
      Texts{"`donate`: result 0 has type `R.Tensor((m,), dtype=\"float32\")`, parameter `w` has "
            "`R.Tensor((\"m + 1\",), dtype=\"float32\")`"});
}

TEST_F(VerifyGraph, G15Attributes) {
  auto with = [&](const char* key, Attr value) {
    Attrs attrs;
    attrs.set(key, std::move(value));
    return problems({plain({{y, copy(x), {}, {}}})}, y, true, attrs);
  };
  auto of_m = [](Attr value) { return Attr(AttrDict{{Attr("m"), std::move(value)}}); };
  EXPECT_EQ(with("tir_var_lower_bound", of_m(2)), Texts{});
  EXPECT_EQ(with("tir_var_divisor", of_m(0)),
            Texts{"`tir_var_divisor` of `m` is 0, expected at least 1"});
  EXPECT_EQ(with("tir_var_upper_bound", of_m("4")),
            Texts{"`tir_var_upper_bound` of `m` is no integer"});
  EXPECT_EQ(with("tir_var_upper_bound", of_m(-1)),
            Texts{"no value of `m` lies in its declared range"});
  EXPECT_EQ(with("tir_var_upper_bound", Attr(4)),
            Texts{"`tir_var_upper_bound` is no dictionary from symbols to integers"});
  EXPECT_EQ(with("tir_var_upper_bound", Attr(AttrDict{{Attr(1), Attr(4)}})),
            Texts{"a key of `tir_var_upper_bound` is no name of a symbol"});
  EXPECT_EQ(with("tir_var_upper_bound", Attr(AttrDict{{Attr("q"), Attr(4)}})),
            Texts{"`tir_var_upper_bound` names `q`, which is no symbol here; there are `m`"});
  EXPECT_EQ(with("tir_var_upper_bound", Attr(AttrDict{{Attr("m"), Attr(4)}, {Attr("m"), Attr(5)}})),
            Texts{"`tir_var_upper_bound` names `m` twice"});
  EXPECT_EQ(with("symbol_names", of_m("m.0")), Texts{});
  EXPECT_EQ(with("symbol_names", of_m(3)), Texts{"`symbol_names` of `m` is no string"});
  EXPECT_EQ(with("input_names", Attr(AttrList{"a"})), Texts{});
  EXPECT_EQ(with("input_names", Attr(AttrList{"a", "b"})),
            Texts{"`input_names` has 2 names for the 1 parameters"});
  EXPECT_EQ(with("output_names", Attr(AttrList{3})), Texts{"`output_names` is no list of strings"});
  EXPECT_EQ(with("relax.force_pure", Attr(true)), Texts{});
  EXPECT_EQ(with("relax.force_pure", Attr(3)), Texts{"`relax.force_pure` is no bool"});
}

TEST_F(VerifyGraph, G15NamesOfSymbolsAreDistinct) {
  Variable w = make_variable("w", f32({n}));
  Attrs attrs;
  attrs.set("symbol_names", Attr(AttrDict{{Attr("m"), Attr("a")}, {Attr("n"), Attr("a")}}));
  EXPECT_EQ(problems(function_of({x, w}, body_of({}, x), f32({m}), true, attrs)),
            Texts{"`symbol_names` calls both `m` and `n` `a`"});
}

TEST_F(VerifyGraph, EveryViolationHasASpan) {
  auto source = make_text_source("f.relax", "line one\nline two\n");
  Span span{source, 2, 3};
  module.set("main", function_of({x}, body_of({plain({{y, copy(z), {}, span}})}, y), f32({m})));
  Diagnostics found = verify(module, test_ops());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].kind, DiagnosticKind::ill_formed);
  EXPECT_EQ(found[0].span.to_string(), "f.relax:2:3");
}

}  // namespace
}  // namespace repose
