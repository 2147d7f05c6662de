// Compiles only: repose.h uses the definitions of a dlpack.h that was included before it.
#include <dlpack/dlpack.h>
// The order matters.
#include "repose/repose.h"

static_assert(DLPACK_MAJOR_VERSION >= 1);
int dlpack_first(DLManagedTensorVersioned* tensor) {
  return tensor->dl_tensor.ndim;
}
