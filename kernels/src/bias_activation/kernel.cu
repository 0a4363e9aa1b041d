// activation(y + bias) in place, for y of [rows, columns] and a bias of [columns] or none. The reference is reference.rs.
//
// Arithmetic is in single precision, and rounded to half once, at the end. A thread keeps its column, so that the bias is
// read once and no index is divided.

#include <cuda_fp16.h>
#include <stdint.h>

namespace {

__device__ float read(const float *at) { return *at; }
__device__ float read(const __half *at) { return __half2float(*at); }
__device__ void write(float *at, float value) { *at = value; }
__device__ void write(__half *at, float value) { *at = __float2half_rn(value); }

template <typename T, typename Activation>
__device__ void pass(T *y, const T *bias, uint64_t rows, uint64_t columns, Activation activation) {
    const uint64_t column_stride = static_cast<uint64_t>(gridDim.x) * blockDim.x;
    const uint64_t row_stride = static_cast<uint64_t>(gridDim.y) * blockDim.y;
    const uint64_t first_column = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const uint64_t first_row = static_cast<uint64_t>(blockIdx.y) * blockDim.y + threadIdx.y;
    for (uint64_t column = first_column; column < columns; column += column_stride) {
        // Adding -0 changes nothing, and adding 0 would make 0 of -0.
        const float added = bias == nullptr ? -0.0f : read(bias + column);
        for (uint64_t row = first_row; row < rows; row += row_stride) {
            T *at = y + row * columns + column;
            write(at, activation(read(at) + added));
        }
    }
}

}  // namespace

// NaN stays NaN: comparisons with it are false, so it takes the branch that keeps x.
#define KERNELS(NAME, ANSWER)                                                                                        \
    extern "C" __global__ void NAME##_f32(float *y, const float *bias, uint64_t rows, uint64_t columns, float p) {    \
        pass(y, bias, rows, columns, [p](float x) { return ANSWER; });                                               \
    }                                                                                                                \
    extern "C" __global__ void NAME##_f16(__half *y, const __half *bias, uint64_t rows, uint64_t columns, float p) {  \
        pass(y, bias, rows, columns, [p](float x) { return ANSWER; });                                               \
    }

KERNELS(identity, x)
KERNELS(relu, x < 0.0f ? 0.0f : x)
KERNELS(leaky_relu, x < 0.0f ? x * p : x)
KERNELS(elu, x < 0.0f ? p * expm1f(x) : x)
KERNELS(sigmoid, 1.0f / (1.0f + expf(-x)))
KERNELS(tanh, tanhf(x))
KERNELS(gelu, 0.5f * x * (1.0f + erff(x * 0.70710678118654752f)))
KERNELS(gelu_tanh, 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x))))
// ln(1 + e^x) overflows for large x, where it equals x.
KERNELS(softplus, x > 30.0f ? x : log1pf(expf(x)))
