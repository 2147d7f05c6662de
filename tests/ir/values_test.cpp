// Attributes, arrays, and the check of calls against operators' specifications.
#include <gtest/gtest.h>

#include "ir/op.h"

namespace repose {
namespace {

TEST(Attrs, ReadsByKind) {
  Attrs a{{"axis", 1}, {"eps", 0.5}, {"keep", true}, {"dtype", dtypes::int8}, {"mode", "edge"}};
  a.set("pads", std::vector<int64_t>{1, 2});
  EXPECT_EQ(a.get_int("axis"), 1);
  EXPECT_EQ(a.get_ints("axis"), (std::vector<int64_t>{1}));
  EXPECT_EQ(a.get_ints("pads"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(a.get_float("eps"), 0.5);
  EXPECT_TRUE(a.get_bool("keep"));
  EXPECT_EQ(a.get_dtype("dtype"), dtypes::int8);
  EXPECT_EQ(a.get_string("mode"), "edge");
  EXPECT_EQ(a.get_int("absent", 7), 7);
  EXPECT_THROW(a.get_int("mode"), InternalError);
  a.erase("mode");
  EXPECT_EQ(a.find("mode"), nullptr);
}

TEST(Attrs, EqualityIgnoresOrder) {
  Attrs a{{"x", 1}, {"y", 2}}, b{{"y", 2}, {"x", 1}};
  EXPECT_EQ(a, b);
  b.set("x", 3);
  EXPECT_FALSE(a == b);
  EXPECT_FALSE(Attr(1) == Attr(true));
  EXPECT_FALSE(Attr(0.0) == Attr(-0.0));
  Var m = make_var("m");
  EXPECT_EQ(Attr(Expr(m + 1)), Attr(Expr(m + 1)));
  EXPECT_EQ(Attr(Expr(m + 1)).hash(), Attr(Expr(m + 1)).hash());
  EXPECT_EQ(Attr(AttrDict{{"k", AttrList{1, 2}}}), Attr(AttrDict{{"k", AttrList{1, 2}}}));
}

TEST(Array, ElementsRoundTripInEveryDtype) {
  for (DType t : {dtypes::boolean, dtypes::int8, dtypes::int16, dtypes::int32, dtypes::int64,
                  dtypes::uint8, dtypes::uint16, dtypes::uint32, dtypes::uint64, dtypes::index}) {
    auto a = make_array({3}, t);
    a->store(1, Scalar::of_int(1, t));
    EXPECT_EQ(a->load(1), Scalar::of_int(1, t)) << t.to_string();
    EXPECT_EQ(a->load(2), Scalar::of_int(0, t)) << t.to_string();
  }
  for (DType t : {dtypes::float16, dtypes::bfloat16, dtypes::float32, dtypes::float64}) {
    auto a = make_array({2, 2}, t);
    a->store(3, Scalar::of_float(-1.5, t));
    EXPECT_EQ(a->load(3), Scalar::of_float(-1.5, t)) << t.to_string();
  }
  auto signed_bytes = make_array({1}, dtypes::int8);
  signed_bytes->store(0, Scalar::of_int(-1, dtypes::int8));
  EXPECT_EQ(signed_bytes->load(0).i, -1);
}

TEST(Array, ElementsShareBytes) {
  for (DType t :
       {dtypes::int2, dtypes::uint2, dtypes::int4, dtypes::uint4, dtypes::float4_e2m1fn}) {
    const int64_t n = 11, values = int64_t{1} << t.bits;
    auto a = make_array({n}, t);
    auto value = [&](int64_t i) {
      return t.is_float() ? Scalar::of_float(static_cast<double>(i % 4) - 1, t)
                          : Scalar::of_int(i % values, t);
    };
    for (int64_t i = n; i-- > 0;) a->store(i, value(i + 1));
    for (int64_t i = 0; i < n; ++i) a->store(i, value(i));  // changes no neighbour
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(a->load(i), value(i)) << t.to_string() << i;
    EXPECT_EQ(a->num_bytes, static_cast<size_t>((n * t.bits + 7) / 8));
    auto b = make_array({n}, t);
    for (int64_t i = 0; i < n; ++i) b->store(i, value(i));
    b->mutable_bytes()[b->num_bytes - 1] |= std::byte{0xc0};  // belongs to no element
    EXPECT_TRUE(equal_bytes(*a, *b)) << t.to_string();
    b->store(n - 1, value(n));
    EXPECT_FALSE(equal_bytes(*a, *b)) << t.to_string();
  }
  auto nibbles = make_array({3}, dtypes::uint4);
  for (int64_t i = 0; i < 3; ++i) nibbles->store(i, Scalar::of_int(i + 1, dtypes::uint4));
  EXPECT_EQ(nibbles->bytes[0], std::byte{0x21});  // the first in the lowest bits
  EXPECT_EQ(nibbles->bytes[1], std::byte{0x03});
}

TEST(Array, SizesOfPackedTypes) {
  EXPECT_EQ(array_bytes({3, 3}, dtypes::int4), 5);
  EXPECT_EQ(array_bytes({3, 3}, dtypes::uint2), 3);
  EXPECT_EQ(array_bytes({}, dtypes::int2), 1);
  EXPECT_EQ(array_bytes({0, 3}, dtypes::int4), 0);
  EXPECT_EQ(array_bytes({int64_t{1} << 62}, dtypes::int4), int64_t{1} << 61);
  const Var n = make_var("n");
  const Expr bytes = size_bytes(n * 3, dtypes::int4);
  EXPECT_EQ(to_string(canonical(substitute(bytes, {{n.get(), make_int(3)}}))), "5");
  EXPECT_EQ(to_string(canonical(substitute(bytes, {{n.get(), make_int(0)}}))), "0");
}

TEST(Array, SizesAndEquality) {
  EXPECT_EQ(array_bytes({2, 3}, dtypes::float32), 24);
  EXPECT_EQ(array_bytes({0, int64_t{1} << 62, 8}, dtypes::float32), 0);
  EXPECT_EQ(array_bytes({int64_t{1} << 62, 8}, dtypes::int8), -1);
  EXPECT_EQ(array_bytes({-1}, dtypes::int8), -1);
  auto empty = make_array({0, 4}, dtypes::float32);
  EXPECT_EQ(empty->num_elements(), 0);
  EXPECT_TRUE(equal_bytes(*empty, *make_array({0, 4}, dtypes::float32)));
  EXPECT_FALSE(equal_bytes(*empty, *make_array({4, 0}, dtypes::float32)));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(make_array({5}, dtypes::int8)->bytes) % 64, 0u);
}

Result<Type> infer_any(InferContext&, const graph::CallNode&) {
  return any_type();
}

const OpDef& op_pool() {
  static const OpDef def{.name = "pool",
                         .args = {{"x"}, {"bias", ArgKind::tensor, true}},
                         .attrs = {{"axes", AttrKind::integers, Attr(AttrList{})},
                                   {"scale", AttrKind::number},
                                   {"out", AttrKind::dtype_or_none, Attr()}},
                         .infer = infer_any};
  return def;
}

struct CheckCall : testing::Test {
  graph::Value x = graph::make_variable("x", tensor_type({make_int(2)}, dtypes::float32));
  graph::Value shape = graph::make_shape({make_int(2)});

  std::string errors(std::vector<graph::Value> args, Attrs attrs) {
    auto result = check_call(op_pool(), args, std::move(attrs), {});
    return result.ok() ? "" : to_string(result.errors());
  }
};

TEST_F(CheckCall, FillsInDefaultsInTheOrderOfTheSpecification) {
  auto attrs = check_call(op_pool(), {x}, {{"scale", 2}, {"axes", 1}}, {});
  ASSERT_TRUE(attrs.ok());
  EXPECT_EQ(*attrs, (Attrs{{"axes", AttrList{1}}, {"scale", 2.0}, {"out", Attr()}}));
  EXPECT_EQ(attrs->begin()->first, "axes");
}

TEST_F(CheckCall, ReportsWhatIsWrong) {
  EXPECT_EQ(errors({x, x}, {{"scale", 1.0}}), "");
  EXPECT_EQ(errors({}, {{"scale", 1.0}}),
            "error: `pool` takes 1 to 2 operands, 0 are given [wrong-arity]\n");
  EXPECT_EQ(errors({shape}, {{"scale", 1.0}}),
            "error: `pool`: operand 0 (`x`) has type `R.Shape([2])`, expected a tensor "
            "[type-mismatch]\n");
  EXPECT_EQ(errors({x}, {}), "error: `pool` needs the attribute `scale` [bad-attribute]\n");
  EXPECT_EQ(errors({x}, {{"scale", "much"}}),
            "error: `pool`: attribute `scale` must be a number [bad-attribute]\n");
  EXPECT_EQ(errors({x}, {{"scale", 1.0}, {"stride", 1}}),
            "error: `pool` has no attribute `stride` [bad-attribute]\n");
}

TEST_F(CheckCall, TableFindsByName) {
  static const OpDef other{.name = "abs", .args = {{"x"}}};
  const OpDef* ops[] = {&op_pool(), &other};
  OpTable table(ops);
  EXPECT_EQ(table.find("pool"), &op_pool());
  EXPECT_EQ(table.find("abs"), &other);
  EXPECT_EQ(table.find("poo"), nullptr);
  EXPECT_EQ(table.all()[0], &other);
  const OpDef* twice[] = {&other, &other};
  EXPECT_THROW(OpTable{twice}, InternalError);
}

}  // namespace
}  // namespace repose
