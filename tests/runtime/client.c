/* A C11 program that links nothing but libc: loads the model it is given and calls it. */
#include <stdio.h>

#include "repose/repose.h"

int main(int argc, char** argv) {
  repose_options options = repose_default_options();
  repose_model* model = NULL;
  float x[6] = {1, 2, 3, 4, 5, 6};
  int64_t shape[2] = {2, 3};
  DLTensor tensor = {x, {kDLCPU, 0}, 2, {kDLFloat, 32, 1}, shape, NULL, 0};
  const DLTensor* inputs[1] = {&tensor};
  DLManagedTensorVersioned* result = NULL;
  int status;
  options.num_threads = 2;
  if (argc != 2 || repose_load(argv[1], &options, &model) != REPOSE_OK) {
    fprintf(stderr, "%s\n", repose_last_error(NULL));
    return 1;
  }
  status = repose_call(model, repose_find_function(model, "scale"), inputs, 1, NULL, 1, &result);
  if (status != REPOSE_OK) {
    fprintf(stderr, "%s\n", repose_last_error(model));
    return 1;
  }
  status = ((float*)result->dl_tensor.data)[5] == 12.5f ? 0 : 1;
  repose_unload(model);
  result->deleter(result);
  return status;
}
