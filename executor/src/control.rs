//! The control socket: orders of the agent.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use executor::protocol::{Order, OrderError, decode_order};

/// More connections at a time are not needed by any agent.
const CONNECTION_LIMIT: usize = 16;

/// Listens for orders. Nothing here waits.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
    connections: Vec<Connection>,
}

impl Control {
    /// Takes a socket that listens.
    pub(crate) fn new(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            connections: Vec::new(),
        })
    }

    /// What to wait for.
    pub(crate) fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let connections = self.connections.iter();
        std::iter::once(self.listener.as_fd()).chain(connections.map(|one| one.stream.as_fd()))
    }

    /// Takes what has arrived. A connection that brings something else than orders is closed.
    pub(crate) fn take_orders(&mut self) -> Vec<Result<Order, OrderError>> {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.connections.len() < CONNECTION_LIMIT && stream.set_nonblocking(true).is_ok() {
                self.connections.push(Connection {
                    stream,
                    received: Vec::new(),
                });
            }
        }
        let mut orders = Vec::new();
        self.connections
            .retain_mut(|connection| connection.take_orders(&mut orders));
        orders
    }
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Connection {
    /// Whether the connection goes on.
    fn take_orders(&mut self, orders: &mut Vec<Result<Order, OrderError>>) -> bool {
        let mut piece = vec![0; 64 * 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return false,
                Ok(read) => self.received.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
            loop {
                match decode_order(&self.received) {
                    Ok(Some((order, size))) => {
                        self.received.drain(..size);
                        orders.push(Ok(order));
                    }
                    Ok(None) => break,
                    Err(error) => {
                        orders.push(Err(error));
                        return false;
                    }
                }
            }
        }
    }
}
