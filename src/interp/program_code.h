// The translated form of a tensor program: nodes that evaluate themselves in a frame.
#pragma once

#include <memory>
#include <vector>

#include "interp/program_machine.h"

namespace repose::interp {

// A buffer while it is visible: where its elements are.
struct View {
  ArrayNode cells;  // elements from the origin to the end of the memory
  std::vector<int64_t> shape, strides;
  int64_t offset = 0;        // of element (0, …, 0), in elements from the origin
  int64_t count = 0;         // of cells
  int64_t origin_bytes = 0;  // of the cells in their memory
  int memory = -1;
  uint8_t* written = nullptr;  // of the cells
  bool is_writable = true;
};

// A running program.
struct Frame {
  Frame(ProgramMachine& machine, const ProgramCode& code, const Module* module, const Span& span);
  ~Frame();
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  template <class... Args>
  [[noreturn]] void fail(DiagnosticKind kind, fmt::format_string<Args...> text,
                         Args&&... args) const {
    fail_text(kind, fmt::format(text, std::forward<Args>(args)...));
  }
  [[noreturn]] void fail_text(DiagnosticKind kind, const std::string& text) const;
  [[noreturn]] void fail_arithmetic(const Expr& e) const;

  struct Remembered {
    uint64_t time = 0;
    int lane = 0;
    Scalar value;
  };

  ProgramMachine& machine;
  const ProgramCode& code;
  const Module* module;
  const Span* span;  // of the statement that runs
  std::vector<Scalar> slots;
  std::unique_ptr<View[]> views;
  std::vector<std::vector<std::byte>> allocated;  // by view
  std::vector<Scalar> handles;                    // of what is allocated, by view
  std::vector<Remembered> remembered;
  uint64_t time = 0;  // grows with every evaluation of a whole expression
  size_t first_memory;
};

// A scalar expression, or a vector that is evaluated lane by lane.
struct ExprCode {
  explicit ExprCode(Expr source) : source(std::move(source)), lanes(this->source->dtype.lanes) {}
  virtual ~ExprCode() = default;
  virtual Scalar eval(Frame& frame, int lane) const = 0;

  // As an operand of a vector: a scalar is the same in each lane.
  Scalar at(Frame& frame, int lane) const { return eval(frame, lanes == 1 ? 0 : lane); }
  // As a whole expression of a statement.
  Scalar run(Frame& frame, int lane = 0) const {
    ++frame.time;
    return at(frame, lane);
  }

  const Expr source;
  const int lanes;
};

// An element of a buffer.
struct PlaceCode {
  int view;
  std::vector<const ExprCode*> indices;

  // The element's number in the view's cells; every index is checked.
  int64_t element(Frame& frame, int lane) const;
  // Where the element would be.
  int64_t element_unchecked(Frame& frame) const;
};

struct StmtCode {
  explicit StmtCode(Span span) : span(std::move(span)) {}
  virtual ~StmtCode() = default;
  // Both give true where the program has returned.
  virtual bool run(Frame& frame) const = 0;
  // What a reduction over nothing leaves: the inits of the blocks inside, and no more.
  virtual bool run_inits(Frame&) const { return false; }

  void enter(Frame& frame) const {
    if (span) frame.span = &span;
  }
  const Span span;
};

struct BufferCode {
  Buffer buffer;
  int view;
  std::vector<const ExprCode*> shape, strides;
  const ExprCode* offset = nullptr;
};

struct ParamCode {
  Var var;
  int slot = -1;  // of a scalar; of a buffer's handle
  std::unique_ptr<BufferCode> buffer;
};

struct ProgramCode {
  std::string name;
  tir::PrimFunc func;
  std::vector<std::unique_ptr<ExprCode>> exprs;
  std::vector<std::unique_ptr<StmtCode>> stmts;
  std::vector<ParamCode> params;
  std::vector<Var> symbols;       // tir::bound_symbols
  std::vector<int> symbol_slots;  // theirs
  std::vector<Buffer> buffers;    // by view
  const StmtCode* body = nullptr;
  int num_slots = 0, num_remembered = 0;
};

// Fails for programs that use variables or buffers that nothing binds.
std::unique_ptr<ProgramCode> translate(const std::string& name, const tir::PrimFunc& f);

// Makes the view of a buffer at a handle. Strides and offset as the buffer says.
void open_view(Frame& frame, const BufferCode& b, const Scalar& handle);
// The shape of a buffer in this frame.
std::vector<int64_t> eval_all(Frame& frame, const std::vector<const ExprCode*>& exprs);
std::vector<int64_t> compact_strides(const std::vector<int64_t>& shape);

// Translation of expressions, for the translation of statements (translate_stmt.cpp).
class ExprTranslator {
 public:
  explicit ExprTranslator(ProgramCode& code) : code_(code) {}

  const ExprCode* translate(const Expr& root);
  int bind(const Var& v);  // the variable's slot
  bool is_bound(const VarNode* v) const { return slots_.count(v) != 0; }
  int declare(const Buffer& b);  // the buffer's view
  int view_of(const Buffer& b) const;
  template <class... Args>
  [[noreturn]] void fail(DiagnosticKind kind, fmt::format_string<Args...> text,
                         Args&&... args) const {
    interp::fail(kind, span, "`{}`: {}", code_.name,
                 fmt::format(text, std::forward<Args>(args)...));
  }

  Span span;

 private:
  template <class T, class... Args>
  const ExprCode* add(Args&&... args) {
    code_.exprs.push_back(std::make_unique<T>(std::forward<Args>(args)...));
    return code_.exprs.back().get();
  }
  const ExprCode* node(const Expr& e, int depth);
  const ExprCode* make(const Expr& e, const std::vector<const ExprCode*>& args);
  const ExprCode* make_call(const Expr& e, const std::vector<const ExprCode*>& args);

  ProgramCode& code_;
  std::unordered_map<const VarNode*, int> slots_;
  std::unordered_map<const BufferNode*, int> views_;
  std::unordered_map<const ExprNode*, int> parents_;
  std::unordered_map<const ExprNode*, const ExprCode*> done_;
};

}  // namespace repose::interp
