// Reads the contents of every tensor of a model; shared by the fuzzer and the tests of the reader.
#pragma once

#include <cstddef>

#include "frontend/onnx/tensor_data.h"

namespace repose::onnx {

// Calls `visit(const Tensor&)` for each tensor: initializers and attributes, at any depth.
template <class Visit>
void visit_tensors(const std::vector<Node>& nodes, const Visit& visit);

template <class Visit>
void visit_tensors(const SparseTensor& sparse, const Visit& visit) {
  visit(sparse.values);
  visit(sparse.indices);
}

template <class Visit>
void visit_tensors(const Graph& graph, const Visit& visit) {
  for (const Tensor& tensor : graph.initializers) visit(tensor);
  for (const SparseTensor& sparse : graph.sparse_initializers) visit_tensors(sparse, visit);
  visit_tensors(graph.nodes, visit);
}

template <class Visit>
void visit_tensors(const std::vector<Attribute>& attributes, const Visit& visit) {
  for (const Attribute& attribute : attributes) {
    if (auto* tensors = attribute.get<std::vector<Tensor>>()) {
      for (const Tensor& tensor : *tensors) visit(tensor);
    } else if (auto* sparse_tensors = attribute.get<std::vector<SparseTensor>>()) {
      for (const SparseTensor& sparse : *sparse_tensors) visit_tensors(sparse, visit);
    } else if (auto* graphs = attribute.get<std::vector<Graph>>()) {
      for (const Graph& graph : *graphs) visit_tensors(graph, visit);
    }
  }
}

template <class Visit>
void visit_tensors(const std::vector<Node>& nodes, const Visit& visit) {
  for (const Node& node : nodes) visit_tensors(node.attributes, visit);
}

template <class Visit>
void visit_tensors(const Model& model, const Visit& visit) {
  visit_tensors(model.graph, visit);
  for (const Function& function : model.functions) {
    visit_tensors(function.default_attributes, visit);
    visit_tensors(function.nodes, visit);
  }
}

// The sum of all bytes and string lengths that the model's tensors hold, so that each is read.
inline size_t touch_tensors(const Model& model) {
  size_t sum = 0;
  visit_tensors(model, [&](const Tensor& tensor) {
    if (auto data = tensor_data(model, tensor)) {
      for (std::byte b : data->bytes) sum += static_cast<size_t>(b);
    }
    if (auto strings = tensor_strings(model, tensor)) {
      for (std::string_view text : *strings) sum += printable(text).size();
    }
  });
  return sum;
}

}  // namespace repose::onnx
