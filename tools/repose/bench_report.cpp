// What `repose bench` measured, as a table, JSON, Markdown and a page; and beside a baseline.
#include "bench_report.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/printable.h"
#include "bench_page_parts.h"

namespace repose::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr double tolerated_difference = 1e-3;  // of results, as a part of their magnitude

std::string dumped(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// A row's figures as text, in the order of `titles`.
struct Table {
  std::vector<std::string> titles;
  std::vector<std::vector<std::string>> rows;
};

std::string ms(double seconds) {
  return fmt::format("{:.{}f}", seconds * 1e3, seconds < 1e-4 ? 5 : 3);
}

std::string mb(int64_t bytes) {
  return bytes < 0 ? "data" : fmt::format("{:.1f}", static_cast<double>(bytes) / 1e6);
}

double ratio_of(const BenchRow& r) {
  return r.times.median > 0 ? r.reference->median / r.times.median : 0;
}

double change_of(const BenchRow& r) {
  return r.times.median / *r.baseline_seconds - 1;
}

Table table_of(const BenchReport& report) {
  auto any = [&](auto&& has) { return std::any_of(report.rows.begin(), report.rows.end(), has); };
  const bool counted = any([](const BenchRow& r) { return r.flops.has_value(); });
  const bool compared = any([](const BenchRow& r) { return r.reference.has_value(); });
  const bool kept = any([](const BenchRow& r) { return r.baseline_seconds.has_value(); });
  Table table;
  table.titles = {"threads", "sizes", "median ms", "p90", "p99", "least", "first", "calls"};
  auto add_titles = [&](std::initializer_list<const char*> titles) {
    table.titles.insert(table.titles.end(), titles.begin(), titles.end());
  };
  if (counted) add_titles({"GFLOP/s", "GB/s", "of limit"});
  add_titles({"arena MB", "resident MB"});
  if (compared) {
    table.titles.push_back(report.reference + " ms");
    add_titles({"ratio"});
  }
  if (kept) add_titles({"baseline ms", "change"});
  for (const BenchRow& r : report.rows) {
    std::vector<std::string> row = {std::to_string(r.threads), r.sizes.empty() ? "-" : r.sizes,
                                    ms(r.times.median),        ms(r.times.p90),
                                    ms(r.times.p99),           ms(r.times.least),
                                    ms(r.first_seconds),       std::to_string(r.times.calls)};
    auto add = [&](std::initializer_list<std::string> texts) {
      row.insert(row.end(), texts.begin(), texts.end());
    };
    if (r.flops) {
      add({fmt::format("{:.1f}", *r.flops / r.times.median / 1e9),
           fmt::format("{:.1f}", *r.bytes / r.times.median / 1e9),
           fmt::format("{:.0f} %", 100 * r.least_seconds / r.times.median)});
    } else if (counted) {
      add({"-", "-", "-"});
    }
    add({mb(r.arena_bytes), mb(r.resident_bytes)});
    if (compared) add({ms(r.reference->median), fmt::format("{:.2f}", ratio_of(r))});
    if (r.baseline_seconds) {
      add({ms(*r.baseline_seconds), fmt::format("{:+.1f} %", 100 * change_of(r))});
    } else if (kept) {
      add({"-", "-"});
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<std::string> head_of(const BenchReport& r) {
  std::vector<std::string> lines;
  std::string model = r.model + " " + r.function;
  if (r.compile_seconds > 0) model += fmt::format(", compiled in {:.2f} s", r.compile_seconds);
  lines.push_back(model + fmt::format(", {:.1f} MB, loaded in {} ms",
                                      static_cast<double>(r.artifact_bytes) / 1e6,
                                      ms(r.load_seconds)));
  lines.push_back(fmt::format("{}, {} CPUs, {}; {}; {} UTC",
                              r.machine.cpu.empty() ? "unknown CPU" : r.machine.cpu, r.machine.cpus,
                              r.machine.system, r.compiler, r.date));
  for (const Limits& l : r.limits) {
    lines.push_back(
        fmt::format("limit with {} thread{}: {:.1f} GFLOP/s of float32, reads {:.1f} GB/s",
                    l.threads, l.threads == 1 ? "" : "s", l.gflops, l.read_gbps));
  }
  return lines;
}

// What a person has to know besides the figures.
std::vector<std::string> notes_of(const BenchReport& report) {
  std::vector<std::string> notes;
  double logs = 0;
  size_t compared = 0;
  for (const BenchRow& r : report.rows) {
    if (!r.reference) continue;
    logs += std::log(ratio_of(r));
    ++compared;
    if (!(r.difference <= tolerated_difference)) {
      notes.push_back(
          fmt::format("{}, {} threads: results differ from those of {} by {:.2g} of their "
                      "magnitude",
                      r.sizes, r.threads, report.reference, r.difference));
    }
  }
  if (compared > 0) {
    notes.push_back(fmt::format("ratio: the time of {} ÷ that of Repose; geometric mean {:.2f}",
                                report.reference, std::exp(logs / static_cast<double>(compared))));
  }
  return notes;
}

size_t width_of(const std::string& text) {  // UTF-8
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & '\xc0') != '\x80'; }));
}

Json as_json(const Times& t) {
  return {{"calls", t.calls},
          {"median_ms", t.median * 1e3},
          {"p90_ms", t.p90 * 1e3},
          {"p99_ms", t.p99 * 1e3},
          {"least_ms", t.least * 1e3}};
}

Json as_json(const BenchRow& r) {
  Json row{{"threads", r.threads}, {"sizes", r.sizes}, {"first_ms", r.first_seconds * 1e3}};
  row.update(as_json(r.times));
  row["arena_bytes"] = r.arena_bytes;
  row["resident_bytes"] = r.resident_bytes;
  if (r.flops) {
    row["flops"] = *r.flops;
    row["bytes"] = *r.bytes;
    row["gflops"] = *r.flops / r.times.median / 1e9;
    row["gbps"] = *r.bytes / r.times.median / 1e9;
    row["of_limit"] = r.least_seconds / r.times.median;
  }
  if (r.reference) {
    row["reference"] = as_json(*r.reference);
    row["ratio"] = ratio_of(r);
    if (std::isfinite(r.difference)) row["difference"] = r.difference;
  }
  if (r.baseline_seconds) {
    row["baseline_ms"] = *r.baseline_seconds * 1e3;
    row["change"] = change_of(r);
  }
  return row;
}

Json report_json(const BenchReport& r) {
  Json rows = Json::array(), limits = Json::array();
  for (const BenchRow& row : r.rows) rows.push_back(as_json(row));
  for (const Limits& l : r.limits) {
    limits.push_back({{"threads", l.threads}, {"gflops", l.gflops}, {"read_gbps", l.read_gbps}});
  }
  Json root{{"model", r.model},
            {"function", r.function},
            {"compiler", r.compiler},
            {"date", r.date},
            {"machine",
             {{"cpu", r.machine.cpu},
              {"flags", r.machine.flags},
              {"cpus", r.machine.cpus},
              {"memory_gb", r.machine.memory_gb},
              {"system", r.machine.system}}},
            {"limits", limits},
            {"artifact_bytes", r.artifact_bytes},
            {"load_ms", r.load_seconds * 1e3}};
  if (r.compile_seconds > 0) root["compile_seconds"] = r.compile_seconds;
  if (!r.reference.empty()) root["reference"] = r.reference;
  root["rows"] = std::move(rows);
  return root;
}

}  // namespace

Times times_of(std::vector<double> seconds) {
  if (seconds.empty()) return {};
  std::sort(seconds.begin(), seconds.end());
  // The value that a part `p` of the calls don't exceed.
  auto at = [&](double p) {
    const auto n = static_cast<double>(seconds.size());
    return seconds[static_cast<size_t>(std::max(0.0, std::ceil(p * n) - 1))];
  };
  const size_t half = seconds.size() / 2;
  const double median =
      seconds.size() % 2 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
  return {seconds.size(), seconds[0], median, at(0.9), at(0.99)};
}

std::string bench_table(const BenchReport& report) {
  const Table table = table_of(report);
  std::string text;
  for (const std::string& line : head_of(report)) text += line + "\n";
  text += "\n";
  std::vector<size_t> widths;
  for (size_t c = 0; c < table.titles.size(); ++c) {
    widths.push_back(width_of(table.titles[c]));
    for (const auto& row : table.rows) widths[c] = std::max(widths[c], width_of(row[c]));
  }
  auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t c = 0; c < cells.size(); ++c) {
      const std::string space(widths[c] - width_of(cells[c]), ' ');
      line +=
          (c ? "  " : "") + (c == 1 ? cells[c] + space : space + cells[c]);  // sizes: to the left
    }
    text += line + "\n";
  };
  add_line(table.titles);
  for (const auto& row : table.rows) add_line(row);
  for (const std::string& note : notes_of(report)) text += note + "\n";
  return escape_controls(text);
}

std::string bench_json(const BenchReport& report) {
  return dumped(report_json(report), 2) + "\n";
}

std::string bench_markdown(const BenchReport& report) {
  const Table table = table_of(report);
  auto line_of = [](const std::vector<std::string>& cells) {
    std::string line = "|";
    for (std::string cell : cells) {
      for (size_t at = 0; (at = cell.find('|', at)) != std::string::npos; at += 2) {
        cell.insert(at, 1, '\\');
      }
      line += " " + cell + " |";
    }
    return line + "\n";
  };
  std::string text;
  for (const std::string& line : head_of(report)) text += line + "  \n";
  text += "\n" + line_of(table.titles) + "|";
  for (size_t c = 0; c < table.titles.size(); ++c) text += c == 1 ? "---|" : "--:|";
  text += "\n";
  for (const auto& row : table.rows) text += line_of(row);
  const std::vector<std::string> notes = notes_of(report);
  if (!notes.empty()) text += "\n";
  for (const std::string& note : notes) text += note + "  \n";
  return escape_controls(text);
}

std::string bench_page(const BenchReport& report) {
  Json data = report_json(report);
  data["notes"] = notes_of(report);
  std::string embedded;
  for (const char c : dumped(data, -1)) {  // it stands inside a script element
    if (c == '<') {
      embedded += "\\u003c";
    } else {
      embedded += c;
    }
  }
  return std::string(bench_page_head) + "const bench = " + embedded + ";\n" + bench_page_tail;
}

Result<void> add_baseline(BenchReport& report, const std::string& path, const std::string& text) {
  const Json kept = Json::parse(text, nullptr, false);
  auto bad = [&](const std::string& why) {
    return error(DiagnosticKind::bad_usage, {}, "--baseline `{}`: {}", path, why);
  };
  const bool is_report = kept.is_object() && kept.contains("model") && kept["model"].is_string() &&
                         kept.contains("rows") && kept["rows"].is_array();
  if (!is_report) return bad("expected what `repose bench --json` prints");
  if (kept["model"] != report.model || kept.value("function", "") != report.function) {
    return bad(fmt::format("it is of `{}` of the model `{}`, not of `{}` of `{}`",
                           kept.value("function", ""), kept["model"].get<std::string>(),
                           report.function, report.model));
  }
  bool found = false;
  for (BenchRow& row : report.rows) {
    for (const Json& other : kept["rows"]) {
      if (!other.is_object() || !other.contains("median_ms") || !other["median_ms"].is_number()) {
        return bad("a row has no `median_ms`");
      }
      if (other.value("threads", 0) != row.threads || other.value("sizes", "?") != row.sizes)
        continue;
      row.baseline_seconds = other["median_ms"].get<double>() / 1e3;
      found = true;
    }
  }
  if (!found) return bad("it has none of these sizes and numbers of threads");
  return {};
}

Result<double> parse_allowance(const std::string& text) {
  std::string_view number = text;
  if (number.starts_with('+')) number.remove_prefix(1);
  double percent = 0;
  const bool has_sign = number.ends_with('%');
  if (has_sign) number.remove_suffix(1);
  auto [end, status] = std::from_chars(number.data(), number.data() + number.size(), percent);
  if (has_sign && status == std::errc() && end == number.data() + number.size() && percent >= 0 &&
      percent < 1e6) {
    return percent / 100;
  }
  return error(DiagnosticKind::bad_usage, {}, "--fail-if `{}`: expected +5%, for example", text);
}

Diagnostics slower_rows(const BenchReport& report, double allowance) {
  Diagnostics slower;
  for (const BenchRow& r : report.rows) {
    if (!r.baseline_seconds || change_of(r) <= allowance) continue;
    slower.push_back(error(DiagnosticKind::results_differ, {},
                           "{}{} threads: {} ms, {:+.1f} % from the baseline's {} ms; allowed: "
                           "{:+.1f} %",
                           r.sizes.empty() ? "" : r.sizes + ", ", r.threads, ms(r.times.median),
                           100 * change_of(r), ms(*r.baseline_seconds), 100 * allowance));
  }
  return slower;
}

}  // namespace repose::cli
