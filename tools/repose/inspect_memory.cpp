// repose inspect --memory.
#include "inspect_memory.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "command.h"
#include "driver/peak_text.h"
#include "runtime/threads.h"

namespace repose::cli {

namespace {

using Json = nlohmann::ordered_json;
using Values = std::vector<int64_t>;  // one per symbol, in their order

constexpr const char* threads_name = "num_threads";
constexpr int64_t max_threads = 4096;

struct Symbol {
  std::string name;
  int64_t lower = 0, upper = 0, divisor = 1;
  int64_t otherwise = -1;  // the value where none is given; -1: one has to be
  std::vector<std::string> other_names;
};

// The number of threads, which is the last symbol of each function.
Symbol threads_symbol() {
  return {threads_name, 1, max_threads, 1, rt::default_num_threads(), {}};
}

Diagnostic bad_dimension(const std::string& what) {
  return error(DiagnosticKind::bad_usage, {}, "--memory: {}", what);
}

// One `name=size`; names may contain `=` no more than models' names do.
Result<std::pair<std::string, int64_t>> parse_item(const std::string& item) {
  const size_t equals = item.rfind('=');
  int64_t value = 0;
  const char* end = item.data() + item.size();
  const char* begin = equals == std::string::npos ? end : item.data() + equals + 1;
  auto [stop, status] = std::from_chars(begin, end, value);
  if (begin == end || stop != end || status != std::errc()) {
    return bad_dimension(fmt::format("`{}`, expected `name=size`", item));
  }
  return std::pair(item.substr(0, equals), value);
}

Result<void> set_value(const std::string& item, const std::vector<Symbol>& symbols, Values& values,
                       std::vector<bool>& given) {
  REPOSE_TRY(parsed, parse_item(item));
  const auto& [name, value] = parsed;
  for (size_t i = 0; i < symbols.size(); ++i) {
    const Symbol& s = symbols[i];
    if (s.name != name && !std::count(s.other_names.begin(), s.other_names.end(), name)) continue;
    if (value < s.lower || value > s.upper || value % s.divisor != 0) {
      return bad_dimension(fmt::format("`{}` is {}, which its range does not allow", name, value));
    }
    if (given[i]) return bad_dimension(fmt::format("`{}` is given twice", name));
    values[i] = value;
    given[i] = true;
    return {};
  }
  return bad_dimension(fmt::format("no dimension of the inputs is called `{}`", name));
}

std::vector<std::string> items_of(const std::string& text) {
  std::vector<std::string> items;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    items.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return items;
}

Result<Values> parse_values(const std::string& text, const std::vector<Symbol>& symbols) {
  Values values(symbols.size(), 0);
  std::vector<bool> given(symbols.size(), false);
  for (const std::string& item : items_of(text)) {
    auto set = set_value(item, symbols, values, given);
    if (!set.ok()) return set.errors();
  }
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (!given[i]) values[i] = symbols[i].otherwise;
    if (values[i] < 0) {
      return bad_dimension(fmt::format("`{}` is missing in `{}`", symbols[i].name, text));
    }
  }
  return values;
}

// What is known of the memory at given dimensions.
struct Point {
  int64_t arena_bytes = -1;  // -1: data decides
  int64_t lower_bound = -1;  // -1: not known
  std::string undecided;     // why the data decides
};

struct Function {
  std::string name;
  std::vector<Symbol> symbols;     // of the shapes, then the number of threads
  std::vector<std::string> peaks;  // one per region
  std::vector<SizeText> sizes;     // names that they mention
  std::function<Result<Point>(const Values&)> at;
};

void print_point(const std::string& text, const Point& p) {
  if (p.arena_bytes < 0) {
    std::printf("  at %s: %s\n", text.c_str(), p.undecided.c_str());
    return;
  }
  std::printf("  at %s: %lld bytes", text.c_str(), static_cast<long long>(p.arena_bytes));
  if (p.lower_bound > 0) {
    std::printf(", %.4f of the lower bound %lld",
                static_cast<double>(p.arena_bytes) / static_cast<double>(p.lower_bound),
                static_cast<long long>(p.lower_bound));
  }
  std::printf("\n");
}

// What was asked for, with the number of threads where that matters and was not given.
std::string shown(const std::string& text, const Function& f, const Values& values) {
  const std::string item = std::string(threads_name) + "=";
  bool matters = text.find(item) == std::string::npos;
  matters = matters && std::any_of(f.peaks.begin(), f.peaks.end(), [](const std::string& peak) {
              return peak.find(threads_name) != std::string::npos;
            });
  return matters ? fmt::format("{},{}{}", text, item, values.back()) : text;
}

// Prints one function at all points, into `root` with --json.
Result<void> print(const Function& f, const MemoryQuery& query, Json& root) {
  Json points = Json::array();
  if (!query.json) {
    print_out(fmt::format("function {}\n", f.name));
    for (const std::string& peak : f.peaks) print_out(fmt::format("  arena bytes: {}\n", peak));
    for (const SizeText& s : sizes_in_use(f.sizes, f.peaks)) {
      print_out(fmt::format("    where {} = {}\n", s.name, s.value));
    }
  }
  for (const std::string& text : query.at) {
    REPOSE_TRY(values, parse_values(text, f.symbols));
    REPOSE_TRY(point, f.at(values));
    if (!query.json) print_point(shown(text, f, values), point);
    Json entry{{"at", text},
               {threads_name, values.back()},
               {"arena_bytes", point.arena_bytes},
               {"lower_bound", point.lower_bound}};
    if (!point.undecided.empty()) entry["undecided"] = point.undecided;
    points.push_back(std::move(entry));
  }
  Json sizes = Json::array();
  for (const SizeText& size : sizes_in_use(f.sizes, f.peaks)) {
    sizes.push_back({{"name", size.name}, {"value", size.value}});
  }
  root.push_back(
      Json{{"name", f.name}, {"arena_bytes", f.peaks}, {"sizes", sizes}, {"points", points}});
  return {};
}

int print(const std::vector<Function>& functions, const MemoryQuery& query) {
  Json root = Json::array();
  for (const Function& f : functions) {
    if (!query.function.empty() && f.name != query.function) continue;
    auto printed = print(f, query, root);
    if (printed.ok()) continue;
    Diagnostics errors = printed.errors();
    if (functions.size() > 1) {
      errors.back().notes.push_back(
          {{}, fmt::format("this is of function `{}`; --function asks one only", f.name)});
    }
    return report(errors);
  }
  if (root.empty()) {
    return report(
        {error(DiagnosticKind::bad_usage, {}, "the model has no function `{}`", query.function)});
  }
  if (query.json) print_out(root.dump(2) + "\n");
  return 0;
}

// The names of dimensions that were made one with another.
void add_other_names(const Json& metadata, Function& out) {
  for (const Json& f : metadata["functions"]) {
    if (f["name"] != out.name) continue;
    for (size_t i = 0; i < f["symbols"].size(); ++i) {
      out.symbols[i].other_names = f["symbols"][i].value("other_names", std::vector<std::string>());
    }
  }
}

// Refuses sizes that a call would refuse.
Result<void> check_conditions(const CompiledFunction& f, const SymbolValues& values) {
  auto lookup = [&](const Var& v) -> std::optional<Scalar> {
    auto it = values.find(v.get());
    if (it == values.end()) return std::nullopt;
    return Scalar::of_int(it->second, v->dtype);
  };
  for (const Expr& condition : f.conditions) {
    const std::optional<Scalar> holds = evaluate(condition, lookup);
    if (holds && holds->i != 0) continue;
    return bad_dimension(fmt::format("the model needs `{}`, which does not hold here",
                                     dim_text(condition, f.host.interface.symbols)));
  }
  return {};
}

// Asks the artifact, opened with that number of threads.
Result<Point> memory_at(const repose_model& loaded, int32_t function, const Values& values) {
  repose_options options = repose_default_options();
  options.num_threads = static_cast<int32_t>(values.back());
  repose_model* model = nullptr;
  if (repose_open(loaded.api, &options, &model) != REPOSE_OK) {
    return bad_dimension(repose_last_error(nullptr));
  }
  Point point;
  const auto num_symbols = static_cast<int32_t>(values.size()) - 1;
  const int32_t status = repose_memory_needed(model, function, values.data(), num_symbols,
                                              &point.arena_bytes, nullptr);
  const std::string text = repose_last_error(model);
  repose_unload(model);
  if (status != REPOSE_OK) return bad_dimension(text);
  if (point.arena_bytes < 0) point.undecided = text;
  return point;
}

}  // namespace

namespace {

// The words of a formula that may be names.
void add_words(const std::string& text, std::set<std::string>& words) {
  std::string word;
  for (const char c : text + " ") {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '_') {
      word += c;
    } else if (!word.empty()) {
      words.insert(std::exchange(word, ""));
    }
  }
}

}  // namespace

std::vector<SizeText> sizes_in_use(const std::vector<SizeText>& sizes,
                                   const std::vector<std::string>& formulas) {
  std::set<std::string> mentioned;
  for (const std::string& formula : formulas) add_words(formula, mentioned);
  std::vector<SizeText> used;
  for (size_t i = sizes.size(); i-- > 0;) {
    if (!mentioned.contains(sizes[i].name)) continue;
    add_words(sizes[i].value, mentioned);
    used.push_back(sizes[i]);
  }
  std::reverse(used.begin(), used.end());
  return used;
}

int print_memory(const CompiledModel& model, const MemoryQuery& query) {
  std::vector<Function> functions;
  for (const CompiledFunction& f : model.functions) {
    const std::vector<SymbolInfo>& symbols = f.host.interface.symbols;
    Function out;
    out.name = f.host.interface.name;
    for (const SymbolInfo& s : symbols) {
      out.symbols.push_back(
          {s.name, std::max<int64_t>(0, s.range.lower), s.range.upper, s.range.divisor, -1, {}});
    }
    add_other_names(Json::parse(model.metadata), out);
    out.symbols.push_back(threads_symbol());
    const PeakText peak = peak_text(f);
    out.peaks = peak.formulas;
    for (const auto& [name, value] : f.plan.names) {
      out.sizes.push_back({name->name, dim_text(value, symbols)});
    }
    for (const auto& [name, value] : peak.parts) out.sizes.push_back({name, value});
    out.at = [&f, &symbols](const Values& values) -> Result<Point> {
      SymbolValues by_symbol;
      for (size_t i = 0; i < symbols.size(); ++i) {
        by_symbol.emplace(symbols[i].symbol.get(), values[i]);
      }
      evaluate_names(f.plan.names, by_symbol);
      if (auto good = check_conditions(f, by_symbol); !good.ok()) return good.errors();
      by_symbol.emplace(f.plan.num_threads.get(), values.back());
      const std::optional<PlanAt> plan = plan_at(f.plan, by_symbol);
      if (!plan) return Point{-1, -1, undecided_text(f)};
      return Point{plan->arena_bytes, plan->lower_bound, ""};
    };
    functions.push_back(std::move(out));
  }
  return print(functions, query);
}

int print_memory(const LoadedModel& model, const MemoryQuery& query) {
  repose_model* handle = model.handle();
  repose_info info{};
  repose_get_info(handle, &info);
  const Json metadata =
      Json::parse(std::string(info.metadata_json, static_cast<size_t>(info.metadata_bytes)));
  std::vector<Function> functions;
  for (int32_t i = 0; i < info.num_functions; ++i) {
    repose_function function{};
    repose_get_function(handle, i, &function);
    Function out;
    out.name = function.name;
    for (int32_t s = 0; s < function.num_symbols; ++s) {
      repose_symbol symbol{};
      repose_get_symbol(handle, i, s, &symbol);
      out.symbols.push_back({symbol.name, symbol.lower, symbol.upper, symbol.divisor, -1, {}});
    }
    add_other_names(metadata, out);
    out.symbols.push_back(threads_symbol());
    for (const Json& f : metadata["functions"]) {
      if (f["name"] != out.name) continue;
      out.peaks = f["arena_bytes"].get<std::vector<std::string>>();
      for (const char* kind : {"sizes", "arena_parts"}) {
        for (const Json& s : f.value(kind, Json::array())) {
          out.sizes.push_back({s["name"].get<std::string>(), s["value"].get<std::string>()});
        }
      }
    }
    out.at = [handle, i](const Values& values) { return memory_at(*handle, i, values); };
    functions.push_back(std::move(out));
  }
  return print(functions, query);
}

std::map<std::string, int64_t> sizes_of(const std::string& at) {
  std::map<std::string, int64_t> sizes;
  for (const std::string& item : items_of(at)) {
    if (auto parsed = parse_item(item); parsed.ok())
      sizes.insert_or_assign(parsed->first, parsed->second);
  }
  return sizes;
}

}  // namespace repose::cli
