// The reader of exported PyTorch programs: archives, sizes, signatures, memory that names share,
// and errors. What operators compute is compared with PyTorch (tests/python/torch_zoo.py).
#include "frontend/torch/import.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "frontend/torch/operator_table.h"
#include "frontend/torch/reader.h"
#include "frontend/torch/sympy.h"
#include "interp/interpreter.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "program_writer.h"

namespace repose::torch::test {
namespace {

struct Imported {
  std::string bytes;  // weights point into it
  Result<Module> module = Module();
  graph::Function main() const { return module->graph_function("main"); }
};

std::unique_ptr<Imported> import_bytes(std::string bytes, const ImportOptions& options = {}) {
  auto result = std::make_unique<Imported>();
  result->bytes = std::move(bytes);
  auto program = read_program(std::as_bytes(std::span(result->bytes)), "model.pt2");
  if (!program.ok()) {
    result->module = program.errors();
    return result;
  }
  result->module = import_torch(*program, standard_ops(), options);
  if (result->module.ok()) {
    EXPECT_EQ(to_string(verify(*result->module, standard_ops())), "");
  }
  return result;
}

std::unique_ptr<Imported> import(const ProgramWriter& writer, const ImportOptions& options = {}) {
  return import_bytes(writer.archive(), options);
}

std::string errors_of_bytes(const std::string& bytes) {
  auto imported = import_bytes(bytes);
  return imported->module.ok() ? "no error" : to_string(imported->module.errors());
}
std::string errors(const ProgramWriter& writer) {
  return errors_of_bytes(writer.archive());
}
std::string result_type(const ProgramWriter& writer, const ImportOptions& options = {}) {
  auto imported = import(writer, options);
  if (!imported->module.ok()) return to_string(imported->module.errors());
  return to_string(imported->main()->result_type);
}

void expect_text(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

// y = relu(x), x of n rows
ProgramWriter relu() {
  ProgramWriter w;
  w.input("x", float32, {symbol("s0"), 3});
  w.node("aten.relu.default", "y", float32, {symbol("s0"), 3}, {"self", tensor("x")});
  w.output("y");
  return w;
}

Array floats(std::vector<int64_t> shape, const std::vector<double>& values) {
  auto array = make_array(std::move(shape), dtypes::float32);
  for (size_t i = 0; i < values.size(); ++i) {
    array->store(static_cast<int64_t>(i), Scalar::of_float(values[i], dtypes::float32));
  }
  return array;
}

// What `main` gives; null where the call is refused.
Array run(const Imported& imported, const Array& argument) {
  auto value = interpret(*imported.module, standard_ops(), "main", {argument});
  return value.ok() ? value->tensor() : nullptr;
}

Array scalar(int64_t value) {
  return make_scalar_array(Scalar::of_int(value, dtypes::int64));
}

// ---- Archives

TEST(TorchArchive, ReadsAProgram) {
  EXPECT_EQ(result_type(relu()), "R.Tensor((s0, 3), dtype=\"float32\")");
}

TEST(TorchArchive, EveryTruncationIsAnError) {
  const std::string whole = relu().archive();
  for (size_t n = 0; n < whole.size(); n += 7) {
    EXPECT_NE(errors_of_bytes(whole.substr(0, n)), "no error") << n;
  }
}

TEST(TorchArchive, RefusesByName) {
  ArchiveWriter zip;
  zip.add("m/models/model.json", "{}", 8);
  expect_text(errors_of_bytes(zip.bytes()), "compressed");
  ArchiveWriter locked;
  locked.add("m/models/model.json", "{}", 0, 1);
  expect_text(errors_of_bytes(locked.bytes()), "encrypted");
  ArchiveWriter pickle;
  pickle.add("m/data.pkl", "x");
  expect_text(errors_of_bytes(pickle.bytes()), "`torch.save`");
  ArchiveWriter old;
  old.add("serialized_exported_program.json", "{}");
  expect_text(errors_of_bytes(old.bytes()), "before 2.8");
  ArchiveWriter other;
  other.add("readme.txt", "x");
  expect_text(errors_of_bytes(other.bytes()), "no exported program");
  ArchiveWriter text;
  text.add("m/models/model.json", "{");
  expect_text(errors_of_bytes(text.bytes()), "is no JSON");
  expect_text(errors_of_bytes("PK\003\004"), "no directory");
}

TEST(TorchArchive, RefusesOtherSchemas) {
  ProgramWriter w = relu();
  w.schema = 9;
  expect_text(errors(w), "version 9, expected 8");
  w = relu();
  w.graph.erase("nodes");
  expect_text(errors(w), "`nodes` is missing");
  w = relu();
  w.graph["nodes"][0]["inputs"] = 3;
  EXPECT_NE(errors(w), "no error");
}

TEST(TorchArchive, WeightsMayBeStrided) {
  ProgramWriter w;
  w.weight("p_w", "w", {3, 2}, {1, 2, 3, 4, 5, 6});
  w.weights["w"]["tensor_meta"]["strides"] = {{{"as_int", 1}}, {{"as_int", 3}}};
  w.input("x", float32, {3, 2});
  w.node("aten.add.Tensor", "y", float32, {3, 2}, {"self", tensor("x"), "other", tensor("p_w")});
  w.output("y");
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  const Array y = run(*imported, floats({3, 2}, {0, 0, 0, 0, 0, 0}));
  ASSERT_NE(y, nullptr);
  EXPECT_EQ(y->load(1).f, 4);
  w.weights["w"]["tensor_meta"]["strides"][0]["as_int"] = 3;
  expect_text(errors(w), "reaches beyond its 24 bytes");
  w.weights["w"]["use_pickle"] = true;
  expect_text(errors(w), "is pickled");
}

// ---- Sizes

std::string sympy(const std::string& text) {
  const Var n = make_var("n");
  auto value = read_sympy(
      text, [&](const std::string& name) -> Expr { return name == "n" ? Expr(n) : nullptr; }, {});
  return value.ok() ? to_string(*value) : to_string(value.errors());
}

TEST(TorchSizes, Sympy) {
  const std::string n = symbol("n");
  EXPECT_EQ(sympy(n), "n");
  EXPECT_EQ(sympy("Add(Mul(Integer(2), " + n + "), Integer(1))"), "n * 2 + 1");
  EXPECT_EQ(sympy("FloorDiv(" + n + ", Integer(2))"), "n // 2");
  EXPECT_EQ(sympy("Mod(" + n + ", Integer(8))"), "n % 8");
  EXPECT_EQ(sympy("Max(Integer(1), " + n + ")"), sympy("Max(" + n + ", Integer(1))"));
  EXPECT_EQ(sympy("Pow(" + n + ", Integer(2))"), "n * n");
  EXPECT_EQ(sympy("FloorToInt(IntTrueDiv(" + n + ", Integer(4)))"), "n // 4");
  EXPECT_EQ(sympy("CeilToInt(IntTrueDiv(" + n + ", Integer(4)))"),
            sympy("FloorDiv(Add(" + n + ", Integer(3)), Integer(4))"));
  EXPECT_EQ(sympy("TruncToInt(Mul(Float('1.5', precision=53), ToFloat(" + n + ")))"), "n + n // 2");
  EXPECT_EQ(sympy("2*n + 1"), "n * 2 + 1");
  expect_text(sympy("Equality(" + n + ", Integer(3))"), "n == 3");
}

TEST(TorchSizes, SympyErrors) {
  expect_text(sympy("Symbol('k')"), "before anything has it");
  expect_text(sympy("Zeta(Integer(1))"), "`Zeta`");
  expect_text(sympy("Add(Integer(1)"), "no expression");
  expect_text(sympy("Add()"), "no expression");
  expect_text(sympy("IntTrueDiv(Integer(1), Integer(2))"), "no whole number");
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "Add(";
  expect_text(sympy(deep), "nested");
}

TEST(TorchSizes, FormulasAndRanges) {
  ProgramWriter w;
  const std::string even = "Mul(Integer(2), " + symbol("s0") + ")";
  w.input("x", float32, {even});
  w.ranges = {{"s0", {{"min_val", 2}, {"max_val", 8}}}};
  w.node("aten.relu.default", "y", float32, {even}, {"self", tensor("x")});
  w.output("y");
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  const Attrs& attrs = imported->main()->attrs;
  ASSERT_NE(attrs.find("tir_var_upper_bound"), nullptr);
  EXPECT_EQ(*(*attrs.find("tir_var_upper_bound")->as_dict())[0].second.as_int(), 16);
  EXPECT_EQ(attrs.find("tir_var_lower_bound"), nullptr);  // 2 is PyTorch's "any"
  EXPECT_EQ(*(*attrs.find("tir_var_divisor")->as_dict())[0].second.as_int(), 2);
}

TEST(TorchSizes, DeclaredByName) {
  ImportOptions options;
  options.dims["s0"] = {4, 4};
  EXPECT_EQ(result_type(relu(), options), "R.Tensor((4, 3), dtype=\"float32\")");
  options.dims = {{"x_0", {5, 5}}};
  EXPECT_EQ(result_type(relu(), options), "R.Tensor((5, 3), dtype=\"float32\")");
}

// A size that the data decides is the one of the value that has it first.
TEST(TorchSizes, Unbacked) {
  ProgramWriter w;
  w.input("x", float32, {symbol("s0")});
  w.node("aten.nonzero.default", "k", int64, {symbol("u0"), 1}, {"self", tensor("x")});
  w.graph["sym_int_values"]["n"] = dimension(symbol("u0"));
  w.node(
      "aten.view.default", "y", int64, {symbol("u0")},
      {"self", tensor("k"), "size", Json{{"as_sym_ints", Json::array({Json{{"as_name", "n"}}})}}});
  w.output("y");
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  const Array y = run(*imported, floats({4}, {0, 1, 0, 2}));
  ASSERT_NE(y, nullptr);
  EXPECT_EQ(y->shape, std::vector<int64_t>{2});
  EXPECT_EQ(y->load(1).i, 3);
}

TEST(TorchSizes, OfATensorsElement) {
  ProgramWriter w;
  w.input("x", int64, Json::array());
  w.graph["sym_int_values"]["item"] = dimension(symbol("u0"));
  w.ranges = {{"u0", {{"min_val", 0}, {"max_val", 9}}}};
  w.bare_node("aten.item.default", "item", Json::array({named("item")}), {"self", tensor("x")});
  w.node("aten.arange.default", "y", int64, {symbol("u0")}, {"end", named("item")});
  w.output("y");
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  const Array y = run(*imported, scalar(3));
  ASSERT_NE(y, nullptr);
  EXPECT_EQ(y->shape, std::vector<int64_t>{3});
  EXPECT_EQ(run(*imported, scalar(10)), nullptr);
}

// ---- Memory that names share

TEST(TorchMemory, InPlaceOperatorsChangeTheirName) {
  ProgramWriter w;
  w.input("x", float32, {2});
  w.node("aten.neg.default", "a", float32, {2}, {"self", tensor("x")});
  w.node("aten.add_.Tensor", "b", float32, {2}, {"self", tensor("a"), "other", integer(1)});
  w.node("aten.mul.Tensor", "y", float32, {2}, {"self", tensor("a"), "other", tensor("b")});
  w.output("y");
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  const Array y = run(*imported, floats({2}, {3, -4}));
  ASSERT_NE(y, nullptr);
  EXPECT_EQ(y->load(0).f, 4);
  EXPECT_EQ(y->load(1).f, 25);
}

TEST(TorchMemory, ViewsOfWhatChangedAreRefused) {
  ProgramWriter w;
  w.input("x", float32, {2});
  w.node("aten.neg.default", "a", float32, {2}, {"self", tensor("x")});
  w.node("aten.view.default", "v", float32, {1, 2}, {"self", tensor("a")});
  w.node("aten.add_.Tensor", "b", float32, {2}, {"self", tensor("a"), "other", integer(1)});
  w.node("aten.neg.default", "y", float32, {1, 2}, {"self", tensor("v")});
  w.output("y");
  expect_text(errors(w), "`v` is used after its memory was changed");
}

TEST(TorchMemory, MutatedBuffersAreParametersAndResults) {
  ProgramWriter w;
  w.weight("b_cache", "cache", {2}, {0, 0}, "buffer");
  w.input("x", float32, {2});
  w.node("aten.add_.Tensor", "a", float32, {2}, {"self", tensor("b_cache"), "other", tensor("x")});
  w.node("aten.neg.default", "y", float32, {2}, {"self", tensor("a")});
  w.output("y");
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  const Attrs& attrs = imported->main()->attrs;
  EXPECT_EQ(*attrs.find("input_names"), Attr(std::vector<std::string>{"x", "cache"}));
  EXPECT_EQ(*attrs.find("output_names"), Attr(std::vector<std::string>{"y", "cache"}));
  EXPECT_EQ((*attrs.find("donate")->as_dict())[0], (std::pair<Attr, Attr>(1, 1)));
}

TEST(TorchMemory, WhatReplacesABufferHasItsType) {
  ProgramWriter w;
  w.weight("b_cache", "cache", {2}, {0, 0}, "buffer");
  w.input("x", float32, {2});
  w.node("aten.add.Tensor", "y", float32, {2}, {"self", tensor("b_cache"), "other", tensor("x")});
  w.graph["outputs"].push_back(tensor("y"));
  w.output_specs.push_back(
      {{"buffer_mutation", {{"arg", {{"name", "y"}}}, {"buffer_name", "cache"}}}});
  EXPECT_EQ(errors(w), "no error");
  w.graph["tensor_values"]["b_cache"]["dtype"] = 5;  // int64
  expect_text(errors(w),
              "the new value of `cache` has the type `R.Tensor((2,), dtype=\"float32\")`");
}

// ---- Graphs inside

// Of one input `a` of n rows.
Json graph_of(const char* op, const char* operand = "a") {
  ProgramWriter w;
  w.input("a", float32, {symbol("s0"), 3});
  w.node(op, "b", float32, {symbol("s0"), 3}, {"self", tensor(operand)});
  w.output("b");
  return {{"as_graph", {{"name", "graph"}, {"graph", w.graph}}}};
}
Json tensor_list(const std::vector<std::string>& names) {
  Json list = Json::array();
  for (const std::string& name : names) list.push_back({{"name", name}});
  return {{"as_tensors", list}};
}

// y = relu(x) if x[0, 0] > 0 else -x, or what the arguments make of it
ProgramWriter cond(const Json& args) {
  ProgramWriter w;
  w.input("x", float32, {symbol("s0"), 3});
  w.input("flag", boolean, Json::array());
  w.node("higher_order.cond", "y", float32, {symbol("s0"), 3}, args);
  w.output("y");
  return w;
}

TEST(TorchControl, CondIsAnIf) {
  auto imported = import(cond({"", tensor("flag"), "", graph_of("aten.relu.default"), "",
                               graph_of("aten.neg.default"), "", tensor_list({"x"})}));
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(to_string(imported->main()->result_type), "R.Tensor((s0, 3), dtype=\"float32\")");
  for (const bool flag : {true, false}) {
    const Array x = floats({1, 3}, {1, -2, 3});
    const Array taken = make_scalar_array(Scalar::of_int(flag, dtypes::boolean));
    auto value = interpret(*imported->module, standard_ops(), "main", {x, taken});
    ASSERT_TRUE(value.ok()) << to_string(value.errors());
    EXPECT_EQ(value->tensor()->load(1).f, flag ? 0 : 2);
  }
}

TEST(TorchControl, WhatDoesNotFitIsRefused) {
  const Json relu = graph_of("aten.relu.default"), x = tensor_list({"x"});
  expect_text(errors(cond({"", tensor("flag"), "", relu, "", relu})), "3 arguments, expected 4");
  expect_text(errors(cond({"", tensor("flag"), "", relu, "", integer(3), "", x})),
              "argument 2 is `int`, expected `graph`");
  expect_text(errors(cond({"", integer(1), "", relu, "", relu, "", x})),
              "argument 0 is `int`, expected `Tensor` or `bool`");
  expect_text(errors(cond({"", tensor("flag"), "", relu, "", relu, "", tensor_list({"x", "x"})})),
              "a graph of 1 inputs gets 2 arguments");
  expect_text(
      errors(cond({"", tensor("flag"), "", graph_of("aten.relu.default", "x"), "", relu, "", x})),
      "value `x` comes from nothing");  // a value of the graph around
  expect_text(
      errors(cond({"", tensor("flag"), "", graph_of("aten.nope.default"), "", relu, "", x})),
      "operator `aten.nope.default` is not supported");
  expect_text(
      errors(cond({"", tensor("flag"), "", graph_of("aten.relu_.default"), "", relu, "", x})),
      "`a` is changed in place inside");
  Json two = relu;
  Json& outputs = two["as_graph"]["graph"]["outputs"];
  outputs.push_back(outputs[0]);
  expect_text(errors(cond({"", tensor("flag"), "", relu, "", two, "", x})),
              "the branches give 1 and 2 values");
}

TEST(TorchControl, WhatALoopCarriesKeepsItsType) {
  ProgramWriter test;
  test.input("a", float32, {symbol("s0"), 3});
  test.node("aten.any.default", "go", boolean, Json::array(), {"self", tensor("a")});
  test.output("go");
  ProgramWriter body;
  body.input("a", float32, {symbol("s0"), 3});
  body.node("aten.cat.default", "b", float32, {"2*s0", 3}, {"tensors", tensor_list({"a", "a"})});
  body.output("b");
  auto graph = [](const ProgramWriter& w) -> Json {
    return {{"as_graph", {{"name", "graph"}, {"graph", w.graph}}}};
  };
  ProgramWriter w;
  w.input("x", float32, {symbol("s0"), 3});
  w.node("higher_order.while_loop", "y", float32, {symbol("s0"), 3},
         {"", graph(test), "", graph(body), "", tensor_list({"x"}), "", tensor_list({})});
  w.output("y");
  expect_text(errors(w), "carried value 0 has the type `R.Tensor((s0, 3), dtype=\"float32\")`");
}

// ---- Recurrent layers

// One layer of `aten.rnn_relu` over x of (s0, s1, 1): h <- relu(2 x + h + 1); `changed` are
// arguments that stand instead of these.
ProgramWriter recurrent(const std::map<std::string, Json>& changed = {}) {
  ProgramWriter w;
  w.weight("w", "w", {1, 1}, {2});
  w.weight("u", "u", {1, 1}, {1});
  w.weight("b", "b", {1}, {1});
  w.weight("c", "c", {1}, {0});
  w.input("x", float32, {symbol("s0"), symbol("s1"), 1});
  w.input("h", float32, {1, symbol("s1"), 1});
  const Json dims{symbol("s0"), symbol("s1"), 1};
  w.graph["tensor_values"]["y"] = ProgramWriter::meta(float32, dims);
  w.graph["tensor_values"]["last"] = ProgramWriter::meta(float32, {1, symbol("s1"), 1});
  Json args = Json::array();
  const std::pair<const char*, Json> all[] = {{"input", tensor("x")},
                                              {"hx", tensor("h")},
                                              {"params", tensor_list({"w", "u", "b", "c"})},
                                              {"has_biases", {{"as_bool", true}}},
                                              {"num_layers", integer(1)},
                                              {"dropout", {{"as_float", 0.5}}},
                                              {"train", {{"as_bool", false}}},
                                              {"bidirectional", {{"as_bool", false}}},
                                              {"batch_first", {{"as_bool", false}}}};
  for (const auto& [name, value] : all) {
    args.push_back(name);
    args.push_back(changed.contains(name) ? changed.at(name) : value);
  }
  w.bare_node("aten.rnn_relu.input", "y", {tensor("y"), tensor("last")}, args);
  w.output("y");
  w.output("last");
  return w;
}

TEST(TorchRecurrent, OneProgramForAnyLengthAndBatch) {
  auto imported = import(recurrent());
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(to_string(imported->main()->result_type),
            "R.Tuple(R.Tensor((s0, s1, 1), dtype=\"float32\"), "
            "R.Tensor((1, s1, 1), dtype=\"float32\"))");
  for (const int64_t steps : {0, 1, 2, 7}) {
    for (const int64_t batch : {0, 1, 3}) {
      std::vector<double> x, h(static_cast<size_t>(batch), 0.5);
      std::vector<double> wanted, last = h;
      for (int64_t i = 0; i < steps * batch; ++i) {
        x.push_back(static_cast<double>(i % 5) - 2);
        double& state = last[static_cast<size_t>(i % batch)];
        state = std::max(2 * x.back() + state + 1, 0.0);
        wanted.push_back(state);
      }
      auto value = interpret(*imported->module, standard_ops(), "main",
                             {floats({steps, batch, 1}, x), floats({1, batch, 1}, h)});
      ASSERT_TRUE(value.ok()) << to_string(value.errors());
      ASSERT_EQ(value->tuple()->size(), 2u);
      const Array all = value->tuple()->at(0).tensor(), end = value->tuple()->at(1).tensor();
      ASSERT_EQ(all->shape, (std::vector<int64_t>{steps, batch, 1}));
      for (size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_EQ(all->load(static_cast<int64_t>(i)).f, wanted[i]) << i;
      }
      for (size_t i = 0; i < last.size(); ++i) {
        EXPECT_EQ(end->load(static_cast<int64_t>(i)).f, last[i]) << i;
      }
    }
  }
}

TEST(TorchRecurrent, WhatDoesNotFitIsRefused) {
  expect_text(errors(recurrent({{"train", {{"as_bool", true}}}})), "training is not supported");
  expect_text(errors(recurrent({{"num_layers", integer(2)}})),
              "4 weights for 2 layers in 1 directions");
  expect_text(errors(recurrent({{"params", tensor_list({"w", "u"})}})), "2 weights for 1 layers");
  expect_text(errors(recurrent({{"hx", tensor("w")}})), "rank");
  expect_text(errors(recurrent({{"input", tensor("b")}})), "rank");
}

// ---- Errors

TEST(TorchErrors, UnsupportedOperatorsAreNamedTogether) {
  ProgramWriter w = relu();
  for (const char* name : {"aten.nope.default", "aten.nope.default", "my.other.Tensor"}) {
    w.node(name, std::string("z") + std::to_string(w.graph["nodes"].size()), float32, {3},
           {"self", tensor("y")});
  }
  const std::string text = errors(w);
  expect_text(text, "operator `aten.nope.default` is not supported (2 nodes)");
  expect_text(text, "operator `my.other.Tensor` is not supported");
}

TEST(TorchErrors, ValuesAndArguments) {
  ProgramWriter w = relu();
  w.output("nothing");
  expect_text(errors(w), "value `nothing` comes from nothing");
  w = relu();
  w.graph["nodes"][0]["inputs"] = Json::array();
  expect_text(errors(w), "argument `self` is missing");
  w = relu();
  w.graph["nodes"][0]["inputs"][0]["arg"] = integer(3);
  expect_text(errors(w), "argument `self` is `int`, expected `Tensor`");
  w = relu();
  w.input("z", 10, {2});
  expect_text(errors(w), "complex64");
  w = relu();
  w.input_specs.push_back({{"token", {{"arg", {{"name", "t"}}}}}});
  expect_text(errors(w), "`token`");
  w = relu();
  w.input("x", float32, {2});
  expect_text(errors(w), "is there twice");
}

// Every overload that is listed names an operator of PyTorch's form.
TEST(TorchOperators, Names) {
  for (std::string_view name : operator_names()) {
    EXPECT_EQ(std::count(name.begin(), name.end(), '.'), 2) << name;
  }
}

}  // namespace
}  // namespace repose::torch::test
