// From a module built by hand to a shared library, loaded and called: the whole way at several
// shapes.
#include "driver/compile.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <random>

#include "codegen/llvm/target_llvm.h"
#include "ops/ops.h"
#include "repose/repose.h"
#include "script/parser.h"
#include "te/te.h"

namespace repose {
namespace {

using graph::Value;

const OpDef& op(const char* name) {
  const OpDef* found = standard_ops().find(name);
  EXPECT_NE(found, nullptr) << name;
  return *found;
}

// A float tensor for calls.
struct Floats {
  std::vector<int64_t> shape;
  std::vector<float> data;
  explicit Floats(std::vector<int64_t> s, uint32_t seed = 0) : shape(std::move(s)) {
    size_t n = 1;
    for (int64_t d : shape) n *= static_cast<size_t>(d);
    data.resize(n);
    std::mt19937 random(seed);
    for (float& x : data) x = std::uniform_real_distribution<float>(-1, 1)(random);
  }
  DLTensor tensor() {
    DLTensor t{};
    t.data = data.data();
    t.device = {kDLCPU, 0};
    t.ndim = static_cast<int32_t>(shape.size());
    t.dtype = {kDLFloat, 32, 1};
    t.shape = shape.data();
    return t;
  }
};

class Compiled {
 public:
  explicit Compiled(const Module& module, CompileOptions options = {}) {
    auto target = host_target();
    EXPECT_TRUE(target.ok());
    options.pipeline.target = *target;
    options.pipeline.verify = true;
    auto model = compile(module, standard_ops(), options);
    EXPECT_TRUE(model.ok()) << to_string(model.errors());
    if (!model.ok()) return;
    compiled_ = std::move(*model);
    char path[] = "/tmp/repose-test-XXXXXX";
    close(mkstemp(path));
    auto written = write_artifact(compiled_, Emit::shared, path);
    EXPECT_TRUE(written.ok()) << to_string(written.errors());
    repose_options o = repose_default_options();
    o.num_threads = 2;
    EXPECT_EQ(repose_load(path, &o, &model_), REPOSE_OK) << repose_last_error(nullptr);
    std::remove(path);
  }
  ~Compiled() { repose_unload(model_); }

  // The only result; its shape in *shape. An error text in *refused if the call is refused.
  std::vector<float> call(std::vector<Floats> inputs, std::vector<int64_t>* shape = nullptr,
                          std::string* refused = nullptr) {
    std::vector<DLTensor> tensors;
    for (Floats& f : inputs) tensors.push_back(f.tensor());
    return call_tensors(tensors, shape, refused);
  }

  // The same with a second input of two int64.
  std::vector<float> call_with_integers(Floats input, int64_t (&integers)[2],
                                        std::vector<int64_t>* shape) {
    int64_t extent = 2;
    DLTensor second{};
    second.data = integers;
    second.device = {kDLCPU, 0};
    second.ndim = 1;
    second.dtype = {kDLInt, 64, 1};
    second.shape = &extent;
    return call_tensors({input.tensor(), second}, shape, nullptr);
  }

  CompiledModel compiled_;
  repose_model* model_ = nullptr;

 private:
  std::vector<float> call_tensors(const std::vector<DLTensor>& tensors, std::vector<int64_t>* shape,
                                  std::string* refused) {
    std::vector<const DLTensor*> pointers;
    for (const DLTensor& t : tensors) pointers.push_back(&t);
    DLManagedTensorVersioned* result = nullptr;
    const int32_t status = model_->api->call(
        model_, 0, pointers.data(), static_cast<int32_t>(pointers.size()), nullptr, 1, &result);
    if (status != REPOSE_OK) {
      if (refused) *refused = repose_last_error(model_);
      EXPECT_NE(refused, nullptr) << repose_last_error(model_);
      return {};
    }
    const DLTensor& t = result->dl_tensor;
    std::vector<int64_t> dims(t.shape, t.shape + t.ndim);
    int64_t n = 1;
    for (int64_t d : dims) n *= d;
    const float* data = static_cast<const float*>(t.data);
    std::vector<float> values(data, data + n);
    if (shape) *shape = dims;
    result->deleter(result);
    return values;
  }
};

// main(b: (m, 224)) -> relu(flatten(b)): (m * 224,)
TEST(Compile, FlattenAndRelu) {
  Builder b(standard_ops());
  Var m = make_var("m");
  auto x = graph::make_variable("b", tensor_type({m, make_int(224)}, dtypes::float32));
  b.begin_function("main", {x});
  b.begin_dataflow();
  auto flat = b.emit(graph::make_op_call(op("flatten"), {x}));
  ASSERT_TRUE(flat.ok()) << to_string(flat.errors());
  auto y = b.emit(graph::make_op_call(op("nn.relu"), {*flat}));
  ASSERT_TRUE(y.ok());
  Value out = b.emit_output(*y);
  b.end_dataflow();
  ASSERT_TRUE(b.end_function(out).ok());
  Compiled model(b.module());
  ASSERT_NE(model.model_, nullptr);
  for (int64_t rows : {0, 1, 2, 7, 64}) {
    Floats in({rows, 224}, 1);
    std::vector<int64_t> shape;
    std::vector<float> got = model.call({in}, &shape);
    EXPECT_EQ(shape, std::vector<int64_t>{rows * 224});
    for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], std::max(in.data[i], 0.0f));
  }
}

// main(x: (m, k), w const (k, n), bias const (n,)) -> relu(x @ w + bias)
TEST(Compile, MatmulWithConstantWeights) {
  const int64_t k = 37, n = 53;
  Floats w({k, n}, 2), bias({n}, 3);
  auto constant = [](Floats& f) {
    auto array = make_array(f.shape, dtypes::float32);
    for (size_t i = 0; i < f.data.size(); ++i) {
      array->store(static_cast<int64_t>(i), Scalar::of_float(f.data[i], dtypes::float32));
    }
    return graph::make_constant(Array(array));
  };
  Builder b(standard_ops());
  Var m = make_var("m");
  auto x = graph::make_variable("x", tensor_type({m, make_int(k)}, dtypes::float32));
  b.begin_function("main", {x});
  b.begin_dataflow();
  auto p = b.emit(graph::make_op_call(op("matmul"), {x, constant(w)}));
  ASSERT_TRUE(p.ok()) << to_string(p.errors());
  auto s = b.emit(graph::make_op_call(op("add"), {*p, constant(bias)}));
  ASSERT_TRUE(s.ok()) << to_string(s.errors());
  auto y = b.emit(graph::make_op_call(op("nn.relu"), {*s}));
  Value out = b.emit_output(*y);
  b.end_dataflow();
  ASSERT_TRUE(b.end_function(out).ok());
  Compiled model(b.module());
  ASSERT_NE(model.model_, nullptr);
  EXPECT_EQ(model.compiled_.functions[0].host.interface.outputs[0].dim_texts[0], "m");
  for (int64_t rows : {0, 1, 2, 3, 7, 13, 14, 15, 64, 113, 128, 225}) {
    Floats in({rows, k}, 4);
    std::vector<int64_t> shape;
    std::vector<float> got = model.call({in}, &shape);
    EXPECT_EQ(shape, (std::vector<int64_t>{rows, n}));
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = bias.data[j];
        for (int64_t c = 0; c < k; ++c) sum += double(in.data[i * k + c]) * w.data[c * n + j];
        ASSERT_NEAR(got[i * n + j], std::max(sum, 0.0), 1e-4)
            << rows << " rows, at " << i << ", " << j;
      }
    }
  }
  std::string refused;
  model.call({Floats({2, k + 1})}, nullptr, &refused);
  EXPECT_NE(refused.find("input `x`: dimension 1 is 38, expected 37"), std::string::npos)
      << refused;
}

// softmax over rows, and a batched product of two inputs.
TEST(Compile, SoftmaxOfBatchedProduct) {
  Builder b(standard_ops());
  Var h = make_var("h"), q = make_var("q"), s = make_var("s");
  auto x = graph::make_variable("x", tensor_type({h, q, make_int(24)}, dtypes::float32));
  auto y = graph::make_variable("y", tensor_type({h, s, make_int(24)}, dtypes::float32));
  b.begin_function("main", {x, y});
  b.begin_dataflow();
  auto t = b.emit(graph::make_op_call(op("permute_dims"), {y},
                                      Attrs{{"axes", Attr(std::vector<int64_t>{0, 2, 1})}}));
  ASSERT_TRUE(t.ok()) << to_string(t.errors());
  auto p = b.emit(graph::make_op_call(op("matmul"), {x, *t}));
  ASSERT_TRUE(p.ok()) << to_string(p.errors());
  auto r = b.emit(graph::make_op_call(op("nn.softmax"), {*p}));
  ASSERT_TRUE(r.ok()) << to_string(r.errors());
  Value out = b.emit_output(*r);
  b.end_dataflow();
  ASSERT_TRUE(b.end_function(out).ok());
  Compiled model(b.module());
  ASSERT_NE(model.model_, nullptr);
  for (auto [heads, rows, columns] : std::vector<std::array<int64_t, 3>>{
           {1, 1, 1}, {2, 3, 5}, {3, 16, 33}, {2, 20, 64}, {1, 0, 4}, {2, 7, 127}}) {
    Floats in({heads, rows, 24}, 5), other({heads, columns, 24}, 6);
    std::vector<float> got = model.call({in, other});
    ASSERT_EQ(got.size(), static_cast<size_t>(heads * rows * columns));
    for (int64_t i = 0; i < heads * rows; ++i) {
      std::vector<double> e;
      double sum = 0;
      for (int64_t j = 0; j < columns; ++j) {
        double dot = 0;
        for (int64_t c = 0; c < 24; ++c) {
          dot += double(in.data[i * 24 + c]) * other.data[((i / rows) * columns + j) * 24 + c];
        }
        e.push_back(std::exp(dot));
        sum += e.back();
      }
      for (int64_t j = 0; j < columns; ++j) {
        ASSERT_NEAR(got[i * columns + j], e[j] / sum, 1e-5)
            << heads << "x" << rows << "x" << columns;
      }
    }
  }
}

// A window that is larger than what it slides over, by an amount that only a call tells.
TEST(Compile, AFailingCheckNamesTheDimensionsThatDecideIt) {
  auto module = parse_module(make_text_source("pool.relax", R"(
@R.function
def main(x: R.Tensor(("b", 1, "height", 8), "float32")):
    with R.dataflow():
        y = R.nn.avg_pool2d(x, pool_size=[3, 3])
        R.output(y)
    return y
)"),
                             standard_ops(), {});
  ASSERT_TRUE(module.ok()) << to_string(module.errors());
  Compiled model(*module);
  ASSERT_NE(model.model_, nullptr);
  EXPECT_EQ(model.call({Floats({1, 1, 3, 8})}).size(), 6u);
  std::string refused;
  model.call({Floats({1, 1, 2, 8})}, nullptr, &refused);
  EXPECT_NE(refused.find("`nn.avg_pool2d`"), std::string::npos) << refused;
  EXPECT_NE(refused.find("(in pool.relax:5:9, `height` = 2)"), std::string::npos) << refused;
}

// Softmax, a cumulative sum and a product, so that there are several parts to generate code for.
TEST(Compile, ThreadsOfTheCompilerDoNotChangeTheBytes) {
  Builder b(standard_ops());
  Var m = make_var("m");
  auto x = graph::make_variable("x", tensor_type({m, make_int(33)}, dtypes::float32));
  auto w = graph::make_variable("w", tensor_type({make_int(33), make_int(20)}, dtypes::float32));
  b.begin_function("main", {x, w});
  auto soft = b.emit(graph::make_op_call(op("nn.softmax"), {x}));
  ASSERT_TRUE(soft.ok());
  auto sums = b.emit(graph::make_op_call(op("cumsum"), {*soft}, Attrs{{"axis", Attr(0)}}));
  ASSERT_TRUE(sums.ok()) << to_string(sums.errors());
  auto product = b.emit(graph::make_op_call(op("matmul"), {*sums, w}));
  ASSERT_TRUE(product.ok());
  ASSERT_TRUE(b.end_function(*product).ok());
  for (const Emit kind : {Emit::shared, Emit::object, Emit::assembly}) {
    std::vector<std::string> bytes;
    for (const int threads : {1, 2, 5}) {
      CompileOptions options;
      options.pipeline.target = *host_target();
      options.threads = threads;
      auto model = compile(b.module(), standard_ops(), options);
      ASSERT_TRUE(model.ok()) << to_string(model.errors());
      char path[] = "/tmp/repose-test-XXXXXX";
      close(mkstemp(path));
      auto written = write_artifact(*model, kind, path);
      ASSERT_TRUE(written.ok()) << to_string(written.errors());
      std::ifstream file(path, std::ios::binary);
      bytes.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
      std::remove(path);
    }
    EXPECT_GT(bytes[0].size(), 1000u);
    EXPECT_TRUE(bytes[0] == bytes[1] && bytes[0] == bytes[2]);
  }
}

// A result that is a view of what was written before its shape is known: it is copied.
TEST(Compile, ResultWhoseShapeIsKnownAfterItsElements) {
  auto module = parse_module(make_text_source("late", R"(
@R.function
def main(x: R.Tensor(("n", 2), "float32"), target: R.Tensor((2,), "int64")):
    rows = T.int64(is_size_var=True)
    columns = T.int64(is_size_var=True)
    with R.dataflow():
        y = R.add(x, x)
        s = R.tensor_to_shape(target)
        t = R.match_cast(s, R.Shape([rows, columns]))
        z = R.reshape(y, R.shape([rows, columns]))
        R.output(z)
    return z
)"),
                             standard_ops());
  ASSERT_TRUE(module.ok()) << to_string(module.errors());
  Compiled model(*module);
  ASSERT_NE(model.model_, nullptr);
  for (int64_t n : {0, 1, 2, 7, 64}) {
    Floats x({n, 2}, 4);
    int64_t target[] = {2, n};
    std::vector<int64_t> shape;
    std::vector<float> got = model.call_with_integers(x, target, &shape);
    EXPECT_EQ(shape, (std::vector<int64_t>{2, n}));
    for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], 2 * x.data[i]);
  }
}

TEST(Compile, AResultWhoseRankNobodyKnowsIsRefused) {
  Builder b(standard_ops());
  auto x = graph::make_variable("x", tensor_type_of_rank(-1, dtypes::float32));
  b.begin_function("main", {x});
  ASSERT_TRUE(b.end_function(x).ok());
  auto compiled = compile(b.module(), standard_ops(), {});
  ASSERT_FALSE(compiled.ok());
  EXPECT_NE(compiled.errors()[0].text.find("its rank isn't known"), std::string::npos)
      << to_string(compiled.errors());
}

TEST(Compile, AClosureThatTheDataChoosesIsRefused) {
  auto module = parse_module(make_text_source("test.relax", R"(
@R.function
def main(c: R.Tensor((), "bool"), x: R.Tensor(("n",), "float32")):
    n = T.int64()
    @R.function
    def f(a: R.Tensor((n,), "float32")) -> R.Tensor((n,), "float32"):
        b = R.exp(a)
        return b
    @R.function
    def g(a: R.Tensor((n,), "float32")) -> R.Tensor((n,), "float32"):
        b = R.negative(a)
        return b
    if c:
        h = f
    else:
        h = g
    y = h(x)
    return y
)"),
                             standard_ops());
  ASSERT_TRUE(module.ok()) << to_string(module.errors());
  auto compiled = compile(*module, standard_ops(), {});
  ASSERT_FALSE(compiled.ok());
  EXPECT_NE(compiled.errors()[0].text.find("a call of a closure"), std::string::npos)
      << to_string(compiled.errors());
}

TEST(Compile, ABranchThatGivesAnythingIsRefused) {
  auto module = parse_module(make_text_source("test.relax", R"(
@R.function
def main(c: R.Tensor((), "bool"), x: R.Tensor(("n",), "float32")):
    if c:
        y = (x,)
    else:
        y = R.tuple()
    return (y,)
)"),
                             standard_ops());
  ASSERT_TRUE(module.ok()) << to_string(module.errors());
  auto compiled = compile(*module, standard_ops(), {});
  ASSERT_FALSE(compiled.ok());
  EXPECT_EQ(compiled.errors()[0].kind, DiagnosticKind::unsupported_feature)
      << to_string(compiled.errors());
}

TEST(Compile, ABranchThatGivesAnUnknownRankIsRefused) {
  auto module = parse_module(make_text_source("test.relax", R"(
@R.function
def main(c: R.Tensor((), "bool"), x: R.Tensor(("n",), "float32")):
    if c:
        y: R.Tensor("float32") = R.exp(x)
    else:
        y = R.call_pure_packed("test.same", x, sinfo_args=[R.Tensor("float32")])
    z = R.match_cast(y, R.Tensor((3,), "float32"))
    return z
)"),
                             standard_ops());
  ASSERT_TRUE(module.ok()) << to_string(module.errors());
  auto compiled = compile(*module, standard_ops(), {});
  ASSERT_FALSE(compiled.ok());
  EXPECT_NE(compiled.errors()[0].text.find("an `if` that gives a value of type"), std::string::npos)
      << to_string(compiled.errors());
}

// Two matrix products, the first with what follows it, and a copy of a parameter.
const char* two_products = R"(
@R.function
def main(x: R.Tensor(("n", 16), "float32"), v: R.Tensor((16, 32), "float32"), w: R.Tensor((32, 8), "float32")):
    n = T.int64()
    a = R.matmul(x, v)
    b = R.nn.relu(a)
    c = R.matmul(b, w)
    return c
)";

Module parsed(const char* text) {
  auto module = parse_module(make_text_source("test.relax", text), standard_ops());
  EXPECT_TRUE(module.ok()) << to_string(module.errors());
  return *module;
}

TEST(Profile, SaysWhatEachKernelComputes) {
  CompileOptions options;
  options.profile = true;
  Compiled model(parsed(two_products), options);
  ASSERT_NE(model.model_, nullptr);
  const std::vector<ProfiledCall>& profiled = model.compiled_.functions[0].host.profiled;
  ASSERT_EQ(profiled.size(), 2u);
  EXPECT_EQ(profiled[0].nodes, (std::vector<std::string>{"test.relax:5:5", "test.relax:6:5"}));
  EXPECT_EQ(profiled[1].nodes, (std::vector<std::string>{"test.relax:7:5"}));
  EXPECT_NE(model.compiled_.metadata.find(R"("profile":[{"kernel":")" + profiled[0].kernel),
            std::string::npos);

  repose_kernel_run runs[8] = {};
  repose_profile profile = {};
  profile.runs = runs;
  profile.max_runs = 8;
  ASSERT_EQ(repose_set_profile(model.model_, &profile), REPOSE_OK);
  for (const int64_t n : {0, 1, 37}) {
    profile.num_runs = 0;
    model.call({Floats({n, 16}), Floats({16, 32}), Floats({32, 8})});
    ASSERT_EQ(profile.num_runs, 2);
    const auto rows = static_cast<double>(n);
    EXPECT_EQ(runs[0].kernel, 0);
    EXPECT_EQ(runs[0].flops, rows * 32 * (2 * 16 + 1));
    EXPECT_EQ(runs[0].read_bytes, n == 0 ? 0 : 4 * (rows * 16 + 16 * 32));
    EXPECT_EQ(runs[0].written_bytes, 4 * rows * 32);
    EXPECT_EQ(runs[1].flops, rows * 8 * 2 * 32);
    const auto work = work_at(model.compiled_.functions[0], {n});
    ASSERT_TRUE(work.has_value());
    ASSERT_EQ(work->size(), 2u);
    EXPECT_EQ((*work)[0].flops, runs[0].flops);
    EXPECT_EQ((*work)[1].bytes, runs[1].read_bytes + runs[1].written_bytes);
  }
}

TEST(Profile, ChangesNoResultAndIsNotThereWithoutTheOption) {
  CompileOptions options;
  options.profile = true;
  Compiled with(parsed(two_products), options), without(parsed(two_products));
  const std::vector<Floats> inputs = {Floats({5, 16}, 1), Floats({16, 32}, 2), Floats({32, 8}, 3)};
  EXPECT_EQ(with.call(inputs), without.call(inputs));
  EXPECT_EQ(without.compiled_.metadata.find("\"profile\""), std::string::npos);
  EXPECT_TRUE(without.compiled_.functions[0].host.profiled.empty());
  EXPECT_EQ(repose_set_profile(without.model_, nullptr), REPOSE_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace repose
