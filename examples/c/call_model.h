/* What both C examples do with a model: flatten_relu, called at several numbers of rows. */
#ifndef CALL_MODEL_H
#define CALL_MODEL_H

#include <stdio.h>
#include <stdlib.h>

#include "repose/repose.h"

/* relu(flatten(b)) for b of (rows, 224); the model allocates the result. Returns 0 if it is right.
 */
static int call_with_rows(repose_model* model, int64_t rows) {
  const int64_t columns = 224, count = rows * columns;
  int64_t shape[2];
  float* data = (float*)malloc((size_t)(count > 0 ? count : 1) * sizeof(float));
  DLTensor input;
  const DLTensor* inputs[1];
  DLManagedTensorVersioned* result = NULL;
  int wrong = 0;
  int64_t i;
  if (data == NULL) return 1;
  for (i = 0; i < count; ++i) data[i] = (float)(i % 7) - 3;
  shape[0] = rows;
  shape[1] = columns;
  memset(&input, 0, sizeof input);
  input.data = data;
  input.device.device_type = kDLCPU;
  input.ndim = 2;
  input.dtype.code = kDLFloat;
  input.dtype.bits = 32;
  input.dtype.lanes = 1;
  input.shape = shape;
  inputs[0] = &input;
  if (repose_call(model, 0, inputs, 1, NULL, 1, &result) != REPOSE_OK) {
    fprintf(stderr, "%s\n", repose_last_error(model));
    free(data);
    return 1;
  }
  if (result->dl_tensor.ndim != 1 || result->dl_tensor.shape[0] != count) wrong = 1;
  for (i = 0; !wrong && i < count; ++i) {
    const float got = ((const float*)result->dl_tensor.data)[i];
    if (got != (data[i] > 0 ? data[i] : 0)) wrong = 1;
  }
  printf("(%d, %d) -> (%d,): %s\n", (int)rows, (int)columns, (int)result->dl_tensor.shape[0],
         wrong ? "WRONG" : "as expected");
  result->deleter(result);
  free(data);
  return wrong;
}

/* One compiled model at every shape, and a call that it refuses. */
static int call_at_several_shapes(repose_model* model) {
  static const int64_t rows[] = {0, 1, 2, 7, 64};
  int wrong = 0;
  size_t i;
  int64_t symbol = 64, arena_bytes = 0, output_dims[1] = {0};
  for (i = 0; i < sizeof rows / sizeof rows[0]; ++i) wrong |= call_with_rows(model, rows[i]);
  /* What a call would need, before it is made. */
  if (repose_memory_needed(model, 0, &symbol, 1, &arena_bytes, output_dims) != REPOSE_OK) return 1;
  printf("64 rows need %d bytes of scratch memory and give %d elements\n", (int)arena_bytes,
         (int)output_dims[0]);
  return wrong | (output_dims[0] != 64 * 224);
}

#endif
