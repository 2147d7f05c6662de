// Writes the page: the plan as data and functions, then the fixed part that draws it.
#include "driver/memory_page.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "driver/memory_page_parts.h"

namespace repose {

namespace {

using Json = nlohmann::ordered_json;

// Expressions as JavaScript over the array `s` of symbol values.
class Script {
 public:
  explicit Script(const std::vector<Var>& symbols) {
    for (size_t i = 0; i < symbols.size(); ++i) positions_.emplace(symbols[i].get(), i);
  }

  std::string text(const Expr& e) const {
    int64_t value = 0;
    if (as_const_int(e, &value)) return fmt::format("{}", value);
    if (const auto* v = as<VarNode>(e)) return fmt::format("s[{}]", positions_.at(v));
    switch (e->kind) {
      case ExprKind::floor_div:
        return call("floorDiv", e);
      case ExprKind::floor_mod:
        return call("floorMod", e);
      case ExprKind::min:
        return call("Math.min", e);
      case ExprKind::max:
        return call("Math.max", e);
      case ExprKind::select:
      case ExprKind::if_then_else:
        return fmt::format("({} ? {} : {})", text(e->args[0]), text(e->args[1]), text(e->args[2]));
      case ExprKind::logical_and:
        return infix("&&", e);
      case ExprKind::logical_or:
        return infix("||", e);
      case ExprKind::logical_not:
        return "!(" + text(e->args[0]) + ")";
      case ExprKind::eq:
        return infix("===", e);
      case ExprKind::ne:
        return infix("!==", e);
      default:
        break;
    }
    REPOSE_CHECK(is_binary(e->kind) || is_compare(e->kind), "a size is index arithmetic");
    return infix(kind_spelling(e->kind), e);
  }

 private:
  std::string call(const char* name, const Expr& e) const {
    return fmt::format("{}({}, {})", name, text(e->args[0]), text(e->args[1]));
  }
  std::string infix(const char* spelling, const Expr& e) const {
    return fmt::format("({} {} {})", text(e->args[0]), spelling, text(e->args[1]));
  }

  std::unordered_map<const VarNode*, size_t> positions_;
};

// The symbols of the function, then those that only sizes mention: the data decides them.
std::vector<Var> symbols_of(const CompiledFunction& f) {
  std::vector<Var> symbols;
  auto add = [&](const Var& v) {
    if (std::find(symbols.begin(), symbols.end(), v) == symbols.end()) symbols.push_back(v);
  };
  for (const SymbolInfo& s : f.host.interface.symbols) add(s.symbol);
  for (const Region& r : f.plan.regions) {
    for (const Expr& size : r.sizes) {
      for (const Var& v : free_vars(size)) add(v);
    }
  }
  return symbols;
}

Json describe_symbols(const CompiledFunction& f, const std::vector<Var>& symbols,
                      const std::map<std::string, int64_t>& initial) {
  Json list = Json::array();
  for (const Var& v : symbols) {
    Json symbol{{"name", v->name}, {"lower", 0}, {"divisor", 1}};
    if (v == f.plan.num_threads)
      symbol = {{"name", v->name}, {"lower", 1}, {"upper", 64}, {"divisor", 1}, {"initial", 1}};
    for (const SymbolInfo& s : f.host.interface.symbols) {
      if (s.symbol != v) continue;
      symbol["name"] = s.name;
      symbol["lower"] = std::max<int64_t>(0, s.range.lower);
      symbol["divisor"] = s.range.divisor;
      if (s.range.upper != Interval::plus_infinity) symbol["upper"] = s.range.upper;
    }
    auto it = initial.find(symbol["name"].get<std::string>());
    if (it != initial.end()) symbol["initial"] = it->second;
    list.push_back(std::move(symbol));
  }
  return list;
}

std::string block_name(const MemoryPlan& plan, int block) {
  for (const auto& [call, own] : plan.workspaces) {
    if (own != block) continue;
    return "memory of " + graph::as<graph::GlobalNode>(call->args[0])->name;
  }
  std::string names;
  for (int s : plan.aliases.blocks[static_cast<size_t>(block)].members) {
    const graph::VariableNode* v = plan.live.storages[static_cast<size_t>(s)].definition;
    if (v) names += (names.empty() ? "" : ", ") + v->name;
  }
  return names;
}

// Per position of the function: the name that is bound there.
Json describe_steps(const MemoryPlan& plan) {
  std::vector<std::string> names(static_cast<size_t>(plan.live.num_positions));
  for (const auto& [value, position] : plan.live.positions) {
    if (value->kind != graph::ValueKind::variable || position < 0) continue;
    names.at(static_cast<size_t>(position)) = static_cast<const graph::VariableNode*>(value)->name;
  }
  return names;
}

// Per position: the kernel that runs there, where one does.
Json describe_kernels(const MemoryPlan& plan) {
  std::vector<std::string> names(static_cast<size_t>(plan.live.num_positions) + 1);
  for (const KernelCall& k : plan.live.calls) {
    names.at(static_cast<size_t>(k.position)) = graph::as<graph::GlobalNode>(k.call->args[0])->name;
  }
  return names;
}

Json describe_region(const CompiledFunction& f, const Region& r) {
  Json blocks = Json::array(), placements = Json::array();
  for (size_t i = 0; i < r.blocks.size(); ++i) {
    const Block& block = f.plan.aliases.blocks[static_cast<size_t>(r.blocks[i])];
    Json live = Json::array();
    for (const auto& interval : block.live) live.push_back({interval.first, interval.last});
    blocks.push_back({{"name", block_name(f.plan, r.blocks[i])},
                      {"bytes", dim_text(r.sizes[i], f.host.interface.symbols)},
                      {"live", std::move(live)}});
  }
  for (const Orientation& o : r.placements) {
    placements.push_back({{"order", o.order}, {"below", o.below}});
  }
  return {{"blocks", std::move(blocks)}, {"placements", std::move(placements)}};
}

// JSON that may stand inside a script element.
std::string embedded(const Json& json) {
  std::string out;
  for (char c : json.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string memory_page(const CompiledFunction& f, const std::string& model_name,
                        const std::map<std::string, int64_t>& initial) {
  const std::vector<Var> symbols = symbols_of(f);
  const Script script(symbols);
  Json plan{{"model", model_name},
            {"function", f.host.interface.name},
            {"symbols", describe_symbols(f, symbols, initial)},
            {"steps", describe_steps(f.plan)},
            {"kernels", describe_kernels(f.plan)},
            {"regions", Json::array()}};
  std::string sizes;
  for (const Region& r : f.plan.regions) {
    plan["regions"].push_back(describe_region(f, r));
    sizes += "  [\n";
    for (const Expr& size : r.sizes) sizes += "    (s) => " + script.text(size) + ",\n";
    sizes += "  ],\n";
  }
  return std::string(memory_page_head) + "const plan = " + embedded(plan) + ";\nconst sizes = [\n" +
         sizes + "];\n" + memory_page_tail;
}

}  // namespace repose
