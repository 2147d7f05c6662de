// Every operation of expr/scalar.h in machine code, scalar and vector, on every CPU level.
#include <cmath>
#include <limits>

#include "expr/tiny_float.h"
#include "jit.h"

namespace repose::test {
namespace {

const DType numbers[] = {dtypes::int8,    dtypes::int16,    dtypes::int32,   dtypes::int64,
                         dtypes::uint8,   dtypes::uint16,   dtypes::uint32,  dtypes::uint64,
                         dtypes::float16, dtypes::bfloat16, dtypes::float32, dtypes::float64};

std::vector<Scalar> edge_values(DType dtype) {
  std::vector<Scalar> all;
  if (dtype.is_bool()) return {Scalar::of_int(0, dtype), Scalar::of_int(1, dtype)};
  if (!dtype.is_float()) {
    // The numbers around the top bit; of 64 bits, those next to both limits.
    const bool is_widest = dtype.bits == 64;
    const int64_t top = is_widest ? INT64_MIN : int64_t{1} << (dtype.bits - 1);
    const int64_t before = is_widest ? INT64_MAX : top - 1;
    for (int64_t v : {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{2}, int64_t{3}, int64_t{-7},
                      int64_t{10}, int64_t{100}, top, top + 1, before, int64_t{33}, int64_t{-64}}) {
      all.push_back(Scalar::of_int(v, dtype));
    }
    return all;
  }
  const double inf = std::numeric_limits<double>::infinity();
  for (double v :
       {0.0,     -0.0,    1.0,     -1.0,        0.5,   2.5,   -3.5,   7.25,   1e-3,   1e-7,   -3e-8,
        65504.0, 65519.0, 65520.0, 1e5,         -1e10, 3e9,   1e19,   1e38,   3.3e38, 1e-40,  1e-45,
        1e300,   inf,     -inf,    double{NAN}, 0.1,   255.5, -128.7, 2049.0, 6.1e-5, 5.97e-8}) {
    all.push_back(Scalar::of_float(v, dtype));
  }
  return all;
}

constexpr int lanes = 8;

using Make = std::function<Expr(Expr, Expr)>;

// scalars[i] = vectors[i] = make(a[i], b[i]), by one and in vectors of 8.
tir::PrimFunc map_program(DType a_type, DType b_type, DType out_type, int64_t n, const Make& make) {
  Buffer a = vector_buffer("a", a_type, n), b = vector_buffer("b", b_type, n),
         scalars = vector_buffer("scalars", out_type, n),
         vectors = vector_buffer("vectors", out_type, n);
  Var i = loop_var("i"), j = loop_var("j");
  auto at = [&](const Expr& index) { return make(make_load(a, {index}), make_load(b, {index})); };
  Expr lane_indices = make_ramp(j * lanes, make_int(1), lanes);
  return tir::make_prim_func(
      {tir::buffer_param(a), tir::buffer_param(b), tir::buffer_param(scalars),
       tir::buffer_param(vectors)},
      tir::make_seq(
          {loop(i, make_int(n), store(scalars, {i}, at(i))),
           loop(j, make_int(n / lanes), store(vectors, {lane_indices}, at(lane_indices)))}));
}

// Pairs of all edge values, padded to whole vectors.
void pairs(DType a_type, DType b_type, MutableArray* a, MutableArray* b) {
  std::vector<Scalar> x = edge_values(a_type), y = edge_values(b_type);
  auto n = static_cast<int64_t>(x.size() * y.size());
  int64_t padded = (n + lanes - 1) / lanes * lanes;
  *a = make_array({padded}, a_type);
  *b = make_array({padded}, b_type);
  for (int64_t i = 0; i < padded; ++i) {
    auto k = static_cast<size_t>(i % n);
    (*a)->store(i, x[k / y.size()]);
    (*b)->store(i, y[k % y.size()]);
  }
}

std::string show(const Scalar& s) {
  return s.dtype.to_string() + " " +
         (s.dtype.is_float() ? std::to_string(s.f) : std::to_string(s.i));
}

void expect_same(
    const std::string& what, DType a_type, DType b_type, DType out_type, const Make& make,
    const std::function<std::optional<Scalar>(const Scalar&, const Scalar&)>& reference,
    const Target& t) {
  MutableArray a, b;
  pairs(a_type, b_type, &a, &b);
  MutableArray scalars = make_array(a->shape, out_type), vectors = make_array(a->shape, out_type);
  Result<void> ok =
      run(map_program(a_type, b_type, out_type, a->shape[0], make), t, {a, b, scalars, vectors});
  ASSERT_TRUE(ok.ok()) << what << to_string(ok.errors());
  for (int64_t i = 0; i < a->shape[0]; ++i) {
    std::optional<Scalar> expected = reference(a->load(i), b->load(i));
    if (!expected) continue;
    for (const MutableArray& out : {scalars, vectors}) {
      ASSERT_EQ(out->load(i), *expected)
          << what << " of " << show(a->load(i)) << " and " << show(b->load(i)) << " is "
          << show(*expected) << ", not " << show(out->load(i))
          << (out == vectors ? " (vector) " : " ") << t.name;
    }
  }
}

TEST(arithmetic, binary_operators_have_the_values_of_the_definition) {
  for (const Target& t : runnable_targets()) {
    for (int k = static_cast<int>(ExprKind::add); k <= static_cast<int>(ExprKind::ge); ++k) {
      auto kind = static_cast<ExprKind>(k);
      for (DType dtype : numbers) {
        Scalar one = dtype.is_float() ? Scalar::of_float(1, dtype) : Scalar::of_int(1, dtype);
        if (!eval_binary(kind, one, one)) continue;
        DType result = is_compare(kind) ? dtypes::boolean : dtype;
        expect_same(
            kind_spelling(kind), dtype, dtype, result,
            [&](Expr a, Expr b) { return make_binary(kind, a, b); },
            [&](const Scalar& a, const Scalar& b) { return eval_binary(kind, a, b); }, t);
      }
    }
  }
}

TEST(arithmetic, casts_saturate_wrap_and_round_once) {
  std::vector<DType> all(std::begin(numbers), std::end(numbers));
  all.push_back(dtypes::boolean);
  all.push_back(dtypes::index);
  for (const Target& t : runnable_targets()) {
    for (DType from : all) {
      for (DType to : all) {
        expect_same(
            "cast to " + to.to_string(), from, from, to,
            [&](Expr a, Expr) { return make_cast(to.with_lanes(a->dtype.lanes), a); },
            [&](const Scalar& a, const Scalar&) { return eval_cast(to, a); }, t);
      }
    }
  }
}

const DType small[] = {dtypes::int2,
                       dtypes::uint2,
                       dtypes::int4,
                       dtypes::uint4,
                       dtypes::float4_e2m1fn,
                       dtypes::float8_e4m3fn,
                       dtypes::float8_e4m3fnuz,
                       dtypes::float8_e5m2,
                       dtypes::float8_e5m2fnuz,
                       dtypes::float8_e8m0fnu};

// Every element of `a`, as a scalar and in a vector, as the oracle casts it.
void expect_casts(const MutableArray& a, DType to, const Target& t) {
  const DType from = a->dtype;
  const int64_t count = a->num_elements();
  MutableArray scalars = make_array({count}, to), vectors = make_array({count}, to);
  auto cast = [&](Expr x, Expr) { return make_cast(to.with_lanes(x->dtype.lanes), x); };
  ASSERT_TRUE(run(map_program(from, from, to, count, cast), t, {a, a, scalars, vectors}).ok());
  for (int64_t i = 0; i < count; ++i) {
    const Scalar expected = *eval_cast(to, a->load(i));
    ASSERT_EQ(scalars->load(i), expected) << show(a->load(i)) << to.to_string() << t.name;
    ASSERT_EQ(vectors->load(i), expected) << show(a->load(i)) << to.to_string() << t.name;
  }
}

// Every value of a type of 8 bits or less, in scalars and vectors, and as an element that shares
// its byte.
TEST(arithmetic, every_small_value_casts) {
  for (const Target& t : runnable_targets()) {
    for (DType from : small) {
      const int64_t count = std::max(int64_t{1} << from.bits, int64_t{8});
      MutableArray a = make_array({count}, from);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t bits = i & ((1 << from.bits) - 1);
        const auto code = static_cast<uint8_t>(bits);
        a->store(i, from.is_float() ? Scalar{from, 0, from_tiny_float(from, code)}
                                    : Scalar::of_int(bits, from));
      }
      std::vector<DType> targets(std::begin(small), std::end(small));
      for (DType to : {dtypes::float16, dtypes::float32, dtypes::float64, dtypes::int32}) {
        targets.push_back(to);
      }
      for (DType to : targets) {
        expect_casts(a, to, t);
      }
    }
  }
}

// All floats near those of a small type, near the points half way between two, and at random.
TEST(arithmetic, floats_narrow_to_small_types) {
  std::vector<float> values;
  uint32_t state = 7;
  for (int i = 0; i < 20000; ++i) {
    state = state * 1664525u + 1013904223u;
    values.push_back(std::bit_cast<float>(state));
    values.push_back(static_cast<float>(state) * 0x1p-28f - 8.0f);
  }
  for (DType to : small) {
    if (!to.is_float()) continue;
    for (int bits = 0; bits < 1 << to.bits; ++bits) {
      const auto code = static_cast<uint8_t>(bits), next = static_cast<uint8_t>(bits + 1);
      const auto x = static_cast<float>(from_tiny_float(to, code));
      const auto y = static_cast<float>(from_tiny_float(to, next));
      for (float v : {x, x / 2 + y / 2}) {
        values.insert(values.end(), {v, std::nextafter(v, INFINITY), std::nextafter(v, -INFINITY)});
      }
    }
  }
  while (values.size() % lanes != 0) values.push_back(0);
  const auto count = static_cast<int64_t>(values.size());
  for (const Target& t : runnable_targets()) {
    for (DType from : {dtypes::float32, dtypes::float64}) {
      MutableArray a = make_array({count}, from);
      for (int64_t i = 0; i < count; ++i) {
        a->store(i, Scalar::of_float(values[static_cast<size_t>(i)], from));
      }
      for (DType to : small) {
        expect_casts(a, to, t);
      }
    }
  }
}

TEST(arithmetic, every_half_widens_and_every_float_narrows) {
  for (const Target& t : runnable_targets()) {
    for (DType narrow : {dtypes::float16, dtypes::bfloat16}) {
      MutableArray bits = make_array({65536}, dtypes::uint16);
      for (int64_t i = 0; i < 65536; ++i) bits->store(i, Scalar::of_int(i, dtypes::uint16));
      MutableArray out = make_array({65536}, dtypes::float32);
      auto widen = [&](Expr a, Expr) {
        Expr h = make_call(Intrinsic::reinterpret, narrow.with_lanes(a->dtype.lanes), {a});
        return make_cast(dtypes::float32.with_lanes(a->dtype.lanes), h);
      };
      ASSERT_TRUE(run(map_program(dtypes::uint16, dtypes::uint16, dtypes::float32, 65536, widen), t,
                      {bits, bits, make_array({65536}, dtypes::float32), out})
                      .ok());
      MutableArray floats = make_array({65536 * 3}, dtypes::float32);
      for (int64_t i = 0; i < 65536; ++i) {
        float expected = narrow == dtypes::float16 ? half_to_float(static_cast<uint16_t>(i))
                                                   : bfloat_to_float(static_cast<uint16_t>(i));
        ASSERT_EQ(out->load(i), (Scalar{dtypes::float32, 0, expected})) << i;
        // The value, and the neighbours of the point half way to the next one.
        float next = std::nextafter(expected, INFINITY);
        floats->store(3 * i, Scalar{dtypes::float32, 0, expected});
        floats->store(3 * i + 1, Scalar::of_float(expected + expected * 0x1p-12, dtypes::float32));
        floats->store(3 * i + 2, Scalar{dtypes::float32, 0, next});
      }
      MutableArray back = make_array({65536 * 3}, narrow);
      auto shrink = [&](Expr a, Expr) { return make_cast(narrow.with_lanes(a->dtype.lanes), a); };
      ASSERT_TRUE(run(map_program(dtypes::float32, dtypes::float32, narrow, 65536 * 3, shrink), t,
                      {floats, floats, make_array({65536 * 3}, narrow), back})
                      .ok());
      for (int64_t i = 0; i < 65536 * 3; ++i) {
        ASSERT_EQ(back->load(i), *eval_cast(narrow, floats->load(i)))
            << show(floats->load(i)) << t.name;
      }
    }
  }
}

TEST(arithmetic, intrinsics_have_the_values_of_the_definition) {
  using I = Intrinsic;
  for (const Target& t : runnable_targets()) {
    for (DType dtype : numbers) {
      for (I i : {I::sqrt, I::floor, I::ceil, I::round, I::trunc, I::abs, I::isnan, I::isinf,
                  I::isfinite, I::popcount, I::clz}) {
        Scalar one = dtype.is_float() ? Scalar::of_float(1, dtype) : Scalar::of_int(1, dtype);
        bool predicate = i == I::isnan || i == I::isinf || i == I::isfinite;
        DType result = predicate ? dtypes::boolean : dtype;
        if (!eval_intrinsic(i, result, &one, 1)) continue;
        expect_same(
            intrinsic_name(i), dtype, dtype, result, [&](Expr a, Expr) { return make_call(i, a); },
            [&](const Scalar& a, const Scalar&) { return eval_intrinsic(i, result, &a, 1); }, t);
      }
      I binary = dtype.is_float() ? I::copysign : I::pow;
      if (binary == I::copysign && dtype.is_float()) {
        expect_same(
            "copysign", dtype, dtype, dtype,
            [&](Expr a, Expr b) { return make_call(I::copysign, a, b); },
            [&](const Scalar& a, const Scalar& b) -> std::optional<Scalar> {
              if (std::isnan(b.f)) return std::nullopt;  // the sign of a NaN is not defined
              Scalar args[] = {a, b};
              return eval_intrinsic(I::copysign, dtype, args, 2);
            },
            t);
      } else {
        expect_same(
            "pow", dtype, dtype, dtype, [&](Expr a, Expr b) { return make_call(I::pow, a, b); },
            [&](const Scalar& a, const Scalar& b) -> std::optional<Scalar> {
              if (b.i > 1000 || b.i < -1000) return std::nullopt;
              Scalar args[] = {a, b};
              return eval_intrinsic(I::pow, dtype, args, 2);
            },
            t);
      }
    }
  }
}

TEST(arithmetic, fma_rounds_once_where_the_target_has_it) {
  for (const Target& t : runnable_targets()) {
    for (DType dtype : {dtypes::float16, dtypes::float32, dtypes::float64}) {
      bool fused = t.has("fma");
      expect_same(
          "fma", dtype, dtype, dtype,
          [&](Expr a, Expr b) { return make_call(Intrinsic::fma, a->dtype, {a, b, b}); },
          [&](const Scalar& a, const Scalar& b) -> std::optional<Scalar> {
            Scalar args[] = {a, b, b};
            if (fused) return eval_intrinsic(Intrinsic::fma, dtype, args, 3);
            if (dtype == dtypes::float16)
              return std::nullopt;  // the product is not rounded to float16
            return eval_binary(ExprKind::add, *eval_binary(ExprKind::mul, a, b), b);
          },
          t);
    }
  }
}

TEST(arithmetic, index_division_by_constants_rounds_down) {
  Target t = target("host");
  for (int64_t divisor : {1, 2, 7, 8, 64, -3, -8}) {
    for (ExprKind kind : {ExprKind::floor_div, ExprKind::floor_mod}) {
      expect_same(
          kind_spelling(kind), dtypes::int32, dtypes::int32, dtypes::int64,
          [&](Expr a, Expr) {
            int n = a->dtype.lanes;
            Expr index = make_cast(dtypes::index.with_lanes(n), a);
            return make_cast(dtypes::int64.with_lanes(n),
                             make_binary(kind, index, make_int(divisor, index->dtype)));
          },
          [&](const Scalar& a, const Scalar&) {
            auto v = eval_binary(kind, Scalar::of_int(a.i, dtypes::index),
                                 Scalar::of_int(divisor, dtypes::index));
            return eval_cast(dtypes::int64, *v);
          },
          t);
    }
  }
}

TEST(arithmetic, reductions_of_lanes_combine_halves) {
  for (int n : {2, 3, 4, 7, 8, 16, 32}) {
    Buffer a = vector_buffer("a", dtypes::float32, n),
           out = vector_buffer("out", dtypes::float32, 3);
    Expr v = make_load(a, {make_ramp(make_int(0), make_int(1), n)});
    tir::PrimFunc f = tir::make_prim_func(
        {tir::buffer_param(a), tir::buffer_param(out)},
        tir::make_seq({store(out, {make_int(0)}, make_call(Intrinsic::vector_reduce_add, v)),
                       store(out, {make_int(1)}, make_call(Intrinsic::vector_reduce_max, v)),
                       store(out, {make_int(2)}, make_call(Intrinsic::vector_reduce_min, v))}));
    std::vector<double> values;
    for (int i = 0; i < n; ++i) values.push_back(0.1 + 1e7 * (i % 3) - i);
    MutableArray x = array_of(dtypes::float32, values), y = make_array({3}, dtypes::float32);
    ASSERT_TRUE(run(f, target("host"), {x, y}).ok());
    std::vector<float> parts;
    for (int i = 0; i < n; ++i) parts.push_back(static_cast<float>(x->load(i).f));
    while (parts.size() > 1) {
      size_t half = parts.size() / 2;
      std::vector<float> next;
      for (size_t i = 0; i < half; ++i) next.push_back(parts[i] + parts[half + i]);
      if (parts.size() % 2) next.push_back(parts.back());
      parts = next;
    }
    EXPECT_EQ(static_cast<float>(y->load(0).f), parts[0]) << n;
    std::vector<double> all = values_of(x);
    EXPECT_EQ(y->load(1).f, *std::max_element(all.begin(), all.end()));
    EXPECT_EQ(y->load(2).f, *std::min_element(all.begin(), all.end()));
  }
}

}  // namespace
}  // namespace repose::test
