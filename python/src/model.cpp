// Loading, calling and asking compiled models.
#include "model.h"

#include <fcntl.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <unistd.h>

#include <memory>

#include "allocator.h"
#include "driver/compile.h"
#include "driver/explain.h"
#include "errors.h"
#include "ops/ops.h"
#include "tensor.h"

namespace repose::python {

namespace {

int32_t when_busy_of(const std::string& text) {
  if (text == "wait") return REPOSE_BUSY_WAIT;
  if (text == "grow") return REPOSE_BUSY_GROW;
  if (text == "fail") return REPOSE_BUSY_FAIL;
  raise_bad_argument("when_busy: `" + text + "`, expected `wait`, `grow` or `fail`");
}

std::string value_text(const repose_value& v) {
  std::string text = dtype_name(v.dtype) + "[";
  for (int d = 0; d < v.rank; ++d) text += (d > 0 ? ", " : "") + std::string(v.dims[d].text);
  return text + "]";
}

nb::tuple dims_of(const repose_value& v) {
  nb::list dims;
  for (int d = 0; d < v.rank; ++d) {
    if (v.dims[d].size >= 0) {
      dims.append(v.dims[d].size);
    } else {
      dims.append(v.dims[d].text);
    }
  }
  return nb::tuple(dims);
}

nb::object classes(const char* name) {
  return nb::module_::import_("repose._types").attr(name);
}

nb::tuple values_of(const std::vector<repose_value>& values) {
  const nb::object make = classes("Value");
  nb::list list;
  for (const repose_value& v : values) list.append(make(v.name, dtype_name(v.dtype), dims_of(v)));
  return nb::tuple(list);
}

}  // namespace

// ---- Loading
// -------------------------------------------------------------------------------------

LoadedModel::LoadedModel(const std::string& path, const RunOptions& options,
                         std::optional<Module> module)
    : module_(std::move(module)), allocator_(options.allocator) {
  repose_options o = repose_default_options();
  o.num_threads = options.threads;
  o.spin_microseconds = options.spin_microseconds;
  o.max_contexts = options.max_contexts;
  o.when_busy = when_busy_of(options.when_busy);
  o.memory_limit_bytes = options.memory_limit_bytes;
  o.operations_limit = options.operations_limit;
  if (!allocator_.is_none()) {
    check_allocator(allocator_);
    o.allocator = allocator_hooks(allocator_);
  }
  int32_t status;
  {
    const nb::gil_scoped_release release;
    file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    status = repose_load(path.c_str(), &o, &model_);
  }
  if (status == REPOSE_OK) return;
  if (file_ >= 0) close(file_);
  raise_status(status, nullptr);
}

LoadedModel::~LoadedModel() {
  repose_unload(model_);
  if (file_ >= 0) close(file_);
}

void LoadedModel::save(const std::string& path) const {
  Result<void> written;
  {
    const nb::gil_scoped_release release;
    std::string contents;
    char chunk[1 << 16];
    for (off_t at = 0;;) {
      const ssize_t got = pread(file_, chunk, sizeof chunk, at);
      if (got <= 0) break;
      contents.append(chunk, static_cast<size_t>(got));
      at += got;
    }
    written = write_file(path, contents);
  }
  check(written);
}

// ---- Calling
// -------------------------------------------------------------------------------------

Function::Function(std::shared_ptr<const LoadedModel> model, int index)
    : model_(std::move(model)), index_(index) {
  repose_model* m = model_->handle();
  repose_get_function(m, index, &info_);
  inputs_.resize(static_cast<size_t>(info_.num_inputs));
  outputs_.resize(static_cast<size_t>(info_.num_outputs));
  symbols_.resize(static_cast<size_t>(info_.num_symbols));
  for (int i = 0; i < info_.num_inputs; ++i)
    repose_get_input(m, index, i, &inputs_[static_cast<size_t>(i)]);
  for (int i = 0; i < info_.num_outputs; ++i)
    repose_get_output(m, index, i, &outputs_[static_cast<size_t>(i)]);
  for (int i = 0; i < info_.num_symbols; ++i)
    repose_get_symbol(m, index, i, &symbols_[static_cast<size_t>(i)]);
}

std::string Function::signature() const {
  const auto list = [](const std::vector<repose_value>& values) {
    std::string text;
    for (const repose_value& v : values)
      text += (text.empty() ? "" : ", ") + std::string(v.name) + ": " + value_text(v);
    return text;
  };
  return name() + "(" + list(inputs_) + ") -> " +
         (outputs_.size() == 1 ? list(outputs_) : "(" + list(outputs_) + ")");
}

// Arguments by position, then by name; `out` apart, unless an input is called so.
void Function::place_arguments(const nb::args& args, const nb::kwargs& kwargs,
                               std::vector<nb::handle>& placed, nb::handle& out) const {
  if (args.size() > inputs_.size()) {
    raise_bad_argument("`" + name() + "` takes " + std::to_string(inputs_.size()) +
                       " inputs, given " + std::to_string(args.size()));
  }
  for (size_t i = 0; i < args.size(); ++i) placed[i] = args[i];
  for (const auto& [key, value] : kwargs) {
    const char* given = PyUnicode_AsUTF8AndSize(key.ptr(), nullptr);
    if (!given) throw nb::python_error();
    size_t i = 0;
    while (i < inputs_.size() && std::string_view(inputs_[i].name) != given) ++i;
    if (i == inputs_.size()) {
      if (std::string_view(given) == "out") {
        out = value;
        continue;
      }
      std::string names;
      for (const repose_value& v : inputs_)
        names += (names.empty() ? "`" : ", `") + std::string(v.name) + "`";
      raise_bad_argument("`" + name() + "` has no input `" + given + "`, its inputs are " + names);
    }
    if (placed[i].is_valid())
      raise_bad_argument("input `" + std::string(given) + "` is given by position and by name");
    placed[i] = value;
  }
  std::string missing;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (!placed[i].is_valid())
      missing += (missing.empty() ? "`" : ", `") + std::string(inputs_[i].name) + "`";
  }
  if (!missing.empty()) raise_bad_argument("`" + name() + "`: no argument for " + missing);
}

namespace {

// What `out` says of each output: a tensor if there is one, a sequence, or a dictionary by names.
std::vector<nb::handle> place_outputs(nb::handle out, const std::vector<repose_value>& outputs) {
  std::vector<nb::handle> placed(outputs.size());
  if (!out.is_valid() || out.is_none()) return placed;
  if (PyDict_Check(out.ptr())) {
    for (const auto& [key, value] : nb::borrow<nb::dict>(out)) {
      const std::string given = nb::cast<std::string>(nb::str(key));
      size_t i = 0;
      while (i < outputs.size() && outputs[i].name != given) ++i;
      if (i == outputs.size()) raise_bad_argument("out: the model has no output `" + given + "`");
      if (!value.is_none()) placed[i] = value;
    }
  } else if (PyTuple_Check(out.ptr()) || PyList_Check(out.ptr())) {
    const auto given = static_cast<size_t>(nb::len(out));
    if (given != outputs.size()) {
      raise_bad_argument("out: " + std::to_string(given) + " tensors, expected " +
                         std::to_string(outputs.size()) + " (or None for one to be made)");
    }
    const auto item = PyTuple_Check(out.ptr()) ? PyTuple_GetItem : PyList_GetItem;
    for (size_t i = 0; i < given; ++i) {
      PyObject* const value = item(out.ptr(), static_cast<Py_ssize_t>(i));
      if (value != Py_None) placed[i] = value;
    }
  } else if (outputs.size() == 1) {
    placed[0] = out;
  } else {
    raise_bad_argument("out: the model has " + std::to_string(outputs.size()) +
                       " outputs: give a sequence of as many tensors, or a dictionary by names");
  }
  return placed;
}

}  // namespace

nb::object Function::call(const nb::args& args, const nb::kwargs& kwargs) const {
  std::vector<nb::handle> given(inputs_.size());
  nb::handle out;
  place_arguments(args, kwargs, given, out);
  const std::vector<nb::handle> written = place_outputs(out, outputs_);

  std::vector<std::unique_ptr<Borrowed>> borrowed;
  std::vector<const DLTensor*> inputs;
  std::vector<DLTensor*> outputs;
  for (size_t i = 0; i < given.size(); ++i) {
    borrowed.push_back(std::make_unique<Borrowed>(given[i], "input", inputs_[i].name, false));
    inputs.push_back(borrowed.back()->tensor());
  }
  for (size_t i = 0; i < written.size(); ++i) {
    if (!written[i].is_valid()) {
      outputs.push_back(nullptr);
      continue;
    }
    borrowed.push_back(std::make_unique<Borrowed>(written[i], "output", outputs_[i].name, true));
    outputs.push_back(borrowed.back()->tensor());
  }

  std::vector<DLManagedTensorVersioned*> results(outputs_.size());
  int32_t status;
  {
    const nb::gil_scoped_release release;
    status =
        repose_call(model_->handle(), index_, inputs.data(), static_cast<int32_t>(inputs.size()),
                    outputs.data(), static_cast<int32_t>(outputs.size()), results.data());
  }
  if (status != REPOSE_OK) raise_status(status, model_->handle());

  // All are owned before one of them can fail to become what the caller has.
  std::vector<nb::object> tensors(results.size());
  const std::shared_ptr<const LoadedModel> owner = model_->owns_results() ? model_ : nullptr;
  for (size_t i = 0; i < results.size(); ++i) {
    tensors[i] = results[i] ? nb::cast(new Tensor(results[i], owner), nb::rv_policy::take_ownership)
                            : nb::borrow(written[i]);
  }
  const nb::handle like = given.empty() ? nb::handle() : given.front();
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i]) tensors[i] = of_kind(like, std::move(tensors[i]));
  }
  if (tensors.size() == 1) return std::move(tensors[0]);
  nb::object all = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(tensors.size())));
  for (size_t i = 0; i < tensors.size(); ++i)
    PyTuple_SetItem(all.ptr(), static_cast<Py_ssize_t>(i), tensors[i].release().ptr());
  return all;
}

// ---- Questions
// -----------------------------------------------------------------------------------

namespace {

nb::object memory(const Function& f, const nb::kwargs& sizes) {
  std::vector<int64_t> values;
  size_t used = 0;
  for (const repose_symbol& s : f.symbols()) {
    const nb::str key(s.name);
    if (!sizes.contains(key)) {
      raise_bad_argument("memory: no size for `" + std::string(s.name) + "`");
    }
    ++used;
    const nb::object value = sizes[key];
    int64_t size = 0;
    if (!nb::try_cast(value, size))
      raise_bad_argument("memory: `" + std::string(s.name) + "` is a `" +
                         nb::cast<std::string>(nb::type_name(value.type())) +
                         "`, expected an integer of 64 bits");
    values.push_back(size);
  }
  if (used != sizes.size()) {
    for (const auto& [key, value] : sizes) {
      const std::string given = nb::cast<std::string>(nb::str(key));
      bool known = false;
      for (const repose_symbol& s : f.symbols()) known |= given == s.name;
      if (!known) raise_bad_argument("memory: the model has no symbol `" + given + "`");
    }
  }
  size_t ranks = 0;
  for (const repose_value& v : f.outputs()) ranks += static_cast<size_t>(v.rank);
  std::vector<int64_t> dims(ranks + 1);
  int64_t arena = 0;
  const int32_t status =
      repose_memory_needed(f.model().handle(), f.index(), values.data(),
                           static_cast<int32_t>(values.size()), &arena, dims.data());
  if (status != REPOSE_OK) raise_status(status, f.model().handle());
  nb::dict shapes;
  size_t at = 0;
  for (const repose_value& v : f.outputs()) {
    nb::list shape;
    for (int d = 0; d < v.rank; ++d, ++at) {
      if (dims[at] < 0) {
        shape.append(nb::none());
      } else {
        shape.append(dims[at]);
      }
    }
    shapes[v.name] = nb::tuple(shape);
  }
  return classes("Memory")(arena < 0 ? nb::none() : nb::object(nb::int_(arena)), shapes);
}

nb::object as_object(const Derivation& d) {
  nb::list from;
  for (const Derivation& part : d.from) from.append(as_object(part));
  return classes("Derivation")(d.text, nb::tuple(from));
}

nb::object why(const Function& f, const std::string& query) {
  const std::optional<Module>& module = f.model().module();
  if (!module) {
    raise_bad_argument(
        "why: an artifact doesn't know the reasons; ask the model that `compile` returns");
  }
  return as_object(value_or_raise(explain(*module, standard_ops(), f.name(), query)));
}

nb::dict symbols_of(const Function& f) {
  const nb::object make = classes("Symbol");
  nb::dict symbols;
  for (const repose_symbol& s : f.symbols()) {
    symbols[s.name] =
        make(s.name, s.lower, s.upper == INT64_MAX ? nb::none() : nb::object(nb::int_(s.upper)),
             s.divisor);
  }
  return symbols;
}

std::vector<std::string> function_names(const LoadedModel& model) {
  repose_info info{};
  repose_get_info(model.handle(), &info);
  std::vector<std::string> names;
  for (int i = 0; i < info.num_functions; ++i) {
    repose_function f{};
    repose_get_function(model.handle(), i, &f);
    names.push_back(f.name);
  }
  return names;
}

}  // namespace

void bind_model(nb::module_& m) {
  nb::class_<LoadedModel>(m, "_LoadedModel")
      .def(
          "__init__",
          [](LoadedModel* self, const std::string& path, int threads, int spin_microseconds,
             int max_contexts, const std::string& when_busy, int64_t memory_limit_bytes,
             int64_t operations_limit, std::optional<Module> module, nb::object allocator) {
            new (self) LoadedModel(path,
                                   {threads, spin_microseconds, max_contexts, when_busy,
                                    memory_limit_bytes, operations_limit, std::move(allocator)},
                                   std::move(module));
          },
          nb::arg("path"), nb::arg("threads"), nb::arg("spin_microseconds"),
          nb::arg("max_contexts"), nb::arg("when_busy"), nb::arg("memory_limit_bytes"),
          nb::arg("operations_limit"), nb::arg("module") = nb::none(),
          nb::arg("allocator") = nb::none())
      .def("save", &LoadedModel::save, nb::arg("path"))
      .def_prop_ro("name",
                   [](const LoadedModel& self) {
                     repose_info info{};
                     repose_get_info(self.handle(), &info);
                     return std::string(info.name);
                   })
      .def_prop_ro("threads",
                   [](const LoadedModel& self) {
                     repose_info info{};
                     repose_get_info(self.handle(), &info);
                     return info.num_threads;
                   })
      .def_prop_ro("metadata",
                   [](const LoadedModel& self) {
                     repose_info info{};
                     repose_get_info(self.handle(), &info);
                     return std::string(info.metadata_json,
                                        static_cast<size_t>(info.metadata_bytes));
                   })
      .def_prop_ro("functions", [](const LoadedModel& self) {
        nb::list names;
        for (const std::string& name : function_names(self)) names.append(name);
        return names;
      });

  nb::class_<Function>(m, "Function", "A function of a model.")
      .def("__init__", [](Function* self, std::shared_ptr<LoadedModel> model,
                          int index) { new (self) Function(std::move(model), index); })
      .def("__call__", &Function::call,
           "Calls it: inputs by position or by name, anything with `__dlpack__` or the buffer "
           "protocol. `out`: tensors that receive the results. Returns one tensor or a tuple of "
           "them, of the kind of the first input.")
      .def_prop_ro("name", &Function::name)
      .def_prop_ro("inputs", [](const Function& f) { return values_of(f.inputs()); })
      .def_prop_ro("outputs", [](const Function& f) { return values_of(f.outputs()); })
      .def_prop_ro("symbols", &symbols_of)
      .def("memory", &memory,
           "What a call needs where the symbols have these values: bytes of its arena, shapes of "
           "its results.")
      .def("why", &why, nb::arg("query"),
           "Why a dimension is what it is: `OUTPUT:AXIS`, or the name of a symbol.")
      .def("__repr__", [](const Function& f) { return "<repose.Function " + f.signature() + ">"; })
      .def("_signature", &Function::signature);
}

}  // namespace repose::python
