# LLVM and LLD 19 as libraries. Only src/codegen/llvm links them. With REPOSE_STATIC (what is given
# away: the Python wheel) they are in the program; else it loads the distribution's.
find_program(LLVM_CONFIG llvm-config-19 REQUIRED)
function(llvm_config variable)
  execute_process(COMMAND ${LLVM_CONFIG} ${ARGN} OUTPUT_VARIABLE output
                  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(${variable} "${output}" PARENT_SCOPE)
endfunction()
llvm_config(LLVM_INCLUDE --includedir)
llvm_config(LLVM_LIBDIR --libdir)
add_library(repose_llvm INTERFACE)
target_include_directories(repose_llvm SYSTEM INTERFACE ${LLVM_INCLUDE})
# runtime/abi.h, the contract with the runtime.
target_include_directories(repose_llvm INTERFACE ${PROJECT_SOURCE_DIR})
target_link_libraries(repose_llvm INTERFACE ${LLVM_LIBDIR}/liblldELF.a ${LLVM_LIBDIR}/liblldCommon.a)
if(NOT REPOSE_STATIC)
  target_link_libraries(repose_llvm INTERFACE ${LLVM_LIBDIR}/libLLVM-19.so z zstd)
  return()
endif()

# What LLD mentions and Repose has no use for: targets besides x86, and Polly, an extension for
# optimization at link time whose static library Debian leaves out.
llvm_config(targets --targets-built)
separate_arguments(targets)
list(REMOVE_ITEM targets X86)
set(stubs "#include <llvm/Passes/PassPlugin.h>\n
llvm::PassPluginLibraryInfo getPollyPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, \"none\", \"\", [](llvm::PassBuilder&) {}};
}\n")
foreach(target ${targets})
  foreach(part Target TargetInfo TargetMC AsmPrinter AsmParser)
    string(APPEND stubs "extern \"C\" void LLVMInitialize${target}${part}() {}\n")
  endforeach()
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/llvm_stubs.cpp CONTENT "${stubs}" @ONLY)
add_library(repose_llvm_stubs STATIC ${CMAKE_CURRENT_BINARY_DIR}/llvm_stubs.cpp)
target_include_directories(repose_llvm_stubs SYSTEM PRIVATE ${LLVM_INCLUDE})

llvm_config(libraries --link-static --libs x86 lto orcjit passes option)
string(REGEX REPLACE "-lPolly[A-Z]*|-lLLVMExtensions" "" libraries "${libraries}")
separate_arguments(libraries)
target_link_directories(repose_llvm INTERFACE ${LLVM_LIBDIR})
target_link_libraries(repose_llvm INTERFACE ${libraries} repose_llvm_stubs libz.a libzstd.a)
target_link_options(repose_llvm INTERFACE LINKER:--gc-sections)
