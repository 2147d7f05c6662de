/* Resident memory of a process that runs MiniLM at the shapes on standard input.
 *
 *   resident MODEL.so THREADS <shapes     (lines of `batch length`; the first has the largest of both)
 *
 * Prints, in bytes: before loading, after loading, after the first shape, and the most from then on.
 * A program of its own, in C: what an interpreter keeps for itself would be counted with the model.
 */
#include <stdio.h>
#include <stdlib.h>

#include "repose/repose.h"

enum { WIDTH = 384, NUM_WORDS = 500 };

/* Counted page by page: what /proc/self/statm says may be off by hundreds of pages. */
static long resident_bytes(void) {
  char line[256];
  long kib = 0;
  FILE* file = fopen("/proc/self/smaps_rollup", "r");
  if (file == NULL) return 0;
  while (fgets(line, sizeof line, file) != NULL && sscanf(line, "Rss: %ld", &kib) != 1) continue;
  fclose(file);
  return kib * 1024;
}

static DLTensor tensor_of(void* data, int32_t ndim, int64_t* shape, uint8_t code, uint8_t bits) {
  DLTensor tensor;
  memset(&tensor, 0, sizeof tensor);
  tensor.data = data;
  tensor.device.device_type = kDLCPU;
  tensor.ndim = ndim;
  tensor.shape = shape;
  tensor.dtype.code = code;
  tensor.dtype.bits = bits;
  tensor.dtype.lanes = 1;
  return tensor;
}

/* Memory for the largest shape, all of it touched. */
typedef struct {
  int64_t *ids, *mask;
  float* output;
} Rooms;

static int run(repose_model* model, const Rooms* rooms, int64_t batch, int64_t length) {
  int64_t shape[] = {batch, length}, output_shape[] = {batch, length, WIDTH};
  DLTensor ids = tensor_of(rooms->ids, 2, shape, kDLInt, 64);
  DLTensor mask = tensor_of(rooms->mask, 2, shape, kDLInt, 64);
  DLTensor output = tensor_of(rooms->output, 3, output_shape, kDLFloat, 32);
  const DLTensor* inputs[] = {&ids, &mask};
  DLTensor* outputs[] = {&output};
  return repose_call(model, 0, inputs, 2, outputs, 1, NULL) == REPOSE_OK;
}

int main(int argc, char** argv) {
  repose_options options = repose_default_options();
  repose_model* model = NULL;
  Rooms rooms;
  long batch = 0, length = 0, before = 0, loaded = 0, largest = 0, most = 0, i = 0;
  if (argc != 3 || scanf("%ld %ld", &batch, &length) != 2) {
    fprintf(stderr, "usage: %s MODEL.so THREADS <shapes\n", argv[0]);
    return 2;
  }
  options.num_threads = atoi(argv[2]);
  rooms.ids = malloc((size_t)(batch * length) * sizeof *rooms.ids);
  rooms.mask = malloc((size_t)(batch * length) * sizeof *rooms.mask);
  rooms.output = malloc((size_t)(batch * length) * WIDTH * sizeof *rooms.output);
  if (rooms.ids == NULL || rooms.mask == NULL || rooms.output == NULL) return 1;
  for (i = 0; i < batch * length; ++i) rooms.ids[i] = i * 7 % NUM_WORDS;
  for (i = 0; i < batch * length; ++i) rooms.mask[i] = 1;
  memset(rooms.output, 1, (size_t)(batch * length) * WIDTH * sizeof *rooms.output);
  resident_bytes(); /* the C library's own buffers are there from now on */
  before = resident_bytes();
  if (repose_load(argv[1], &options, &model) != REPOSE_OK) {
    fprintf(stderr, "%s\n", repose_last_error(NULL));
    return 1;
  }
  loaded = resident_bytes();
  do {
    if (!run(model, &rooms, batch, length)) {
      fprintf(stderr, "%s\n", repose_last_error(model));
      return 1;
    }
    most = resident_bytes() > most ? resident_bytes() : most;
    if (largest == 0) largest = most;
  } while (scanf("%ld %ld", &batch, &length) == 2);
  printf("%ld %ld %ld %ld\n", before, loaded, largest, most);
  repose_unload(model);
  return 0;
}
