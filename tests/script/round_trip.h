// Text → IR → text → IR: the same text and equal IR.
#pragma once

#include <gtest/gtest.h>

#include "ir/structural.h"
#include "script/parser.h"
#include "script/printer.h"
#include "small_ops.h"

namespace repose {

inline Module parse(const std::string& text, const ParseOptions& options = {}) {
  Result<Module> m = parse_module(make_text_source("test.relax", text), small_ops(), options);
  if (!m.ok()) {
    ADD_FAILURE() << to_string(m.errors()) << text;
    return {};
  }
  return *m;
}

// Gives the canonical text.
inline std::string round_trip(const std::string& text) {
  Module first = parse(text);
  std::string printed = print(first);
  Module second = parse(printed);
  EXPECT_EQ(print(second), printed);
  EXPECT_TRUE(structural_equal(first, second)) << printed;
  return printed;
}

inline std::string in_program(const std::string& params, const std::string& body) {
  return "@T.prim_func\ndef main(" + params + "):\n" + body;
}

inline std::string in_module(const std::string& text) {
  return "from repose.script import ir as I, relax as R, tir as T\n\n@I.ir_module\nclass "
         "Module:\n" +
         text;
}

inline void expect_canonical(const std::string& text) {
  EXPECT_EQ(round_trip(text), text);
}

inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no " << part << " in\n" << text;
}

}  // namespace repose
