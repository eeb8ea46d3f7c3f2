//! Sealed batches by their files' names: `{stream id}.{sequence}.batch`. Pure.

use std::fmt;
use std::str::FromStr;

use wire::StreamId;

use super::files::Found;

/// What names a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its stream.
    pub stream_id: StreamId,
    /// Its number there, from 1.
    pub sequence: u64,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:012}.batch", self.stream_id, self.sequence)
    }
}

impl FromStr for Key {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let mut parts = name.split('.');
        let (Some(stream_id), Some(sequence), Some("batch"), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let key = Self {
            stream_id: stream_id.parse().map_err(|_| ())?,
            sequence: sequence.parse().map_err(|_| ())?,
        };
        // One name for one batch.
        if key.sequence > 0 && key.to_string() == name {
            Ok(key)
        } else {
            Err(())
        }
    }
}

/// A batch that waits to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) key: Key,
    pub(super) bytes: u64,
    pub(super) sealed_unix_ms: i64,
}

/// The batches among these files in the order in which they are sent: what other streams left, then `own`.
pub(super) fn in_order(found: &[Found], own: StreamId) -> Vec<Sealed> {
    let sealed = found.iter().filter_map(|file| {
        Some(Sealed {
            key: file.name.parse().ok()?,
            bytes: file.bytes,
            sealed_unix_ms: file.modified_unix_ms,
        })
    });
    let mut sealed: Vec<Sealed> = sealed.collect();
    sealed.sort_by_key(|one| (one.key.stream_id == own, one.key));
    sealed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_batch_and_nothing_else() {
        let key = Key {
            stream_id: StreamId([0xa5; 16]),
            sequence: 42,
        };
        let name = format!("{}.000000000042.batch", "a5".repeat(16));
        assert_eq!((key.to_string(), name.parse()), (name.clone(), Ok(key)));
        let upper = name.replacen("a5", "A5", 1);
        let number = |number: &str| name.replace("000000000042", number);
        for other in [
            &*upper,
            &number("42"),
            &number("000000000000"),
            "open.log",
            "idle.json",
        ] {
            assert_eq!(other.parse::<Key>(), Err(()), "{other}");
        }
        assert!(name.replace(".batch", ".batch.new").parse::<Key>().is_err());
    }
}
