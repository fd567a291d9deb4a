#!/usr/bin/env bash
# Runs kiln beside Debian's Nix on the same work in the same run, and prints how they compare. See benches/README.md.
#   usage:  benches/against-nix.sh WORKDIR [section...]     sections: noop cold linear hash tree copy gc   (default: all)
#   knobs:  KILN=target/release/kiln RUNS=5 CHAIN=100 FAN=1000 FILES=50000 TREE_MB=1024 LARGE=64 JOBS=<cores>
# Needs (Debian): nix-bin busybox-static python3. As root, because Nix's sandbox needs it. Downloads nothing; touches only WORKDIR.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
W=${1:?usage: against-nix.sh WORKDIR [section...]}
shift
SECTIONS=${*:-noop cold linear hash tree copy gc}
KILN=$(realpath "${KILN:-$here/../target/release/kiln}")
RUNS=${RUNS:-5} CHAIN=${CHAIN:-100} FAN=${FAN:-1000} FILES=${FILES:-50000} TREE_MB=${TREE_MB:-1024} LARGE=${LARGE:-64} \
  JOBS=${JOBS:-$(nproc)}
BUSYBOX=${BUSYBOX:-$(command -v busybox || true)}
for tool in nix nix-build nix-store nix-hash python3 "$KILN" "$BUSYBOX"; do
  command -v "$tool" >/dev/null || { echo "missing: ${tool:-busybox}" >&2; exit 2; }
done
mkdir -p "$W"
cd "$W"
W=$PWD
wants() { [[ " $SECTIONS " == *" $1 "* ]]; }

# --- the same work for both -------------------------------------------------------------------------------------------------------

export NIX_REMOTE='' NIX_PATH='' NIX_STORE_DIR=$W/nix/store NIX_STATE_DIR=$W/nix/var NIX_LOG_DIR=$W/nix/log NIX_LOCALSTATE_DIR=$W/nix/var \
  NIX_CONF_DIR=$W/nix/etc HOME=$W/home XDG_CACHE_HOME=$W/home/.cache KILN_STORE=$W/kiln-store
mkdir -p nix/etc home src/bb/bin
cat > nix/etc/nix.conf <<CONF
experimental-features = nix-command
build-users-group =
sandbox = true
sandbox-fallback = false
substituters =
max-jobs = $JOBS
cores = 1
CONF
cp -f "$BUSYBOX" src/bb/bin/busybox
ln -sf busybox src/bb/bin/sh
cat > src/lib.nix <<'NIX'
rec {
  salt = builtins.readFile ./salt;
  bb = builtins.path { path = ./bb; name = "bb"; };
  drv = name: cmd: extra: derivation ({ inherit name salt; system = "x86_64-linux"; builder = "${bb}/bin/sh"; args = [ "-c" cmd ]; } // extra);
}
NIX
cat > src/one.nix <<'NIX'
let l = import ./lib.nix; in l.drv "one" "echo one $salt > $out" {}
NIX
cat > src/chain.nix <<'NIX'
{ n }: let l = import ./lib.nix;
  go = i: if i == 0 then l.drv "c0" "echo 0 $salt > $out" {} else l.drv "c${toString i}" "echo $prev > $out" { prev = go (i - 1); };
in go (n - 1)
NIX
cat > src/fan.nix <<'NIX'
{ n }: let l = import ./lib.nix;
  leaf = i: l.drv "f${toString i}" "echo ${toString i} $salt > $out" {};
in l.drv "fan" "echo $deps > $out" { deps = builtins.genList leaf n; }
NIX

# kiln_project NAME: a project that shares the others' root and salt; its recipe comes on standard input.
kiln_project() {
  mkdir -p "kiln/$1/derivations"
  rm -rf "kiln/$1/bb" && cp -a src/bb "kiln/$1/bb"
  { cat <<'STAR'
root = source("//bb")
env = {"salt": file("salt")}
STAR
    cat; } > "kiln/$1/derivations/default.star"
}
kiln_project one <<'STAR'
targets = {"one": derivation(name = "one", root = root, env = env, script = "echo one $salt > $out")}
STAR
kiln_project chain <<'STAR'
def chain(n):
    last = derivation(name = "c0", root = root, env = env, script = "echo 0 $salt > $out")
    for i in range(1, n):
        last = derivation(name = "c%d" % i, root = root, env = env, inputs = {"prev": last}, script = "echo $prev > $out")
    return last
targets = {"chain": chain(int(param("n", "100")))}
STAR
kiln_project fan <<'STAR'
def fan(n):
    leaves = {"d%d" % i: derivation(name = "f%d" % i, root = root, env = env, script = "echo %d $salt > $out" % i) for i in range(n)}
    names = " ".join(["$" + label for label in leaves])
    return derivation(name = "fan", root = root, env = env, inputs = leaves, script = "echo %s > $out" % names)
targets = {"fan": fan(int(param("n", "1000")))}
STAR

# A new salt makes everything new to both: derivations and outputs.
salt() {
  head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' > src/salt
  for project in kiln/*/derivations; do cp src/salt "$project/salt"; done
}
export -f salt
[ -s src/salt ] || salt
nix-store --init
nix_build() { echo "nix-build --no-out-link $W/src/$1.nix${2:+ --arg n $2}"; }
kiln_build() { echo "$KILN build $1 --project $W/kiln/$1 --jobs $JOBS --cores 1${2:+ --param n=$2}"; }

# --- how it is measured -----------------------------------------------------------------------------------------------------------

results=$W/results.jsonl
: > "$results"
: > "$W/log"
# compare NAME AIM(or -) RUNS [options of measure.py]
compare() {
  local name=$1 aim=$2 runs=$3
  shift 3
  [ "$aim" = - ] || set -- --aim "$aim" "$@"
  python3 "$here/measure.py" --results "$results" --log "$W/log" --runs "$runs" "$@" "$name"
}
echo "kiln $("$KILN" --version | cut -d' ' -f2), $(nix --version); Linux $(uname -r), $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg), $JOBS jobs"
echo
echo "| work | Nix min / median | kiln min / median | ratio min / median | ratio of CPU time | peak memory | each | aim |"
echo "|---|---|---|---|---|---|---|---|"

if wants noop; then
  salt
  for what in one "fan $FAN"; do
    # shellcheck disable=SC2086  # two words
    { n=$(nix_build $what) k=$(kiln_build $what); }
    $n >> log 2>&1
    $k >> log 2>&1
    compare "no-op: $what" 0.5 $((RUNS * 4)) --warm 2 --peer "$n" --kiln "$k"
  done
fi

if wants cold; then
  fresh="cd $W && salt"
  compare "cold: one" - $((RUNS * 2)) --warm 1 --prepare-peer "$fresh" --peer "$(nix_build one)" --kiln "$(kiln_build one)"
  compare "cold: chain of $CHAIN" - "$RUNS" --prepare-peer "$fresh" --peer "$(nix_build chain "$CHAIN")" --kiln "$(kiln_build chain "$CHAIN")" \
    --work "$CHAIN"
  for n in $((FAN / 10)) "$FAN"; do
    compare "cold: fan-out of $n" 0.25 "$RUNS" --prepare-peer "$fresh" --peer "$(nix_build fan "$n")" --kiln "$(kiln_build fan "$n")" --work "$n"
  done
fi

if wants linear; then
  # Linear: the last column stays the same.
  for n in $((FAN / 4)) $((FAN / 2)) "$FAN" $((FAN * 2)); do
    compare "linearity: fan-out of $n" - 3 --prepare-kiln "cd $W && salt" --kiln "$(kiln_build fan "$n")" --work "$n"
  done
fi

# warm_tree DIR FILES: a tree of TREE_MB, made if it is not there, and in the page cache.
warm_tree() {
  [ -f "$1.made" ] || { python3 "$here/make_tree.py" "$1" "$2" "$TREE_MB" && touch "$1.made"; }
  find "$1" -type f -exec cat {} + > /dev/null
}
if wants hash || wants tree || wants copy; then
  warm_tree tree "$FILES"
fi

if wants hash; then
  compare "hash a tree ($FILES files, $TREE_MB MiB)" 0.8 "$RUNS" --peer "nix-hash --type sha256 --base32 $W/tree" \
    --kiln "$KILN store add --dry-run $W/tree"
  compare "dump it as a NAR" - "$RUNS" --peer "nix-store --dump $W/tree" --kiln "$KILN store dump $W/tree"
fi

if wants tree; then
  object=$("$KILN" store add --dry-run tree)
  [ "$(nix-store --add tree | cut -d/ -f2- | wc -l)" = 1 ] # both must know it now
  in_nix=$(nix-store --add tree)
  compare "add it to the store" 1 3 --prepare-peer "nix-store --delete $in_nix" --peer "nix-store --add $W/tree" \
    --prepare-kiln "$KILN gc" --kiln "$KILN store add $W/tree"
  compare "add it again" 1 "$RUNS" --peer "nix-store --add $W/tree" --kiln "$KILN store add $W/tree"
  compare "verify it" 1 "$RUNS" --peer "nix store verify --no-trust $in_nix" --kiln "$KILN store verify $object"
  compare "delete it" 1 3 --prepare-peer "nix-store --add $W/tree" --peer "nix-store --delete $in_nix" \
    --prepare-kiln "$KILN store add $W/tree" --kiln "$KILN gc"
fi

# --- copies: the same closure, from the same cache, into an empty store; and from a store into an empty cache ---------------------------
#
# Both pack with zstd's level 3 (kiln's default; Nix's `compression-level`, left alone, is libarchive's), and sign nothing: content-addressed
# objects need no signature. Each does what it does by default for a power cut, and that is not the same:
#   pull, kiln  `syncfs` of the store's file system, then one SQLite transaction that is synced: an object that is valid has its bytes
#   pull, Nix   SQLite's log at its checkpoints; the objects' own bytes are not synced (`sync-before-registering` is off by default)
#   push, kiln  all entries are synced before the command ends, and NARs before the descriptions that lead to them
#   push, Nix   nothing
# Each preparation ends with `sync`, so that nobody writes back what another has left. `syncfs` writes back what other programs on the
# machine have just written to that file system too: only on a quiet one does the wall time mean much. What holds many files is put aside
# and deleted at the end: for a minute and more, ext4 looks at every inode that was deleted before it takes one for a new file, and making
# files then costs ten times as much, by chance for one side or the other.

copies=$W/copy
export ASIDE=$copies/aside
kiln_nix="env NIX_STORE_DIR=/kiln/store nix"

# fresh DIR: makes sure that it is not there.
fresh() {
  if [ -e "$1" ] && [ "$(find "$1" | head -n 500 | wc -l)" = 500 ]; then
    mkdir -p "$ASIDE"
    mv "$1" "$(mktemp -d "$ASIDE/XXXXXX")"
  fi
  rm -rf "$1" "$XDG_CACHE_HOME/nix"
  sync
}
export -f fresh

# small_closure STORE: FAN small objects, and one that refers to all of them; prints its path.
small_closure() {
  local number
  mkdir -p "$copies/small"
  for ((number = 0; number < FAN; number++)); do
    { echo "object $number"; cat "$W/src/lib.nix"; } > "$copies/small/o$number"
  done
  "$KILN" store add --store "$1" "$copies"/small/o* | sed 's|.*/|/kiln/store/|' > "$copies/small/top"
  "$KILN" store add --store "$1" --scan "$copies/small/top"
}

# copy_both NAME PATH: pulls and pushes what kiln's store and then the cache and Nix's store below $copies hold.
copy_both() {
  local name=$1 path=$2 nix_from="local?root=$copies/nix-has" kiln_from="$copies/kiln-has"
  compare "pull $name" 1 "$RUNS" \
    --prepare-peer "fresh $copies/nix-new" --prepare-kiln "fresh $copies/kiln-new" \
    --peer "$kiln_nix copy --from file://$copies/cache --to local?root=$copies/nix-new $path" \
    --kiln "$KILN cache pull --store $copies/kiln-new --from file://$copies/cache $path"
  [ "$("$KILN" store closure --store "$copies/kiln-new" "$path" | wc -l)" = "$(nix_closure "$copies/nix-new" "$path" | wc -l)" ]
  compare "push $name" 1 "$RUNS" \
    --prepare-peer "fresh $copies/by-nix" --prepare-kiln "fresh $copies/by-kiln" \
    --peer "$kiln_nix copy --from $nix_from --to file://$copies/by-nix?compression=zstd $path" \
    --kiln "$KILN cache push --store $kiln_from --to file://$copies/by-kiln $path"
  compare "push $name again" 1 "$RUNS" --prepare-peer sync --prepare-kiln sync \
    --peer "$kiln_nix copy --from $nix_from --to file://$copies/by-nix?compression=zstd $path" \
    --kiln "$KILN cache push --store $kiln_from --to file://$copies/by-kiln $path"
  notes+=("$name: $(nix_closure "$copies/nix-new" "$path" | wc -l) objects; the cache on disk, apparent size and blocks: \
Nix $(size_of "$copies/by-nix"), kiln $(size_of "$copies/by-kiln")")
}
nix_closure() { $kiln_nix path-info --store "local?root=$1" --recursive "$2"; }
size_of() { echo "$(du -sm --apparent-size "$1" | cut -f1) / $(du -sm "$1" | cut -f1) MiB"; }

# copy_section NAME COMMAND...: the command puts a closure into the store that it gets as its last word, and prints its path.
copy_section() {
  local name=$1 path dir
  shift
  for dir in kiln-has kiln-new nix-has nix-new by-kiln by-nix cache; do fresh "$copies/$dir"; done
  path=/kiln/store/$(basename "$("$@" "$copies/kiln-has")")
  "$KILN" cache push --store "$copies/kiln-has" --to "file://$copies/cache" "$path" >> log 2>&1
  $kiln_nix copy --from "file://$copies/cache" --to "local?root=$copies/nix-has" "$path" >> log 2>&1
  copy_both "$name" "$path"
}
one_object() { "$KILN" store add --store "$2" "$1"; }

notes=()
if wants copy; then
  trap 'rm -rf "$copies"' EXIT
  mkdir -p "$copies"
  warm_tree large "$LARGE"
  copy_section "$((FAN + 1)) small objects" small_closure
  copy_section "an object of $FILES files, $TREE_MB MiB" one_object tree
  copy_section "an object of $LARGE files, $TREE_MB MiB" one_object large
fi

if wants gc; then
  # Everything old goes first, so that both then collect the same objects.
  fill="cd $W && salt && $(nix_build fan "$FAN") && $(kiln_build fan "$FAN")"
  nix-store --gc >> log 2>&1
  "$KILN" gc >> log 2>&1
  compare "collect a fan-out of $FAN" 1 3 --prepare-peer "$fill" --peer "nix-store --gc" --kiln "$KILN gc"
fi
echo
[ ${#notes[@]} = 0 ] || printf '%s\n' "${notes[@]}"
echo "load now $(cut -d' ' -f1-3 /proc/loadavg); every run is in $results"
