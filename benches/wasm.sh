#!/usr/bin/env bash
# What func.wasm costs: its size and start, Python's speed in it beside native Python, and numpy's matrix products. See benches/README.md.
#   usage:  benches/wasm.sh start|pyperformance|product [further options of benches/wasm/WHAT.py]
#   knobs:  KILN=target/release/kiln KILN_STORE=<the store to build in> PROJECT=. NUMPY=<folder with native numpy, for product>
# Builds what it needs. host-python is run outside the sandbox: on Debian 12, or whatever has as new a C library.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
what=${1:?usage: wasm.sh start|pyperformance|product [options]}
shift
KILN=$(realpath "${KILN:-$here/../target/release/kiln}")
PROJECT=$(realpath "${PROJECT:-$here/..}")
export KILN_STORE=${KILN_STORE:-$PROJECT/store} KILN_PROJECT=$PROJECT

built() { "$KILN" build "$1" --quiet; }
python=$(built host-python)/bin/python3
PYTHONPATH=$(built runner)/lib
export PYTHONPATH PYTHONDONTWRITEBYTECODE=1
function=python/py_func/function.wasm
case $what in
  start) words=("$(built runtime)" --wasm "func=$(built func)/$function" --wasm "func-optimised=$(built func-optimised)/$function") ;;
  pyperformance) words=("$(built runtime)") ;;
  product) words=(--runtime "lapack_lite=$(built runtime-numpy)" --runtime "BLIS=$(built runtime-numpy-blis)" ${NUMPY:+--native "$NUMPY"}) ;;
  *) echo "there is no benchmark $what; there are: start, pyperformance, product" >&2; exit 2 ;;
esac
exec "$python" "$here/wasm/$what.py" "${words[@]}" "$@"
