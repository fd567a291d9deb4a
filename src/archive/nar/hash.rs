//! SHA-256 of blocks, plain and modulo the own digest; in a thread of its own when there is much of them.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use super::block::BLOCK;
use crate::model::{DIGEST_LEN, Hasher, Sha256};

/// A block that was looked through.
pub(super) struct LookedThrough {
    pub(super) block: Vec<u8>,
    /// How many of its bytes count.
    pub(super) filled: usize,
    /// Where in them the own digest starts.
    pub(super) own_starts: Vec<u32>,
}

/// The state of both hashes.
#[derive(Clone, Default)]
pub(super) struct Hashes {
    pub(super) plain: Hasher,
    modulo: Option<Hasher>,
    /// Where the own digest starts in the NAR.
    pub(super) offsets: Vec<u64>,
    /// Bytes of the NAR so far.
    pub(super) len: u64,
}

impl Hashes {
    fn update(&mut self, scan: &LookedThrough) {
        let bytes = &scan.block[..scan.filled];
        if self.modulo.is_none() && !scan.own_starts.is_empty() {
            self.modulo = Some(self.plain.clone());
        }
        self.plain.update(bytes);
        if let Some(modulo) = &mut self.modulo {
            let mut done = 0;
            for start in &scan.own_starts {
                let start = *start as usize;
                modulo.update(&bytes[done..start]);
                modulo.update(&[0; DIGEST_LEN]);
                done = start + DIGEST_LEN;
                self.offsets.push(self.len + start as u64);
            }
            modulo.update(&bytes[done..]);
        }
        self.len += bytes.len() as u64;
    }

    /// The hash modulo the own digest.
    pub(super) fn modulo_hash(&self) -> Sha256 {
        let Some(mut modulo) = self.modulo.clone() else {
            return self.plain.clone().finish();
        };
        for offset in &self.offsets {
            modulo.update(format!("|{offset}").as_bytes());
        }
        modulo.finish()
    }
}

/// Blocks that are hashed at once; after that many a thread takes over.
const INLINE_BLOCKS: usize = 4;

/// Blocks that may wait for the hashing thread.
const QUEUE: usize = 6;

/// Hashes blocks: the first few here, the rest in a thread of its own.
pub(super) enum HashPipe {
    Here { hashes: Box<Hashes>, blocks: usize, spare: Option<Vec<u8>> },
    Thread { queue: SyncSender<LookedThrough>, spares: Receiver<Vec<u8>>, thread: JoinHandle<Hashes> },
}

impl HashPipe {
    pub(super) fn new() -> Self {
        Self::Here { hashes: Box::default(), blocks: 0, spare: None }
    }

    /// A block to be filled.
    pub(super) fn spare(&mut self) -> Vec<u8> {
        let spare = match self {
            Self::Here { spare, .. } => spare.take(),
            Self::Thread { spares, .. } => spares.try_recv().ok(),
        };
        spare.unwrap_or_else(|| vec![0; BLOCK])
    }

    /// Hashes a block, now or soon.
    pub(super) fn push(&mut self, scan: LookedThrough) {
        match self {
            Self::Here { hashes, blocks, spare } => {
                hashes.update(&scan);
                *spare = Some(scan.block);
                *blocks += 1;
                if *blocks == INLINE_BLOCKS
                    && let Some(threaded) = Self::start_thread((**hashes).clone())
                {
                    *self = threaded;
                }
            }
            // The receiver lives as long as the thread, which ends when this sender is dropped.
            Self::Thread { queue, .. } => drop(queue.send(scan)),
        }
    }

    /// `None` if the machine has no thread to spare; hashing then goes on here.
    fn start_thread(mut hashes: Hashes) -> Option<Self> {
        let (queue, scans) = sync_channel::<LookedThrough>(QUEUE);
        let (emptied, spares) = channel();
        let work = move || {
            for scan in scans {
                hashes.update(&scan);
                // Nobody takes spares any more once the walk is over.
                drop(emptied.send(scan.block));
            }
            hashes
        };
        let thread = std::thread::Builder::new().name("hash".to_owned()).spawn(work).ok()?;
        Some(Self::Thread { queue, spares, thread })
    }

    /// The hashes of everything pushed.
    pub(super) fn finish(self) -> Hashes {
        match self {
            Self::Here { hashes, .. } => *hashes,
            Self::Thread { queue, thread, .. } => {
                drop(queue);
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
        }
    }
}
