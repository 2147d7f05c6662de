// Modules in Python: reading, printing, passes, the interpreter, compilation.
#include "module.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>

#include "arrays.h"
#include "codegen/llvm/target_llvm.h"
#include "driver/declare_dims.h"
#include "driver/memory_page.h"
#include "driver/read_model.h"
#include "errors.h"
#include "frontend/torch/operator_table.h"
#include "interp/interpreter.h"
#include "repose/compiler.hpp"
#include "repose/repose.h"
#include "tensor.h"
#include "values.h"

namespace repose::python {

namespace {

// Texts by the names of dimensions, or of inputs.
using Texts = std::map<std::string, std::string>;

// Work of the compiler, without the interpreter lock; what it found odd, and then its result.
template <class F>
auto unlocked(const F& work) {
  auto result = [&] {
    const nb::gil_scoped_release release;
    return work();
  }();
  return value_or_raise(std::move(result));
}

ReadModelOptions options_of(const Texts& dims, const Texts& shapes, bool strict_dims) {
  ReadModelOptions options;
  options.strict_dims = strict_dims;
  for (const auto& [name, range] : dims) check(add_dim(options.dims, name, range, "dims"));
  for (const auto& [name, shape] : shapes) check(add_shape(options.dims, name, shape, "shapes"));
  return options;
}

Module read_file(const std::string& path, const Texts& dims, const Texts& shapes,
                 bool strict_dims) {
  const ReadModelOptions options = options_of(dims, shapes, strict_dims);
  Diagnostics warnings;
  Module module = unlocked([&] { return read_model(path, options, &warnings); });
  warn(warnings);
  return module;
}

Module read_onnx(const nb::bytes& contents, const std::string& name, const Texts& dims,
                 const Texts& shapes, bool strict_dims) {
  const ReadModelOptions options = options_of(dims, shapes, strict_dims);
  const auto bytes = std::make_shared<const std::string>(contents.c_str(), contents.size());
  Diagnostics warnings;
  Module module = unlocked([&] { return read_onnx_bytes(bytes, name, options, &warnings); });
  warn(warnings);
  return module;
}

// `weights`: tensors by the names of parameters and buffers that the archive leaves out.
Module read_torch(const nb::bytes& contents, const std::string& name, const Texts& dims,
                  const Texts& shapes, bool strict_dims, const nb::dict& weights) {
  const ReadModelOptions options = options_of(dims, shapes, strict_dims);
  const auto bytes = std::make_shared<const std::string>(contents.c_str(), contents.size());
  std::map<std::string, Array, std::less<>> arrays;
  for (const auto& [key, value] : weights) {
    const auto weight = nb::cast<std::string>(key);
    arrays.emplace(weight, shared_array_of(value, "weight", weight));
  }
  Diagnostics warnings;
  Module module = unlocked(
      [&] { return read_torch_bytes(bytes, name, options, &warnings, std::move(arrays)); });
  warn(warnings);
  return module;
}

// Writes the artifact; gives a page for each function that draws its memory.
nb::dict compile_to(const Module& module, const std::string& path, const std::string& cpu,
                    const std::string& name, const std::vector<std::string>& disabled) {
  std::map<std::string, std::string> pages;
  const Result<void> done = [&]() -> Result<void> {
    const nb::gil_scoped_release release;
    CompileOptions options;
    REPOSE_TRY(target, find_target(cpu));
    options.pipeline.target = target;
    options.pipeline.disabled = disabled;
    options.name = name;
    REPOSE_TRY(model, compile(module, standard_ops(), options));
    for (const CompiledFunction& f : model.functions)
      pages[f.host.interface.name] = memory_page(f, name);
    return write_artifact(model, Emit::shared, path);
  }();
  check(done);
  nb::dict result;
  for (const auto& [function, page] : pages) result[function.c_str()] = page;
  return result;
}

// ---- The interpreter
// -----------------------------------------------------------------------------

HostValue host_value_of(nb::handle object, const std::string& what) {
  if (PyTuple_Check(object.ptr()) || PyList_Check(object.ptr())) {
    HostValue::Tuple fields;
    for (const nb::handle field : object) fields.push_back(host_value_of(field, what));
    return fields;
  }
  return array_of(object, "argument", what);
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

// Those of `repose.register`, which interpreted modules call as loaded ones do.
std::vector<repose_packed_entry> registered_functions() {
  repose_lock_registered();
  std::vector<repose_packed_entry> list;
  if (repose_registered.count > 0) {
    list.assign(repose_registered.entries, repose_registered.entries + repose_registered.count);
  }
  repose_unlock_registered();
  return list;
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
  const std::vector<repose_packed_entry> registered = registered_functions();
  options.packed_functions = registered.data();
  options.num_packed_functions = registered.size();
  const HostValue result =
      unlocked([&] { return interpret(module, standard_ops(), function, values, options); });
  if (!printed.empty()) nb::print(printed.c_str(), nb::str(""));
  nb::handle like;
  if (!args.empty()) like = args[0];
  return object_of(result, like);
}

// ---- Text with names of Python
// -------------------------------------------------------------------

// What Python's `lookup` gives for a name: None, or a tuple of one value; of two, what it is else.
std::optional<Captured> captured_of(nb::handle found) {
  if (found.is_none()) return std::nullopt;
  const auto pair = nb::cast<nb::tuple>(found);
  Captured captured;
  if (pair.size() == 2) {
    captured.refusal = nb::cast<std::string>(pair[1]);
    return captured;
  }
  const nb::object value = pair[0];
  if (PyObject_HasAttrString(value.ptr(), "__dlpack__")) {
    captured.array = array_of(value, "constant", class_name(value));
  } else {
    captured.value = attr_of(value);
  }
  return captured;
}

// A text whose lines stand at `first_line`, `indent` columns to the right, in the file `name`.
Module from_source(const std::string& text, const std::string& name, int first_line, int indent,
                   const nb::callable& lookup) {
  ParseOptions options;
  options.captured = [&](const std::string& asked) { return captured_of(lookup(asked)); };
  const std::string above(static_cast<size_t>(first_line - 1), '\n');
  auto module = parse_module(make_text_source(name, above + text), standard_ops(), options);
  if (module.ok()) return *module;
  Diagnostics errors = module.errors();
  const std::string margin(static_cast<size_t>(indent), ' ');
  std::string indented = above + margin;
  for (const char c : text) indented += c == '\n' ? "\n" + margin : std::string(1, c);
  const Ref<const Source> file = make_text_source(name, std::move(indented));
  const auto move = [&](Span& span) {
    if (span) span = {file, span.line, span.column + indent};
  };
  for (Diagnostic& d : errors) {
    move(d.span);
    for (Note& note : d.notes) move(note.span);
  }
  raise(errors);
}

// ---- Definitions
// ---------------------------------------------------------------------------------

nb::object definition(const Module& module, const std::string& name) {
  const Definition* found = module.find(name);
  if (!found) {
    std::string names;
    for (const std::string& known : module.names())
      names += (names.empty() ? "`" : ", `") + known + "`";
    throw nb::key_error(("the module has no `" + name + "`: there are " + names).c_str());
  }
  if (const auto* f = std::get_if<graph::Function>(found)) return nb::cast(*f);
  if (const auto* f = std::get_if<tir::PrimFunc>(found)) return nb::cast(*f);
  return nb::str(std::get<ExternFunc>(*found).symbol.c_str());
}

Module from_functions(const nb::dict& functions) {
  Module module;
  for (const auto& [key, f] : functions) {
    const auto name = nb::cast<std::string>(key);
    if (nb::isinstance<graph::Function>(f)) {
      module.set(name, nb::cast<graph::Function>(f));
    } else if (nb::isinstance<tir::PrimFunc>(f)) {
      module.set(name, nb::cast<tir::PrimFunc>(f));
    } else {
      raise_bad_argument("`" + name + "`: given `" + class_name(f) + "`, expected a function");
    }
  }
  const Diagnostics errors = verify(module, standard_ops());
  if (!errors.empty()) raise(errors);
  return module;
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

Module add_gradient(const Module& module, const std::string& function,
                    const std::vector<std::string>& parameters, int target) {
  const GradientOptions options{function, parameters, target};
  PassManager passes;
  passes.add("gradient", [&](const Module& m) { return gradient(m, standard_ops(), options); });
  return unlocked([&] { return passes.run(module); });
}

Module narrowed(const Module& module, const std::string& dtype, std::vector<std::string> always,
                std::vector<std::string> follow, std::vector<std::string> never) {
  const auto parsed = DType::parse(dtype);
  if (!parsed) raise_bad_argument("`" + dtype + "` is no dtype");
  const MixedPrecisionOptions options{*parsed, std::move(always), std::move(follow),
                                      std::move(never)};
  PassManager passes;
  passes.add("to_mixed_precision",
             [&](const Module& m) { return to_mixed_precision(m, standard_ops(), options); });
  passes.add("eliminate_dead_code");
  return unlocked([&] { return passes.run(module); });
}

Module rewritten(const Module& module, const Module& rules) {
  PassManager passes;
  passes.add("rewrite", [&](const Module& m) -> Result<Module> {
    REPOSE_TRY(read, read_pattern_rules(rules, standard_ops()));
    return apply_pattern_rules(m, standard_ops(), read);
  });
  return unlocked([&] { return passes.run(module); });
}

Module with_params(const Module& module, const nb::dict& params, const std::string& function) {
  std::map<std::string, Array> arrays;
  for (const auto& [name, value] : params) {
    std::string text;
    if (!nb::try_cast(name, text))
      raise_bad_argument("a parameter is named by a text, given `" + class_name(name) + "`");
    arrays.emplace(text, array_of(value, "parameter", text));
  }
  PassManager passes;
  passes.add("bind_params",
             [&](const Module& m) { return bind_params(m, standard_ops(), function, arrays); });
  return unlocked([&] { return passes.run(module); });
}

Module with_sizes(const Module& module, const std::map<std::string, int64_t>& sizes) {
  std::map<std::string, Interval> ranges;
  for (const auto& [name, size] : sizes) ranges.emplace(name, Interval{size, size});
  PassManager passes;
  passes.add("declare_dims", [&](const Module& m) { return declare_dims(m, ranges, {}); });
  passes.add("bind_symbolic_vars");
  return unlocked([&] { return passes.run(module); });
}

Module laid_out(const Module& module,
                const std::map<std::string, std::vector<std::string>>& layouts) {
  LayoutWishes wishes;
  for (const auto& [op, names] : layouts) {
    if (names.empty() || names.size() > 2)
      raise_bad_argument("`" + op + "`: " + std::to_string(names.size()) +
                         " layouts, expected that of the tensor, and that of the weight");
    wishes.emplace(op, LayoutWish{names[0], names.size() == 2 ? names[1] : ""});
  }
  if (wishes.empty()) wishes = channels_last();
  PassManager passes;
  passes.add("convert_layout",
             [&](const Module& m) { return convert_layout(m, standard_ops(), wishes); });
  return unlocked([&] { return passes.run(module); });
}

std::vector<std::string> torch_operators() {
  std::vector<std::string> names;
  for (std::string_view name : torch::operator_names()) names.emplace_back(name);
  return names;
}

nb::dict pass_list() {
  nb::dict passes;
  for (const PassInfo& p : pipeline_passes()) passes[p.name] = p.summary;
  for (const PassInfo& p : further_passes()) passes[p.name] = p.summary;
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
      .def("gradient", &add_gradient, nb::arg("function") = "main",
           nb::arg("parameters") = std::vector<std::string>(), nb::arg("target") = 0,
           "The module with FUNCTION_adjoint, which returns the function's results and a tuple of "
           "the gradients of one of them, a tensor of rank 0, in these parameters (none: in every "
           "float tensor).")
      .def("to_mixed_precision", &narrowed, nb::arg("dtype") = "float16",
           nb::arg("always") = std::vector<std::string>(),
           nb::arg("follow") = std::vector<std::string>(),
           nb::arg("never") = std::vector<std::string>(),
           "The module with products, convolutions and what follows them in float16 or bfloat16.")
      .def("rewrite", &rewritten, nb::arg("rules"),
           "The module after rules, functions `pattern` and `replacement` of another module "
           "(docs/patterns.md).")
      .def("bind_params", &with_params, nb::arg("params"), nb::arg("function") = "main",
           "The module with tensors, by the names of parameters of the function, as constants in "
           "their place.")
      .def("bind_sizes", &with_sizes, nb::arg("sizes"),
           "The module with sizes in place of symbols, by their names or as `<input>_<axis>`, in "
           "its public functions.")
      .def("convert_layout", &laid_out,
           nb::arg("layouts") = std::map<std::string, std::vector<std::string>>(),
           "The module with these layouts, of the tensor and of the weight, of operators by name "
           "(none: channels last for convolutions and pools).")
      .def(
          "verify",
          [](const Module& self) {
            const Diagnostics errors = verify(self, standard_ops());
            if (!errors.empty()) raise(errors);
          },
          "Raises CompileError where the module isn't well formed.")
      .def_static("from_functions", &from_functions, nb::arg("functions"),
                  "A module of these functions, by name. Raises CompileError where it isn't well "
                  "formed.")
      .def_prop_ro("functions", [](const Module& self) { return self.names(); })
      .def("__getitem__", &definition, nb::arg("name"))
      .def("__contains__",
           [](const Module& self, const std::string& name) { return self.find(name) != nullptr; })
      .def(
          "show",
          [](const Module& self) {
            nb::module_::import_("repose._show").attr("show")(print(self));
          },
          "Prints the text: in colours on a terminal, as HTML in a notebook.")
      .def("_repr_html_",
           [](const Module& self) {
             return nb::module_::import_("repose._show").attr("as_html")(print(self));
           })
      .def("__str__", [](const Module& self) { return print(self); })
      .def("__repr__", &first_line)
      .def("__eq__", [](const Module& self, const nb::object& other) {
        return nb::isinstance<Module>(other) &&
               structural_equal(self, nb::cast<const Module&>(other));
      });
  m.def("_from_source", &from_source);
  m.def("_read_file", &read_file);
  m.def("_read_onnx", &read_onnx);
  m.def("_read_torch", &read_torch);
  m.def("_torch_operators", &torch_operators);
  m.def("_compile", &compile_to);
  m.def("_passes", &pass_list);
}

}  // namespace repose::python
