# Build options and the warnings that every target is compiled with.
option(REPOSE_TESTS "Build the tests" ON)
option(REPOSE_STATIC "Link LLVM and the other libraries into what is built, as for a wheel" OFF)
option(REPOSE_FUZZ "Build the fuzzers against libFuzzer (needs clang)" OFF)
option(REPOSE_UNITY "Compile sources in groups: half the time of a full build, and the group again where one changed" ON)
set(REPOSE_SANITIZE "" CACHE STRING
    "Sanitizers for the compiler and its tests: address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
# -O3 takes longer, and the compiler that it makes is no faster.
string(REPLACE "-O3" "-O2" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
add_compile_options(-Wall -Wextra -Werror)
# What is given away names no folder of who built it, and is the same from any.
add_compile_options(-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False positives of GCC 12 in its own std::string (bug 105651), which precompiled headers show.
  add_compile_options(
    "$<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict;-Wno-stringop-overflow;-Wno-stringop-overread>"
    "$<$<COMPILE_LANGUAGE:CXX>:-Wno-array-bounds>")
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC's cold part of a function may be empty, and lld's table for unwinding then has that in the
  # place of the function behind it: an exception through that one would end the process.
  add_compile_options(-fno-reorder-blocks-and-partition)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # g++ is the compiler of record; these clang has in -Wall or -Wextra, and g++ has not.
  add_compile_options(-Wno-mismatched-tags -Wno-missing-designated-field-initializers
                      -Wno-missing-field-initializers -Wno-deprecated-declarations)
endif()
if(REPOSE_SANITIZE)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # False positives wherever a sanitizer keeps GCC from seeing through a std::variant.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
  add_compile_options(-fsanitize=${REPOSE_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${REPOSE_SANITIZE})
endif()
if(REPOSE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)  # coverage of the libraries guides the fuzzers
endif()
find_program(CCACHE ccache)
if(CCACHE)
  # Without this it keeps nothing that was compiled with a precompiled header.
  set(CCACHE_COMMAND ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_COMMAND})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_COMMAND})
endif()

# Neighbours in a folder include the same headers and instantiate the same templates, which are then
# compiled once. Names in unnamed namespaces are therefore unique within a folder.
set(CMAKE_UNITY_BUILD ${REPOSE_UNITY})
set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)
if(REPOSE_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC takes every file that is included for a header.
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>")
endif()

# repose_precompile(TARGET KEY HEADER…): compiles the headers once for all targets of the same key,
# which have the same options and definitions. Sources include what they use all the same.
function(repose_precompile target key)
  get_property(first GLOBAL PROPERTY REPOSE_PRECOMPILED_${key})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE ${ARGN})
    set_property(GLOBAL PROPERTY REPOSE_PRECOMPILED_${key} ${target})
  endif()
endfunction()
set(REPOSE_STANDARD_HEADERS <algorithm> <functional> <map> <memory> <optional> <string>
    <unordered_map> <unordered_set> <variant> <vector> <fmt/format.h>)
find_program(LD_LLD ld.lld-19)
if(LD_LLD)
  add_link_options(-fuse-ld=lld -B${PROJECT_BINARY_DIR}/linker)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/linker)
  file(CREATE_LINK ${LD_LLD} ${PROJECT_BINARY_DIR}/linker/ld.lld SYMBOLIC)
endif()
