//! Orders: what the agent tells the executor.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::{CacheAnswer, Plan, Resume, RoleCredentials};

/// The largest order accepted, in bytes of JSON.
const ORDER_LIMIT_BYTES: usize = 32 * 1024 * 1024;

/// One message from the agent to the executor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    /// Run this build. The executor accepts one plan in its life.
    Start(Box<Plan>),
    /// The answer to [`Event::CacheWanted`](super::Event::CacheWanted).
    Cache(CacheAnswer),
    /// End the build as `STOPPED`: no further command is started, running ones are ended.
    Stop,
    /// Go on after a pause. An order for a pause that is over changes nothing.
    Resume(Resume),
    /// Hand these credentials out from now on, in place of those of the plan.
    Renew(Box<RoleCredentials>),
}

/// Why an order could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The connection failed.
    #[error("cannot use the control connection")]
    Connection(#[source] io::Error),
    /// The order is larger than both sides agreed on.
    #[error("an order of {size_bytes} bytes is larger than the limit of {ORDER_LIMIT_BYTES}")]
    TooLarge {
        /// Size of the order, in bytes of JSON.
        size_bytes: usize,
    },
    /// The order is not the JSON of an [`Order`].
    #[error("cannot understand an order")]
    Malformed(#[source] serde_json::Error),
}

/// Writes one order: its length as 4 little-endian bytes, then its JSON.
pub fn write_order(stream: &mut impl Write, order: &Order) -> Result<(), OrderError> {
    let json = serde_json::to_vec(order).map_err(OrderError::Malformed)?;
    let too_large = OrderError::TooLarge {
        size_bytes: json.len(),
    };
    let length = u32::try_from(json.len())
        .ok()
        .filter(|_| json.len() <= ORDER_LIMIT_BYTES)
        .ok_or(too_large)?;
    let mut message = length.to_le_bytes().to_vec();
    message.extend_from_slice(&json);
    stream
        .write_all(&message)
        .and_then(|()| stream.flush())
        .map_err(OrderError::Connection)
}

/// Takes the first order off `bytes`, as [`write_order`] writes it: the order and its whole size.
/// `None` while it has not arrived whole.
pub fn decode_order(bytes: &[u8]) -> Result<Option<(Order, usize)>, OrderError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let size_bytes = u32::from_le_bytes(*length) as usize;
    if size_bytes > ORDER_LIMIT_BYTES {
        return Err(OrderError::TooLarge { size_bytes });
    }
    let Some(json) = rest.get(..size_bytes) else {
        return Ok(None);
    };
    let order = serde_json::from_slice(json).map_err(OrderError::Malformed)?;
    Ok(Some((order, length.len() + size_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_written_once_it_is_whole() {
        let mut bytes = Vec::new();
        write_order(&mut bytes, &Order::Stop).unwrap();
        for end in 0..bytes.len() {
            assert!(decode_order(&bytes[..end]).unwrap().is_none(), "{end}");
        }
        let size = bytes.len();
        bytes.push(7);
        assert_eq!(decode_order(&bytes).unwrap(), Some((Order::Stop, size)));
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_is_allocated() {
        let bytes = u32::MAX.to_le_bytes();
        assert!(matches!(
            decode_order(&bytes),
            Err(OrderError::TooLarge { .. })
        ));
    }

    #[test]
    fn what_is_not_an_order_is_refused() {
        let bytes = [2, 0, 0, 0, b'{', b'}'];
        assert!(matches!(
            decode_order(&bytes),
            Err(OrderError::Malformed(_))
        ));
    }
}
