// Sorting inside tensor programs.
#include "ops/sort.h"

namespace repose {

namespace {

Expr is_nan(const Expr& value) {
  return make_call(Intrinsic::isnan, dtypes::boolean, {value});
}

// One merge of neighbouring runs, [begin, begin + width) and the next `width` items, of which only
// the first min(width, keep) of each are there.
class Merge {
 public:
  Merge(const Buffer& order, const Buffer& spare, const Expr& count, const Expr& keep,
        const Expr& width)
      : order_(order), spare_(spare), count_(count), keep_(keep), width_(width) {}

  // left and right run over the two; spare[begin…] = the smaller one, as long as there is one.
  tir::Stmt at(const Expr& begin, const Precedes& precedes) const {
    const Expr middle = begin + width_, run = min(width_, keep_);
    const Expr left_end = min(begin + run, count_), right_end = min(middle + run, count_);
    const Expr merged = min(left_end - begin + max(right_end - middle, make_int(0)), keep_);
    const tir::Stmt compare = tir::make<tir::IfNode>(
        lt(left_.get(), left_end),
        precedes(load_index(order_, {right_.get()}), load_index(order_, {left_.get()}), takes_),
        store(takes_, {make_int(0)}, make_bool(true)));
    auto take = [&](const Expr& to, const Cell& from) {
      return tir::make_seq({store(spare_, {to}, make_load(order_, {from.get()})), from.advance()});
    };
    const tir::Stmt merge = for_each("t", merged, [&](const Expr& t) {
      return tir::make_seq(
          {store(takes_, {make_int(0)}, make_bool(false)),
           tir::make<tir::IfNode>(lt(right_.get(), right_end), compare),
           tir::make<tir::IfNode>(make_load(takes_, {make_int(0)}), take(begin + t, right_),
                                  take(begin + t, left_))});
    });
    const tir::Stmt back = for_each("t", merged, [&](const Expr& t) {
      return store(order_, {begin + t}, make_load(spare_, {begin + t}));
    });
    return with_buffers({left_.buffer(), right_.buffer(), takes_},
                        tir::make_seq({left_.set(begin), right_.set(middle), merge, back}));
  }

 private:
  Buffer order_, spare_;
  Expr count_, keep_, width_;
  Cell left_{"left"}, right_{"right"};
  Buffer takes_ = make_buffer("takes_right", {make_int(1)}, dtypes::boolean, Scope::local);
};

}  // namespace

tir::Stmt sort_items(const Buffer& order, const Expr& count, const Expr& keep,
                     const Precedes& precedes) {
  const Buffer spare = make_buffer("spare", order->shape, dtypes::int64, Scope::workspace);
  const Cell width("width");
  const Merge merge(order, spare, count, keep, width.get());
  const tir::Stmt pass = for_each("pair", ceil_div(count, width.get() * 2), [&](const Expr& pair) {
    return merge.at(pair * width.get() * 2, precedes);
  });
  const tir::Stmt sort = tir::make<tir::WhileNode>(
      lt(width.get(), count), tir::make_seq({pass, width.set(width.get() * 2)}));
  return with_buffers(
      {spare, width.buffer()},
      tir::make_seq({for_each("i", count, [&](const Expr& i) { return store(order, {i}, i); }),
                     width.set(make_int(1)), sort}));
}

Expr is_less(const Expr& a, const Expr& b) {
  if (a->dtype.is_bool()) return logical_and(make_not(a), b);
  if (!a->dtype.is_float()) return lt(a, b);
  return logical_or(lt(a, b), logical_and(is_nan(b), make_not(is_nan(a))));
}

Expr is_same(const Expr& a, const Expr& b) {
  if (!a->dtype.is_float()) return eq(a, b);
  return logical_or(eq(a, b), logical_and(is_nan(a), is_nan(b)));
}

}  // namespace repose
