// Builds a small model in C++, prints it, compiles it into a shared library, and calls that at
// several shapes:
//
//   build_and_run MODEL.so        writes MODEL.so
//
//   hidden = relu(x @ w + b)                     operators by name; w and b are constants
//   scaled = hidden * (1 + row / rows)           a formula, written where it is used
//   result = flatten(scaled)                     (m * 4,), for every m, without a copy
#include <cstdio>
#include <vector>

#include "repose/compiler.hpp"
#include "repose/repose.h"

namespace {

using namespace repose;

constexpr int features = 3, units = 4;
const std::vector<float> weights = {1, 0, -1, 2, 0, 1, 1, -2, 3, -3, 0, 1};
const std::vector<float> bias = {0.5f, 0, -0.5f, 1};

Result<Module> build() {
  ModuleBuilder b;
  Var m = b.symbol("m");
  b.begin_function("main");
  Value x = b.input("x", {m, features}, dtypes::float32);
  Value w = b.constant({features, units}, weights);
  Value result = b.dataflow([&] {
    Value product = b.emit("matmul", {x, w});
    Value sum = b.emit("add", {product, b.constant({units}, bias)});
    Value hidden = b.emit("nn.relu", {sum});
    Value scaled = b.emit_te("scale_rows", {hidden}, [&](const std::vector<te::Tensor>& in) {
      return te::compute(
          in[0].shape(),
          [&](const te::Indices& i) {
            Expr row = make_cast(dtypes::float32, i[0]);
            Expr rows = make_cast(dtypes::float32, m);
            return in[0](i) *
                   (make_float(1, dtypes::float32) + make_binary(ExprKind::div, row, rows));
          },
          "scale_rows");
    });
    return b.emit("flatten", {scaled});
  });
  b.end_function({result}, {"result"});
  return b.finish();
}

// What the model should give.
std::vector<float> expected(const std::vector<float>& x, int64_t rows) {
  std::vector<float> y;
  for (int64_t i = 0; i < rows; ++i) {
    for (int j = 0; j < units; ++j) {
      float sum = bias[static_cast<size_t>(j)];
      for (int k = 0; k < features; ++k) {
        sum +=
            x[static_cast<size_t>(i * features + k)] * weights[static_cast<size_t>(k * units + j)];
      }
      const float scale = 1 + static_cast<float>(i) / static_cast<float>(rows);
      y.push_back((sum > 0 ? sum : 0) * scale);
    }
  }
  return y;
}

// Calls the model with `rows` rows; false where it fails or is wrong.
bool call(repose_model* model, int64_t rows) {
  std::vector<float> x;
  for (int64_t i = 0; i < rows * features; ++i) x.push_back(static_cast<float>(i % 5) - 2);
  int64_t shape[2] = {rows, features};
  DLTensor input{};
  input.data = x.data();
  input.device = {kDLCPU, 0};
  input.ndim = 2;
  input.dtype = {kDLFloat, 32, 1};
  input.shape = shape;
  const DLTensor* inputs[] = {&input};
  DLManagedTensorVersioned* result = nullptr;
  if (repose_call(model, 0, inputs, 1, nullptr, 1, &result) != REPOSE_OK) {
    std::fprintf(stderr, "%s\n", repose_last_error(model));
    return false;
  }
  const DLTensor& y = result->dl_tensor;
  const std::vector<float> want = expected(x, rows);
  bool right = y.ndim == 1 && y.shape[0] == static_cast<int64_t>(want.size());
  float worst = 0;
  for (size_t i = 0; right && i < want.size(); ++i) {
    const float got = static_cast<const float*>(y.data)[i];
    const float difference = got > want[i] ? got - want[i] : want[i] - got;
    worst = difference > worst ? difference : worst;
  }
  right = right && worst < 1e-4f;
  std::printf("(%lld, %d) -> (%lld,): %s\n", static_cast<long long>(rows), features,
              static_cast<long long>(y.shape[0]), right ? "as expected" : "WRONG");
  result->deleter(result);
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s MODEL.so\n", argv[0]);
    return 2;
  }
  Result<Module> module = build();
  if (!module.ok()) {
    std::fputs(to_string(module.errors()).c_str(), stderr);
    return 1;
  }
  std::fputs(print(*module).c_str(), stdout);

  // Passes can be run one by one: here, what the operators are made of.
  PassManager passes;
  passes.add("legalize").add("fuse_programs");
  passes.after_pass = [](const std::string& pass, const Module& after) {
    std::printf("after %s: %zu functions and programs\n", pass.c_str(), after.names().size());
  };
  if (auto fused = passes.run(*module); !fused.ok()) {
    std::fputs(to_string(fused.errors()).c_str(), stderr);
    return 1;
  }

  ArtifactOptions options;
  options.name = "build_and_run";
  if (auto done = compile(*module, argv[1], options); !done.ok()) {
    std::fputs(to_string(done.errors()).c_str(), stderr);
    return 1;
  }
  repose_options run_options = repose_default_options();
  repose_model* model = nullptr;
  if (repose_load(argv[1], &run_options, &model) != REPOSE_OK) {
    std::fprintf(stderr, "%s\n", repose_last_error(nullptr));
    return 1;
  }
  bool right = true;
  for (int64_t rows : {0, 1, 2, 7, 64}) right = call(model, rows) && right;
  repose_unload(model);
  return right ? 0 : 1;
}
