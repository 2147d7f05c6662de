/* Hands the matrix products of a model to CBLAS: the rules of models/blas.relax make groups of
 * them, which become calls of the two functions below.
 *
 *   repose opt two_layers.relax --rewrite blas.relax --passes call_external_groups >
 * with_blas.relax repose compile with_blas.relax -o with_blas.so cc -I include examples/c/blas.c
 * -lopenblas -lm -o blas && ./blas ./with_blas.so
 */
#include <cblas.h>
#include <math.h>
#include <stdio.h>

#include "repose/repose.h"

/* y = x w + y, for x of (n, k) and w of (k, m). */
static void add_product(const DLTensor* x, const DLTensor* w, const DLTensor* y, float beta) {
  const int n = (int)x->shape[0], k = (int)x->shape[1], m = (int)w->shape[1];
  if (n == 0 || m == 0) return;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, m, k, 1.0f, (const float*)x->data,
              k > 0 ? k : 1, (const float*)w->data, m, beta, (float*)y->data, m);
}

/* user: counts the calls. Arguments: x, w, then the result. */
static int32_t matmul(void* user, repose_packed_call* call) {
  const repose_packed_value* a = call->arguments;
  ++*(int*)user;
  add_product(a[0].as.tensor, a[1].as.tensor, a[2].as.tensor, 0.0f);
  return 0;
}

/* Arguments: x, w, b, then the result, which begins as b in each row. */
static int32_t linear(void* user, repose_packed_call* call) {
  const repose_packed_value* a = call->arguments;
  const DLTensor *b = a[2].as.tensor, *y = a[3].as.tensor;
  int64_t i, j;
  ++*(int*)user;
  for (i = 0; i < y->shape[0]; ++i) {
    for (j = 0; j < y->shape[1]; ++j) {
      ((float*)y->data)[i * y->shape[1] + j] = ((const float*)b->data)[j];
    }
  }
  add_product(a[0].as.tensor, a[1].as.tensor, y, 1.0f);
  return 0;
}

static DLTensor tensor(float* data, int64_t* shape, int rank) {
  DLTensor t;
  memset(&t, 0, sizeof t);
  t.data = data;
  t.device.device_type = kDLCPU;
  t.ndim = rank;
  t.dtype.code = kDLFloat;
  t.dtype.bits = 32;
  t.dtype.lanes = 1;
  t.shape = shape;
  return t;
}

enum { K = 5, H = 7, M = 3, MOST = 64 };

/* Calls the model with a batch of n and compares with loops. Returns 0 if it is right. */
static int call_with(repose_model* model, int64_t n) {
  static float x[MOST * K], v[K * H], b[H], w[H * M];
  int64_t x_shape[2] = {0, K}, v_shape[2] = {K, H}, b_shape[1] = {H}, w_shape[2] = {H, M};
  const DLTensor* inputs[4];
  DLTensor tensors[4];
  DLManagedTensorVersioned* result = NULL;
  int64_t i, j, h, k;
  int wrong = 0;
  x_shape[0] = n;
  for (i = 0; i < n * K; ++i) x[i] = (float)(i % 7) / 4 - 0.5f;
  for (i = 0; i < K * H; ++i) v[i] = (float)(i % 5) / 4 - 0.5f;
  for (i = 0; i < H; ++i) b[i] = (float)i / 8 - 0.25f;
  for (i = 0; i < H * M; ++i) w[i] = (float)(i % 3) / 2 - 0.5f;
  tensors[0] = tensor(x, x_shape, 2);
  tensors[1] = tensor(v, v_shape, 2);
  tensors[2] = tensor(b, b_shape, 1);
  tensors[3] = tensor(w, w_shape, 2);
  for (i = 0; i < 4; ++i) inputs[i] = &tensors[i];
  if (repose_call(model, 0, inputs, 4, NULL, 1, &result) != REPOSE_OK) {
    printf("batch %d: %s\n", (int)n, repose_last_error(model));
    return 1;
  }
  for (i = 0; i < n; ++i) {
    for (j = 0; j < M; ++j) {
      double sum = 0;
      for (h = 0; h < H; ++h) {
        double hidden = b[h];
        for (k = 0; k < K; ++k) hidden += (double)x[i * K + k] * v[k * H + h];
        if (hidden > 0) sum += hidden * w[h * M + j];
      }
      if (fabs(((float*)result->dl_tensor.data)[i * M + j] - sum) > 1e-4 * (1 + fabs(sum)))
        wrong = 1;
    }
  }
  printf("batch %d -> (%d, %d): %s\n", (int)n, (int)result->dl_tensor.shape[0],
         (int)result->dl_tensor.shape[1], wrong ? "WRONG" : "as expected");
  result->deleter(result);
  return wrong;
}

int main(int argc, char** argv) {
  int linears = 0, matmuls = 0, wrong;
  repose_packed_entry own[2] = {{"cblas.linear", linear, NULL}, {"cblas.matmul", matmul, NULL}};
  repose_options options = repose_default_options();
  repose_model* model = NULL;
  if (argc != 2) {
    fprintf(stderr, "usage: %s MODEL.so\n", argv[0]);
    return 2;
  }
  own[0].user = &linears;
  own[1].user = &matmuls;
  options.packed_functions = own;
  options.num_packed_functions = 2;
  if (repose_load(argv[1], &options, &model) != REPOSE_OK) {
    fprintf(stderr, "%s\n", repose_last_error(NULL));
    return 1;
  }
  wrong = call_with(model, 1);
  wrong |= call_with(model, MOST);
  wrong |= call_with(model, 0);
  printf("CBLAS was called %d times\n", linears + matmuls);
  wrong |= linears != 3 || matmuls != 3;
  repose_unload(model);
  return wrong;
}
