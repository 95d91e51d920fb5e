#!/bin/sh
# port/make_bytecode.sh — compiles xdp_redirect.bpf.c into xdp_redirect_bytecode.h (or file $1).
#
# Needs clang and llvm (Debian: clang llvm). The header is committed; run this after changing the
# source.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/xdp_redirect_bytecode.h}
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
clang=${CLANG:-clang}

"$clang" -target bpf -mcpu=v2 -O2 -Wall -Wextra -Werror -I "$here" \
  -c "$here/xdp_redirect.bpf.c" -o "$work/o"
llvm-objcopy -O binary --only-section=xdp "$work/o" "$work/code"
{
  echo '// port/xdp_redirect_bytecode.h — made by make_bytecode.sh: do not edit.'
  echo '//'
  echo '// Source:  xdp_redirect.bpf.c'
  echo "// Compiler: clang $("$clang" -dumpversion | cut -d. -f1)"
  echo '#pragma once'
  echo
  echo '#include <cstdint>'
  echo
  echo 'namespace vtep {'
  echo
  echo '// BPF instructions, 8 bytes each, little-endian.'
  echo 'alignas(8) constexpr uint8_t xdp_redirect_code[] = {'
  od -An -v -tx1 -w8 "$work/code" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1, /g; s/^/    /; s/ $//'
  echo '};'
  echo
  echo '// Instructions that want the descriptor of a map.'
  echo 'struct XdpMapUse {'
  echo '  uint32_t instruction;  // index'
  echo '  const char* map;       // name in the source'
  echo '};'
  echo 'constexpr XdpMapUse xdp_redirect_maps[] = {'
  llvm-readelf -r "$work/o" | awk '/R_BPF_64_64/ { print $1, $NF }' | while read -r offset map; do
    echo "    {$((0x$offset / 8)), \"$map\"},"
  done
  echo '};'
  echo
  echo '}  // namespace vtep'
} > "$out"
