# Checks the runtime object of a target: smaller than 170 kB, and every undefined symbol is the model's
# table or listed in IMPORTS.
#   cmake -D OBJECT=… -D IMPORTS=… -D NM=… -P check_object.cmake
cmake_minimum_required(VERSION 3.25)
file(SIZE ${OBJECT} size)
if(size GREATER_EQUAL 170000)
  message(FATAL_ERROR "${OBJECT} has ${size} bytes, expected fewer than 170000")
endif()
file(STRINGS ${IMPORTS} lines REGEX "^[A-Za-z_]")
foreach(line ${lines})
  string(REGEX REPLACE " .*" "" name ${line})
  list(APPEND allowed ${name})
endforeach()
execute_process(COMMAND ${NM} --undefined-only --format=posix ${OBJECT} OUTPUT_VARIABLE text
                COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" undefined "${text}")
foreach(line ${undefined})
  string(REGEX REPLACE " .*" "" name ${line})
  # The linker's own, and what generated code defines.
  if(NOT name IN_LIST allowed AND NOT name MATCHES "^(_GLOBAL_OFFSET_TABLE_|repose_rt_this_model)$")
    message(FATAL_ERROR "${OBJECT} needs `${name}`, which ${IMPORTS} does not list")
  endif()
endforeach()
message(STATUS "runtime object: ${size} bytes")
