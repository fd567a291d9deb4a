//! Bodies in chunks, as HTTP/1.1 sends what it does not know the length of: both directions.

use std::io::{self, BufRead, ErrorKind, Read, Write};

/// Bytes of a line between chunks at most; it holds a size and extensions that nobody uses.
const LINE: u64 = 1 << 10;
/// Lines after the last chunk at most.
const TRAILERS: usize = 32;

/// What comes next in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// A size.
    Size,
    /// So many bytes, then the end of a line.
    Data(u64),
    /// Nothing.
    Done,
}

fn badly_framed() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the chunks of the body are badly framed")
}

fn line(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    from.take(LINE).read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\r\n") {
        Some(text) => Ok(text.to_vec()),
        None if line.ends_with(b"\n") || line.len() as u64 == LINE => Err(badly_framed()),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

fn size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let fits = (1..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| fits);
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or_else(badly_framed)
}

impl Chunked {
    /// Reads bytes of the body; none at its end.
    pub(super) fn read(&mut self, from: &mut impl BufRead, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match *self {
                Self::Done => return Ok(0),
                Self::Size => {
                    let size = size(&line(from)?)?;
                    if size > 0 {
                        *self = Self::Data(size);
                        continue;
                    }
                    for _ in 0..TRAILERS {
                        if line(from)?.is_empty() {
                            *self = Self::Done;
                            return Ok(0);
                        }
                    }
                    return Err(badly_framed());
                }
                Self::Data(left) => {
                    let wanted = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let count = from.read(&mut into[..wanted])?;
                    if count == 0 && wanted > 0 {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    *self = Self::Data(left - count as u64);
                    if left == count as u64 {
                        if !line(from)?.is_empty() {
                            return Err(badly_framed());
                        }
                        *self = Self::Size;
                    }
                    return Ok(count);
                }
            }
        }
    }
}

/// Sends what is written to it in chunks.
pub(super) struct Chunks<W: Write> {
    out: W,
    piece: Vec<u8>,
    /// Bytes of the body so far.
    pub(super) sent: u64,
}

/// Bytes of a chunk that is sent.
const PIECE: usize = 32 << 10;

impl<W: Write> Chunks<W> {
    /// Chunks on `out`.
    pub(super) fn new(out: W) -> Self {
        Self { out, piece: Vec::with_capacity(PIECE), sent: 0 }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let mut chunk = format!("{:x}\r\n", self.piece.len()).into_bytes();
        chunk.extend_from_slice(&self.piece);
        chunk.extend_from_slice(b"\r\n");
        self.out.write_all(&chunk)?;
        self.sent += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }

    /// The end of the body. Without it the client knows that something is missing.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.send()?;
        self.out.write_all(b"0\r\n\r\n")
    }
}

impl<W: Write> Write for Chunks<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..count]);
        if self.piece.len() == PIECE {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> io::Result<(Vec<u8>, &[u8])> {
        let (mut state, mut body, mut piece) = (Chunked::Size, Vec::new(), [0; 3]);
        loop {
            match state.read(&mut bytes, &mut piece)? {
                0 => return Ok((body, bytes)),
                count => body.extend_from_slice(&piece[..count]),
            }
        }
    }

    #[test]
    fn chunks_are_joined_and_what_follows_is_left() {
        assert_eq!(
            read(b"5\r\nhello\r\n0B ;x=1\r\n wide world\r\n0\r\nT: x\r\n\r\nGET").unwrap(),
            (b"hello wide world".to_vec(), &b"GET"[..])
        );
    }

    #[test]
    fn what_is_badly_framed_or_ends_early_is_an_error() {
        let good = b"5\r\nhello\r\n0\r\n\r\n";
        for end in 0..good.len() {
            assert_eq!(read(&good[..end]).unwrap_err().kind(), ErrorKind::UnexpectedEof, "{end}");
        }
        for bad in
            ["x\r\n", "-1\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "\r\n", "ffffffffffffffff\r\n", "0x5\r\nhello\r\n"]
        {
            assert_eq!(read(bad.as_bytes()).unwrap_err().kind(), ErrorKind::InvalidData, "{bad}");
        }
        assert_eq!(read(&[b'1'; 4096]).unwrap_err().kind(), ErrorKind::InvalidData);
        let endless = [b"0\r\n".to_vec(), b"a: b\r\n".repeat(100)].concat();
        assert_eq!(read(&endless).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn what_is_sent_in_chunks_is_read_back() {
        let body: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        let mut wire = Vec::new();
        let mut chunks = Chunks::new(&mut wire);
        chunks.write_all(&body).unwrap();
        chunks.finish().unwrap();
        assert_eq!(chunks.sent, 100_000);
        assert_eq!(read(&wire).unwrap(), (body, &b""[..]));
    }
}
