// Random models of operators through every pass: what has to hold of a pass holds on them too.
// REPOSE_RANDOM_MODELS: how many.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "ir/builder.h"
#include "ops/ops.h"
#include "script/printer.h"
#include "support/slow_build.h"
#include "text/run_case.h"

namespace repose::testing_text {
namespace {

using graph::Value;

// Grows a function of float tensors; operators that don't fit what there is are left out.
class ModelGrower {
 public:
  explicit ModelGrower(uint32_t seed) : random_(seed), builder_(standard_ops()) {}

  Module grow() {
    const Var m = make_var("m"), n = make_var("n");
    condition_ = graph::make_variable("c", tensor_type({}, dtypes::boolean));
    std::vector<graph::Variable> params{
        graph::make_variable("x", tensor_type({m, n}, dtypes::float32)),
        graph::make_variable("y", tensor_type({n}, dtypes::float32)),
        graph::make_variable("z", tensor_type({m, make_int(7)}, dtypes::float32)), condition_};
    for (int i = 0; i < 3; ++i) tensors_.push_back(params[static_cast<size_t>(i)]);
    builder_.begin_function("main", params);
    const bool dataflow = pick(2);
    if (dataflow) builder_.begin_dataflow();
    statements(4 + pick(8), dataflow ? 2 : 0);
    std::vector<Value> results;
    for (int i = 1 + pick(3); i > 0; --i) {
      Value v = i == 1 ? tensors_.back() : any();
      results.push_back(dataflow ? Value(builder_.emit_output(v)) : v);
    }
    if (dataflow) builder_.end_dataflow();
    auto done = builder_.end_function(results.size() == 1 ? results[0]
                                                          : graph::make_tuple(std::move(results)));
    EXPECT_TRUE(done.ok()) << to_string(done.errors());
    return builder_.module();
  }

 private:
  std::mt19937 random_;
  Builder builder_;
  std::vector<Value> tensors_;
  graph::Variable condition_;

  int pick(int count) { return static_cast<int>(random_() % static_cast<uint32_t>(count)); }
  Value any() { return tensors_[static_cast<size_t>(pick(static_cast<int>(tensors_.size())))]; }
  static int rank(const Value& v) { return graph::tensor_of(v)->rank; }
  static const Dims& dims(const Value& v) { return *graph::tensor_of(v)->shape; }

  void add(const char* name, std::vector<Value> args, Attrs attrs = {}) {
    auto made = builder_.emit(
        graph::make_op_call(*standard_ops().find(name), std::move(args), std::move(attrs)));
    if (!made.ok()) return;
    const TensorTypeNode* t = graph::tensor_of(*made);
    if (t && t->shape && t->rank <= 3) tensors_.push_back(*made);
  }

  static Attr ints(std::vector<int64_t> list) { return Attr(list); }

  void statements(int count, int depth) {
    for (; count > 0; --count) statement(depth);
  }

  void statement(int depth) {
    static constexpr const char* unary[] = {"exp", "nn.relu", "negative", "tanh", "abs", "square"};
    static constexpr const char* binary[] = {"add", "multiply", "subtract", "maximum"};
    static constexpr const char* reductions[] = {"sum", "max", "mean", "min"};
    const Value v = any();
    const int64_t axis = rank(v) > 0 ? pick(rank(v)) : 0;
    switch (pick(13)) {
      case 0:
      case 1:
        return add(unary[pick(6)], {v});
      case 2:
      case 3:
      case 4:
        return add(binary[pick(4)], {v, any()});
      case 5:
        return add(binary[pick(4)], {v, constant()});
      case 6:
        if (rank(v) == 0) return;
        return add(reductions[pick(4)], {v},
                   {{"axis", ints({axis})}, {"keepdims", Attr(pick(2) == 1)}});
      case 7:
        if (rank(v) == 0) return;
        return add("nn.softmax", {v}, {{"axis", Attr(axis)}});
      case 8:
        return add("permute_dims", {v});
      case 9:
        return reshape(v);
      case 10:
        return add("matmul", {v, any()});
      case 11: {
        const Value w = any();
        if (rank(v) == 0 || rank(w) != rank(v)) return;
        return add("concat", {graph::make_tuple({v, w})}, {{"axis", Attr(axis)}});
      }
      default:
        return depth < 2 ? branch(depth) : add("where", {condition_, v, any()});
    }
  }

  Value constant() {
    Ref<ArrayNode> array =
        make_array(pick(2) ? std::vector<int64_t>{} : std::vector<int64_t>{7}, dtypes::float32);
    for (int64_t i = 0; i < array->num_elements(); ++i) {
      array->store(i, Scalar::of_float(pick(9) / 4.0 - 1, dtypes::float32));
    }
    return graph::make_constant(Array(array));
  }

  void reshape(const Value& v) {
    Dims shape;
    if (rank(v) == 2 && pick(2)) {
      shape = {dims(v)[0], make_int(1), dims(v)[1]};
    } else if (rank(v) == 2 && is_const_int(dims(v)[1], 7)) {
      shape = {make_int(7), dims(v)[0]};
    } else {
      shape = {num_elements(*graph::tensor_of(v))};
    }
    add("reshape", {v, graph::make_shape(std::move(shape))});
  }

  void branch(int depth) {
    const size_t count = tensors_.size();
    const Value like = any();
    auto side = [&] {
      statements(1 + pick(3), depth + 1);
      // Of equal types, so that what follows can use it.
      Value result = like;
      for (const Value& v : tensors_) {
        if (structural_equal(v->type, like->type)) result = v;
      }
      tensors_.resize(count);
      return result;
    };
    builder_.begin_if(condition_);
    builder_.begin_else(side());
    auto joined = builder_.end_if(side());
    ASSERT_TRUE(joined.ok()) << to_string(joined.errors());
    tensors_.push_back(*joined);
  }
};

int number_of_models() {
  return random_count("REPOSE_RANDOM_MODELS", 20, 3);
}

TEST(RandomModels, EveryPassKeepsWhatTheyCompute) {
  std::string all;
  for (const PassUnderTest& p : passes_under_test()) {
    if (!p.on_request) all += (all.empty() ? "" : ", ") + p.name;
  }
  int never_ran = 0;  // where it was asked for what cannot be, such as n == 1 and n == 7
  for (int seed = 0; seed < number_of_models(); ++seed) {
    const std::string text = print(ModelGrower(static_cast<uint32_t>(seed)).grow());
    const TextFile file = read_text_file("random", "# test: pass " + all + "\n" + text);
    ASSERT_EQ(file.cases.size(), 1u);
    const CaseResult result = run_case(file, file.cases[0]);
    for (const std::string& f : result.failures) {
      if (f.find("runs for no arguments") != std::string::npos) {
        never_ran += f.find(passes_under_test()[0].name) != std::string::npos;
        continue;
      }
      ADD_FAILURE() << "model " << seed << ": " << f << "\n" << text;
    }
  }
  EXPECT_LE(never_ran, number_of_models() / 10);
}

// Nothing of this is worth much if the models are all alike.
TEST(RandomModels, AreOfEveryKind) {
  std::map<std::string, int> seen;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    const Module m = ModelGrower(seed).grow();
    graph::visit_bindings(m.graph_function("main")->body, true, [&](const graph::Binding& b) {
      const auto* call = graph::as<graph::CallNode>(b.value);
      if (call) ++seen[std::string(call->op->name)];
      if (graph::as<graph::IfNode>(b.value)) ++seen["if"];
    });
  }
  for (const char* name : {"if", "check", "matmul", "nn.softmax", "concat", "reshape",
                           "permute_dims", "sum", "add", "exp"}) {
    EXPECT_GT(seen[name], 0) << name;
  }
}

}  // namespace
}  // namespace repose::testing_text
