/* Calls a model that is linked into the program: code, weights and runtime in one object file.
 *
 *   repose compile flatten_relu.relax --emit o --name flatten_relu -o flatten_relu.o
 *   cc -I include examples/c/link.c flatten_relu.o -o linked && ./linked
 */
#include "call_model.h"

REPOSE_DECLARE_MODEL(flatten_relu);

int main(void) {
  repose_options options = repose_default_options();
  repose_model* model = NULL;
  int wrong;
  if (repose_open(&flatten_relu_repose_api_v1, &options, &model) != REPOSE_OK) {
    fprintf(stderr, "%s\n", repose_last_error(NULL));
    return 1;
  }
  wrong = call_at_several_shapes(model);
  repose_unload(model);
  return wrong;
}
