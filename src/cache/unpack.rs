//! From packed bytes to those of a NAR, whoever packed them. Memory is bounded whatever a stream asks for.

use std::io::{self, BufRead, Read};

use crate::archive::{Packing, Streams};
use crate::model::Compression;

/// Memory that zstd may ask for, as a power of two: what kiln and Nix write needs less.
const ZSTD_WINDOW: u32 = 27;

/// Bytes that an xz stream may ask for: the strongest preset needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

/// A reader of what is packed. Several streams in a row are one, and zeros behind them are padding, as their tools have it.
///
/// # Errors
/// If there is no memory for it.
pub(super) fn unpacked<'a>(packed: impl BufRead + 'a, compression: Compression) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(packed),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
        Compression::Gzip => Box::new(Streams::new(Packing::Gzip, packed)?),
        Compression::Bzip2 => Box::new(Streams::new(Packing::Bzip2, packed)?),
        Compression::Xz => Box::new(Streams::new(Packing::Xz { memory: XZ_MEMORY }, packed)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn zeros_behind_a_packed_nar_are_padding() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut bz2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        gz.write_all(b"content").unwrap();
        bz2.write_all(b"content").unwrap();
        xz.write_all(b"content").unwrap();
        let packed = [
            (Compression::Gzip, gz.finish().unwrap()),
            (Compression::Bzip2, bz2.finish().unwrap()),
            (Compression::Xz, xz.finish().unwrap()),
        ];
        for (compression, mut bytes) in packed {
            bytes.extend([0; 101]);
            let mut content = String::new();
            let result = unpacked(bytes.as_slice(), compression).unwrap().read_to_string(&mut content);
            assert!(result.is_ok() && content == "content", "{compression:?}: {result:?}");
        }
    }
}
