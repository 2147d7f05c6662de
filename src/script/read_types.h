// Reads annotations: R.Tensor((m, 224), "float32") and the like.
#pragma once

#include <functional>

#include "ir/type.h"
#include "script/read_expr.h"

namespace repose::script {

class TypeReader {
 public:
  TypeReader(ReadContext& context, ExprReader& exprs) : context_(context), exprs_(exprs) {}

  // Every name must be known. Null: an error was reported.
  Type read(const Node& annotation);

  // Calls `bind` for each name that stands alone as a dimension, shape member or prim value, which
  // is where symbols are bound, in order.
  static void visit_binding_names(
      const Node& annotation,
      const std::function<void(const Node& at, const std::string& name, VarRole role)>& bind);
  // Calls `visit` for each name in an expression of the annotation, those in quotes included.
  void visit_names(const Node& annotation,
                   const std::function<void(const Node& at, const std::string& name)>& visit);

  // Called around R.Callable, whose symbols are its own.
  std::function<void(const Node& annotation)> enter_callable;
  std::function<void()> leave_callable;
  // The type of a value in scope, for `x.ty` and `x.struct_info`; null: there is no such value.
  std::function<Type(const std::string& name)> type_of_value;

 private:
  ReadContext& context_;
  ExprReader& exprs_;

  Type read_tensor(const Node& call);
  bool read_device(const Node& v, std::string* device);
  Type read_shape(const Node& call);
  Type read_prim(const Node& call);
  Type read_callable(const Node& call);
  std::optional<Dims> read_dims(const Node& list);
};

}  // namespace repose::script
