//! cuBLAS and cuRAND as far as candle uses them: codes, memory taken, and numbers to repeat.

use super::Case;
use crate::driver::{Library, out};
use crate::probe::Probe;
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("libraries/cublas_codes", cublas_codes).alone(),
        Case::new("libraries/cublas_gemm", cublas_gemm),
        Case::new("libraries/curand", curand),
        Case::new("libraries/curand_codes", curand_codes),
    ]
}

fn open(p: &Probe, name: &str) -> Option<Library> {
    match Library::open(&[name]) {
        Ok(library) => Some(library),
        Err(why) => {
            p.say("no library", why);
            None
        }
    }
}

/// `cublasGemmStridedBatchedEx`, every argument a word.
struct Gemm {
    handle: u64,
    op: [u64; 2],
    size: [i64; 3],
    alpha: u64,
    a: (u64, u64, i64, i64),
    b: (u64, u64, i64, i64),
    beta: u64,
    c: (u64, u64, i64, i64),
    batch: i64,
    compute: u64,
    algorithm: i64,
}

impl Gemm {
    fn run(&self, blas: Library) -> i32 {
        type Call = unsafe extern "C" fn(
            u64,
            i32,
            i32,
            i32,
            i32,
            i32,
            u64,
            u64,
            i32,
            i32,
            i64,
            u64,
            i32,
            i32,
            i64,
            u64,
            u64,
            i32,
            i32,
            i64,
            i32,
            i32,
            i32,
        ) -> i32;
        let symbol = blas.symbol("cublasGemmStridedBatchedEx");
        if symbol.is_null() {
            return -1;
        }
        // SAFETY: the signature is that of `cublas_api.h`, with enumerations as the integers they are.
        let call = unsafe { std::mem::transmute::<*mut std::ffi::c_void, Call>(symbol) };
        // SAFETY: the library checks its arguments; which of them it does not is what the probes ask, in a process of
        // their own.
        unsafe {
            call(
                self.handle,
                self.op[0] as i32,
                self.op[1] as i32,
                self.size[0] as i32,
                self.size[1] as i32,
                self.size[2] as i32,
                self.alpha,
                self.a.0,
                self.a.1 as i32,
                self.a.2 as i32,
                self.a.3,
                self.b.0,
                self.b.1 as i32,
                self.b.2 as i32,
                self.b.3,
                self.beta,
                self.c.0,
                self.c.1 as i32,
                self.c.2 as i32,
                self.c.3,
                self.batch as i32,
                self.compute as i32,
                self.algorithm as i32,
            )
        }
    }
}

const F32: u64 = 0;
const F64: u64 = 1;
const F16: u64 = 2;
const BF16: u64 = 14;
const I8: u64 = 3;
const I32: u64 = 10;
const COMPUTE_32F: u64 = 68;
const COMPUTE_16F: u64 = 64;
const COMPUTE_64F: u64 = 70;
const COMPUTE_32I: u64 = 72;

fn cublas_codes(p: &Probe) {
    let Some(blas) = open(p, "libcublas.so.13") else { return };
    let step = |what: &str, name: &str, args: &[u64]| {
        let code = blas.call(name, args);
        p.line(json!({"what": what, "call": name, "status": code}));
        code
    };
    let (mut handle, mut word) = (0u64, 0i32);
    p.device();
    step("with no context", "cublasCreate_v2", &[out(&mut handle)]);
    p.context();
    let before = p.memory().0;
    step("", "cublasCreate_v2", &[out(&mut handle)]);
    p.say("memory that a handle takes", before as i64 - p.memory().0 as i64);
    step("", "cublasGetVersion_v2", &[handle, out(&mut word)]);
    p.say("version", word);
    step("null handle", "cublasSetStream_v2", &[0, 0]);
    let stream = p.stream(1);
    step("", "cublasSetStream_v2", &[handle, stream]);
    let room = p.alloc(64 << 20);
    p.must("cuMemsetD8Async", &[room, 0, 64 << 20, 0]);
    p.sync();
    let (mut one, mut zero) = (1f32, 0f32);
    let before = p.memory().0;
    let good = || Gemm {
        handle,
        op: [0, 0],
        size: [64, 64, 64],
        alpha: &one as *const f32 as u64,
        a: (room, F32, 64, 0),
        b: (room + 65536, F32, 64, 0),
        beta: &zero as *const f32 as u64,
        c: (room + 131_072, F32, 64, 0),
        batch: 1,
        compute: COMPUTE_32F,
        algorithm: -1,
    };
    let tell = |what: &str, gemm: Gemm| {
        let status = gemm.run(blas);
        let after = p.cu.call("cuCtxSynchronize", &[]);
        p.line(json!({"what": what, "call": "cublasGemmStridedBatchedEx", "status": status, "then_cuCtxSynchronize": after}));
    };
    tell("good", good());
    p.say("memory that the first product takes", before as i64 - p.memory().0 as i64);
    tell("algorithm 99", Gemm { algorithm: 99, ..good() });
    tell("algorithm 5", Gemm { algorithm: 5, ..good() });
    tell("algorithm 1000", Gemm { algorithm: 1000, ..good() });
    tell("null handle", Gemm { handle: 0, ..good() });
    for (what, size) in [
        ("m = 0", [0, 64, 64]),
        ("n = 0", [64, 0, 64]),
        ("k = 0", [64, 64, 0]),
        ("m = -1", [-1, 64, 64]),
        ("k = -1", [64, 64, -1]),
    ] {
        tell(what, Gemm { size, ..good() });
    }
    tell("batch 0", Gemm { batch: 0, ..good() });
    tell("batch -1", Gemm { batch: -1, ..good() });
    tell("lda 63", Gemm { a: (room, F32, 63, 0), ..good() });
    tell("ldb 63", Gemm { b: (room, F32, 63, 0), ..good() });
    tell("ldc 63", Gemm { c: (room, F32, 63, 0), ..good() });
    tell("op 7", Gemm { op: [7, 0], ..good() });
    // A null alpha is not tried: cuBLAS reads it, and crashes.
    tell("batch of 2 with stride 0 of c", Gemm { batch: 2, ..good() });
    for (what, t, compute) in [
        ("f16, compute 32F", F16, COMPUTE_32F),
        ("bf16, compute 32F", BF16, COMPUTE_32F),
        ("f16, compute 16F", F16, COMPUTE_16F),
        ("f64, compute 64F", F64, COMPUTE_64F),
        ("f64, compute 32F", F64, COMPUTE_32F),
        ("f32, compute 16F", F32, COMPUTE_16F),
        ("compute 12345", F32, 12345),
        ("type 99", 99, COMPUTE_32F),
    ] {
        tell(
            what,
            Gemm { a: (room, t, 64, 0), b: (room + 65536, t, 64, 0), c: (room + 131_072, t, 64, 0), compute, ..good() },
        );
    }
    tell("f16 into f32", Gemm { a: (room, F16, 64, 0), b: (room + 65536, F16, 64, 0), ..good() });
    tell(
        "i8 into i32",
        Gemm {
            a: (room, I8, 64, 0),
            b: (room + 65536, I8, 64, 0),
            c: (room + 131_072, I32, 64, 0),
            compute: COMPUTE_32I,
            ..good()
        },
    );
    tell(
        "f16, lda odd",
        Gemm {
            size: [63, 63, 63],
            a: (room, F16, 63, 0),
            b: (room + 65536, F16, 63, 0),
            c: (room + 131_072, F16, 63, 0),
            ..good()
        },
    );
    tell(
        "f16 at an odd address",
        Gemm { a: (room + 2, F16, 64, 0), b: (room + 65538, F16, 64, 0), c: (room + 131_074, F16, 64, 0), ..good() },
    );
    one = 1.0;
    zero = 0.0;
    p.say("scalars", json!([one, zero]));
    step("", "cublasDestroy_v2", &[handle]);
    step("null", "cublasDestroy_v2", &[0]);
    p.say("memory taken after destroy", before as i64 - p.memory().0 as i64);
}

/// Products of random numbers: how far from exact they are, and whether a second run repeats the bits.
fn cublas_gemm(p: &Probe) {
    let Some(blas) = open(p, "libcublas.so.13") else { return };
    p.context();
    let mut handle = 0u64;
    p.say("create", blas.call("cublasCreate_v2", &[out(&mut handle)]));
    let room = p.alloc(64 << 20);
    let (mut one, mut zero) = (1f32, 0f32);
    for (m, n, k) in
        [(1usize, 1usize, 7usize), (8, 8, 8), (64, 64, 64), (33, 65, 129), (128, 256, 512), (3, 1024, 1024)]
    {
        let mut random = crate::inputs::Random::new(m as u64 * 31 + k as u64);
        let a: Vec<f32> = (0..m * k).map(|_| random.unit()).collect();
        let b: Vec<f32> = (0..k * n).map(|_| random.unit()).collect();
        for (name, t) in [("f32", F32), ("f16", F16)] {
            let narrow = |v: &[f32]| -> (Vec<u8>, Vec<f64>) {
                match t {
                    F32 => {
                        (v.iter().flat_map(|x| x.to_le_bytes()).collect(), v.iter().map(|x| f64::from(*x)).collect())
                    }
                    _ => {
                        let halves: Vec<u16> = v.iter().map(|x| crate::inputs::to_half(*x)).collect();
                        (
                            halves.iter().flat_map(|x| x.to_le_bytes()).collect(),
                            halves.iter().map(|x| crate::inputs::from_half(*x)).collect(),
                        )
                    }
                }
            };
            let ((a_bytes, a_exact), (b_bytes, b_exact)) = (narrow(&a), narrow(&b));
            p.to_device(room, &a_bytes);
            p.to_device(room + (16 << 20), &b_bytes);
            // Column major: c[j·m + i] = Σ a[l·m + i] · b[j·k + l]
            let gemm = Gemm {
                handle,
                op: [0, 0],
                size: [m as i64, n as i64, k as i64],
                alpha: out(&mut one),
                a: (room, t, m as i64, 0),
                b: (room + (16 << 20), t, k as i64, 0),
                beta: out(&mut zero),
                c: (room + (32 << 20), t, m as i64, 0),
                batch: 1,
                compute: COMPUTE_32F,
                algorithm: 99,
            };
            let width = if t == F32 { 4 } else { 2 };
            let status = gemm.run(blas);
            let first = p.read_back(room + (32 << 20), m * n * width);
            gemm.run(blas);
            let second = p.read_back(room + (32 << 20), m * n * width);
            let (mut worst, mut square, mut norm) = (0f64, 0f64, 0f64);
            for j in 0..n {
                for i in 0..m {
                    let exact: f64 = (0..k).map(|l| a_exact[l * m + i] * b_exact[j * k + l]).sum();
                    let scale: f64 = (0..k).map(|l| (a_exact[l * m + i] * b_exact[j * k + l]).abs()).sum();
                    let at = (j * m + i) * width;
                    let got = match t {
                        F32 => f64::from(f32::from_le_bytes([first[at], first[at + 1], first[at + 2], first[at + 3]])),
                        _ => crate::inputs::from_half(u16::from_le_bytes([first[at], first[at + 1]])),
                    };
                    worst = worst.max((got - exact).abs() / scale);
                    square += (got - exact).powi(2);
                    norm += exact.powi(2);
                }
            }
            p.line(json!({"m": m, "n": n, "k": k, "type": name, "status": status, "repeats": first == second,
                "worst_error_over_sum_of_magnitudes": worst, "relative_norm_error": (square / norm).sqrt()}));
        }
    }
}

fn save(p: &Probe, name: &str, bytes: &[u8]) {
    let Some(folder) = std::env::var_os("DRIVER_FACTS_OUT") else { return };
    let written = std::fs::write(std::path::Path::new(&folder).join(name), bytes);
    p.line(json!({"file": name, "bytes": bytes.len(), "written": written.is_ok()}));
}

/// The default generator, seeded as candle does and otherwise, in one call and in several.
fn curand(p: &Probe) {
    let Some(rand) = open(p, "libcurand.so.10") else { return };
    p.context();
    let room = p.alloc(16 << 20);
    let mut version = 0i32;
    p.say("version status", rand.call("curandGetVersion", &[out(&mut version)]));
    p.say("version", version);
    // curandGenerateNormal(generator, out, n, mean: f32, stddev: f32) and its double form.
    type Normal = unsafe extern "C" fn(u64, u64, usize, f32, f32) -> i32;
    type NormalDouble = unsafe extern "C" fn(u64, u64, usize, f64, f64) -> i32;
    let symbol = |name: &str| rand.symbol(name);
    // SAFETY: the signature is that of `curand.h`; a symbol that is not there is null, which is `None`.
    let normal: Option<Normal> = unsafe { std::mem::transmute(symbol("curandGenerateNormal")) };
    // SAFETY: as above.
    let normal_double: Option<NormalDouble> = unsafe { std::mem::transmute(symbol("curandGenerateNormalDouble")) };
    let (Some(normal), Some(normal_double)) = (normal, normal_double) else { return };
    for seed in [299_792_458u64, 0, 1, u64::MAX] {
        let generator = || {
            let mut generator = 0u64;
            let a = rand.call("curandCreateGenerator", &[out(&mut generator), 100]);
            let b = rand.call("curandSetPseudoRandomGeneratorSeed", &[generator, seed]);
            if (a, b) != (0, 0) {
                p.line(json!({"create": a, "seed": b}));
            }
            generator
        };
        let run = |what: &str, width: usize, calls: &[usize]| {
            let generator = generator();
            let mut bytes = Vec::new();
            let mut codes = Vec::new();
            for count in calls {
                p.must("cuMemsetD8Async", &[room, 0xEE, (count * width) as u64, 0]);
                p.sync();
                let n = *count as u64;
                codes.push(match what {
                    "bits" => rand.call("curandGenerate", &[generator, room, n]),
                    "uniform" => rand.call("curandGenerateUniform", &[generator, room, n]),
                    "uniform_double" => rand.call("curandGenerateUniformDouble", &[generator, room, n]),
                    // SAFETY: `room` holds 16 MiB, more than any of the calls below fills.
                    "normal" => unsafe { normal(generator, room, *count, 0.0, 1.0) },
                    // SAFETY: as above.
                    _ => unsafe { normal_double(generator, room, *count, 0.0, 1.0) },
                });
                p.sync();
                bytes.extend(p.read_back(room, count * width));
            }
            rand.call("curandDestroyGenerator", &[generator]);
            let lengths: Vec<String> = calls.iter().map(usize::to_string).collect();
            p.line(json!({"seed": seed, "what": what, "calls": calls, "codes": codes}));
            save(p, &format!("curand-{seed}-{what}-{}.bin", lengths.join("-")), &bytes);
        };
        if seed == 299_792_458 {
            run("bits", 4, &[300_000]);
            run("uniform", 4, &[65536]);
            run("normal", 4, &[65536]);
            run("uniform", 4, &[1000, 24, 7, 1]);
            run("normal", 4, &[1000, 24, 8, 2]);
            run("normal", 4, &[7]);
            run("uniform_double", 8, &[16384]);
            run("normal_double", 8, &[16384]);
        } else {
            run("bits", 4, &[16384]);
            run("normal", 4, &[1024]);
        }
    }
}

fn curand_codes(p: &Probe) {
    let Some(rand) = open(p, "libcurand.so.10") else { return };
    let step = |what: &str, name: &str, args: &[u64]| {
        p.line(json!({"what": what, "call": name, "status": rand.call(name, args)}));
    };
    let mut generator = 0u64;
    p.device();
    step("with no context", "curandCreateGenerator", &[out(&mut generator), 100]);
    p.context();
    let room = p.alloc(4096);
    let before = p.memory().0;
    step("", "curandCreateGenerator", &[out(&mut generator), 100]);
    p.say("memory a generator takes", before as i64 - p.memory().0 as i64);
    step("null", "curandDestroyGenerator", &[0]);
    step("type 12345", "curandCreateGenerator", &[out(&mut generator), 12345]);
    step("", "curandCreateGenerator", &[out(&mut generator), 100]);
    step("0 numbers", "curandGenerateUniform", &[generator, room, 0]);
    step("", "curandGenerateUniform", &[generator, room, 16]);
    p.say("memory after the first call", before as i64 - p.memory().0 as i64);
    step("at half an alignment", "curandGenerateUniform", &[generator, room + 4, 16]);
    step("null generator", "curandGenerateUniform", &[0, room, 16]);
    let stream = p.stream(1);
    step("", "curandSetStream", &[generator, stream]);
    step("", "curandSetGeneratorOffset", &[generator, 5]);
    p.sync();
    step("to null", "curandGenerateUniform", &[generator, 0, 16]);
    p.step("after it", "cuCtxSynchronize", &[]);
}
