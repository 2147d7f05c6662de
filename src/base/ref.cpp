// Iterative destruction of shared nodes.
#include "base/ref.h"

namespace repose {

void RefCounted::destroy(const RefCounted* node) noexcept {
  thread_local const RefCounted* dead = nullptr;
  thread_local bool draining = false;
  node->next_dead_ = dead;
  dead = node;
  if (draining) return;
  draining = true;
  while (dead) {
    const RefCounted* next = dead;
    dead = next->next_dead_;
    delete next;
  }
  draining = false;
}

}  // namespace repose
