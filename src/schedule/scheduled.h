// A tensor program that is being scheduled, and the ways to look at it that primitives share.
//
// A schedule is a short list of primitives (primitives.def), each of which rewrites the program and
// leaves a legal one, which prints, parses and runs. A primitive that would not be legal changes
// nothing and says why. After TensorIR (Feng et al., 2023) and Exo (Ikarashi et al., 2022).
//
// Loops and blocks have names of their own within a program, which primitives keep apart, so that
// the steps can be printed, and replayed on the program that they began with.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "ir/tir.h"
#include "schedule/known_facts.h"

namespace repose::schedule {

struct Loop {
  Var var;  // null: the whole program, `root`
};
struct Block {
  std::string name;
};

// Where an element goes: the one at [from…] is at [to…] afterwards. "(n, k) -> (n // 16, k, n %
// 16)".
struct IndexMap {
  std::vector<Var> from;
  std::vector<Expr> to;
};

// An argument or a result of a step.
using Arg = std::variant<Loop, Block, Buffer, Expr, std::string, std::vector<Loop>, IndexMap>;

struct Step {
  std::string primitive;
  std::vector<Arg> args;
  std::vector<Arg> results;
};
// "i_o, i_i = split(i, 8, masked)".
std::string to_string(const Step& step);

// A parameter that the program wants in another layout: what `packer` (parameters: the array as it
// was, the array as it shall be) writes is passed instead.
struct LayoutRequest {
  size_t param = 0;  // position among the program's parameters
  tir::PrimFunc packer;
};

struct Scheduled {
  tir::PrimFunc func;  // legal after every step
  std::vector<Step> steps;
  std::vector<LayoutRequest> layouts;
  // Of loops, blocks and buffers, those that are gone too. A block of the program that the schedule
  // began with may have the name of something else.
  std::set<std::string> names;

  std::shared_ptr<class KnownFacts> known;  // of variables that are bound in `func` (known_facts.h)

  // A name that nothing has, `base` if it is free.
  std::string fresh(const std::string& base);
};

// Parameters keep their names, but where two have one.
tir::PrimFunc with_distinct_params(const tir::PrimFunc& f);

// Begins a schedule: parameters, loops, blocks and buffers of the program get names of their own
// (with_distinct_params leaves no parameter to rename), the buffers of a root block become
// allocations (workspace) around what was in it. Every symbol has to be a scalar parameter, or the
// dimension of one that is a buffer.
Scheduled begin_schedule(const tir::PrimFunc& f);

// ---- Looking -----------------------------------------------------------------------------------

// Null where it is not (any more) in the program.
const tir::ForNode* find_loop(const Scheduled& s, const Loop& loop);
const tir::BlockNode* find_block(const Scheduled& s, const Block& block);
std::optional<Loop> loop_named(const Scheduled& s, const std::string& name);
// A parameter's buffer, or one that is allocated.
std::optional<Buffer> buffer_named(const Scheduled& s, const std::string& name);

// What encloses `target`, from the outermost statement of `root` to `target` itself; empty: it is
// not in there.
std::vector<tir::Stmt> path_to(const tir::Stmt& root, const tir::StmtNode* target);
// The loops around it, outermost first.
std::vector<const tir::ForNode*> loops_around(const Scheduled& s, const tir::StmtNode* target);
std::vector<const tir::BlockNode*> blocks_in(const tir::Stmt& root);

// ---- Changing ----------------------------------------------------------------------------------

// `root` with another statement in the place of `target`; null: without it.
tir::Stmt replaced(const tir::Stmt& root, const tir::StmtNode* target, tir::Stmt by);
void replace(Scheduled& s, const tir::StmtNode* target, tir::Stmt by);
// The loop with another body, kind or extent.
tir::Stmt with_body(const tir::ForNode& loop, tir::Stmt body);

Var fresh_loop_var(Scheduled& s, const std::string& base);
// for v in [0, extent): body. What is known of `v` is learned.
tir::Stmt make_loop(Scheduled& s, const Var& v, const Expr& extent, tir::Stmt body,
                    tir::ForKind kind = tir::ForKind::serial);
// A copy in which loops, blocks, axes and buffers that it makes are new, and have names of their
// own. `loops`, if given, maps the old loops to the new ones.
tir::Stmt copied(Scheduled& s, const tir::Stmt& root, VarMap* loops = nullptr);
// Every block inside runs only where `condition` (over loops) holds.
tir::Stmt guarded(const tir::Stmt& root, const Expr& condition);

// Records a step.
void note(Scheduled& s, const char* primitive, std::vector<Arg> args,
          std::vector<Arg> results = {});

// A diagnostic of a primitive that would not be legal.
template <class... Args>
Diagnostic illegal(fmt::format_string<Args...> text, Args&&... args) {
  return error(DiagnosticKind::illegal_schedule, {}, text, std::forward<Args>(args)...);
}

// Returns the errors of a step from this function.
#define REPOSE_RUN(...)                                              \
  do {                                                               \
    if (auto step = (__VA_ARGS__); !step.ok()) return step.errors(); \
  } while (false)

// REPOSE_FIND_LOOP(node, s, loop): the loop's node as `node`, or an error from this function.
#define REPOSE_FIND_LOOP(found, s, the_loop)          \
  const tir::ForNode* found = find_loop(s, the_loop); \
  if (!found)                                         \
  return illegal("there is no loop `{}`", (the_loop).var ? (the_loop).var->name : "root")
#define REPOSE_FIND_BLOCK(found, s, the_block)            \
  const tir::BlockNode* found = find_block(s, the_block); \
  if (!found) return illegal("there is no block `{}`", (the_block).name)

}  // namespace repose::schedule
