// The sizes at which a model is called.
#include "call_sizes.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "arrays.h"
#include "expr/scalar.h"
#include "script/parser.h"

namespace repose::cli {

namespace {

constexpr size_t most_sizes = 10'000;

struct Symbol {
  std::string name;
  std::vector<std::string> other_names;
  int64_t lower = 0, upper = 0, divisor = 1;
};

std::vector<Symbol> symbols_of(const LoadedModel& model, int function) {
  using Json = nlohmann::json;
  repose_function f{};
  repose_get_function(model.handle(), function, &f);
  repose_info info{};
  repose_get_info(model.handle(), &info);
  const Json metadata =
      Json::parse(std::string(info.metadata_json, static_cast<size_t>(info.metadata_bytes)));
  const Json& said = metadata["functions"][static_cast<size_t>(function)]["symbols"];
  std::vector<Symbol> symbols;
  for (int32_t i = 0; i < f.num_symbols; ++i) {
    repose_symbol s{};
    repose_get_symbol(model.handle(), function, i, &s);
    symbols.push_back(
        {s.name, said[static_cast<size_t>(i)].value("other_names", std::vector<std::string>()),
         s.lower, s.upper, s.divisor});
  }
  return symbols;
}

Diagnostic bad_sizes(const std::string& what) {
  return error(DiagnosticKind::bad_usage, {}, "{}", what);
}

bool parse_number(std::string_view text, int64_t* value) {
  auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return status == std::errc() && end == text.data() + text.size();
}

// "16", "1..512+64", "1..512*2".
Result<std::vector<int64_t>> parse_range(const std::string& item, std::string_view range) {
  auto bad = [&] {
    return bad_sizes(
        fmt::format("`{}`, expected NAME=SIZE, NAME=LOW..HIGH, NAME=LOW..HIGH+STEP or "
                    "NAME=LOW..HIGH*FACTOR",
                    item));
  };
  int64_t low = 0, high = 0, step = 1;
  const size_t dots = range.find("..");
  if (dots == std::string_view::npos) {
    if (!parse_number(range, &low) || low < 0) return bad();
    return std::vector{low};
  }
  const size_t sign = std::min(range.find_first_of("+*", dots), range.size());
  const bool multiplies = sign < range.size() && range[sign] == '*';
  if (!parse_number(range.substr(0, dots), &low) || low < 0 ||
      !parse_number(range.substr(dots + 2, sign - dots - 2), &high) ||
      (sign < range.size() && !parse_number(range.substr(sign + 1), &step)) ||
      step < (multiplies ? 2 : 1) || (multiplies && low == 0)) {
    return bad();
  }
  if (low > high) return bad_sizes(fmt::format("`{}`: no size lies in that range", item));
  std::vector<int64_t> sizes;
  for (int64_t n = low; n <= high;) {
    if (sizes.size() >= most_sizes) {
      return bad_sizes(fmt::format("`{}`: more than {} sizes", item, most_sizes));
    }
    sizes.push_back(n);
    if (multiplies ? __builtin_mul_overflow(n, step, &n) : __builtin_add_overflow(n, step, &n)) {
      break;
    }
  }
  return sizes;
}

Result<size_t> find_symbol(const std::vector<Symbol>& symbols, const std::string& name) {
  std::string known;
  for (size_t i = 0; i < symbols.size(); ++i) {
    const Symbol& s = symbols[i];
    if (s.name == name || std::count(s.other_names.begin(), s.other_names.end(), name)) return i;
    known += (i ? ", `" : "`") + s.name + "`";
  }
  if (known.empty()) {
    return bad_sizes(fmt::format("the model has no symbol `{}`: all its sizes are known", name));
  }
  return bad_sizes(fmt::format("the model has no symbol `{}`; there are {}", name, known));
}

std::vector<std::string> items_of(const std::string& text) {
  std::vector<std::string> items;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    items.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return items;
}

// Per symbol the sizes that the text gives it.
Result<std::vector<std::vector<int64_t>>> parse_text(const std::string& text,
                                                     const std::vector<Symbol>& symbols) {
  std::vector<std::vector<int64_t>> given(symbols.size());
  for (const std::string& item : text.empty() ? std::vector<std::string>{} : items_of(text)) {
    const size_t equals = item.rfind('=');
    if (equals == std::string::npos || equals == 0) {
      return bad_sizes(fmt::format("`{}`, expected NAME=SIZE", item));
    }
    REPOSE_TRY(at, find_symbol(symbols, item.substr(0, equals)));
    if (!given[at].empty()) {
      return bad_sizes(fmt::format("`{}` is given twice in `{}`", symbols[at].name, text));
    }
    REPOSE_TRY(sizes, parse_range(item, std::string_view(item).substr(equals + 1)));
    given[at] = sizes;
  }
  std::string missing;
  for (size_t i = 0; i < symbols.size(); ++i) {
    const Symbol& s = symbols[i];
    if (!given[i].empty()) continue;
    if (s.lower == s.upper) {
      given[i] = {s.lower};
    } else {
      missing += (missing.empty() ? "`" : ", `") + s.name + "`";
    }
  }
  if (missing.empty()) return given;
  std::string example;
  for (const Symbol& s : symbols) {
    example +=
        fmt::format("{}{}={}", example.empty() ? "" : ",", s.name, std::max(s.lower, s.divisor));
  }
  return bad_sizes(fmt::format("no size for {}{}; an example: {}", missing,
                               text.empty() ? "" : fmt::format(" in `{}`", text), example));
}

std::string text_of(const std::vector<Symbol>& symbols, const std::vector<int64_t>& values) {
  std::string text;
  for (size_t i = 0; i < symbols.size(); ++i) {
    text += fmt::format("{}{}={}", i ? ", " : "", symbols[i].name, values[i]);
  }
  return text;
}

}  // namespace

Result<std::vector<CallSizes>> parse_sizes(const std::vector<std::string>& texts,
                                           const LoadedModel& model, int function,
                                           const std::string& option) {
  const std::vector<Symbol> symbols = symbols_of(model, function);
  std::vector<CallSizes> all;
  for (const std::string& text : texts.empty() ? std::vector<std::string>{""} : texts) {
    const auto parsed = parse_text(text, symbols);
    if (!parsed.ok()) return bad_sizes(option + ": " + parsed.errors()[0].text);
    const auto& given = *parsed;
    size_t count = 1;
    for (const auto& sizes : given) count *= sizes.size();
    if (all.size() + count > most_sizes) {
      return bad_sizes(fmt::format("{}: more than {} combinations", option, most_sizes));
    }
    for (size_t n = 0; n < count; ++n) {
      CallSizes sizes;
      size_t rest = n;  // the last symbol runs fastest
      sizes.values.resize(symbols.size());
      for (size_t i = symbols.size(); i-- > 0; rest /= given[i].size()) {
        sizes.values[i] = given[i][rest % given[i].size()];
      }
      sizes.text = text_of(symbols, sizes.values);
      const auto num_symbols = static_cast<int32_t>(symbols.size());
      if (repose_memory_needed(model.handle(), function, sizes.values.data(), num_symbols,
                               &sizes.arena_bytes, nullptr) != REPOSE_OK) {
        return error(DiagnosticKind::call_refused, {}, "the model refuses {}: {}", sizes.text,
                     repose_last_error(model.handle()));
      }
      all.push_back(std::move(sizes));
    }
  }
  return all;
}

Result<std::vector<std::string>> parse_fills(const std::vector<std::string>& inputs,
                                             const std::vector<std::string>& specs) {
  std::vector<std::string> result(inputs.size());
  for (const std::string& spec : specs) {
    const size_t equal = spec.rfind('=');
    bool found = false;
    for (size_t i = 0; i < result.size() && equal != std::string::npos; ++i) {
      if (inputs[i] != spec.substr(0, equal)) continue;
      if (!result[i].empty()) {
        return error(DiagnosticKind::bad_usage, {}, "input `{}` is given twice", inputs[i]);
      }
      result[i] = spec.substr(equal + 1);
      found = !result[i].empty();
    }
    if (found) continue;
    return error(DiagnosticKind::bad_usage, {},
                 "--input `{}`: expected NAME=rand, NAME=rand(low,high), NAME=zeros or NAME=ones, "
                 "where NAME is an input of the model",
                 spec);
  }
  std::replace(result.begin(), result.end(), std::string(), std::string("rand"));
  return result;
}

std::vector<std::string> input_names(const LoadedModel& model, int function) {
  repose_function f{};
  repose_get_function(model.handle(), function, &f);
  std::vector<std::string> names;
  for (int32_t i = 0; i < f.num_inputs; ++i) {
    repose_value value{};
    repose_get_input(model.handle(), function, i, &value);
    names.emplace_back(value.name);
  }
  return names;
}

namespace {

// A dimension as the model writes it: a symbol, or an expression over symbols.
std::optional<int64_t> size_of(const repose_dim& dim, const std::vector<Symbol>& symbols,
                               const std::vector<int64_t>& values) {
  if (dim.size >= 0) return dim.size;
  auto find = [&](std::string_view name) -> std::optional<int64_t> {
    for (size_t i = 0; i < symbols.size(); ++i) {
      if (symbols[i].name == name) return values[i];
    }
    return std::nullopt;
  };
  if (auto value = find(dim.text)) return value;
  auto parsed = parse_expr(dim.text, [&](std::string_view name) -> Expr {
    const auto value = find(name);
    return value ? make_int(*value) : nullptr;
  });
  int64_t size = 0;
  if (!parsed.ok() || !as_const_int(canonical(*parsed), &size)) return std::nullopt;
  return size;
}

}  // namespace

Result<std::vector<Array>> make_inputs(const LoadedModel& model, int function,
                                       const CallSizes& sizes,
                                       const std::vector<std::string>& fills) {
  const std::vector<Symbol> symbols = symbols_of(model, function);
  std::vector<Array> inputs;
  for (size_t i = 0; i < fills.size(); ++i) {
    repose_value value{};
    repose_get_input(model.handle(), function, static_cast<int32_t>(i), &value);
    std::vector<int64_t> shape;
    for (int32_t d = 0; d < value.rank; ++d) {
      const std::optional<int64_t> size = size_of(value.dims[d], symbols, sizes.values);
      if (!size || *size < 0) {
        return error(DiagnosticKind::call_refused, {},
                     "input `{}`: dimension {} (`{}`) has no size here", value.name, d,
                     value.dims[d].text);
      }
      shape.push_back(*size);
    }
    REPOSE_TRY(array, fill_array(std::move(shape), dtype_of(value.dtype), fills[i], i + 1));
    inputs.push_back(array);
  }
  return inputs;
}

}  // namespace repose::cli
