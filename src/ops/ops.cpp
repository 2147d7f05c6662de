// The table of operators, made from the list in operators.def.
#include "ops/ops.h"

#include <vector>

namespace repose {

const OpTable& standard_ops() {
  static const std::vector<const OpDef*> all = {
#define OPERATOR(name) &op_##name(),
#include "ops/operators.def"
#undef OPERATOR
  };
  static const OpTable table(all);
  return table;
}

}  // namespace repose
