// Scalar expressions in Python: symbols, arithmetic, functions.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cmath>
#include <functional>

#include "errors.h"
#include "expr/facts.h"
#include "script/operator_names.h"
#include "values.h"

namespace repose::python {

namespace {

[[noreturn]] void refuse_dtypes(const std::string& what, const Expr& a, const Expr& b) {
  raise_bad_argument("`" + what + "` of operands of dtype `" + a->dtype.to_string() + "` and `" +
                     b->dtype.to_string() + "`: cast one of them (`astype`)");
}

// Both of one dtype: numbers take that of the expression, an index that of a data integer.
std::pair<Expr, Expr> operands(const std::string& what, nb::handle x, nb::handle y) {
  const bool has_left = nb::isinstance<Expr>(x);
  Expr a = has_left ? nb::cast<Expr>(x) : nullptr;
  Expr b = expr_of(y, a ? a->dtype : DType{}, what.c_str());
  if (!a) a = expr_of(x, b->dtype, what.c_str());
  if (a->dtype == b->dtype) return {a, b};
  if (a->dtype.is_index() && b->dtype.is_data_int()) return {make_cast(b->dtype, a), b};
  if (b->dtype.is_index() && a->dtype.is_data_int()) return {a, make_cast(a->dtype, b)};
  refuse_dtypes(what, a, b);
}

bool takes(ExprKind kind, DType dtype) {
  if (dtype.is_handle() || !dtype) return false;
  if (is_compare(kind)) return true;
  if (is_logic(kind)) return dtype.is_bool();
  switch (kind) {
    case ExprKind::floor_div:
    case ExprKind::floor_mod:
    case ExprKind::bit_and:
    case ExprKind::bit_or:
    case ExprKind::bit_xor:
    case ExprKind::shift_left:
    case ExprKind::shift_right:
      return dtype.is_any_int();
    case ExprKind::div:
    case ExprKind::mod:
      return dtype.is_float() || dtype.is_data_int();
    default:
      return !dtype.is_bool();
  }
}

Expr binary(ExprKind kind, nb::handle x, nb::handle y) {
  const char* spelling = kind_spelling(kind);
  auto [a, b] = operands(spelling, x, y);
  if (a->dtype.is_bool()) {
    if (kind == ExprKind::bit_and) kind = ExprKind::logical_and;
    if (kind == ExprKind::bit_or) kind = ExprKind::logical_or;
    if (kind == ExprKind::bit_xor) kind = ExprKind::ne;
  }
  if (!takes(kind, a->dtype)) {
    raise_bad_argument("`" + std::string(spelling) + "` of `" + a->dtype.to_string() + "`" +
                       (kind == ExprKind::div ? ": integers and indices have `//`" : ""));
  }
  return make_binary(kind, a, b);
}

Expr power(nb::handle x, nb::handle y) {
  auto [a, b] = operands("**", x, y);
  if (!a->dtype.is_index()) return make_call(Intrinsic::pow, a, b);
  int64_t exponent = 0;
  if (!as_const_int(b, &exponent) || exponent < 0 || exponent > 64)
    raise_bad_argument("`**` of an index: the exponent is a number from 0 to 64");
  Expr result = make_int(1);
  for (int64_t i = 0; i < exponent; ++i) result = result * a;
  return result;
}

Expr negated(const Expr& e) {
  if (!takes(ExprKind::sub, e->dtype)) raise_bad_argument("`-` of `" + e->dtype.to_string() + "`");
  return e->dtype.is_float() ? e * make_float(-1, e->dtype) : make_int(0, e->dtype) - e;
}

Expr cast_to(const Expr& e, const std::string& name) {
  const DType dtype = dtype_named(name);
  if (!dtype || dtype.is_handle() || e->dtype.is_handle() || e->kind == ExprKind::string_imm)
    raise_bad_argument("a `" + e->dtype.to_string() + "` is not cast to `" + name + "`");
  return make_cast(dtype, e);
}

Expr choice(nb::handle condition, nb::handle a, nb::handle b, bool lazy) {
  const Expr test = expr_of(condition, dtypes::boolean, "a condition");
  if (!test->dtype.is_bool())
    raise_bad_argument("a condition of dtype `" + test->dtype.to_string() + "`, expected bool");
  auto [x, y] = operands(lazy ? "if_then_else" : "Select", a, b);
  return lazy ? make_if_then_else(test, x, y) : make_select(test, x, y);
}

// A function of expressions by its name in text, "exp", or that of an operator, "max".
Expr call_function(const std::string& name, const nb::args& args) {
  if (const auto kind = script::operator_of_function(name)) {
    if (args.size() != 2) raise_bad_argument("`" + name + "` takes 2 operands");
    return binary(*kind, args[0], args[1]);
  }
  Intrinsic intrinsic{};
  if (!find_intrinsic(name, &intrinsic)) raise_bad_argument("no function is called `" + name + "`");
  const auto arity = static_cast<size_t>(intrinsic_arity(intrinsic));
  if (args.size() != arity)
    raise_bad_argument("`" + name + "` takes " + std::to_string(arity) + " operands, given " +
                       std::to_string(args.size()));
  std::vector<Expr> operands;
  for (const nb::handle arg : args) {
    operands.push_back(expr_of(arg, operands.empty() ? DType{} : operands[0]->dtype, name.c_str()));
    if (operands.back()->dtype != operands[0]->dtype)
      refuse_dtypes(name, operands[0], operands.back());
  }
  const DType dtype = operands[0]->dtype;
  const bool integers = intrinsic == Intrinsic::pow || intrinsic == Intrinsic::abs;
  const bool bits = intrinsic == Intrinsic::popcount || intrinsic == Intrinsic::clz;
  if (!(dtype.is_float() && !bits) && !((integers || bits) && dtype.is_any_int()))
    raise_bad_argument("`" + name + "` of `" + dtype.to_string() + "`");
  const bool to_bool = name.starts_with("is");
  return make_call(intrinsic, to_bool ? dtypes::boolean : dtype, std::move(operands));
}

Expr constant(nb::handle value, const std::string& dtype) {
  return expr_of(value, dtype_named(dtype), "a constant");
}

Var symbol(const std::string& name, const std::string& role, const std::string& dtype) {
  if (name.empty()) raise_bad_argument("a symbol without a name");
  return make_var(name, dtype.empty() ? dtypes::index : dtype_named(dtype),
                  role == "value" ? VarRole::value : VarRole::dimension);
}

nb::object truth(const Expr& e) {
  int64_t value = 0;
  if (as_const_int(canonical(e), &value)) return nb::bool_(value != 0);
  PyErr_SetString(PyExc_TypeError, ("`" + to_string(e) +
                                    "` is neither true nor false before the symbols have "
                                    "values")
                                       .c_str());
  throw nb::python_error();
}

bool same(const Expr& a, nb::handle other) {
  if (!nb::isinstance<Expr>(other) && !PyLong_Check(other.ptr()) && !PyFloat_Check(other.ptr()))
    return false;
  if (PyFloat_Check(other.ptr()) && !a->dtype.is_float()) return false;
  const Expr b = expr_of(other, a->dtype);
  return a->dtype == b->dtype && structural_equal(canonical(a), canonical(b));
}

template <ExprKind kind>
void operation(nb::class_<Expr>& type, const char* name, const char* reflected) {
  type.def(
      name, [](const Expr& a, nb::object b) { return binary(kind, nb::cast(a), b); },
      nb::is_operator());
  if (reflected)
    type.def(
        reflected, [](const Expr& a, nb::object b) { return binary(kind, b, nb::cast(a)); },
        nb::is_operator());
}

}  // namespace

void bind_expressions(nb::module_& m) {
  nb::class_<Expr> type(m, "Expr",
                        "A scalar expression: a symbol, a dimension, an element of a tensor. "
                        "`==` compares as the compiler does; comparisons as expressions are "
                        "`<`, `<=`, `>`, `>=`, and `tir.EQ`.");
  operation<ExprKind::add>(type, "__add__", "__radd__");
  operation<ExprKind::sub>(type, "__sub__", "__rsub__");
  operation<ExprKind::mul>(type, "__mul__", "__rmul__");
  operation<ExprKind::div>(type, "__truediv__", "__rtruediv__");
  operation<ExprKind::floor_div>(type, "__floordiv__", "__rfloordiv__");
  operation<ExprKind::floor_mod>(type, "__mod__", "__rmod__");
  operation<ExprKind::bit_and>(type, "__and__", "__rand__");
  operation<ExprKind::bit_or>(type, "__or__", "__ror__");
  operation<ExprKind::bit_xor>(type, "__xor__", "__rxor__");
  operation<ExprKind::shift_left>(type, "__lshift__", "__rlshift__");
  operation<ExprKind::shift_right>(type, "__rshift__", "__rrshift__");
  operation<ExprKind::lt>(type, "__lt__", nullptr);
  operation<ExprKind::le>(type, "__le__", nullptr);
  operation<ExprKind::gt>(type, "__gt__", nullptr);
  operation<ExprKind::ge>(type, "__ge__", nullptr);
  type.def("__pow__", [](const Expr& a, nb::object b) { return power(nb::cast(a), b); })
      .def("__rpow__", [](const Expr& a, nb::object b) { return power(b, nb::cast(a)); })
      .def("__neg__", &negated)
      .def(
          "__eq__", [](const Expr& a, nb::object b) { return same(a, b); }, nb::arg().none())
      .def("__hash__", [](const Expr& a) { return canonical(a)->hash() >> 1; })
      .def("__bool__", &truth)
      .def("__str__", [](const Expr& e) { return to_string(e); })
      .def("__repr__", [](const Expr& e) { return to_string(e); })
      .def("astype", &cast_to, nb::arg("dtype"), "The expression cast to a dtype.")
      .def_prop_ro("dtype", [](const Expr& e) { return e->dtype.to_string(); })
      .def_prop_ro("name", [](const Expr& e) -> std::optional<std::string> {
        if (const auto* v = as<VarNode>(e)) return v->name;
        return std::nullopt;
      });
  m.def("_symbol", [](const std::string& name, const std::string& role, const std::string& dtype) {
    return Expr(symbol(name, role, dtype));
  });
  m.def("_constant", &constant);
  m.def("_function", &call_function);
  m.def("_choice", &choice);
}

}  // namespace repose::python
