// The parts of a loop in the graph.
#include "ir/while_loop.h"

#include "ir/op.h"

namespace repose {

bool is_while_loop(const graph::CallNode& call) {
  return call.op && call.op->name == "while_loop";
}

std::optional<LoopClosures> loop_closures(const graph::CallNode& loop, const Closures& closures) {
  const auto cond = closures.find(loop.args[0].get()), body = closures.find(loop.args[1].get());
  if (cond == closures.end() || body == closures.end()) return std::nullopt;
  return LoopClosures{cond->second, body->second};
}

Type carried_type(const graph::FunctionNode& f, const Type& init) {
  std::vector<Type> types;
  for (const graph::Variable& p : f.params) types.push_back(p->type);
  const bool takes_all =
      types.size() == 1 && (!as<TupleTypeNode>(init) || as<TupleTypeNode>(types[0]));
  return takes_all ? types[0] : tuple_type(std::move(types));
}

}  // namespace repose
