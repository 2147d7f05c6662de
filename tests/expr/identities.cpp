// The reader of identities.txt, whose head says how a line is made.
#include "expr/identities.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "expr/interval.h"
#include "script/parser.h"

namespace repose {

namespace {

std::string trimmed(const std::string& text) {
  size_t first = text.find_first_not_of(' ');
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t start = 0;;) {
    size_t end = text.find(separator, start);
    parts.push_back(trimmed(text.substr(start, end == std::string::npos ? end : end - start)));
    if (end == std::string::npos) return parts;
    start = end + 1;
  }
}

class Reader {
 public:
  Reader(const std::string& line, int number) : number_(number) {
    std::vector<std::string> fields = split(line, '|');
    if (fields.size() != 4) fail("a line has four fields");
    if (fields[3] != "yes" && fields[3] != "no") fail("the last field is yes or no");
    identity_.line = number;
    identity_.operator_name = fields[0];
    identity_.text = fields[1] + " | " + fields[2];
    identity_.holds = fields[3] == "yes";
    for (const std::string& fact : split(fields[1], ';')) read_fact(fact);
    identity_.statement = read(fields[2]);
  }

  Identity take() { return std::move(identity_); }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error("identities.txt:" + std::to_string(number_) + ": " + why);
  }

  // The place of a symbol in the lists.
  size_t symbol(const std::string& name) {
    auto& symbols = identity_.symbols;
    auto same = [&](const Var& v) { return v->name == name; };
    auto it = std::find_if(symbols.begin(), symbols.end(), same);
    if (it != symbols.end()) return static_cast<size_t>(it - symbols.begin());
    symbols.push_back(make_var(name));
    identity_.ranges.push_back({0, Interval::plus_infinity});
    return symbols.size() - 1;
  }

  Expr read(const std::string& text) {
    auto e = parse_expr(text, [&](std::string_view name) -> Expr {
      return identity_.symbols[symbol(std::string(name))];
    });
    if (!e) fail("`" + text + "` is no expression");
    return *e;
  }

  // `n=1..64%8`, or a condition.
  void read_fact(const std::string& fact) {
    size_t equals = fact.find('='), dots = fact.find("..");
    if (fact.empty()) return;
    if (dots == std::string::npos) {
      identity_.conditions.push_back(read(fact));
      return;
    }
    std::string range = fact.substr(equals + 1);
    size_t percent = range.find('%');
    Interval interval{0, Interval::plus_infinity};
    if (percent != std::string::npos) interval.divisor = std::stoll(range.substr(percent + 1));
    range = range.substr(0, percent);
    dots = range.find("..");
    if (dots > 0) interval.lower = std::stoll(range.substr(0, dots));
    if (dots + 2 < range.size()) interval.upper = std::stoll(range.substr(dots + 2));
    identity_.ranges[symbol(fact.substr(0, equals))] = interval;
  }

  int number_;
  Identity identity_;
};

}  // namespace

Facts Identity::facts() const {
  Facts facts;
  for (size_t i = 0; i < symbols.size(); ++i) facts.restrict(symbols[i], ranges[i]);
  for (const Expr& c : conditions) facts.assume(c);
  return facts;
}

std::vector<Identity> read_identities(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("can't read " + path);
  std::vector<Identity> identities;
  std::string line, family;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '[') {
      family = line.substr(1, line.size() - 2);
      continue;
    }
    identities.push_back(Reader(line, number).take());
    identities.back().family = family;
  }
  return identities;
}

}  // namespace repose
