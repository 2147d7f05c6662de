// Names, `=`, a call: expressions are those of the IR's text.
#include "schedule/step_syntax.h"

#include "script/expression_parser.h"

namespace repose::schedule {

using script::Node;
using script::NodeKind;

namespace {

class StepParser : public script::ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  bool parse(ParsedStep& step) {
    std::vector<const Node*> names;
    if (!parse_names(names)) return false;
    if (accept("=")) {
      if (has_name_twice(names)) return false;
      step.names = std::move(names);
      names.clear();
      if (!parse_names(names)) return false;
    }
    if (names.size() > 1) return refuse("expected `=`");
    step.primitive = names[0];
    if (!expect("(", "after the name of a primitive")) return false;
    while (!token_.is(")")) {
      const Node* arg = parse_argument();
      if (!arg) return false;
      step.args.push_back(arg);
      if (!accept(",")) break;
    }
    if (!expect(")", "or `,` after an argument")) return false;
    return token_.kind == script::TokenKind::end || refuse("expected the end of the step");
  }

 private:
  bool refuse(const char* what) {
    fail(what);
    return false;
  }

  bool parse_names(std::vector<const Node*>& names) {
    do {
      if (token_.kind != script::TokenKind::name || script::is_keyword(token_.text)) {
        return refuse("expected a name, as in `i_o, i_i = split(i, 8, masked)`");
      }
      names.push_back(make(NodeKind::name, token_.at, std::string(token_.text)));
      advance();
    } while (accept(","));
    return true;
  }

  bool has_name_twice(const std::vector<const Node*>& names) {
    for (size_t i = 0; i < names.size(); ++i) {
      for (size_t k = 0; k < i; ++k) {
        if (names[k]->text != names[i]->text) continue;
        report(DiagnosticKind::ill_formed, names[i]->at,
               fmt::format("`{}` stands twice left of `=`", names[i]->text));
        return true;
      }
    }
    return false;
  }

  const Node* parse_argument() {
    Node* value = parse_test();
    if (!value || !token_.is("->")) return value;
    Node* map = make(NodeKind::lambda, value->at);
    advance();
    Node* to = parse_test();
    if (!to) return nullptr;
    add(map, value);
    add(map, to);
    return map;
  }
};

}  // namespace

bool parse_step(script::SyntaxTree& tree, const StepText& text, ParsedStep& step,
                Diagnostics& errors) {
  script::Lexer lexer(text.text, {0, text.at.line, text.at.column}, /*is_fragment=*/true);
  return StepParser(tree, std::move(lexer), errors).parse(step);
}

}  // namespace repose::schedule
