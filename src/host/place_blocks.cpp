// The memory plan at run time.
#include "host/place_blocks.h"

namespace repose {

namespace {

Expr data(int64_t value) {
  return make_int(value, dtypes::int64);
}

class Placing {
 public:
  Placing(Statements& out, const Region& region, int number) : out_(out), region_(region) {
    const auto n = make_int(static_cast<int64_t>(region.blocks.size()));
    auto cells = [&](const char* what, const Expr& count) {
      Buffer b =
          make_buffer(fmt::format("{}_{}", what, number), {count}, dtypes::int64, Scope::local);
      out_.allocate(b);
      return b;
    };
    offsets_ = cells("offsets", n);
    best_ = cells("best_bytes", make_int(1));
    if (region.placements.size() > 1) {
      tried_ = cells("tried", n);
      peak_ = cells("peak", make_int(1));
    }
    evaluate_sizes();
  }

  PlacedBlocks run() {
    emit(region_.placements[0], offsets_, best_);
    for (size_t p = 1; p < region_.placements.size(); ++p) {
      emit(region_.placements[p], tried_, peak_);
      std::vector<tir::Stmt> take{store(best_, 0, at(peak_, 0))};
      for (int i : region_.placements[p].order) take.push_back(store(offsets_, i, at(tried_, i)));
      out_.add(
          tir::make<tir::IfNode>(lt(at(peak_, 0), at(best_, 0)), tir::make_seq(std::move(take))));
    }
    return {make_cast(dtypes::index, at(best_, 0)), offsets_};
  }

 private:
  void evaluate_sizes() {
    std::unordered_map<const ExprNode*, size_t> seen;
    std::vector<std::pair<Var, int64_t>> distinct;  // and how often
    for (const Expr& size : region_.sizes) {
      auto [it, is_new] = seen.emplace(size.get(), distinct.size());
      if (is_new) {
        Var v = make_var(fmt::format("size_{}", distinct.size()), dtypes::index, VarRole::let);
        out_.let(v, size);
        distinct.emplace_back(v, 0);
      }
      ++distinct[it->second].second;
      sizes_.push_back(make_cast(dtypes::int64, distinct[it->second].first));
    }
    Expr total = make_int(0);
    for (const auto& [v, count] : distinct) total = total + v * count;
    out_.let(make_var("all_bytes", dtypes::index, VarRole::let), total);
  }

  static Expr at(const Buffer& b, int i) { return make_load(b, {make_int(i)}); }
  static tir::Stmt store(const Buffer& b, int i, const Expr& value) {
    return tir::make<tir::StoreNode>(b, std::vector<Expr>{make_int(i)}, value);
  }

  void emit(const Orientation& o, const Buffer& offsets, const Buffer& peak) {
    auto end = [&](int i) { return at(offsets, i) + sizes_[static_cast<size_t>(i)]; };
    auto largest_end = [&](const std::vector<int>& list) {
      Expr largest = list.empty() ? data(0) : end(list[0]);
      for (size_t k = 1; k < list.size(); ++k) largest = max(largest, end(list[k]));
      return largest;
    };
    for (int i : o.order) {
      out_.add(store(offsets, i, largest_end(o.below[static_cast<size_t>(i)])));
    }
    out_.add(store(peak, 0, largest_end(o.tops)));
  }

  Statements& out_;
  const Region& region_;
  std::vector<Expr> sizes_;  // int64
  Buffer offsets_, best_, tried_, peak_;
};

}  // namespace

Expr PlacedBlocks::offset(int position) const {
  return make_cast(dtypes::index, make_load(offsets, {make_int(position)}));
}

PlacedBlocks place_blocks(Statements& out, const Region& region, int number) {
  if (region.blocks.empty()) return {make_int(0), nullptr};
  return Placing(out, region, number).run();
}

}  // namespace repose
