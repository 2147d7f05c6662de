// Builds whose code is slow, and how many random cases a test runs.
#pragma once

#include <cstdlib>

namespace repose {

// Instrumented by a sanitizer: such builds look for other mistakes than many cases and clocks do.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool is_slow_build = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool is_slow_build = true;
#else
inline constexpr bool is_slow_build = false;
#endif
#else
inline constexpr bool is_slow_build = false;
#endif

// The environment's `variable` if it is set, else `usual`, or `slow` in slow builds.
inline int random_count(const char* variable, int usual, int slow) {
  if (const char* text = std::getenv(variable)) return std::atoi(text);
  return is_slow_build ? slow : usual;
}

}  // namespace repose
