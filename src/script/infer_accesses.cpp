// Infers the regions that a block reads and writes, where the text doesn't state them.
#include <unordered_map>
#include <unordered_set>

#include "expr/facts.h"
#include "script/read_tensor.h"

namespace repose::script {

namespace {

struct Bound {
  Expr low, high;  // inclusive; null: not known
};

class AccessCollector {
 public:
  void declare(const Var& v, const Expr& min, const Expr& extent) {
    bounds_[v.get()] = {min, min + extent - make_int(1)};
  }
  void hide(const Var& v) { bounds_[v.get()] = {}; }
  void hide(const Buffer& b) { hidden_.insert(b.get()); }

  void add(std::vector<tir::Region>& list, const Buffer& buffer, const std::vector<Expr>& indices) {
    if (hidden_.count(buffer.get())) return;
    tir::Region region{buffer, {}};
    for (size_t i = 0; i < indices.size(); ++i) {
      region.ranges.push_back(range_of(indices[i], buffer->shape[i]));
    }
    for (tir::Region& other : list) {
      if (other.buffer != buffer) continue;
      for (size_t i = 0; i < region.ranges.size(); ++i) {
        tir::Range& r = other.ranges[i];
        bool same = structural_equal(r.min, region.ranges[i].min) &&
                    structural_equal(r.extent, region.ranges[i].extent);
        if (!same) r = {make_int(0), buffer->shape[i]};
      }
      return;
    }
    list.push_back(std::move(region));
  }

  // Loads of `e`, and the handles that it passes on: those may be read and written everywhere.
  void add_loads(const Expr& e, Accesses& out) {
    std::unordered_set<const ExprNode*> seen;
    visit(e, [&](const Expr& node) {
      if (!seen.insert(node.get()).second) return false;
      if (const auto* load = as<LoadNode>(node)) add(out.reads, load->buffer, node->args);
      if (const auto* call = as<CallNode>(node);
          call && call->intrinsic == Intrinsic::buffer_data && node->args.size() == 1) {
        if (const auto* load = as<LoadNode>(node->args[0])) {
          add_all(out.reads, load->buffer);
          add_all(out.writes, load->buffer);
        }
      }
      return true;
    });
  }

 private:
  std::unordered_map<const VarNode*, Bound> bounds_;
  std::unordered_set<const BufferNode*> hidden_;

  void add_all(std::vector<tir::Region>& list, const Buffer& buffer) {
    if (hidden_.count(buffer.get())) return;
    tir::Region all{buffer, {}};
    for (const Expr& extent : buffer->shape) all.ranges.push_back({make_int(0), extent});
    for (tir::Region& other : list) {
      if (other.buffer == buffer) {
        other = all;
        return;
      }
    }
    list.push_back(std::move(all));
  }

  tir::Range range_of(const Expr& index, const Expr& extent) {
    tir::Range everything{make_int(0), extent};
    Expr low = index, high = index;
    bool moved = false;
    if (index->kind == ExprKind::ramp) {
      int64_t stride = 0;
      if (!as_const_int(index->args[1], &stride) || stride < 1) return everything;
      low = index->args[0];
      high = low + make_int(stride * (index->dtype.lanes - 1));
      moved = true;
    }
    if (low->dtype != dtypes::index || high->dtype != dtypes::index) return everything;
    // Inner variables first; their bounds may mention outer ones. Each pass removes one.
    for (int pass = 0; pass < 64; ++pass) {
      bool changed = false;
      for (bool upper : {false, true}) {
        Expr& side = upper ? high : low;
        for (const Var& v : free_vars(side)) {
          auto it = bounds_.find(v.get());
          if (it == bounds_.end()) continue;
          if (!it->second.low) return everything;
          Expr step = canonical(substitute(side, {{v.get(), v + 1}}) - side);
          int64_t slope = 0;
          if (!as_const_int(step, &slope)) return everything;
          const Expr& value = (slope >= 0) == upper ? it->second.high : it->second.low;
          side = substitute(side, {{v.get(), value}});
          changed = moved = true;
          break;
        }
      }
      if (!changed) {
        if (!moved) return {index, make_int(1)};
        return {canonical(low), canonical(high - low + make_int(1))};
      }
    }
    return everything;
  }
};

void collect(AccessCollector& collector, const tir::Stmt& body, Accesses& out) {
  tir::visit_stmts(body, [&](const tir::Stmt& s) {
    if (const auto* loop = tir::as<tir::ForNode>(s)) {
      collector.declare(loop->var, loop->min, loop->extent);
    } else if (const auto* let = tir::as<tir::LetNode>(s)) {
      collector.hide(let->var);
    } else if (const auto* a = tir::as<tir::AllocateNode>(s)) {
      collector.hide(a->buffer);
    } else if (const auto* d = tir::as<tir::DeclareNode>(s)) {
      collector.hide(d->buffer);
    } else if (const auto* block = tir::as<tir::BlockNode>(s)) {
      for (const tir::IterVar& iter : block->iters) {
        collector.declare(iter.var, iter.min, iter.extent);
      }
      for (const Buffer& b : block->alloc_buffers) collector.hide(b);
      for (const tir::MatchBuffer& m : block->match_buffers) collector.hide(m.buffer);
      for (const auto& [list, regions] :
           {std::pair{&out.reads, &block->reads}, std::pair{&out.writes, &block->writes}}) {
        for (const tir::Region& r : *regions) {
          for (bool last : {false, true}) {  // the box from its first to its last point
            std::vector<Expr> corner;
            bool point = true;
            for (const tir::Range& range : r.ranges) {
              point = point && is_const_int(range.extent, 1);
              corner.push_back(last ? range.min + range.extent - make_int(1) : range.min);
            }
            if (!last || !point) collector.add(*list, r.buffer, corner);
          }
        }
      }
    }
    return true;
  });
  tir::visit_stmts(body, [&](const tir::Stmt& s) {
    if (const auto* store = tir::as<tir::StoreNode>(s)) {
      collector.add(out.writes, store->buffer, store->indices);
    }
    if (s->kind != tir::StmtKind::block) {
      tir::visit_exprs_of(s, [&](const Expr& e) { collector.add_loads(e, out); });
    }
    return true;
  });
}

}  // namespace

Accesses infer_accesses(const tir::BlockNode::Fields& block) {
  AccessCollector collector;
  for (const Buffer& b : block.alloc_buffers) collector.hide(b);
  for (const tir::MatchBuffer& m : block.match_buffers) collector.hide(m.buffer);
  Accesses out;
  if (block.init) collect(collector, block.init, out);
  collect(collector, block.body, out);
  for (const tir::MatchBuffer& m : block.match_buffers) {
    out.reads.push_back(m.source);
    out.writes.push_back(m.source);
  }
  if (block.init) {
    std::erase_if(out.reads, [&](const tir::Region& r) {
      for (const tir::Region& w : out.writes) {
        if (w.buffer == r.buffer) return true;
      }
      return false;
    });
  }
  return out;
}

}  // namespace repose::script
