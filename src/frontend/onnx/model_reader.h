// Decodes ModelProto and the messages within it (field numbers: onnx.proto of ONNX 1.23). Private
// to reader.cpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/onnx/model.h"
#include "frontend/onnx/reader.h"
#include "frontend/onnx/wire.h"

namespace repose::onnx {

// Reads messages by recursive descent; throws WireError. `path_` says where it stands; after a
// WireError it still says where that was.
class ModelReader {
 public:
  Model read_model(std::string_view message);
  std::string place() const;

 private:
  struct Frame {
    const char* field;
    std::optional<size_t> index;
  };

  // model_reader.cpp
  Graph read_graph(std::string_view message);
  Node read_node(std::string_view message);
  Function read_function(std::string_view message);
  OpsetImport read_opset_import(std::string_view message);
  Entry read_entry(std::string_view message);
  // read_attribute.cpp
  Attribute read_attribute(std::string_view message);
  bool read_payload(Fields& fields, Attribute& attribute);
  // read_tensor.cpp
  Tensor read_tensor(std::string_view message);
  SparseTensor read_sparse_tensor(std::string_view message);
  Value read_value(std::string_view message);
  Type read_type(std::string_view message);
  void read_tensor_type(std::string_view message, Type& type);
  void read_element_type(std::string_view message, Type& type, int element_field);
  std::vector<Dimension> read_shape(std::string_view message);
  Dimension read_dimension(std::string_view message);

  // The message in the current field, which appears once.
  template <class T>
  T one(Fields& fields, const char* name, T (ModelReader::*read)(std::string_view)) {
    fields.once(name);
    return within({name, {}}, fields.each_bytes(name), read);
  }
  // Appends the message in the current field, which is repeated.
  template <class T>
  void each(Fields& fields, const char* name, std::vector<T>& list,
            T (ModelReader::*read)(std::string_view)) {
    list.push_back(within({name, list.size()}, fields.each_bytes(name), read));
  }
  template <class T>
  T within(Frame frame, std::string_view message, T (ModelReader::*read)(std::string_view)) {
    path_.push_back(frame);
    T result = (this->*read)(message);
    path_.pop_back();
    return result;
  }
  static void enter(int& depth, const char* what, const Fields& fields) {
    if (depth++ == max_nesting) fields.fail("{} are nested deeper than {}", what, max_nesting);
  }
  [[noreturn]] static void missing(const char* what, std::string_view message) {
    throw WireError{DiagnosticKind::missing_value, fmt::format("has no {}", what), message.data()};
  }

  std::vector<Frame> path_;
  int graph_depth_ = 0;
  int type_depth_ = 0;
};

}  // namespace repose::onnx
