// Schedules in Python: each primitive by its name, with loops, blocks and buffers as objects or by
// their names.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <tuple>

#include "errors.h"
#include "repose/compiler.hpp"
#include "values.h"

namespace repose::python {

using schedule::Block;
using schedule::IndexMap;
using schedule::Loop;
using schedule::Scheduled;

namespace {

// What `with_schedule` puts back into its module.
struct ProgramSchedule {
  Module module;
  std::string program;
  Scheduled scheduled;
};

[[noreturn]] void refuse(const std::string& primitive, nb::handle given, const char* expected) {
  raise_bad_argument(primitive + ": given `" + class_name(given) + "`, expected " + expected);
}

std::string name_in(nb::handle given) {
  return PyUnicode_Check(given.ptr()) ? nb::cast<std::string>(given) : "";
}

// ---- Arguments
// -----------------------------------------------------------------------------------

struct Arguments {
  const std::string& primitive;
  const Scheduled& s;

  void read(nb::handle given, Loop& loop) const {
    const std::string name = name_in(given);
    if (nb::isinstance<Loop>(given)) {
      loop = nb::cast<Loop>(given);
    } else if (name.empty()) {
      refuse(primitive, given, "a loop or its name");
    } else if (auto found = schedule::loop_named(s, name)) {
      loop = *found;
    } else if (name != "root") {
      raise(Diagnostics{schedule::illegal("there is no loop `{}`", name)});
    }
  }
  void read(nb::handle given, Block& block) const {
    const std::string name = name_in(given);
    if (nb::isinstance<Block>(given)) {
      block = nb::cast<Block>(given);
    } else if (name.empty()) {
      refuse(primitive, given, "a block or its name");
    } else {
      block = Block{name};
    }
  }
  void read(nb::handle given, Buffer& buffer) const {
    const std::string name = name_in(given);
    if (name.empty()) refuse(primitive, given, "the name of a buffer");
    const auto found = schedule::buffer_named(s, name);
    if (!found) raise(Diagnostics{schedule::illegal("there is no buffer `{}`", name)});
    buffer = *found;
  }
  void read(nb::handle given, Expr& e) const {
    e = expr_of(given, DType{}, primitive.c_str());
    const bool is_condition = primitive == "specialize";
    if (is_condition ? !e->dtype.is_bool() : !e->dtype.is_index())
      raise_bad_argument(primitive + ": `" + to_string(e) + "` has dtype `" + e->dtype.to_string() +
                         "`, expected " + (is_condition ? "a condition" : "an index"));
  }
  void read(nb::handle given, std::vector<Loop>& loops) const {
    if (!PyTuple_Check(given.ptr()) && !PyList_Check(given.ptr()))
      refuse(primitive, given, "a list of loops");
    for (const nb::handle item : nb::borrow<nb::sequence>(given)) read(item, loops.emplace_back());
  }
  // A function of subscripts that gives subscripts.
  void read(nb::handle given, IndexMap& map) const {
    if (!PyCallable_Check(given.ptr())) refuse(primitive, given, "a function of subscripts");
    const nb::object names =
        nb::module_::import_("inspect").attr("signature")(given).attr("parameters");
    nb::list arguments;
    for (const nb::handle name : names) {
      map.from.push_back(make_var(nb::cast<std::string>(name), dtypes::index, VarRole::loop));
      arguments.append(nb::cast(Expr(map.from.back())));
    }
    const nb::object made = given(*nb::tuple(arguments));
    map.to = PyTuple_Check(made.ptr()) || PyList_Check(made.ptr())
                 ? dims_of(made, "subscripts")
                 : Dims{expr_of(made, dtypes::index, "a subscript")};
  }
  void read(nb::handle given, schedule::Tail& tail) const {
    std::string known;
    for (const schedule::TailWord& word : schedule::tail_words) {
      if (name_in(given) == word.text) {
        tail = word.value;
        return;
      }
      known += std::string(known.empty() ? "`" : ", `") + word.text + "`";
    }
    raise_bad_argument(primitive + ": a tail is one of " + known);
  }
  void read(nb::handle given, Scope& scope) const {
    const std::string name = name_in(given);
    if (name != "local" && name != "workspace")
      raise_bad_argument(primitive + ": a scope is `local` or `workspace`");
    scope = name == "local" ? Scope::local : Scope::workspace;
  }
};

// ---- Primitives
// ----------------------------------------------------------------------------------

nb::object result_of(const Loop& loop) {
  return nb::cast(loop);
}
nb::object result_of(const Block& block) {
  return nb::cast(block);
}
nb::object result_of(const std::vector<Loop>& loops) {
  nb::list list;
  for (const Loop& loop : loops) list.append(nb::cast(loop));
  return list;
}

template <class R, class... P>
nb::object run(Scheduled& s, const std::string& name, const nb::args& given,
               Result<R> (*primitive)(Scheduled&, P...)) {
  if (given.size() != sizeof...(P))
    raise_bad_argument(name + ": given " + std::to_string(given.size()) + " arguments, it takes " +
                       std::to_string(sizeof...(P)) + " (docs/schedule.md)");
  std::tuple<std::decay_t<P>...> args{};
  size_t i = 0;
  const Arguments arguments{name, s};
  std::apply([&](auto&... arg) { (arguments.read(given[i++], arg), ...); }, args);
  const Scheduled before = s;
  Result<R> done = std::apply([&](const auto&... arg) { return primitive(s, arg...); }, args);
  if (!done.ok()) {
    s = before;
    Diagnostics errors = done.errors();
    for (Diagnostic& d : errors) {
      if (!d.span) d.span = here();
    }
    raise(errors);
  }
  if constexpr (std::is_void_v<R>) {
    return nb::none();
  } else {
    return result_of(*done);
  }
}

nb::object apply(ProgramSchedule& self, const std::string& name, const nb::args& given) {
#define PRIMITIVE(primitive, effect) \
  if (name == #primitive) return run(self.scheduled, name, given, &schedule::primitive);
#include "schedule/primitives.def"
  raise_bad_argument("there is no primitive `" + name + "`");
}

// ---- Looking
// -------------------------------------------------------------------------------------

nb::list blocks_of(const ProgramSchedule& self) {
  nb::list blocks;
  for (const tir::BlockNode* block : schedule::blocks_in(self.scheduled.func->body))
    blocks.append(nb::cast(Block{block->name}));
  return blocks;
}

Block block_named(const ProgramSchedule& self, const std::string& name) {
  if (!schedule::find_block(self.scheduled, Block{name})) {
    std::string names;
    for (const tir::BlockNode* block : schedule::blocks_in(self.scheduled.func->body))
      names += (names.empty() ? "`" : ", `") + block->name + "`";
    raise(Diagnostics{schedule::illegal("there is no block `{}`: there are {}", name, names)});
  }
  return Block{name};
}

// Those around a block, or all; outermost first.
nb::list loops_of(const ProgramSchedule& self, nb::object of) {
  const Scheduled& s = self.scheduled;
  nb::list loops;
  if (of.is_none()) {
    tir::visit_stmts(s.func->body, [&](const tir::Stmt& at) {
      if (const auto* loop = tir::as<tir::ForNode>(at)) loops.append(nb::cast(Loop{loop->var}));
      return true;
    });
    return loops;
  }
  Block block;
  Arguments{"get_loops", s}.read(of, block);
  const tir::BlockNode* node = schedule::find_block(s, block_named(self, block.name));
  for (const tir::ForNode* loop : schedule::loops_around(s, node))
    loops.append(nb::cast(Loop{loop->var}));
  return loops;
}

nb::dict symbols_of(const ProgramSchedule& self) {
  nb::dict symbols;
  for (const Var& v : tir::bound_symbols(*self.scheduled.func))
    symbols[v->name.c_str()] = nb::cast(Expr(v));
  for (const tir::Param& p : self.scheduled.func->params) {
    if (!p.buffer) symbols[p.var->name.c_str()] = nb::cast(Expr(p.var));
  }
  return symbols;
}

std::vector<std::string> trace_of(const ProgramSchedule& self) {
  std::vector<std::string> steps;
  for (const schedule::Step& step : self.scheduled.steps)
    steps.push_back(schedule::to_string(step));
  return steps;
}

ProgramSchedule* begin(const Module& module, const std::string& program) {
  const tir::PrimFunc f = module.prim_func(program);
  if (!f)
    raise(Diagnostics{
        error(DiagnosticKind::unknown_name, here(), "there is no tensor program `{}`", program)});
  return new ProgramSchedule{module, program, schedule::begin_schedule(f)};
}

Module scheduled_module(const ProgramSchedule& self) {
  return value_or_raise(with_schedule(self.module, self.program, [&](Scheduled& s) {
    s = self.scheduled;
    return Result<void>();
  }));
}

void apply_text(ProgramSchedule& self, const std::string& steps) {
  check(schedule::replay(self.scheduled, make_text_source("steps", steps)));
}

std::vector<std::string> primitive_names() {
  std::vector<std::string> names;
  for (const schedule::Primitive& p : schedule::primitives()) names.emplace_back(p.name);
  return names;
}

}  // namespace

void bind_schedule(nb::module_& m) {
  nb::class_<Loop>(m, "Loop", "A loop of a program that is being scheduled.")
      .def_prop_ro("name", [](const Loop& l) { return l.var ? l.var->name : "root"; })
      .def_prop_ro("var", [](const Loop& l) { return l.var ? nb::cast(Expr(l.var)) : nb::none(); })
      .def("__repr__", [](const Loop& l) { return "Loop " + (l.var ? l.var->name : "root"); });
  nb::class_<Block>(m, "Block", "A block of a program that is being scheduled.")
      .def_prop_ro("name", [](const Block& b) { return b.name; })
      .def("__repr__", [](const Block& b) { return "Block " + b.name; });
  nb::class_<ProgramSchedule>(m, "_Schedule")
      .def_static("begin", &begin, nb::rv_policy::take_ownership)
      .def("apply", &apply, nb::arg("primitive"), nb::arg("args"))
      .def("apply_text", &apply_text)
      .def("block", &block_named)
      .def("blocks", &blocks_of)
      .def("loops", &loops_of, nb::arg("block").none())
      .def("symbols", &symbols_of)
      .def("trace", &trace_of)
      .def("func", [](const ProgramSchedule& self) { return self.scheduled.func; })
      .def("module", &scheduled_module);
  m.def("_primitives", &primitive_names);
}

}  // namespace repose::python
