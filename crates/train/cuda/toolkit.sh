#!/usr/bin/env bash
# Composes the CUDA toolkit that cargo builds with: compiler (bin, nvvm), headers (include), and in lib64 nothing but the static
# libraries of stubs.c, so that a program never links with NVIDIA's.
#
#   toolkit.sh download DIR   with the compiler from PyPI (requirements.txt); does nothing when DIR is complete
#   toolkit.sh use DIR        with what DIR holds, or with the toolkit installed on this machine; fails where there is neither
#   toolkit.sh sanitizer DIR  adds compute-sanitizer from PyPI (sanitizer.txt), unless PATH or the toolkit has it
#
# An installed toolkit is searched through CUDA_HOME, CUDA_PATH, CUDA_ROOT, nvcc in PATH and /usr/local/cuda, in this order.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  hint: %s\n' "$@" >&2
    exit 1
}

complete() { # DIR
    [ -x "$1/bin/nvcc" ] && [ -f "$1/include/cuda.h" ]
}

# The libraries, and the nvidia-smi of the build; made anew when their sources have changed.
add_stubs() { # DIR
    local root=$1 work library
    mkdir -p "$root/lib64" "$root/shim"
    cmp -s "$here/nvidia-smi" "$root/shim/nvidia-smi" || install -m 755 "$here/nvidia-smi" "$root/shim/nvidia-smi"
    if [ "$root/probe" -nt "$here/stubs.c" ] && [ "$root/probe" -nt "$here/probe.c" ]; then
        return
    fi
    work=$(mktemp -d)
    for library in cuda cublas cublasLt nvrtc; do
        compile "$root" "-DLIBRARY_${library^^}" -fPIC -c "$here/stubs.c" -o "$work/$library.o"
        ar rcs "$work/lib$library.a" "$work/$library.o"
        mv "$work/lib$library.a" "$root/lib64/"
    done
    compile "$root" "$here/probe.c" -o "$root/probe" -L "$root/lib64" -lcuda -ldl -pthread
    rm -r "$work"
}

compile() { # DIR ARGUMENTS...
    "${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -I "$1/include" "${@:2}" ||
        fail "cannot compile the stand-ins for NVIDIA's libraries" "a C compiler is needed: install gcc or set CC"
}

download() { # DIR
    local root=$1 work wheel
    # A compiler that is linked to is an installed toolkit's: replaced by the pinned one.
    if complete "$root" && [ ! -L "$root/bin" ] && cmp -s "$here/requirements.txt" "$root/requirements.txt"; then
        return
    fi
    command -v python3 > /dev/null || fail "cannot download the CUDA toolkit: python3 is not installed"
    mkdir -p "$(dirname "$root")"
    work=$(mktemp -d "$root.XXXXXX")
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$work'" EXIT
    fetch "$here/requirements.txt" "$work" "the CUDA toolkit"
    mv "$work/unpacked/nvidia/cu13/"{bin,include,nvvm} "$work/"
    rm -r "$work/unpacked"
    chmod -R u+x "$work/bin" "$work/nvvm/bin" # zipfile drops the mode
    cp "$here/requirements.txt" "$work/"
    chmod 755 "$work"
    rm -rf "$root"
    mv "$work" "$root"
    trap - EXIT
}

# The wheels of a list, unpacked into DIR/unpacked.
fetch() { # LIST DIR WHAT
    local wheel
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        --requirement "$1" --dest "$2/wheels" ||
        fail "cannot download $3" "pip's message is above; pip 21 or later is needed"
    for wheel in "$2"/wheels/*.whl; do
        python3 -m zipfile -e "$wheel" "$2/unpacked"
    done
    rm -r "$2/wheels"
}

add_sanitizer() { # DIR
    local root=$1 work
    if command -v compute-sanitizer > /dev/null || [ -x "$root/bin/compute-sanitizer" ]; then return; fi
    if cmp -s "$here/sanitizer.txt" "$root/sanitizer/sanitizer.txt"; then return; fi
    command -v python3 > /dev/null || fail "cannot download compute-sanitizer: python3 is not installed"
    work=$(mktemp -d "$root.XXXXXX")
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$work'" EXIT
    fetch "$here/sanitizer.txt" "$work" "compute-sanitizer (14 MB)"
    chmod -R u+x "$work/unpacked/nvidia/cu13/bin"
    cp "$here/sanitizer.txt" "$work/unpacked/nvidia/cu13/"
    rm -rf "$root/sanitizer"
    mv "$work/unpacked/nvidia/cu13" "$root/sanitizer"
    rm -r "$work"
    trap - EXIT
}

# The folder of an installed toolkit, empty where there is none.
installed() {
    local candidate nvcc
    for candidate in "${CUDA_HOME:-}" "${CUDA_PATH:-}" "${CUDA_ROOT:-}"; do
        [ -z "$candidate" ] || ! [ -x "$candidate/bin/nvcc" ] || { echo "$candidate"; return; }
    done
    if nvcc=$(command -v nvcc); then
        dirname "$(dirname "$(readlink -f "$nvcc")")"
    elif [ -x /usr/local/cuda/bin/nvcc ]; then
        echo /usr/local/cuda
    fi
}

link_installed() { # DIR
    local root=$1 toolkit include
    toolkit=$(installed)
    [ -n "$toolkit" ] || fail "CUDA=1 needs the CUDA toolkit's compiler, and no nvcc was found (CUDA_HOME, PATH, /usr/local/cuda)" \
        "run \`make cuda-toolkit\`, which puts one into $root (104 MB to download, 207 MB on disk)"
    for include in "$toolkit/include" "$toolkit"/targets/*-linux/include ''; do
        [ ! -f "$include/cuda.h" ] || break
    done
    [ -n "$include" ] || fail "the CUDA toolkit in $toolkit has no include/cuda.h" \
        "install its headers, or run \`make cuda-toolkit\`, which puts a whole one into $root"
    mkdir -p "$root"
    ln -sfn "$toolkit/bin" "$root/bin"
    ln -sfn "$include" "$root/include"
    if [ -d "$toolkit/nvvm" ]; then ln -sfn "$toolkit/nvvm" "$root/nvvm"; fi
}

[ $# -eq 2 ] || fail "usage: toolkit.sh download|use|sanitizer DIR"
root=$(mkdir -p "$(dirname "$2")" && cd "$(dirname "$2")" && pwd)/$(basename "$2")
case $1 in
download) download "$root" ;;
use) complete "$root" || link_installed "$root" ;;
sanitizer) add_sanitizer "$root" && exit ;;
*) fail "usage: toolkit.sh download|use|sanitizer DIR" ;;
esac
add_stubs "$root"
