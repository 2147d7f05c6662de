// A model of 500 MB: its weights are neither copied nor looked at where it is read and imported.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <protozero/pbf_writer.hpp>

#include "frontend/onnx/import.h"
#include "frontend/onnx/reader.h"
#include "ir/verifier.h"
#include "model_writer.h"
#include "ops/ops.h"

namespace repose::onnx::test {
namespace {

constexpr int64_t weight_width = 5600;
constexpr size_t weight_bytes = size_t{weight_width} * weight_width * sizeof(float);
constexpr int num_layers = 4;

// The head of a field whose contents have `length` bytes.
std::string field_head(int number, size_t length) {
  std::string head;
  protozero::add_varint_to_buffer(&head, static_cast<uint64_t>(number << 3 | 2));
  protozero::add_varint_to_buffer(&head, length);
  return head;
}

// relu(… relu(x * w0) * w1 …). The file has holes where its weights are zeros.
void write_large_model(const std::string& path) {
  std::string graph = message([](pbf_writer& w) {
    for (int i = 0; i < num_layers; ++i) {
      w.add_message(1, message([i](pbf_writer& node) {
                      node.add_string(1, i == 0 ? "x" : fmt::format("r{}", i - 1));
                      node.add_string(1, fmt::format("w{}", i));
                      node.add_string(2, fmt::format("h{}", i));
                      node.add_string(4, "MatMul");
                    }));
      w.add_message(1, message([i](pbf_writer& node) {
                      node.add_string(1, fmt::format("h{}", i));
                      node.add_string(2, fmt::format("r{}", i));
                      node.add_string(4, "Relu");
                    }));
    }
    w.add_message(11, value_info("x", float32, {"n", weight_width}));
    w.add_message(12, message([](pbf_writer& output) {
                    output.add_string(1, fmt::format("r{}", num_layers - 1));
                  }));
  });
  const std::string head = message([](pbf_writer& w) {
    w.add_int64(1, 8);
    w.add_message(8, message([](pbf_writer& opset) { opset.add_int64(2, 17); }));
  });
  std::vector<std::string> weights;
  size_t graph_bytes = graph.size();
  for (int i = 0; i < num_layers; ++i) {
    const std::string tensor = message([i](pbf_writer& w) {
                                 for (int64_t dim : {weight_width, weight_width})
                                   w.add_int64(1, dim);
                                 w.add_int32(2, float32);
                                 w.add_string(8, fmt::format("w{}", i));
                               }) +
                               field_head(9, weight_bytes);
    weights.push_back(field_head(5, tensor.size() + weight_bytes) + tensor);
    graph_bytes += weights.back().size() + weight_bytes;
  }
  std::ofstream file(path, std::ios::binary);
  file << head << field_head(7, graph_bytes) << graph;
  for (int i = 0; i < num_layers; ++i) {
    file << weights[static_cast<size_t>(i)] << static_cast<char>(i + 1);  // no two are equal
    file.seekp(static_cast<std::streamoff>(weight_bytes - 1), std::ios::cur);
  }
  const auto size = file.tellp();
  file.close();
  std::filesystem::resize_file(path, static_cast<uintmax_t>(size));
}

// A line of /proc/self/status, in bytes: what is in memory, pages of mapped files included.
int64_t status_bytes(const std::string& name) {
  std::ifstream file("/proc/self/status");
  std::string word;
  int64_t kib = 0;
  while (file >> word) {
    if (word == name + ":" && file >> kib) return kib << 10;
  }
  return -1;
}

TEST(LargeFile, WeightsAreNotCopied) {
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("repose-large-{}.onnx", getpid()));
  write_large_model(path);
  ASSERT_GT(std::filesystem::file_size(path), size_t{500'000'000});
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak is that from here on
  const int64_t before = status_bytes("VmRSS");
  auto model = read_model_file(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(model.ok()) << to_string(model.errors());
  auto module = import_onnx(*model, standard_ops());
  ASSERT_TRUE(module.ok()) << to_string(module.errors());
  EXPECT_TRUE(verify(*module, standard_ops()).empty());
  ASSERT_GT(before, 0);
  EXPECT_LT(status_bytes("VmHWM") - before, int64_t{64} << 20);
}

}  // namespace
}  // namespace repose::onnx::test
