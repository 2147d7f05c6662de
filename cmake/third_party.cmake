# The licences of what is linked into what is given away, in one file that goes with it.
set(REPOSE_THIRD_PARTY ${PROJECT_BINARY_DIR}/third_party.txt)
set(licences "")
foreach(package llvm-19-dev libfmt-dev zlib1g-dev libzstd-dev nlohmann-json3-dev libcli11-dev
        libprotozero-dev gcc-12-base)
  set(file /usr/share/doc/${package}/copyright)
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "what is given away carries the licences of its parts: there is no ${file}")
  endif()
  file(READ ${file} text)
  string(APPEND licences "==== ${package}\n\n${text}\n")
endforeach()
file(WRITE ${REPOSE_THIRD_PARTY} "${licences}")
