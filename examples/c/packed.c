/* Provides the packed functions that a model calls, and runs it at two shapes.
 *
 *   repose compile packed_update.relax -o packed_update.so
 *   cc -I include examples/c/packed.c -lm -o packed && ./packed ./packed_update.so
 */
#include <math.h>
#include <stdio.h>

#include "repose/repose.h"

static int64_t count_elements(const DLTensor* t) {
  int64_t count = 1;
  int k;
  for (k = 0; k < t->ndim; ++k) count *= t->shape[k];
  return count;
}

/* call_dps_packed: the last argument is the result, which is to be written. */
static int32_t scale(void* user, repose_packed_call* call) {
  const DLTensor* from = call->arguments[0].as.tensor;
  const int64_t factor = call->arguments[1].as.integer;
  float* to = (float*)call->arguments[2].as.tensor->data;
  int64_t i;
  (void)user;
  for (i = 0; i < count_elements(from); ++i) to[i] = (float)factor * ((const float*)from->data)[i];
  return 0;
}

/* call_inplace_packed: argument 0 is overwritten. */
static int32_t update(void* user, repose_packed_call* call) {
  const DLTensor* t = call->arguments[0].as.tensor;
  int64_t i;
  (void)user;
  for (i = 0; i < count_elements(t); ++i) ((float*)t->data)[i] += 1;
  return 0;
}

typedef struct {
  int calls;
  int64_t rows, columns;
} record;

/* call_packed, for its effect: sees the result, and a shape. A failure's text goes to the caller.
 */
static int32_t remember(void* user, repose_packed_call* call) {
  record* r = (record*)user;
  const int64_t* dims = call->arguments[1].as.dims;
  if (dims[0] > 100) {
    snprintf(call->error, call->error_bytes, "%lld rows are more than 100", (long long)dims[0]);
    return 1;
  }
  ++r->calls;
  r->rows = dims[0];
  r->columns = dims[1];
  return 0;
}

static DLTensor matrix(float* data, int64_t* shape) {
  DLTensor t;
  memset(&t, 0, sizeof t);
  t.data = data;
  t.device.device_type = kDLCPU;
  t.ndim = 2;
  t.dtype.code = kDLFloat;
  t.dtype.bits = 32;
  t.dtype.lanes = 1;
  t.shape = shape;
  return t;
}

/* x of (n, k), w of (k, m), all elements small: n * exp(x w) + 1, flat. Returns 0 if it is right.
 */
static int call_with(repose_model* model, int64_t n, int64_t k, int64_t m) {
  static float x[101 * 8], w[8 * 8];
  int64_t x_shape[2], w_shape[2], i, j, l;
  DLTensor x_tensor, w_tensor;
  const DLTensor* inputs[2];
  DLManagedTensorVersioned* result = NULL;
  int wrong = 0;
  x_shape[0] = n;
  x_shape[1] = w_shape[0] = k;
  w_shape[1] = m;
  for (i = 0; i < n * k; ++i) x[i] = (float)(i % 5) / 8;
  for (i = 0; i < k * m; ++i) w[i] = (float)(i % 3) / 4;
  x_tensor = matrix(x, x_shape);
  w_tensor = matrix(w, w_shape);
  inputs[0] = &x_tensor;
  inputs[1] = &w_tensor;
  if (repose_call(model, 0, inputs, 2, NULL, 1, &result) != REPOSE_OK) {
    printf("(%d, %d) and (%d, %d): %s\n", (int)n, (int)k, (int)k, (int)m, repose_last_error(model));
    return -1;
  }
  if (result->dl_tensor.ndim != 1 || result->dl_tensor.shape[0] != n * m) wrong = 1;
  for (i = 0; !wrong && i < n; ++i) {
    for (j = 0; j < m; ++j) {
      double sum = 0;
      for (l = 0; l < k; ++l) sum += (double)x[i * k + l] * w[l * m + j];
      sum = (double)n * exp(sum) + 1;
      if (fabs(((float*)result->dl_tensor.data)[i * m + j] - sum) > 1e-4 * sum) wrong = 1;
    }
  }
  printf("(%d, %d) and (%d, %d) -> (%d,): %s\n", (int)n, (int)k, (int)k, (int)m,
         (int)result->dl_tensor.shape[0], wrong ? "WRONG" : "as expected");
  result->deleter(result);
  return wrong;
}

int main(int argc, char** argv) {
  record seen = {0, 0, 0};
  repose_packed_entry own[2] = {{"custom.scale", scale, NULL}, {"custom.record", remember, NULL}};
  repose_options options = repose_default_options();
  repose_model* model = NULL;
  int wrong;
  if (argc != 2) {
    fprintf(stderr, "usage: %s MODEL.so\n", argv[0]);
    return 2;
  }
  own[1].user = &seen;
  /* Without them, the model isn't loaded, and the message names all three. */
  if (repose_load(argv[1], &options, &model) == REPOSE_OK) return 1;
  printf("%s\n", repose_last_error(NULL));
  /* One for every model that is loaded from now on, two for this one. */
  if (repose_register("custom.inplace_update", update, NULL) != REPOSE_OK) return 1;
  options.packed_functions = own;
  options.num_packed_functions = 2;
  if (repose_load(argv[1], &options, &model) != REPOSE_OK) {
    fprintf(stderr, "%s\n", repose_last_error(NULL));
    return 1;
  }
  wrong = call_with(model, 2, 3, 4) != 0;
  wrong |= seen.calls != 1 || seen.rows != 2 || seen.columns != 4;
  wrong |= call_with(model, 7, 8, 1) != 0;
  wrong |= seen.calls != 2 || seen.rows != 7 || seen.columns != 1;
  wrong |= call_with(model, 101, 8, 1) != -1; /* refused by a function of ours */
  wrong |= seen.calls != 2;
  repose_unload(model);
  return wrong;
}
