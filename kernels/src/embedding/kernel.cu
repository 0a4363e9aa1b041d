// Rows of a table of [outer, size, inner] by their numbers, into [outer, count, inner]. The reference is reference.rs.
//
// What an element means does not matter here: kernels differ in how many bytes they move at once. A number outside the
// table is never followed: its row becomes zeros, and is counted where a counter is given.

#include <stdint.h>

namespace {

template <typename Unit>
__device__ void gather(const Unit *table, const int64_t *numbers, Unit *out, uint64_t outer, uint64_t size,
                       uint64_t inner, uint64_t count, unsigned long long *refused) {
    const uint64_t lines = outer * count;
    const uint64_t line_stride = static_cast<uint64_t>(gridDim.y) * blockDim.y;
    const uint64_t unit_stride = static_cast<uint64_t>(gridDim.x) * blockDim.x;
    const uint64_t first_unit = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const uint64_t first_line = static_cast<uint64_t>(blockIdx.y) * blockDim.y + threadIdx.y;
    for (uint64_t line = first_line; line < lines; line += line_stride) {
        const uint64_t slab = line / count;
        const int64_t number = numbers[line - slab * count];
        // A negative number counts from the end; one that is still negative is, without its sign, beyond every size.
        const uint64_t row = static_cast<uint64_t>(number) + (number < 0 ? size : 0);
        const bool inside = row < size;
        // Once for each number, not for each thread that meets it.
        if (!inside && slab == 0 && first_unit == 0 && refused != nullptr) {
            atomicAdd(refused, 1ull);
        }
        Unit *to = out + line * inner;
        if (inside) {
            const Unit *from = table + (slab * size + row) * inner;
            for (uint64_t unit = first_unit; unit < inner; unit += unit_stride) {
                to[unit] = from[unit];
            }
        } else {
            for (uint64_t unit = first_unit; unit < inner; unit += unit_stride) {
                to[unit] = Unit{};
            }
        }
    }
}

}  // namespace

#define KERNEL(BYTES, UNIT)                                                                                          \
    extern "C" __global__ void gather_##BYTES(const UNIT *table, const int64_t *numbers, UNIT *out, uint64_t outer,   \
                                              uint64_t size, uint64_t inner, uint64_t count,                         \
                                              unsigned long long *refused) {                                         \
        gather(table, numbers, out, outer, size, inner, count, refused);                                             \
    }

KERNEL(1, uint8_t)
KERNEL(2, uint16_t)
KERNEL(4, uint32_t)
KERNEL(8, uint64_t)
KERNEL(16, uint4)
