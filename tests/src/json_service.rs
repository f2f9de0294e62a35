//! What stand-ins for services of AWS that speak JSON have in common: requests come in, answers go out.

use std::io::{self, BufRead, Write};
use std::net::TcpStream;

use serde_json::Value;

/// A larger request is not read, in bytes.
const REQUEST_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// The operation and the body of one HTTP request; `None` at the end of the connection.
pub(crate) fn read_request(reader: &mut impl BufRead) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut length = 0;
    let mut operation = String::new();
    let mut lines = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() && lines > 0 {
            break;
        }
        lines += 1;
        if let Some((name, value)) = line.split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "x-amz-target" => {
                    let target = value.trim();
                    target
                        .rsplit('.')
                        .next()
                        .unwrap_or_default()
                        .clone_into(&mut operation);
                }
                _ => {}
            }
        }
    }
    if length > REQUEST_LIMIT_BYTES {
        return Err(io::Error::other("the request is too large"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some((operation, body)))
}

/// Answers a request.
pub(crate) fn write_response(mut stream: &TcpStream, status: u16, value: &Value) -> io::Result<()> {
    let body = value.to_string();
    let response = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes())
}
