// Reads right-hand sides of graph functions: calls, constants, tuples, operators' sugar.
#pragma once

#include "script/read_graph.h"
#include "script/read_types.h"

namespace repose::script {

class GraphScope : public NameScope {
 public:
  virtual graph::Variable find_value(const std::string& name) = 0;
};

class ValueReader {
 public:
  ValueReader(ModuleReader& module, GraphScope& scope, ExprReader& exprs, TypeReader& types)
      : module_(module), context_(module.context), scope_(scope), exprs_(exprs), types_(types) {}

  // A value that the Builder has not seen yet. Null: an error was reported.
  graph::Value read(const Node& node);

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
  graph::Value read_name(const Node& node);
  graph::Value read_global(const Node& node, const std::string& name);
  graph::Value read_binary(const Node& node);
  graph::Value read_item(const Node& node);
  graph::Value read_call(const Node& node);
  graph::Value read_function_call(const Node& node, graph::Value callee);
  graph::Value read_special(const Node& node, const std::string& name, bool* handled);
  graph::Value read_constant(const Node& node);
  graph::Value read_weight(const Node& node);
  graph::Value read_op_call(const Node& node, const OpDef& op);
  graph::Value read_arg(const Node& node, const OpDef& op, const ArgSpec* spec, DType like);
  graph::Value read_program_args(const Node& node);
  bool read_type_args(const Node& node, const OpDef& op, std::vector<Type>* out);
  bool permute_program(const Node& node, const std::string& program, size_t symbols,
                       size_t results);
  const OpDef* find_op(const Node& node, const std::string& name);
};

}  // namespace repose::script
