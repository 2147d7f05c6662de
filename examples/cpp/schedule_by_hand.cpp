// Schedules a tensor program by hand, prints its steps and its loops, compiles it into a shared
// library, and calls that at several shapes:
//
//   schedule_by_hand MODEL.so        writes MODEL.so
//
//   y = relu(x) * 2                                   one program, two loops
//   rows in parallel, columns in vectors of 8         what the steps make of it
#include <cstdio>
#include <vector>

#include "repose/compiler.hpp"
#include "repose/repose.h"

namespace {

using namespace repose;

Result<Module> build() {
  ModuleBuilder b;
  Var m = b.symbol("m"), n = b.symbol("n");
  b.begin_function("main");
  Value x = b.input("x", {m, n}, dtypes::float32);
  Value y = b.dataflow([&] {
    return b.emit_te("relu_twice", {x}, [](const std::vector<te::Tensor>& in) {
      return te::compute(
          in[0].shape(),
          [&](const te::Indices& i) {
            return max(in[0](i), make_float(0, dtypes::float32)) * make_float(2, dtypes::float32);
          },
          "relu_twice");
    });
  });
  b.end_function({y}, {"y"});
  return b.finish();
}

Result<void> schedule_rows(schedule::Scheduled& s) {
  const schedule::Loop rows = *schedule::loop_named(s, "i0");
  const schedule::Loop columns = *schedule::loop_named(s, "i1");
  // A vector cannot run over an extent that isn't known: the step is refused, and says so.
  auto refused = schedule::vectorize(s, columns);
  std::printf("refused: %s\n", refused.errors()[0].text.c_str());
  // Whole vectors, and behind them one of which the lanes beyond the end are masked off.
  REPOSE_TRY(tiles, schedule::split(s, columns, make_int(8), schedule::Tail::vector));
  REPOSE_RUN(schedule::vectorize(s, tiles[1]));
  REPOSE_RUN(schedule::vectorize(s, tiles[3]));
  REPOSE_RUN(schedule::parallel(s, rows, make_int(16)));
  for (const schedule::Step& step : s.steps) std::printf("%s\n", to_string(step).c_str());
  return {};
}

// Calls the model with a matrix; false where it fails or is wrong.
bool call(repose_model* model, int64_t rows, int64_t columns) {
  std::vector<float> x;
  for (int64_t i = 0; i < rows * columns; ++i) x.push_back(static_cast<float>(i % 7) - 3);
  int64_t shape[2] = {rows, columns};
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
  const auto* y = static_cast<const float*>(result->dl_tensor.data);
  bool right = true;
  for (size_t i = 0; i < x.size(); ++i) right = right && y[i] == (x[i] > 0 ? x[i] * 2 : 0);
  std::printf("(%lld, %lld): %s\n", static_cast<long long>(rows), static_cast<long long>(columns),
              right ? "as expected" : "WRONG");
  result->deleter(result);
  return right;
}

Result<Module> scheduled(const Module& module) {
  PassManager before;
  before.add("legalize").add("fuse_programs").add("expose_symbols");
  REPOSE_TRY(programs, before.run(module));
  return with_schedule(programs, "relu_twice", schedule_rows);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s MODEL.so\n", argv[0]);
    return 2;
  }
  Result<Module> module = build();
  if (module.ok()) module = scheduled(*module);
  if (!module.ok()) {
    std::fputs(to_string(module.errors()).c_str(), stderr);
    return 1;
  }
  std::fputs(print(*module).c_str(), stdout);
  if (auto done = compile(*module, argv[1]); !done.ok()) {
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
  for (int64_t size : {0, 1, 7, 8, 65}) right = call(model, size, size + 1) && right;
  repose_unload(model);
  return right ? 0 : 1;
}
