// Orders the bindings of functions for a low peak.
//
// before:  a = call_tir(f, (x,)); b = call_tir(g, (x,)); c = call_tir(h, (a,)); d = call_tir(k, (b,
// c)) after:   a = …; c = …; b = …; d = …       # where `a` is large and `c` small: `a` dies before
// `b` requires: programs have the attributes of find_sharing (those without share nothing) ensures:
// a binding stands after what it uses, and after each check, match_cast and impure binding
//          that it stood after, which keep their order among themselves; for all values of the
//          symbols, the largest sum of bytes that live at one time is at most that of the given
//          order
#pragma once

#include "ir/module.h"

namespace repose {

graph::Function order_bindings(const graph::Function& f, const Module& module, const Facts& facts);

// Every function that is not private.
Module order_bindings(const Module& module);

}  // namespace repose
