// Tensor expressions in Python: placeholders, formulas per element, reductions, programs.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <functional>
#include <unordered_set>

#include "builder.h"
#include "errors.h"

namespace repose::python {

namespace {

// What a formula gives whose element is a sum (or another reduction) of `body` over the axes.
struct Reduction {
  te::Reducer reducer;
  Expr body;
  std::vector<const ReduceAxisNode*> axes;
  std::vector<Expr> held;  // the axes
};

Expr reduce_axis(nb::object range, const std::string& name) {
  Dims ends;
  if (PyTuple_Check(range.ptr()) || PyList_Check(range.ptr())) {
    ends = dims_of(range, "reduce_axis");
    if (ends.size() != 2) raise_bad_argument("reduce_axis: a range is a pair of limits");
  } else {
    ends = {make_int(0), expr_of(range, dtypes::index, "reduce_axis")};
  }
  return make_ref<ReduceAxisNode>(name, ends[0], ends[1] - ends[0]);
}

Reduction make_reduction(const std::string& kind, nb::object body, nb::object axis) {
  static constexpr std::pair<const char*, te::Reducer> kinds[] = {{"sum", te::Reducer::sum},
                                                                  {"prod", te::Reducer::prod},
                                                                  {"max", te::Reducer::max},
                                                                  {"min", te::Reducer::min}};
  Reduction r{te::Reducer::none, expr_of(body, DType{}, kind.c_str()), {}, {}};
  for (const auto& [name, reducer] : kinds) {
    if (kind == name) r.reducer = reducer;
  }
  nb::list axes;
  if (PyTuple_Check(axis.ptr()) || PyList_Check(axis.ptr())) {
    for (const nb::handle item : nb::borrow<nb::sequence>(axis)) axes.append(item);
  } else {
    axes.append(axis);
  }
  for (const nb::handle item : axes) {
    const Expr e = nb::isinstance<Expr>(item) ? nb::cast<Expr>(item) : nullptr;
    const auto* node = dynamic_cast<const ReduceAxisNode*>(e.get());
    if (!node)
      raise_bad_argument(kind + ": `axis` is what `te.reduce_axis` gives, or a list of these");
    r.axes.push_back(node);
    r.held.push_back(e);
  }
  const DType dtype = r.body->dtype;
  if (dtype.is_index() || dtype.is_handle() || !dtype || (dtype.is_bool() && kind == "sum"))
    raise_bad_argument(kind + ": elements of dtype `" + dtype.to_string() +
                       "`, expected those of a tensor");
  return r;
}

// The reduction with other axes: those of the tensor, from 0.
te::Tensor reduced(const Dims& shape, const Reduction& r, const std::vector<Expr>& axes,
                   const std::string& name) {
  Dims extents;
  for (const ReduceAxisNode* axis : r.axes) extents.push_back(axis->extent);
  return te::reduce(
      shape, r.reducer, extents,
      [&](const te::Indices& i, const te::Indices& k) {
        VarMap map;
        for (size_t d = 0; d < axes.size(); ++d) map.emplace(as<VarNode>(axes[d]), i[d]);
        for (size_t d = 0; d < r.axes.size(); ++d) map.emplace(r.axes[d], r.axes[d]->least + k[d]);
        return substitute(r.body, map);
      },
      name);
}

void refuse_free_axes(const te::Tensor& t) {
  for (const Var& v : free_vars(t->body)) {
    if (!dynamic_cast<const ReduceAxisNode*>(v.get())) continue;
    raise_bad_argument("`" + t->name + "` mentions the axis `" + v->name +
                       "` outside of a reduction over it");
  }
}

te::Tensor compute(nb::object extents, const nb::callable& formula, const std::string& name) {
  const Dims shape = dims_of(extents, "compute");
  nb::list indices;
  std::vector<Expr> axes;
  for (size_t d = 0; d < shape.size(); ++d) {
    axes.push_back(make_var("i" + std::to_string(d), dtypes::index, VarRole::loop));
    indices.append(nb::cast(axes.back()));
  }
  const nb::object element = formula(*nb::tuple(indices));
  te::Tensor made;
  if (nb::isinstance<Reduction>(element)) {
    made = reduced(shape, nb::cast<const Reduction&>(element), axes, name);
  } else {
    const Expr body = expr_of(element, DType{}, name.c_str());
    if (body->dtype.is_index() || body->dtype.is_handle())
      raise_bad_argument("`" + name + "`: elements of dtype `" + body->dtype.to_string() +
                         "`: cast them (`astype`)");
    made = te::compute(
        shape,
        [&](const te::Indices& i) {
          VarMap map;
          for (size_t d = 0; d < axes.size(); ++d) map.emplace(as<VarNode>(axes[d]), i[d]);
          return substitute(body, map);
        },
        name);
  }
  refuse_free_axes(made);
  return made;
}

Expr element(const te::Tensor& t, const std::vector<nb::object>& indices) {
  if (indices.size() != static_cast<size_t>(t.rank()))
    raise_bad_argument("`" + t->name + "` has " + std::to_string(t.rank()) + " dimensions, " +
                       std::to_string(indices.size()) + " indices are given");
  te::Indices index;
  for (const nb::object& i : indices) {
    Expr e = expr_of(i, dtypes::index, "an index");
    if (e->dtype.is_data_int()) e = make_cast(dtypes::index, e);
    if (!e->dtype.is_index())
      raise_bad_argument("an index of `" + t->name + "` has dtype `" + e->dtype.to_string() + "`");
    index.push_back(e);
  }
  return t(std::move(index));
}

std::vector<nb::object> subscripts(nb::object index) {
  if (!PyTuple_Check(index.ptr())) return {index};
  std::vector<nb::object> all;
  for (const nb::handle item : nb::borrow<nb::tuple>(index)) all.push_back(nb::borrow(item));
  return all;
}

tir::PrimFunc create_prim_func(const std::vector<te::Tensor>& tensors) {
  std::vector<te::Tensor> inputs, outputs;
  for (const te::Tensor& t : tensors) {
    if (t->is_placeholder() && !outputs.empty())
      raise_bad_argument("create_prim_func: the inputs come first");
    (t->is_placeholder() ? inputs : outputs).push_back(t);
  }
  if (outputs.empty()) raise_bad_argument("create_prim_func: no tensor is computed");
  check_inputs(inputs, outputs);
  const tir::PrimFunc f = te::make_program(inputs, outputs).func;
  return tir::make_prim_func(f->params, f->body, false, f->attrs, f->span);
}

}  // namespace

void check_inputs(const std::vector<te::Tensor>& inputs, const std::vector<te::Tensor>& outputs) {
  std::unordered_set<const BufferNode*> known;
  for (const te::Tensor& t : inputs) known.insert(t.node().get());
  std::vector<const te::TensorNode*> waiting;
  const auto add = [&](const te::TensorNode* t) {
    if (!known.insert(t).second) return;
    if (t->is_placeholder())
      raise_bad_argument("the placeholder `" + t->name + "` is not among the inputs");
    waiting.push_back(t);
  };
  for (const te::Tensor& t : outputs) add(t.node().get());
  while (!waiting.empty()) {
    const te::TensorNode* t = waiting.back();
    waiting.pop_back();
    visit(t->body, [&](const Expr& e) {
      if (const auto* load = as<LoadNode>(e))
        add(dynamic_cast<const te::TensorNode*>(load->buffer.get()));
      return true;
    });
  }
}

void bind_te(nb::module_& m) {
  nb::class_<Reduction>(m, "Reduction", "The whole element of a `te.compute`: a reduction.")
      .def_prop_ro("dtype", [](const Reduction& r) { return r.body->dtype.to_string(); });
  nb::class_<te::Tensor>(m, "TETensor", "A tensor of an expression: given, or computed.")
      .def("__getitem__",
           [](const te::Tensor& t, nb::object index) { return element(t, subscripts(index)); })
      .def("__call__",
           [](const te::Tensor& t, const nb::args& indices) {
             std::vector<nb::object> all;
             for (const nb::handle i : indices) all.push_back(nb::borrow(i));
             return element(t, all);
           })
      .def_prop_ro("shape", [](const te::Tensor& t) { return as_tuple(t.shape()); })
      .def_prop_ro("dtype", [](const te::Tensor& t) { return t.dtype().to_string(); })
      .def_prop_ro("ndim", &te::Tensor::rank)
      .def_prop_ro("name", [](const te::Tensor& t) { return t->name; })
      .def("__repr__", [](const te::Tensor& t) {
        return "te.Tensor(" + t->name + ": " + t.dtype().to_string() + to_string(t.shape()) + ")";
      });
  m.def("_placeholder", [](nb::object shape, const std::string& dtype, const std::string& name) {
    return te::placeholder(dims_of(shape, "placeholder"), dtype_named(dtype), name);
  });
  m.def("_compute", &compute);
  m.def("_reduce_axis", &reduce_axis);
  m.def("_reduction", &make_reduction);
  m.def("_create_prim_func", &create_prim_func);
}

}  // namespace repose::python
