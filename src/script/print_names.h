// What the printers of both levels share: unique names, indented lines, weights, types, attributes.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "expr/print.h"
#include "script/printer.h"

namespace repose::script {

// Names of one function's variables, symbols and buffers, by node. Given at the first use.
class UniqueNames {
 public:
  explicit UniqueNames(const std::string& module_name = "Module");

  const std::string& of(const void* node, const std::string& hint);
  const std::string* find(const void* node) const;
  void set(const void* node, std::string name) { names_[node] = std::move(name); }
  std::string fresh(const std::string& hint);

 private:
  std::unordered_map<const void*, std::string> names_;
  std::unordered_set<std::string> taken_;
  std::unordered_map<std::string, int> counters_;
};

// Names of weights across a whole text.
class WeightNames {
 public:
  explicit WeightNames(const PrintOptions& options) : options_(options) {}
  const PrintOptions& options() const { return options_; }
  std::string name_of(const graph::ConstantNode& constant);

 private:
  const PrintOptions& options_;
  std::unordered_map<const ArrayNode*, std::string> names_;
  std::unordered_set<std::string> taken_;
};

class Lines {
 public:
  explicit Lines(int indent = 0) : indent_(indent) {}
  void add(const std::string& line) {
    out_.append(static_cast<size_t>(indent_) * 4, ' ');
    out_ += line;
    out_ += '\n';
  }
  void blank() { out_ += '\n'; }
  void append(const std::string& lines) { out_ += lines; }
  void indent() { ++indent_; }
  void dedent() { --indent_; }
  int level() const { return indent_; }
  const std::string& text() const { return out_; }

 private:
  std::string out_;
  int indent_;
};

// Expressions, types and attributes with the names of one function.
class TextPrinter {
 public:
  explicit TextPrinter(UniqueNames& names) : names_(names) {
    print_names_.var = [this](const VarNode& v) { return var(v); };
    print_names_.buffer = [this](const BufferNode& b) { return names_.of(&b, b.name); };
  }
  TextPrinter(const TextPrinter&) = delete;

  std::string expr(const Expr& e) const { return print_expr(e, print_names_); }
  std::string exprs(const std::vector<Expr>& list) const { return print_exprs(list, print_names_); }
  // A dimension: bare, or in quotes unless it is a constant.
  std::string dim(const Expr& e, bool quoted) const;
  std::string dims(const std::vector<Expr>& list, bool quoted) const;   // a, b
  std::string shape(const std::vector<Expr>& list, bool quoted) const;  // (a, b), (a,)
  std::string type(const Type& t, bool quoted) const;
  std::string attr(const Attr& a) const;
  std::string attr_dict(const Attrs& attrs) const;

  // Symbols in the order in which they were first printed.
  const std::vector<const VarNode*>& symbols() const { return symbols_; }

 private:
  UniqueNames& names_;
  PrintNames print_names_;
  mutable std::vector<const VarNode*> symbols_;

  std::string var(const VarNode& v) const;
};

std::string print_constant(const graph::ConstantNode& c, WeightNames& weights);

void print_graph_function(Lines& out, const graph::FunctionNode& f, const std::string& name,
                          const std::string& module_name, WeightNames& weights);
void print_prim_func(Lines& out, const tir::PrimFuncNode& f, const std::string& name,
                     const std::string& module_name);
void print_statements(Lines& out, const tir::Stmt& s);

}  // namespace repose::script
