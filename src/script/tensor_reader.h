// The reader of one tensor program: what its parts (signature, buffers, statements, blocks) share.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <unordered_map>

#include "script/read_tensor.h"
#include "script/scopes.h"

namespace repose::script {

// Makes one statement of those to the end of a sequence: a let around them, for example.
using Wrap = std::function<tir::Stmt(tir::Stmt)>;
Wrap wrap_let(Var var, Expr value, Span span);
Wrap wrap_buffer(Buffer buffer, Expr handle, Span span);  // without a handle it is allocated
Wrap wrap_attr(std::string key, Expr value, Span span);

// Statements in order, and what wraps around the rest of them.
class StmtSequence {
 public:
  void add(tir::Stmt stmt) { tails_.back().stmts.push_back(std::move(stmt)); }
  // Around all that is added from here on.
  void wrap_rest(Wrap wrap) { tails_.push_back({{}, std::move(wrap)}); }
  tir::Stmt finish();

 private:
  struct Tail {
    std::vector<tir::Stmt> stmts;
    Wrap wrap;
  };
  std::vector<Tail> tails_{1};
};

class TensorReader : public NameScope {
 public:
  // `symbols`: names of TypeVars of the file.
  TensorReader(ReadContext& context, const std::vector<std::string>& symbols)
      : context_(context), exprs_(context, *this), declared_(symbols.begin(), symbols.end()) {}

  tir::PrimFunc read(const Statement& def);

  // NameScope.
  Expr find_variable(const Node& name) override;
  Buffer find_buffer(const std::string& name) override;
  Expr find_data(const Buffer& buffer) override;
  bool explain(const Node& name) override;
  std::vector<std::string> candidates() const override { return scopes_.names(); }

 private:
  struct Entry {
    Expr value;
    Buffer buffer;
  };

  ReadContext& context_;
  ExprReader exprs_;
  Scopes<Entry> scopes_;
  std::set<std::string> declared_;  // symbols that no type has bound yet
  std::set<std::string> poisoned_;  // names whose binding was wrong
  bool new_symbols_ = false;        // unknown names are symbols
  VarRole new_role_ = VarRole::dimension;
  std::vector<std::pair<Var, Position>> uses_;
  std::vector<Var> bound_in_views_;
  std::unordered_map<const BufferNode*, Var> data_;
  std::vector<tir::Param> params_;
  std::map<std::string, size_t> handles_;  // parameters that no buffer has been matched to
  Attrs attrs_;
  std::vector<tir::BlockNode::Fields*> blocks_;
  tir::BlockNode::Fields root_;
  std::unordered_map<const VarNode*, tir::Range> loops_;  // around the current statement
  // Statements before the current one in whose scope it stands: they nest as blocks do.
  struct Nesting {
    int variables = 0;  // and buffers
    int attributes = 0;
  };
  Nesting nesting_;
  bool is_too_deep_ = false;  // reported
  // Loops around the current statement: flags of one element that `break` and `continue` set, which
  // the rest of the loop stands under; null where nothing in the loop sets them.
  struct OpenLoop {
    Buffer stop, skip;
  };
  std::vector<OpenLoop> open_loops_;

  template <class... Args>
  std::nullptr_t fail(const Position& at, DiagnosticKind kind, fmt::format_string<Args...> text,
                      Args&&... args) {
    return context_.fail(kind, at, text, std::forward<Args>(args)...);
  }
  Span span(const Position& at) const { return context_.tree.span(at); }
  void define(const std::string& name, Expr value) {
    scopes_.innermost()[name] = {std::move(value), nullptr};
  }
  void define(const std::string& name, Buffer buffer) {
    scopes_.innermost()[name] = {nullptr, std::move(buffer)};
  }

  // read_tensor.cpp: the signature.
  void declare_symbols(const std::vector<Statement*>& body);
  bool read_params(const Statement& def);
  std::optional<tir::Param> read_scalar_param(const Parameter& p);
  bool check_vars_bound(const tir::PrimFunc& f);

  // read_buffer.cpp: buffers and regions of them.
  struct BufferArguments;
  // From the arguments of `call`, which start with a shape after `shape_arg` others. Defaults:
  // those of the buffer that is viewed, or none. Null: an error was reported.
  Buffer read_buffer(const Node& call, const std::string& name, size_t shape_arg = 1,
                     const tir::Region* viewed = nullptr);
  std::optional<BufferArguments> sort_arguments(const Node& call, size_t shape_arg);
  bool read_scope(const Node& node, Scope* scope);
  std::optional<int> read_alignment(const Node& node);
  Expr read_handle(const Node& node);
  bool read_match_buffer(const Statement& s, const std::string& name);
  bool match_handle(const Node& call, const std::string& handle, const std::string& name);
  std::optional<tir::Region> read_region(const Node& node);
  bool read_regions(const Node& call, std::vector<tir::Region>& out);
  std::optional<tir::Range> read_bounds(const Node& low, const Node& high);

  // read_tensor_stmt.cpp: statements. False or null: an error was reported.
  tir::Stmt read_body(const std::vector<Statement*>& body);
  bool read_or_poison(const Statement& s, StmtSequence& out);
  void poison(const Statement& s);
  bool check_nesting(const Statement& s);
  bool read_statement(const Statement& s, StmtSequence& out);
  bool read_if(const Statement& s, StmtSequence& out);
  bool read_while(const Statement& s, StmtSequence& out);
  OpenLoop flags_of(const Statement& loop) const;
  tir::Stmt read_loop_body(const Statement& loop, const OpenLoop& flags);
  tir::Stmt with_stop(const OpenLoop& flags, tir::Stmt loop, const Span& at) const;
  bool read_leave(const Statement& s, StmtSequence& out);
  Expr goes_on(const Statement& s) const;  // behind a statement that may leave; null: always
  bool read_assert(const Statement& s, StmtSequence& out);
  bool read_store(const Statement& s, const Node& target, const Node& value, const Node* predicate,
                  StmtSequence& out);
  bool read_assign(const Statement& s, StmtSequence& out);
  bool read_named_assign(const Statement& s, StmtSequence& out);
  bool read_declaration(const Statement& s, const std::string& name, StmtSequence& out);
  bool read_meta_var(const Node& call, const std::string& name);
  bool read_let(const Statement& s, const std::string& name, StmtSequence& out);
  bool read_expression(const Statement& s, StmtSequence& out);
  bool read_attr_statement(const Statement& s, StmtSequence& out);
  bool read_store_call(const Statement& s, StmtSequence& out);

  // read_loop.cpp: loops, and what stands behind `with`.
  bool read_for(const Statement& s, StmtSequence& out);
  bool read_loop_options(const Node& iter, Attrs* annotations, std::string* thread);
  void bind_outer_loops(tir::BlockNode::Fields& f);
  std::optional<std::vector<Expr>> read_starred(const Node& node);
  bool read_loop_ranges(const Node& iter, size_t count, std::vector<tir::Range>* ranges);
  bool read_with(const Statement& s, StmtSequence& out);
  Wrap read_with_item(const Statement& s, const WithItem& item);
  Wrap read_with_let(const Node& value, const std::string& name, const Span& at);
  Wrap read_with_buffer(const Node& call, const std::string& name, bool is_view, const Span& at);

  // read_block.cpp.
  struct BlockHead;
  bool read_block(const Statement& s, const Node& call, StmtSequence& out);
  bool read_block_line(const Statement& s, BlockHead& head, StmtSequence& body);
  bool read_init(const Statement& s, tir::BlockNode::Fields& f);
  bool read_where(const Node& call, tir::BlockNode::Fields& f);
  bool read_axis(const Statement& s, const std::string& kind, tir::BlockNode::Fields& f);
  bool read_remap(const Statement& s, tir::BlockNode::Fields& f);
  void add_axis(const std::string& name, tir::IterKind kind, const tir::Range& range, Expr value,
                tir::BlockNode::Fields& f);
};

}  // namespace repose::script
