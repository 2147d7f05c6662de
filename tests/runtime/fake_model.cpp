// The hand-written model: see fake_model.h. FAKE_WEIGHT, FAKE_PROFILED
// and FAKE_FEATURE vary it.
#include "fake_model.h"

#ifndef FAKE_NAME
#define FAKE_NAME "fake"
#endif
#ifndef FAKE_WEIGHT
#define FAKE_WEIGHT 0.5f
#endif
#ifndef FAKE_PROFILED
#define FAKE_PROFILED 1
#endif
#ifndef FAKE_FEATURE
#define FAKE_FEATURE nullptr
#endif

extern "C" {
int32_t (*fake_probe)(repose_rt_frame* frame) = nullptr;
}

namespace {

alignas(64) const float weights[16] = {FAKE_WEIGHT};

// ---- scale

struct ScaleArguments {
  const float* from;
  float* to;
  float factor;
};

int32_t scale_body(repose_rt_frame*, void* closure, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const ScaleArguments*>(closure);
  for (int64_t i = begin; i < end; ++i) a.to[i] = a.from[i] * a.factor;
  return REPOSE_RT_OK;
}

int32_t shift_body(repose_rt_frame* frame, void* closure, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const ScaleArguments*>(closure);
  const float weight = *reinterpret_cast<const float*>(frame->weights);
  for (int64_t i = begin; i < end; ++i) a.to[i] = a.from[i] + weight;
  return REPOSE_RT_OK;
}

int32_t scale(repose_rt_frame* frame) {
  const int64_t* dims = frame->input_shape[0];
  int64_t elements = 0, bytes = 0;
  if (__builtin_mul_overflow(dims[0], dims[1], &elements) ||
      __builtin_mul_overflow(elements, 4, &bytes)) {
    return repose_rt_fail(frame, REPOSE_RT_OVERFLOW, "`{0}` by `{1}` does not fit", dims, 2);
  }
  auto* temporary = static_cast<float*>(repose_rt_region(frame, 0, bytes));
  if (temporary == nullptr) return REPOSE_RT_OUT_OF_MEMORY;
  int32_t status = REPOSE_RT_OK;
  auto* y = static_cast<float*>(repose_rt_output(frame, 0, dims, 2, &status));
  if (y == nullptr) return status;
  ScaleArguments first = {static_cast<const float*>(frame->input_data[0]), temporary, 2.0f};
  status = repose_rt_parallel(frame, scale_body, &first, elements, 16, nullptr, 0);
  if (status != REPOSE_RT_OK) return status;
  ScaleArguments second = {temporary, y, 0.0f};
  return repose_rt_parallel(frame, shift_body, &second, elements, 16, nullptr, 0);
}

int32_t scale_sizes(repose_rt_frame* frame, const int64_t* symbols, int64_t* bytes,
                    int64_t* output_dims) {
  int64_t elements = 0;
  if (__builtin_mul_overflow(symbols[0], symbols[1], &elements) ||
      __builtin_mul_overflow(elements, 4, bytes)) {
    return repose_rt_fail(frame, REPOSE_RT_OVERFLOW, "{0} * {1} * 4 bytes do not fit", symbols, 2);
  }
  if (output_dims != nullptr) {
    output_dims[0] = symbols[0];
    output_dims[1] = symbols[1];
  }
  return REPOSE_RT_OK;
}

// ---- add

int32_t add(repose_rt_frame* frame) {
  const int64_t n = frame->input_shape[0][0];
  if (frame->input_shape[1][0] != n) {
    const int64_t values[] = {frame->input_shape[1][0], n};
    return repose_rt_fail(
        frame, REPOSE_RT_REFUSED,
        "input `b`: dimension 0 is {0}, expected `n` = {1} (from `a` dimension 0)", values, 2);
  }
  int32_t status = REPOSE_RT_OK;
  auto* c = static_cast<float*>(repose_rt_output(frame, 0, &n, 1, &status));
  if (c == nullptr) return status;
  const auto* a = static_cast<const float*>(frame->input_data[0]);
  const auto* b = static_cast<const float*>(frame->input_data[1]);
  for (int64_t i = 0; i < n; ++i) c[i] = a[i] + b[i];
  return REPOSE_RT_OK;
}

int32_t vector_sizes(repose_rt_frame*, const int64_t* symbols, int64_t* bytes,
                     int64_t* output_dims) {
  *bytes = 0;
  if (output_dims != nullptr) output_dims[0] = symbols[0];
  return REPOSE_RT_OK;
}

int32_t unbounded_sizes(repose_rt_frame*, const int64_t*, int64_t* bytes, int64_t* output_dims) {
  *bytes = -1;
  if (output_dims != nullptr) output_dims[0] = -1;
  return REPOSE_RT_OK;
}

// ---- scalar

int32_t scalar(repose_rt_frame* frame) {
  int32_t status = REPOSE_RT_OK;
  auto* y = static_cast<int64_t*>(repose_rt_output(frame, 0, nullptr, 0, &status));
  if (y == nullptr) return status;
  *y = *static_cast<const int64_t*>(frame->input_data[0]) + 1;
  return REPOSE_RT_OK;
}

int32_t no_sizes(repose_rt_frame*, const int64_t*, int64_t* bytes, int64_t*) {
  *bytes = 0;
  return REPOSE_RT_OK;
}

// ---- cache

int32_t cache(repose_rt_frame* frame) {
  const int64_t* dims = frame->input_shape[0];
  int32_t status = REPOSE_RT_OK;
  auto* y = static_cast<float*>(repose_rt_output(frame, 0, dims, 3, &status));
  if (y == nullptr) return status;
  const auto* x = static_cast<const float*>(frame->input_data[0]);
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t j = 0; j < dims[1] * 4; ++j) y[i * 64 + j] = x[i * 64 + j] + 1.0f;
  }
  return REPOSE_RT_OK;
}

int32_t cache_sizes(repose_rt_frame*, const int64_t* symbols, int64_t* bytes,
                    int64_t* output_dims) {
  *bytes = 0;
  if (output_dims != nullptr) {
    output_dims[0] = 2;
    output_dims[1] = symbols[0];
    output_dims[2] = 4;
  }
  return REPOSE_RT_OK;
}

// ---- pair

int32_t pair(repose_rt_frame* frame) {
  const int64_t n = frame->input_shape[0][0];
  int32_t status = REPOSE_RT_OK;
  auto* sum = static_cast<int64_t*>(repose_rt_output(frame, 0, nullptr, 0, &status));
  if (sum == nullptr) return status;
  auto* flipped = static_cast<uint8_t*>(repose_rt_output(frame, 1, &n, 1, &status));
  if (flipped == nullptr) return status;
  const auto* flags = static_cast<const uint8_t*>(frame->input_data[0]);
  *sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    *sum += flags[i];
    flipped[i] = flags[i] == 0;
  }
  return REPOSE_RT_OK;
}

int32_t empty(repose_rt_frame*) {
  return REPOSE_RT_OK;
}

// ---- probe

int32_t probe(repose_rt_frame* frame) {
  if (fake_probe != nullptr) return fake_probe(frame);
  int32_t status = REPOSE_RT_OK;
  const int64_t n = frame->input_shape[0][0];
  auto* y = static_cast<int64_t*>(repose_rt_output(frame, 0, &n, 1, &status));
  if (y == nullptr) return status;
  const auto* x = static_cast<const int64_t*>(frame->input_data[0]);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i];
  return REPOSE_RT_OK;
}

// ---- Tables

const repose_rt_dim dims_nm[] = {{-1, "n"}, {-1, "m"}};
const repose_rt_dim dims_cache[] = {{2, "2"}, {-1, "n"}, {4, "4"}};
const int64_t cache_strides[] = {64, -1, -1};

const repose_rt_value scale_inputs[] = {{"x", 2, 32, 0, 2, dims_nm, nullptr, -1, 0}};
const repose_rt_value scale_outputs[] = {{"y", 2, 32, 0, 2, dims_nm, nullptr, -1, 0}};
const repose_rt_value add_inputs[] = {{"a", 2, 32, 0, 1, dims_nm, nullptr, -1, 0},
                                      {"b", 2, 32, 0, 1, dims_nm, nullptr, -1, 0}};
const repose_rt_value add_outputs[] = {{"c", 2, 32, 0, 1, dims_nm, nullptr, -1, 0}};
const repose_rt_value scalar_inputs[] = {{"x", 0, 64, 0, 0, nullptr, nullptr, -1, 0}};
const repose_rt_value scalar_outputs[] = {{"y", 0, 64, 0, 0, nullptr, nullptr, -1, 0}};
const repose_rt_value cache_inputs[] = {{"x", 2, 32, 0, 3, dims_cache, cache_strides, -1, 0}};
const repose_rt_value cache_outputs[] = {{"y", 2, 32, 0, 3, dims_cache, cache_strides, 0, 0}};
const repose_rt_value pair_inputs[] = {{"flags", 6, 8, 0, 1, dims_nm, nullptr, -1, 0}};
const repose_rt_value pair_outputs[] = {{"sum", 0, 64, 0, 0, nullptr, nullptr, -1, 0},
                                        {"flipped", 6, 8, 0, 1, dims_nm, nullptr, -1, 0}};
const repose_rt_value probe_inputs[] = {{"x", 0, 64, 0, 1, dims_nm, nullptr, -1, 0}};
const repose_rt_value probe_outputs[] = {{"y", 0, 64, 0, 1, dims_nm, nullptr, -1, 0}};

const repose_rt_symbol symbols_nm[] = {{"n", 0, INT64_MAX, 1}, {"m", 0, INT64_MAX, 1}};
const repose_rt_symbol symbols_n[] = {{"n", 0, 4096, 1}};
const repose_rt_symbol symbols_cache[] = {{"n", 0, 16, 2}};

const repose_rt_function functions[kFakeFunctions] = {
    {"scale", 1, 1, 2, 1, scale_inputs, scale_outputs, symbols_nm, scale, scale_sizes, nullptr, 0,
     0},
    {"add", 2, 1, 1, 0, add_inputs, add_outputs, symbols_n, add, vector_sizes, nullptr, 0, 0},
    {"scalar", 1, 1, 0, 0, scalar_inputs, scalar_outputs, nullptr, scalar, no_sizes, nullptr, 0, 0},
    {"cache", 1, 1, 1, 0, cache_inputs, cache_outputs, symbols_cache, cache, cache_sizes, nullptr,
     0, 0},
    {"pair", 1, 2, 1, 0, pair_inputs, pair_outputs, symbols_n, pair, vector_sizes, nullptr, 0, 0},
    {"empty", 0, 0, 0, 0, nullptr, nullptr, nullptr, empty, no_sizes, nullptr, 0, 0},
    {"probe", 1, 1, 1, 4, probe_inputs, probe_outputs, symbols_n, probe, unbounded_sizes,
     "the data decides `k`", 0, 0},
};

const char* const features[] = {FAKE_FEATURE, nullptr};
const char metadata[] = R"({"name": "fake"})";

}  // namespace

extern "C" {

const repose_rt_model repose_rt_this_model = {sizeof(repose_rt_model),
                                              REPOSE_RT_ABI_VERSION,
                                              FAKE_NAME,
                                              metadata,
                                              sizeof metadata - 1,
                                              reinterpret_cast<const uint8_t*>(weights),
                                              sizeof weights,
                                              "x86-64",
                                              features,
                                              kFakeFunctions,
                                              FAKE_PROFILED,
                                              functions,
                                              nullptr,
                                              0,
                                              0};

#define FAKE_TVM_FFI(name, number)                                                                \
  __attribute__((visibility("default"))) int __tvm_ffi_##name(void*, const void* args, int32_t n, \
                                                              void* result) {                     \
    return repose_rt_tvm_ffi_call(number, args, n, result);                                       \
  }
FAKE_TVM_FFI(scale, kScale)
FAKE_TVM_FFI(add, kAdd)
FAKE_TVM_FFI(scalar, kScalar)
FAKE_TVM_FFI(cache, kCache)
FAKE_TVM_FFI(pair, kPair)
FAKE_TVM_FFI(empty, kEmpty)
FAKE_TVM_FFI(probe, kProbe)
}
