// The reader of ONNX files: real files, every error, and mutations of valid models.
#include "frontend/onnx/reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <protozero/pbf_writer.hpp>
#include <random>

#include "../../fuzz/touch_onnx_model.h"
#include "frontend/onnx/external_data.h"

namespace repose::onnx {
namespace {

namespace fs = std::filesystem;
using protozero::pbf_writer;
using Fill = std::function<void(pbf_writer&)>;

// A message's bytes.
std::string message(const Fill& fill) {
  std::string out;
  pbf_writer writer(out);
  fill(writer);
  return out;
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// A model whose graph has the given fields beside one output.
std::string model_with_graph(const Fill& graph) {
  return message([&](pbf_writer& model) {
    model.add_int64(1, 9);
    model.add_message(7, message([&](pbf_writer& w) {
                        w.add_message(
                            12, message([](pbf_writer& output) { output.add_string(1, "y"); }));
                        graph(w);
                      }));
  });
}

std::string model_with_node(const Fill& node) {
  return model_with_graph([&](pbf_writer& graph) {
    graph.add_message(1, message([&](pbf_writer& w) {
                        w.add_string(4, "Op");
                        node(w);
                      }));
  });
}

std::string model_with_attribute(const Fill& attribute) {
  return model_with_node([&](pbf_writer& node) {
    node.add_message(5, message([&](pbf_writer& w) {
                       w.add_string(1, "a");
                       attribute(w);
                     }));
  });
}

std::string model_with_type(const std::string& type) {
  return model_with_graph([&](pbf_writer& graph) {
    graph.add_message(11, message([&](pbf_writer& input) {
                        input.add_string(1, "x");
                        input.add_message(2, type);
                      }));
  });
}

std::string model_with_tensor(const Fill& tensor) {
  return model_with_graph([&](pbf_writer& graph) {
    graph.add_message(5, message([&](pbf_writer& w) {
                        w.add_string(8, "w");
                        tensor(w);
                      }));
  });
}

// The message of the one error, its kind included: "text [kind]".
template <class T>
std::string error_of(const Result<T>& result) {
  if (result.ok()) return "no error";
  if (result.errors().size() != 1) return "not one error";
  return result.errors()[0].to_string();
}

std::string read_error(const std::string& bytes) {
  return error_of(read_model(bytes_of(bytes)));
}

#define EXPECT_ERROR(expected, actual) EXPECT_EQ("model: error: " expected "\n", actual)

Model read_or_die(const std::string& bytes) {
  auto model = read_model(bytes_of(bytes));
  if (!model) throw std::runtime_error(to_string(model.errors()));
  return *std::move(model);
}

// The error of reading the elements of the model's first initializer.
std::string data_error(const Fill& tensor) {
  std::string bytes = model_with_tensor(tensor);
  Model model = read_or_die(bytes);
  return error_of(tensor_data(model, model.graph.initializers.at(0)));
}

template <class T>
std::vector<T> elements(const Result<TensorData>& data) {
  if (!data) throw std::runtime_error(to_string(data.errors()));
  std::vector<T> out;
  for (size_t i = 0; i < data->bytes.size() / sizeof(T); ++i) out.push_back(data->element<T>(i));
  return out;
}

// The elements of a tensor of dimensions [count] in a typed field.
template <class T>
std::vector<T> typed_elements(DataType type, int64_t count, const Fill& fill) {
  std::string bytes = model_with_tensor([&](pbf_writer& w) {
    w.add_int64(1, count);
    w.add_int32(2, static_cast<int32_t>(type));
    fill(w);
  });
  Model model = read_or_die(bytes);
  return elements<T>(tensor_data(model, model.graph.initializers.at(0)));
}

void add_dims(pbf_writer& tensor, const std::vector<int64_t>& dims, DataType type) {
  tensor.add_packed_int64(1, dims.begin(), dims.end());
  tensor.add_int32(2, static_cast<int32_t>(type));
}

void add_entry(pbf_writer& tensor, const std::string& key, const std::string& value) {
  tensor.add_message(13, message([&](pbf_writer& w) {
                       w.add_string(1, key);
                       w.add_string(2, value);
                     }));
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

fs::path data_folder() {
  return fs::path(REPOSE_TESTS_DIR) / "onnx" / "data";
}

// A folder of this test's own, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "repose_onnx_XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("cannot make a folder");
    path_ = name;
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  fs::path write(const std::string& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// ---- Real files ------------------------------------------------------------------------------

TEST(OnnxReader, ReadsModelWrittenByOnnx) {
  auto result = read_model_file((data_folder() / "mlp.onnx").string());
  ASSERT_TRUE(result) << to_string(result.errors());
  const Model& model = *result;
  EXPECT_EQ(model.ir_version, 9);
  EXPECT_EQ(model.producer_name, "make_models");
  EXPECT_EQ(model.producer_version, "1");
  ASSERT_EQ(model.opset_imports.size(), 2u);
  EXPECT_EQ(model.opset_imports[0].domain, "");
  EXPECT_EQ(model.opset_imports[0].version, 17);
  ASSERT_EQ(model.metadata.size(), 1u);
  EXPECT_EQ(model.metadata[0].key, "task");
  EXPECT_EQ(model.metadata[0].value, "test");

  const Graph& graph = model.graph;
  EXPECT_EQ(graph.name, "mlp");
  ASSERT_EQ(graph.nodes.size(), 4u);
  const Node& gemm = graph.nodes[0];
  EXPECT_EQ(gemm.name, "gemm");
  EXPECT_EQ(gemm.op_type, "Gemm");
  EXPECT_EQ(gemm.inputs, (std::vector<std::string_view>{"x", "w", "b"}));
  EXPECT_EQ(gemm.outputs, (std::vector<std::string_view>{"g"}));
  ASSERT_NE(gemm.find_attribute("alpha"), nullptr);
  EXPECT_EQ(*gemm.find_attribute("alpha")->get<float>(), 0.25f);
  EXPECT_EQ(*gemm.find_attribute("transB")->get<int64_t>(), 0);
  EXPECT_EQ(gemm.find_attribute("transB")->get<float>(), nullptr);
  EXPECT_EQ(gemm.find_attribute("beta"), nullptr);
  EXPECT_EQ(graph.nodes[1].domain, "local");
  EXPECT_EQ(*graph.nodes[3].find_attribute("axes")->get<std::vector<int64_t>>(),
            (std::vector<int64_t>{-1, 0}));

  ASSERT_EQ(graph.inputs.size(), 1u);
  ASSERT_TRUE(graph.inputs[0].type.shape);
  const std::vector<Dimension>& dims = *graph.inputs[0].type.shape;
  ASSERT_EQ(dims.size(), 2u);
  EXPECT_EQ(dims[0].kind, Dimension::Kind::param);
  EXPECT_EQ(dims[0].param, "batch");
  EXPECT_EQ(dims[1].kind, Dimension::Kind::value);
  EXPECT_EQ(dims[1].value, 4);
  EXPECT_EQ(graph.value_infos.at(0).type.shape->at(0).kind, Dimension::Kind::unknown);

  ASSERT_EQ(model.functions.size(), 1u);
  const Function& twice = model.functions[0];
  EXPECT_EQ(twice.name, "Twice");
  EXPECT_EQ(twice.domain, "local");
  EXPECT_EQ(twice.inputs, (std::vector<std::string_view>{"a"}));
  EXPECT_EQ(twice.outputs, (std::vector<std::string_view>{"r"}));
  EXPECT_EQ(twice.attributes, (std::vector<std::string_view>{"k"}));
  EXPECT_EQ(twice.nodes.at(0).op_type, "Add");
  EXPECT_EQ(twice.opset_imports.at(0).version, 17);
}

TEST(OnnxReader, ReadsTensorsWrittenByOnnx) {
  auto result = read_model_file((data_folder() / "mlp.onnx").string());
  ASSERT_TRUE(result) << to_string(result.errors());
  const Model& model = *result;
  const auto& weights = model.graph.initializers;
  ASSERT_EQ(weights.size(), 4u);
  std::vector<float> w(12);
  for (int i = 0; i < 12; ++i) w[i] = static_cast<float>(i);
  EXPECT_TRUE(weights[0].raw_data);
  EXPECT_EQ(weights[0].dims, (std::vector<int64_t>{4, 3}));
  EXPECT_EQ(elements<float>(tensor_data(model, weights[0])), w);
  EXPECT_FALSE(weights[1].raw_data);
  EXPECT_EQ(elements<float>(tensor_data(model, weights[1])), (std::vector<float>{0.5, -1, 2}));
  EXPECT_EQ(elements<uint16_t>(tensor_data(model, weights[2])),
            (std::vector<uint16_t>{0x3e00, 0xc000}));
  const Tensor* constant = model.graph.nodes[2].find_attribute("value")->tensor();
  ASSERT_NE(constant, nullptr);
  EXPECT_EQ(elements<int64_t>(tensor_data(model, *constant)),
            (std::vector<int64_t>{-1, 5000000000}));
}

TEST(OnnxReader, TensorDataOutlivesTheModel) {
  Result<TensorData> data = [] {
    auto model = read_model_file((data_folder() / "mlp.onnx").string());
    return tensor_data(*model, model->graph.initializers[0]);
  }();
  EXPECT_EQ(elements<float>(data).at(11), 11.0f);
}

TEST(OnnxReader, ReadsSubgraphsAndNestedTypes) {
  auto model = read_model_file((data_folder() / "branch.onnx").string());
  ASSERT_TRUE(model) << to_string(model.errors());
  const Graph* then_branch = model->graph.nodes.at(0).find_attribute("then_branch")->graph();
  ASSERT_NE(then_branch, nullptr);
  EXPECT_EQ(then_branch->nodes.at(0).op_type, "Relu");
  EXPECT_EQ(model->graph.inputs.at(0).type.shape->size(), 0u);
  const Type& type = model->graph.inputs.at(2).type;
  EXPECT_EQ(type.kind, Type::Kind::optional);
  ASSERT_TRUE(type.element);
  EXPECT_EQ(type.element->kind, Type::Kind::sequence);
  ASSERT_TRUE(type.element->element);
  EXPECT_EQ(type.element->element->kind, Type::Kind::tensor);
  EXPECT_EQ(type.element->element->elem_type, DataType::int64);
}

TEST(OnnxReader, ReadsExternalData) {
  auto model = read_model_file((data_folder() / "external.onnx").string());
  ASSERT_TRUE(model) << to_string(model.errors());
  const auto& weights = model->graph.initializers;
  auto u = tensor_data(*model, weights.at(0));
  auto v = tensor_data(*model, weights.at(1));
  EXPECT_EQ(elements<float>(u), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(elements<int64_t>(v), (std::vector<int64_t>{0, 7, 14, 21}));
  EXPECT_EQ(u->owner, v->owner) << "a file is mapped once";
}

// ---- Structure -------------------------------------------------------------------------------

TEST(OnnxReader, ReadsAllKindsOfAttribute) {
  using Kind = Attribute::Kind;
  std::string tensor = message([](pbf_writer& w) { w.add_int64(1, 0); });
  std::string sparse = message([&](pbf_writer& w) {
    w.add_message(1, tensor);
    w.add_message(2, tensor);
    w.add_int64(3, 8);
  });
  std::string graph = message([](pbf_writer& w) { w.add_string(2, "inner"); });
  std::string type = message([](pbf_writer& w) { w.add_message(7, std::string()); });
  std::vector<float> floats{1, 2};
  std::vector<int64_t> ints{-3, 4};
  struct Case {
    Kind kind;
    size_t alternative;
    Fill fill;
  };
  std::vector<Case> cases = {
      {Kind::number, 1, [&](auto& w) { w.add_float(2, 1.5f); }},
      {Kind::integer, 2, [&](auto& w) { w.add_int64(3, -7); }},
      {Kind::string, 3, [&](auto& w) { w.add_bytes(4, "text"); }},
      {Kind::tensor, 7, [&](auto& w) { w.add_message(5, tensor); }},
      {Kind::graph, 8, [&](auto& w) { w.add_message(6, graph); }},
      {Kind::numbers, 4, [&](auto& w) { w.add_packed_float(7, floats.begin(), floats.end()); }},
      {Kind::integers, 5, [&](auto& w) { w.add_packed_int64(8, ints.begin(), ints.end()); }},
      {Kind::strings, 6,
       [&](auto& w) {
         w.add_bytes(9, "a");
         w.add_bytes(9, "b");
       }},
      {Kind::tensors, 7,
       [&](auto& w) {
         w.add_message(10, tensor);
         w.add_message(10, tensor);
       }},
      {Kind::graphs, 8, [&](auto& w) { w.add_message(11, graph); }},
      {Kind::sparse_tensor, 9, [&](auto& w) { w.add_message(22, sparse); }},
      {Kind::sparse_tensors, 9, [&](auto& w) { w.add_message(23, sparse); }},
      {Kind::type, 10, [&](auto& w) { w.add_message(14, type); }},
      {Kind::types, 10, [&](auto& w) { w.add_message(15, type); }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(attribute_kind_name(c.kind));
    for (bool has_type : {true, false}) {
      std::string bytes = model_with_attribute([&](pbf_writer& w) {
        c.fill(w);
        if (has_type) w.add_int32(20, static_cast<int32_t>(c.kind));
      });
      Model model = read_or_die(bytes);
      const Attribute& attribute = model.graph.nodes.at(0).attributes.at(0);
      EXPECT_EQ(attribute.kind, c.kind);
      EXPECT_EQ(attribute.payload.index(), c.alternative);
      EXPECT_EQ(attribute.tensor() != nullptr, c.kind == Kind::tensor);
      EXPECT_EQ(attribute.graph() != nullptr, c.kind == Kind::graph);
    }
  }
}

TEST(OnnxReader, ReadsRepeatedAttributesPackedAndNot) {
  std::string bytes = model_with_attribute([](pbf_writer& w) {
    w.add_int64(8, 1);
    std::vector<int64_t> more{-2, 300};
    w.add_packed_int64(8, more.begin(), more.end());
    w.add_int64(8, 4);
  });
  Model model = read_or_die(bytes);
  EXPECT_EQ(*model.graph.nodes[0].attributes[0].get<std::vector<int64_t>>(),
            (std::vector<int64_t>{1, -2, 300, 4}));
}

TEST(OnnxReader, FillsInWhatProto3LeavesOut) {
  auto payload_of = [](Attribute::Kind kind) {
    std::string bytes =
        model_with_attribute([&](pbf_writer& w) { w.add_int32(20, static_cast<int32_t>(kind)); });
    Model model = read_or_die(bytes);
    return model.graph.nodes[0].attributes[0].payload.index();
  };
  EXPECT_EQ(payload_of(Attribute::Kind::number), 1u);
  EXPECT_EQ(payload_of(Attribute::Kind::integer), 2u);
  EXPECT_EQ(payload_of(Attribute::Kind::string), 3u);
  EXPECT_EQ(payload_of(Attribute::Kind::numbers), 4u);
  EXPECT_EQ(payload_of(Attribute::Kind::integers), 5u);
  EXPECT_EQ(payload_of(Attribute::Kind::strings), 6u);
  EXPECT_EQ(payload_of(Attribute::Kind::tensors), 7u);
  EXPECT_EQ(payload_of(Attribute::Kind::graphs), 8u);
  EXPECT_EQ(payload_of(Attribute::Kind::sparse_tensors), 9u);
  EXPECT_EQ(payload_of(Attribute::Kind::types), 10u);
}

TEST(OnnxReader, KeepsReferencesToAttributes) {
  std::string bytes = model_with_attribute([](pbf_writer& w) {
    w.add_string(21, "outer");
    w.add_int32(20, 2);
  });
  Model model = read_or_die(bytes);
  const Attribute& attribute = model.graph.nodes[0].attributes[0];
  EXPECT_TRUE(attribute.is_reference());
  EXPECT_EQ(attribute.ref_attr_name, "outer");
  EXPECT_EQ(attribute.kind, Attribute::Kind::integer);
  EXPECT_EQ(attribute.payload.index(), 0u);
}

TEST(OnnxReader, TellsTypesApart) {
  auto type_of = [](const Fill& fill) {
    std::string bytes = model_with_type(message(fill));
    return read_or_die(bytes).graph.inputs.at(0).type;
  };
  EXPECT_EQ(type_of([](pbf_writer&) {}).kind, Type::Kind::none);
  Type unranked = type_of(
      [](pbf_writer& w) { w.add_message(1, message([](pbf_writer& t) { t.add_int32(1, 1); })); });
  EXPECT_EQ(unranked.kind, Type::Kind::tensor);
  EXPECT_EQ(unranked.elem_type, DataType::float32);
  EXPECT_FALSE(unranked.shape);
  Type sparse = type_of([](pbf_writer& w) { w.add_message(8, std::string()); });
  EXPECT_EQ(sparse.kind, Type::Kind::sparse_tensor);
  Type map = type_of([&](pbf_writer& w) {
    w.add_message(5, message([&](pbf_writer& m) {
                    m.add_int32(1, 8);
                    m.add_message(2,
                                  message([](pbf_writer& t) { t.add_message(1, std::string()); }));
                  }));
  });
  EXPECT_EQ(map.kind, Type::Kind::map);
  EXPECT_EQ(map.key_type, DataType::string);
  ASSERT_TRUE(map.element);
  EXPECT_EQ(map.element->kind, Type::Kind::tensor);
  EXPECT_EQ(type_of([](pbf_writer& w) { w.add_message(7, std::string()); }).kind,
            Type::Kind::opaque);
}

TEST(OnnxReader, SkipsUnknownFields) {
  std::string bytes = model_with_node([](pbf_writer& w) {
    w.add_string(60, "later");
    w.add_fixed64(61, 7);
    w.add_fixed32(62, 7);
    w.add_int64(4000, 7);
    w.add_string(6, "documentation");
  });
  EXPECT_EQ(read_or_die(bytes).graph.nodes.at(0).op_type, "Op");
}

TEST(OnnxReader, TakesEmptyDimensionNamesAsUnknown) {
  std::string bytes = model_with_type(message([](pbf_writer& w) {
    w.add_message(1, message([](pbf_writer& t) {
                    t.add_message(2, message([](pbf_writer& shape) {
                                    shape.add_message(
                                        1, message([](pbf_writer& dim) { dim.add_string(2, ""); }));
                                  }));
                  }));
  }));
  Model model = read_or_die(bytes);
  EXPECT_EQ(model.graph.inputs[0].type.shape->at(0).kind, Dimension::Kind::unknown);
}

// ---- Errors of structure ---------------------------------------------------------------------

TEST(OnnxReaderErrors, File) {
  TemporaryFolder folder;
  std::string absent = (folder.path() / "absent.onnx").string();
  EXPECT_EQ(error_of(read_model_file(absent)),
            "error: cannot read `" + absent + "`: No such file or directory [cannot-read]\n");
  EXPECT_EQ(error_of(read_model_file(folder.path().string())),
            "error: cannot read `" + folder.path().string() +
                "`: it is not a regular file [cannot-read]\n");
  EXPECT_EQ(error_of(read_model_file(std::string("a\0b", 3))),
            "error: cannot read `a b`: the name has a zero byte [cannot-read]\n");
  std::string empty = folder.write("empty.onnx", "").string();
  EXPECT_EQ(error_of(read_model_file(empty)), empty + ": error: the file is empty [bad-model]\n");
}

TEST(OnnxReaderErrors, NotAModel) {
  EXPECT_ERROR("the file is empty [bad-model]", read_error(""));
  EXPECT_ERROR(
      "is a pointer of git-lfs, expected the model that it stands for (`git lfs pull`) [bad-model]",
      read_error("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"));
  EXPECT_ERROR("`model`: has no graph (at byte 0) [missing-value]",
               read_error(message([](pbf_writer& w) { w.add_int64(1, 9); })));
  EXPECT_ERROR("`model`: has no outputs in its graph (at byte 0) [missing-value]",
               read_error(message([](pbf_writer& w) { w.add_message(7, std::string()); })));
}

TEST(OnnxReaderErrors, WireFormat) {
  using namespace std::string_literals;
  EXPECT_ERROR("`model`: field 7 ends beyond the message that holds it (at byte 0) [bad-model]",
               read_error("\x3a\x05\x01"s));
  EXPECT_ERROR("`model`: the message ends within a field (at byte 0) [bad-model]",
               read_error("\x3a\x85"s));
  EXPECT_ERROR("`model`: the message ends within a field (at byte 0) [bad-model]",
               read_error("\xe5\x03\x01"s));
  EXPECT_ERROR("`model`: an integer has more than ten bytes (at byte 0) [bad-model]",
               read_error("\x08"s + std::string(11, '\xff')));
  EXPECT_ERROR("`model`: a field has an unknown wire type (at byte 0) [bad-model]",
               read_error("\x0f"s));
  EXPECT_ERROR("`model`: a field has an invalid number (at byte 0) [bad-model]",
               read_error("\x00"s));
  EXPECT_ERROR("`model`: field `ir_version` has wire type 2, expected 0 (at byte 0) [bad-model]",
               read_error(message([](pbf_writer& w) { w.add_string(1, "9"); })));
  EXPECT_ERROR("`model`: field `graph` has wire type 0, expected 2 (at byte 0) [bad-model]",
               read_error(message([](pbf_writer& w) { w.add_int32(7, 1); })));
  EXPECT_ERROR(
      "`model.graph.node[0].attribute[0]`: field `f` has wire type 0, expected 5 (at byte 20) "
      "[bad-model]",
      read_error(model_with_attribute([](pbf_writer& w) { w.add_int32(2, 1); })));
  EXPECT_ERROR(
      "`model.graph.node[0].attribute[0]`: field `floats` has 3 bytes, which is no multiple of 4 "
      "(at byte 20) [bad-model]",
      read_error(model_with_attribute([](pbf_writer& w) { w.add_string(7, "abc"); })));
  EXPECT_ERROR(
      "`model.graph.node[0].attribute[0]`: field `ints` has wire type 5, expected 0 (at byte 20) "
      "[bad-model]",
      read_error(model_with_attribute([](pbf_writer& w) { w.add_float(8, 1); })));
}

// Embedded messages end at 4 GiB. The file is sparse: it takes no room on the disk.
TEST(OnnxReaderErrors, FourGibibytes) {
  TemporaryFolder folder;
  constexpr uint64_t length = uint64_t{5} << 30;
  std::string start("\x3a", 1);
  protozero::add_varint_to_buffer(&start, length);
  fs::path path = folder.write("huge.onnx", start);
  std::error_code failure;
  fs::resize_file(path, start.size() + length, failure);
  if (failure) GTEST_SKIP() << "cannot make a sparse file: " << failure.message();
  EXPECT_EQ(path.string() +
                ": error: `model`: field 7 has 5368709120 bytes, the format allows less than 4 GiB "
                "(at byte 0) [too-large]\n",
            error_of(read_model_file(path.string())));
}

TEST(OnnxReaderErrors, FieldTwice) {
  EXPECT_ERROR("`model`: field `ir_version` appears twice (at byte 2) [bad-model]",
               read_error(message([](pbf_writer& w) {
                 w.add_int64(1, 9);
                 w.add_int64(1, 9);
               })));
  std::string model = model_with_graph([](pbf_writer&) {});
  EXPECT_ERROR("`model`: field `graph` appears twice (at byte 9) [bad-model]",
               read_error(model + model.substr(2)));
  EXPECT_ERROR("`model.graph.node[0]`: field `op_type` appears twice (at byte 15) [bad-model]",
               read_error(model_with_node([](pbf_writer& w) { w.add_string(4, "Op"); })));
}

TEST(OnnxReaderErrors, Attributes) {
  auto attribute_error = [](const Fill& fill) { return read_error(model_with_attribute(fill)); };
  EXPECT_ERROR(
      "`model.graph.node[0].attribute[0]`: attribute `a` has two values: a `float` and a `int` "
      "(at byte 25) [bad-model]",
      attribute_error([](pbf_writer& w) {
        w.add_float(2, 1);
        w.add_int64(3, 1);
      }));
  EXPECT_ERROR(
      "`model.graph.node[0].attribute[0]`: attribute `a` has a `float`, expected the `ints` that "
      "its type says (at byte 28) [bad-model]",
      attribute_error([](pbf_writer& w) {
        w.add_float(2, 1);
        w.add_int32(20, 7);
      }));
  EXPECT_ERROR(
      "`model.graph.node[0].attribute[0]`: attribute `a` has both a value and a reference to `r` "
      "(at byte 29) [bad-model]",
      attribute_error([](pbf_writer& w) {
        w.add_float(2, 1);
        w.add_string(21, "r");
      }));
  EXPECT_ERROR(
      "`model.graph.node[0].attribute[0]`: attribute `a` has no value (at byte 17) "
      "[missing-value]",
      attribute_error([](pbf_writer& w) { w.add_int32(20, 4); }));
  EXPECT_ERROR(
      "`model.graph.node[0].attribute[0]`: attribute `a` has the type 15, which is unknown "
      "(at byte 17) [unsupported-feature]",
      attribute_error([](pbf_writer& w) { w.add_int32(20, 15); }));
  EXPECT_ERROR("`model.graph.node[0].attribute[0]`: has no name (at byte 17) [missing-value]",
               read_error(model_with_node([](pbf_writer& w) { w.add_message(5, std::string()); })));
}

TEST(OnnxReaderErrors, MissingNames) {
  EXPECT_ERROR(
      "`model.graph.node[0]`: has no `op_type` (at byte 11) [missing-value]",
      read_error(model_with_graph([](pbf_writer& w) { w.add_message(1, std::string()); })));
  EXPECT_ERROR("`model.functions[0]`: has no name (at byte 3) [missing-value]",
               read_error(message([](pbf_writer& w) { w.add_message(25, std::string()); })));
}

TEST(OnnxReaderErrors, Types) {
  EXPECT_ERROR("`model.graph.input[0].type`: a type is of two kinds (at byte 18) [bad-model]",
               read_error(model_with_type(message([](pbf_writer& w) {
                 w.add_message(1, std::string());
                 w.add_message(4, std::string());
               }))));
  std::string dims = message([](pbf_writer& shape) {
    shape.add_message(1, message([](pbf_writer& dim) {
                        dim.add_int64(1, 3);
                        dim.add_string(2, "n");
                      }));
  });
  EXPECT_ERROR(
      "`model.graph.input[0].type.tensor_type.shape.dim[0]`: a dimension has two values (at byte "
      "24) [bad-model]",
      read_error(model_with_type(message([&](pbf_writer& w) {
        w.add_message(1, message([&](pbf_writer& t) { t.add_message(2, dims); }));
      }))));
  EXPECT_ERROR(
      "`model.graph.initializer[0]`: an element type is 8589934592, expected a small number "
      "(at byte 14) [bad-model]",
      read_error(model_with_tensor([](pbf_writer& w) { w.add_int64(2, int64_t{1} << 33); })));
  EXPECT_ERROR(
      "`model.graph.initializer[0]`: field `data_location` is 2, expected 0 or 1 (at byte 14) "
      "[bad-model]",
      read_error(model_with_tensor([](pbf_writer& w) { w.add_int32(14, 2); })));
}

// A graph that holds `depth - 1` others, one in the other.
std::string nested_graph(int depth) {
  std::string graph;
  for (int i = 1; i < depth; ++i) {
    std::string attribute = message([&](pbf_writer& w) {
      w.add_string(1, "g");
      w.add_message(6, graph);
    });
    std::string node = message([&](pbf_writer& w) {
      w.add_string(4, "If");
      w.add_message(5, attribute);
    });
    graph = message([&](pbf_writer& w) { w.add_message(1, node); });
  }
  return graph;
}

TEST(OnnxReaderErrors, Nesting) {
  auto model_of_depth = [](int depth) {
    return model_with_attribute([&](pbf_writer& w) { w.add_message(6, nested_graph(depth - 1)); });
  };
  std::string deepest = model_of_depth(max_nesting);
  EXPECT_TRUE(read_model(bytes_of(deepest)));
  std::string text = read_error(model_of_depth(max_nesting + 1));
  EXPECT_NE(text.find("graphs are nested deeper than 64"), std::string::npos) << text;
  EXPECT_NE(read_error(model_of_depth(5000)).find("deeper than 64"), std::string::npos);

  auto type_of_depth = [](int depth) {
    std::string type;
    for (int i = 1; i < depth; ++i) {
      type = message([&](pbf_writer& w) {
        w.add_message(4, message([&](pbf_writer& sequence) { sequence.add_message(1, type); }));
      });
    }
    return model_with_type(type);
  };
  deepest = type_of_depth(max_nesting);
  EXPECT_TRUE(read_model(bytes_of(deepest)));
  text = read_error(type_of_depth(max_nesting + 1));
  EXPECT_NE(text.find("types are nested deeper than 64"), std::string::npos) << text;
}

TEST(OnnxReaderErrors, InvalidUtf8IsReplacedInMessages) {
  EXPECT_EQ(printable("a\xff\xc3z\xe2\x82"), "a\uFFFD\uFFFDz\uFFFD\uFFFD");
  EXPECT_EQ(
      printable("\xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf\xe0\x80\x80\xf0\x80\x80\x80").find("\xed"),
      std::string::npos);
  EXPECT_EQ(printable("grün €\U0001F600"), "grün €\U0001F600");
  EXPECT_EQ(printable("a\nb\x7f"), "a b ");
  EXPECT_EQ(printable(std::string(201, 'a')), std::string(200, 'a') + "…");
  EXPECT_EQ(printable(""), "");
  std::string bytes = model_with_graph([](pbf_writer& graph) {
    graph.add_message(5, message([](pbf_writer& w) { w.add_bytes(8, "w\xff"); }));
  });
  Model model = read_or_die(bytes);
  EXPECT_EQ(model.graph.initializers[0].name, "w\xff");
  EXPECT_ERROR("tensor `w\uFFFD`: has the element type `undefined`, which is unknown [bad-model]",
               error_of(tensor_data(model, model.graph.initializers[0])));
}

// ---- Elements --------------------------------------------------------------------------------

TEST(OnnxTensorData, DecodesTypedFields) {
  std::vector<float> floats{1.5, -2};
  EXPECT_EQ(typed_elements<float>(
                DataType::float32, 2,
                [&](pbf_writer& w) { w.add_packed_float(4, floats.begin(), floats.end()); }),
            floats);
  EXPECT_EQ(typed_elements<float>(DataType::float32, 2,
                                  [&](pbf_writer& w) {
                                    for (float f : floats) w.add_float(4, f);
                                  }),
            floats);
  std::vector<double> doubles{1.5, -2};
  EXPECT_EQ(typed_elements<double>(
                DataType::float64, 2,
                [&](pbf_writer& w) { w.add_packed_double(10, doubles.begin(), doubles.end()); }),
            doubles);
  EXPECT_EQ(typed_elements<double>(DataType::float64, 2,
                                   [&](pbf_writer& w) {
                                     for (double d : doubles) w.add_double(10, d);
                                   }),
            doubles);
  auto int32_field = [](std::vector<int32_t> values) -> Fill {
    return [values](pbf_writer& w) { w.add_packed_int32(5, values.begin(), values.end()); };
  };
  constexpr int32_t low = std::numeric_limits<int32_t>::min();
  EXPECT_EQ(typed_elements<int32_t>(DataType::int32, 2, int32_field({low, 7})),
            (std::vector<int32_t>{low, 7}));
  EXPECT_EQ(typed_elements<int16_t>(DataType::int16, 2, int32_field({-32768, 32767})),
            (std::vector<int16_t>{-32768, 32767}));
  EXPECT_EQ(typed_elements<int8_t>(DataType::int8, 2, int32_field({-128, 127})),
            (std::vector<int8_t>{-128, 127}));
  EXPECT_EQ(typed_elements<uint8_t>(DataType::uint8, 2, int32_field({0, 255})),
            (std::vector<uint8_t>{0, 255}));
  EXPECT_EQ(typed_elements<uint16_t>(DataType::uint16, 2, int32_field({0, 65535})),
            (std::vector<uint16_t>{0, 65535}));
  EXPECT_EQ(typed_elements<uint16_t>(DataType::bfloat16, 1, int32_field({0xc000})),
            (std::vector<uint16_t>{0xc000}));
  EXPECT_EQ(typed_elements<uint8_t>(DataType::float8e5m2, 2, int32_field({0, 255})),
            (std::vector<uint8_t>{0, 255}));
  // Several elements in a byte: 3 of 4 bits in two of them, 5 of 2 bits as well.
  EXPECT_EQ(typed_elements<uint8_t>(DataType::int4, 3, int32_field({0x21, 0x0f})),
            (std::vector<uint8_t>{0x21, 0x0f}));
  EXPECT_EQ(typed_elements<uint8_t>(DataType::uint2, 5, int32_field({0xe4, 0x03})),
            (std::vector<uint8_t>{0xe4, 0x03}));
  EXPECT_EQ(typed_elements<uint8_t>(DataType::boolean, 3, int32_field({0, 1, 256})),
            (std::vector<uint8_t>{0, 1, 1}));
  EXPECT_EQ(typed_elements<int64_t>(DataType::int64, 2,
                                    [](pbf_writer& w) {
                                      w.add_int64(7, -1);
                                      w.add_int64(7, 5);
                                    }),
            (std::vector<int64_t>{-1, 5}));
  EXPECT_EQ(typed_elements<uint64_t>(DataType::uint64, 1,
                                     [](pbf_writer& w) { w.add_uint64(11, ~uint64_t{0}); }),
            (std::vector<uint64_t>{~uint64_t{0}}));
  EXPECT_EQ(typed_elements<uint32_t>(DataType::uint32, 1,
                                     [](pbf_writer& w) { w.add_uint64(11, 0xffffffff); }),
            (std::vector<uint32_t>{0xffffffff}));
}

TEST(OnnxTensorData, RawBoolsAreZeroOrOne) {
  EXPECT_EQ(typed_elements<uint8_t>(
                DataType::boolean, 3,
                [](pbf_writer& w) { w.add_bytes(9, std::string("\x00\x01\xff", 3)); }),
            (std::vector<uint8_t>{0, 1, 1}));
}

TEST(OnnxTensorData, RawDataIsAView) {
  std::string bytes = model_with_tensor([](pbf_writer& w) {
    add_dims(w, {}, DataType::int32);
    w.add_bytes(9, std::string("\x01\x02\x03\x04", 4));
  });
  Model model = read_or_die(bytes);
  auto data = tensor_data(model, model.graph.initializers[0]);
  ASSERT_TRUE(data);
  EXPECT_EQ(data->bytes.size(), 4u);
  EXPECT_EQ(data->element<int32_t>(0), 0x04030201);
  auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
  EXPECT_TRUE(data->bytes.data() >= begin && data->bytes.data() < begin + bytes.size());
}

TEST(OnnxTensorData, ZeroElementsNeedNoData) {
  EXPECT_EQ(typed_elements<float>(DataType::float32, 0, [](pbf_writer&) {}).size(), 0u);
  EXPECT_EQ(typed_elements<float>(DataType::float32, 0,
                                  [](pbf_writer& w) {
                                    int64_t huge = std::numeric_limits<int64_t>::max();
                                    w.add_int64(1, huge);
                                    w.add_int64(1, huge);
                                  })
                .size(),
            0u);
}

TEST(OnnxTensorData, ReadsStrings) {
  std::string bytes = model_with_tensor([](pbf_writer& w) {
    add_dims(w, {2}, DataType::string);
    w.add_bytes(6, "one");
    w.add_bytes(6, "");
  });
  Model model = read_or_die(bytes);
  auto strings = tensor_strings(model, model.graph.initializers[0]);
  ASSERT_TRUE(strings) << to_string(strings.errors());
  EXPECT_EQ(*strings, (std::vector<std::string_view>{"one", ""}));
}

TEST(OnnxTensorDataErrors, Strings) {
  auto string_error = [](const Fill& fill) {
    std::string bytes = model_with_tensor(fill);
    Model model = read_or_die(bytes);
    return error_of(tensor_strings(model, model.graph.initializers[0]));
  };
  EXPECT_ERROR("tensor `w`: has the element type `float32`, expected `string` [dtype-mismatch]",
               string_error([](pbf_writer& w) { add_dims(w, {}, DataType::float32); }));
  EXPECT_ERROR("tensor `w`: has 0 strings, its dimensions need 1 [bad-model]",
               string_error([](pbf_writer& w) { add_dims(w, {}, DataType::string); }));
  EXPECT_ERROR("tensor `w`: strings must be in `string_data` [bad-model]",
               string_error([](pbf_writer& w) {
                 add_dims(w, {}, DataType::string);
                 w.add_bytes(9, "a");
               }));
  EXPECT_ERROR("tensor `w`: field `string_data` has wire type 0, expected 2 [bad-model]",
               string_error([](pbf_writer& w) {
                 add_dims(w, {}, DataType::string);
                 w.add_int64(6, 1);
               }));
}

TEST(OnnxTensorDataErrors, ElementTypes) {
  for (int type : {8, 14, 15, 27, 28}) {
    std::string text =
        data_error([&](pbf_writer& w) { add_dims(w, {}, static_cast<DataType>(type)); });
    EXPECT_NE(text.find("[unsupported-dtype]"), std::string::npos) << text;
  }
  EXPECT_ERROR(
      "tensor `w`: has the element type `float6e2m3`, which is not supported [unsupported-dtype]",
      data_error([](pbf_writer& w) { add_dims(w, {}, DataType::float6e2m3); }));
  EXPECT_ERROR("tensor `w`: has the element type `data type 77`, which is unknown [bad-model]",
               data_error([](pbf_writer& w) { w.add_int32(2, 77); }));
  EXPECT_ERROR("tensor `w`: has the element type `data type -1`, which is unknown [bad-model]",
               data_error([](pbf_writer& w) { w.add_int32(2, -1); }));
}

TEST(OnnxTensorDataErrors, Dimensions) {
  EXPECT_ERROR("tensor `w`: dimension 1 is -3, expected at least 0 [bad-model]",
               data_error([](pbf_writer& w) { add_dims(w, {0, -3}, DataType::float32); }));
  int64_t huge = int64_t{1} << 32;
  EXPECT_ERROR("tensor `w`: the product of its dimensions exceeds 2^63 [too-large]",
               data_error([&](pbf_writer& w) { add_dims(w, {huge, huge}, DataType::uint8); }));
  EXPECT_ERROR(
      "tensor `w`: 4611686018427387904 elements of float32 exceed 2^63 bytes [too-large]",
      data_error([&](pbf_writer& w) { add_dims(w, {huge, huge / 4}, DataType::float32); }));
  // Declared, but not there: refused without an allocation of that size.
  EXPECT_ERROR("tensor `w`: has no elements, its dimensions need 1099511627776 [missing-value]",
               data_error([&](pbf_writer& w) { add_dims(w, {huge, 256}, DataType::float32); }));
  EXPECT_ERROR(
      "tensor `w`: has 1 elements in `float_data`, its dimensions need 1099511627776 [bad-model]",
      data_error([&](pbf_writer& w) {
        add_dims(w, {huge, 256}, DataType::float32);
        w.add_float(4, 1);
      }));
}

TEST(OnnxTensorDataErrors, Storage) {
  EXPECT_ERROR("tensor `w`: has 5 bytes of raw data, its type and dimensions need 8 [bad-model]",
               data_error([](pbf_writer& w) {
                 add_dims(w, {2}, DataType::float32);
                 w.add_bytes(9, "12345");
               }));
  EXPECT_ERROR(
      "tensor `w`: has its elements in 2 places, expected one of raw, typed and external data "
      "[bad-model]",
      data_error([](pbf_writer& w) {
        add_dims(w, {1}, DataType::float32);
        w.add_bytes(9, "1234");
        w.add_float(4, 1);
      }));
  EXPECT_ERROR("tensor `w`: has its elements in `int32_data`, expected `float_data` [bad-model]",
               data_error([](pbf_writer& w) {
                 add_dims(w, {1}, DataType::float32);
                 w.add_int32(5, 1);
               }));
  EXPECT_ERROR(
      "tensor `w`: is a segment of a larger tensor, expected a whole one "
      "[unsupported-feature]",
      data_error([](pbf_writer& w) {
        add_dims(w, {1}, DataType::float32);
        w.add_message(3, std::string());
      }));
  EXPECT_ERROR("tensor `w`: has more than the 1 elements of its dimensions [bad-model]",
               data_error([](pbf_writer& w) {
                 add_dims(w, {1}, DataType::int64);
                 w.add_int64(7, 1);
                 w.add_int64(7, 1);
               }));
  EXPECT_ERROR("tensor `w`: element 0 is 256, which is no uint8 [bad-model]",
               data_error([](pbf_writer& w) {
                 add_dims(w, {1}, DataType::uint8);
                 w.add_int32(5, 256);
               }));
  EXPECT_ERROR("tensor `w`: element 0 is -129, which is no int8 [bad-model]",
               data_error([](pbf_writer& w) {
                 add_dims(w, {1}, DataType::int8);
                 w.add_int32(5, -129);
               }));
  EXPECT_ERROR("tensor `w`: field `int64_data` has wire type 5, expected 0 [bad-model]",
               data_error([](pbf_writer& w) {
                 add_dims(w, {1}, DataType::int64);
                 w.add_float(7, 1);
               }));
  EXPECT_ERROR("tensor `w`: the message ends within a field [bad-model]",
               data_error([](pbf_writer& w) {
                 add_dims(w, {1}, DataType::int64);
                 w.add_bytes(7, "\x80");
               }));
}

// ---- External data ---------------------------------------------------------------------------

// What becomes of one float in external data with the given entries, of a model in `folder`.
std::string external_error(const TemporaryFolder& folder,
                           const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string bytes = model_with_tensor([&](pbf_writer& w) {
    add_dims(w, {1}, DataType::float32);
    for (const auto& [key, value] : entries) add_entry(w, key, value);
    w.add_int32(14, 1);
  });
  ReadOptions options;
  options.folder = (folder.path() / "in").string();
  auto model = read_model(bytes_of(bytes), options);
  if (!model) return to_string(model.errors());
  return error_of(tensor_data(*model, model->graph.initializers.at(0)));
}

TEST(OnnxExternalData, RegionsOfFiles) {
  TemporaryFolder folder;
  folder.write("in/w.bin", "0123456789");
  folder.write("in/sub/w.bin", "0123");
  fs::create_symlink("sub/w.bin", folder.path() / "in/link.bin");
  EXPECT_EQ(external_error(folder, {{"location", "w.bin"}}), "no error");
  EXPECT_EQ(external_error(folder, {{"location", "./sub/w.bin"}, {"offset", "0"}}), "no error");
  EXPECT_EQ(external_error(folder, {{"location", "link.bin"}, {"checksum", "?"}}), "no error");
  EXPECT_EQ(external_error(folder, {{"location", "w.bin"}, {"offset", "6"}, {"length", "4"}}),
            "no error");
  EXPECT_ERROR(
      "tensor `w`: needs 4 bytes at offset 7 of external data `w.bin`, which has 10 [bad-model]",
      external_error(folder, {{"location", "w.bin"}, {"offset", "7"}}));
  EXPECT_ERROR(
      "tensor `w`: needs 4 bytes at offset 18446744073709551615 of external data `w.bin`, which "
      "has 10 [bad-model]",
      external_error(folder, {{"location", "w.bin"}, {"offset", "18446744073709551615"}}));
  EXPECT_ERROR("tensor `w`: external data has 5 bytes, its type and dimensions need 4 [bad-model]",
               external_error(folder, {{"location", "w.bin"}, {"length", "5"}}));
}

TEST(OnnxExternalData, BadEntries) {
  TemporaryFolder folder;
  folder.write("in/w.bin", "0123456789");
  EXPECT_ERROR("tensor `w`: external data has no `location` [missing-value]",
               external_error(folder, {}));
  for (std::string number : {"-1", "", "1x", " 1", "18446744073709551616"}) {
    EXPECT_EQ("model: error: tensor `w`: `offset` of external data is `" + number +
                  "`, expected a number of bytes [bad-model]\n",
              external_error(folder, {{"location", "w.bin"}, {"offset", number}}));
  }
  EXPECT_ERROR(
      "tensor `w`: `length` of external data is `z`, expected a number of bytes "
      "[bad-model]",
      external_error(folder, {{"location", "w.bin"}, {"length", "z"}}));
  EXPECT_ERROR("tensor `w`: external data has two entries `location` [bad-model]",
               external_error(folder, {{"location", "w.bin"}, {"location", "w.bin"}}));
}

TEST(OnnxExternalData, NothingOutsideTheFolder) {
  TemporaryFolder folder;
  folder.write("in/w.bin", "0123");
  folder.write("out.bin", "0123");
  folder.write("in_too/w.bin", "0123");
  fs::create_symlink("../out.bin", folder.path() / "in/leaves");
  fs::create_directory_symlink("../in_too", folder.path() / "in/folder");
  std::string absolute = (folder.path() / "in/w.bin").string();
  EXPECT_EQ("model: error: tensor `w`: external data `" + absolute +
                "` is an absolute path, expected a file in the model's folder [bad-model]\n",
            external_error(folder, {{"location", absolute}}));
  for (std::string location : {"../out.bin", "sub/../w.bin", "..", "w.bin/.."}) {
    EXPECT_EQ("model: error: tensor `w`: external data `" + location +
                  "` has a `..`, expected a file in the model's folder [bad-model]\n",
              external_error(folder, {{"location", location}}));
  }
  std::string root = fs::canonical(folder.path()).string();
  EXPECT_EQ("model: error: tensor `w`: external data `leaves` is a link to `" + root +
                "/out.bin`, expected a file in the model's folder [bad-model]\n",
            external_error(folder, {{"location", "leaves"}}));
  EXPECT_EQ("model: error: tensor `w`: external data `folder/w.bin` is a link to `" + root +
                "/in_too/w.bin`, expected a file in the model's folder [bad-model]\n",
            external_error(folder, {{"location", "folder/w.bin"}}));
}

TEST(OnnxExternalData, UnreadableFiles) {
  TemporaryFolder folder;
  folder.write("in/sub/w.bin", "0123");
  std::string root = fs::canonical(folder.path()).string();
  EXPECT_ERROR(
      "tensor `w`: cannot read external data `absent`: No such file or directory "
      "[cannot-read]",
      external_error(folder, {{"location", "absent"}}));
  EXPECT_EQ("model: error: cannot read `" + root +
                "/in/sub`: it is not a regular file "
                "[cannot-read]\n",
            external_error(folder, {{"location", "sub"}}));
  EXPECT_ERROR("tensor `w`: external data `a b` has a zero byte [bad-model]",
               external_error(folder, {{"location", std::string("a\0b", 3)}}));
  EXPECT_ERROR(
      "tensor `w`: external data `w.bin` of a model that was not read from a file "
      "[cannot-read]",
      data_error([](pbf_writer& w) {
        add_dims(w, {1}, DataType::float32);
        add_entry(w, "location", "w.bin");
        w.add_int32(14, 1);
      }));
}

// ---- Mutations -------------------------------------------------------------------------------

TEST(OnnxReaderFuzz, TruncatedModelsAreErrorsOrModels) {
  std::string bytes = read_file(data_folder() / "mlp.onnx");
  ASSERT_FALSE(bytes.empty());
  for (size_t size = 0; size < bytes.size(); ++size) {
    // A copy of its own, so that a sanitizer sees a read beyond the end.
    std::vector<char> part(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
    auto model = read_model(std::as_bytes(std::span(part)));
    if (model) touch_tensors(*model);
  }
}

TEST(OnnxReaderFuzz, RandomBytes) {
  std::mt19937 random(1);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes(random() % 64, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    auto model = read_model(bytes_of(bytes));
    if (model) touch_tensors(*model);
  }
}

// One random change: a byte, a bit, a removed, repeated or moved part.
void mutate(std::string& bytes, std::mt19937& random) {
  if (bytes.empty()) return;
  size_t at = random() % bytes.size();
  size_t length = std::min<size_t>(random() % 16, bytes.size() - at);
  switch (random() % 5) {
    case 0:
      bytes[at] = static_cast<char>(random());
      break;
    case 1:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
      break;
    case 2:
      bytes.erase(at, length);
      break;
    case 3:
      bytes.insert(random() % bytes.size(), bytes.substr(at, length));
      break;
    default:
      bytes[at] = random() % 2 ? '\xff' : '\x7f';
  }
}

TEST(OnnxReaderFuzz, MutatedModels) {
  std::vector<std::string> seeds;
  for (const char* name : {"mlp.onnx", "branch.onnx", "external.onnx"}) {
    seeds.push_back(read_file(data_folder() / name));
    ASSERT_FALSE(seeds.back().empty());
  }
  std::mt19937 random(20240229);
  int read = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = seeds[random() % seeds.size()];
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) mutate(bytes, random);
    auto model = read_model(bytes_of(bytes));
    if (model) {
      ++read;
      touch_tensors(*model);
    } else {
      ASSERT_FALSE(to_string(model.errors()).empty());
    }
  }
  EXPECT_GT(read, 1000) << "too few mutations reach the tensors";
}

}  // namespace
}  // namespace repose::onnx
