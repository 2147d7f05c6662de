// Building and rewriting graph functions from Python.
#include "builder.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "errors.h"
#include "ir/function_facts.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "passes/graph/rebuild.h"

namespace repose::python {

using graph::Value;

namespace {

// Errors without a place get that of the line of Python.
template <class T>
T placed(Result<T> result) {
  if (result.ok()) return std::move(*result);
  Diagnostics errors = result.errors();
  for (Diagnostic& d : errors) {
    if (!d.span) d.span = here();
  }
  raise(errors);
}

// Builder is strict about the order of its calls; Python's user isn't.
Builder& in_function(const GraphBuilder& b) {
  if (b.functions == 0)
    raise_bad_argument("an operation outside of a function: `with bb.function(name, params):`");
  return *b.builder;
}
Builder& in_dataflow(const GraphBuilder& b) {
  Builder& builder = in_function(b);
  if (!builder.in_dataflow()) raise_bad_argument("not in a dataflow block");
  return builder;
}

void begin_function(GraphBuilder& b, const std::string& name, const std::vector<Value>& params,
                    nb::object attrs) {
  std::vector<graph::Variable> variables;
  for (const Value& p : params) {
    const auto* variable = graph::as<graph::VariableNode>(p);
    if (!variable)
      raise_bad_argument("`" + name + "`: a parameter is a variable (`relax.Var`), given a " +
                         graph::kind_name(p->kind));
    variables.emplace_back(graph::Variable(variable));
  }
  if (b.functions > 0 && b.builder->in_dataflow())
    raise_bad_argument("a function begins outside of dataflow blocks");
  // A function of nothing but its head knows what the attributes declare.
  const Value no_result = graph::make_tuple({});
  const auto head = make_ref<graph::FunctionNode>(
      variables, make_ref<graph::BodyNode>(std::vector<graph::Block>{}, no_result), void_type(),
      true, false, attrs_of(attrs), Span{});
  b.builder->begin_function(name, variables, declared_facts(head), here());
  ++b.functions;
}

Value end_function(GraphBuilder& b, const std::string& name, const Value& result, nb::object attrs,
                   bool is_private, bool is_pure) {
  Builder& builder = in_function(b);
  if (builder.in_dataflow()) raise_bad_argument("a function ends outside of dataflow blocks");
  FunctionOptions options;
  options.attrs = attrs_of(attrs);
  options.is_private = is_private;
  options.is_pure = is_pure;
  const Value leaf = placed(builder.normalize(result, here()));
  --b.functions;
  const Value f = placed(builder.end_function(leaf, std::move(options)));
  return b.functions > 0 ? f
                         : graph::make_global(name, f->type);  // a closure, or one of the module
}

Value emit(GraphBuilder& b, nb::object value, const std::string& name) {
  return placed(in_function(b).emit(value_of(value), name, here()));
}

Value emit_output(GraphBuilder& b, nb::object value, const std::string& name) {
  Builder& builder = in_dataflow(b);
  const Value given = value_of(value);
  const bool is_leaf = graph::is_leaf(given);
  const Value leaf = is_leaf ? placed(builder.normalize(given, here()))
                             : Value(placed(builder.emit(given, "", here())));
  return builder.emit_output(leaf, name, here());
}

Value match_cast(GraphBuilder& b, nb::object value, const Type& type, const std::string& name) {
  Builder& builder = in_function(b);
  const Value leaf = placed(builder.normalize(value_of(value), here()));
  return placed(builder.emit_match_cast(leaf, type, name, here()));
}

te::Tensor tensor_result(nb::handle object) {
  if (!nb::isinstance<te::Tensor>(object))
    raise_bad_argument("a tensor expression gave `" + class_name(object) +
                       "`, expected a `te.Tensor` or a tuple of them");
  return nb::cast<te::Tensor>(object);
}

// `formula` gets a te.Tensor for each value.
Value emit_te(GraphBuilder& b, const std::string& program, const std::vector<Value>& values,
              const nb::callable& formula, const std::string& name) {
  Builder& builder = in_function(b);
  std::vector<Value> operands;
  for (const Value& v : values) {
    operands.push_back(placed(builder.normalize(v, here())));
    const auto* type = graph::tensor_of(operands.back());
    if (!type || !type->shape || !type->dtype)
      raise_bad_argument("`" + program + "`: an operand of type `" +
                         to_string(operands.back()->type) +
                         "`, expected a tensor of known shape and dtype");
  }
  const Value call =
      placed(te::emit_te(builder, program, operands, [&](const std::vector<te::Tensor>& in) {
        nb::list tensors;
        for (const te::Tensor& t : in) tensors.append(nb::cast(t));
        const nb::object made = formula(*nb::tuple(tensors));
        std::vector<te::Tensor> out;
        if (PyTuple_Check(made.ptr()) || PyList_Check(made.ptr())) {
          for (const nb::handle item : nb::borrow<nb::sequence>(made))
            out.push_back(tensor_result(item));
        } else {
          out.push_back(tensor_result(made));
        }
        check_inputs(in, out);
        return out;
      }));
  return placed(builder.emit(call, name, here()));
}

// A program or a function under a free name; the value by which it is called.
Value add_function(GraphBuilder& b, nb::object function, const std::string& name) {
  Module& module = b.builder->module();
  if (nb::isinstance<tir::PrimFunc>(function))
    return graph::make_global(module.add_prim_func(name, nb::cast<tir::PrimFunc>(function)));
  if (!nb::isinstance<graph::Function>(function))
    raise_bad_argument("given `" + class_name(function) + "`, expected a function");
  const auto f = nb::cast<graph::Function>(function);
  const std::string global = module.fresh_name(name);
  module.set(global, f);
  return graph::make_global(global, f->type);
}

Module finish(GraphBuilder& b) {
  if (b.functions > 0) raise_bad_argument("a function has not ended");
  Module module = b.builder->module();
  const Diagnostics errors = verify(module, b.builder->ops());
  if (!errors.empty()) raise(errors);
  return module;
}

// What `rewrite` gives for each call takes its place: a value, or None to keep the call.
Module rewrite_calls(const Module& module, const nb::callable& rewrite) {
  return value_or_raise(rebuild_functions(
      module, standard_ops(),
      [&](Builder& builder, const graph::CallNode& call, const Span&) -> Result<Value> {
        GraphBuilder view;
        view.builder = &builder;
        view.functions = 1;
        const nb::object made =
            rewrite(nb::cast(&view, nb::rv_policy::reference), nb::cast(Value(&call)));
        return made.is_none() ? Value() : value_of(made);
      }));
}

}  // namespace

void bind_builder(nb::module_& m) {
  nb::class_<GraphBuilder>(m, "_Builder")
      .def(
          "__init__",
          [](GraphBuilder* self, std::optional<Module> base) {
            new (self) GraphBuilder;
            self->own = std::make_unique<Builder>(standard_ops(), base.value_or(Module()));
            self->builder = self->own.get();
          },
          nb::arg("base").none())
      .def("begin_function", &begin_function, nb::arg("name"), nb::arg("params"),
           nb::arg("attrs").none())
      .def("end_function", &end_function, nb::arg("name"), nb::arg("result"),
           nb::arg("attrs").none(), nb::arg("is_private"), nb::arg("is_pure"))
      .def("begin_dataflow",
           [](GraphBuilder& b) {
             if (in_function(b).in_dataflow())
               raise_bad_argument("a dataflow block inside a dataflow block");
             b.builder->begin_dataflow();
           })
      .def("end_dataflow", [](GraphBuilder& b) { in_dataflow(b).end_dataflow(); })
      .def_prop_ro(
          "in_dataflow",
          [](const GraphBuilder& b) { return b.functions > 0 && b.builder->in_dataflow(); })
      .def("emit", &emit)
      .def("emit_output", &emit_output)
      .def("match_cast", &match_cast)
      .def("emit_te", &emit_te)
      .def("normalize",
           [](GraphBuilder& b, nb::object value) {
             return placed(in_function(b).normalize(value_of(value), here()));
           })
      .def("begin_if",
           [](GraphBuilder& b, nb::object condition) {
             Builder& builder = in_function(b);
             builder.begin_if(placed(builder.normalize(value_of(condition), here())), here());
           })
      .def("begin_else",
           [](GraphBuilder& b, nb::object result) {
             Builder& builder = in_function(b);
             builder.begin_else(placed(builder.normalize(value_of(result), here())));
           })
      .def("end_if",
           [](GraphBuilder& b, nb::object result) -> Value {
             Builder& builder = in_function(b);
             return placed(builder.end_if(placed(builder.normalize(value_of(result), here()))));
           })
      .def("add_function", &add_function)
      .def("module", [](const GraphBuilder& b) { return b.builder->module(); })
      .def("finish", &finish);
  m.def("_rewrite_calls", &rewrite_calls);
}

}  // namespace repose::python
