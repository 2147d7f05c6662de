// Modules from text, run on small arrays.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>

#include "interp/interpreter.h"
#include "ir/builder.h"
#include "ops/ops.h"
#include "script/parser.h"

namespace repose::testing_interp {

inline Module parse(const std::string& text) {
  auto module = parse_module(make_text_source("test", text), standard_ops());
  if (!module.ok()) {
    ADD_FAILURE() << to_string(module.errors());
    return {};
  }
  return *module;
}

// An array of any dtype from doubles.
inline Ref<ArrayNode> array(std::vector<int64_t> shape, DType dtype,
                            const std::vector<double>& values) {
  Ref<ArrayNode> a = make_array(std::move(shape), dtype);
  EXPECT_EQ(a->num_elements(), static_cast<int64_t>(values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    const bool is_float = dtype.is_float();
    a->store(static_cast<int64_t>(i), is_float
                                          ? Scalar::of_float(values[i], dtype)
                                          : Scalar::of_int(static_cast<int64_t>(values[i]), dtype));
  }
  return a;
}
inline Ref<ArrayNode> floats(std::vector<int64_t> shape, const std::vector<double>& values) {
  return array(std::move(shape), dtypes::float32, values);
}
inline Ref<ArrayNode> ints(std::vector<int64_t> shape, const std::vector<double>& values) {
  return array(std::move(shape), dtypes::int64, values);
}

inline std::vector<double> values_of(const Array& a) {
  std::vector<double> result;
  for (int64_t i = 0; a && i < a->num_elements(); ++i) {
    const Scalar s = a->load(i);
    result.push_back(s.dtype.is_float() ? s.f : static_cast<double>(s.i));
  }
  return result;
}

// The result of `main`, as text: dtype, shape and elements; or the text of the first error.
inline std::string run(const Module& module, const std::vector<HostValue>& args,
                       const InterpretOptions& options = {}) {
  auto result = interpret(module, standard_ops(), "main", args, options);
  return result.ok() ? to_string(*result) : result.errors()[0].text;
}
inline std::string run(const std::string& text, const std::vector<HostValue>& args,
                       const InterpretOptions& options = {}) {
  return run(parse(text), args, options);
}

// Runs the program `main`; the first error's text, or "".
inline std::string run_program(const std::string& text, const std::vector<Ref<ArrayNode>>& buffers,
                               const std::vector<Scalar>& scalars = {},
                               const InterpretOptions& options = {}) {
  const tir::PrimFunc f = parse(text).prim_func("main");
  if (!f) return "no program";
  auto result = interpret_program(f, buffers, scalars, options);
  return result.ok() ? "" : result.errors()[0].text;
}

}  // namespace repose::testing_interp
