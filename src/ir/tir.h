// Tensor IR: programs of loops over buffers.
//
// A program's parameters are buffers and scalars; results are buffers too (destination passing).
// Symbols in buffer shapes are bound by the call. Blocks carry the iteration domain that schedule
// primitives act on; lowering removes them.
#pragma once

#include <string>
#include <vector>

#include "base/source.h"
#include "expr/expr.h"
#include "ir/attrs.h"

namespace repose::tir {

enum class StmtKind : uint8_t {
#define TIR_STMT(name) name,
#include "ir/tir_kinds.def"
};
const char* kind_name(StmtKind kind);

struct StmtNode : RefCounted {
  const StmtKind kind;
  const Span span;

 protected:
  StmtNode(StmtKind kind, Span span) : kind(kind), span(std::move(span)) {}
};
using Stmt = Ref<const StmtNode>;

template <class T>
const T* as(const Stmt& s) {
  return s && s->kind == T::static_kind ? static_cast<const T*>(s.get()) : nullptr;
}

struct SeqNode : StmtNode {
  const std::vector<Stmt> stmts;
  explicit SeqNode(std::vector<Stmt> stmts, Span span = {});
  static constexpr StmtKind static_kind = StmtKind::seq;
};

enum class ForKind : uint8_t { serial, parallel, vectorized, unrolled, thread_binding };
const char* for_kind_name(ForKind kind);  // "serial", …

// for var in [min, min + extent): body. A vectorized or unrolled loop has a constant extent when
// code is generated. Iterations of a parallel loop are independent.
struct ForNode : StmtNode {
  const Var var;
  const Expr min, extent;
  const ForKind loop_kind;
  const std::string thread;  // "blockIdx.x", for thread_binding
  const Attrs annotations;
  const Stmt body;
  ForNode(Var var, Expr min, Expr extent, ForKind loop_kind, Stmt body, std::string thread = "",
          Attrs annotations = {}, Span span = {});
  static constexpr StmtKind static_kind = StmtKind::for_;
};

enum class IterKind : uint8_t { spatial, reduce, scan, opaque };
const char* iter_kind_name(IterKind kind);

// A block axis: `var` runs over [min, min + extent); `value` is its value in terms of the loops.
struct IterVar {
  Var var;
  Expr min, extent;
  IterKind kind = IterKind::spatial;
  Expr value;
};

struct Range {
  Expr min, extent;
};

// A box of a buffer, one range per dimension.
struct Region {
  Buffer buffer;
  std::vector<Range> ranges;
};

struct MatchBuffer {  // `buffer` is a view of the region `source`
  Buffer buffer;
  Region source;
};

// A computation for one point of its iteration domain. Inside, only block axes, parameters, symbols
// and let variables of the block are visible. `init` (may be null) runs before the first reduction
// step.
struct BlockNode : StmtNode {
  const std::string name;
  const std::vector<IterVar> iters;
  const Expr predicate;  // null: true
  const std::vector<Region> reads, writes;
  const std::vector<Buffer> alloc_buffers;
  const std::vector<MatchBuffer> match_buffers;
  const Attrs annotations;
  const Stmt init;
  const Stmt body;
  struct Fields {
    std::string name;
    std::vector<IterVar> iters;
    Expr predicate;
    std::vector<Region> reads, writes;
    std::vector<Buffer> alloc_buffers;
    std::vector<MatchBuffer> match_buffers;
    Attrs annotations;
    Stmt init;
    Stmt body;
    Span span;
  };
  explicit BlockNode(Fields fields);
  Fields fields() const;  // a copy, to build a changed block from
  static constexpr StmtKind static_kind = StmtKind::block;
};

struct StoreNode : StmtNode {
  const Buffer buffer;
  const std::vector<Expr> indices;  // a ramp in the last stores a vector
  const Expr value;
  const Expr predicate;  // null: all lanes; else a bool (vector): lanes that are written
  StoreNode(Buffer buffer, std::vector<Expr> indices, Expr value, Span span = {},
            Expr predicate = nullptr);
  static constexpr StmtKind static_kind = StmtKind::store;
};

struct LetNode : StmtNode {
  const Var var;
  const Expr value;
  const Stmt body;
  LetNode(Var var, Expr value, Stmt body, Span span = {});
  static constexpr StmtKind static_kind = StmtKind::let;
};

struct IfNode : StmtNode {
  const Expr condition;
  const Stmt then_body;
  const Stmt else_body;  // may be null
  IfNode(Expr condition, Stmt then_body, Stmt else_body = nullptr, Span span = {});
  static constexpr StmtKind static_kind = StmtKind::if_;
};

struct WhileNode : StmtNode {
  const Expr condition;
  const Stmt body;
  WhileNode(Expr condition, Stmt body, Span span = {});
  static constexpr StmtKind static_kind = StmtKind::while_;
};

// `buffer` exists, not initialised, during `body`. Scope local: registers or stack, constant shape;
// workspace: memory of the kernel's workspace (extents may be symbolic).
struct AllocateNode : StmtNode {
  const Buffer buffer;
  const Stmt body;
  AllocateNode(Buffer buffer, Stmt body, Span span = {});
  static constexpr StmtKind static_kind = StmtKind::allocate;
};

// `buffer` names the memory at the handle `data` during `body`.
struct DeclareNode : StmtNode {
  const Buffer buffer;
  const Expr data;
  const Stmt body;
  DeclareNode(Buffer buffer, Expr data, Stmt body, Span span = {});
  static constexpr StmtKind static_kind = StmtKind::declare;
};

struct EvaluateNode : StmtNode {
  const Expr value;
  explicit EvaluateNode(Expr value, Span span = {});
  static constexpr StmtKind static_kind = StmtKind::evaluate;
};

// Ends the program with an error where `condition` is false. {0}, {1}, … in `message` stand for the
// integer `values`.
struct AssertNode : StmtNode {
  const Expr condition;
  const std::string message;
  const std::vector<Expr> values;
  AssertNode(Expr condition, std::string message, std::vector<Expr> values, Span span = {});
  static constexpr StmtKind static_kind = StmtKind::assert_;
};

// A scoped annotation of text programs (T.attr); kept, without meaning to the native compiler.
struct AttrStmtNode : StmtNode {
  const std::string key;
  const Expr value;
  const Stmt body;
  AttrStmtNode(std::string key, Expr value, Stmt body, Span span = {});
  static constexpr StmtKind static_kind = StmtKind::attr;
};

struct ReturnNode : StmtNode {
  const Expr value;
  explicit ReturnNode(Expr value, Span span = {});
  static constexpr StmtKind static_kind = StmtKind::return_;
};

template <class T, class... Args>
Stmt make(Args&&... args) {
  return make_ref<T>(std::forward<Args>(args)...);
}
// One statement stands for itself, nested sequences are flattened, none is an empty sequence.
Stmt make_seq(std::vector<Stmt> stmts);

// A parameter: a buffer (`var` is its data, a handle) or a scalar (`buffer` is null).
struct Param {
  Var var;
  Buffer buffer;
};
Param buffer_param(Buffer buffer);
Param scalar_param(Var var);

// A tensor program.
struct PrimFuncNode : RefCounted {
  const std::vector<Param> params;
  const Stmt body;
  const bool is_private;
  const Attrs attrs;
  const Span span;
  PrimFuncNode(std::vector<Param> params, Stmt body, bool is_private = true, Attrs attrs = {},
               Span span = {});
};
using PrimFunc = Ref<const PrimFuncNode>;

inline PrimFunc make_prim_func(std::vector<Param> params, Stmt body, bool is_private = true,
                               Attrs attrs = {}, Span span = {}) {
  return make_ref<PrimFuncNode>(std::move(params), std::move(body), is_private, std::move(attrs),
                                std::move(span));
}
// The same program with another body; the same pointer if it is the same body.
PrimFunc with_body(const PrimFunc& f, Stmt body);

// Symbols that the buffers of `f` bind: dimensions (then strides, offsets) that are a bare symbol
// and no scalar parameter, in order of first occurrence. A call gives each a value through its
// arguments' shapes.
std::vector<Var> bound_symbols(const PrimFuncNode& f);

// ---- Visitors and rewriting --------------------------------------------------------------------

// Parents first; a false result skips what is inside.
void visit_stmts(const Stmt& s, const std::function<bool(const Stmt&)>& visit);
// Calls `visit` on every expression that stands directly in statement `s` (not in nested ones):
// extents, conditions, stored values, indices, block axes, regions, allocated shapes.
void visit_exprs_of(const Stmt& s, const std::function<void(const Expr&)>& visit);
// The two together: every expression of every statement inside.
void visit_all_exprs(const Stmt& s, const std::function<void(const Expr&)>& visit);

// A bottom-up rewriter. Override what matters; the defaults rebuild children and return the same
// pointer where nothing changed. Recursion is over nested statements only.
class StmtRewriter {
 public:
  virtual ~StmtRewriter() = default;
  Stmt rewrite(const Stmt& s);

 protected:
  virtual Stmt rewrite_stmt(const Stmt& s);               // default: children, then expressions
  virtual Expr rewrite_expr(const Expr& e) { return e; }  // whole expressions of a statement
  virtual Buffer rewrite_buffer(const Buffer& b) {
    return b;
  }  // in stores, regions, allocations; NOT in loads
};

using BufferMap = std::unordered_map<const BufferNode*, Buffer>;
// Replaces variables, and buffers in loads, stores, regions and allocations. Buffers that are
// allocated inside and whose shapes mention a replaced variable are made anew.
Stmt substitute(const Stmt& s, const VarMap& vars, const BufferMap& buffers = {});
Expr substitute_buffers(const Expr& e, const BufferMap& buffers);
// A copy in which every variable, buffer and symbol that the program binds is new.
PrimFunc clone(const PrimFunc& f);

}  // namespace repose::tir
