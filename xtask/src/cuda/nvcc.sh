#!/bin/sh
# nvcc, but for candle's library of GGUF kernels. It takes a core twelve minutes, and sluice reads no GGUF: its objects are
# left empty, and the archive of them as well. Where a function of it were called after all, linking would fail.
out=
previous=
for argument in "$@"; do
    [ "$previous" = -o ] && out=$argument
    previous=$argument
done
case "$out: $*" in
*/libmoe.a:*--lib*) printf '!<arch>\n' > "$out" ;;
*:*" -c "*/moe_*.cu | *:*" -c "*/mmvq_gguf.cu | *:*" -c "*/mmq_*.cu) : > "$out" ;;
*) exec "$XTASK_NVCC" "$@" ;;
esac
