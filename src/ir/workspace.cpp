// Finds what a tensor program allocates.
#include "ir/workspace.h"

#include <unordered_set>

#include "ir/type.h"

namespace repose {

namespace {

constexpr int64_t max_stack_bytes = 16 << 10;  // of what one function allocates
constexpr int64_t max_local_bytes = 64 << 10;  // of one local buffer on the stack
constexpr int64_t workspace_align_bytes = 64;

// Walks one function. `loops`: its parallel loops, with the lets around them.
struct Finder {
  bool in_parallel;
  VarMap lets;
  std::vector<Allocation> allocations;
  std::vector<std::pair<const tir::ForNode*, VarMap>> loops;

  void allocate(const tir::AllocateNode& node) {
    if (lives_on_stack(node.buffer)) return;
    Expr elements = make_int(1);
    for (const Expr& extent : node.buffer->shape) elements = elements * substitute(extent, lets);
    allocations.push_back({node.buffer, size_bytes(elements, node.buffer->dtype)});
  }

  void find(const tir::Stmt& s) {
    if (const auto* seq = tir::as<tir::SeqNode>(s)) {
      for (const tir::Stmt& child : seq->stmts) find(child);
    } else if (const auto* f = tir::as<tir::ForNode>(s)) {
      if (in_parallel || !is_parallel(*f)) return find(f->body);
      loops.emplace_back(f, lets);
    } else if (const auto* let = tir::as<tir::LetNode>(s)) {
      lets[let->var.get()] = substitute(let->value, lets);
      find(let->body);
    } else if (const auto* choice = tir::as<tir::IfNode>(s)) {
      find(choice->then_body);
      if (choice->else_body) find(choice->else_body);
    } else if (const auto* loop = tir::as<tir::WhileNode>(s)) {
      find(loop->body);
    } else if (const auto* declare = tir::as<tir::DeclareNode>(s)) {
      find(declare->body);
    } else if (const auto* attr = tir::as<tir::AttrStmtNode>(s)) {
      find(attr->body);
    } else if (const auto* node = tir::as<tir::AllocateNode>(s)) {
      allocate(*node);
      find(node->body);
    }
  }

  FunctionMemory memory() const {
    int64_t total = 0;
    bool fits = true;
    for (const Allocation& a : allocations) {
      const int64_t bytes = constant_bytes(a.buffer);
      fits = fits && bytes >= 0 && bytes <= max_stack_bytes - total;
      total += fits ? bytes : 0;
    }
    return {allocations, fits};
  }
};

Finder find_in(const tir::Stmt& body, bool in_parallel, VarMap lets = {}) {
  Finder finder{in_parallel, std::move(lets), {}, {}};
  finder.find(body);
  return finder;
}

Expr larger(const Expr& a, const Expr& b) {
  if (structural_equal(a, b) || is_const_int(b, 0)) return a;
  return is_const_int(a, 0) ? b : max(a, b);
}

// Whether an expression speaks of the parameters alone.
bool is_over(const std::unordered_set<const VarNode*>& params, const Expr& e) {
  for (const Var& v : free_vars(e)) {
    if (!params.contains(v.get())) return false;
  }
  bool reads = false;
  visit(e, [&](const Expr& node) {
    reads = reads || node->kind == ExprKind::load || node->kind == ExprKind::call;
    return !reads;
  });
  return !reads;
}

}  // namespace

int64_t constant_bytes(const Buffer& buffer) {
  int64_t elements = 1;
  for (const Expr& extent : buffer->shape) {
    int64_t n = 0;
    if (!as_const_int(extent, &n) || n < 0 || __builtin_mul_overflow(elements, n, &elements)) {
      return -1;
    }
  }
  return buffer->dtype.size_bytes(elements);
}

bool lives_on_stack(const Buffer& buffer) {
  const int64_t bytes = constant_bytes(buffer);
  return buffer->scope == Scope::local && bytes >= 0 && bytes <= max_local_bytes;
}

bool is_parallel(const tir::ForNode& loop) {
  return loop.loop_kind == tir::ForKind::parallel && !is_const_int(loop.extent, 1);
}

FunctionMemory memory_of_function(const tir::Stmt& body, bool in_parallel) {
  return find_in(body, in_parallel).memory();
}

Expr total_bytes(const FunctionMemory& memory) {
  Expr total = make_int(0);
  if (memory.on_stack) return total;
  const Expr align = make_int(workspace_align_bytes);
  for (const Allocation& a : memory.allocations) {
    total = total + floor_div(a.bytes + (workspace_align_bytes - 1), align) * align;
  }
  return total;
}

Result<Workspace> workspace_of(const std::string& name, const tir::PrimFunc& f) {
  std::unordered_set<const VarNode*> params;
  for (const tir::Param& p : f->params) {
    if (!p.buffer) params.insert(p.var.get());
  }
  for (const Var& v : tir::bound_symbols(*f)) params.insert(v.get());
  const Finder outer = find_in(f->body, false);
  std::vector<FunctionMemory> functions{outer.memory()};
  for (const auto& [loop, lets] : outer.loops) {
    functions.push_back(find_in(loop->body, true, lets).memory());
  }
  for (const FunctionMemory& function : functions) {
    if (function.on_stack) continue;
    for (const Allocation& a : function.allocations) {
      if (is_over(params, a.bytes)) continue;
      return error(DiagnosticKind::unsupported_feature, f->span,
                   "`{}`: the size of buffer `{}` is not known where the program begins", name,
                   a.buffer->name);
    }
  }
  Workspace workspace{total_bytes(functions[0]), make_int(0)};
  for (size_t i = 1; i < functions.size(); ++i) {
    workspace.bytes_per_thread = larger(workspace.bytes_per_thread, total_bytes(functions[i]));
  }
  return workspace;
}

Expr total_bytes(const Workspace& workspace, const Expr& num_threads) {
  return workspace.own_bytes + num_threads * workspace.bytes_per_thread;
}

}  // namespace repose
