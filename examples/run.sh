#!/usr/bin/env bash
# Runs an example the way a user does: examples/run.sh c | cpp | python | blas [BUILD FOLDER]
# BUILD FOLDER: where repose was built (default: build/release). What is made lies below it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

example=${1:?which example: c, cpp, python or blas}
build=$(cd "${2:-$here/../build/release}" && pwd)
cd "$here"
repose=$build/bin/repose
out=$build/examples/$example
mkdir -p "$out"
set -x

case $example in
  c)
    "$repose" compile models/flatten_relu.relax -o "$out/flatten_relu.so"
    "${CC:-cc}" -std=c11 -Wall -Wextra -Werror -I ../include c/load.c -o "$out/load"
    "$out/load" "$out/flatten_relu.so"

    "$repose" compile models/flatten_relu.relax --emit o --name flatten_relu -o "$out/flatten_relu.o"
    "${CC:-cc}" -std=c11 -Wall -Wextra -Werror -I ../include c/link.c "$out/flatten_relu.o" -o "$out/linked"
    "$out/linked"

    "$repose" compile models/packed_update.relax -o "$out/packed_update.so"
    "${CC:-cc}" -std=c11 -Wall -Wextra -Werror -I ../include c/packed.c -lm -o "$out/packed"
    "$out/packed" "$out/packed_update.so"
    ;;
  cpp)
    "$build/bin/example_build_and_run" "$out/build_and_run.so"
    "$build/bin/example_schedule_by_hand" "$out/schedule_by_hand.so"
    ;;
  python)
    "$repose" compile models/flatten_relu.relax -o "$out/flatten_relu.so"
    "${PYTHON:-python3}" python/call_model.py "$out/flatten_relu.so"
    # The package is not part of a build with sanitizers.
    if compgen -G "$build/python/repose/_repose.*.so" >/dev/null; then
      PYTHONPATH=$build/python "${PYTHON:-python3}" python/package.py
      PYTHONPATH=$build/python "${PYTHON:-python3}" python/train.py
    fi
    ;;
  blas)
    cc=${CC:-cc}
    if ! echo '#include <cblas.h>' | "$cc" -fsyntax-only -x c - 2>/dev/null; then
      echo "skipped: there is no cblas.h (Debian: libopenblas-dev)"
      exit 77
    fi
    "$repose" opt models/two_layers.relax --rewrite models/blas.relax --passes call_external_groups \
      >"$out/with_blas.relax"
    "$repose" compile "$out/with_blas.relax" -o "$out/with_blas.so"
    "$cc" -std=c11 -Wall -Wextra -Werror -I ../include c/blas.c -lopenblas -lm -o "$out/blas"
    "$out/blas" "$out/with_blas.so"
    ;;
  *)
    echo "no example is called $example" >&2
    exit 2
    ;;
esac
