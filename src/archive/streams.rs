//! Compressed streams in a row, as their own tools read them: one stream behind the other is one content, and zeros behind the last one are
//! padding, of tapes, disk images and some packers.
//!
//! Behind gzip and bzip2 anything may follow that begins no further stream: `gzip` and `bzip2` leave it aside with a warning, and so does
//! everybody who reads through them. Behind xz and lzma, as for `xz`, nothing else may.
//!
//! Not here: zstd, whose library does all of that.

use std::io::{self, BufRead, Chain, Cursor, ErrorKind, Read};

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz, whose streams say themselves how much memory they need.
    Xz {
        /// How much they may have, in bytes.
        memory: u64,
    },
    /// What xz was before; only ever one stream.
    Lzma {
        /// How much memory it may have, in bytes.
        memory: u64,
    },
}

impl Packing {
    /// What a further stream begins with.
    fn magic(self) -> &'static [u8] {
        match self {
            Self::Gzip => b"\x1f\x8b",
            Self::Bzip2 => b"BZh",
            Self::Xz { .. } => b"\xfd7zXZ\0",
            Self::Lzma { .. } => b"",
        }
    }
}

/// What the streams hold, one after the other.
pub struct Streams<R> {
    packing: Packing,
    /// None behind the last one.
    current: Option<Decoder<R>>,
}

/// What was read to see whether a stream follows, and the rest.
type Source<R> = Chain<Cursor<Vec<u8>>, R>;

enum Decoder<R> {
    Gzip(flate2::bufread::GzDecoder<Source<R>>),
    Bzip2(bzip2::bufread::BzDecoder<Source<R>>),
    Xz(liblzma::bufread::XzDecoder<Source<R>>),
}

impl<R: BufRead> Decoder<R> {
    fn new(packing: Packing, head: Vec<u8>, rest: R) -> io::Result<Self> {
        let source = Cursor::new(head).chain(rest);
        Ok(match packing {
            Packing::Gzip => Self::Gzip(flate2::bufread::GzDecoder::new(source)),
            Packing::Bzip2 => Self::Bzip2(bzip2::bufread::BzDecoder::new(source)),
            Packing::Xz { memory } => {
                let stream = liblzma::stream::Stream::new_stream_decoder(memory, 0)?;
                Self::Xz(liblzma::bufread::XzDecoder::new_stream(source, stream))
            }
            Packing::Lzma { memory } => {
                let stream = liblzma::stream::Stream::new_lzma_decoder(memory)?;
                Self::Xz(liblzma::bufread::XzDecoder::new_stream(source, stream))
            }
        })
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Bzip2(decoder) => decoder.read(buffer),
            Self::Xz(decoder) => decoder.read(buffer),
        }
    }

    fn into_rest(self) -> Source<R> {
        match self {
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Bzip2(decoder) => decoder.into_inner(),
            Self::Xz(decoder) => decoder.into_inner(),
        }
    }
}

impl<R: BufRead> Streams<R> {
    /// The content of the streams in `source`, the first of which begins at once.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new(packing: Packing, source: R) -> io::Result<Self> {
        Ok(Self { packing, current: Some(Decoder::new(packing, Vec::new(), source)?) })
    }

    /// The stream behind one that has ended, if there is one.
    fn next(&self, mut ended: Source<R>) -> io::Result<Option<Decoder<R>>> {
        skip_zeros(&mut ended)?;
        let magic = self.packing.magic();
        let mut head = Vec::new();
        ended.by_ref().take(magic.len().max(1) as u64).read_to_end(&mut head)?;
        match self.packing {
            _ if head.is_empty() => Ok(None),
            Packing::Gzip | Packing::Bzip2 | Packing::Xz { .. } if head == magic => {
                Decoder::new(self.packing, head, ended.into_inner().1).map(Some)
            }
            Packing::Gzip | Packing::Bzip2 => Ok(None),
            Packing::Xz { .. } | Packing::Lzma { .. } => {
                Err(io::Error::new(ErrorKind::InvalidData, "something else than zeros follows its end"))
            }
        }
    }
}

impl<R: BufRead> Read for Streams<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.current {
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if let Some(ended) = self.current.take() {
                self.current = self.next(ended.into_rest())?;
            }
        }
        Ok(0)
    }
}

fn skip_zeros(source: &mut impl BufRead) -> io::Result<()> {
    loop {
        let there = match source.fill_buf() {
            Ok(there) => there,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let zeros = there.iter().take_while(|byte| **byte == 0).count();
        let is_end = zeros < there.len() || there.is_empty();
        source.consume(zeros);
        if is_end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Write};

    const MEMORY: u64 = 64 << 20;

    fn packed(content: &[u8]) -> [(Packing, Vec<u8>); 3] {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut bz2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        gz.write_all(content).unwrap();
        bz2.write_all(content).unwrap();
        xz.write_all(content).unwrap();
        [
            (Packing::Gzip, gz.finish().unwrap()),
            (Packing::Bzip2, bz2.finish().unwrap()),
            (Packing::Xz { memory: MEMORY }, xz.finish().unwrap()),
        ]
    }

    /// Reads through a buffer of three bytes, so that whatever is looked for lies across its ends.
    fn read(packing: Packing, streams: &[u8]) -> io::Result<String> {
        let mut content = String::new();
        Streams::new(packing, BufReader::with_capacity(3, streams))?.read_to_string(&mut content)?;
        Ok(content)
    }

    #[test]
    fn streams_in_a_row_are_one_and_zeros_are_padding() {
        for ((packing, one), (_, two)) in packed(b"one").into_iter().zip(packed(b"two")) {
            for zeros in [0, 1, 4, 512, 8191] {
                let zeros = vec![0; zeros];
                assert_eq!(read(packing, &[&one[..], &zeros].concat()).unwrap(), "one", "{packing:?}");
                assert_eq!(read(packing, &[&one[..], &zeros, &two, &zeros].concat()).unwrap(), "onetwo", "{packing:?}");
            }
        }
    }

    #[test]
    fn what_else_follows_is_left_aside_where_the_tools_do() {
        for (packing, one) in packed(b"one") {
            let result = read(packing, &[&one[..], b"\r\n"].concat());
            if matches!(packing, Packing::Xz { .. }) {
                assert!(result.unwrap_err().to_string().contains("follows its end"));
            } else {
                assert_eq!(result.unwrap(), "one", "{packing:?}");
            }
        }
    }

    #[test]
    fn a_stream_that_is_cut_off_is_an_error_wherever_it_ends() {
        for (packing, one) in packed(b"some content") {
            for end in 0..one.len() {
                assert!(read(packing, &one[..end]).is_err(), "{packing:?} {end}");
                // A further one, once its beginning says that it is one.
                let second = [&one[..], &one[..end]].concat();
                assert!(end < 6 || read(packing, &second).is_err(), "{packing:?} and {end}");
            }
        }
    }
}
