//! The name of one sender's stream of batches.

use std::fmt;
use std::str::FromStr;

/// 16 random bytes, minted with the spool that they name; written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub [u8; 16]);

/// Text or bytes that are no stream id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stream id is 16 bytes (32 hexadecimal digits)")]
pub struct InvalidStreamId;

impl StreamId {
    /// As the batch carries it.
    #[must_use]
    pub fn to_vec(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl TryFrom<&[u8]> for StreamId {
    type Error = InvalidStreamId;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidStreamId> {
        bytes.try_into().map(Self).map_err(|_| InvalidStreamId)
    }
}

impl FromStr for StreamId {
    type Err = InvalidStreamId;

    fn from_str(text: &str) -> Result<Self, InvalidStreamId> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidStreamId);
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = str::from_utf8(pair).map_err(|_| InvalidStreamId)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidStreamId)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_round_trip() {
        let id = StreamId([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(StreamId::try_from(id.to_vec().as_slice()), Ok(id));
        assert_eq!("xyz".parse::<StreamId>(), Err(InvalidStreamId));
        assert_eq!("+b".repeat(16).parse::<StreamId>(), Err(InvalidStreamId));
        assert!(StreamId::try_from([1_u8, 2].as_slice()).is_err());
    }
}
