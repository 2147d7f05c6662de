// Tensor programs as text.
#include "script/print_names.h"

namespace repose::script {

namespace {

using tir::Stmt;

class TensorPrinter {
 public:
  TensorPrinter(Lines& out, UniqueNames& names) : out_(out), names_(names), text_(names) {}

  void function(const tir::PrimFuncNode& f, const std::string& name);
  void sequence(const Stmt& s);

 private:
  Lines& out_;
  UniqueNames& names_;
  TextPrinter text_;

  std::string name_of(const Buffer& b) { return names_.of(b.get(), b->name); }
  std::string name_of(const Var& v) { return names_.of(v.get(), v->name); }
  std::string buffer_args(const BufferNode& b, bool quoted);
  std::string region(const tir::Region& r);
  void nested(const Stmt& s) {
    out_.indent();
    sequence(s);
    out_.dedent();
  }
  // Prints one statement; what is left is to be printed behind it at the same level, or null.
  Stmt statement(const Stmt& s, bool is_last);
  void loop(const Stmt& s);
  void block(const tir::BlockNode& b);
};

std::string TensorPrinter::buffer_args(const BufferNode& b, bool quoted) {
  std::string out = text_.shape(b.shape, quoted) + ", " + print_string(b.dtype.to_string());
  if (!b.strides.empty()) out += ", strides=[" + text_.dims(b.strides, quoted) + "]";
  if (b.offset_elems) out += ", elem_offset=" + text_.dim(b.offset_elems, quoted);
  if (b.scope != Scope::global) out += ", scope=" + print_string(scope_name(b.scope));
  if (b.align_bytes > 0) out += fmt::format(", align={}", b.align_bytes);
  return out;
}

void TensorPrinter::function(const tir::PrimFuncNode& f, const std::string& name) {
  out_.add(f.is_private ? "@T.prim_func(private=True)" : "@T.prim_func");
  // Scalars are named first: shapes mention them.
  for (const tir::Param& p : f.params) {
    if (p.buffer) {
      names_.set(p.var.get(), name_of(p.buffer) + ".data");
    } else {
      name_of(p.var);
    }
  }
  std::string params;
  for (const tir::Param& p : f.params) {
    if (!params.empty()) params += ", ";
    if (p.buffer) {
      params += name_of(p.buffer) + ": T.Buffer(" + buffer_args(*p.buffer, true) + ")";
      continue;
    }
    params += name_of(p.var) + ": ";
    DType t = p.var->dtype;
    if (t.is_index()) {
      params += p.var->role == VarRole::dimension ? "T.int64(is_size_var=True)" : "T.int64";
    } else if (t == dtypes::int32 || t == dtypes::int64 || t.is_vector()) {
      params += "T.Scalar(" + print_string(t.to_string()) + ")";
    } else {
      params += "T." + t.to_string();
    }
  }
  out_.add(fmt::format("def {}({}):", name, params));
  out_.indent();
  for (const VarNode* v : text_.symbols()) {
    out_.add(fmt::format("{} = T.int64()", *names_.find(v)));
  }
  if (!f.attrs.empty()) out_.add("T.func_attr(" + text_.attr_dict(f.attrs) + ")");
  sequence(f.body);
  out_.dedent();
}

// Lets and buffers at the end of a sequence stand in it like statements; so this is a loop.
void TensorPrinter::sequence(const Stmt& s) {
  Stmt rest = s;
  bool any = false;
  while (rest) {
    Stmt current = std::move(rest);
    rest = nullptr;
    if (const auto* seq = tir::as<tir::SeqNode>(current)) {
      for (size_t i = 0; i < seq->stmts.size(); ++i) {
        rest = statement(seq->stmts[i], i + 1 == seq->stmts.size());
      }
      any = any || !seq->stmts.empty();
    } else {
      rest = statement(current, true);
      any = true;
    }
    if (const auto* seq = tir::as<tir::SeqNode>(rest); seq && seq->stmts.empty()) rest = nullptr;
  }
  if (!any) out_.add("pass");
}

Stmt TensorPrinter::statement(const Stmt& s, bool is_last) {
  switch (s->kind) {
    case tir::StmtKind::seq:  // make_seq flattens; the text has no nested sequences
      sequence(s);
      return nullptr;
    case tir::StmtKind::for_:
      loop(s);
      return nullptr;
    case tir::StmtKind::block:
      block(*tir::as<tir::BlockNode>(s));
      return nullptr;
    case tir::StmtKind::store: {
      const auto* store = tir::as<tir::StoreNode>(s);
      std::string value = text_.expr(store->value);
      std::string buffer = name_of(store->buffer), indices = text_.exprs(store->indices);
      if (store->predicate) {
        out_.add(fmt::format("{}.store({}, [{}], predicate={})", buffer, value, indices,
                             text_.expr(store->predicate)));
      } else {
        out_.add(fmt::format("{}[{}] = {}", buffer, indices.empty() ? "()" : indices, value));
      }
      return nullptr;
    }
    case tir::StmtKind::let: {
      const auto* let = tir::as<tir::LetNode>(s);
      std::string value = text_.expr(let->value);
      if (is_last) {
        out_.add(
            fmt::format("{}: T.{} = {}", name_of(let->var), let->var->dtype.to_string(), value));
        return let->body;
      }
      out_.add(fmt::format("with T.LetStmt({}) as {}:", value, name_of(let->var)));
      nested(let->body);
      return nullptr;
    }
    case tir::StmtKind::if_: {
      const auto* branch = tir::as<tir::IfNode>(s);
      out_.add("if " + text_.expr(branch->condition) + ":");
      nested(branch->then_body);
      if (branch->else_body) {
        out_.add("else:");
        nested(branch->else_body);
      }
      return nullptr;
    }
    case tir::StmtKind::while_: {
      const auto* loop = tir::as<tir::WhileNode>(s);
      out_.add("while " + text_.expr(loop->condition) + ":");
      nested(loop->body);
      return nullptr;
    }
    case tir::StmtKind::allocate: {
      const auto* a = tir::as<tir::AllocateNode>(s);
      std::string args = buffer_args(*a->buffer, false);
      if (is_last) {
        out_.add(fmt::format("{} = T.decl_buffer({})", name_of(a->buffer), args));
        return a->body;
      }
      out_.add(fmt::format("with T.allocate_buffer({}) as {}:", args, name_of(a->buffer)));
      nested(a->body);
      return nullptr;
    }
    case tir::StmtKind::declare: {
      const auto* d = tir::as<tir::DeclareNode>(s);
      std::string data = text_.expr(d->data), args = buffer_args(*d->buffer, false);
      if (is_last) {
        out_.add(fmt::format("{} = T.decl_buffer({}, data={})", name_of(d->buffer), args, data));
        return d->body;
      }
      out_.add(fmt::format("with T.declare_buffer({}, {}) as {}:", data, args, name_of(d->buffer)));
      nested(d->body);
      return nullptr;
    }
    case tir::StmtKind::evaluate:
      out_.add("T.evaluate(" + text_.expr(tir::as<tir::EvaluateNode>(s)->value) + ")");
      return nullptr;
    case tir::StmtKind::assert_: {
      const auto* a = tir::as<tir::AssertNode>(s);
      std::string message = print_string(a->message);
      if (!a->values.empty()) message = "(" + message + ", [" + text_.exprs(a->values) + "])";
      out_.add("assert " + text_.expr(a->condition) + ", " + message);
      return nullptr;
    }
    case tir::StmtKind::attr: {
      const auto* a = tir::as<tir::AttrStmtNode>(s);
      out_.add(fmt::format("with T.attr({}, {}):", print_string(a->key), text_.expr(a->value)));
      nested(a->body);
      return nullptr;
    }
    case tir::StmtKind::return_:
      out_.add("return " + text_.expr(tir::as<tir::ReturnNode>(s)->value));
      return nullptr;
  }
  return nullptr;
}

bool is_plain_serial(const tir::ForNode& loop) {
  return loop.loop_kind == tir::ForKind::serial && loop.annotations.empty() &&
         is_const_int(loop.min, 0);
}

void TensorPrinter::loop(const Stmt& s) {
  const auto* loop = tir::as<tir::ForNode>(s);
  // Perfectly nested plain loops whose extents don't mention each other are one grid.
  std::vector<const tir::ForNode*> grid{loop};
  while (is_plain_serial(*grid.back())) {
    const auto* inner = tir::as<tir::ForNode>(grid.back()->body);
    if (!inner || !is_plain_serial(*inner)) break;
    bool independent = true;
    for (const tir::ForNode* outer : grid) independent &= !uses_var(inner->extent, outer->var);
    if (!independent) break;
    grid.push_back(inner);
  }
  std::string vars, extents;
  for (const tir::ForNode* f : grid)
    extents += (extents.empty() ? "" : ", ") + text_.expr(f->extent);
  for (const tir::ForNode* f : grid) vars += (vars.empty() ? "" : ", ") + name_of(f->var);
  if (grid.size() > 1) {
    out_.add(fmt::format("for {} in T.grid({}):", vars, extents));
    return nested(grid.back()->body);
  }
  std::string bounds = extents;
  if (!is_const_int(loop->min, 0)) {
    bounds = text_.expr(loop->min) + ", " + text_.expr(loop->min + loop->extent);
  }
  if (!loop->thread.empty()) bounds += ", thread=" + print_string(loop->thread);
  std::string callee = "T.serial";
  switch (loop->loop_kind) {
    case tir::ForKind::serial:
      break;
    case tir::ForKind::parallel:
      callee = "T.parallel";
      break;
    case tir::ForKind::vectorized:
      callee = "T.vectorized";
      break;
    case tir::ForKind::unrolled:
      callee = "T.unroll";
      break;
    case tir::ForKind::thread_binding:
      callee = "T.thread_binding";
      break;
  }
  if (!loop->annotations.empty()) {
    bounds += ", annotations=" + text_.attr_dict(loop->annotations);
  } else if (loop->loop_kind == tir::ForKind::serial && loop->thread.empty()) {
    callee = "range";
  }
  out_.add(fmt::format("for {} in {}({}):", vars, callee, bounds));
  nested(loop->body);
}

std::string TensorPrinter::region(const tir::Region& r) {
  std::string out;
  for (const tir::Range& range : r.ranges) {
    if (!out.empty()) out += ", ";
    out += text_.expr(range.min);
    if (!is_const_int(range.extent, 1)) out += ":" + text_.expr(range.min + range.extent);
  }
  return name_of(r.buffer) + "[" + (out.empty() ? "()" : out) + "]";
}

void TensorPrinter::block(const tir::BlockNode& b) {
  out_.add("with T.block(" + (b.name.empty() ? "" : print_string(b.name)) + "):");
  out_.indent();
  for (const tir::IterVar& iter : b.iters) {
    std::string domain = text_.expr(iter.extent);
    if (!is_const_int(iter.min, 0)) {
      domain = "(" + text_.expr(iter.min) + ", " + text_.expr(iter.min + iter.extent) + ")";
    }
    std::string value = text_.expr(iter.value);
    out_.add(fmt::format("{} = T.axis.{}({}, {})", name_of(iter.var),
                         tir::iter_kind_name(iter.kind), domain, value));
  }
  if (b.predicate) out_.add("T.where(" + text_.expr(b.predicate) + ")");
  auto regions = [&](const char* what, const std::vector<tir::Region>& list) {
    std::string out;
    for (const tir::Region& r : list) out += (out.empty() ? "" : ", ") + region(r);
    out_.add(fmt::format("T.{}({})", what, out));
  };
  regions("reads", b.reads);
  regions("writes", b.writes);
  if (!b.annotations.empty()) out_.add("T.block_attr(" + text_.attr_dict(b.annotations) + ")");
  for (const Buffer& a : b.alloc_buffers) {
    std::string args = buffer_args(*a, false);
    out_.add(fmt::format("{} = T.alloc_buffer({})", name_of(a), args));
  }
  for (const tir::MatchBuffer& m : b.match_buffers) {
    std::string source = region(m.source);
    size_t known = text_.symbols().size();
    std::string args = buffer_args(*m.buffer, false);
    for (size_t i = known; i < text_.symbols().size(); ++i) {  // symbols that the view binds
      out_.add(fmt::format("{} = T.int64()", *names_.find(text_.symbols()[i])));
    }
    out_.add(fmt::format("{} = T.match_buffer({}, {})", name_of(m.buffer), source, args));
  }
  if (b.init) {
    out_.add("with T.init():");
    nested(b.init);
  }
  sequence(b.body);
  out_.dedent();
}

}  // namespace

void print_prim_func(Lines& out, const tir::PrimFuncNode& f, const std::string& name,
                     const std::string& module_name) {
  UniqueNames names(module_name);
  TensorPrinter(out, names).function(f, name);
}

void print_statements(Lines& out, const tir::Stmt& s) {
  UniqueNames names;
  TensorPrinter(out, names).sequence(s);
}

}  // namespace repose::script
