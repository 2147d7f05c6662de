// Wrong texts: where the error points, what it says, and that reading goes on after it.
#include <gtest/gtest.h>

#include <random>

#include "script/parser.h"
#include "script/printer.h"
#include "small_ops.h"

namespace repose {
namespace {

Diagnostics errors_of(const std::string& text) {
  Result<Module> m = parse_module(make_text_source("t", text), small_ops());
  return m.ok() ? Diagnostics{} : m.errors();
}

struct Case {
  const char* text;
  int line, column;
  const char* message;  // a part of it
};

// In a graph function of x: (n,), y: (m,), c: a bool, t: a tuple.
std::string graph_with(const std::string& body) {
  return "@R.function\ndef main(x: R.Tensor((\"n\",), \"float32\"), y: R.Tensor((\"m\",), "
         "\"float32\"), "
         "c: R.Tensor((), \"bool\"), t: R.Tuple(R.Tensor((2,), \"int8\"))):\n" +
         body;
}
// In a program of A: (n, 4) float32, I: (8,) int64, n an index.
std::string program_with(const std::string& body) {
  return "@T.prim_func\ndef main(A: T.Buffer((\"n\", 4), \"float32\"), I: T.Buffer((8,), "
         "\"int64\")):\n"
         "    n = T.int64()\n" +
         body;
}

void expect_error(const std::string& text, int line, int column, const std::string& message) {
  Diagnostics errors = errors_of(text);
  ASSERT_FALSE(errors.empty()) << "no error in\n" << text;
  EXPECT_EQ(errors[0].span.line, line) << to_string(errors);
  EXPECT_EQ(errors[0].span.column, column) << to_string(errors);
  EXPECT_NE(errors[0].text.find(message), std::string::npos) << to_string(errors);
  EXPECT_EQ(errors.size(), 1U) << to_string(errors);
}

TEST(Errors, HaveTheirKinds) {
  EXPECT_EQ(errors_of("x = 3\n").at(0).kind, DiagnosticKind::syntax);
  EXPECT_EQ(errors_of(graph_with("    return t[5]\n")).at(0).kind, DiagnosticKind::bad_argument);
}

TEST(Errors, FunctionAttributes) {
  expect_error(graph_with("    R.func_attr({\"tir_var_divisor\": {\"n\": 0}})\n    return x\n"), 3,
               5, "`tir_var_divisor` of `n` is 0, expected at least 1");
  expect_error(graph_with("    R.func_attr({\"tir_var_lower_bound\": {\"n\": 9}, "
                          "\"tir_var_upper_bound\": {\"n\": 3}})\n    return x\n"),
               3, 5, "no value of `n` lies in its declared range");
  expect_error(graph_with("    R.func_attr({\"relax.force_pure\": 3})\n    return x\n"), 3, 5,
               "`relax.force_pure` is no bool");
}

TEST(Errors, Files) {
  for (const Case& c : std::initializer_list<Case>{
           {"x = 3\n", 1, 1, "expected a module or a function"},
           {"def f():\n    return 1\n", 1, 1, "expected `@R.function` or `@T.prim_func`"},
           {"class M:\n    pass\n", 1, 1, "expected `@I.ir_module`"},
           {"@I.ir_module\nclass M:\n    x = 3\n", 3, 5, "expected a function"},
           {"@I.ir_module\nclass M:\n    I.module_attrs(3)\n", 3, 20, "expected a dictionary"},
           {"@I.ir_module\nclass M:\n", 3, 1, "expected an indented block"},
           {"    x\n", 1, 5, "unexpected indentation"},
           {"@R.function\nx = 3\n", 2, 1, "expected `def` or `class`"},
           {"@R.function\ndef 3():\n    return 1\n", 2, 5, "expected a name"},
           {"@R.function\ndef f(x: R.Tensor, x: R.Tensor):\n    return x\n", 2, 20, "given twice"},
           {"@R.function\ndef f(x):\n    return x\n", 2, 7, "needs a type"},
           {"@R.function\ndef f(x: R.Tensr((2,), \"int8\")):\n    return x\n", 2, 10,
            "did you mean `R.Tensor`"},
           {"@R.function\ndef f(x: R.Tensor((2,), \"int9\")):\n    return x\n", 2, 25,
            "`int9` is no dtype"},
           {"@R.function\ndef f(x: R.Tensor((\"n +\",), \"int8\")):\n    return x\n", 2, 24,
            "expected an expression"},
           {"@R.function\ndef f(x: R.Tensor((\"n * 2\",), \"int8\")):\n    return x\n", 2, 21,
            "unknown name `n`"},
           {"@R.function\ndef f(x: R.Tensor((-2,), \"int8\")):\n    return x\n", 2, 20,
            "a negative dimension"},
           {"@R.function\ndef f(x: R.Tensor((2,), ndim=3)):\n    return x\n", 2, 10, "`ndim=3`"},
           {"@R.function\ndef f(x: R.Tensor((2,), dtyp=\"int8\")):\n    return x\n", 2, 25,
            "did you mean `dtype`"},
       }) {
    SCOPED_TRACE(c.text);
    expect_error(c.text, c.line, c.column, c.message);
  }
}

TEST(Errors, GraphFunctions) {
  for (const Case& c : std::initializer_list<Case>{
           {"    y = R.reluu(x)\n    return y\n", 3, 9,
            "unknown operator `R.reluu`, did you mean `relu`?"},
           {"    y = R.nn.reluu(x)\n    return y\n", 3, 9,
            "unknown operator `R.nn.reluu`, did you mean `relu`?"},
           {"    y = R.image.blur(x)\n    return y\n", 3, 9, "unknown operator `R.image.blur`"},
           {"    y = tirx.z\n    return y\n", 3, 9, "unknown name `tirx.z`"},
           {"    y = R.prim_value(T.Ramp(0, 1, 4))\n    return y\n", 3, 22,
            "a prim value is a number"},
           {"    y = R.shape([T.Ramp(0, 1, 4)])\n    return y\n", 3, 18,
            "a vector of dtype `indexx4`, expected a scalar"},
           {"    y = R.const([inf, x], \"float32\")\n    return y\n", 3, 23, "expected a number"},
           {"    return z\n", 3, 12, "unknown name `z`"},
           {"    y = R.add(x)\n    return y\n", 3, 9, "needs its argument `b`"},
           {"    y = R.relu(x, x)\n    return y\n", 3, 19, "too many arguments of `R.relu`"},
           {"    y = R.sum(x, axes=[0])\n    return y\n", 3, 18,
            "no argument `axes`, did you mean `axis`?"},
           {"    y = R.sum(x, axis=[0], axis=[1])\n    return y\n", 3, 28, "given twice"},
           {"    y = R.sum(axis=[0], x)\n    return y\n", 3, 25, "positional argument after"},
           {"    y = cls.other(x)\n    return y\n", 3, 9, "no function `other`"},
           {"    y = R.add(x, 2\n    return y\n", 4, 5, "expected `)`"},
           {"    y = \"abc\n    return x\n", 3, 9, "a string that doesn't end"},
           {"    y = R.const([[1, 2], [3]], \"int32\")\n    return y\n", 3, 17, "differ in length"},
           {"    y = R.const(300, \"uint8\")\n    return y\n", 3, 17, "`300` doesn't fit `uint8`"},
           {"    y = R.const(1e400, \"float32\")\n    return y\n", 3, 17,
            "`1e400` doesn't fit `float32`"},
           {"    y = R.const(1e39)\n    return y\n", 3, 17, "`1e39` doesn't fit `float32`"},
           {"    y = R.const([1, -70000.0], \"float16\")\n    return y\n", 3, 21,
            "`-70000.0` doesn't fit `float16`"},
           {"    y = R.const(70000, \"float16\")\n    return y\n", 3, 17,
            "`70000` doesn't fit `float16`"},
           {"    y = R.scale(x, factor=1e400)\n    return y\n", 3, 27,
            "`1e400` doesn't fit `float64`"},
           {"    y = R.prim_value(T.float32(1e39))\n    return y\n", 3, 32,
            "`1e39` doesn't fit `float32`"},
           {"    y = R.prim_value(T.int32(1e400))\n    return y\n", 3, 30,
            "`1e400` doesn't fit `float64`"},
           {"    y = R.prim_value(T.float32(\"1e39\"))\n    return y\n", 3, 32,
            "`1e39` doesn't fit `float32`"},
           {"    y = R.prim_value(T.float64(\"1e400\"))\n    return y\n", 3, 32,
            "`1e400` doesn't fit `float64`"},
           {"    y = R.const(1.5, \"int32\")\n    return y\n", 3, 17, "floating-point literal"},
           {"    y = R.weight(\"w\", R.Tensor((2,), \"int8\"))\n    return y\n", 3, 9,
            "no weight `w`"},
           {"    y = metadata[\"relax.expr.Constant\"][0]\n    return y\n", 3, 9, "metadata"},
           {"    y = t[1]\n    return y\n", 3, 11, "item 1 of a tuple with 1 members"},
           {"    y = x[0]\n    return y\n", 3, 9, "takes an item of a tuple"},
           {"    a, b = t\n    return a\n", 3, 5, "2 names for a value of type"},
           {"    k = T.int64()\n    y = R.reshape(x, (k,))\n    return y\n", 4, 23,
            "`k` is used before"},
           {"    y: R.Tensor((3,), \"int8\") = x\n    return y\n", 3, 8, "its annotation says"},
           {"    y: R.Tensor((k,), \"float32\") = x\n    return y\n", 3, 18, "unknown name `k`"},
           {"    y = x\n", 3, 5, "doesn't end with `return`"},
           {"    return x\n    return y\n", 3, 5, "nothing follows"},
           {"    if c:\n        y = x\n    return y\n", 3, 5, "both branches"},
           {"    if c:\n        y = x\n    else:\n        z = x\n    return x\n", 3, 5,
            "found `y` and `z`"},
           {"    if x:\n        y = x\n    else:\n        y = x\n    return y\n", 3, 8,
            "expected a bool of rank 0"},
           {"    with R.dataflow():\n        if c:\n            y = x\n        else:\n            "
            "y = x\n        R.output(y)\n    return x\n",
            4, 9, "inside a dataflow block"},
           {"    with R.dataflow():\n        y = x\n        R.output(z)\n    return x\n", 5, 9,
            "doesn't bind"},
           {"    with R.dataflow():\n        w = R.relu(x)\n        R.output()\n    return w\n", 6,
            12, "unknown name `w`"},
           {"    for i in range(3):\n        y = x\n    return x\n", 3, 5,
            "doesn't belong in a graph function"},
           {"    y = R.match_cast(x)\n    return x\n", 3, 9, "takes a value and a type"},
           {"    y = R.call_tir(cls.main, (x,), R.Tensor((2,), \"int8\"))\n    return x\n", 3, 20,
            ""},
           {"    y = 1 < 2 < 3\n    return x\n", 3, 15, "comparisons don't chain"},
           {"    y = R.add(x, x) $\n    return x\n", 3, 21, "not part of the language"},
           {"    y = R.add(x, x) x\n    return x\n", 3, 21, "expected the end of the statement"},
           {"      y = x\n     z = x\n    return x\n", 4, 6, "matches no block"},
           {"    y = 12ab\n    return x\n", 3, 9, "`12ab` is no number"},
           {"    y = R.str(\"\\q\")\n    return x\n", 3, 15, "escape"},
       }) {
    SCOPED_TRACE(c.text);
    Diagnostics errors = errors_of(graph_with(c.text));
    ASSERT_FALSE(errors.empty());
    EXPECT_EQ(errors[0].span.line, c.line) << to_string(errors);
    EXPECT_EQ(errors[0].span.column, c.column) << to_string(errors);
    EXPECT_NE(errors[0].text.find(c.message), std::string::npos) << to_string(errors);
  }
}

TEST(Errors, TensorPrograms) {
  for (const Case& c : std::initializer_list<Case>{
           {"    A[0, 0] = x\n", 4, 15, "unknown name `x`"},
           {"    A[0] = T.float32(1)\n", 4, 5, "has 2 dimensions, 1 indices"},
           {"    B[0] = T.float32(1)\n", 4, 5, "unknown buffer `B`"},
           {"    A[0, 0] = I[0]\n", 4, 15, "`int64` where `float32` is expected"},
           {"    A[0, 0] = A[0, 0] + I[0]\n", 4, 23, "operands of dtypes `float32` and `int64`"},
           {"    A[0, 0] = T.expp(A[0, 0])\n", 4, 15, "did you mean `exp`"},
           {"    A[0, 0] = T.exp(A[0, 0], 1)\n", 4, 15, "takes 1 arguments, 2"},
           {"    A[0, 0] = T.exp(I[0])\n", 4, 15, "of a value of dtype `int64`"},
           {"    I[0] = 99999999999999999999\n", 4, 12, "doesn't fit `int64`"},
           {"    I[0] = 1.5\n", 4, 12, "floating-point literal"},
           {"    for i in rang(3):\n        I[i] = 1\n", 4, 14, "expected `range`"},
           {"    for i, j in T.grid(3):\n        I[i] = 1\n", 4, 5,
            "2 loop variables for 1 extents"},
           {"    for i in T.serial(3, step=2):\n        I[i] = 1\n", 4, 26, "a loop has no `step`"},
           {"    with T.blok(\"b\"):\n        I[0] = 1\n", 4, 10, "expected `T.block`"},
           {"    with T.block(\"b\"):\n        v = T.axis.spatal(8, 0)\n        I[v] = 1\n", 5, 13,
            "did you mean `spatial`"},
           {"    with T.block(\"b\"):\n        v = T.axis.remap(\"SX\", [n, n])\n        I[v] = "
            "1\n",
            5, 13, "T.axis.remap"},
           {"    with T.block(\"b\"):\n        T.reads(Z[0])\n        I[0] = 1\n", 5, 17,
            "unknown buffer `Z`"},
           {"    T.reads(I[0])\n", 4, 5, "belongs in a block"},
           {"    for i in range(T.Ramp(0, 1, 4)):\n        I[0] = 1\n", 4, 20, "expected a scalar"},
           {"    for i, j, k in range(1, 2, 3):\n        I[i] = 1\n", 4, 5,
            "3 loop variables for 0 extents"},
           {"    with T.declare_buffer() as B:\n        I[0] = 1\n", 4, 5,
            "`T.declare_buffer` takes a handle and a shape"},
           {"    with T.LetStmt(3):\n        I[0] = 1\n", 4, 5, "expected `as` and a name"},
           {"    B = T.decl_buffer((4,), \"int64\", data=n)\n", 4, 43, "expected a handle"},
           {"    if n > 0: I[0] = 1; I[0] = x\n", 4, 32, "unknown name `x`"},
           {"    if n > 0: I[0] = 1; if n > 1: I[0] = 2\n", 4, 25, "expected an expression"},
           {"    if n > 0:\n        I[0] = (\n    elif n > 1:\n        I[0] = 2\n    else:\n"
            "        I[0] = 3\n",
            6, 5, "expected an expression"},
           {"    L = T.alloc_buffer((2,), \"float32\", scope=\"texture\")\n", 4, 47,
            "expected the scope"},
           {"    k = T.int64()\n    I[k] = 1\n", 5, 7, "no dimension of a buffer binds it"},
           {"    A[0, 0] = not A[0, 0]\n", 4, 19, "a condition of dtype `float32`"},
           {"    if A[0, 0]:\n        I[0] = 1\n", 4, 8, "a condition of dtype"},
           {"    A[0, T.Ramp(0, 1, 9999)] = T.float32(0)\n", 4, 23, "number of lanes"},
           {"    assert n > 0, 3\n", 4, 19, "expected a message"},
           {"    class X:\n        pass\n", 4, 5, "doesn't belong in a tensor program"},
       }) {
    SCOPED_TRACE(c.text);
    expect_error(program_with(c.text), c.line, c.column, c.message);
  }
}

TEST(Errors, ManyAtOnce) {
  Diagnostics errors = errors_of(graph_with(R"(    a = R.reluu(x)
    b = R.add(a, x)
    c = R.add(x, q)
    d = = 3
    e = R.relu(d)
    return e
)") + R"(
@T.prim_func
def other(A: T.Buffer((4,), "float32")):
    A[0] = zz
    A[1] = (1
    A[2] = T.foo(1)
)");
  ASSERT_EQ(errors.size(), 6U) << to_string(errors);
  std::vector<int> lines;
  for (const Diagnostic& d : errors) lines.push_back(d.span.line);
  EXPECT_EQ(lines, (std::vector<int>{3, 5, 6, 12, 14, 14})) << to_string(errors);
}

TEST(Errors, TextShowsLineAndCaret) {
  Diagnostics errors = errors_of("@R.function\ndef f(x: R.Tensor):\n    return zz\n");
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].to_string(),
            "t:3:12: error: unknown name `zz` [unknown-name]\n      return zz\n             ^\n");
}

TEST(Errors, LongLinesAreShownInPart) {
  Diagnostics errors = errors_of(
      program_with("    I[0] = (" + std::string(500, ' ') + "zz" + std::string(500, ' ') + ")\n"));
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].to_string(), "t:4:513: error: unknown name `zz` [unknown-name]\n  ... " +
                                       std::string(100, ' ') + "zz" + std::string(98, ' ') +
                                       " ...\n  " + std::string(104, ' ') + "^\n");
}

TEST(Errors, RecursionNeedsAnAnnotation) {
  Diagnostics errors =
      errors_of("@R.function\ndef f(x: R.Tensor((2,), \"int8\")):\n    y = f(x)\n    return y\n");
  ASSERT_FALSE(errors.empty());
  EXPECT_NE(errors[0].text.find("return annotation"), std::string::npos);
}

// ---- Mutations
// -----------------------------------------------------------------------------------

const char* const seed_text = R"(from repose.script import ir as I, relax as R, tir as T
@I.ir_module
class Module:
    @T.prim_func(private=True)
    def f(A: T.Buffer(("n", 4), "float32"), B: T.Buffer(("n", 4), "float32")):
        n = T.int64()
        for i, j in T.grid(n, 4):
            with T.block("B"):
                vi, vj = T.axis.remap("SS", [i, j])
                T.where(i < n - 1)
                B[vi, vj] = T.if_then_else(vi > 2, A[vi, vj] * T.float32(2), T.exp(A[vi, 3 - vj]))
        x: T.int64 = n * 2
        while x > 3:
            B[0, 0] = A[x, 0]
        with T.allocate_buffer((4, 4), "int32", scope="local") as L:
            L[0, T.Ramp(0, 1, 4)] = T.Broadcast(T.int32(1), 4)
    @R.function
    def main(x: R.Tensor(("n", 4), "float32"), c: R.Tensor((), "bool")) -> R.Tensor(("k", 4), "float32"):
        n, k = T.int64(), T.int64()
        R.func_attr({"a": [1, 2.5, None, {"b": True}]})
        with R.dataflow():
            a = R.call_tir(cls.f, (x,), out_sinfo=R.Tensor((n, 4), "float32"))
            b = R.reshape(a, (n * 4,))
            R.output(a, b)
        if c:
            d = R.sum(R.add(a, a), axis=[1])
        else:
            d = R.unique(b)
        @R.function
        def g(y: R.Tensor(("n", 4), "float32")) -> R.Tensor(("n", 4), "float32"):
            return y
        e = R.match_cast(g(a), R.Tensor((k, 4), "float32"))
        return e
)";

TEST(Mutation, NeverCrashesAndRoundTrips) {
  std::mt19937 random(20240607);
  const std::string base = seed_text;
  const std::vector<std::string> pieces = {
      "(",    ")",    "[",     "]",  ":",  ",", "\n",   "    ", "\"",
      "n",    "0",    "-1",    "T.", "R.", "x", "=",    "+",    "1e400",
      "cls.", "None", "if c:", "#",  "\\", "'", "\xff", "not ", "T.Ramp(0, 1, 4)"};
  int accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text = base;
    int edits = 1 + static_cast<int>(random() % 3);
    for (int k = 0; k < edits; ++k) {
      size_t at = random() % text.size(), length = random() % 12;
      switch (random() % 4) {
        case 0:
          text.erase(at, length);
          break;
        case 1:
          text.insert(at, pieces[random() % pieces.size()]);
          break;
        case 2:
          text.insert(at, text.substr(random() % text.size(), length));
          break;
        default:
          text.replace(at, std::min<size_t>(length, 3), pieces[random() % pieces.size()]);
      }
    }
    Result<Module> m = parse_module(make_text_source("t", text), small_ops());
    if (!m.ok()) {
      ASSERT_FALSE(m.errors().empty()) << text;
      continue;
    }
    ++accepted;
    std::string printed = print(*m);
    Result<Module> again = parse_module(make_text_source("p", printed), small_ops());
    ASSERT_TRUE(again.ok()) << to_string(again.errors()) << printed << "\nfrom\n" << text;
    ASSERT_EQ(print(*again), printed) << text;
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace repose
