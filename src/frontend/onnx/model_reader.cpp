// Models, graphs, nodes and functions (field numbers: onnx.proto of ONNX 1.23).
#include "frontend/onnx/model_reader.h"

namespace repose::onnx {

std::string ModelReader::place() const {
  std::string out = "model";
  for (const Frame& frame : path_) {
    out += '.';
    out += frame.field;
    if (frame.index) out += fmt::format("[{}]", *frame.index);
  }
  return out;
}

Model ModelReader::read_model(std::string_view message) {
  Model model;
  bool has_graph = false;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        model.ir_version = fields.integer("ir_version");
        break;
      case 2:
        model.producer_name = fields.bytes("producer_name");
        break;
      case 3:
        model.producer_version = fields.bytes("producer_version");
        break;
      case 4:
        model.domain = fields.bytes("domain");
        break;
      case 5:
        model.model_version = fields.integer("model_version");
        break;
      case 7:
        model.graph = one(fields, "graph", &ModelReader::read_graph);
        has_graph = true;
        break;
      case 8:
        each(fields, "opset_import", model.opset_imports, &ModelReader::read_opset_import);
        break;
      case 14:
        each(fields, "metadata_props", model.metadata, &ModelReader::read_entry);
        break;
      case 25:
        each(fields, "functions", model.functions, &ModelReader::read_function);
        break;
      default:
        fields.skip();
    }
  }
  if (!has_graph) missing("graph", message);
  if (model.graph.outputs.empty()) missing("outputs in its graph", message);
  return model;
}

Graph ModelReader::read_graph(std::string_view message) {
  Graph graph;
  Fields fields(message);
  enter(graph_depth_, "graphs", fields);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        each(fields, "node", graph.nodes, &ModelReader::read_node);
        break;
      case 2:
        graph.name = fields.bytes("name");
        break;
      case 5:
        each(fields, "initializer", graph.initializers, &ModelReader::read_tensor);
        break;
      case 11:
        each(fields, "input", graph.inputs, &ModelReader::read_value);
        break;
      case 12:
        each(fields, "output", graph.outputs, &ModelReader::read_value);
        break;
      case 13:
        each(fields, "value_info", graph.value_infos, &ModelReader::read_value);
        break;
      case 15:
        each(fields, "sparse_initializer", graph.sparse_initializers,
             &ModelReader::read_sparse_tensor);
        break;
      default:
        fields.skip();
    }
  }
  --graph_depth_;
  return graph;
}

Node ModelReader::read_node(std::string_view message) {
  Node node;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        node.inputs.push_back(fields.each_bytes("input"));
        break;
      case 2:
        node.outputs.push_back(fields.each_bytes("output"));
        break;
      case 3:
        node.name = fields.bytes("name");
        break;
      case 4:
        node.op_type = fields.bytes("op_type");
        break;
      case 5:
        each(fields, "attribute", node.attributes, &ModelReader::read_attribute);
        break;
      case 7:
        node.domain = fields.bytes("domain");
        break;
      case 8:
        node.overload = fields.bytes("overload");
        break;
      default:
        fields.skip();
    }
  }
  if (node.op_type.empty()) missing("`op_type`", message);
  return node;
}

Function ModelReader::read_function(std::string_view message) {
  Function function;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        function.name = fields.bytes("name");
        break;
      case 4:
        function.inputs.push_back(fields.each_bytes("input"));
        break;
      case 5:
        function.outputs.push_back(fields.each_bytes("output"));
        break;
      case 6:
        function.attributes.push_back(fields.each_bytes("attribute"));
        break;
      case 7:
        each(fields, "node", function.nodes, &ModelReader::read_node);
        break;
      case 9:
        each(fields, "opset_import", function.opset_imports, &ModelReader::read_opset_import);
        break;
      case 10:
        function.domain = fields.bytes("domain");
        break;
      case 11:
        each(fields, "attribute_proto", function.default_attributes, &ModelReader::read_attribute);
        break;
      case 12:
        each(fields, "value_info", function.value_infos, &ModelReader::read_value);
        break;
      case 13:
        function.overload = fields.bytes("overload");
        break;
      default:
        fields.skip();
    }
  }
  if (function.name.empty()) missing("name", message);
  return function;
}

OpsetImport ModelReader::read_opset_import(std::string_view message) {
  OpsetImport import;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        import.domain = fields.bytes("domain");
        break;
      case 2:
        import.version = fields.integer("version");
        break;
      default:
        fields.skip();
    }
  }
  return import;
}

Entry ModelReader::read_entry(std::string_view message) {
  Entry entry;
  Fields fields(message);
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        entry.key = fields.bytes("key");
        break;
      case 2:
        entry.value = fields.bytes("value");
        break;
      default:
        fields.skip();
    }
  }
  return entry;
}

}  // namespace repose::onnx
