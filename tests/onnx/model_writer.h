// Writes ONNX models for tests, field by field.
#pragma once

#include <cstdint>
#include <functional>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <vector>

namespace repose::onnx::test {

using protozero::pbf_writer;

inline std::string message(const std::function<void(pbf_writer&)>& fill) {
  std::string out;
  pbf_writer writer(out);
  fill(writer);
  return out;
}

// Dimensions of inputs: a number, a name, or "" for none.
struct Dim {
  int64_t value = -1;
  std::string name;
  bool is_number = false;
  Dim(int value) : value(value), is_number(true) {}      // NOLINT
  Dim(int64_t value) : value(value), is_number(true) {}  // NOLINT
  Dim(const char* name) : name(name) {}                  // NOLINT
};

constexpr int float32 = 1, int32 = 6, int64 = 7, boolean = 9, float64 = 11;

inline std::string value_info(const std::string& name, int type, const std::vector<Dim>& dims) {
  const std::string shape = message([&](pbf_writer& w) {
    for (const Dim& d : dims) {
      w.add_message(1, message([&](pbf_writer& dim) {
                      if (d.is_number) dim.add_int64(1, d.value);
                      if (!d.is_number && !d.name.empty()) dim.add_string(2, d.name);
                    }));
    }
  });
  return message([&](pbf_writer& w) {
    w.add_string(1, name);
    w.add_message(2, message([&](pbf_writer& t) {
                    t.add_message(1, message([&](pbf_writer& tensor) {
                                    tensor.add_int32(1, type);
                                    tensor.add_message(2, shape);
                                  }));
                  }));
  });
}

inline std::string int_tensor(const std::string& name, const std::vector<int64_t>& dims,
                              const std::vector<int64_t>& values) {
  return message([&](pbf_writer& w) {
    w.add_packed_int64(1, dims.begin(), dims.end());
    w.add_int32(2, int64);
    w.add_packed_int64(7, values.begin(), values.end());
    w.add_string(8, name);
  });
}

// All zeros.
inline std::string float_tensor(const std::string& name, const std::vector<int64_t>& dims) {
  size_t count = 1;
  for (int64_t d : dims) count *= static_cast<size_t>(d);
  const std::vector<float> values(count, 0.0F);
  return message([&](pbf_writer& w) {
    w.add_packed_int64(1, dims.begin(), dims.end());
    w.add_int32(2, float32);
    w.add_packed_float(4, values.begin(), values.end());
    w.add_string(8, name);
  });
}

// Attributes, as messages.
inline std::string attr(const std::string& name, int64_t value) {
  return message([&](pbf_writer& w) {
    w.add_string(1, name);
    w.add_int64(3, value);
    w.add_int32(20, 2);
  });
}
inline std::string attr(const std::string& name, std::initializer_list<int64_t> values) {
  return message([&](pbf_writer& w) {
    w.add_string(1, name);
    for (int64_t v : values) w.add_int64(8, v);
    w.add_int32(20, 7);
  });
}
inline std::string float_attr(const std::string& name, float value) {
  return message([&](pbf_writer& w) {
    w.add_string(1, name);
    w.add_float(2, value);
    w.add_int32(20, 1);
  });
}
inline std::string floats_attr(const std::string& name, const std::vector<float>& values) {
  return message([&](pbf_writer& w) {
    w.add_string(1, name);
    for (float v : values) w.add_float(7, v);
    w.add_int32(20, 6);
  });
}
inline std::string graph_attr(const std::string& name, const std::string& graph) {
  return message([&](pbf_writer& w) {
    w.add_string(1, name);
    w.add_message(6, graph);
    w.add_int32(20, 5);
  });
}
// A string that is no literal.
inline std::string text_attr(const std::string& name, const std::string& value) {
  return message([&](pbf_writer& w) {
    w.add_string(1, name);
    w.add_string(4, value);
    w.add_int32(20, 3);
  });
}
inline std::string strings_attr(const std::string& name, const std::vector<std::string>& values) {
  return message([&](pbf_writer& w) {
    w.add_string(1, name);
    for (const std::string& v : values) w.add_string(9, v);
    w.add_int32(20, 8);
  });
}
// Stands for the attribute `of` of the enclosing function.
inline std::string attr_reference(const std::string& name, const std::string& of, int type) {
  return message([&](pbf_writer& w) {
    w.add_string(1, name);
    w.add_int32(20, type);
    w.add_string(21, of);
  });
}

using Names = std::vector<std::string>;

inline std::string node(const std::string& op, const Names& inputs, const Names& outputs,
                        const std::vector<std::string>& attributes = {},
                        const std::string& domain = "", const std::string& name = "") {
  return message([&](pbf_writer& w) {
    for (const std::string& i : inputs) w.add_string(1, i);
    for (const std::string& o : outputs) w.add_string(2, o);
    if (!name.empty()) w.add_string(3, name);
    w.add_string(4, op);
    for (const std::string& a : attributes) w.add_message(5, a);
    if (!domain.empty()) w.add_string(7, domain);
  });
}

inline std::string opset_import(int64_t version, const std::string& domain = "") {
  return message([&](pbf_writer& w) {
    w.add_string(1, domain);
    w.add_int64(2, version);
  });
}

// A graph (of a model or of a branch), and the model around it.
class ModelWriter {
 public:
  explicit ModelWriter(int64_t opset = 17) : opset_(opset) {}

  ModelWriter& input(const std::string& name, int type, const std::vector<Dim>& dims) {
    inputs_.push_back(value_info(name, type, dims));
    return *this;
  }
  ModelWriter& output(const std::string& name) {
    outputs_.push_back(message([&](pbf_writer& w) { w.add_string(1, name); }));
    return *this;
  }
  ModelWriter& output(const std::string& name, int type, const std::vector<Dim>& dims) {
    outputs_.push_back(value_info(name, type, dims));
    return *this;
  }
  ModelWriter& ints(const std::string& name, const std::vector<int64_t>& values) {
    initializers_.push_back(int_tensor(name, {static_cast<int64_t>(values.size())}, values));
    return *this;
  }
  ModelWriter& scalar(const std::string& name, int64_t value) {
    initializers_.push_back(int_tensor(name, {}, {value}));
    return *this;
  }
  ModelWriter& floats(const std::string& name, const std::vector<int64_t>& dims) {
    initializers_.push_back(float_tensor(name, dims));
    return *this;
  }
  ModelWriter& add(const std::string& op, const Names& inputs, const Names& outputs,
                   const std::vector<std::string>& attributes = {}, const std::string& domain = "",
                   const std::string& name = "") {
    nodes_.push_back(node(op, inputs, outputs, attributes, domain, name));
    return *this;
  }
  // A function of the domain "local".
  ModelWriter& function(const std::string& name, const Names& inputs, const Names& outputs,
                        const std::vector<std::string>& nodes, const Names& attributes = {},
                        const std::vector<std::string>& defaults = {}) {
    functions_.push_back(message([&](pbf_writer& w) {
      w.add_string(1, name);
      for (const std::string& i : inputs) w.add_string(4, i);
      for (const std::string& o : outputs) w.add_string(5, o);
      for (const std::string& a : attributes) w.add_string(6, a);
      for (const std::string& n : nodes) w.add_message(7, n);
      w.add_message(9, opset_import(opset_));
      w.add_string(10, "local");
      for (const std::string& a : defaults) w.add_message(11, a);
    }));
    return *this;
  }

  std::string graph() const {
    return message([&](pbf_writer& w) {
      for (const std::string& n : nodes_) w.add_message(1, n);
      w.add_string(2, "graph");
      for (const std::string& t : initializers_) w.add_message(5, t);
      for (const std::string& i : inputs_) w.add_message(11, i);
      for (const std::string& o : outputs_) w.add_message(12, o);
    });
  }
  std::string model() const {
    return message([&](pbf_writer& w) {
      w.add_int64(1, 9);
      w.add_message(7, graph());
      if (opset_ > 0) w.add_message(8, opset_import(opset_));
      if (!functions_.empty()) w.add_message(8, opset_import(1, "local"));
      for (const std::string& f : functions_) w.add_message(25, f);
    });
  }

 private:
  int64_t opset_;
  std::vector<std::string> nodes_, initializers_, inputs_, outputs_, functions_;
};

}  // namespace repose::onnx::test
