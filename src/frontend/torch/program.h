// An exported program as it stands in its archive: plain structs, one for each part of PyTorch's
// schema (torch/_export/serde/schema.py, major version 8) that the importer reads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/source.h"
#include "frontend/torch/archive.h"
#include "ir/array.h"

namespace repose::torch {

// SymInt, SymBool, SymFloat: a value, or an expression (sympy.h). As an argument (`is_name`): the
// name of a value of the graph.
struct Size {
  std::optional<int64_t> value = std::nullopt;
  std::string text = "";
  bool is_name = false;
};

// ScalarType, by PyTorch's numbers in files.
enum class ScalarType : int { unknown = 0 };

struct TensorMeta {
  ScalarType dtype = ScalarType::unknown;
  std::vector<Size> sizes, strides;
  Size offset;  // of the first element in the storage
  int layout = 0;
  std::string device;
};

struct Graph;

// Argument. Optional tensors have the name "".
struct Argument {
  enum class Kind : uint8_t {
    none,
    tensor,
    tensors,
    integer,
    integers,
    number,
    numbers,
    boolean,
    booleans,
    string,
    strings,
    scalar_type,
    memory_format,
    layout,
    device,
    graph,
    other,  // `texts[0]` says which
  };
  Kind kind = Kind::none;
  std::vector<std::string> texts;  // names of tensors, strings, the device
  std::vector<Size> sizes;         // integers, booleans (0 and 1), and floats that are symbols
  std::vector<double> numbers;     // where `sizes` is empty
  int64_t code = 0;                // scalar_type, memory_format, layout
  std::shared_ptr<const Graph> graph;
};
const char* argument_kind_name(Argument::Kind kind);

struct NamedArgument {
  std::string name;  // as in the operator's schema; of higher-order operators: empty
  Argument value;
};

struct Node {
  std::string name;
  std::string target;  // "torch.ops.aten.add.Tensor"
  std::vector<NamedArgument> inputs;
  std::vector<Argument> outputs;
  std::string stack;  // of modules: where it comes from
};

struct Graph {
  std::vector<Argument> inputs, outputs;
  std::vector<Node> nodes;
  std::map<std::string, TensorMeta, std::less<>> tensors;
  std::map<std::string, Size, std::less<>> sizes;  // integers, booleans and floats by name
};

// InputSpec: what an input of the graph is.
struct InputSpec {
  enum class Kind : uint8_t { user, parameter, buffer, constant, fixed, other };
  Kind kind = Kind::user;
  std::string name;    // in the graph
  std::string target;  // of a parameter, buffer or constant; of others: what it is
};

// OutputSpec: what an output of the graph is.
struct OutputSpec {
  enum class Kind : uint8_t { user, buffer_mutation, input_mutation, other };
  Kind kind = Kind::user;
  Argument value;
  std::string target;
};

struct Range {
  std::optional<int64_t> least, most;
};

// PayloadMeta: where the contents of a parameter, buffer or constant are.
struct Payload {
  std::string path;  // in the archive
  bool is_pickled = false;
  TensorMeta meta;
};

struct Program {
  Graph graph;
  std::vector<InputSpec> inputs;
  std::vector<OutputSpec> outputs;
  std::map<std::string, Range> ranges;  // by symbol
  std::map<std::string, Payload, std::less<>> payloads;
  // Parameters and buffers that come from elsewhere, and not from the archive.
  std::map<std::string, Array, std::less<>> given;
  std::string torch_version;

  Archive archive;
  Ref<const Source> source;           // names the file in messages
  std::shared_ptr<const void> owner;  // keeps the bytes alive
  Span span() const { return {source}; }
};

}  // namespace repose::torch
