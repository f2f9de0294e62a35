//! What goes to the client of a shell.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Kinds of frames, as bytes.
const OUTPUT: u8 = 0;
const ENDED: u8 = 1;
const LOST: u8 = 2;

/// Longest frame that is taken, in bytes: far more than an engine gives at once.
const LONGEST: u32 = 1024 * 1024;

/// One piece of what the shell says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// For the screen.
    Output(Vec<u8>),
    /// The shell has ended, with this exit code.
    Ended(u8),
    /// The build has ended, and the shell with it.
    Lost,
}

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection broke.
    #[error("the connection with the server broke off")]
    Broken(#[from] std::io::Error),
    /// What came is no frame.
    #[error("the server does not speak the protocol of shells")]
    Malformed,
}

impl Frame {
    /// The frame as bytes: kind, length in 4 big-endian bytes, content.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, content) = match self {
            Self::Output(bytes) => (OUTPUT, bytes.as_slice()),
            Self::Ended(code) => (ENDED, std::slice::from_ref(code)),
            Self::Lost => (LOST, &[][..]),
        };
        // A longer piece becomes several frames; an empty one is still one.
        let mut encoded = Vec::with_capacity(content.len() + 5);
        let mut rest = content;
        loop {
            let (piece, later) = rest.split_at(rest.len().min(LONGEST as usize));
            encoded.push(kind);
            let length = u32::try_from(piece.len()).unwrap_or(LONGEST);
            encoded.extend_from_slice(&length.to_be_bytes());
            encoded.extend_from_slice(piece);
            rest = later;
            if rest.is_empty() {
                return encoded;
            }
        }
    }
}

/// Reads frames.
#[derive(Debug)]
pub struct Frames<R>(R);

impl<R: AsyncRead + Unpin> Frames<R> {
    /// Of what comes from a server.
    pub fn new(reader: R) -> Self {
        Self(reader)
    }

    /// The next frame. Called off, what has come of it is lost.
    pub async fn next(&mut self) -> Result<Frame, FrameError> {
        let kind = self.0.read_u8().await?;
        let length = self.0.read_u32().await?;
        if length > LONGEST {
            return Err(FrameError::Malformed);
        }
        let mut content = vec![0; length as usize];
        self.0.read_exact(&mut content).await?;
        match (kind, content.as_slice()) {
            (OUTPUT, _) => Ok(Frame::Output(content)),
            (ENDED, [code]) => Ok(Frame::Ended(*code)),
            (LOST, []) => Ok(Frame::Lost),
            _ => Err(FrameError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_read_as_they_were_written() {
        let frames = [
            Frame::Output(b"hello".to_vec()),
            Frame::Output(Vec::new()),
            Frame::Ended(7),
            Frame::Lost,
        ];
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        let mut read = Frames::new(bytes.as_slice());
        for frame in frames {
            assert_eq!(read.next().await.unwrap(), frame);
        }
        assert!(matches!(read.next().await, Err(FrameError::Broken(_))));
        let long = Frame::Output(vec![7; 3 * 1024 * 1024]).encode();
        let mut read = Frames::new(long.as_slice());
        for _ in 0..3 {
            assert_eq!(
                read.next().await.unwrap(),
                Frame::Output(vec![7; 1024 * 1024])
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused() {
        for bytes in [
            &[9, 0, 0, 0, 0][..],
            &[0, 255, 255, 255, 255],
            &[1, 0, 0, 0, 2, 0, 0],
            &[2, 0, 0, 0, 1, 0],
        ] {
            let error = Frames::new(bytes).next().await.unwrap_err();
            assert!(matches!(error, FrameError::Malformed), "{bytes:?}");
        }
    }
}
