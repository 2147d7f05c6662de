# Makes the stub of libc.so.6 that artifacts are linked against: a shared library without contents that
# defines the symbols of IMPORTS ("name version" lines) with their versions.
#   cmake -D IMPORTS=… -D LD=… -D EMULATION=… -D OUTPUT=… -P make_stub.cmake
cmake_minimum_required(VERSION 3.25)
file(STRINGS ${IMPORTS} lines REGEX "^[A-Za-z_]")
set(symbols "")
foreach(line ${lines})
  if(NOT line MATCHES "^([A-Za-z_0-9]+) ([A-Z]+_[0-9.]+)$")
    message(FATAL_ERROR "${IMPORTS}: not \"name version\": ${line}")
  endif()
  list(APPEND versions ${CMAKE_MATCH_2})
  list(APPEND names_${CMAKE_MATCH_2} ${CMAKE_MATCH_1})
  list(APPEND symbols --defsym=${CMAKE_MATCH_1}=0)
endforeach()
list(REMOVE_DUPLICATES versions)
list(SORT versions COMPARE NATURAL)

set(script "")
foreach(version ${versions})
  list(JOIN names_${version} "; " names)
  string(APPEND script "${version} { global: ${names}; };\n")
endforeach()
string(APPEND script "REPOSE_LOCAL { local: *; };\n")
file(WRITE ${OUTPUT}.map "${script}")
file(WRITE ${OUTPUT}.empty "")

# The linker makes symbols of the empty file's name: no folder of the builder in it.
get_filename_component(folder ${OUTPUT} DIRECTORY)
get_filename_component(name ${OUTPUT} NAME)
execute_process(
  COMMAND ${LD} -m ${EMULATION} -shared -soname libc.so.6 --version-script ${OUTPUT}.map --hash-style=gnu
          --build-id=none ${symbols} -o ${OUTPUT} --format=binary ${name}.empty
  WORKING_DIRECTORY ${folder}
  COMMAND_ERROR_IS_FATAL ANY)
