#!/bin/sh
# Runs every fuzz target in FOLDER for SECONDS (5 unless told), from its corpus in fuzz/corpus/NAME where there is one.
# usage: tools/fuzz_short.sh FOLDER [SECONDS]
set -eu
folder=${1:?usage: fuzz_short.sh FOLDER [SECONDS]}
seconds=${2:-5}
corpora=$(dirname "$0")/../fuzz/corpus
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
status=0
count=0
for target in "$folder"/*; do
    [ -f "$target" ] && [ -x "$target" ] || continue
    name=$(basename "$target")
    count=$((count + 1))
    mkdir "$scratch/$name"
    set -- "$scratch/$name"
    if [ -d "$corpora/$name" ]; then
        set -- "$@" "$corpora/$name"
    fi
    if "$target" -max_total_time="$seconds" -timeout=10 -artifact_prefix="$folder/$name-" "$@" \
        >"$scratch/$name.log" 2>&1; then
        echo "$name: ok, $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$scratch/$name.log") runs"
    else
        echo "$name: FAILED"
        tail -n 40 "$scratch/$name.log"
        status=1
    fi
done
if [ "$count" -eq 0 ]; then
    echo "fuzz_short: no fuzz target in $folder; build with the preset fuzz" >&2
    exit 1
fi
exit $status
