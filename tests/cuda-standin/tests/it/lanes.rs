//! Recorded shuffles, votes and matches of one warp, half of them with lanes missing.

use std::collections::HashMap;
use std::path::Path;

use cuda_standin::report::Kind;
use serde_json::Value;

use super::device::{Device, HEAD};

/// The kernel that recorded an instruction: lanes outside `active` skip it.
fn kernel(body: &str) -> String {
    format!(
        "{HEAD}.visible .entry lane(.param .u64 pa, .param .u64 pb, .param .u64 pk, .param .u64 pmembers, .param .u64 pactive, .param .u64 pd)
        {{
        .reg .pred p, q, away; .reg .b32 a, b, k, members, d, f, lane, t; .reg .b64 at, w;
        mov.u32 lane, %laneid;
        ld.param.u32 k, [pk]; ld.param.u32 members, [pmembers]; ld.param.u32 t, [pactive];
        mul.wide.u32 w, lane, 4;
        ld.param.u64 at, [pa]; add.u64 at, at, w; ld.global.b32 a, [at];
        ld.param.u64 at, [pb]; add.u64 at, at, w; ld.global.b32 b, [at];
        mov.b32 d, 0xdeadbeef; mov.b32 f, 0xdeadbeef;
        shr.u32 t, t, lane; and.b32 t, t, 1; setp.eq.u32 away, t, 0;
        @away bra join;
        {body}
        join:
        ld.param.u64 at, [pd]; mul.wide.u32 w, lane, 8; add.u64 at, at, w; st.global.v2.b32 [at], {{d, f}};
        ret;
        }}\n"
    )
}

fn words(value: &Value) -> Vec<u32> {
    match value.as_array() {
        Some(values) => values.iter().map(|it| u32::try_from(it.as_u64().unwrap()).unwrap()).collect(),
        None => vec![0; 32],
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|it| it.to_le_bytes()).collect()
}

#[test]
fn lanes_exchange_values_as_recorded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded/lanes.jsonl.zst");
    let text = String::from_utf8(zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap()).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bodies: HashMap<&str, &str> =
        rows.iter().filter_map(|row| Some((row["op"].as_str()?, row["ptx"].as_str()?))).collect();
    let (mut compared, mut reported) = (0, 0);
    for row in rows.iter().filter(|row| row.get("ptx").is_none()) {
        let operation = row["op"].as_str().unwrap();
        let mut device = Device::new();
        let module = device.load(&kernel(bodies[operation]));
        let (a, b) = (device.upload(&bytes(&words(&row["a"]))), device.upload(&bytes(&words(&row["b"]))));
        let result = device.alloc(256);
        let number = |name: &str| row[name].as_u64().unwrap();
        let (members, active) = (number("members"), number("active"));
        let parameters = [a, b, number("k"), members, active, result];
        device.launch(&module, "lane", (1, 32, 0), &parameters).unwrap();
        let found = device.download(result, 256);
        let word = |index: usize| u32::from_le_bytes(found[index * 4..][..4].try_into().unwrap());
        // What a lane gets from one that takes no part is nowhere promised; that it does so is reported.
        let undefined = device.reports.found().iter().any(|(it, _)| it.kind == Kind::InactiveLane);
        assert!(device.reports.found().iter().all(|(it, _)| it.kind == Kind::InactiveLane), "{row}");
        reported += usize::from(undefined);
        if undefined {
            continue;
        }
        compared += 1;
        let (d, f) = (words(&row["d"]), words(&row["f"]));
        for lane in 0..32 {
            assert_eq!((word(lane * 2), word(lane * 2 + 1)), (d[lane], f[lane]), "lane {lane} of {row}");
        }
    }
    assert_eq!((compared, reported), (1253, 67), "every row is looked at");
}
