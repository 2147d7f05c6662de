/* Loads a compiled model at run time and calls it; links nothing but libc.
 *
 *   repose compile flatten_relu.relax -o flatten_relu.so
 *   cc -I include examples/c/load.c -o load && ./load ./flatten_relu.so
 */
#include "call_model.h"

int main(int argc, char** argv) {
  repose_options options = repose_default_options();
  repose_model* model = NULL;
  int wrong;
  if (argc != 2) {
    fprintf(stderr, "usage: %s MODEL.so\n", argv[0]);
    return 2;
  }
  if (repose_load(argv[1], &options, &model) != REPOSE_OK) {
    fprintf(stderr, "%s\n", repose_last_error(NULL));
    return 1;
  }
  wrong = call_at_several_shapes(model);
  repose_unload(model);
  return wrong;
}
