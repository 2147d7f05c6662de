// Modules in Python: reading, printing, passes, the interpreter, compilation.
#include "module.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>

#include "driver/read_model.h"
#include "errors.h"
#include "frontend/torch/operator_table.h"
#include "interp/interpreter.h"
#include "repose/compiler.hpp"
#include "tensor.h"

namespace repose::python {

namespace {

using Dims = std::map<std::string, std::string>;

// Work of the compiler, without the interpreter lock; what it found odd, and then its result.
template <class F>
auto unlocked(const F& work) {
  auto result = [&] {
    const nb::gil_scoped_release release;
    return work();
  }();
  return value_or_raise(std::move(result));
}

ReadModelOptions options_of(const Dims& dims, bool strict_dims) {
  ReadModelOptions options;
  options.strict_dims = strict_dims;
  for (const auto& [name, range] : dims) check(add_dim(options.dims, name, range, "dims"));
  return options;
}

Module read_file(const std::string& path, const Dims& dims, bool strict_dims) {
  const ReadModelOptions options = options_of(dims, strict_dims);
  Diagnostics warnings;
  Module module = unlocked([&] { return read_model(path, options, &warnings); });
  warn(warnings);
  return module;
}

// `read`: of a model in memory, for one front end.
template <auto read>
Module read_bytes(const nb::bytes& contents, const std::string& name, const Dims& dims,
                  bool strict_dims) {
  const ReadModelOptions options = options_of(dims, strict_dims);
  const auto bytes = std::make_shared<const std::string>(contents.c_str(), contents.size());
  Diagnostics warnings;
  Module module = unlocked([&] { return read(bytes, name, options, &warnings); });
  warn(warnings);
  return module;
}

void compile_to(const Module& module, const std::string& path, const std::string& cpu,
                const std::string& name, const std::vector<std::string>& disabled) {
  ArtifactOptions options;
  options.cpu = cpu;
  options.name = name;
  options.disabled = disabled;
  Result<void> done;
  {
    const nb::gil_scoped_release release;
    done = compile(module, path, options);
  }
  check(done);
}

// ---- The interpreter
// -----------------------------------------------------------------------------

DType dtype_of(DLDataType type) {
  switch (type.code) {
    case kDLBool:
      return dtypes::boolean;
    case kDLInt:
      return {DType::Code::sint, type.bits};
    case kDLUInt:
      return {DType::Code::uint, type.bits};
    case kDLFloat:
      return {DType::Code::flt, type.bits};
    case kDLBfloat:
      return {DType::Code::bfloat, type.bits};
    default:
      return {};
  }
}

DLDataType dtype_of(DType type) {
  const auto code = type.is_bool()             ? kDLBool
                    : type.is_sint()           ? kDLInt
                    : type.is_uint()           ? kDLUInt
                    : type == dtypes::bfloat16 ? kDLBfloat
                                               : kDLFloat;
  return {static_cast<uint8_t>(code), type.bits, 1};
}

// A copy, compact.
Array array_of(const DLTensor& t, const std::string& what) {
  const DType dtype = dtype_of(t.dtype);
  if (!dtype || t.dtype.lanes != 1)
    raise_bad_argument(what + ": " + dtype_name(t.dtype) + " is no dtype of the IR");
  const std::vector<int64_t> shape(t.shape, t.shape + t.ndim);
  Ref<ArrayNode> array = make_array(shape, dtype);
  const auto item = static_cast<size_t>(dtype.size_bytes());
  const auto* from = static_cast<const std::byte*>(t.data) + t.byte_offset;
  std::byte* to = array->mutable_bytes();
  if (!t.strides) {
    std::memcpy(to, from, array->num_bytes);
    return array;
  }
  std::vector<int64_t> at(shape.size(), 0);
  for (int64_t i = 0, n = array->num_elements(); i < n; ++i, to += item) {
    int64_t offset = 0;
    for (size_t d = 0; d < at.size(); ++d) offset += at[d] * t.strides[d];
    std::memcpy(to, from + offset * static_cast<int64_t>(item), item);
    for (size_t d = at.size(); d-- > 0 && ++at[d] == shape[d];) at[d] = 0;
  }
  return array;
}

// An array as a result; the array is kept.
nb::object tensor_of(Array array, nb::handle like) {
  struct Owned {
    DLManagedTensorVersioned managed{};
    Array array;
    std::vector<int64_t> shape;
  };
  auto* owned = new Owned;
  owned->shape = array->shape;
  DLManagedTensorVersioned& m = owned->managed;
  m.version = {1, 0};
  m.manager_ctx = owned;
  m.deleter = [](DLManagedTensorVersioned* self) { delete static_cast<Owned*>(self->manager_ctx); };
  m.dl_tensor.data = const_cast<std::byte*>(array->bytes);
  m.dl_tensor.device = {kDLCPU, 0};
  m.dl_tensor.ndim = static_cast<int32_t>(owned->shape.size());
  m.dl_tensor.dtype = dtype_of(array->dtype);
  m.dl_tensor.shape = owned->shape.data();
  owned->array = std::move(array);
  return of_kind(like, nb::cast(new Tensor(&m), nb::rv_policy::take_ownership));
}

HostValue host_value_of(nb::handle object, const std::string& what) {
  if (PyTuple_Check(object.ptr()) || PyList_Check(object.ptr())) {
    HostValue::Tuple fields;
    for (const nb::handle field : object) fields.push_back(host_value_of(field, what));
    return fields;
  }
  Borrowed borrowed(object, "argument", what.c_str(), false);
  return array_of(*borrowed.tensor(), "argument `" + what + "`");
}

nb::object object_of(const HostValue& value, nb::handle like) {
  if (Array array = value.tensor()) {
    // Constants of the module, and arguments, are not the caller's to write to.
    Ref<ArrayNode> copy = make_array(array->shape, array->dtype);
    std::memcpy(copy->mutable_bytes(), array->bytes, array->num_bytes);
    return tensor_of(copy, like);
  }
  nb::list items;
  if (const auto* shape = value.shape()) {
    for (const int64_t extent : *shape) items.append(extent);
    return nb::tuple(items);
  }
  if (const auto* fields = value.tuple()) {
    for (const HostValue& field : *fields) items.append(object_of(field, like));
    return nb::tuple(items);
  }
  if (const auto* text = value.string()) return nb::str(text->c_str());
  if (value.is_none()) return nb::none();
  raise_bad_argument("the result has no counterpart in Python: " + to_string(value));
}

nb::object interpret_module(const Module& module, const nb::args& args, const std::string& function,
                            int64_t max_steps, int64_t max_bytes) {
  std::vector<HostValue> values;
  for (size_t i = 0; i < args.size(); ++i)
    values.push_back(host_value_of(args[i], std::to_string(i)));
  InterpretOptions options;
  if (max_steps > 0) options.max_steps = max_steps;
  if (max_bytes > 0) options.max_bytes = max_bytes;
  std::string printed;
  options.print = [&](const std::string& text) { printed += text + "\n"; };
  const HostValue result =
      unlocked([&] { return interpret(module, standard_ops(), function, values, options); });
  if (!printed.empty()) nb::print(printed.c_str(), nb::str(""));
  nb::handle like;
  if (!args.empty()) like = args[0];
  return object_of(result, like);
}

// ---- Passes
// --------------------------------------------------------------------------------------

Module run_passes(const Module& module, const nb::args& names, const std::string& cpu) {
  PassManager passes;
  for (const nb::handle name : names) {
    std::string text;
    if (!nb::try_cast(name, text))
      raise_bad_argument("a pass is named by a text, given `" +
                         nb::cast<std::string>(nb::type_name(name.type())) + "`");
    passes.add(std::move(text));
  }
  return unlocked([&] { return passes.run(module, standard_ops(), cpu); });
}

std::vector<std::string> torch_operators() {
  std::vector<std::string> names;
  for (std::string_view name : torch::operator_names()) names.emplace_back(name);
  return names;
}

nb::dict pass_list() {
  nb::dict passes;
  for (const PassInfo& p : pipeline_passes()) passes[p.name] = p.summary;
  return passes;
}

std::string first_line(const Module& module) {
  std::string names;
  for (const std::string& name : module.names())
    names += (names.empty() ? "" : ", ") + std::string(name);
  return "<repose.Module: " + names + ">";
}

}  // namespace

void bind_module(nb::module_& m) {
  nb::class_<Module>(m, "Module", "Functions of the IR. Never changes.")
      .def_static(
          "from_text",
          [](const std::string& text, const std::string& name) {
            return unlocked([&] { return parse(text, name); });
          },
          nb::arg("text"), nb::arg("name") = "text",
          "Reads the text form (a dialect of TVMScript). `name` stands for it in messages.")
      .def(
          "script", [](const Module& self) { return print(self); }, "The text form.")
      .def("interpret", &interpret_module, nb::arg("args"), nb::kw_only(),
           nb::arg("function") = "main", nb::arg("max_steps") = 0, nb::arg("max_bytes") = 0,
           "Calls a graph function as it is written, without compiling it: slow, and the meaning "
           "of the IR. Tuples and lists are tuples of tensors.")
      .def("run_passes", &run_passes, nb::arg("names"), nb::kw_only(), nb::arg("cpu") = "host",
           "The module after these passes of the pipeline (`repose.passes()`), in this order; "
           "each result is verified.")
      .def(
          "verify",
          [](const Module& self) {
            const Diagnostics errors = verify(self, standard_ops());
            if (!errors.empty()) raise(errors);
          },
          "Raises CompileError where the module isn't well formed.")
      .def_prop_ro("functions", [](const Module& self) { return self.names(); })
      .def("__str__", [](const Module& self) { return print(self); })
      .def("__repr__", &first_line)
      .def("__eq__", [](const Module& self, const nb::object& other) {
        return nb::isinstance<Module>(other) &&
               structural_equal(self, nb::cast<const Module&>(other));
      });
  m.def("_read_file", &read_file);
  m.def("_read_onnx", &read_bytes<&read_onnx_bytes>);
  m.def("_read_torch", &read_bytes<&read_torch_bytes>);
  m.def("_torch_operators", &torch_operators);
  m.def("_compile", &compile_to);
  m.def("_passes", &pass_list);
}

}  // namespace repose::python
