// Names from outside of a text: which ones it does not bind, and literals in their place.
#include "script/captured_names.h"

#include <algorithm>
#include <cmath>

namespace repose::script {

namespace {

// Of the text's own vocabulary: what stands behind them is never asked for.
bool is_vocabulary(std::string_view name) {
  static constexpr std::string_view names[] = {"R", "T", "I", "cls", "range", "inf", "nan"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// The first name of `a.b.c`; null for anything else.
const Node* base_of(const Node& node) {
  const Node* n = &node;
  while (n->kind == NodeKind::attribute) n = n->kids[0];
  return n->kind == NodeKind::name ? n : nullptr;
}

class CapturedReplacer {
 public:
  CapturedReplacer(ReadContext& context, const CapturedNames& captured,
                   std::vector<std::string>* symbols)
      : context_(context), captured_(captured), symbols_(symbols) {}

  void run() {
    for (const Statement& s : context_.tree.statements) bind(s);
    // Strings may be dimensions: `"m * 2"` has the symbol m.
    for (const Node& n : context_.tree.nodes) {
      if (n.kind == NodeKind::string) bind_words(n.text);
    }
    const size_t given = context_.tree.statements.size();
    for (size_t i = 0; i < given; ++i) replace(context_.tree.statements[i]);
  }

 private:
  ReadContext& context_;
  const CapturedNames& captured_;
  std::vector<std::string>* symbols_;
  std::set<std::string, std::less<>> bound_;

  void bind_target(const Node* target) {
    if (!target) return;
    if (target->kind == NodeKind::name) bound_.insert(target->text);
    if (is_list(*target)) {
      for (const Node* kid : target->kids) bind_target(kid);
    }
  }
  void bind(const Statement& s) {
    bind_target(s.target);
    for (const WithItem& item : s.items) bind_target(item.target);
    for (const Parameter& p : s.params) bound_.insert(p.name);
    for (const Parameter& p : s.type_params) bound_.insert(p.name);
    if (!s.name.empty()) bound_.insert(s.name);
  }
  void bind_words(std::string_view text) {
    auto in_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
    for (size_t i = 0; i < text.size();) {
      size_t end = i;
      while (end < text.size() && in_word(text[end])) ++end;
      if (end > i) bound_.emplace(text.substr(i, end - i));
      i = std::max(end, i + 1);
    }
  }

  void replace(Statement& s) {
    // What a statement assigns to may be an element: its subscripts count.
    for (Node* n : {s.target, s.annotation, s.value, s.message, s.returns}) replace(n);
    for (WithItem& item : s.items) replace(item.value);
    for (Parameter& p : s.params) replace(p.annotation);
  }
  void replace(Node* root) {
    std::vector<Node*> nodes{root};
    while (!nodes.empty()) {
      Node* n = nodes.back();
      nodes.pop_back();
      if (!n || n->kind == NodeKind::lambda) continue;
      if (n->kind == NodeKind::name || n->kind == NodeKind::attribute) {
        replace_name(n, false);
        if (!base_of(*n)) nodes.insert(nodes.end(), n->kids.begin(), n->kids.end());
        continue;
      }
      size_t first = 0;
      if (n->kind == NodeKind::call && base_of(*n->kids[0])) {
        first = 1;  // a function's name
        if (dotted_name(*n->kids[0]) == "R.const" && n->kids.size() > 1 &&
            replace_name(n->kids[1], true)) {
          first = 2;
        }
      }
      nodes.insert(nodes.end(), n->kids.begin() + static_cast<std::ptrdiff_t>(first),
                   n->kids.end());
      for (const Keyword& k : n->keywords) nodes.push_back(k.value);
    }
  }

  // True where it stands for something outside of the text. `is_constant`: it may be an array.
  bool replace_name(Node* n, bool is_constant) {
    const Node* base = base_of(*n);
    if (!base || bound_.count(base->text) || is_vocabulary(base->text)) return false;
    const std::string name = written_name(*n);
    std::optional<Captured> found = captured_(name);
    if (!found) return false;
    if (const auto* e = found->value.as_expr()) return take_symbol(*n, name, *e);
    if (found->array) {
      if (is_constant) {
        context_.tree.arrays[n] = found->array;
      } else {
        context_.fail(DiagnosticKind::bad_argument, n->at,
                      "`{}` is an array outside of the text: here it is `R.const({})`", name, name);
      }
      return true;
    }
    if (!found->refusal.empty() || !put(n, found->value)) {
      context_.fail(DiagnosticKind::bad_argument, n->at,
                    "`{}` is {} outside of the text: numbers, strings, lists of them, symbols and "
                    "arrays (in `R.const`) can be taken from there",
                    name, found->refusal.empty() ? "a dictionary" : found->refusal);
    }
    return true;
  }

  // Types of the text bind it where it stands alone.
  bool take_symbol(const Node& at, const std::string& name, const Expr& e) {
    if (e->kind != ExprKind::var || name.find('.') != std::string::npos) {
      context_.fail(DiagnosticKind::bad_argument, at.at,
                    "`{}` is `{}` outside of the text: write that expression here", name,
                    to_string(e));
    } else if (std::find(symbols_->begin(), symbols_->end(), name) == symbols_->end()) {
      symbols_->push_back(name);
    }
    return true;
  }

  Node* make(NodeKind kind, const Position& at, std::string text) {
    Node& n = context_.tree.nodes.emplace_back();
    n.kind = kind;
    n.at = at;
    n.text = std::move(text);
    return &n;
  }
  static void become(Node* n, NodeKind kind, std::string text) {
    n->kind = kind;
    n->text = std::move(text);
    n->kids.clear();
    n->keywords.clear();
  }
  // A negative number is a unary minus, as it is read.
  bool put_number(Node* n, NodeKind kind, bool negative, std::string digits) {
    if (!negative) {
      become(n, kind, std::move(digits));
    } else {
      Node* number = make(kind, n->at, std::move(digits));
      become(n, NodeKind::unary, "-");
      n->kids = {number};
    }
    return true;
  }
  bool put(Node* n, const Attr& value) {
    if (value.is_none()) {
      become(n, NodeKind::none, "None");
    } else if (const bool* b = value.as_bool()) {
      become(n, NodeKind::boolean, *b ? "True" : "False");
    } else if (const int64_t* i = value.as_int()) {
      const uint64_t size = *i < 0 ? -static_cast<uint64_t>(*i) : static_cast<uint64_t>(*i);
      put_number(n, NodeKind::integer, *i < 0, std::to_string(size));
    } else if (const double* x = value.as_float()) {
      const bool finite = std::isfinite(*x);
      put_number(n, finite ? NodeKind::real : NodeKind::name, std::signbit(*x),
                 std::isnan(*x) ? "nan"
                 : finite       ? fmt::format("{:#.17g}", std::fabs(*x))
                                : "inf");
    } else if (const std::string* text = value.as_string()) {
      become(n, NodeKind::string, *text);
    } else if (const AttrList* list = value.as_list()) {
      become(n, NodeKind::list, "");
      for (const Attr& item : *list) {
        Node* kid = make(NodeKind::none, n->at, "");
        if (!put(kid, item)) return false;
        n->kids.push_back(kid);
      }
    } else {
      return false;
    }
    return true;
  }
};

}  // namespace

void replace_captured_names(ReadContext& context, const CapturedNames& captured,
                            std::vector<std::string>* symbols) {
  CapturedReplacer(context, captured, symbols).run();
}

}  // namespace repose::script
