// Expressions, types and values of the IR in Python, and what Python's own objects stand for where
// one of these is called for.
#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <vector>

#include "ir/module.h"
#include "te/te.h"

namespace repose::python {

namespace nb = nanobind;

// Where Python's code outside of this package stands: a file and a line, for diagnostics.
Span here();
std::string class_name(nb::handle object);  // "list"

// An axis that a sum or the like runs over: a variable with a range, which begins at `least`.
struct ReduceAxisNode : VarNode {
  const Expr least, extent;
  ReduceAxisNode(std::string name, Expr least, Expr extent)
      : VarNode(std::move(name), dtypes::index, VarRole::loop),
        least(std::move(least)),
        extent(std::move(extent)) {}
};

// An expression, an int or a float; a number takes `dtype` (none: index or float32). `what` names
// it in errors.
Expr expr_of(nb::handle object, DType dtype = dtypes::index, const char* what = "a dimension");
Dims dims_of(nb::handle sequence, const char* what = "a shape");
nb::object as_object(const Expr& e);  // an int where it is a constant index
nb::tuple as_tuple(const Dims& dims);
DType dtype_named(const std::string& name);
Attr attr_of(nb::handle object);
Attrs attrs_of(nb::handle dictionary);  // None: none
nb::object as_object(const Attr& attr);

// A value of the graph, a tuple or list of them, or an array, which becomes a constant.
graph::Value value_of(nb::handle object);

// A call of an operator of two operands, of which one may be a number.
graph::Value call_binary(const char* name, nb::handle a, nb::handle b);

void bind_expressions(nb::module_& m);
void bind_values(nb::module_& m);     // types, values, functions
void bind_operators(nb::module_& m);  // calls of operators
void bind_builder(nb::module_& m);
void bind_te(nb::module_& m);
void bind_schedule(nb::module_& m);

}  // namespace repose::python
