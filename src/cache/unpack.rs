//! From packed bytes to those of a NAR, whoever packed them. Memory is bounded whatever a stream asks for.

use std::io::{self, BufRead, Read};

use crate::model::Compression;

/// Memory that zstd may ask for, as a power of two: what kiln and Nix write needs less.
const ZSTD_WINDOW: u32 = 27;

/// Bytes that an xz stream may ask for: the strongest preset needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

/// A reader of what is packed. Several streams in a row are one, as their tools have it.
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
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
        Compression::Xz => {
            let decoder = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, decoder))
        }
    })
}
