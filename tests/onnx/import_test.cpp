// The ONNX importer: shapes as expressions, names, operator sets, functions, and every error.
#include "frontend/onnx/import.h"

#include <gtest/gtest.h>

#include <random>

#include "frontend/common/names.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/reader.h"
#include "ir/verifier.h"
#include "model_writer.h"
#include "ops/ops.h"

namespace repose::onnx::test {
namespace {

struct Imported {
  std::string bytes;  // weights point into it
  Result<Module> module = Module();
  Diagnostics warnings;

  graph::Function main() const { return module->graph_function("main"); }
};

std::unique_ptr<Imported> import_bytes(std::string bytes, const ImportOptions& options = {}) {
  auto result = std::make_unique<Imported>();
  result->bytes = std::move(bytes);
  auto model = read_model(std::as_bytes(std::span(result->bytes)));
  if (!model.ok()) {
    result->module = model.errors();
    return result;
  }
  result->module = import_onnx(*model, standard_ops(), options, &result->warnings);
  if (result->module.ok()) {
    EXPECT_EQ(to_string(verify(*result->module, standard_ops())), "");
  }
  return result;
}

std::unique_ptr<Imported> import(const ModelWriter& writer, const ImportOptions& options = {}) {
  return import_bytes(writer.model(), options);
}

// The result type; the errors if there is none.
std::string result_type(const ModelWriter& writer, const ImportOptions& options = {}) {
  auto imported = import(writer, options);
  if (!imported->module.ok()) return to_string(imported->module.errors());
  return to_string(imported->main()->result_type);
}

std::string errors(const ModelWriter& writer, const ImportOptions& options = {}) {
  auto imported = import(writer, options);
  return imported->module.ok() ? "no error" : to_string(imported->module.errors());
}

std::vector<std::string> operators(const Imported& imported) {
  std::vector<std::string> names;
  graph::visit_bindings(imported.main()->body, true, [&](const graph::Binding& b) {
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (call && call->op) names.emplace_back(call->op->name);
  });
  return names;
}

std::vector<std::string> checks(const Imported& imported) {
  std::vector<std::string> conditions;
  graph::visit_bindings(imported.main()->body, true, [&](const graph::Binding& b) {
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (!call || !call->op || call->op->name != "check") return;
    conditions.push_back(to_string(graph::as<graph::PrimValueNode>(call->args[0])->value));
  });
  return conditions;
}

// One node `op` with the input x and further operands, whose result is the output.
ModelWriter one_node(int64_t opset, const std::string& op, const std::vector<Dim>& x,
                     const std::vector<std::vector<int64_t>>& operands = {},
                     const std::vector<std::string>& attributes = {}, int type = float32) {
  ModelWriter w(opset);
  w.input("x", type, x).output("y");
  Names inputs{"x"};
  for (size_t i = 0; i < operands.size(); ++i) {
    inputs.push_back("c" + std::to_string(i));
    w.ints(inputs.back(), operands[i]);
  }
  w.add(op, inputs, {"y"}, attributes);
  return w;
}

#define EXPECT_TYPE(shape, type, writer) \
  EXPECT_EQ("R.Tensor(" shape ", dtype=\"" type "\")", result_type(writer))
#define EXPECT_FLOATS(shape, writer) EXPECT_TYPE(shape, "float32", writer)

// ---- Shapes
// --------------------------------------------------------------------------------------

TEST(OnnxImport, ShapeArithmeticIsSymbolic) {
  // Shape -> Gather -> Mul -> Unsqueeze -> Concat -> Reshape
  ModelWriter w;
  w.input("x", float32, {"batch", "seq", 384}).output("y");
  w.scalar("zero", 0).scalar("one", 1).ints("axes", {0}).ints("width", {384});
  w.add("Shape", {"x"}, {"shape"});
  w.add("Gather", {"shape", "zero"}, {"b"}).add("Gather", {"shape", "one"}, {"s"});
  w.add("Mul", {"b", "s"}, {"bs"}).add("Unsqueeze", {"bs", "axes"}, {"rows"});
  w.add("Concat", {"rows", "width"}, {"target"}, {attr("axis", 0)});
  w.add("Reshape", {"x", "target"}, {"y"});
  EXPECT_FLOATS("(\"batch * seq\", 384)", w);
  EXPECT_TRUE(checks(*import(w)).empty());
}

TEST(OnnxImport, ReshapeFindsTheMissingDimension) {
  const std::vector<Dim> x{"b", "s", 384};
  EXPECT_FLOATS("(b, s, 12, 32)", one_node(17, "Reshape", x, {{0, 0, 12, 32}}));
  EXPECT_FLOATS("(b, s, 12, 32)", one_node(17, "Reshape", x, {{0, 0, 12, -1}}));
  EXPECT_FLOATS("(b, \"s * 12\", 32)", one_node(17, "Reshape", x, {{0, -1, 32}}));
  EXPECT_FLOATS("(\"b * s * 384\",)", one_node(17, "Reshape", x, {{-1}}));
  EXPECT_FLOATS("(0, 5)", one_node(17, "Reshape", {0, 3}, {{0, 5}}, {attr("allowzero", 1)}));
  EXPECT_NE(errors(one_node(17, "Reshape", x, {{-1, -1}})).find("more than one -1"),
            std::string::npos);
  EXPECT_NE(errors(one_node(17, "Reshape", x, {{1, 1, 1, 0}})).find("copies dimension 3"),
            std::string::npos);
  EXPECT_NE(errors(one_node(17, "Reshape", {3, 4}, {{5, -1}})).find("[shape-mismatch]"),
            std::string::npos);
}

TEST(OnnxImport, EqualWhereExpand) {
  // A chain that exporters write to expand by a shape with -1.
  ModelWriter w;
  w.input("x", float32, {1, "n"}).input("like", float32, {"m", "n"}).output("y");
  w.ints("minus", {-1, -1}).ints("one", {1, 1});
  w.add("Shape", {"like"}, {"shape"}).add("Equal", {"shape", "minus"}, {"any"});
  w.add("Where", {"any", "one", "shape"}, {"target"}).add("Expand", {"x", "target"}, {"y"});
  EXPECT_FLOATS("(m, n)", w);
}

// y = Gemm(a, b, c), c of the shape `addend`.
ModelWriter gemm_with(const std::vector<Dim>& a, const std::vector<Dim>& b,
                      const std::vector<Dim>& addend) {
  ModelWriter w;
  w.input("a", float32, a).input("b", float32, b).input("c", float32, addend).output("y");
  w.add("Gemm", {"a", "b", "c"}, {"y"});
  return w;
}

TEST(OnnxImport, TheAddendOfAProductBroadcastsOneWay) {
  for (const std::vector<Dim>& addend : std::initializer_list<std::vector<Dim>>{
           {}, {1}, {"n"}, {"m", "n"}, {1, "n"}, {"m", 1}, {"p"}, {"p", "q"}}) {
    EXPECT_FLOATS("(m, n)", gemm_with({"m", 3}, {3, "n"}, addend));
  }
  EXPECT_NE(errors(gemm_with({2, 3}, {3, 1}, {4}))
                .find("`Gemm`: operand 2 has 4 where the product has 1 [shape-mismatch]"),
            std::string::npos);
  EXPECT_NE(errors(gemm_with({2, 3}, {3, 4}, {1, 2, 4})).find("operand 2 has rank 3"),
            std::string::npos);
}

TEST(OnnxImport, CountsAndDepthsOfDataAreChecked) {
  ModelWriter range;
  for (const char* name : {"a", "b", "d"}) range.input(name, int64, {});
  range.add("Range", {"a", "b", "d"}, {"y"}).output("y");
  auto imported = import(range);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(std::ranges::count(operators(*imported), "check"), 1);  // delta is not 0

  ModelWriter one_hot;
  one_hot.input("x", int64, {"n"}).output("y").scalar("depth", -1).floats("values", {0, 1});
  one_hot.add("OneHot", {"x", "depth", "values"}, {"y"});
  EXPECT_NE(errors(one_hot).find("`depth` is -1, expected at least 0"), std::string::npos);

  ModelWriter steps;
  steps.input("x", float32, {"n"}).input("s", int64, {1}).output("y").ints("zero", {0});
  steps.add("Slice", {"x", "zero", "zero", "zero", "s"}, {"y"});
  auto sliced = import(steps);
  ASSERT_TRUE(sliced->module.ok()) << to_string(sliced->module.errors());
  EXPECT_EQ(std::ranges::count(operators(*sliced), "check"), 1);  // the step is not 0
}

TEST(OnnxImport, DataDependentShapesAreBound) {
  ModelWriter w;
  w.input("x", float32, {"n"}).input("shape", int64, {2}).output("y");
  w.add("Expand", {"x", "shape"}, {"e"}).add("Relu", {"e"}, {"y"});
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  int casts = 0;
  graph::visit_bindings(imported->main()->body, true,
                        [&](const graph::Binding& b) { casts += b.cast != nullptr; });
  EXPECT_EQ(casts, 1);
  EXPECT_NE(to_string(imported->main()->result_type).find("shape_0"), std::string::npos);
}

TEST(OnnxImport, NumbersOfResultsAreBounded) {
  ModelWriter w;
  w.input("x", float32, {"m", 2}).output("y");
  w.add("NonZero", {"x"}, {"at"}).add("Transpose", {"at"}, {"y"});
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(to_string(imported->main()->result_type),
            "R.Tensor((nonzero_count, 2), dtype=\"int64\")");
}

TEST(OnnxImport, Windows) {
  ModelWriter conv;
  conv.input("x", float32, {"b", 3, "h", "w"}).floats("k", {8, 3, 3, 3}).output("y");
  conv.add("Conv", {"x", "k"}, {"y"}, {attr("pads", {1, 1, 1, 1}), attr("strides", {2, 2})});
  EXPECT_FLOATS("(b, 8, \"(h + 1) // 2\", \"(w + 1) // 2\")", conv);
  for (const char* mode : {"SAME_UPPER", "SAME_LOWER"}) {
    ModelWriter same;
    same.input("x", float32, {"b", 3, "h", 8}).floats("k", {8, 3, 3, 3}).output("y");
    same.add("Conv", {"x", "k"}, {"y"}, {text_attr("auto_pad", mode), attr("strides", {2, 2})});
    auto imported = import(same);
    ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
    EXPECT_EQ(operators(*imported).back(), "nn.conv2d");
  }
  EXPECT_FLOATS("(b, 3, 1, 1)", one_node(17, "GlobalAveragePool", {"b", 3, "h", "w"}));
  EXPECT_FLOATS("(b, 3, \"l - 1\")",
                one_node(17, "MaxPool", {"b", 3, "l"}, {}, {attr("kernel_shape", {2})}));
}

// Resize of x: (b, 3, h, w) by the float `scales` that the nodes of `w` compute.
ModelWriter resize_by_scales(ModelWriter w, const std::vector<std::string>& attributes = {}) {
  w.output("y").floats("none", {0});
  w.add("Resize", {"x", "none", "scales"}, {"y"}, attributes);
  return w;
}

TEST(OnnxImport, ResizeByScales) {
  ModelWriter fractions;
  fractions.input("x", float32, {"b", 3, "h", 10}).ints("over", {1, 1, 3, 7});
  fractions.ints("under", {1, 1, 2, 10}).add("Cast", {"over"}, {"a"}, {attr("to", float32)});
  fractions.add("Cast", {"under"}, {"c"}, {attr("to", float32)}).add("Div", {"a", "c"}, {"scales"});
  EXPECT_FLOATS("(b, 3, \"h + h // 2\", 7)", resize_by_scales(fractions));
  EXPECT_FLOATS("(b, 3, \"h + h // 2\", 7)",
                resize_by_scales(fractions, {text_attr("mode", "linear"), attr("antialias", 1)}));
  // Wanted extents over those of x: exact, whatever they are.
  ModelWriter quotients;
  quotients.input("x", float32, {"b", 3, "h", "w"}).input("like", float32, {"b", 3, "k", "w"});
  quotients.add("Shape", {"x"}, {"have"}).add("Shape", {"like"}, {"want"});
  quotients.add("Cast", {"want"}, {"a"}, {attr("to", float32)});
  quotients.add("Cast", {"have"}, {"c"}, {attr("to", float32)}).add("Div", {"a", "c"}, {"scales"});
  const ModelWriter resized = resize_by_scales(quotients);
  auto imported = import(resized);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(std::ranges::count(operators(*imported), "resize"), 1);
  EXPECT_FLOATS("(b, 3, k, w)", resized);
}

TEST(OnnxImport, ResizeBySizes) {
  const std::vector<Dim> x{"b", 3, "h", "w"};
  auto by_sizes = [&](std::vector<int64_t> sizes, std::vector<std::string> attributes) {
    ModelWriter w(18);
    w.input("x", float32, x).output("y").ints("sizes", sizes);
    w.add("Resize", {"x", "", "", "sizes"}, {"y"}, attributes);
    return w;
  };
  EXPECT_FLOATS("(b, 3, 8, 9)", by_sizes({8, 9}, {attr("axes", {2, 3})}));
  EXPECT_FLOATS("(b, 3, 9, 8)", by_sizes({8, 9}, {attr("axes", {-1, -2})}));
  EXPECT_FLOATS(
      "(b, 9, h, w)",
      by_sizes({9}, {attr("axes", {1}), text_attr("keep_aspect_ratio_policy", "not_larger")}));
  EXPECT_NE(errors(by_sizes({8}, {attr("axes", {2, 3})})).find("has 1 elements, expected 2"),
            std::string::npos);
  EXPECT_NE(errors(by_sizes({8}, {attr("axes", {2}), text_attr("mode", "area")}))
                .find("attribute `mode` is \"area\""),
            std::string::npos);
  ModelWriter nothing;
  nothing.input("x", float32, x).output("y").add("Resize", {"x"}, {"y"});
  EXPECT_NE(errors(nothing).find("neither `scales` nor `sizes`"), std::string::npos);
}

TEST(OnnxImport, Crops) {
  auto cropped = [&](ModelWriter w) {
    w.input("x", float32, {"h"}).output("y").ints("sizes", {8});
    w.add("Resize", {"x", "roi", "", "sizes"}, {"y"},
          {text_attr("coordinate_transformation_mode", "tf_crop_and_resize")});
    return w;
  };
  auto constant = [&](const std::vector<float>& roi) {
    ModelWriter w(18);
    w.add("Constant", {}, {"roi"}, {floats_attr("value_floats", roi)});
    return cropped(std::move(w));
  };
  EXPECT_FLOATS("(8,)", constant({0.25f, 0.7f}));
  EXPECT_FLOATS("(8,)", constant({0.123457f, 0.987653f}));
  EXPECT_NE(errors(constant({0, 3e6f})).find("expected -16 to 16"), std::string::npos);
  EXPECT_NE(errors(constant({0})).find("`roi` has 1 elements, expected 2"), std::string::npos);
  ModelWriter given(18);
  given.input("roi", float32, {"k"});
  given = cropped(std::move(given));
  EXPECT_FLOATS("(8,)", given);
  EXPECT_EQ(checks(*import(given))[0], "k == 2");
}

// ---- Composites
// ----------------------------------------------------------------------------------

constexpr int uint8 = 2, int8 = 3;

bool has_text(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A product of integers is one contraction of the operands as they are.
TEST(OnnxImport, IntegerProductIsOneContraction) {
  ModelWriter w(21);
  w.input("a", uint8, {"b", "s", 384}).input("w", int8, {384, "n"}).output("y");
  w.add("MatMulInteger", {"a", "w"}, {"y"});
  EXPECT_TYPE("(b, s, n)", "int32", w);
  EXPECT_EQ(operators(*import(w)), std::vector<std::string>{"matmul"});
}

// A zero point is taken away from the sums, not from the elements.
TEST(OnnxImport, ZeroPointsAreTakenFromSums) {
  ModelWriter w(21);
  w.input("a", uint8, {"m", "k"}).input("w", int8, {"k", "n"}).input("z", uint8, {}).output("y");
  w.add("MatMulInteger", {"a", "w", "z"}, {"y"});
  EXPECT_TYPE("(m, n)", "int32", w);
  const auto names = operators(*import(w));
  EXPECT_EQ(std::count(names.begin(), names.end(), "matmul"), 1);
  EXPECT_EQ(names.front(), "matmul");
}

// DequantizeLinear of a and w, their product, QuantizeLinear: the calls that the result needs.
std::vector<std::string> between_pairs(int a_type, const std::vector<Dim>& a, int64_t axis,
                                       bool requantizes) {
  const bool varies = axis >= 0;
  ModelWriter w(21);
  w.input("a", a_type, a).input("w", int8, {"k", "n"});
  w.input("sa", float32, {})
      .input("sw", float32, varies ? std::vector<Dim>{axis ? "n" : "k"} : std::vector<Dim>{});
  w.input("sy", float32, {}).output("y");
  w.add("DequantizeLinear", {"a", "sa"}, {"x"});
  w.add("DequantizeLinear", {"w", "sw"}, {"v"}, {attr("axis", varies ? axis : 1)});
  w.add("MatMul", {"x", "v"}, {requantizes ? "p" : "y"});
  if (requantizes) w.add("QuantizeLinear", {"p", "sy"}, {"y"});
  const auto module = import(w);
  std::vector<std::string> types;
  graph::visit_bindings(module->main()->body, true, [&](const graph::Binding& b) {
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (call && call->op && call->op->name == "matmul") {
      types.push_back(graph::tensor_of(b.var)->dtype.to_string());
    }
  });
  return types;
}

using Types = std::vector<std::string>;

TEST(OnnxImport, ProductsOfDequantisedTensorsAreExact) {
  EXPECT_EQ(between_pairs(uint8, {"m", "k"}, -1, true), Types{"float32"});  // k has no bound
  EXPECT_EQ(between_pairs(uint8, {"m", 384}, -1, false), Types{"int32"});
  EXPECT_EQ(between_pairs(uint8, {"m", 384}, -1, true), Types{"int32"});
  EXPECT_EQ(between_pairs(int8, {"b", "m", 33025}, 1, true), Types{"int32"});
  EXPECT_EQ(between_pairs(int8, {"m", 33026}, 1, true), Types{"float32"});
  EXPECT_EQ(between_pairs(uint8, {"m", 384}, 0, true), Types{"float32"});  // along the sum
  EXPECT_EQ(between_pairs(int32, {"m", 384}, 1, true), Types{"float32"});
}

TEST(OnnxImport, QuantisedOperandsAreChecked) {
  ModelWriter w(21);
  w.input("a", float32, {"m", "k"}).input("w", int8, {"k", "n"}).output("y");
  w.add("MatMulInteger", {"a", "w"}, {"y"});
  EXPECT_TRUE(has_text(errors(w), "operand 0 has dtype float32, expected int8 or uint8"));
  ModelWriter d(21);
  d.input("x", int8, {"m", 10}).input("s", float32, {"m", 3}).output("y");
  d.add("DequantizeLinear", {"x", "s"}, {"y"}, {attr("block_size", 4)});
  EXPECT_FLOATS("(m, 10)", d);
  ModelWriter e(21);
  e.input("x", int8, {"m", 10}).input("s", float32, {"m", 4}).output("y");
  e.add("DequantizeLinear", {"x", "s"}, {"y"}, {attr("block_size", 4)});
  EXPECT_TRUE(has_text(errors(e), "operand 1 has 4 blocks along axis 1, expected 3"));
}

ModelWriter einsum(const std::string& equation, const std::vector<std::vector<Dim>>& operands) {
  ModelWriter w(17);
  Names names;
  for (size_t i = 0; i < operands.size(); ++i) {
    names.push_back("x" + std::to_string(i));
    w.input(names.back(), float32, operands[i]);
  }
  w.output("y").add("Einsum", names, {"y"}, {text_attr("equation", equation)});
  return w;
}

TEST(OnnxImport, EinsumIsSymbolic) {
  EXPECT_FLOATS("(b, h, q, k)",
                einsum("bhqd,bhkd->bhqk", {{"b", "h", "q", "d"}, {"b", "h", "k", "d"}}));
  EXPECT_FLOATS("(b, m, n)", einsum("...mk,kn", {{"b", "m", "k"}, {"k", "n"}}));
  EXPECT_FLOATS("(b, n)", einsum("nbn->bn", {{"n", "b", "n"}}));
  EXPECT_FLOATS("()", einsum("ij->", {{"m", "n"}}));
  EXPECT_FLOATS("(m, n)", einsum("i,j->ij", {{"m"}, {"n"}}));
}

// (a b)(b) first: a matrix times a vector, not times a matrix.
TEST(OnnxImport, EinsumTakesTheCheapOrder) {
  const auto imported = import(einsum("ab,bc,c->a", {{"a", "b"}, {"b", "c"}, {"c"}}));
  std::vector<std::string> shapes;
  graph::visit_bindings(imported->main()->body, true, [&](const graph::Binding& b) {
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (call && call->op && call->op->name == "matmul") shapes.push_back(to_string(b.var->type));
  });
  EXPECT_EQ(shapes, (std::vector<std::string>{"R.Tensor((b, 1), dtype=\"float32\")",
                                              "R.Tensor((a, 1), dtype=\"float32\")"}));
}

TEST(OnnxImport, EinsumErrors) {
  EXPECT_TRUE(has_text(errors(einsum("i,j->ij", {{"m"}})), "has 2 terms for 1 operands"));
  EXPECT_TRUE(
      has_text(errors(einsum("i->j", {{"m"}})), "the result names `j` which no operand has"));
  EXPECT_TRUE(has_text(errors(einsum("i->ii", {{"m"}})), "the result names `i` twice"));
  EXPECT_TRUE(has_text(errors(einsum("i1->i", {{"m"}})), "expected letters and"));
  EXPECT_TRUE(has_text(errors(einsum("ij->i", {{"m"}})), "its term in the equation names 2 axes"));
  EXPECT_TRUE(
      has_text(errors(einsum("i,i->i", {{3}, {4}})), "an axis has 3 elements in one operand"));
}

TEST(OnnxImport, AttentionSharesHeads) {
  ModelWriter w(23);
  w.input("q", float32, {"b", 8, "s", 64}).input("k", float32, {"b", 2, "t", 64});
  w.input("v", float32, {"b", 2, "t", 32}).output("y");
  w.add("Attention", {"q", "k", "v"}, {"y"}, {attr("is_causal", 1)});
  EXPECT_FLOATS("(b, 8, s, 32)", w);
  ModelWriter odd(23);
  odd.input("q", float32, {"b", 8, "s", 64}).input("k", float32, {"b", 3, "t", 64});
  odd.input("v", float32, {"b", 3, "t", 32}).output("y");
  odd.add("Attention", {"q", "k", "v"}, {"y"});
  EXPECT_TRUE(has_text(errors(odd), "8 heads of queries share 3 heads of keys"));
}

TEST(OnnxImport, WhatIsLeftOfOperatorsIsRefusedByName) {
  EXPECT_TRUE(has_text(errors(one_node(17, "RandomUniformLike", {"n"}, {}, {attr("dtype", 6)})),
                       "expected a float"));
  EXPECT_TRUE(
      has_text(errors(one_node(20, "GridSample", {1, 1, 4, 4}, {{1}}, {text_attr("mode", "x")})),
               "attribute `mode` is"));
}

TEST(OnnxImport, GraphsChangeScoresOfAttention) {
  auto attention = [](const std::string& name, const ModelWriter& body) {
    ModelWriter w(26);
    w.input("q", float32, {1, 1, "n", 4}).output("y");
    w.add("FlexAttention", {"q", "q", "q"}, {"y"}, {graph_attr(name, body.graph())},
          "ai.onnx.preview");
    return w;
  };
  ModelWriter relu;
  relu.input("s", float32, {1, 1, 2, 2}).output("t").add("Relu", {"s"}, {"t"});
  for (const char* name : {"score_mod", "prob_mod"}) {
    const std::vector<std::string> all = operators(*import(attention(name, relu)));
    const auto softmax = std::find(all.begin(), all.end(), "nn.softmax");
    const auto changed = std::find(all.begin(), all.end(), "nn.relu");
    ASSERT_TRUE(softmax != all.end() && changed != all.end());
    EXPECT_EQ(changed < softmax, std::string(name) == "score_mod");
  }
  ModelWriter shape, dtype, two;
  shape.input("s", float32, {}).output("t");
  shape.add("Concat", {"s", "s"}, {"t"}, {attr("axis", 0)});
  EXPECT_TRUE(has_text(errors(attention("score_mod", shape)), "a graph makes a dimension of"));
  dtype.input("s", float32, {}).output("t").add("IsNaN", {"s"}, {"t"});
  EXPECT_TRUE(has_text(errors(attention("prob_mod", dtype)), "`prob_mod` makes bool of float32"));
  two.input("s", float32, {}).input("u", float32, {}).output("t").add("Add", {"s", "u"}, {"t"});
  EXPECT_TRUE(has_text(errors(attention("score_mod", two)), "a graph of 2 inputs and 1 outputs"));
}

TEST(OnnxImport, TensorsAreNeverMissing) {
  ModelWriter w(18);
  w.input("x", float32, {"n"}).output("y").output("has").output("has_not");
  w.add("OptionalGetElement", {"x"}, {"y"}).add("OptionalHasElement", {"x"}, {"has"});
  w.add("OptionalHasElement", {""}, {"has_not"});
  EXPECT_TRUE(operators(*import(w)).empty());
}

TEST(OnnxImport, RunsOfWords) {
  auto counted = [](std::initializer_list<int64_t> starts, std::initializer_list<int64_t> columns) {
    ModelWriter w(9);
    w.input("x", int64, {"b", "n"}).output("y");
    w.add("TfIdfVectorizer", {"x"}, {"y"},
          {attr("min_gram_length", 1), attr("max_gram_length", 2), attr("max_skip_count", 0),
           text_attr("mode", "TF"), attr("ngram_counts", starts), attr("ngram_indexes", columns),
           attr("pool_int64s", {2, 3, 5, 4, 5, 6})});
    return w;
  };
  EXPECT_TRUE(import(counted({0, 2}, {0, 1, 2, 3})));
  EXPECT_TRUE(has_text(errors(counted({0, 3}, {0, 1, 2, 3})), "`ngram_counts`: runs of 2 words"));
  EXPECT_TRUE(has_text(errors(counted({0, 2}, {0, 1, 2})), "`ngram_indexes` has no place for"));
}

// A node that is reached from two others, or from itself, would not end.
TEST(OnnxImport, TreesHaveToEnd) {
  auto tree = [](int64_t no) {
    ModelWriter w(17);
    w.input("x", float32, {"n", 1}).output("y");
    const std::string modes = message([](pbf_writer& a) {
      a.add_string(1, "nodes_modes");
      a.add_string(9, "BRANCH_LEQ");
      a.add_string(9, "LEAF");
      a.add_int32(20, 8);
    });
    w.add("TreeEnsembleRegressor", {"x"}, {"y"},
          {attr("nodes_treeids", {0, 0}), attr("nodes_nodeids", {0, 1}),
           attr("nodes_featureids", {0, 0}), floats_attr("nodes_values", {0, 0}), modes,
           attr("nodes_truenodeids", {1, 0}), attr("nodes_falsenodeids", {no, 0}),
           attr("target_treeids", {0}), attr("target_nodeids", {1}), attr("target_ids", {0}),
           floats_attr("target_weights", {1})},
          "ai.onnx.ml");
    return errors(w);
  };
  EXPECT_TRUE(has_text(tree(1), "node 1 is reached twice"));
  EXPECT_TRUE(has_text(tree(9), "a tree refers to node -1, which is not there"));
}

TEST(OnnxImport, ScalersAndTreesOfTheMlDomain) {
  ModelWriter w(17);
  w.input("x", float32, {"n", 3}).output("y");
  w.add("Scaler", {"x"}, {"y"}, {floats_attr("offset", {1, 2, 3}), floats_attr("scale", {1, 1, 2})},
        "ai.onnx.ml");
  EXPECT_FLOATS("(n, 3)", w);
  ModelWriter bad(17);
  bad.input("x", float32, {"n", 3}).output("y");
  bad.add("TreeEnsembleRegressor", {"x"}, {"y"}, {}, "ai.onnx.ml");
  EXPECT_TRUE(has_text(errors(bad), "attribute `nodes_treeids` is missing"));
}

// ---- Operator sets
// -------------------------------------------------------------------------------

TEST(OnnxImport, AttributesBecameOperands) {
  EXPECT_FLOATS("(n, \"c * 2\")",
                one_node(7, "Upsample", {"n", "c"}, {},
                         {floats_attr("scales", {1, 2}), text_attr("mode", "nearest")}));
  EXPECT_NE(errors(one_node(7, "Upsample", {"n", "c"}, {}, {})).find("`scales` is missing"),
            std::string::npos);
  EXPECT_FLOATS("(n, 2)", one_node(9, "Slice", {"n", 4}, {},
                                   {attr("axes", {1}), attr("starts", {1}), attr("ends", {3})}));
  EXPECT_FLOATS("(n, 2)", one_node(10, "Slice", {"n", 4}, {{1}, {3}, {1}}));
  EXPECT_FLOATS("(n,)", one_node(11, "Squeeze", {"n", 1}, {}, {attr("axes", {1})}));
  EXPECT_FLOATS("(n,)", one_node(13, "Squeeze", {"n", 1}, {{1}}));
  EXPECT_FLOATS("(n, 1, 4)", one_node(11, "Unsqueeze", {"n", 4}, {}, {attr("axes", {1})}));
  EXPECT_FLOATS("(n, 1, 4)", one_node(13, "Unsqueeze", {"n", 4}, {{-2}}));
  EXPECT_FLOATS("(n, 1)", one_node(11, "ReduceSum", {"n", 4}, {}, {attr("axes", {1})}));
  EXPECT_FLOATS("(n, 1)", one_node(13, "ReduceSum", {"n", 4}, {{1}}));
  EXPECT_FLOATS("()", one_node(17, "ReduceMean", {"n", 4}, {}, {attr("keepdims", 0)}));
  EXPECT_FLOATS("(\"n + 3\", 4)", one_node(10, "Pad", {"n", 4}, {}, {attr("pads", {1, 0, 2, 0})}));
  EXPECT_FLOATS("(\"n + 3\", 4)", one_node(13, "Pad", {"n", 4}, {{1, 0, 2, 0}}));
  EXPECT_FLOATS("(n, 4)", one_node(10, "Clip", {"n", 4}, {}, {float_attr("max", 6)}));
}

TEST(OnnxImport, FirstOperatorSets) {
  EXPECT_FLOATS("(n, 4)", one_node(1, "Relu", {"n", 4}, {}, {attr("consumed_inputs", {0})}));
  EXPECT_FLOATS("(\"n * 2\", 2)", one_node(1, "Reshape", {"n", 4}, {}, {attr("shape", {-1, 2})}));
  EXPECT_NE(errors(one_node(1, "Reshape", {"n", 4})).find("`shape` is missing"), std::string::npos);
  EXPECT_FLOATS("(\"n + 3\", 4)",
                one_node(1, "Pad", {"n", 4}, {}, {attr("paddings", {1, 0, 2, 0})}));
  EXPECT_FLOATS("(n, 12)", one_node(1, "Tile", {"n", 4}, {{3}, {1}}));
  EXPECT_NE(errors(one_node(1, "Tile", {"n", 4}, {{3, 3}, {1}})).find("2 counts and 1 axes"),
            std::string::npos);
  const std::vector<std::string> scales{float_attr("height_scale", 2),
                                        float_attr("width_scale", 1.5)};
  EXPECT_FLOATS("(n, 3, \"h * 2\", 6)", one_node(1, "Upsample", {"n", 3, "h", 4}, {}, scales));
  EXPECT_NE(errors(one_node(1, "Upsample", {"h", 4}, {}, scales)).find("rank 2, expected 4"),
            std::string::npos);
  EXPECT_NE(errors(one_node(1, "Upsample", {1, 1, 4, 4})).find("`height_scale` is missing"),
            std::string::npos);
  EXPECT_TYPE("(n,)", "float64", one_node(1, "Cast", {"n"}, {}, {text_attr("to", "DOUBLE")}));
  EXPECT_NE(errors(one_node(1, "Cast", {"n"}, {}, {text_attr("to", "STRING")}))
                .find("expected the name of a type of numbers"),
            std::string::npos);
  EXPECT_FLOATS("(n,)", one_node(6, "Dropout", {"n"}, {}, {attr("is_test", 1)}));
  EXPECT_NE(errors(one_node(6, "Dropout", {"n"})).find("training before operator set 7"),
            std::string::npos);
  EXPECT_FLOATS("(n, 2, 1)", one_node(1, "GlobalLpPool", {"n", 2, "d"}, {}, {float_attr("p", 3)}));
  ModelWriter parts(1);
  parts.input("x", float32, {"n", 4}).input("by", float32, {"n"}).output("y").output("more");
  parts.add("Concat", {"x", "x"}, {"y"});
  parts.add("Greater", {"x", "by"}, {"more"}, {attr("broadcast", 1), attr("axis", 0)});
  EXPECT_EQ(result_type(parts),
            "R.Tuple(R.Tensor((n, 8), dtype=\"float32\"), R.Tensor((n, 4), dtype=\"bool\"))");
}

TEST(OnnxImport, ReductionsWithoutAxes) {
  EXPECT_FLOATS("(1, 1)", one_node(18, "ReduceSum", {"n", 4}));
  EXPECT_FLOATS("(n, 4)",
                one_node(18, "ReduceSum", {"n", 4}, {}, {attr("noop_with_empty_axes", 1)}));
}

TEST(OnnxImport, OldSoftmaxNormalisesRows) {
  EXPECT_EQ(operators(*import(one_node(11, "Softmax", {"n", 3, 4}))),
            (std::vector<std::string>{"reshape", "nn.softmax", "reshape"}));
  EXPECT_EQ(operators(*import(one_node(13, "Softmax", {"n", 3, 4}))),
            (std::vector<std::string>{"nn.softmax"}));
}

TEST(OnnxImport, CastsStandWhereDtypesDiffer) {
  ModelWriter w;
  w.input("x", float32, {"n"}).input("e", int64, {"n"}).output("y").add("Pow", {"x", "e"}, {"y"});
  EXPECT_EQ(operators(*import(w)), (std::vector<std::string>{"astype", "power"}));
}

TEST(OnnxImport, OperatorSetsOutsideAreRefused) {
  EXPECT_NE(errors(one_node(5, "Gelu", {"n"})).find("operator set 5"), std::string::npos);
  EXPECT_TRUE(import(one_node(1, "Not", {"n"}, {}, {}, 9)));
  EXPECT_NE(errors(one_node(29, "Relu", {"n"})).find("[unsupported-feature]"), std::string::npos);
  EXPECT_NE(errors(one_node(0, "Relu", {"n"})).find("[bad-model]"), std::string::npos);
  EXPECT_TRUE(find_operator("", "Slice", 9) && find_operator("", "Slice", 10));
  EXPECT_NE(find_operator("", "Slice", 9), find_operator("", "Slice", 10));
  EXPECT_EQ(find_operator("", "Gelu", 19), nullptr);
  EXPECT_NE(find_operator("com.microsoft", "Gelu", 19), nullptr);
  EXPECT_EQ(find_operator("ai.onnx.ml", "Gelu", 19), nullptr);
  EXPECT_EQ(find_operator("", "Scaler", 19), nullptr);
  EXPECT_EQ(find_operator("ai.onnx", "Slice", 10), find_operator("", "Slice", 10));
}

// ---- Names
// ---------------------------------------------------------------------------------------

TEST(OnnxImport, NamesOfDimensions) {
  ModelWriter w;
  w.input("/a/b", float32, {"p2o.DynamicDimension.0", "", "?"});
  w.input("cache", float32, {"past + new", "new", "past"});
  w.add("Relu", {"/a/b"}, {"y:0"}).output("y:0");
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  const graph::Function f = imported->main();
  ASSERT_EQ(f->params.size(), 2u);
  EXPECT_EQ(f->params[0]->name, "_a_b");
  EXPECT_EQ(to_string(f->params[1]->type),
            "R.Tensor((\"new + past\", new, past), dtype=\"float32\")");
  EXPECT_EQ(*f->attrs.find("input_names"), Attr(AttrList{"/a/b", "cache"}));
  EXPECT_EQ(*f->attrs.find("output_names"), Attr(AttrList{"y:0"}));
  EXPECT_EQ(*f->attrs.find("symbol_names"),
            Attr(AttrDict{{"p2o_DynamicDimension_0", "p2o.DynamicDimension.0"},
                          {"_a_b_1", "/a/b_1"},
                          {"_a_b_2", "/a/b_2"},
                          {"new", "new"},
                          {"past", "past"}}));
}

TEST(OnnxImport, QuestionMarksAreSymbolsOfTheirOwn) {
  ModelWriter w;
  w.input("x", float32, {"?", "?"}).add("Relu", {"x"}, {"y"}).output("y");
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(to_string(imported->main()->params[0]->type),
            "R.Tensor((x_0, x_1), dtype=\"float32\")");
}

TEST(OnnxImport, SymbolsMadeOneSayByWhichNode) {
  ModelWriter w;
  w.input("x", float32, {"m", 4}).input("w", float32, {"k", 4});
  w.add("Add", {"x", "w"}, {"s"}).output("s");
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(imported->main()->attrs.find("symbol_aliases"), nullptr);  // 1 may stand beside n
  ModelWriter concat;
  concat.input("x", float32, {"m", 4}).input("w", float32, {"k", 4});
  concat.add("Concat", {"x", "w"}, {"s"}, {attr("axis", 1)}, "", "/join").output("s");
  auto joined = import(concat);
  ASSERT_TRUE(joined->module.ok()) << to_string(joined->module.errors());
  const Attr* aliases = joined->main()->attrs.find("symbol_aliases");
  ASSERT_NE(aliases, nullptr);
  EXPECT_EQ(*aliases, Attr(AttrDict{{"k", Attr(AttrList{"m", "node `/join` (Concat, node 0)"})}}));
}

TEST(OnnxImport, WordsOfTheTextAreNoIdentifiers) {
  EXPECT_EQ(identifier("for"), "for_");
  EXPECT_EQ(identifier("T"), "T_");
  EXPECT_EQ(identifier("0x"), "v0x");
  EXPECT_EQ(identifier(""), "v");
  Identifiers names;
  EXPECT_EQ(names.fresh("a.b"), "a_b");
  EXPECT_EQ(names.fresh("a/b"), "a_b_1");
}

TEST(OnnxImport, DeclaredRanges) {
  ModelWriter w = one_node(17, "Relu", {"batch", "seq", ""});
  Interval seq;
  seq.lower = 1;
  seq.upper = 512;
  seq.divisor = 8;
  Interval two;
  two.lower = two.upper = 2;
  auto imported = import(w, {.dims = {{"seq", seq}, {"x_2", two}}});
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  const graph::Function f = imported->main();
  EXPECT_EQ(to_string(f->result_type), "R.Tensor((batch, seq, 2), dtype=\"float32\")");
  EXPECT_EQ(*f->attrs.find("tir_var_upper_bound"), Attr(AttrDict{{"seq", 512}}));
  // The least multiple of 8 from 1 on.
  EXPECT_EQ(*f->attrs.find("tir_var_lower_bound"), Attr(AttrDict{{"seq", 8}}));
  EXPECT_EQ(*f->attrs.find("tir_var_divisor"), Attr(AttrDict{{"seq", 8}}));

  EXPECT_NE(errors(w, {.dims = {{"sequence", seq}}}).find("[bad-usage]"), std::string::npos);
  Interval empty;
  empty.lower = 5;
  empty.upper = 4;
  EXPECT_NE(errors(w, {.dims = {{"seq", empty}}}).find("[bad-range]"), std::string::npos);
}

TEST(OnnxImport, DeclaredRangesOfSums) {
  Interval most;
  most.lower = 0;
  most.upper = 4096;
  auto imported = import(one_node(17, "Relu", {"past", "new"}), {.dims = {{"past+new", most}}});
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(checks(*imported), (std::vector<std::string>{"new + past <= 4096"}));
  imported =
      import(one_node(17, "Relu", {"past", "new"}), {.dims = {}, .same_dims = {{"new", "past+1"}}});
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(checks(*imported), (std::vector<std::string>{"new == past + 1"}));
}

// The first 4096 of the positions are all of them, where that is declared.
TEST(OnnxImport, DeclaredRangesOfSumsSharpenProofs) {
  ModelWriter w;
  w.input("x", float32, {"past + new", 3}).input("p", float32, {"past", "new"}).output("y");
  w.ints("from", {0}).ints("to", {4096}).add("Slice", {"x", "from", "to"}, {"y"});
  Interval most;
  most.lower = 0;
  most.upper = 4096;
  auto result_type = [&](const ImportOptions& options) {
    auto imported = import(w, options);
    EXPECT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
    return to_string(imported->module->graph_function("main")->result_type);
  };
  EXPECT_NE(result_type({}).find("T.min("), std::string::npos);
  EXPECT_EQ(result_type({.dims = {{"past+new", most}}}),
            "R.Tensor((\"new + past\", 3), dtype=\"float32\")");
}

std::string attr_text(const Imported& imported, const char* key) {
  const Attr* attr = imported.main()->attrs.find(key);
  std::string text;
  if (!attr || !attr->as_dict()) return text;
  for (const auto& [symbol, value] : *attr->as_dict()) {
    text += fmt::format("{}={} ", *symbol.as_string(), *value.as_int());
  }
  return text;
}

TEST(OnnxImport, AFormulaBindsTheNameThatStandsAloneNowhere) {
  ModelWriter w;
  w.input("a", float32, {"m * 2", "k"}).input("b", float32, {"m * 6", "m"}).output("y");
  w.output("z").add("Relu", {"a"}, {"y"}).add("Relu", {"b"}, {"z"});
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  // m stands alone in b: nothing is special about it.
  EXPECT_EQ(to_string(imported->main()->result_type),
            "R.Tuple(R.Tensor((\"m * 2\", k), dtype=\"float32\"), R.Tensor((\"m * 6\", m), "
            "dtype=\"float32\"))");

  ModelWriter v;
  v.input("a", float32, {"m * 2", "k"}).input("b", float32, {"m * 6", 4}).output("y");
  v.output("z").add("Relu", {"a"}, {"y"}).add("Relu", {"b"}, {"z"});
  Interval m;
  m.lower = 1;
  m.upper = 4;
  imported = import(v, {.dims = {{"m", m}}});
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(to_string(imported->main()->result_type),
            "R.Tuple(R.Tensor((m___2, k), dtype=\"float32\"), R.Tensor((\"m___2 * 3\", 4), "
            "dtype=\"float32\"))");
  EXPECT_EQ(attr_text(*imported, "tir_var_divisor"), "m___2=2 ");
  EXPECT_EQ(attr_text(*imported, "tir_var_lower_bound"), "m___2=2 ");
  EXPECT_EQ(attr_text(*imported, "tir_var_upper_bound"), "m___2=8 ");

  m.upper = m.lower = 3;
  imported = import(v, {.dims = {{"m", m}}});
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(to_string(imported->main()->result_type),
            "R.Tuple(R.Tensor((6, k), dtype=\"float32\"), R.Tensor((18, 4), dtype=\"float32\"))");
}

TEST(OnnxImport, AFormulaWithARemainderIsChecked) {
  ModelWriter w;
  w.input("a", float32, {"2 * m + 1", "k"}).output("y").add("Relu", {"a"}, {"y"});
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(attr_text(*imported, "tir_var_divisor"), "");
  EXPECT_EQ(attr_text(*imported, "tir_var_lower_bound"), "v2___m___1=1 ");
  EXPECT_EQ(checks(*imported).size(), 1u);
}

TEST(OnnxImport, NumbersAsNames) {
  ModelWriter w;
  w.input("x", float32, {"4", "-1", "n"}).output("y").add("Relu", {"x"}, {"y"});
  EXPECT_FLOATS("(4, x_1, n)", w);
}

TEST(OnnxImport, ANameThatAnotherOneIsDeclaredAsWarns) {
  ModelWriter w;
  w.input("x", float32, {"n", 4}).input("k", float32, {"k"}).output("y", float32, {"k", 4});
  w.output("z", float32, {"k"}).add("Relu", {"x"}, {"y"}).add("Relu", {"k"}, {"z"});
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  ASSERT_EQ(imported->warnings.size(), 1u);
  EXPECT_NE(imported->warnings[0].text.find("dimension 0 of value `y` is declared as `k`, but is "
                                            "`n`"),
            std::string::npos)
      << to_string(imported->warnings);
}

TEST(OnnxImport, AReshapeWithoutASizeThatIsLeft) {
  ModelWriter w;
  w.input("x", float32, {"n", 4}).input("s", int64, {2}).output("y");
  w.add("Reshape", {"x", "s"}, {"y"});
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  std::vector<std::string> texts;
  graph::visit_bindings(imported->main()->body, true, [&](const graph::Binding& b) {
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (call && call->op && call->op->name == "check") {
      texts.push_back(call->attrs.get_string("message"));
    }
  });
  const std::string wanted =
      "`Reshape`: dimension 1 of the new shape is {0}, but there is no such ";
  EXPECT_TRUE(std::any_of(texts.begin(), texts.end(),
                          [&](const std::string& text) { return text.starts_with(wanted); }));
}

TEST(OnnxImport, EqualNamesAreOneSymbol) {
  ModelWriter w;
  w.input("x", float32, {"a", 4}).input("y", float32, {"b", 4}).output("z");
  w.input("u", float32, {"a", 8}).input("v", float32, {"b", 8}).output("c");
  w.add("Concat", {"x", "u"}, {"xu"}, {attr("axis", 1)});
  w.add("Concat", {"y", "v"}, {"yv"}, {attr("axis", 1)});
  w.add("Concat", {"xu", "yv"}, {"z"}, {attr("axis", 1)}).add("Relu", {"v"}, {"c"});
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(to_string(imported->main()->result_type),
            "R.Tuple(R.Tensor((a, 24), dtype=\"float32\"), R.Tensor((a, 8), dtype=\"float32\"))");
  EXPECT_TRUE(checks(*imported).empty());
  EXPECT_EQ(*imported->main()->attrs.find("symbol_names"), Attr(AttrDict{{"a", "a"}}));

  ImportOptions strictly;
  strictly.strict_dims = true;
  const std::string strict = errors(w, strictly);
  EXPECT_NE(strict.find("`a` and `b`"), std::string::npos) << strict;
  EXPECT_NE(strict.find("[shape-mismatch]"), std::string::npos);
}

TEST(OnnxImport, HintsThatAreRefutedWarn) {
  ModelWriter w;
  w.input("x", float32, {"n", 4}).output("y", float32, {"m", 5}).output("z", float32, {4});
  w.add("Relu", {"x"}, {"y"}).add("Relu", {"x"}, {"z"});
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  ASSERT_EQ(imported->warnings.size(), 2u);
  EXPECT_NE(imported->warnings[0].text.find("declared as `5`, but is `4`"), std::string::npos);
  EXPECT_NE(imported->warnings[1].text.find("rank 1"), std::string::npos);
}

// ---- Files as they are
// ---------------------------------------------------------------------------

TEST(OnnxImport, OutputsThatAreInputsOrConstants) {
  ModelWriter w;
  w.input("x", float32, {"n"}).input("unused", float32, {"m"}).ints("c", {1, 2});
  w.add("Relu", {"x"}, {"y"});
  w.output("x").output("c").output("y").output("y");
  EXPECT_EQ(result_type(w),
            "R.Tuple(R.Tensor((n,), dtype=\"float32\"), R.Tensor((2,), dtype=\"int64\"), "
            "R.Tensor((n,), dtype=\"float32\"), R.Tensor((n,), dtype=\"float32\"))");
  EXPECT_EQ(import(w)->main()->params.size(), 2u);
}

TEST(OnnxImport, InitializersThatAreInputsAreConstants) {
  ModelWriter w;
  w.input("x", float32, {"n", 4}).input("w", float32, {4}).floats("w", {4}).output("y");
  w.add("Add", {"x", "w"}, {"y"});
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(imported->main()->params.size(), 1u);
}

TEST(OnnxImport, WeightsAreNotCopied) {
  ModelWriter w;
  const std::string raw(4 * sizeof(float), '\1');
  const std::string tensor = message([&](pbf_writer& t) {
    t.add_int64(1, 4);
    t.add_int32(2, float32);
    t.add_string(8, "the/weight");
    t.add_bytes(9, raw);
  });
  const std::string graph = message([&](pbf_writer& g) {
    g.add_message(1, node("Add", {"x", "the/weight"}, {"y"}));
    g.add_message(5, tensor);
    g.add_message(11, value_info("x", float32, {"n", 4}));
    g.add_message(12, message([](pbf_writer& o) { o.add_string(1, "y"); }));
  });
  auto imported = import_bytes(message([&](pbf_writer& m) {
    m.add_int64(1, 9);
    m.add_message(7, graph);
    m.add_message(8, opset_import(17));
  }));
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  const graph::ConstantNode* weight = nullptr;
  graph::visit_bindings(imported->main()->body, true, [&](const graph::Binding& b) {
    if (const auto* call = graph::as<graph::CallNode>(b.value)) {
      weight = graph::as<graph::ConstantNode>(call->args[1]);
    }
  });
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(weight->weight_name, "the/weight");
  const char* at = reinterpret_cast<const char*>(weight->data->bytes);
  EXPECT_GE(at, imported->bytes.data());
  EXPECT_LT(at, imported->bytes.data() + imported->bytes.size());
}

TEST(OnnxImport, NodesInAnyOrder) {
  ModelWriter w;
  w.input("x", float32, {"n"}).output("z");
  w.add("Exp", {"y"}, {"z"}).add("Relu", {"x"}, {"y"});
  EXPECT_EQ(operators(*import(w)), (std::vector<std::string>{"nn.relu", "exp"}));
}

TEST(OnnxImport, OmittedOperands) {
  ModelWriter w(13);
  w.input("x", float32, {"n"}).floats("high", {}).output("y");
  w.add("Clip", {"x", "", "high"}, {"y"});
  EXPECT_EQ(operators(*import(w)), (std::vector<std::string>{"minimum"}));
}

TEST(OnnxImport, NodesLendTheirNamesToErrors) {
  ModelWriter w;
  w.input("x", float32, {2}).input("y", float32, {3}).output("z");
  w.add("Add", {"x", "y"}, {"z"}, {}, "", "/layer/Add");
  EXPECT_NE(errors(w).find("node `/layer/Add` (Add, node 0)"), std::string::npos) << errors(w);
}

// ---- Functions and branches
// ----------------------------------------------------------------------

TEST(OnnxImport, FunctionsAreInlined) {
  ModelWriter w;
  w.function("Scale", {"a", "b"}, {"r"},
             {node("Softmax", {"a"}, {"s"}, {attr_reference("axis", "where", 2)}),
              node("Clip", {"s", "b"}, {"r"})},
             {"where"});
  w.function("Twice", {"a"}, {"r"},
             {node("Scale", {"a"}, {"t"}, {attr_reference("where", "axis", 2)}, "local"),
              node("Scale", {"t", ""}, {"r"}, {attr("where", 0)}, "local")},
             {}, {attr("axis", 1)});
  w.input("x", float32, {"n", 4}).output("y").add("Twice", {"x"}, {"y"}, {}, "local");
  auto imported = import(w);
  ASSERT_TRUE(imported->module.ok()) << to_string(imported->module.errors());
  EXPECT_EQ(operators(*imported), (std::vector<std::string>{"nn.softmax", "nn.softmax"}));
  std::vector<int64_t> axes;
  graph::visit_bindings(imported->main()->body, true, [&](const graph::Binding& b) {
    if (const auto* call = graph::as<graph::CallNode>(b.value)) {
      axes.push_back(call->attrs.get_int("axis"));
    }
  });
  EXPECT_EQ(axes, (std::vector<int64_t>{1, 0}));
}

TEST(OnnxImport, FunctionsThatCallThemselves) {
  ModelWriter w;
  w.function("F", {"a"}, {"r"}, {node("F", {"a"}, {"r"}, {}, "local")});
  w.input("x", float32, {"n"}).output("y").add("F", {"x"}, {"y"}, {}, "local");
  EXPECT_NE(errors(w).find("[nesting-too-deep]"), std::string::npos) << errors(w);
}

TEST(OnnxImport, FunctionsThatGrowWithoutEnd) {
  ModelWriter w;
  for (int i = 0; i < 40; ++i) {
    const std::string callee = "F" + std::to_string(i + 1);
    w.function("F" + std::to_string(i), {"a"}, {"r"},
               {node(callee, {"a"}, {"t"}, {}, "local"), node(callee, {"t"}, {"r"}, {}, "local")});
  }
  w.function("F40", {"a"}, {"r"}, {node("Identity", {"a"}, {"r"})});
  w.input("x", float32, {"n"}).output("y").add("F0", {"x"}, {"y"}, {}, "local");
  EXPECT_NE(errors(w).find("[too-large]"), std::string::npos) << errors(w);
}

ModelWriter branches(const std::string& condition) {
  ModelWriter yes, no;
  yes.output("r").add("Relu", {"x"}, {"r"});
  no.output("r").add("Exp", {"x"}, {"r"});
  ModelWriter w;
  w.input("x", float32, {"n", 4}).input("c", boolean, {}).output("y").scalar("three", 3);
  w.add("Size", {"x"}, {"size"}).add("Less", {"size", "three"}, {"unknown"});
  w.add("Less", {"three", "three"}, {"known"});
  w.add("If", {condition}, {"y"},
        {graph_attr("then_branch", yes.graph()), graph_attr("else_branch", no.graph())});
  return w;
}

TEST(OnnxImport, BranchesWithAKnownCondition) {
  EXPECT_EQ(operators(*import(branches("known"))).back(), "exp");
  EXPECT_FLOATS("(n, 4)", branches("c"));
  EXPECT_FLOATS("(n, 4)", branches("unknown"));
}

// Values that a subgraph makes itself are no operands of the node.
TEST(OnnxImport, NamesOfSubgraphsAreTheirOwn) {
  ModelWriter yes, no;
  yes.output("r")
      .add("Relu", {"x"}, {"y"})
      .add("Exp", {"y"}, {"later"})
      .add("Neg", {"later"}, {"r"});
  no.output("y").add("Exp", {"x"}, {"y"});
  ModelWriter w;
  w.input("x", float32, {"n"}).input("c", boolean, {}).output("later");
  w.add("If", {"c"}, {"y"},
        {graph_attr("then_branch", yes.graph()), graph_attr("else_branch", no.graph())});
  w.add("Tanh", {"y"}, {"later"});
  EXPECT_FLOATS("(n,)", w);
}

TEST(OnnxImport, BranchesOfDifferentShapes) {
  auto model = [](const std::string& op, const std::vector<std::string>& attributes,
                  const std::string& after) {
    ModelWriter yes, no;
    yes.output("r").add(op, {"x"}, {"r"}, attributes);
    no.output("r").add("Exp", {"x"}, {"r"});
    ModelWriter w;
    w.input("x", float32, {"n", 1, "m"}).input("c", boolean, {}).output("y");
    w.add("If", {"c"}, {"b"},
          {graph_attr("then_branch", yes.graph()), graph_attr("else_branch", no.graph())});
    w.add(after, {"b"}, {"y"},
          after == "ReduceSum" ? std::vector<std::string>{attr("keepdims", 0)}
                               : std::vector<std::string>{});
    return w;
  };
  // A fresh symbol where they differ.
  EXPECT_FLOATS("(d, 1, d_1)", model("Transpose", {attr("perm", {2, 1, 0})}, "Relu"));
  // Of different ranks: what follows stands in both.
  const ModelWriter split = model("Flatten", {}, "ReduceSum");
  EXPECT_FLOATS("()", split);
  const auto names = operators(*import(split));
  EXPECT_EQ(std::count(names.begin(), names.end(), "sum"), 2);
  EXPECT_NE(errors(model("Flatten", {}, "Relu")).find("lead to `y` in different ranks"),
            std::string::npos);
}

TEST(OnnxImport, BranchesOnSizesGiveSizes) {
  ModelWriter yes, no;
  yes.output("r").add("Identity", {"s"}, {"r"});
  no.output("r").add("Add", {"s", "s"}, {"r"});
  ModelWriter w;
  w.input("x", float32, {"n"}).output("y").ints("three", {3}).scalar("zero", 0).ints("none", {0});
  w.add("Shape", {"x"}, {"s"}).add("Less", {"s", "three"}, {"few"});
  w.add("If", {"few"}, {"k"},
        {graph_attr("then_branch", yes.graph()), graph_attr("else_branch", no.graph())});
  w.add("ConstantOfShape", {"k"}, {"y"});
  EXPECT_FLOATS("(\"T.Select(n <= 2, n, n * 2)\",)", w);
}

// Traced models have branches for sizes that they were never meant for.
TEST(OnnxImport, ABranchThatIsWrongIsNotTaken) {
  auto model = [](const std::string& condition) {
    ModelWriter yes, no;
    yes.output("r").add("Squeeze", {"x", "axis"}, {"r"});
    no.output("r").add("Identity", {"x"}, {"r"});
    ModelWriter w;
    w.input("x", float32, {"n", "m"}).input("v", float32, {"k"}).input("c", boolean, {});
    w.output("y").ints("axis", {1}).scalar("one", 1);
    w.add("Shape", {"x"}, {"s"}).add("Gather", {"s", "one"}, {"m"});
    w.add("Equal", {"m", "one"}, {"is"});
    w.add("If", {condition}, {"b"},
          {graph_attr("then_branch", yes.graph()), graph_attr("else_branch", no.graph())});
    w.add("Concat", {"b", "v"}, {"y"}, {attr("axis", 0)});
    return w;
  };
  EXPECT_FLOATS("(\"k + n\",)", model("is"));
  EXPECT_EQ(checks(*import(model("is")))[0], "m == 1");
  EXPECT_FLOATS("(\"k + n\",)", model("c"));
  EXPECT_NE(checks(*import(model("c")))[0].find("!= 0"), std::string::npos);
}

// ---- Loops
// ---------------------------------------------------------------------------------------

// A Loop over `trips` (a scalar input, where it is called so) that carries x and stacks a row.
ModelWriter loop(const std::string& trips, const std::function<void(ModelWriter&)>& step,
                 const std::string& condition = "") {
  ModelWriter body;
  body.input("i", int64, {}).input("c", boolean, {}).input("h", float32, {});
  body.output("more").output("next").output("row");
  step(body);
  ModelWriter w;
  w.input("x", float32, {"n", 2}).input("trips", int64, {}).input("go", boolean, {});
  w.output("last").output("rows").scalar("ten", 10).ints("first", {0});
  w.add("Loop", {trips, condition, "x"}, {"last", "rows"}, {graph_attr("body", body.graph())});
  return w;
}

void count_on(ModelWriter& body) {
  body.add("Identity", {"c"}, {"more"});
}

TEST(OnnxImport, LoopsOfAKnownCount) {
  const ModelWriter w = loop("ten", [](ModelWriter& body) {
    count_on(body);
    body.add("Relu", {"h"}, {"next"}).add("Neg", {"next"}, {"row"});
  });
  EXPECT_EQ(result_type(w),
            "R.Tuple(R.Tensor((n, 2), dtype=\"float32\"), "
            "R.Tensor((10, n, 2), dtype=\"float32\"))");
}

TEST(OnnxImport, WhatALoopCarriesMayGrow) {
  const ModelWriter w = loop("trips", [](ModelWriter& body) {
    count_on(body);
    body.add("Concat", {"h", "x"}, {"next"}, {attr("axis", 0)}).add("Neg", {"x"}, {"row"});
  });
  EXPECT_EQ(result_type(w),  // n more in each iteration
            "R.Tuple(R.Tensor((\"n * T.max(trip_count, 0) + n\", 2), dtype=\"float32\"), "
            "R.Tensor((\"T.max(trip_count, 0)\", n, 2), dtype=\"float32\"))");
  const ModelWriter doubles = loop("trips", [](ModelWriter& body) {
    count_on(body);
    body.add("Concat", {"h", "h"}, {"next"}, {attr("axis", 0)}).add("Neg", {"x"}, {"row"});
  });
  EXPECT_NE(result_type(doubles).find("R.Tuple(R.Tensor((d_1, 2)"), std::string::npos)
      << result_type(doubles);
}

TEST(OnnxImport, WhatALoopLeavesAsItIsIsNotCarried) {
  const ModelWriter w = loop("ten", [](ModelWriter& body) {
    count_on(body);
    body.add("Identity", {"h"}, {"next"}).add("Neg", {"h"}, {"row"});
  });
  auto imported = import(w);
  const auto* results = graph::as<graph::TupleNode>(imported->main()->body->result);
  EXPECT_EQ(results->fields[0], graph::Value(imported->main()->params[0]));
}

TEST(OnnxImport, RowsWhoseSizeOnlyAnIterationTells) {
  const ModelWriter w = loop("ten", [](ModelWriter& body) {
    count_on(body);
    body.add("Relu", {"h"}, {"next"}).add("NonZero", {"h"}, {"row"});
  });
  EXPECT_NE(result_type(w).find("R.Tensor((10, 2, d"), std::string::npos) << result_type(w);
}

TEST(OnnxImport, LoopsThatDontFit) {
  auto expect_error = [](const ModelWriter& w, const std::string& text) {
    EXPECT_NE(errors(w).find(text), std::string::npos) << errors(w);
  };
  expect_error(loop("ten",
                    [](ModelWriter& body) {
                      count_on(body);
                      body.add("Flatten", {"h3"}, {"next"}).add("Neg", {"h"}, {"row"});
                      body.add("Cast", {"h"}, {"h3"}, {attr("to", int64)});
                    }),
               "`Loop`: carried value 0 has the type");
  expect_error(loop("ten",
                    [](ModelWriter& body) {
                      count_on(body);
                      body.add("Unsqueeze", {"h", "first"}, {"next"}).add("Neg", {"h"}, {"row"});
                    }),
               "`Loop`: carried value 0 has the type");
  expect_error(loop("x", [](ModelWriter& body) { count_on(body); }), "an integer");
  expect_error(loop("ten", [](ModelWriter& body) { count_on(body); }), "is produced by nothing");
  ModelWriter w;
  ModelWriter body;
  body.input("i", int64, {}).input("c", boolean, {}).output("c");
  w.input("x", float32, {"n"}).output("y").scalar("ten", 10);
  w.add("Loop", {"ten", "", "x"}, {"y"}, {graph_attr("body", body.graph())});
  expect_error(w, "`Loop`: 1 values are carried, but the body takes 2 and gives 1");
}

TEST(OnnxImport, Scans) {
  auto scan = [](int64_t opset, const std::vector<std::string>& attributes) {
    ModelWriter body;
    body.input("s", float32, {}).input("a", float32, {}).output("t").output("r");
    body.add("Add", {"s", "a"}, {"t"}).add("Neg", {"t"}, {"r"});
    ModelWriter w(opset);
    w.input("s", float32, {"k"}).input("x", float32, {"k", "n"}).output("t").output("rows");
    std::vector<std::string> all{graph_attr("body", body.graph()), attr("num_scan_inputs", 1)};
    all.insert(all.end(), attributes.begin(), attributes.end());
    w.add("Scan", {"s", "x"}, {"t", "rows"}, all);
    return w;
  };
  EXPECT_EQ(result_type(scan(17, {attr("scan_input_axes", {1}), attr("scan_output_axes", {-1}),
                                  attr("scan_output_directions", {1})})),
            "R.Tuple(R.Tensor((k,), dtype=\"float32\"), "
            "R.Tensor((k, n), dtype=\"float32\"))");
  EXPECT_NE(errors(scan(17, {attr("scan_input_axes", {1, 0})})).find("has 2 numbers, expected 1"),
            std::string::npos);
  EXPECT_NE(errors(scan(17, {attr("scan_input_axes", {2})})).find("axis"), std::string::npos);
}

TEST(OnnxImport, ScansOfBatches) {
  auto scan = [](const std::vector<Dim>& s, const std::vector<Dim>& x,
                 const std::vector<std::string>& attributes = {}) {
    ModelWriter body;
    body.input("s", float32, {}).input("a", float32, {}).output("t").output("r");
    body.add("Add", {"s", "a"}, {"t"}).add("Neg", {"t"}, {"r"});
    ModelWriter w(8);
    w.input("s", float32, s).input("x", float32, x).input("lens", int64, {"b"});
    w.output("t").output("rows");
    std::vector<std::string> all{graph_attr("body", body.graph()), attr("num_scan_inputs", 1)};
    all.insert(all.end(), attributes.begin(), attributes.end());
    w.add("Scan", {"lens", "s", "x"}, {"t", "rows"}, all);
    return w;
  };
  EXPECT_EQ(result_type(scan({"b", "k"}, {"b", "n", "k"}, {attr("directions", {1})})),
            "R.Tuple(R.Tensor((b, k), dtype=\"float32\"), "
            "R.Tensor((b, n, k), dtype=\"float32\"))");
  EXPECT_NE(errors(scan({2}, {3, 4})).find("is for a batch of 3, the first one for 2"),
            std::string::npos);
  EXPECT_NE(errors(scan({"b"}, {"b"})).find("operand 2 has rank 1, expected at least 2"),
            std::string::npos);
  EXPECT_NE(errors(scan({"b"}, {"b", "n"}, {attr("directions", {0, 1})}))
                .find("has 2 numbers, expected 1"),
            std::string::npos);
}

// ---- Recurrent layers
// ----------------------------------------------------------------------------

ModelWriter recurrent(const std::string& op, const std::vector<std::string>& attributes,
                      int64_t gates, int64_t directions = 1) {
  ModelWriter w;
  w.input("x", float32, {"steps", "batch", 3}).output("y").output("h");
  w.floats("w", {directions, gates * 4, 3}).floats("r", {directions, gates * 4, 4});
  w.floats("b", {directions, gates * 8});
  w.add(op, {"x", "w", "r", "b"}, {"y", "h"}, attributes);
  return w;
}

TEST(OnnxImport, RecurrentLayers) {
  const std::string both =
      "R.Tuple(R.Tensor((steps, 2, batch, 4), dtype=\"float32\"), "
      "R.Tensor((2, batch, 4), dtype=\"float32\"))";
  const std::string direction = text_attr("direction", "bidirectional");
  EXPECT_EQ(result_type(recurrent("LSTM", {direction}, 4, 2)), both);
  EXPECT_EQ(result_type(recurrent("GRU", {direction}, 3, 2)), both);
  EXPECT_EQ(result_type(recurrent("RNN", {direction}, 1, 2)), both);
  EXPECT_EQ(result_type(recurrent("GRU", {attr("layout", 1)}, 3)),
            "R.Tuple(R.Tensor((steps, batch, 1, 4), dtype=\"float32\"), "
            "R.Tensor((steps, 1, 4), dtype=\"float32\"))");
}

TEST(OnnxImport, RecurrentLayersThatDontFit) {
  auto expect_error = [](const ModelWriter& w, const std::string& text) {
    EXPECT_NE(errors(w).find(text), std::string::npos) << errors(w);
  };
  expect_error(recurrent("LSTM", {}, 3), "dimension 1 of `W` is 12, expected 16 (4 gates)");
  expect_error(recurrent("RNN", {}, 1, 2), "`W` is for 2 directions, expected 1");
  expect_error(recurrent("RNN", {text_attr("direction", "up")}, 1),
               "attribute `direction` is `up`, expected `forward`, `reverse` or `bidirectional`");
  expect_error(recurrent("RNN", {strings_attr("activations", {"Gelu"})}, 1),
               "no activation is called `Gelu`");
  expect_error(recurrent("GRU", {strings_attr("activations", {"Tanh"})}, 3),
               "1 activations, expected 2");
}

// ---- Errors
// --------------------------------------------------------------------------------------

TEST(OnnxImport, AllUnsupportedOperatorsAreListed) {
  ModelWriter w;
  w.input("x", float32, {"n"}).output("z");
  w.add("Frobnicate", {"x"}, {"a"}, {}, "", "first");
  w.add("Relu", {"a"}, {"b"});
  w.add("Conjure", {"b"}, {"c"}, {}, "com.acme", "second").add("Frobnicate", {"c"}, {"z"});
  auto imported = import(w);
  ASSERT_FALSE(imported->module.ok());
  const Diagnostics& all = imported->module.errors();
  ASSERT_EQ(all.size(), 2u) << to_string(all);
  EXPECT_EQ(all[0].to_string(),
            "node `first` (Frobnicate, node 0): error: operator `Frobnicate` of operator set 17 is "
            "not supported (2 nodes) [unsupported-operator]\n");
  EXPECT_NE(all[1].to_string().find("node `second` (Conjure, node 2)"), std::string::npos);
  EXPECT_NE(all[1].to_string().find("`com.acme.Conjure`"), std::string::npos);
}

TEST(OnnxImport, Cycles) {
  ModelWriter w;
  w.input("x", float32, {"n"}).output("b");
  w.add("Add", {"x", "b"}, {"a"}, {}, "", "one").add("Relu", {"a"}, {"b"}, {}, "", "two");
  EXPECT_EQ(errors(w),
            "node `one` (Add, node 0): error: the nodes `one`, `two` form a cycle [bad-model]\n");
}

TEST(OnnxImport, NamesThatDontFit) {
  ModelWriter missing;
  missing.input("x", float32, {"n"}).output("y").add("Add", {"x", "weight"}, {"y"});
  EXPECT_EQ(errors(missing),
            "node `y` (Add, node 0): error: value `weight` is used, but nothing produces it "
            "[missing-value]\n");
  ModelWriter no_output;
  no_output.input("x", float32, {"n"}).output("z").add("Relu", {"x"}, {"y"});
  EXPECT_NE(errors(no_output).find("output `z` is produced by nothing [missing-value]"),
            std::string::npos);
  ModelWriter twice;
  twice.input("x", float32, {"n"}).output("y").add("Relu", {"x"}, {"y"}).add("Exp", {"x"}, {"y"});
  EXPECT_NE(errors(twice).find("`y` is produced twice [bad-model]"), std::string::npos);
  ModelWriter same_input;
  same_input.input("x", float32, {"n"}).input("x", float32, {"n"}).output("x");
  EXPECT_NE(errors(same_input).find("input `x` is there twice"), std::string::npos);
  ModelWriter same_weight;
  same_weight.ints("w", {1}).ints("w", {1}).output("w");
  EXPECT_NE(errors(same_weight).find("initializer `w` is there twice"), std::string::npos);
}

TEST(OnnxImport, DtypesThatDiffer) {
  ModelWriter w;
  w.input("x", float32, {"n"}).input("y", int64, {"n"}).output("z").add("Add", {"x", "y"}, {"z"});
  EXPECT_NE(errors(w).find("[dtype-mismatch]"), std::string::npos);
  ModelWriter declared;
  declared.input("x", float32, {"n"}).output("y", int64, {"n"}).add("Relu", {"x"}, {"y"});
  EXPECT_NE(errors(declared).find("[dtype-mismatch]"), std::string::npos);
  EXPECT_NE(errors(one_node(17, "Relu", {"n"}, {}, {}, 27)).find("[unsupported-dtype]"),
            std::string::npos);
  // Values of few bits are kept, moved and cast.
  EXPECT_NE(errors(one_node(17, "Exp", {"n"}, {}, {}, 17)).find("[dtype-mismatch]"),
            std::string::npos);
}

TEST(OnnxImport, SizesThatNothingHolds) {
  EXPECT_NE(errors(one_node(17, "Relu", {-2})).find("[bad-model]"), std::string::npos);
  const int64_t huge = int64_t{1} << 40;
  EXPECT_NE(errors(one_node(17, "Relu", {huge, huge, "n"})).find("[too-large]"), std::string::npos);
  EXPECT_NE(errors(one_node(17, "Expand", {1}, {{int64_t{1} << 60}})).find("[too-large]"),
            std::string::npos);
  EXPECT_NE(errors(one_node(17, "Expand", {1}, {{huge, huge, huge, huge}})).find("[too-large]"),
            std::string::npos);
  EXPECT_NE(errors(one_node(17, "Unsqueeze", {1}, {std::vector<int64_t>(64, 0)})).find("error"),
            std::string::npos);
}

TEST(OnnxImport, AttributesThatDontFit) {
  EXPECT_NE(errors(one_node(17, "Concat", {"n"})).find("attribute `axis` is missing"),
            std::string::npos);
  EXPECT_NE(errors(one_node(17, "Softmax", {"n"}, {}, {text_attr("axis", "last")}))
                .find("attribute `axis` is of kind `string`, expected `int`"),
            std::string::npos);
  EXPECT_NE(errors(one_node(17, "Softmax", {"n"}, {}, {attr("axis", 3)})).find("[bad-attribute]"),
            std::string::npos);
  EXPECT_NE(errors(one_node(17, "MatMul", {"n"})).find("operand 1 is missing [wrong-arity]"),
            std::string::npos);
  ModelWriter unknown_axes;
  unknown_axes.input("x", float32, {"n", 1}).input("axes", int64, {"k"}).output("y");
  unknown_axes.add("Squeeze", {"x", "axes"}, {"y"});
  EXPECT_NE(
      errors(unknown_axes).find("`axes` has the shape (k,), expected a known number of elements"),
      std::string::npos);
}

// Mutated models give a module or an error, whatever they hold.
TEST(OnnxImport, MutationsNeverCrash) {
  ModelWriter w;
  w.input("x", float32, {"b", 3, "h", "past + new"}).input("p", float32, {"past", "new"});
  w.floats("k", {4, 3, 3, 3}).ints("shape", {0, -1}).ints("pads", {0, 1, 0, 1}).output("y");
  w.function("F", {"a"}, {"r"}, {node("Relu", {"a"}, {"r"})});
  w.add("Conv", {"x", "k"}, {"c"}, {attr("pads", {1, 1, 1, 1})});
  w.add("F", {"c"}, {"f"}, {}, "local").add("Reshape", {"f", "shape"}, {"r"});
  w.add("Pad", {"r", "pads"}, {"q"}).add("Shape", {"q"}, {"s"});
  w.add("ReduceSum", {"q"}, {"t"}).add("Expand", {"t", "s"}, {"y"});
  const std::string valid = w.model();
  ASSERT_EQ(errors(w), "no error");
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = valid;
    for (unsigned i = 0; i <= random() % 3; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random() % (round % 2 ? 256 : 16));
    }
    auto model = read_model(std::as_bytes(std::span(bytes)));
    if (!model.ok()) continue;
    auto module = import_onnx(*model, standard_ops());
    if (!module.ok()) {
      EXPECT_FALSE(to_string(module.errors()).empty());
    }
  }
}

}  // namespace
}  // namespace repose::onnx::test
