// What a block does with elements, where the iteration that made them ends.
#include "schedule/primitives/reverse_compute_at.h"

#include <algorithm>

#include "schedule/local_buffer.h"
#include "schedule/motion.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Range;
using tir::Stmt;

namespace {

// What an iteration makes of a buffer.
struct Made {
  Buffer buffer;
  std::vector<Range> box;
};

bool is_in(const Access& a, const ForNode& loop) {
  return std::find(a.loops.begin(), a.loops.end(), &loop) != a.loops.end();
}

class Reversal {
 public:
  Reversal(const Scheduled& s, const Nest& nest, const NestAxes& axes, const ForNode& at)
      : s_(s),
        nest_(nest),
        axes_(axes),
        at_(at),
        name_(nest.block->name),
        body_(inner_body(at)),
        facts_(facts_inside(s, at)) {
    for (const Access& a : accesses_in(nest.path[0])) {
      if (!a.is_store) reads_.push_back(a);
    }
  }

  Result<void> check() {
    if (auto between = check_between(); !between.ok()) return between.errors();
    if (made_.empty()) {
      return illegal("`{}` reads nothing that an iteration of `{}` writes", name_, at_.var->name);
    }
    for (Made& made : made_) {
      if (auto complete = check_complete(made); !complete.ok()) return complete.errors();
    }
    find_loads();
    return {};
  }

  // The block's loops in the iteration: over the elements of one buffer, such that what else it
  // reads of the iteration is there too.
  Result<Stmt> move(Scheduled& next) const {
    std::vector<std::vector<std::optional<Range>>> candidates;
    for (const Load& load : loads_) {
      auto told = told_by(load.indices, load.made->buffer, load.made->box, axes_, facts_).ranges;
      if (reaches_all(load, told)) candidates.push_back(std::move(told));
    }
    if (candidates.empty()) {
      return illegal(
          "not all of `{}` would run: iterations of `{}` may make less than it goes over", name_,
          at_.var->name);
    }
    const auto count = [](const auto& told) {
      return std::count_if(told.begin(), told.end(), [](const auto& t) { return t.has_value(); });
    };
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](const auto& a, const auto& b) { return count(a) > count(b); });
    Buffer missing = made_[0].buffer;
    for (const auto& told : candidates) {
      Scheduled attempt = next;
      Rebuilt moved = rebuild(attempt, nest_, axes_, told, facts_);
      if (const Made* other = read_outside(moved)) {
        missing = other->buffer;
        continue;
      }
      next = std::move(attempt);
      return moved.nest;
    }
    return illegal("`{}` reads elements of `{}` that another iteration of `{}` makes", name_,
                   missing->name, at_.var->name);
  }

  const Facts& facts() const { return facts_; }

 private:
  struct Load {
    const Made* made;
    std::vector<Expr> indices;  // over the block's axes
    bool is_certain;            // whenever the block runs
  };

  // That the block needs nothing of what runs before it but what the iteration makes, and that
  // nothing there sees what it writes.
  Result<void> check_between() {
    const Memory memory(s_.func);
    const Buffer& target = nest_.store->buffer;
    for (const Stmt& part : nest_.between) {
      for (const Access& a : accesses_in(part)) {
        if (memory.same(a.buffer, target)) {
          return illegal("{}, which `{}` writes, before it", to_string(a), name_);
        }
        const auto read = std::find_if(reads_.begin(), reads_.end(), [&](const Access& r) {
          return memory.same(r.buffer, a.buffer);
        });
        if (!a.is_store || read == reads_.end()) continue;
        if (!is_in(a, at_) || read->buffer != a.buffer) {
          return illegal("{}, which `{}` reads, outside of `{}`", to_string(a), name_,
                         at_.var->name);
        }
        const bool known = std::any_of(made_.begin(), made_.end(),
                                       [&](const Made& m) { return m.buffer == a.buffer; });
        if (!known) made_.push_back({a.buffer, {}});
      }
    }
    return {};
  }

  // Stages that follow each other ask the same of buffers of one shape.
  bool is_disjoint(const Made& made) const {
    std::vector<Expr> key = made.buffer->shape;
    for (const Range& r : made.box) key.insert(key.end(), {r.min, r.extent});
    for (const Stmt& at : nest_.to_at) {
      if (const auto* loop = tir::as<ForNode>(at)) {
        key.insert(key.end(), {loop->var, loop->min, loop->extent});
      } else if (const auto* let = tir::as<tir::LetNode>(at)) {
        key.insert(key.end(), {let->var, let->value});
      }
    }
    return s_.known->is_true(key, [&] {
      return are_disjoint(made.buffer, made.box, space_of(nest_.to_at, nest_.facts), nest_.facts);
    });
  }

  // That an iteration makes elements of its own, and all that the block reads are made.
  Result<void> check_complete(Made& made) const {
    std::vector<Access> stores;
    for (const Access& a : accesses_of(accesses_in(body_), made.buffer)) {
      if (a.is_store) stores.push_back(a);
    }
    const auto box = box_of(stores, facts_);
    if (!box) {
      return illegal("what an iteration of `{}` writes of `{}` is no box that can be told",
                     at_.var->name, made.buffer->name);
    }
    made.box = *box;
    const Memory memory(s_.func);
    for (const Access& a : accesses_in(s_.func->body)) {
      if (!a.is_store || !memory.same(a.buffer, made.buffer) || is_in(a, at_)) continue;
      return illegal("{}, which `{}` reads, outside of `{}`", to_string(a), name_, at_.var->name);
    }
    if (!is_disjoint(made)) {
      return illegal(
          "`{}` is not complete after an iteration of `{}`: others may write the same "
          "elements",
          made.buffer->name, at_.var->name);
    }
    return {};
  }

  // Whether the block, over these ranges, runs for all of its domain. An element that is read was
  // written, so that each point that reads one has its iteration; other points are found where the
  // iterations cover the domain.
  bool reaches_all(const Load& load, const std::vector<std::optional<Range>>& told) const {
    const bool reads_what_is_made = load.is_certain && is_made_in(s_.func->body, load.made->buffer);
    if (reads_what_is_made) return true;
    if (adds_to_target()) return false;  // an iteration too many would be seen
    std::vector<Range> box, wanted;
    for (size_t i = 0; i < told.size(); ++i) {
      if (!told[i]) continue;
      box.push_back(*told[i]);
      wanted.push_back(axes_.axes[i].domain);
    }
    const bool runs = std::none_of(nest_.to_at.begin(), nest_.to_at.end(), [](const Stmt& part) {
      return part->kind == tir::StmtKind::if_ || part->kind == tir::StmtKind::while_;
    });
    return runs && cover_together(box, wanted, space_of(nest_.to_at, nest_.facts), nest_.facts);
  }

  bool adds_to_target() const {
    return !nest_.block->init && !accesses_of(reads_, nest_.store->buffer).empty();
  }

  // Loads of what the iteration makes, with what says whether they happen wherever the block runs.
  void find_loads() {
    bool is_certain = true;
    for (const tir::IterVar& iter : nest_.block->iters) {
      const bool may_be_empty = iter.kind == tir::IterKind::reduce &&
                                prove_le(make_int(1), iter.extent, nest_.facts) != Truth::yes;
      is_certain = is_certain && !may_be_empty;
    }
    for (const Expr& i : nest_.store->indices) find_loads(i, is_certain);
    find_loads(nest_.store->value, is_certain);
    if (const auto* init = tir::as<tir::StoreNode>(nest_.block->init))
      find_loads(init->value, true);
  }
  void find_loads(const Expr& e, bool is_certain) {
    if (const auto* load = as<LoadNode>(e)) {
      for (const Made& made : made_) {
        if (load->buffer == made.buffer) loads_.push_back({&made, e->args, is_certain});
      }
    }
    const bool chooses = e->kind == ExprKind::if_then_else || is_logic(e->kind);
    for (size_t i = 0; i < e->args.size(); ++i)
      find_loads(e->args[i], is_certain && !(chooses && i > 0));
  }

  // A buffer of which the moved block reads more than the iteration makes; null: there is none.
  const Made* read_outside(const Rebuilt& moved) const {
    for (const Load& load : loads_) {
      for (size_t d = 0; d < load.indices.size(); ++d) {
        const Range& range = load.made->box[d];
        const Expr at = canonical(substitute(load.indices[d], moved.values));
        if (prove_le(range.min, at, moved.facts) != Truth::yes ||
            prove(lt(at, range.min + range.extent), moved.facts) != Truth::yes) {
          return load.made;
        }
      }
    }
    return nullptr;
  }

  const Scheduled& s_;
  const Nest& nest_;
  const NestAxes& axes_;
  const ForNode& at_;
  const std::string& name_;
  const Stmt body_;
  const Facts facts_;
  std::vector<Access> reads_;  // of the block
  std::vector<Made> made_;
  std::vector<Load> loads_;  // by the block, of what is made
};

}  // namespace

// Iterations make elements that no other touches; the program reads only what was written. So each
// point of the block belongs to the one iteration that made what it reads.
Result<void> reverse_compute_at(Scheduled& s, const Block& block, const Loop& at) {
  REPOSE_TRY(nest, nest_of(s, block, at, Side::behind));
  REPOSE_FIND_LOOP(loop, s, at);
  const Ref<const tir::StmtNode> keep(loop);
  REPOSE_TRY(axes, axes_of(nest));
  Reversal reversal(s, nest, axes, *loop);
  if (auto check = reversal.check(); !check.ok()) return check.errors();
  Scheduled next = s;
  REPOSE_TRY(moved, reversal.move(next));
  if (auto check = check_place(s, nest, moved, reversal.facts()); !check.ok()) {
    return check.errors();
  }
  replace(next, loop, with_inner_body(*loop, appended(inner_body(*loop), moved)));
  next.func = tir::with_body(next.func, without(next.func->body, nest.path[0].get()));
  s = std::move(next);
  note(s, "reverse_compute_at", {Arg(block), Arg(at)});
  return {};
}

}  // namespace repose::schedule
