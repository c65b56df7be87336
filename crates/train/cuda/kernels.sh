#!/usr/bin/env bash
# Assembles the PTX that the last build made for the GPUs named, as the driver does when a program starts, and prints what each
# kernel takes: registers a thread, bytes of spilled registers, bytes of static shared memory a block. Fails where ptxas does, or
# where a kernel takes more shared memory than every GPU has without being asked (48 KiB).
#
#   kernels.sh TARGET_DIR [sm_80 sm_90 ...]
set -euo pipefail

target=$1
shift
[ $# -gt 0 ] || set -- sm_80 sm_90
newest=$(find "$target"/release/build -path '*/train-*/out/*.ptx' -printf '%T@ %h\n' 2> /dev/null | sort -rn | head -1 | cut -d ' ' -f 2-)
if [ -z "$newest" ]; then
    # shellcheck disable=SC2016 # a command to type
    printf 'error: no kernels in %s\n  hint: run `make build CUDA=1` first\n' "$target" >&2
    exit 1
fi
cubin=$(mktemp)
trap 'rm -f "$cubin"' EXIT

printf '%-48s %-6s %10s %8s %8s\n' kernel gpu registers spilled shared
for gpu; do
    for ptx in "$newest"/*.ptx; do
        "$target/cuda/bin/ptxas" -v "-arch=$gpu" "$ptx" -o "$cubin" 2>&1 | awk -v gpu="$gpu" '
            /error|fatal/ { print > "/dev/stderr" }
            /Compiling entry function/ { split($0, quoted, "\047"); name = quoted[2]; entry = 1 }
            /Compiling entry function|Function properties for/ { entry = index($0, name) > 0 }
            entry && /bytes spill stores/ { spilled = $5 }
            / Used [0-9]+ registers/ {
                shared = 0
                for (i = 1; i < NF; i++) {
                    if ($(i + 1) ~ /^registers/) registers = $i
                    if ($(i + 2) ~ /^smem/) shared = $i
                }
                printf "%-48s %-6s %10d %8d %8d\n", name, gpu, registers, spilled, shared
                if (shared > 49152) { print "error: too much shared memory" > "/dev/stderr"; failed = 1 }
            }
            END { exit failed }'
    done
done
