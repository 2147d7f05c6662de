// Look-up over the families' tables.
#include "frontend/relay/operator_table.h"

#include <algorithm>

namespace repose::relay {

const RelayOperator* find_operator(std::string_view name) {
  for (const auto& family : {elementwise_operators(), reduction_operators(), network_operators(),
                             movement_operators(), creation_operators()}) {
    const auto it = std::find_if(family.begin(), family.end(),
                                 [&](const RelayOperator& o) { return o.name == name; });
    if (it != family.end()) return &*it;
  }
  return nullptr;
}

}  // namespace repose::relay
