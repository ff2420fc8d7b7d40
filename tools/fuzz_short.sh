#!/bin/sh
# Runs every fuzz target in FOLDER for SECONDS (5 unless told), from its corpus in fuzz/corpus/NAME where there is one; as
# many at once as there are cores.
# usage: tools/fuzz_short.sh FOLDER [SECONDS]
set -eu
folder=${1:?usage: fuzz_short.sh FOLDER [SECONDS]}
export folder seconds="${2:-5}" corpora="$(dirname "$0")/../fuzz/corpus"
scratch=$(mktemp -d)
export scratch
trap 'rm -rf "$scratch"' EXIT

# Says the verdict on one target, and gives it as its status.
one='
name=$(basename "$1")
mkdir "$scratch/$name"
set -- "$scratch/$name"
[ ! -d "$corpora/$name" ] || set -- "$@" "$corpora/$name"
if "$folder/$name" -max_total_time="$seconds" -timeout=10 -artifact_prefix="$folder/$name-" "$@" \
    >"$scratch/$name.log" 2>&1; then
    echo "$name: ok, $(sed -n "s/^Done \([0-9]*\) runs.*/\1/p" "$scratch/$name.log") runs"
else
    echo "$name: FAILED
$(grep -av "^#[0-9]" "$scratch/$name.log" | tail -n 30)"
    exit 1
fi
'
find "$folder" -maxdepth 1 -type f -perm -100 | sort >"$scratch/targets"
if [ ! -s "$scratch/targets" ]; then
    echo "fuzz_short: no fuzz target in $folder; build with the preset fuzz" >&2
    exit 1
fi
xargs -n 1 -P "$(nproc)" sh -c "$one" one <"$scratch/targets"
