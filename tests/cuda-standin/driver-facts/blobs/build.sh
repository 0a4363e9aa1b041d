#!/bin/sh
# Builds the images that the module probes load, with nvcc 13.0.88. Run in this folder.
set -e
P=../ptx/answer.ptx
nvcc -cubin -arch=sm_75 -o answer.sm_75.cubin $P
nvcc -cubin -gencode arch=compute_75,code=sm_90 -o answer.sm_90.cubin $P
nvcc -fatbin -gencode 'arch=compute_75,code=[sm_75,compute_75]' -o answer.both.fatbin $P
nvcc -fatbin --no-compress -gencode 'arch=compute_75,code=[sm_75,compute_75]' -o answer.both.plain.fatbin $P
nvcc -fatbin -gencode arch=compute_75,code=sm_75 -o answer.machine_code.fatbin $P
nvcc -fatbin -gencode arch=compute_75,code=compute_75 -o answer.ptx.fatbin $P
