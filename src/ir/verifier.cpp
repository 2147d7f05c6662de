// The verifier: what well-formed means.
//
// Modules
// M1  Every global that a function mentions is in the module, with a type that is below the one
//     that it is taken for.
// M2  Tensor programs satisfy T1 … T9 (verify_tir.cpp).
//
// Graph functions (verify_function.cpp; G10, G12, G13: verify_calls.cpp)
// G1  Every variable is bound once: as a parameter or by a binding.
// G2  A variable is used only after its binding, in the sequence that binds it or inside of it.
// G3  A dataflow variable is bound and used only inside its dataflow block, and not by closures
//     there.
// G4  Every symbol is bound before it is used: by a parameter's type, by match_cast, or by the
//     result of a call or an `if`. What call_tir and call_dps_packed allocate mentions bound
//     symbols only.
// G5  Operands are leaves; bodies end in leaves; call_tir and its kin take a literal tuple.
// G6  Every value and variable has a type; a variable's type is that of its value or above it, the
//     type of a cast is the variable's. Functions have a result type (recursion needs it), which is
//     above that of the result.
// G7  Items of tuples are in range.
// G8  A match_cast that always runs doesn't fail for certain.
// G9  The condition of an `if` is a bool; the type of an `if` is above those of its branches.
// G10 Operators are those of the table, and their calls match their specification; calls of
//     functions match their type.
// G11 A pure function makes no impure call, unless its attribute relax.force_pure says so. A
//     dataflow block has pure calls only, no `if`, no loop, and no call of the function that it is
//     in.
// G12 call_tir: the program is in the module; arguments and results agree with its parameters in
//     number, kind, dtype, rank, strides and, with the program's symbols replaced, in shape
//     (match_program.cpp). The type of the call is above what it allocates.
// G13 call_tir_inplace: every result overwrites one argument of its type, or is new (-1); no value
//     that shares storage with an overwritten one is used later; constants are not overwritten.
// G14 The attribute `donate` maps results to parameters, both by position, each parameter once; the
//     two are tensors of one dtype, shape and layout.
// G15 The attributes that say something of symbols (declared ranges, original names), of the names
//     of inputs and outputs, and of purity are of their kind; they name symbols of the parameters,
//     each once, and no declared range is empty (verify_attributes.cpp).
//
// Dimensions that may or may not be equal are no violation: a check at run time decides.
#include "ir/verifier.h"

#include "ir/verify_function.h"
#include "ir/verify_tir.h"

namespace repose {

Diagnostics verify(const Module& module, const OpTable& ops) {
  Diagnostics problems;
  for (const std::string& name : module.names()) {
    const Definition& d = *module.find(name);
    if (const auto* f = std::get_if<graph::Function>(&d)) {
      FunctionVerifier(name, module, ops, problems).run(**f);
    } else if (const auto* program = std::get_if<tir::PrimFunc>(&d)) {
      verify_program(name, *program, module, problems);
    }
  }
  return problems;
}

}  // namespace repose
