// Random valid modules of everything that graph functions are made of: all statements, all types.
#pragma once

#include <random>

#include "ir/builder.h"

namespace repose::testing_text {

// Grows a module with a public function `main`, from a seed. What the builder refuses is left out,
// so the module is well formed; native code may refuse it by name. It calls the packed functions
// `test.same(x)` (what it was given), `test.note(…)` (nothing), `test.twice(x, out)` (out = 2 x)
// and `test.accumulate(x, y)` (x += y).
class ModuleGrower {
 public:
  explicit ModuleGrower(uint32_t seed);
  Module grow();

 private:
  using Value = graph::Value;
  using Values = std::vector<Value>;

  std::mt19937 random_;
  Builder builder_;
  Values pool_;               // what can be used here
  std::vector<Expr> sizes_;   // over symbols that are bound here
  bool has_effects_ = false;  // the function that is being built
  std::vector<std::string> functions_;

  int pick(int count) { return static_cast<int>(random_() % static_cast<uint32_t>(count)); }
  Expr size();
  Value leaf_like(const Type& type);
  template <class Predicate>
  Value find(Predicate fits);
  Value tensor();      // of a known shape and float32
  Value any_tensor();  // of whatever is known
  Value any() { return pool_[static_cast<size_t>(pick(static_cast<int>(pool_.size())))]; }

  std::vector<graph::Variable> parameters();
  Value finish();
  void add(Result<graph::Variable> made);
  void call(const char* name, Values args, Attrs attrs = {}, std::vector<Type> type_args = {});
  Type cast_type(const Type& type);
  Type vaguer(const Type& type);

  void statements(int count, int depth);
  void statement(int depth);
  void arithmetic();
  void movement();
  void unknown_shape();
  void data_size();
  void cast();
  void tuple();
  void shape();
  void prim();
  void program();
  void packed(bool is_pure);
  void branch(int depth);
  void loop(int depth);
  void dataflow(int depth);
  void local_function(int depth);
  void private_function();
  void call_function();
  template <class Fill>
  Value region(Fill fill);
  Value function_body(const std::vector<graph::Variable>& params, int depth, const char* name,
                      bool is_private);
};

}  // namespace repose::testing_text
