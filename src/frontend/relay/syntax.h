// What a text of Relay says, as it is written: types, expressions, functions. Relay is TVM's graph
// language before Relax; this is its text form, version 0.0.5, as TVM up to 0.19 prints it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "expr/scalar.h"
#include "ir/attrs.h"

namespace repose::relay {

struct Place {
  int line = 0, column = 0;  // from 1
};

// `Tensor[(?, 224), float32]`, `float32` (rank 0), `(T, T)`, `fn (T) -> T`.
struct RelayType {
  enum class Kind { tensor, tuple, function };
  struct Dim {
    std::optional<int64_t> size;  // nothing: `?`, or a name
    std::string name;
  };
  Kind kind = Kind::tensor;
  std::vector<Dim> dims;
  DType dtype;
  std::vector<RelayType> fields;
  Place at;
};

enum class ExprKind {
  variable,    // %x, %0: `name`
  function_,   // @f: `name`
  operator_,   // add: `name`
  literal,     // 1f: `value`
  tuple,       // (a, b): `args`
  projection,  // a.0: `args[0]`, `index`
  call,        // f(a, b, axis=1): `args[0]` is f
  if_,         // if (a) { } else { }: `args[0]`, `bodies`
  closure,     // fn (%x: T) { }: `params`, `result`, `bodies[0]`
  block,       // { }: `bodies[0]`
};

struct ExprNode;
using ExprRef = std::shared_ptr<const ExprNode>;

struct Statement {  // let %x: T = value; or %0 = value;
  std::string name;
  std::optional<RelayType> type;
  ExprRef value;
  Place at;
};
struct Body {
  std::vector<Statement> statements;
  ExprRef result;
};
struct Param {
  std::string name;
  RelayType type;
  Place at;
};

struct ExprNode {
  ExprKind kind;
  Place at;
  std::string name;
  std::vector<ExprRef> args;
  Attrs attrs;
  Scalar value;
  int index = 0;
  std::vector<Param> params;
  std::optional<RelayType> result;
  std::vector<Body> bodies;
};

struct Definition {
  std::string name;  // without `@`
  ExprRef function;  // a closure
};
struct Program {
  std::vector<Definition> functions;
};

}  // namespace repose::relay
