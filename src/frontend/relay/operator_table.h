// Relay's operators, and how each becomes operators of the graph.
#pragma once

#include <span>
#include <string_view>

#include "frontend/relay/call.h"

namespace repose::relay {

struct RelayOperator {
  const char* name;
  Result<Operand> (*import)(RelayCall& c, const char* op);
  const char* op = "";  // the operator of the graph that it is, for those that share an importer
};

// By family; the table of a family is in its source file.
std::span<const RelayOperator> elementwise_operators();
std::span<const RelayOperator> reduction_operators();
std::span<const RelayOperator> network_operators();
std::span<const RelayOperator> movement_operators();
std::span<const RelayOperator> creation_operators();

const RelayOperator* find_operator(std::string_view name);  // null: not supported

}  // namespace repose::relay
