// Beginning a schedule: everything has a name of its own.
#include "schedule/scheduled.h"

#include <gtest/gtest.h>

#include "schedule/finish.h"
#include "schedule/primitives.h"
#include "te/te.h"

namespace repose::schedule {
namespace {

TEST(BeginSchedule, TellsParametersOfOneNameApart) {
  Var m = make_var("m");
  const te::Tensor a = te::placeholder({m, make_int(4)}, dtypes::float32, "x");
  const te::Tensor b = te::placeholder({make_int(4), make_int(8)}, dtypes::float32, "x");
  const te::Tensor c = te::reduce(
      {m, make_int(8)}, te::Reducer::sum, {make_int(4)},
      [&](const te::Indices& i, const te::Indices& r) { return a(i[0], r[0]) * b(r[0], i[1]); },
      "c");
  const tir::PrimFunc f = te::make_program({a, b}, {c}).func;
  Scheduled s = begin_schedule(f);
  ASSERT_EQ(s.func->params.size(), f->params.size());
  EXPECT_EQ(s.func->params[0].buffer->name, "x");
  EXPECT_EQ(s.func->params[1].buffer->name, "x_1");
  const Block block{blocks_in(s.func->body)[0]->name};
  // The second factor, by the name that the trace prints.
  auto fill = reindex(s, block, *buffer_named(s, "x_1"));
  ASSERT_TRUE(fill.ok()) << to_string(fill.errors());
  EXPECT_EQ(to_string(s.steps[0]), fill->name + " = reindex(" + block.name + ", x_1)");
  const tir::BlockNode* made = find_block(s, *fill);
  EXPECT_EQ(made->reads[0].buffer, s.func->params[1].buffer);
  EXPECT_TRUE(finish_schedule(s).ok());
}

}  // namespace
}  // namespace repose::schedule
