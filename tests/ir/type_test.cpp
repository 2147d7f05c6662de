// Types: canonical dimensions, printing, subtyping, least upper bound.
#include "ir/type.h"

#include <gtest/gtest.h>

namespace repose {
namespace {

struct TypeTest : testing::Test {
  Var m = make_var("m"), n = make_var("n");
  Expr i(int64_t v) { return make_int(v); }
  Type f32(Dims dims) { return tensor_type(std::move(dims), dtypes::float32); }
};

TEST_F(TypeTest, PrintsAsAnnotations) {
  EXPECT_EQ(to_string(f32({m, i(224)})), "R.Tensor((m, 224), dtype=\"float32\")");
  EXPECT_EQ(to_string(f32({m * 2})), "R.Tensor((\"m * 2\",), dtype=\"float32\")");
  EXPECT_EQ(to_string(f32({})), "R.Tensor((), dtype=\"float32\")");
  EXPECT_EQ(to_string(tensor_type_of_rank(2, dtypes::int64)), "R.Tensor(ndim=2, dtype=\"int64\")");
  EXPECT_EQ(to_string(tensor_type_of_rank(-1, {})), "R.Tensor");
  EXPECT_EQ(to_string(tensor_type({m}, dtypes::int8, {i(2)}, "cpu:0")),
            "R.Tensor((m,), dtype=\"int8\", strides=[2], vdevice=\"cpu:0\")");
  EXPECT_EQ(to_string(shape_type({m, i(3)})), "R.Shape([m, 3])");
  EXPECT_EQ(to_string(shape_type_of_rank(3)), "R.Shape(ndim=3)");
  EXPECT_EQ(to_string(prim_type(dtypes::int64)), "R.Prim(\"int64\")");
  EXPECT_EQ(to_string(prim_type_of(n)), "R.Prim(value=\"n\")");
  EXPECT_EQ(to_string(tuple_type({f32({m}), any_type()})),
            "R.Tuple(R.Tensor((m,), dtype=\"float32\"), R.Object)");
  EXPECT_EQ(to_string(function_type({f32({m})}, any_type(), true)),
            "R.Callable((R.Tensor((m,), dtype=\"float32\"),), R.Object, purity=True)");
  EXPECT_EQ(to_string(opaque_function_type(any_type(), false)), "R.Callable");
}

TEST_F(TypeTest, DimensionsAreCanonical) {
  EXPECT_TRUE(structural_equal(f32({m + m}), f32({m * 2})));
  EXPECT_TRUE(structural_equal(f32({m * n}), f32({n * m})));
  EXPECT_FALSE(structural_equal(f32({m}), f32({n})));
  EXPECT_FALSE(structural_equal(f32({m}), tensor_type({m}, dtypes::float16)));
}

TEST_F(TypeTest, SizesAreExpressions) {
  const auto* t = as<TensorTypeNode>(f32({m, i(224)}));
  Type keep = f32({m, i(224)});
  t = as<TensorTypeNode>(keep);
  EXPECT_TRUE(structural_equal(num_elements(*t), canonical(m * 224)));
  EXPECT_TRUE(structural_equal(size_bytes(*t), canonical(m * 896)));
  Type unknown = tensor_type_of_rank(2, dtypes::float32);
  EXPECT_EQ(num_elements(*as<TensorTypeNode>(unknown)), nullptr);
}

TEST_F(TypeTest, BindingSymbolsAreBareOnes) {
  Type t = tuple_type({f32({m, n * 2}), shape_type({n, m}), prim_type_of(make_var("k"))});
  std::vector<Var> bound = binding_symbols(t);
  ASSERT_EQ(bound.size(), 3u);
  EXPECT_EQ(bound[0], m);
  EXPECT_EQ(bound[1], n);
  EXPECT_EQ(bound[2]->name, "k");
  EXPECT_TRUE(binding_symbols(f32({m * 2})).empty());
}

TEST_F(TypeTest, FunctionTypesBindTheirParametersSymbols) {
  Var k = make_var("k");
  Type f = function_type({f32({m})}, f32({m, k}), true);
  std::vector<Var> vars = free_vars(f);
  ASSERT_EQ(vars.size(), 1u);
  EXPECT_EQ(vars[0], k);
}

TEST_F(TypeTest, SubstituteKeepsThePointerWhereNothingChanges) {
  Type t = tuple_type({f32({m}), any_type()});
  EXPECT_EQ(substitute(t, {{n.get(), i(3)}}), t);
  Type replaced = substitute(t, {{m.get(), i(3)}});
  EXPECT_TRUE(structural_equal(replaced, tuple_type({f32({i(3)}), any_type()})));
}

TEST_F(TypeTest, SubtypeTable) {
  const Type rank2 = tensor_type_of_rank(2, dtypes::float32);
  const Type unknown_rank = tensor_type_of_rank(-1, dtypes::float32);
  const Type no_dtype = tensor_type({m, n}, {});
  const Type full = f32({m, n});
  struct Row {
    Type derived, base;
    Truth expected;
  };
  const Row rows[] = {
      {full, full, Truth::yes},
      {full, rank2, Truth::yes},
      {full, unknown_rank, Truth::yes},
      {full, no_dtype, Truth::yes},
      {full, any_type(), Truth::yes},
      {rank2, unknown_rank, Truth::yes},
      {rank2, full, Truth::no},
      {no_dtype, full, Truth::no},
      {any_type(), full, Truth::no},
      {full, f32({n, m}), Truth::unknown},
      {f32({m, i(3)}), f32({m, i(4)}), Truth::no},
      {f32({m}), f32({m + 1}), Truth::no},
      {full, f32({m}), Truth::no},
      {tensor_type({m}, dtypes::float32, {}, "cpu:0"), f32({m}), Truth::yes},
      {f32({m}), tensor_type({m}, dtypes::float32, {}, "cpu:0"), Truth::no},
      {tensor_type({m, n}, dtypes::float32, {n, i(1)}), full, Truth::yes},
      {tensor_type({m, i(4)}, dtypes::float32, {i(8), i(1)}), f32({m, i(4)}), Truth::no},
      {shape_type({m}), shape_type_of_rank(1), Truth::yes},
      {shape_type_of_rank(1), shape_type_of_rank(-1), Truth::yes},
      {shape_type({m}), shape_type({m, n}), Truth::no},
      {prim_type_of(m), prim_type(dtypes::index), Truth::yes},
      {prim_type(dtypes::index), prim_type_of(m), Truth::no},
      {prim_type(dtypes::index), prim_type(dtypes::float32), Truth::no},
      {tuple_type({full, rank2}), tuple_type({rank2, rank2}), Truth::yes},
      {tuple_type({full}), tuple_type({full, full}), Truth::no},
      {full, shape_type({m, n}), Truth::no},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(is_subtype(row.derived, row.base), row.expected)
        << to_string(row.derived) << " < " << to_string(row.base);
  }
}

TEST_F(TypeTest, FunctionsAreContravariantInParameters) {
  const Type wide = tensor_type_of_rank(1, dtypes::float32), narrow = f32({m});
  const Type takes_wide = function_type({wide}, narrow, true);
  const Type takes_narrow = function_type({narrow}, wide, true);
  EXPECT_EQ(is_subtype(takes_wide, takes_narrow), Truth::yes);
  EXPECT_EQ(is_subtype(takes_narrow, takes_wide), Truth::no);
  const Type impure = function_type({wide}, narrow, false);
  EXPECT_EQ(is_subtype(takes_wide, impure), Truth::yes);
  EXPECT_EQ(is_subtype(impure, takes_wide), Truth::no);
  EXPECT_EQ(is_subtype(takes_wide, opaque_function_type(any_type(), true)), Truth::yes);
}

TEST_F(TypeTest, FunctionsAreEqualUpToTheirSymbols) {
  Var p = make_var("p");
  EXPECT_EQ(is_subtype(function_type({f32({p})}, f32({p * 2}), true),
                       function_type({f32({m})}, f32({m * 2}), true)),
            Truth::yes);
  EXPECT_EQ(is_subtype(function_type({f32({p})}, f32({p + 1}), true),
                       function_type({f32({m})}, f32({m}), true)),
            Truth::no);
}

TEST_F(TypeTest, FactsDecide) {
  Facts facts;
  facts.assume(eq(m, n));
  EXPECT_EQ(is_subtype(f32({m}), f32({n}), facts), Truth::yes);
}

TEST_F(TypeTest, LeastUpperBoundTable) {
  struct Row {
    Type a, b;
    std::string expected;
  };
  const Row rows[] = {
      {f32({m}), f32({m}), "R.Tensor((m,), dtype=\"float32\")"},
      {f32({m}), f32({n}), "R.Tensor(ndim=1, dtype=\"float32\")"},
      {f32({m}), f32({m, n}), "R.Tensor(dtype=\"float32\")"},
      {f32({m}), tensor_type({m}, dtypes::float16), "R.Tensor((m,))"},
      {f32({m}), shape_type({m}), "R.Object"},
      {shape_type({m, n}), shape_type({m, m}), "R.Shape(ndim=2)"},
      {shape_type({m}), shape_type({}), "R.Shape"},
      {prim_type_of(m), prim_type_of(n), "R.Prim(\"index\")"},
      {tuple_type({f32({m}), any_type()}), tuple_type({f32({n}), any_type()}),
       "R.Tuple(R.Tensor(ndim=1, dtype=\"float32\"), R.Object)"},
      {tuple_type({}), tuple_type({any_type()}), "R.Object"},
      {function_type({f32({m})}, f32({m}), true), function_type({f32({m})}, f32({m}), false),
       "R.Callable((R.Tensor((m,), dtype=\"float32\"),), R.Tensor((m,), dtype=\"float32\"), "
       "purity=False)"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(to_string(least_upper_bound(row.a, row.b)), row.expected);
    EXPECT_EQ(to_string(least_upper_bound(row.b, row.a)), row.expected);
  }
}

}  // namespace
}  // namespace repose
