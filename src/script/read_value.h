// Reads right-hand sides of graph functions: calls, constants, tuples, operators' sugar.
#pragma once

#include "script/module_reader.h"
#include "script/read_types.h"

namespace repose::script {

class GraphScope : public NameScope {
 public:
  virtual graph::Variable find_value(const std::string& name) = 0;
  // Binds the names that stand alone in the types of a call's results and are not bound yet.
  virtual void bind_results(const Node& types) = 0;
};

class ValueReader {
 public:
  ValueReader(ModuleReader& module, GraphScope& scope, ExprReader& exprs, TypeReader& types)
      : module_(module), context_(module.context), scope_(scope), exprs_(exprs), types_(types) {}

  // A value that the Builder has not seen yet. Null: an error was reported.
  graph::Value read(const Node& node);
  // The same as a leaf, which has its type. `at`: where errors of the Builder point.
  graph::Value read_leaf(const Node& node, const Position& at);
  graph::Value leaf_of(const graph::Value& value, const Position& at);

 private:
  ModuleReader& module_;
  ReadContext& context_;
  GraphScope& scope_;
  ExprReader& exprs_;
  TypeReader& types_;

  template <class... Args>
  std::nullptr_t fail(const Node& node, DiagnosticKind kind, fmt::format_string<Args...> text,
                      Args&&... args) {
    return context_.fail(kind, node.at, text, std::forward<Args>(args)...);
  }
  bool is_scalar(const Node& node);
  const OpDef* find_op(const Node& node, const std::string& name);
  graph::Value prim_of(const Node& node, Expr e);
  graph::Value read_tuple(std::span<Node* const> nodes);
  graph::Value read_name(const Node& node);
  graph::Value read_global(const Node& node, const std::string& name);
  graph::Value read_unary(const Node& node);
  graph::Value read_binary(const Node& node);
  graph::Value read_item(const Node& node);
  graph::Value read_call(const Node& node);
  graph::Value read_function_call(const Node& node, graph::Value callee);
  graph::Value read_make_closure(const Node& node);
  graph::Value read_invoke_closure(const Node& node, bool is_pure);
  graph::Value read_special(const Node& node, const std::string& name, bool* handled);

  // read_constant.cpp.
  graph::Value read_constant(const Node& node);
  graph::Value read_array(const Node& node, const Array& array, const Node* dtype_node);
  std::optional<std::vector<int64_t>> read_empty_shape(const Node& node);
  std::optional<Scalar> read_element(const Node& node, DType dtype);
  graph::Value read_weight(const Node& node);

  // read_op_call.cpp.
  struct OpCall;
  graph::Value read_op_call(const Node& node, const OpDef& op);
  bool sort_positional(OpCall& call);
  bool sort_keywords(OpCall& call);
  bool read_operands(const OpCall& call, std::vector<graph::Value>* operands);
  bool fill_left_out(const OpCall& call, std::vector<graph::Value>* operands);
  bool pass_symbols(const OpCall& call, std::vector<graph::Value>* operands);
  bool permute_program(const Node& node, const std::string& program, size_t symbols,
                       size_t results);
  graph::Value read_arg(const Node& node, const OpDef& op, const ArgSpec* spec, DType like);
  graph::Value read_leaf_arg(const Node& node, const OpDef& op, const ArgSpec* spec, DType like);
  graph::Value read_program_args(const Node& node);
  bool read_types(const Node& node, std::vector<Type>* types);
  bool read_type_args(const Node& node, OpCall& call);
};

// Is this keyword argument of a call a type, or types?
bool is_type_keyword(std::string_view name);

}  // namespace repose::script
