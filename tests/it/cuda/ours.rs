//! The kernels that a server launches are ours where there are some.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use super::{counted, reported, serving};
use tests::sandbox::Sandbox;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embeddings_dense_layers_and_the_check_of_outputs_are_computed_by_our_kernels() {
    let mut sandbox = Sandbox::new().unwrap();
    sandbox.publish("recommendation", "v1.0.0").unwrap();
    let values = sandbox.values("recommendation", "v1.0.0", "serving: {maxBatchSize: 2}\n");
    sandbox.kubelet.swap(&[("values.yaml", &values)]).unwrap();
    let process = serving(&sandbox, "");
    process.until(|model| model["phase"] == "Healthy").await;
    let (status, said) = process.terminate();
    assert_eq!((status.code(), reported(&sandbox)), (Some(0), vec![]), "{said}");
    let counts = counted(&sandbox).unwrap();
    let kernels: Vec<&String> = counts["kernels"].as_object().unwrap().keys().collect();
    for ours in ["gather_", "relu_f32", "non_finite_f32"] {
        assert!(kernels.iter().any(|kernel| kernel.starts_with(ours)), "{ours}: {kernels:?}");
    }
}
