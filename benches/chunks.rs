//! Is chunked storage worth it? Two versions of an object, each as one packed NAR, and as content-defined chunks that both share.
//!
//! `cargo run --release --example chunks -- OLD NEW [AVERAGE_KIB [LEVEL]]`: two trees; prints a row of a Markdown table.
//!
//! The chunks are FastCDC's (Xia et al., USENIX ATC 2016): a gear hash over the NAR, two masks around the average, at least a quarter and at most
//! four times of it. Each chunk is packed by itself, once for both versions, and costs 40 bytes of index for each use.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::HashSet;
use std::path::Path;

use kiln::archive::dump;
use kiln::model::Sha256;

/// Bytes that an index needs for a chunk: its hash and its length.
const INDEX: usize = 40;

fn gear() -> [u64; 256] {
    // splitmix64: any fixed random table does.
    let mut state = 0u64;
    std::array::from_fn(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// How long the first chunk of `bytes` is.
fn cut(bytes: &[u8], gear: &[u64; 256], average: usize) -> usize {
    let (least, most) = (average / 4, (average * 4).min(bytes.len()));
    let bits = average.trailing_zeros();
    // The gear hash shifts left: its high bits depend on the last 64 bytes.
    let (hard, easy) = (u64::MAX << (64 - bits - 2), u64::MAX << (64 - bits + 2));
    let mut hash = 0u64;
    for (at, byte) in bytes.iter().enumerate().take(most).skip(least) {
        hash = (hash << 1).wrapping_add(gear[usize::from(*byte)]);
        if hash & if at < average { hard } else { easy } == 0 {
            return at + 1;
        }
    }
    most
}

#[derive(Default)]
struct Chunked {
    chunks: usize,
    new_chunks: usize,
    new_bytes: usize,
}

fn chunked(nar: &[u8], average: usize, level: i32, known: &mut HashSet<Sha256>) -> Chunked {
    let (gear, mut rest, mut result) = (gear(), nar, Chunked::default());
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(cut(rest, &gear, average));
        result.chunks += 1;
        if known.insert(Sha256::of(chunk)) {
            result.new_chunks += 1;
            result.new_bytes += zstd::encode_all(chunk, level).unwrap().len();
        }
        rest = later;
    }
    result.new_bytes += result.chunks * INDEX;
    result
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| args.get(at).map_or(default, |text| text.parse().unwrap());
    let (average, level) = (number(2, 64) << 10, number(3, 3) as i32);
    let nars = [0, 1].map(|at| {
        let mut nar = Vec::new();
        dump(Path::new(&args[at]), &mut nar).unwrap();
        nar
    });
    let whole = nars.each_ref().map(|nar| zstd::encode_all(nar.as_slice(), level).unwrap().len());
    let mut known = HashSet::new();
    let parts = nars.each_ref().map(|nar| chunked(nar, average, level, &mut known));
    let mib = |bytes: usize| format!("{:.2}", bytes as f64 / f64::from(1 << 20));
    println!(
        "| {} KiB | {} | {} | {} | {} | {} | {} of {} | {:.2} |",
        average >> 10,
        mib(nars[0].len()),
        mib(whole[0]),
        mib(whole[1]),
        mib(parts[0].new_bytes),
        mib(parts[1].new_bytes),
        parts[1].new_chunks,
        parts[1].chunks,
        (parts[0].new_bytes + parts[1].new_bytes) as f64 / (whole[0] + whole[1]) as f64,
    );
}
