//! The kernels that a server launches are ours where there are some.

use super::{counted, ends_well, serving};
use tests::sandbox::Sandbox;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embeddings_dense_layers_and_the_check_of_outputs_are_computed_by_our_kernels() {
    let mut sandbox = Sandbox::new().unwrap();
    sandbox.publish("recommendation", "v1.0.0").unwrap();
    let values = sandbox.values("recommendation", "v1.0.0", "serving: {maxBatchSize: 2}\n");
    sandbox.kubelet.swap(&[("values.yaml", &values)]).unwrap();
    let process = serving(&sandbox, "");
    process.until(|model| model["phase"] == "Healthy").await;
    ends_well(process, &sandbox);
    let counts = counted(&sandbox).unwrap();
    let kernels: Vec<&String> = counts["kernels"].as_object().unwrap().keys().collect();
    // By their whole names: candle has kernels whose names begin like these.
    let gathers = ["gather_16", "gather_8", "gather_4", "gather_2", "gather_1"];
    for ours in [&gathers[..], &["relu_f32"], &["non_finite_f32"]] {
        assert!(kernels.iter().any(|kernel| ours.contains(&kernel.as_str())), "{ours:?}: {kernels:?}");
    }
}
