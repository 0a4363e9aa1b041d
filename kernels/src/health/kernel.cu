// How many numbers of a buffer are NaN or infinite. The reference is reference.rs.
//
// Each thread counts every so-manieth element; warps add up by shuffles, a block in shared memory, blocks by one atomic
// addition each. The counter is not set to zero here: several buffers may add to one.

#include <stdint.h>

namespace {

constexpr unsigned WARP = 32;
constexpr unsigned WARPS_MAX = 32;
constexpr unsigned ALL = 0xffffffffu;

// All lanes of a full warp must come here.
__device__ uint64_t sum_of_warp(uint64_t value) {
    for (unsigned distance = WARP / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(ALL, static_cast<unsigned long long>(value), distance);
    }
    return value;
}

// All threads of a block must come here; the answer is right in its first warp only. A block is whole warps.
__device__ uint64_t sum_of_block(uint64_t value) {
    __shared__ uint64_t warps[WARPS_MAX];
    const unsigned lane = threadIdx.x % WARP;
    const unsigned warp = threadIdx.x / WARP;
    value = sum_of_warp(value);
    if (lane == 0) {
        warps[warp] = value;
    }
    __syncthreads();
    if (warp > 0) {
        return 0;
    }
    return sum_of_warp(lane < blockDim.x / WARP ? warps[lane] : 0);
}

// A float is not finite where all bits of its exponent are set.
template <typename Bits>
__device__ void count(const Bits *values, uint64_t len, Bits exponent, unsigned long long *counter) {
    const uint64_t stride = static_cast<uint64_t>(gridDim.x) * blockDim.x;
    uint64_t found = 0;
    for (uint64_t i = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < len; i += stride) {
        found += (values[i] & exponent) == exponent;
    }
    found = sum_of_block(found);
    if (threadIdx.x == 0 && found > 0) {
        atomicAdd(counter, found);
    }
}

}  // namespace

extern "C" __global__ void non_finite_f16(const uint16_t *values, uint64_t len, unsigned long long *counter) {
    count<uint16_t>(values, len, 0x7c00, counter);
}

extern "C" __global__ void non_finite_bf16(const uint16_t *values, uint64_t len, unsigned long long *counter) {
    count<uint16_t>(values, len, 0x7f80, counter);
}

extern "C" __global__ void non_finite_f32(const uint32_t *values, uint64_t len, unsigned long long *counter) {
    count<uint32_t>(values, len, 0x7f800000, counter);
}

extern "C" __global__ void non_finite_f64(const uint64_t *values, uint64_t len, unsigned long long *counter) {
    count<uint64_t>(values, len, 0x7ff0000000000000, counter);
}
