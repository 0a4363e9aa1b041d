//! The plain version, in double precision: what the fast ones are compared with.
#![cfg(any(test, feature = "cuda"))]

use super::Activation;

#[cfg(test)]
pub(super) fn dense(x: &[f64], weight: &[f64], bias: &[f64], [m, k, n]: [usize; 3], act: Activation) -> Vec<f64> {
    let mut out = Vec::new();
    for row in 0..m {
        for column in 0..n {
            let mut sum = bias[column];
            for inner in 0..k {
                sum += x[row * k + inner] * weight[inner * n + column];
            }
            out.push(activation(sum, act));
        }
    }
    out
}

pub(super) fn activation(x: f64, kind: Activation) -> f64 {
    match kind {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu(slope) => x.max(0.0) + slope * x.min(0.0),
        Activation::Elu(alpha) => x.max(0.0) + alpha * (x.min(0.0).exp() - 1.0),
        Activation::Sigmoid => x.exp() / (x.exp() + 1.0),
        Activation::Tanh => (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
        Activation::Gelu => x * normal_distribution(x),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + activation(inner, Activation::Tanh))
        }
        Activation::Softplus => (1.0 + x.exp()).ln(),
    }
}

/// The distribution function of the standard normal, by integrating its density.
fn normal_distribution(x: f64) -> f64 {
    let steps = 20_000;
    let width = x / f64::from(steps);
    let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let area: f64 = (0..steps).map(|i| density((f64::from(i) + 0.5) * width) * width).sum();
    0.5 + area
}
