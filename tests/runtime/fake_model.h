// A model written by hand, as generated code would be: the tables and functions of runtime/abi.h.
// Linked into test_runtime, and into shared libraries for the tests of loading.
#pragma once

#include "abi.h"

// The functions, by number.
enum FakeFunction {
  kScale,   // y[n, m] = 2 * x[n, m] + weight, float32, in parallel, by way of the arena
  kAdd,     // c[n] = a[n] + b[n], float32; checks that the dimensions agree
  kScalar,  // y[] = x[] + 1, int64
  kCache,   // y[2, n, 4] = x[2, n, 4] + 1, float32, stride 64 between rows; y may reuse x
  kPair,    // sum[] and flipped[n] of flags[n], int64 and bool
  kEmpty,   // no inputs, no outputs
  kProbe,   // y[n] of x[n], int64: whatever fake_probe does
  kFakeFunctions
};

// What kProbe runs; null in shared libraries: copies.
extern "C" int32_t (*fake_probe)(repose_rt_frame* frame);
