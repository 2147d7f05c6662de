// A sequence of statements in which names, once introduced, hold to the end.
#pragma once

#include "ir/tir.h"

namespace repose {

class Statements {
 public:
  void add(tir::Stmt s) { pieces_.push_back({std::move(s), nullptr, nullptr, nullptr}); }
  void let(const Var& v, Expr value) { pieces_.push_back({nullptr, v, std::move(value), nullptr}); }
  void allocate(const Buffer& b) { pieces_.push_back({nullptr, nullptr, nullptr, b}); }
  void declare(const Buffer& b, Expr data) {
    pieces_.push_back({nullptr, nullptr, std::move(data), b});
  }
  void evaluate(Expr e) { add(tir::make<tir::EvaluateNode>(std::move(e))); }
  void check(const Expr& condition, std::string message, std::vector<Expr> values, Span span) {
    if (is_const_int(condition, 1)) return;
    add(tir::make<tir::AssertNode>(condition, std::move(message), std::move(values),
                                   std::move(span)));
  }

  // All of them; call once.
  tir::Stmt finish() {
    std::vector<tir::Stmt> reversed;
    auto rest = [&] {
      std::vector<tir::Stmt> list(reversed.rbegin(), reversed.rend());
      return tir::make_seq(std::move(list));
    };
    for (size_t i = pieces_.size(); i-- > 0;) {
      Piece& p = pieces_[i];
      if (p.stmt) {
        reversed.push_back(std::move(p.stmt));
        continue;
      }
      tir::Stmt body = rest();
      reversed.clear();
      if (p.var) {
        reversed.push_back(tir::make<tir::LetNode>(p.var, p.value, body));
      } else if (p.value) {
        reversed.push_back(tir::make<tir::DeclareNode>(p.buffer, p.value, body));
      } else {
        reversed.push_back(tir::make<tir::AllocateNode>(p.buffer, body));
      }
    }
    return rest();
  }

 private:
  struct Piece {
    tir::Stmt stmt;
    Var var;
    Expr value;
    Buffer buffer;
  };
  std::vector<Piece> pieces_;
};

}  // namespace repose
