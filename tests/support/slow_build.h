// Builds whose code is slow, and how many random cases a test runs.
#pragma once

#include <cstdlib>

namespace repose {

// 1 where a sanitizer instruments the build: GCC's way to say it, and clang's.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REPOSE_IS_INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REPOSE_IS_INSTRUMENTED 1
#endif
#endif
#ifndef REPOSE_IS_INSTRUMENTED
#define REPOSE_IS_INSTRUMENTED 0
#endif

// Such builds look for other mistakes than many cases and clocks do.
inline constexpr bool is_slow_build = REPOSE_IS_INSTRUMENTED;

// The environment's `variable` if it is set, else `usual`, or `slow` in slow builds.
inline int random_count(const char* variable, int usual, int slow) {
  if (const char* text = std::getenv(variable)) return std::atoi(text);
  return is_slow_build ? slow : usual;
}

}  // namespace repose
