// A runtime for the tests of host functions: records what generated code asks for.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/abi.h"

const uint8_t repose_weights[4096]
    __attribute__((aligned(4096), visibility("hidden"))) = {10, 20, 30};

char test_message[256];
int64_t test_region_bytes[4];
int64_t test_output_dims[4][4];
void* test_outputs[4];
int test_fail_region = 0;
static _Alignas(64) char arena[1 << 16];

int32_t repose_rt_fail(repose_rt_frame* frame, int32_t status, const char* message,
                       const int64_t* values, int32_t count) {
  (void)frame;
  int n = snprintf(test_message, sizeof test_message, "%s", message);
  for (int i = 0; i < count; ++i) {
    n += snprintf(test_message + n, sizeof test_message - (size_t)n, " %lld", (long long)values[i]);
  }
  return status;
}

void* repose_rt_region(repose_rt_frame* frame, int32_t region, int64_t bytes) {
  (void)frame;
  test_region_bytes[region] = bytes;
  return test_fail_region ? NULL : arena;
}

void* repose_rt_output(repose_rt_frame* frame, int32_t i, const int64_t* dims, int32_t rank,
                       int32_t* status) {
  (void)frame;
  memcpy(test_output_dims[i], dims, (size_t)rank * 8);
  if (!test_outputs[i]) *status = REPOSE_RT_REFUSED;
  return test_outputs[i];
}

int32_t repose_rt_parallel(repose_rt_frame* frame, repose_rt_body body, void* closure,
                           int64_t extent, int64_t grain, void* workspaces,
                           int64_t workspace_bytes) {
  (void)grain;
  (void)workspace_bytes;
  repose_rt_frame inner = *frame;
  inner.workspace = workspaces;
  return body(&inner, closure, 0, extent);
}

int repose_rt_tvm_ffi_call(int32_t index, const void* args, int32_t num_args, void* result) {
  (void)args;
  (void)result;
  return index * 100 + num_args;
}

const repose_rt_model* test_model(void) {
  return &repose_rt_this_model;
}
