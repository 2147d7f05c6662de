// The writer of ONNX files, and what reducing a model leaves of it.
#include "frontend/onnx/writer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "frontend/onnx/reader.h"
#include "frontend/onnx/reduce.h"
#include "model_writer.h"

namespace repose::onnx::test {
namespace {

Model model_of_bytes(const std::string& bytes) {
  auto model = read_model(std::as_bytes(std::span(bytes.data(), bytes.size())));
  EXPECT_TRUE(model.ok()) << to_string(model.errors());
  return *std::move(model);
}

// Fields in the order of their numbers, as protobuf writes them.
std::string model_of_graph(const std::string& graph, const std::string& function = "") {
  return message([&](pbf_writer& w) {
    w.add_int64(1, 9);
    w.add_string(2, "producer");
    w.add_message(7, graph);
    w.add_message(8, opset_import(17, "own"));
    w.add_message(14, message([](pbf_writer& entry) {
                    entry.add_string(1, "key");
                    entry.add_string(2, "value");
                  }));
    if (!function.empty()) w.add_message(25, function);
  });
}

std::string attribute_of(int field, int type, const std::string& contents) {
  return message([&](pbf_writer& w) {
    w.add_string(1, "a");
    w.add_message(static_cast<uint32_t>(field), contents);
    w.add_int32(20, type);
  });
}

std::string sparse_tensor() {
  return message([](pbf_writer& w) {
    w.add_message(1, float_tensor("values", {2}));
    w.add_message(2, int_tensor("indices", {2}, {1, 3}));
    for (int64_t dim : {5, 1}) w.add_int64(3, dim);
  });
}

// A value of a type that is the field `kind` of TypeProto, with an element type in it.
std::string value_of_kind(int kind, int element_field, const std::string& element) {
  return message([&](pbf_writer& w) {
    w.add_string(1, "v");
    w.add_message(2, message([&](pbf_writer& type) {
                    type.add_message(static_cast<uint32_t>(kind), message([&](pbf_writer& t) {
                                       if (kind == 5) t.add_int32(1, int64);
                                       t.add_message(static_cast<uint32_t>(element_field), element);
                                     }));
                  }));
  });
}

TEST(OnnxWriter, WritesWhatWasRead) {
  const std::string scalar = message([](pbf_writer& w) {
    w.add_message(1, message([](pbf_writer& t) {
                    t.add_int32(1, float32);
                    t.add_message(2, std::string());  // of rank 0
                  }));
  });
  const std::string body = message([](pbf_writer& w) {
    w.add_message(1, node("Exp", {"x"}, {"e"}));
    w.add_string(2, "body");
    w.add_message(12, value_info("e", float32, {}));
  });
  const std::string reference = attr_reference("alpha", "outer", 1);
  const std::string graph = message([&](pbf_writer& w) {
    w.add_message(
        1, node("Op", {"x", "", "w"}, {"y", "z"},
                {attr("i", 3), attr("is", {1, -2}), float_attr("f", 0.5F),
                 floats_attr("fs", {1, 2}), text_attr("s", ""), strings_attr("ss", {"a", ""}),
                 graph_attr("g", body), reference, attribute_of(5, 4, int_tensor("", {1}, {7})),
                 attribute_of(10, 9, float_tensor("t", {2})), attribute_of(11, 10, body),
                 attribute_of(14, 13, scalar), attribute_of(15, 14, scalar),
                 attribute_of(22, 11, sparse_tensor()), attribute_of(23, 12, sparse_tensor())}));
    w.add_string(2, "graph");
    w.add_message(5, float_tensor("w", {2, 3}));
    w.add_message(11, value_info("x", float32, {"n", 3, ""}));
    w.add_message(11, value_of_kind(4, 1, scalar));
    w.add_message(11, value_of_kind(5, 2, scalar));
    w.add_message(11, value_of_kind(9, 1, scalar));
    w.add_message(12, message([](pbf_writer& output) { output.add_string(1, "y"); }));
    w.add_message(13, value_info("z", int64, {}));
    w.add_message(15, sparse_tensor());
  });
  const std::string function = message([&](pbf_writer& w) {
    w.add_string(1, "f");
    w.add_string(4, "a");
    w.add_string(5, "b");
    w.add_string(6, "alpha");
    w.add_message(7, node("Neg", {"a"}, {"b"}));
    w.add_message(9, message([](pbf_writer& opset) { opset.add_int64(2, 17); }));
    w.add_string(10, "own");
    w.add_message(11, attr("beta", 2));
    w.add_message(12, value_info("b", float32, {"n"}));
    w.add_string(13, "overload");
  });
  const std::string bytes = model_of_graph(graph, function);
  EXPECT_EQ(write_model(model_of_bytes(bytes)), bytes);
}

// x → a → b → c → d, and e of c; `w` is an operand of c.
std::string chain() {
  return model_of_graph(message([](pbf_writer& w) {
    const char* names[] = {"x", "a", "b", "c", "d"};
    for (int i = 0; i < 4; ++i) {
      std::vector<std::string> inputs{names[i]};
      if (i == 2) inputs.push_back("w");
      w.add_message(1, node(std::string("Op") + names[i + 1], inputs, {names[i + 1]},
                            {attr("first", 1), attr("second", 2)}));
    }
    w.add_message(1, node("Ope", {"c"}, {"e"}));
    w.add_message(5, float_tensor("w", {4}));
    w.add_message(11, value_info("x", float32, {"n", 6}));
    w.add_message(12, value_info("d", float32, {"n", 6}));
    w.add_message(12, value_info("e", float32, {"n", 6}));
    w.add_message(13, value_info("b", float32, {"k", 6}));
  }));
}

bool has_node(const Model& model, std::string_view op) {
  return std::any_of(model.graph.nodes.begin(), model.graph.nodes.end(),
                     [&](const Node& n) { return n.op_type == op; });
}

TEST(OnnxReduce, KeepsWhatTheCheckLooksFor) {
  const std::string bytes = chain();
  size_t asked = 0;
  const Model small = reduce_model(model_of_bytes(bytes), [&](const Model& m) {
    ++asked;
    for (const Node& n : m.graph.nodes) {
      if (n.op_type == "Opc") return n.find_attribute("second") != nullptr;
    }
    return false;
  });
  ASSERT_EQ(count_nodes(small), 1U);
  EXPECT_EQ(small.graph.nodes[0].attributes.size(), 1U);
  EXPECT_TRUE(small.graph.initializers.empty());
  EXPECT_EQ(small.graph.outputs.size(), 1U);
  EXPECT_LT(asked, 60U);
}

TEST(OnnxReduce, AValueOfKnownTypeBecomesAnInput) {
  const std::string bytes = chain();
  const Model small = reduce_model(model_of_bytes(bytes), [](const Model& m) {
    return std::any_of(m.graph.nodes.begin(), m.graph.nodes.end(), [](const Node& n) {
      return n.op_type == "Opc" && !n.inputs.empty() && !n.inputs[0].empty();
    });
  });
  ASSERT_EQ(small.graph.inputs.size(), 1U);
  EXPECT_EQ(small.graph.inputs[0].name, "b");
  EXPECT_EQ(small.graph.inputs[0].type.shape->at(0).param, "k");
  EXPECT_EQ(small.graph.inputs[0].type.shape->at(1).value, 1);
}

TEST(OnnxReduce, NothingIsLeftOutWhereNothingMayBe) {
  const std::string bytes = chain();
  const Model whole = model_of_bytes(bytes);
  const Model same =
      reduce_model(whole, [&](const Model& m) { return write_model(m) == write_model(whole); });
  EXPECT_EQ(write_model(same), bytes);
}

TEST(OnnxReduce, SeveralNodesThatAreFarApart) {
  const std::string bytes = chain();
  const Model small = reduce_model(model_of_bytes(bytes), [&](const Model& m) {
    return has_node(m, "Opa") && has_node(m, "Ope");
  });
  EXPECT_EQ(count_nodes(small), 2U);
}

}  // namespace
}  // namespace repose::onnx::test
