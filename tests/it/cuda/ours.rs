//! What a server does on the device, as the stand-in counts it: the kernels that it launches are ours where there are some,
//! and a request brings nothing there but its rows.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use serde_json::{Value, json};
use tests::sandbox::Sandbox;

use super::faults::SMALL;
use super::{MODEL, asked_for, counted, ends_well, sandbox, serving};
use crate::child::Process;

/// A server of the model with embeddings.
async fn recommending() -> (Sandbox, Process) {
    let mut sandbox = Sandbox::new().unwrap();
    sandbox.publish("recommendation", "v1.0.0").unwrap();
    let values = sandbox.values("recommendation", "v1.0.0", "serving: {maxBatchSize: 2}\n");
    sandbox.kubelet.swap(&[("values.yaml", &values)]).unwrap();
    let process = serving(&sandbox, "");
    process.until(|model| model["phase"] == "Healthy").await;
    (sandbox, process)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_number_out_of_range_never_gets_to_the_device() {
    let (sandbox, process) = recommending().await;
    let ask = async |genre: i64| {
        let of = |name: &str, id: i64| json!({"name": name, "datatype": "INT64", "shape": [1, 1], "data": [id]});
        let inputs =
            [("movie_id", 1), ("genre_id", genre), ("director_id", 0), ("distributor_id", 0), ("decade_id", 0)];
        let body = json!({ "inputs": inputs.map(|(name, id)| of(name, id)) }).to_string();
        let request = reqwest::Client::new().post(format!("{}/v2/models/recommendation/infer", process.http));
        let response = request.body(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    // The table of genres has 13 rows.
    for genre in [13, -14, i64::MAX] {
        let (code, body) = ask(genre).await;
        assert!(code == 400 && body.contains("genre_id") && body.contains("-13..13"), "{code} {body}");
    }
    assert_eq!(ask(12).await.0, 200);
    ends_well(process, &sandbox);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embeddings_dense_layers_and_the_check_of_outputs_are_computed_by_our_kernels() {
    let (sandbox, process) = recommending().await;
    ends_well(process, &sandbox);
    let counts = counted(&sandbox).unwrap();
    let kernels: Vec<&String> = counts["kernels"].as_object().unwrap().keys().collect();
    // By their whole names: candle has kernels whose names begin like these.
    let gathers = ["gather_16", "gather_8", "gather_4", "gather_2", "gather_1"];
    for ours in [&gathers[..], &["relu_f32"], &["non_finite_f32"]] {
        assert!(kernels.iter().any(|kernel| ours.contains(&kernel.as_str())), "{ours:?}: {kernels:?}");
    }
}

/// What a server of v1.1.0 did until its end, whose callers sent these numbers of rows.
async fn done_for(requests: &[usize]) -> Value {
    let sandbox = sandbox("v1.1.0", SMALL).unwrap();
    let process = serving(&sandbox, "");
    process.until(|model| model["phase"] == "Healthy").await;
    for rows in requests {
        assert_eq!(asked_for(&process.http, *rows).await.0, 200);
    }
    ends_well(process, &sandbox);
    counted(&sandbox).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_copies_its_rows_in_once_and_loads_no_module() {
    let (idle, one, two) = (done_for(&[]).await, done_for(&[1]).await, done_for(&[1, 2]).await);
    let more = |than: &Value, counts: &Value, of: &str| {
        let number = |counts: &Value| counts.pointer(of).and_then(Value::as_u64).unwrap();
        number(counts) - number(than)
    };
    for (than, counts, rows) in [(&idle, &one, 1_u64), (&one, &two, 2)] {
        let more = |of: &str| more(than, counts, of);
        println!(
            "{MODEL} v1.1.0, {rows} rows: launches={} driver_calls={} allocations={} thread_instructions={} bytes_in={} \
             bytes_out={}",
            more("/launches"),
            more("/driver_calls"),
            more("/allocations/times"),
            more("/thread_instructions"),
            more("/copies_to_device/bytes"),
            more("/copies_to_host/bytes")
        );
        assert_eq!(more("/modules/times"), 0, "all was loaded in the warm-up");
        assert_eq!(more("/pinned/times"), 0, "what copies go through is there from the start");
        // Nine floats a row. Where there are several, an op of candle's is also told how one tensor lies: three sizes, three
        // strides.
        let layouts = u64::from(rows > 1);
        let copied = (more("/copies_to_device/times"), more("/copies_to_device/bytes"));
        assert_eq!(copied, (1 + layouts, rows * 9 * 4 + layouts * 6 * 8));
        assert!(more("/launches") > 0);
    }
}
