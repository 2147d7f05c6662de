// Sums of sizes and largest ones of them: which are never the largest.
#include "memory/max_plus.h"

#include <gtest/gtest.h>

namespace repose {
namespace {

class MaxPlusTest : public ::testing::Test {
 protected:
  Var batch_ = make_var("batch"), rows_ = make_var("rows"), cols_ = make_var("cols");
  Facts facts_;
  std::vector<SymbolValues> samples_ = sample_values({batch_, rows_, cols_}, facts_);
  MaxPlus algebra_{facts_, samples_};

  static Expr halved(const Expr& e, int64_t by) {
    return floor_div(e + make_int(by - 1), make_int(by));
  }
  // The bytes of (batch, rows / by, cols / by), aligned.
  MaxPlus::Sum map_of(int64_t by) {
    const Expr elements = batch_ * halved(rows_, by) * halved(cols_, by);
    return algebra_.sum_of(canonical(halved(elements, 8) * make_int(64)));
  }
  bool at_most(const MaxPlus::Sum& a, const MaxPlus::Sum& b) { return algebra_.at_most(a, b); }
};

TEST_F(MaxPlusTest, SmallerMapsNeedNoMore) {
  EXPECT_TRUE(at_most(map_of(4), map_of(2)));
  EXPECT_TRUE(at_most(map_of(64), map_of(1)));
  EXPECT_FALSE(at_most(map_of(2), map_of(4)));
  const MaxPlus::Sum large = algebra_.add(map_of(1), map_of(2));
  EXPECT_TRUE(at_most(algebra_.add(map_of(2), map_of(4)), large));
  EXPECT_TRUE(at_most(algebra_.add(map_of(2), map_of(2)), large));
  EXPECT_FALSE(at_most(algebra_.add(map_of(1), map_of(1)), large));
  // Nothing covers two.
  EXPECT_FALSE(at_most(algebra_.add(map_of(2), map_of(2)), map_of(1)));
}

TEST_F(MaxPlusTest, WhatMayBeNegativeAddsNothing) {
  // Within a quotient: batch + offset is not at least batch where offset may be below 0.
  const Var offset = make_var("offset", dtypes::index, VarRole::value);
  facts_.assume(le(make_int(0), batch_ + offset));
  SymbolValues small{{batch_.get(), 8}, {rows_.get(), 1}, {cols_.get(), 1}, {offset.get(), 8}};
  const std::vector<SymbolValues> samples{small};
  MaxPlus algebra(facts_, samples);
  const auto blocks = [&](const Expr& n) { return algebra.sum_of(floor_div(n, make_int(8))); };
  EXPECT_FALSE(algebra.at_most(blocks(batch_), blocks(batch_ + offset)));
  EXPECT_TRUE(algebra.at_most(blocks(batch_), blocks(batch_ + rows_)));
}

TEST_F(MaxPlusTest, AllOfWhatMayBeTheLargestIsKept) {
  const Expr tall = batch_ * rows_ * make_int(64), wide = batch_ * cols_ * make_int(64);
  MaxPlus::Max most = algebra_.larger({algebra_.sum_of(tall)}, {algebra_.sum_of(wide)});
  EXPECT_EQ(most.size(), 2u);
  most = algebra_.larger(most, {algebra_.sum_of(batch_ * halved(rows_, 2) * make_int(64))});
  EXPECT_EQ(most.size(), 2u);
  most = algebra_.larger(most, {algebra_.sum_of(batch_ * (rows_ + cols_) * make_int(64))});
  EXPECT_EQ(to_string(algebra_.to_expr(most)), "batch * cols * 64 + batch * rows * 64");
}

}  // namespace
}  // namespace repose
