//! Orders: what the agent tells the executor.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::Plan;

/// The largest order accepted, in bytes of JSON.
const ORDER_LIMIT_BYTES: usize = 32 * 1024 * 1024;

/// One message from the agent to the executor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    /// Run this build. The executor accepts one plan in its life.
    Start(Box<Plan>),
    /// End the build as `STOPPED`: no further command is started, running ones are ended.
    Stop,
}

/// Why an order could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The other side closed the connection between two orders.
    #[error("the control connection was closed")]
    Closed,
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

/// Reads one order, as [`write_order`] writes it. Blocks until it is there.
pub fn read_order(stream: &mut impl Read) -> Result<Order, OrderError> {
    let mut length = [0; 4];
    stream
        .read_exact(&mut length)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => OrderError::Closed,
            _ => OrderError::Connection(error),
        })?;
    let size_bytes = u32::from_le_bytes(length) as usize;
    if size_bytes > ORDER_LIMIT_BYTES {
        return Err(OrderError::TooLarge { size_bytes });
    }
    let mut json = vec![0; size_bytes];
    stream
        .read_exact(&mut json)
        .map_err(OrderError::Connection)?;
    serde_json::from_slice(&json).map_err(OrderError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        write_order(&mut bytes, &Order::Stop).unwrap();
        assert_eq!(read_order(&mut bytes.as_slice()).unwrap(), Order::Stop);
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_is_allocated() {
        let bytes = u32::MAX.to_le_bytes();
        assert!(matches!(
            read_order(&mut bytes.as_slice()),
            Err(OrderError::TooLarge { .. })
        ));
    }

    #[test]
    fn the_end_between_two_orders_is_told_apart_from_a_cut_order() {
        assert!(matches!(
            read_order(&mut [].as_slice()),
            Err(OrderError::Closed)
        ));
        assert!(matches!(
            read_order(&mut [9, 0, 0, 0, 1].as_slice()),
            Err(OrderError::Connection(_))
        ));
    }
}
