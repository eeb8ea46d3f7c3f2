//! The spool's open file, as a disk may give it back: whole frames of anything, then anything.

#![no_main]

use agent::spool::files::{Files as _, Memory};
use agent::spool::{Limits, Origin, Spool, Standing};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    max_bytes: 1 << 20,
    max_refused_bytes: 1 << 20,
    max_waiting_bytes: 1 << 20,
};

fuzz_target!(|data: &[u8]| {
    let mut files = Memory::default();
    files
        .write_new("open.log", &framed(data))
        .expect("memory takes it");
    let origin = Origin {
        cluster: "default".to_owned(),
        node: "n1".to_owned(),
        boot_id: "b1".to_owned(),
    };
    let now = Standing {
        boottime_ns: 1 << 40,
        unix_ms: 1_790_000_000_000,
        ..Standing::default()
    };
    let opened = Spool::over(Box::new(files), true, origin, LIMITS, &now);
    let (spool, _) = opened.expect("whatever is in the file, there is a spool after it");
    spool.seal();
    let mut before = None;
    while let Some(batch) = spool.next() {
        assert!(
            before.replace(batch.key) != Some(batch.key),
            "a batch that was settled comes again"
        );
        let sent = wire::decode(&batch.bytes).expect("what is sent is a batch");
        assert_eq!(sent.sequence, batch.key.sequence);
        spool.settle(batch.key);
    }
});

/// Frames with a right length and checksum, as `spool/entry.rs` writes them: each of a kind, a length and so many bytes
/// of a message. What is left over stands behind them as it is.
fn framed(data: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut rest = data;
    while let [kind @ 1..=3, low, high, after @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (message, after) = after.split_at(length);
        let packed = zstd::bulk::compress(message, 1).expect("memory takes it");
        let body = [&[*kind], &packed[..]].concat();
        file.extend((body.len() as u32).to_le_bytes());
        file.extend(crc32fast::hash(&body).to_le_bytes());
        file.extend(body);
        rest = after;
    }
    file.extend(rest);
    file
}
