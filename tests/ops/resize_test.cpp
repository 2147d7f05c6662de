// resize: types, checks, and values against the formulas of ONNX in floating point.
#include <algorithm>
#include <cmath>
#include <optional>

#include "operators.h"

namespace repose::testing {
namespace {

using Values = std::vector<double>;

std::vector<Value> operands(const Value& x, const Expr& size, const Expr& a, const Expr& b) {
  return {x, index_value(size), index_value(a), index_value(b)};
}

TEST(resize, types) {
  Var h = make_var("h"), k = make_var("k");
  Variable x = graph::make_variable("x", f32({n_(2), h + 1}));
  Variable whole = graph::make_variable("i", i64({n_(4)}));
  Graph g({x, whole});
  auto type = [&](Expr size, Attrs attrs) {
    attrs.set("axis", attrs.get_int("axis", 1));
    return g.type(op_resize(), operands(x, size, n_(2), n_(1)), attrs);
  };
  EXPECT_EQ(type(h * 2 + 2, {}), "R.Tensor((2, \"h * 2 + 2\"), dtype=\"float32\")");
  EXPECT_EQ(type(n_(7), {{"axis", -2}}), "R.Tensor((7, \"h + 1\"), dtype=\"float32\")");
  EXPECT_EQ(type(n_(7), {{"axis", 2}}).substr(0, 8), "`resize`");                            // C1
  EXPECT_NE(type(n_(-1), {}).find("negative"), std::string::npos);                           // C2
  EXPECT_EQ(type(n_(7), {{"method", "area"}}), "`resize`: method is \"area\"");              // C3
  EXPECT_EQ(type(n_(7), {{"rounding", "up"}}), "`resize`: rounding is \"up\"");              // C3
  EXPECT_EQ(type(n_(7), {{"coordinates", "polar"}}), "`resize`: coordinates is \"polar\"");  // C3
  EXPECT_EQ(type(n_(7), {{"coordinates", "tf_crop_and_resize"}}),                            // C5
            "`resize`: coordinates \"tf_crop_and_resize\" without `crop_begin`, `crop_end` and "
            "`crop_whole`");
  EXPECT_NE(g.type(op_resize(), operands(whole, n_(8), n_(2), n_(1)), {{"axis", 0}})
                .find("expected a float"),
            std::string::npos);  // C4
  EXPECT_EQ(g.checks(), std::vector<std::string>{});
  Variable y = graph::make_variable("y", f32({h}));
  Graph checked({y});
  checked.emit(op_resize(), operands(y, k, k, h), {{"axis", 0}});
  EXPECT_EQ(checked.checks(), (std::vector<std::string>{"k == 0 or 1 <= h and 1 <= k"}));  // C2
}

// Where element i lies, as ONNX says it.
double place(const std::string& mode, int64_t i, int64_t extent, int64_t size, double scale) {
  const double length = static_cast<double>(extent) * scale, x = static_cast<double>(i),
               d = static_cast<double>(extent);
  if (mode == "asymmetric") return x / scale;
  if (mode == "align_corners") return length == 1 ? 0 : x * (d - 1) / (length - 1);
  if (mode == "pytorch_half_pixel" && length == 1) return -0.5;
  const double centre = (x + 0.5) / scale - 0.5;
  if (mode != "half_pixel_symmetric") return centre;
  return centre + d / 2 * (1 - static_cast<double>(size) / length);
}

double element(const Values& x, double at) {
  const double last = static_cast<double>(x.size()) - 1;
  return x[static_cast<size_t>(std::clamp(at, 0.0, last))];
}

double linear(const Values& x, double at) {
  const double below = std::floor(at), r = at - below;
  return element(x, below) * (1 - r) + element(x, below + 1) * r;
}

// Nothing where rounding in floating point may decide otherwise.
std::optional<double> nearest(const Values& x, double at, const std::string& rounding) {
  const bool prefers = rounding.substr(0, 6) == "prefer";
  const double edge = prefers ? at - 0.5 : at;
  if (std::abs(edge - std::round(edge)) < 1e-9) return std::nullopt;
  if (rounding == "floor") return element(x, std::floor(at));
  if (rounding == "ceil") return element(x, std::ceil(at));
  return element(x, std::round(at));
}

void compare(const std::string& mode, int64_t extent, int64_t size, int64_t a, int64_t b) {
  Values data;
  for (int64_t i = 0; i < extent; ++i) data.push_back(static_cast<double>((i * 7 + 3) % 11));
  const std::string what = mode + " " + std::to_string(extent) + " -> " + std::to_string(size);
  // The extent is a symbol: the same formulas without a number in them.
  Variable x = graph::make_variable("x", f32({make_var("h")}));
  auto run = [&](Attrs attrs) {
    attrs.set("axis", 0);
    attrs.set("coordinates", mode);
    return run_values(op_resize(), operands(x, n_(size), n_(a), n_(b)), attrs,
                      {{x.get(), array_of(dtypes::float32, {extent}, data)}});
  };
  const double scale = static_cast<double>(a) / static_cast<double>(b);
  const Values got = run({{"method", "linear"}});
  ASSERT_EQ(got.size(), static_cast<size_t>(size));
  for (int64_t i = 0; i < size; ++i) {
    EXPECT_NEAR(got[static_cast<size_t>(i)], linear(data, place(mode, i, extent, size, scale)),
                1e-4)
        << what << " at " << i;
  }
  for (const char* rounding : {"prefer_floor", "prefer_ceil", "floor", "ceil"}) {
    const Values taken = run({{"method", "nearest"}, {"rounding", rounding}});
    for (int64_t i = 0; i < size; ++i) {
      auto want = nearest(data, place(mode, i, extent, size, scale), rounding);
      if (want) {
        EXPECT_EQ(taken[static_cast<size_t>(i)], *want) << what << " " << rounding << " at " << i;
      }
    }
  }
}

TEST(resize, coordinates) {
  for (const char* mode : {"half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "asymmetric",
                           "align_corners"}) {
    for (int64_t extent : {1, 2, 3, 7}) {
      for (int64_t size : {0, 1, 2, 3, 5, 14}) compare(mode, extent, size, size, extent);
      compare(mode, extent, extent * 7 / 3, 7, 3);  // a scale that the size isn't exactly
      compare(mode, extent, extent * 3 / 5, 3, 5);
    }
  }
}

TEST(resize, ties) {
  auto run = [&](const char* rounding) {  // places 1/2 and 5/2
    return run_values(op_resize(), operands(floats({4}, {10, 11, 12, 13}), n_(2), n_(1), n_(2)),
                      {{"axis", 0}, {"method", "nearest"}, {"rounding", rounding}});
  };
  EXPECT_EQ(run("prefer_floor"), (Values{10, 12}));
  EXPECT_EQ(run("prefer_ceil"), (Values{11, 13}));
  EXPECT_EQ(run("floor"), (Values{10, 12}));
  EXPECT_EQ(run("ceil"), (Values{11, 13}));
}

TEST(resize, cubic) {
  Value x = floats({4}, {1, 2, 4, 8});
  Attrs attrs{{"axis", 0}, {"method", "cubic"}};
  // At 1/4 behind element 1 the weights are -27/256, 225/256 …, with A = -3/4.
  const double far = -0.10546875, near = 0.87890625, next = 0.26171875, last = -0.03515625;
  Values got = run_values(op_resize(), operands(x, n_(8), n_(2), n_(1)), attrs);
  EXPECT_NEAR(got[3], far * 1 + near * 2 + next * 4 + last * 8, 1e-6);
  EXPECT_NEAR(got[1], far * 1 + near * 1 + next * 2 + last * 4, 1e-6);  // the first one repeats
  attrs.set("exclude_outside", true);
  got = run_values(op_resize(), operands(x, n_(8), n_(2), n_(1)), attrs);
  EXPECT_NEAR(got[1], (near * 1 + next * 2 + last * 4) / (near + next + last), 1e-6);
  attrs.set("cubic_alpha", -0.5);
  attrs.set("exclude_outside", false);
  got = run_values(op_resize(), operands(x, n_(8), n_(2), n_(1)), attrs);
  EXPECT_NEAR(got[3], -0.0703125 * 1 + 0.8671875 * 2 + 0.2265625 * 4 - 0.0234375 * 8, 1e-6);
}

std::vector<Value> cropped(std::vector<Value> args, const Expr& begin, const Expr& end,
                           const Expr& whole) {
  for (const Expr& e : {begin, end, whole}) args.push_back(index_value(e));
  return args;
}

TEST(resize, crops_have_a_length) {  // C5
  Var w = make_var("w");
  Variable y = graph::make_variable("y", f32({w}));
  Graph g({y});
  g.emit(op_resize(), cropped(operands(y, n_(3), n_(1), n_(1)), n_(0), w, w),
         {{"axis", 0}, {"coordinates", "tf_crop_and_resize"}});
  EXPECT_EQ(g.checks(), (std::vector<std::string>{"1 <= w"}));
}

TEST(resize, crops) {
  Value x = floats({5}, {0, 10, 20, 30, 40});
  auto run = [&](int64_t size, int64_t begin, int64_t end) {
    return run_values(op_resize(),
                      cropped(operands(x, n_(size), n_(size), n_(5)), n_(begin), n_(end), n_(4)),
                      {{"axis", 0}, {"coordinates", "tf_crop_and_resize"}, {"outside", -1.0}});
  };
  EXPECT_EQ(run(3, 1, 3), (Values{10, 20, 30}));
  EXPECT_EQ(run(1, 1, 4), (Values{25}));  // the middle
  EXPECT_EQ(run(3, 2, 6), (Values{20, 40, -1}));
  EXPECT_EQ(run(2, -1, 4), (Values{-1, 40}));
}

// Weights of 1 - |distance| / 2 around 0.5 and 2.5, made to add up to 1.
TEST(resize, antialias) {
  Value x = floats({4}, {1, 2, 3, 4});
  const Attrs linear{{"axis", 0}, {"antialias", true}};
  expect_near(run_values(op_resize(), operands(x, n_(2), n_(1), n_(2)), linear), {1.625, 3.375});
  // Without the elements outside: (0.75 * 1 + 0.75 * 2 + 0.25 * 3) / 1.75.
  expect_near(run_values(op_resize(), operands(x, n_(2), n_(1), n_(2)),
                         {{"axis", 0}, {"antialias", true}, {"exclude_outside", true}}),
              {3.0 / 1.75, 5.75 / 1.75});
  // A scale above 1 changes nothing.
  EXPECT_EQ(run_values(op_resize(), operands(x, n_(8), n_(2), n_(1)), linear),
            run_values(op_resize(), operands(x, n_(8), n_(2), n_(1)), {{"axis", 0}}));
  const std::vector<double> ones{1, 1, 1, 1, 1, 1, 1};
  expect_near(run_values(op_resize(), operands(floats({7}, ones), n_(3), n_(3), n_(7)),
                         {{"axis", 0}, {"antialias", true}, {"method", "cubic"}}),
              {1, 1, 1});
}

TEST(resize, other_axes_stay) {
  Value x = floats({2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(run_values(op_resize(), operands(x, n_(4), n_(2), n_(1)),
                       {{"axis", 0}, {"method", "nearest"}}),
            (Values{1, 2, 1, 2, 3, 4, 3, 4}));
  EXPECT_EQ(run_values(op_resize(), operands(x, n_(4), n_(2), n_(1)),
                       {{"axis", 1}, {"method", "nearest"}}),
            (Values{1, 1, 2, 2, 3, 3, 4, 4}));
}

}  // namespace
}  // namespace repose::testing
