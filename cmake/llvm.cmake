# LLVM and LLD 19 as libraries. Only src/codegen/llvm links them.
find_program(LLVM_CONFIG llvm-config-19 REQUIRED)
execute_process(COMMAND ${LLVM_CONFIG} --includedir OUTPUT_VARIABLE LLVM_INCLUDE
                OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND ${LLVM_CONFIG} --libdir OUTPUT_VARIABLE LLVM_LIBDIR
                OUTPUT_STRIP_TRAILING_WHITESPACE)
add_library(repose_llvm INTERFACE)
target_include_directories(repose_llvm SYSTEM INTERFACE ${LLVM_INCLUDE})
# runtime/abi.h, the contract with the runtime.
target_include_directories(repose_llvm INTERFACE ${PROJECT_SOURCE_DIR})
target_link_libraries(repose_llvm INTERFACE ${LLVM_LIBDIR}/liblldELF.a ${LLVM_LIBDIR}/liblldCommon.a
                      ${LLVM_LIBDIR}/libLLVM-19.so z zstd)
