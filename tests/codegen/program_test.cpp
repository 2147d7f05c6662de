// Loops, memory, parallel bodies, workspaces and failures of compiled programs.
#include <cmath>
#include <cstdlib>

#include "jit.h"
#include "passes/tensor/expand_math.h"

namespace repose::test {
namespace {

using tir::buffer_param;
using tir::make_prim_func;
using tir::make_seq;
using tir::scalar_param;
using tir::Stmt;

const Expr zero = make_int(0), one = make_int(1);

Expr ramp(Expr base, int lanes, int64_t stride = 1) {
  return make_ramp(std::move(base), make_int(stride), lanes);
}

std::vector<double> iota(int n, double scale = 1) {
  std::vector<double> v;
  for (int i = 0; i < n; ++i) v.push_back(i * scale);
  return v;
}

TEST(programs, symbolic_shapes_strides_and_offsets_address_memory) {
  Var m = make_var("m"), n = make_var("n"), s = make_var("s");
  Buffer a = make_buffer("a", {m, n}, dtypes::float32, Scope::global, {s, one}, make_int(2));
  Buffer b = make_buffer("b", {n, m}, dtypes::float32);
  Var i = loop_var("i"), j = loop_var("j");
  Stmt body = store(b, {j, i}, make_load(a, {i, j}) * make_float(2, dtypes::float32));
  tir::PrimFunc f = make_prim_func(
      {buffer_param(a), buffer_param(b), scalar_param(m), scalar_param(n), scalar_param(s)},
      loop(i, m, loop(j, n, body)));
  MutableArray x = array_of(dtypes::float32, iota(32)), y = make_array({6}, dtypes::float32);
  ASSERT_TRUE(run(f, target("host"), {x, y}, {2, 3, 5}).ok());
  EXPECT_EQ(values_of(y), (std::vector<double>{4, 14, 6, 16, 8, 18}));
}

TEST(programs, empty_loops_do_nothing_and_lets_ifs_and_whiles_work) {
  Var n = make_var("n");
  Buffer out = make_buffer("out", {make_int(4)}, dtypes::int64);
  Var i = loop_var("i"), d = make_var("d", dtypes::index, VarRole::let);
  auto at = [&](int64_t k) { return make_load(out, {make_int(k)}); };
  auto add = [&](int64_t k, Expr v) { return store(out, {make_int(k)}, at(k) + std::move(v)); };
  Stmt counted = loop(i, n,
                      make_seq({add(0, make_int(1, dtypes::int64)),
                                tir::make<tir::IfNode>(eq(floor_mod(i, make_int(2)), zero),
                                                       add(1, make_cast(dtypes::int64, i)),
                                                       add(2, make_cast(dtypes::int64, i)))}));
  Stmt halve =
      tir::make<tir::WhileNode>(lt(at(3), make_int(100, dtypes::int64)), add(3, at(3) + 1));
  Stmt body = tir::make<tir::LetNode>(
      d, n * 3, make_seq({counted, store(out, {make_int(3)}, make_cast(dtypes::int64, d)), halve}));
  tir::PrimFunc f = make_prim_func({buffer_param(out), scalar_param(n)}, body);
  MutableArray y = make_array({4}, dtypes::int64);
  ASSERT_TRUE(run(f, target("host"), {y}, {5}).ok());
  EXPECT_EQ(values_of(y), (std::vector<double>{5, 6, 4, 127}));
  MutableArray z = make_array({4}, dtypes::int64);
  ASSERT_TRUE(run(f, target("host"), {z}, {0}).ok());
  EXPECT_EQ(values_of(z), (std::vector<double>{0, 0, 0, 127}));
}

TEST(programs, scalars_of_all_dtypes_arrive) {
  Var f32 = make_var("f", dtypes::float32, VarRole::value),
      f64 = make_var("g", dtypes::float64, VarRole::value),
      u8 = make_var("u", dtypes::uint8, VarRole::value),
      yes = make_var("y", dtypes::boolean, VarRole::value),
      h = make_var("h", dtypes::float16, VarRole::value);
  Buffer out = vector_buffer("out", dtypes::float64, 5);
  auto put = [&](int64_t k, Expr v) {
    return store(out, {make_int(k)}, make_cast(dtypes::float64, std::move(v)));
  };
  tir::PrimFunc f =
      make_prim_func({buffer_param(out), scalar_param(f32), scalar_param(f64), scalar_param(u8),
                      scalar_param(yes), scalar_param(h)},
                     make_seq({put(0, f32), put(1, f64), put(2, u8), put(3, yes), put(4, h)}));
  MutableArray y = make_array({5}, dtypes::float64);
  ASSERT_TRUE(run(f, target("host"), {y},
                  {std::bit_cast<int32_t>(1.5f), std::bit_cast<int64_t>(-2.25), 200, 1,
                   float_to_half(0.5f)})
                  .ok());
  EXPECT_EQ(values_of(y), (std::vector<double>{1.5, -2.25, 200, 1, 0.5}));
}

// Vector accesses: contiguous, broadcast, strided, reversed, gathered, in rows.
TEST(programs, vectors_are_loaded_and_stored_with_any_stride) {
  for (DType dtype :
       {dtypes::float32, dtypes::int8, dtypes::boolean, dtypes::float16, dtypes::int64}) {
    Buffer a = make_buffer("a", {make_int(8), make_int(8)}, dtype);
    Buffer map = vector_buffer("map", dtypes::int64, 8);
    Buffer out = make_buffer("out", {make_int(7), make_int(8)}, dtype);
    Var r = make_var("r");
    auto row = [&](int64_t k) { return std::vector<Expr>{make_int(k), ramp(zero, 8)}; };
    Expr indices = make_cast(dtypes::index.with_lanes(8), make_load(map, {ramp(zero, 8)}));
    tir::PrimFunc f = make_prim_func(
        {buffer_param(a), buffer_param(map), buffer_param(out), scalar_param(r)},
        make_seq(
            {store(out, row(0), make_load(a, {r, ramp(zero, 8)})),
             store(out, row(1), make_broadcast(make_load(a, {r, one}), 8)),
             store(out, row(2), make_load(a, {ramp(zero, 8), r})),
             store(out, row(3), make_load(a, {r, ramp(make_int(7), 8, -1)})),
             store(out, row(4), make_load(a, {indices, r})),
             store(out, {make_int(5), ramp(make_int(7), 8, -1)}, make_load(a, {r, ramp(zero, 8)})),
             store(out, {make_int(6), indices}, make_load(a, {r, ramp(zero, 8)}))}));
    std::vector<double> data;
    for (int i = 0; i < 64; ++i) data.push_back(dtype.is_bool() ? (i * 7 % 5) & 1 : i);
    MutableArray x = array_of(dtype, data);
    MutableArray m = array_of(dtypes::int64, {3, 1, 4, 0, 5, 7, 2, 6});
    for (const Target& t : runnable_targets()) {
      MutableArray y = make_array({7, 8}, dtype);
      ASSERT_TRUE(run(f, t, {x, m, y}, {2}).ok());
      std::vector<double> got = values_of(y), index = values_of(m);
      for (size_t i = 0; i < 8; ++i) {
        EXPECT_EQ(got[i], data[16 + i]);
        EXPECT_EQ(got[8 + i], data[17]);
        EXPECT_EQ(got[16 + i], data[8 * i + 2]);
        EXPECT_EQ(got[24 + i], data[16 + 7 - i]);
        EXPECT_EQ(got[32 + i], data[8 * static_cast<size_t>(index[i]) + 2]);
        EXPECT_EQ(got[40 + i], data[16 + 7 - i]);
        EXPECT_EQ(got[48 + static_cast<size_t>(index[i])], data[16 + i]);
      }
    }
  }
}

// An array whose end is the end of what may be read: what lies behind is not mapped.
class GuardedArray {
 public:
  explicit GuardedArray(size_t bytes);
  ~GuardedArray();
  float* data() const { return data_; }

 private:
  void* pages_;
  float* data_;
};

}  // namespace
}  // namespace repose::test

#include <sys/mman.h>
#include <unistd.h>

namespace repose::test {
namespace {

GuardedArray::GuardedArray(size_t bytes) {
  auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  pages_ = mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(static_cast<char*>(pages_) + page, page, PROT_NONE);
  data_ = reinterpret_cast<float*>(static_cast<char*>(pages_) + page - bytes);
}
GuardedArray::~GuardedArray() {
  munmap(pages_, 2 * static_cast<size_t>(sysconf(_SC_PAGESIZE)));
}

TEST(programs, masked_accesses_touch_nothing_outside) {
  Var n = make_var("n");
  Buffer a = make_buffer("a", {n}, dtypes::float32), out = make_buffer("out", {n}, dtypes::float32);
  auto program = [&](int64_t stride, bool scalar_inside) {
    Expr lanes = ramp(zero, 16);
    Expr inside = lt(lanes, make_broadcast(n, 16));
    Expr index = stride == 1 ? lanes
                             : make_binary(ExprKind::mul, lanes,
                                           floor_div(lanes, make_int(100, lanes->dtype)) +
                                               make_int(1, lanes->dtype));
    Expr value = make_load(a, {index});
    if (scalar_inside) value = value + make_broadcast(make_load(a, {n - 1}), 16);
    Expr guarded = make_if_then_else(inside, value, make_float(-1, dtypes::float32.with_lanes(16)));
    return make_prim_func({buffer_param(a), buffer_param(out), scalar_param(n)},
                          store(out, {lanes}, guarded, inside));
  };
  for (const Target& t : runnable_targets()) {
    for (int64_t stride : {1, 2}) {
      for (bool scalar_inside : {false, true}) {
        auto compiled = compile_in_process(program(stride, scalar_inside), t);
        ASSERT_TRUE(compiled.ok());
        for (int64_t count : {0, 1, 5, 16}) {
          GuardedArray x(static_cast<size_t>(count) * 4), y(static_cast<size_t>(count) * 4);
          for (int64_t i = 0; i < count; ++i) x.data()[i] = static_cast<float>(i) + 0.5f;
          void* buffers[] = {x.data(), y.data()};
          ASSERT_TRUE((*compiled)->call(buffers, &count).ok());
          for (int64_t i = 0; i < count; ++i) {
            float last = scalar_inside ? static_cast<float>(count) - 0.5f : 0.0f;
            EXPECT_EQ(y.data()[i], static_cast<float>(i) + 0.5f + last);
          }
        }
      }
    }
  }
}

TEST(programs, only_the_taken_side_reads) {
  Var n = make_var("n");
  Buffer a = make_buffer("a", {n}, dtypes::float32), out = vector_buffer("out", dtypes::float32, 2);
  Expr first = make_load(a, {zero});
  Expr is_positive = make_binary(ExprKind::gt, first, make_float(0, dtypes::float32));
  Expr some = make_binary(ExprKind::gt, n, zero);
  tir::PrimFunc f = make_prim_func(
      {buffer_param(a), buffer_param(out), scalar_param(n)},
      make_seq({store(out, {zero}, make_if_then_else(some, first, make_float(7, dtypes::float32))),
                store(out, {one},
                      make_select(logical_and(some, is_positive), make_float(1, dtypes::float32),
                                  make_float(2, dtypes::float32)))}));
  GuardedArray empty(0);
  float y[2] = {};
  void* buffers[] = {empty.data(), y};
  int64_t count = 0;
  auto compiled = compile_in_process(f, target("host"));
  ASSERT_TRUE((*compiled)->call(buffers, &count).ok());
  EXPECT_EQ(y[0], 7);
  EXPECT_EQ(y[1], 2);
}

TEST(programs, parallel_loops_cover_every_iteration_with_their_own_workspace) {
  Var n = make_var("n"), scale = make_var("scale", dtypes::float32, VarRole::value);
  Buffer a = make_buffer("a", {n, make_int(100)}, dtypes::float32),
         out = make_buffer("out", {n}, dtypes::float32);
  Var i = loop_var("i"), j = loop_var("j"), k = loop_var("k");
  for (Scope scope : {Scope::workspace, Scope::local}) {
    for (int64_t size : {100, 10000}) {
      Buffer row = make_buffer("row", {make_int(size)}, dtypes::float32, scope);
      Buffer sum = make_buffer("sum", {one}, dtypes::float32, Scope::local);
      Stmt fill = loop(j, make_int(100), store(row, {j}, make_load(a, {i, j}) * scale));
      Stmt add =
          loop(k, make_int(100), store(sum, {zero}, make_load(sum, {zero}) + make_load(row, {k})));
      Stmt body = make_seq({fill, store(sum, {zero}, make_float(0, dtypes::float32)), add,
                            store(out, {i}, make_load(sum, {zero}))});
      body = tir::make<tir::AllocateNode>(row, tir::make<tir::AllocateNode>(sum, body));
      Stmt parallel = tir::make<tir::ForNode>(i, zero, n, tir::ForKind::parallel, body, "",
                                              Attrs{{"grain", Attr(int64_t{2})}});
      tir::PrimFunc f = make_prim_func(
          {buffer_param(a), buffer_param(out), scalar_param(n), scalar_param(scale)}, parallel);
      for (int64_t count : {0, 1, 7, 64}) {
        MutableArray x = make_array({count, 100}, dtypes::float32),
                     y = make_array({count}, dtypes::float32);
        for (int64_t e = 0; e < count * 100; ++e)
          x->store(e, Scalar::of_float(static_cast<double>(e / 100), dtypes::float32));
        ASSERT_TRUE(run(f, target("host"), {x, y}, {count, std::bit_cast<int32_t>(2.0f)}).ok());
        for (int64_t e = 0; e < count; ++e) EXPECT_EQ(y->load(e).f, static_cast<double>(200 * e));
      }
    }
  }
}

TEST(programs, workspaces_of_symbolic_size_depend_on_lets) {
  Var n = make_var("n"), twice = make_var("twice", dtypes::index, VarRole::let);
  Buffer out = make_buffer("out", {n}, dtypes::int32);
  Buffer first = make_buffer("first", {twice}, dtypes::int32, Scope::workspace);
  Buffer second = make_buffer("second", {n}, dtypes::int32, Scope::workspace);
  Var i = loop_var("i"), j = loop_var("j"), k = loop_var("k");
  Stmt body =
      make_seq({loop(i, twice, store(first, {i}, make_cast(dtypes::int32, i))),
                loop(j, n, store(second, {j}, make_load(first, {j + n}))),
                loop(k, n, store(out, {k}, make_load(second, {k}) - make_load(first, {k})))});
  body = tir::make<tir::AllocateNode>(first, tir::make<tir::AllocateNode>(second, body));
  tir::PrimFunc f = make_prim_func({buffer_param(out), scalar_param(n)},
                                   tir::make<tir::LetNode>(twice, n * 2, body));
  MutableArray y = make_array({33}, dtypes::int32);
  ASSERT_TRUE(run(f, target("host"), {y}, {33}).ok());
  for (int64_t e = 0; e < 33; ++e) EXPECT_EQ(y->load(e).i, 33);
}

TEST(programs, failed_assertions_end_the_program_with_their_message) {
  Var n = make_var("n");
  Buffer a = make_buffer("a", {n}, dtypes::int64);
  Var i = loop_var("i");
  Expr v = make_load(a, {i});
  Stmt check = tir::make<tir::AssertNode>(lt(v, make_cast(dtypes::int64, n)),
                                          "`gather`: index {0} at {1} is not below {2}",
                                          std::vector<Expr>{v, i, n});
  for (tir::ForKind kind : {tir::ForKind::serial, tir::ForKind::parallel}) {
    tir::PrimFunc f = make_prim_func(
        {buffer_param(a), scalar_param(n)},
        loop(i, n, make_seq({check, store(a, {i}, make_int(0, dtypes::int64))}), kind));
    MutableArray good = array_of(dtypes::int64, {1, 2, 0});
    EXPECT_TRUE(run(f, target("host"), {good}, {3}).ok());
    EXPECT_EQ(values_of(good), (std::vector<double>{0, 0, 0}));
    MutableArray bad = array_of(dtypes::int64, {1, 7, 2});
    Result<void> r = run(f, target("host"), {bad}, {3});
    ASSERT_FALSE(r.ok());
    EXPECT_EQ(r.errors()[0].kind, DiagnosticKind::run_time_check);
    EXPECT_EQ(r.errors()[0].text, "`gather`: index 7 at 1 is not below 3");
  }
}

TEST(programs, bounds_are_checked_on_request) {
  Var n = make_var("n");
  Buffer a = make_buffer("a", {n}, dtypes::float32), out = vector_buffer("out", dtypes::float32, 8);
  for (bool vector : {false, true}) {
    Expr index = vector ? ramp(zero, 8) : make_int(7);
    tir::PrimFunc f = make_prim_func({buffer_param(a), buffer_param(out), scalar_param(n)},
                                     store(out, {vector ? index : zero}, make_load(a, {index})));
    MutableArray x = make_array({8}, dtypes::float32), y = make_array({8}, dtypes::float32);
    EXPECT_TRUE(run(f, target("host"), {x, y}, {8}, {.debug_bounds = true}).ok());
    Result<void> r = run(f, target("host"), {x, y}, {5}, {.debug_bounds = true});
    ASSERT_FALSE(r.ok());
    EXPECT_EQ(r.errors()[0].text, vector
                                      ? "index 5 of dimension 0 of `a` is outside of its extent 5"
                                      : "index 7 of dimension 0 of `a` is outside of its extent 5");
  }
}

TEST(programs, views_share_memory_and_unrolled_loops_repeat) {
  Buffer a = vector_buffer("a", dtypes::float32, 16);
  Buffer view = make_buffer("view", {make_int(4), make_int(2)}, dtypes::float32);
  Expr data =
      make_call(Intrinsic::byte_offset, dtypes::handle,
                {make_call(Intrinsic::buffer_data, dtypes::handle, {make_load(a, {make_int(4)})}),
                 make_int(8)});
  Var i = loop_var("i"), j = loop_var("j");
  Stmt body = loop(i, make_int(4),
                   loop(j, make_int(2), store(view, {i, j}, make_cast(dtypes::float32, i * 10 + j)),
                        tir::ForKind::unrolled),
                   tir::ForKind::unrolled);
  tir::PrimFunc f =
      make_prim_func({buffer_param(a)}, tir::make<tir::DeclareNode>(view, data, body));
  MutableArray x = make_array({16}, dtypes::float32);
  ASSERT_TRUE(run(f, target("host"), {x}).ok());
  EXPECT_EQ(values_of(x),
            (std::vector<double>{0, 0, 0, 0, 0, 0, 0, 1, 10, 11, 20, 21, 30, 31, 0, 0}));
}

TEST(programs, prefetching_reads_nothing) {
  for (DType dtype : {dtypes::float32, dtypes::int4}) {
    Buffer a = vector_buffer("a", dtype, 64), out = vector_buffer("out", dtype, 64);
    Var i = loop_var("i");
    Stmt ask = tir::make<tir::EvaluateNode>(
        make_call(Intrinsic::prefetch, dtypes::int32, {make_load(a, {min(i + 32, make_int(63))})}));
    Stmt body = loop(i, make_int(64), tir::make_seq({ask, store(out, {i}, make_load(a, {i}))}));
    tir::PrimFunc f = make_prim_func({buffer_param(a), buffer_param(out)}, body);
    std::vector<double> values;
    for (int e = 0; e < 64; ++e) values.push_back(e % 8);
    MutableArray x = array_of(dtype, values), y = make_array({64}, dtype);
    ASSERT_TRUE(run(f, target("host"), {x, y}).ok());
    EXPECT_EQ(values_of(y), values) << dtype.to_string();
  }
}

TEST(programs, what_cannot_be_compiled_is_refused_or_a_bug) {
  Buffer a = vector_buffer("a", dtypes::float32, 16);
  Var i = loop_var("i");
  Stmt body = store(a, {i}, make_float(0, dtypes::float32));
  auto compile = [&](Stmt s) {
    return compile_in_process(make_prim_func({buffer_param(a)}, s), target("host"));
  };
  EXPECT_THROW((void)compile(loop(i, make_int(16), body, tir::ForKind::vectorized)), InternalError);
  EXPECT_THROW((void)compile(body), InternalError);  // `i` is not bound
  EXPECT_THROW((void)compile(store(a, {zero}, make_call(Intrinsic::exp, make_load(a, {one})))),
               InternalError);
  auto bound = compile(tir::make<tir::ForNode>(i, zero, make_int(16), tir::ForKind::thread_binding,
                                               body, "threadIdx.x"));
  ASSERT_FALSE(bound.ok());
  EXPECT_EQ(bound.errors()[0].kind, DiagnosticKind::unsupported_feature);
  auto packed = compile(
      tir::make<tir::EvaluateNode>(make_call(Intrinsic::call_packed, dtypes::int32, {}, "print")));
  ASSERT_FALSE(packed.ok());
  EXPECT_EQ(packed.errors()[0].kind, DiagnosticKind::unsupported_feature);
}

TEST(programs, expanded_functions_have_the_same_bits_in_scalars_and_vectors) {
  using I = Intrinsic;
  for (DType dtype : {dtypes::float32, dtypes::float64, dtypes::float16}) {
    for (I i : {I::exp, I::log, I::tanh, I::erf, I::sigmoid, I::sin, I::atan, I::expm1, I::asinh,
                I::rsqrt}) {
      Buffer a = vector_buffer("a", dtype, 64), b = vector_buffer("b", dtype, 64),
             c = vector_buffer("c", dtype, 64);
      Var k = loop_var("k"), l = loop_var("l");
      auto at = [&](const Buffer& from, Expr index) {
        return make_call(i, make_load(from, {std::move(index)}));
      };
      tir::PrimFunc f = expand_math(make_prim_func(
          {buffer_param(a), buffer_param(b), buffer_param(c)},
          make_seq({loop(k, make_int(64), store(b, {k}, at(a, k))),
                    loop(l, make_int(4), store(c, {ramp(l * 16, 16)}, at(a, ramp(l * 16, 16))))})));
      std::vector<double> values;
      for (int v = 0; v < 64; ++v) values.push_back((v - 20) * 0.37);
      MutableArray x = array_of(dtype, values);
      for (const Target& t : runnable_targets()) {
        MutableArray y = make_array({64}, dtype), z = make_array({64}, dtype);
        ASSERT_TRUE(run(f, t, {x, y, z}).ok());
        for (int64_t e = 0; e < 64; ++e) {
          EXPECT_EQ(y->load(e), z->load(e)) << intrinsic_name(i);
          Scalar v = x->load(e);
          double expected = eval_intrinsic(i, dtype, &v, 1)->f;
          double tolerance = dtype == dtypes::float64   ? 1e-15
                             : dtype == dtypes::float32 ? 5e-7
                                                        : 1e-3;
          if (std::isnan(expected)) {
            EXPECT_TRUE(std::isnan(y->load(e).f));
          } else if (!std::isinf(expected)) {
            EXPECT_NEAR(y->load(e).f, expected, tolerance * std::max(1.0, std::abs(expected)))
                << intrinsic_name(i) << " " << t.name;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace repose::test
