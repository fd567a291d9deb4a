#!/usr/bin/env bash
# What sandbox and store cost a real build: the same script with the same environment, inputs and root, once under bwrap with nothing but
# a mount namespace, once by `kiln build --rebuild`. See benches/README.md.
#   usage:  benches/overhead.sh WORKDIR [TARGET]     (default: host-python)
#   knobs:  KILN=target/release/kiln RUNS=3 CORES=<cores> PROJECT=. KILN_STORE=<the store to build in>
# Needs (Debian): bubblewrap python3. As root. What TARGET needs is built first.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
W=${1:?usage: overhead.sh WORKDIR [TARGET]}
target=${2:-host-python}
KILN=$(realpath "${KILN:-$here/../target/release/kiln}")
RUNS=${RUNS:-3} CORES=${CORES:-$(nproc)}
PROJECT=$(realpath "${PROJECT:-$here/..}")
export KILN_STORE=${KILN_STORE:-$PROJECT/store} KILN_PROJECT=$PROJECT
mkdir -p "$W"
W=$(realpath "$W")

"$KILN" build "$target" --cores "$CORES" >&2
# The sandbox itself says what a build sees.
inside() { "$KILN" shell "$target" --cores "$CORES" -- "$@" 2>> "$W/log" < /dev/null; }
inside /bin/cat /kiln/script > "$W/script"
inside /usr/bin/env -0 > "$W/environment"
inside /bin/sh -c 'cd /kiln/store && for name in *; do echo "$name"; done' > "$W/inputs"
root=$(tr '\0' '\n' < "$W/environment" | sed -n 's,^KILN_ROOT=/kiln/store/,,p')
objects=$KILN_STORE/objects

words=(bwrap --die-with-parent --dev /dev --proc /proc)
for entry in "$objects/$root"/*; do
  name=/${entry##*/}
  case $name in
    /dev | /proc | /tmp | /build | /kiln) ;;
    *) if [ -L "$entry" ]; then words+=(--symlink "$(readlink "$entry")" "$name"); else words+=(--ro-bind "$entry" "$name"); fi ;;
  esac
done
words+=(--bind "$W/plain/build" /build --bind "$W/plain/tmp" /tmp --bind "$W/plain/store" /kiln/store --ro-bind "$W/script" /kiln/script)
while read -r name; do words+=(--ro-bind "$objects/$name" "/kiln/store/$name"); done < "$W/inputs"
words+=(--chdir /build --clearenv)
while IFS= read -r -d '' variable; do words+=(--setenv "${variable%%=*}" "${variable#*=}"); done < "$W/environment"
words+=(/bin/sh -eu /kiln/script)
printf -v plain '%q ' "${words[@]}"

: > "$W/results.jsonl"
echo "load $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores"
echo "| work | bwrap min / median | kiln min / median | ratio min / median | ratio of CPU time | peak memory | each | aim |"
echo "|---|---|---|---|---|---|---|---|"
python3 "$here/measure.py" --results "$W/results.jsonl" --log "$W/log" --runs "$RUNS" --aim 1.03 \
  --prepare-peer "rm -rf $W/plain; mkdir -p $W/plain/build $W/plain/tmp $W/plain/store" --peer "$plain" \
  --kiln "$KILN build $target --rebuild --jobs 1 --cores $CORES" "$target"
rm -rf "$W/plain"
