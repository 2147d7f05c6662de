// Compiles tensor programs into the test's process and runs them on arrays.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "codegen/llvm/codegen.h"
#include "codegen/llvm/target_llvm.h"
#include "ir/array.h"

namespace repose::test {

using MutableArray = Ref<ArrayNode>;

inline Target target(const std::string& name) {
  Result<Target> t = find_target(name);
  EXPECT_TRUE(t.ok()) << to_string(t.errors());
  return *t;
}

// The baseline, the first level with fma, and this machine.
inline std::vector<Target> runnable_targets() {
  Target host = target("host");
  std::vector<Target> all{target("x86-64-v2")};
  Target v3 = target("x86-64-v3");
  bool runs = true;
  for (const std::string& f : v3.required_features) runs = runs && host.has(f);
  if (runs) all.push_back(v3);
  all.push_back(host);
  return all;
}

inline Result<void> run(const tir::PrimFunc& f, const Target& t,
                        const std::vector<MutableArray>& arrays,
                        const std::vector<int64_t>& scalars = {},
                        const CodegenOptions& options = {}) {
  Result<std::unique_ptr<CompiledProgram>> program = compile_in_process(f, t, options);
  if (!program.ok()) return program.errors();
  std::vector<void*> buffers;
  for (const MutableArray& a : arrays) buffers.push_back(a->mutable_bytes());
  return (*program)->call(buffers.data(), scalars.data());
}

inline Buffer vector_buffer(const std::string& name, DType dtype, int64_t n) {
  return make_buffer(name, {make_int(n)}, dtype);
}
inline tir::Stmt store(const Buffer& b, std::vector<Expr> indices, Expr value,
                       Expr predicate = nullptr) {
  return tir::make<tir::StoreNode>(b, std::move(indices), std::move(value), Span{},
                                   std::move(predicate));
}
inline tir::Stmt loop(const Var& v, Expr extent, tir::Stmt body,
                      tir::ForKind kind = tir::ForKind::serial) {
  return tir::make<tir::ForNode>(v, make_int(0), std::move(extent), kind, std::move(body));
}
inline Var loop_var(const std::string& name) {
  return make_var(name, dtypes::index, VarRole::loop);
}

inline MutableArray array_of(DType dtype, const std::vector<double>& values) {
  MutableArray a = make_array({static_cast<int64_t>(values.size())}, dtype);
  for (size_t i = 0; i < values.size(); ++i) {
    Scalar s = dtype.is_float() ? Scalar::of_float(values[i], dtype)
                                : Scalar::of_int(static_cast<int64_t>(values[i]), dtype);
    a->store(static_cast<int64_t>(i), s);
  }
  return a;
}
inline std::vector<double> values_of(const MutableArray& a) {
  std::vector<double> values;
  for (int64_t i = 0; i < a->num_elements(); ++i) {
    Scalar s = a->load(i);
    values.push_back(s.dtype.is_float() ? s.f : static_cast<double>(s.i));
  }
  return values;
}

}  // namespace repose::test
