//! Build records: what one build was made from, where, and what it cost.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::{BuildRecord, BuildStatus, Builder, OutputName, SandboxLevel, StorePath};
use crate::sandbox::SandboxExit;

use super::plan::Realise;

/// When a build began.
pub(super) struct Stopwatch {
    start: Instant,
    started_ms: u64,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { start: Instant::now(), started_ms: since.as_millis() as u64 }
    }
}

/// What a run of a builder leaves beside its outputs.
#[derive(Default)]
pub(super) struct Evidence {
    /// How the sandbox ended, if there was one and kiln did not end it.
    pub(super) exit: Option<SandboxExit>,
    /// The log, relative to the store's directory.
    pub(super) log: Option<PathBuf>,
}

/// The record of a build that has ended.
pub(super) fn record(
    realise: &Realise,
    status: BuildStatus,
    outputs: BTreeMap<OutputName, StorePath>,
    level: SandboxLevel,
    watch: &Stopwatch,
    evidence: &Evidence,
) -> BuildRecord {
    let resolved = &realise.resolved;
    let exit = evidence.exit.as_ref();
    let mut inputs: BTreeMap<String, StorePath> = resolved.inputs.iter().map(|(label, path)| (label.to_string(), path.clone())).collect();
    if let Builder::Script(script) = &resolved.builder {
        inputs.insert("root".to_owned(), script.root.clone());
    }
    BuildRecord {
        derivation: realise.node.hash,
        resolved: realise.resolved_hash,
        name: resolved.name.to_string(),
        status,
        outputs,
        inputs,
        leaves: realise.leaves.clone(),
        span: realise.node.hints.span.clone(),
        level,
        exit_code: exit.and_then(|exit| exit.code),
        log: evidence.log.clone(),
        layers: exit.map(|exit| exit.layers.clone()).unwrap_or_default(),
        machine: machine().clone(),
        started_ms: watch.started_ms,
        duration_ms: watch.start.elapsed().as_millis() as u64,
        cpu_ms: exit.map(|exit| exit.cpu_ms),
        peak_kib: exit.map(|exit| exit.peak_kib),
    }
}

/// What a record says about this machine.
fn machine() -> &'static BTreeMap<String, String> {
    static MACHINE: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let mut facts = BTreeMap::new();
        if let Ok(name) = nix::sys::utsname::uname() {
            facts.insert("kernel".to_owned(), name.release().to_string_lossy().into_owned());
            facts.insert("machine".to_owned(), name.machine().to_string_lossy().into_owned());
        }
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        facts.extend(model.map(|(_, model)| ("processor".to_owned(), model.trim().to_owned())));
        facts.insert("cores".to_owned(), std::thread::available_parallelism().map_or(1, usize::from).to_string());
        facts
    })
}
