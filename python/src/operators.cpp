// Calls of the graph's operators from Python: arguments by place and name, as the text has them.
#include <nanobind/stl/string.h>

#include <algorithm>

#include "arrays.h"
#include "errors.h"
#include "ops/ops.h"
#include "values.h"

namespace repose::python {

using graph::Value;

namespace {

bool is_number(nb::handle object) {
  return PyBool_Check(object.ptr()) || PyLong_Check(object.ptr()) || PyFloat_Check(object.ptr());
}

Value null_value() {
  return graph::make_op_call(op_null_value(), {});
}

// A scalar constant of the dtype of the tensors beside it.
Value constant_of(nb::handle number, DType dtype) {
  const Expr e = expr_of(number, dtype, "a constant");
  Ref<ArrayNode> array = make_array({}, dtype);
  if (const auto* i = as<IntImmNode>(e)) array->store(0, Scalar::of_int(i->value, dtype));
  if (const auto* x = as<FloatImmNode>(e)) array->store(0, Scalar::of_float(x->value, dtype));
  return graph::make_constant(Array(array));
}

// The dtype of a call that is not emitted yet, as a builder of its own infers it; none: it can't.
DType inferred_dtype(const Value& call) {
  std::vector<graph::Variable> params;
  std::vector<Value> waiting{call};
  while (!waiting.empty()) {
    const Value v = std::move(waiting.back());
    waiting.pop_back();
    if (const auto* variable = graph::as<graph::VariableNode>(v)) {
      const graph::Variable p(variable);
      if (std::find(params.begin(), params.end(), p) == params.end()) params.push_back(p);
    }
    graph::visit_operands(v, [&](const Value& operand) { waiting.push_back(operand); });
  }
  Builder builder(standard_ops());
  builder.begin_function("dtype", std::move(params));
  const Result<Value> typed = builder.infer_only(call);
  const auto* tensor = typed.ok() ? graph::tensor_of(*typed) : nullptr;
  return tensor ? tensor->dtype : DType{};
}

class OperatorCall {
 public:
  explicit OperatorCall(const OpDef& op) : op_(op), operands_(op.args.size()) {}

  Value make(const std::vector<nb::handle>& args, const nb::dict& named) {
    sort_positional(args);
    for (const auto& [key, value] : named) sort_keyword(nb::cast<std::string>(key), value);
    const bool has_number = std::any_of(operands_.begin(), operands_.end(), [](nb::handle given) {
      return given.is_valid() && is_number(given);
    });
    const DType like = has_number ? dtype_of_tensors() : DType{};
    std::vector<Value> values;
    for (size_t i = 0; i < operands_.size(); ++i) {
      values.push_back(operands_[i].is_valid() ? operand(op_.args[i], operands_[i], like)
                                               : nullptr);
    }
    if (takes_result_type() && values[1] && !graph::as<graph::TupleNode>(values[1]))
      values[1] = graph::make_tuple({values[1]});
    fill_left_out(values);
    for (const nb::handle more : further_) values.push_back(value_of(more));
    return graph::make_op_call(op_, std::move(values), std::move(attrs_), std::move(types_));
  }

 private:
  const OpDef& op_;
  std::vector<nb::handle> operands_;  // by place; invalid: left out
  std::vector<nb::handle> further_;
  Attrs attrs_;
  std::vector<Type> types_;

  [[noreturn]] void refuse(const std::string& text) const {
    raise_bad_argument("`" + std::string(op_.name) + "`: " + text);
  }
  bool takes_programs() const { return op_.name.starts_with("call_tir"); }
  bool takes_result_type() const { return takes_programs() || op_.name == "call_dps_packed"; }

  void take_types(nb::handle given) {
    if (nb::isinstance<Type>(given)) {
      types_ = {nb::cast<Type>(given)};
    } else if (PyTuple_Check(given.ptr()) || PyList_Check(given.ptr())) {
      for (const nb::handle item : nb::borrow<nb::sequence>(given)) {
        if (!nb::isinstance<Type>(item))
          refuse("given `" + class_name(item) + "`, expected a type");
        types_.push_back(nb::cast<Type>(item));
      }
      if (takes_result_type() && types_.size() > 1) types_ = {tuple_type(types_)};
    } else {
      refuse("given `" + class_name(given) + "`, expected a type");
    }
  }
  void take_attr(const AttrSpec& spec, nb::handle value) { attrs_.set(spec.name, attr_of(value)); }

  void sort_positional(const std::vector<nb::handle>& args) {
    size_t next_attr = 0;
    for (size_t place = 0; place < args.size(); ++place) {
      const nb::handle given = args[place];
      if (place < operands_.size()) {
        operands_[place] = given;
      } else if (takes_result_type()) {
        take_types(given);
      } else if (op_.variadic) {
        further_.push_back(given);
      } else if (next_attr < op_.attrs.size()) {
        take_attr(op_.attrs[next_attr++], given);
      } else {
        refuse("given " + std::to_string(args.size()) + " arguments, it takes " +
               std::to_string(operands_.size() + op_.attrs.size()));
      }
    }
  }

  void sort_keyword(const std::string& name, nb::handle value) {
    if (name == "out_sinfo" || name == "sinfo_args" || name == "out_ty" || name == "ty_args")
      return take_types(value);
    for (size_t i = 0; i < operands_.size(); ++i) {
      if (op_.args[i].name != name) continue;
      if (operands_[i].is_valid()) refuse("argument `" + name + "` is given twice");
      operands_[i] = value;
      return;
    }
    for (const AttrSpec& spec : op_.attrs) {
      if (spec.name != name) continue;
      if (attrs_.find(name)) refuse("argument `" + name + "` is given twice");
      return take_attr(spec, value);
    }
    std::string names;
    for (const ArgSpec& a : op_.args)
      names += (names.empty() ? "`" : ", `") + std::string(a.name) + "`";
    for (const AttrSpec& a : op_.attrs)
      names += (names.empty() ? "`" : ", `") + std::string(a.name) + "`";
    refuse("there is no argument `" + name + "`: there are " + (names.empty() ? "none" : names));
  }

  // Numbers take the dtype of the first tensor among the operands.
  DType dtype_of_tensors() const {
    for (size_t i = 0; i < operands_.size(); ++i) {
      if (op_.args[i].kind != ArgKind::tensor || !operands_[i].is_valid()) continue;
      if (!nb::isinstance<Value>(operands_[i])) continue;
      const Value v = nb::cast<Value>(operands_[i]);
      if (!v->type) return inferred_dtype(v);
      const auto* tensor = graph::tensor_of(v);
      if (tensor && tensor->dtype) return tensor->dtype;
    }
    return {};
  }

  Value operand(const ArgSpec& spec, nb::handle given, DType like) const {
    if (given.is_none()) return null_value();
    const bool is_list = PyTuple_Check(given.ptr()) || PyList_Check(given.ptr());
    const bool is_index = nb::isinstance<Expr>(given) || PyLong_Check(given.ptr());
    switch (spec.kind) {
      case ArgKind::shape:
        if (is_list) return graph::make_shape(dims_of(given, spec.name));
        if (is_index) return graph::make_shape({expr_of(given)});
        break;
      case ArgKind::prim:
        if (is_index || is_number(given)) {
          const DType dtype = PyFloat_Check(given.ptr())  ? dtypes::float64
                              : PyBool_Check(given.ptr()) ? dtypes::boolean
                                                          : dtypes::index;
          return graph::make_prim(expr_of(given, dtype, spec.name));
        }
        break;
      case ArgKind::dtype:
        if (PyUnicode_Check(given.ptr()))
          return make_ref<graph::DTypeNode>(dtype_named(nb::cast<std::string>(given)));
        break;
      case ArgKind::string:
        if (PyUnicode_Check(given.ptr()))
          return make_ref<graph::StringNode>(nb::cast<std::string>(given));
        break;
      case ArgKind::tensor:
        if (is_number(given)) {
          if (like) return constant_of(given, like);
          refuse("no tensor beside it tells the dtype of " + nb::cast<std::string>(nb::str(given)) +
                 ": write `repose.const(…, dtype)`");
        }
        break;
      default:
        break;
    }
    if (PyUnicode_Check(given.ptr()) && op_.name.ends_with("packed"))
      return make_ref<graph::ExternNode>(nb::cast<std::string>(given));
    return value_of(given);
  }

  // At the end they are absent, before others they are null values.
  void fill_left_out(std::vector<Value>& values) const {
    while (!values.empty() && !values.back() && op_.args[values.size() - 1].optional &&
           further_.empty()) {
      values.pop_back();
    }
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i]) continue;
      if (!op_.args[i].optional)
        refuse("its argument `" + std::string(op_.args[i].name) + "` is missing");
      values[i] = null_value();
    }
  }
};

Value call_operator(const std::string& name, const nb::args& args, const nb::kwargs& kwargs) {
  const OpDef* op = standard_ops().find(name);
  if (!op) raise_bad_argument("no operator is called `" + name + "`");
  return OperatorCall(*op).make({args.begin(), args.end()}, kwargs);
}

// What Python makes functions from: name, documentation, operands (name, whether it may be left
// out), attributes (name, whether it may be left out, default), whether more operands may follow.
nb::list operator_list() {
  nb::list operators;
  for (const OpDef* op : standard_ops().all()) {
    nb::list args, attrs;
    for (const ArgSpec& a : op->args) args.append(nb::make_tuple(a.name, a.optional));
    for (const AttrSpec& a : op->attrs)
      attrs.append(nb::make_tuple(a.name, a.absent.has_value(),
                                  a.absent ? as_object(*a.absent) : nb::none()));
    operators.append(nb::make_tuple(nb::str(op->name.data(), op->name.size()), op->doc, args, attrs,
                                    op->variadic));
  }
  return operators;
}

}  // namespace

Value call_binary(const char* name, nb::handle a, nb::handle b) {
  return OperatorCall(*standard_ops().find(name)).make({a, b}, nb::dict());
}

void bind_operators(nb::module_& m) {
  m.def("_call_operator", &call_operator);
  m.def("_operators", &operator_list);
}

}  // namespace repose::python
