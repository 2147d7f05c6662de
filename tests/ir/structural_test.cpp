// Alpha-equivalence, its hash, and modules that share equal programs.
#include "ir/structural.h"

#include <gtest/gtest.h>

#include "ir/programs.h"

namespace repose {
namespace {

using namespace testing_ir;
using graph::Block;
using graph::make_variable;

TEST(Structural, ProgramsAreEqualUpToNames) {
  tir::PrimFunc f = add_one(), g = add_one();
  EXPECT_TRUE(structural_equal(f, g));
  EXPECT_EQ(structural_hash(f), structural_hash(g));
  EXPECT_FALSE(structural_equal(f, add_one(true, "other")));
  EXPECT_FALSE(structural_equal(f, add_one(false)));
}

TEST(Structural, FreeSymbolsCountByIdentity) {
  Var n = make_var("n"), k = make_var("n");
  auto program = [](const Var& free) {
    Var m = make_var("m");
    Buffer a = make_buffer("a", {m}, dtypes::int64);
    return tir::make_prim_func({tir::buffer_param(a)}, tir::make<tir::EvaluateNode>(free + m));
  };
  EXPECT_TRUE(structural_equal(program(n), program(n)));
  EXPECT_EQ(structural_hash(program(n)), structural_hash(program(n)));
  EXPECT_FALSE(structural_equal(program(n), program(k)));
}

TEST(Structural, CorrespondenceIsOneToOne) {
  auto program = [](bool same) {
    Var m = make_var("m"), n = make_var("n");
    Buffer a = make_buffer("a", {m, n}, dtypes::int64);
    return tir::make_prim_func({tir::buffer_param(a)},
                               tir::make<tir::EvaluateNode>(same ? m + m : m + n));
  };
  EXPECT_FALSE(structural_equal(program(true), program(false)));
  EXPECT_FALSE(structural_equal(program(false), program(true)));
}

graph::Function chain(const char* name, int64_t factor, bool dataflow = true) {
  Var m = make_var(name);
  auto x = make_variable(name, f32({m}));
  auto y = make_variable(name, f32({m * factor}));
  return function_of(
      {x}, body_of({Block{dataflow, {{y, call_op("copy", {x}, f32({m * factor})), {}, {}}}}}, y),
      f32({m * factor}));
}

TEST(Structural, GraphFunctionsAreEqualUpToNames) {
  EXPECT_TRUE(structural_equal(chain("a", 2), chain("b", 2)));
  EXPECT_EQ(structural_hash(chain("a", 2)), structural_hash(chain("b", 2)));
  EXPECT_FALSE(structural_equal(chain("a", 2), chain("a", 3)));
  EXPECT_FALSE(structural_equal(chain("a", 2), chain("a", 2, false)));
}

TEST(Structural, MatchCastBindsItsSymbols) {
  auto program = [](bool swapped) {
    auto x = make_variable("x", tensor_type_of_rank(2, dtypes::float32));
    Var m = make_var("m"), n = make_var("n");
    Type t = f32({m, n});
    auto y = make_variable("y", t);
    graph::Value shape = graph::make_shape(swapped ? Dims{n, m} : Dims{m, n});
    return function_of({x}, body_of({Block{false, {{y, x, t, {}}}}}, shape), shape_type_of_rank(2));
  };
  EXPECT_TRUE(structural_equal(program(false), program(false)));
  EXPECT_EQ(structural_hash(program(false)), structural_hash(program(false)));
  EXPECT_FALSE(structural_equal(program(false), program(true)));
}

TEST(Structural, ConstantsAreEqualByContents) {
  auto program = [](int64_t value) {
    auto c = make_array({2}, dtypes::int64);
    c->store(1, Scalar::of_int(value, dtypes::int64));
    return function_of({}, body_of({}, graph::make_constant(c)),
                       tensor_type({i(2)}, dtypes::int64));
  };
  EXPECT_TRUE(structural_equal(program(1), program(1)));
  EXPECT_EQ(structural_hash(program(1)), structural_hash(program(1)));
  EXPECT_FALSE(structural_equal(program(1), program(2)));
}

TEST(Module, SharesEqualPrivatePrograms) {
  Module module;
  EXPECT_EQ(module.add_prim_func("add", add_one()), "add");
  EXPECT_EQ(module.add_prim_func("other", add_one()), "add");
  EXPECT_EQ(module.add_prim_func("add", add_one(true, "b")), "add_1");
  EXPECT_EQ(module.add_prim_func("add", add_one(false)), "add_2");
  EXPECT_EQ(module.add_prim_func("public", add_one(false)), "public");
  module.erase("add");
  EXPECT_EQ(module.find("add"), nullptr);
  EXPECT_EQ(module.add_prim_func("again", add_one()), "again");
  module.set("again", add_one(true, "changed"));
  EXPECT_EQ(module.add_prim_func("fresh", add_one()), "fresh");
  EXPECT_EQ(module.names(),
            (std::vector<std::string>{"add_1", "add_2", "public", "again", "fresh"}));
}

TEST(Module, CopiesAreIndependentAndEqual) {
  Module a;
  a.set("f", chain("x", 2));
  a.set("p", add_one());
  Module b = a;
  EXPECT_TRUE(structural_equal(a, b));
  b.set("f", chain("y", 2));
  EXPECT_TRUE(structural_equal(a, b));
  b.set("f", chain("y", 3));
  EXPECT_FALSE(structural_equal(a, b));
  EXPECT_NE(a.graph_function("f"), nullptr);
  EXPECT_EQ(a.graph_function("p"), nullptr);
  EXPECT_EQ(a.prim_func("f"), nullptr);
}

}  // namespace
}  // namespace repose
