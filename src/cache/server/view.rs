//! What the page shows, as JSON: searched, sorted and cut to pages here, so that a browser never holds the whole cache.

use std::cmp::Reverse;
use std::io::{self, Read as _, Write};

use serde::Serialize;
use serde_json::{Value, json};

use crate::cache::entry::EntryName;
use crate::cache::signing::KeyName;
use crate::cache::statement::{SignedRecord, read_traces};
use crate::model::{DerivationHash, STORE_DIR, StoreDigest};

use super::answer::{Server, not_found};
use super::builds::Build;
use super::index::{Id, Object, Objects, Slot, read_narinfo};
use super::options::Limits;
use super::request::Request;
use super::response::{Body, Response};

/// Rows of a page.
const PAGE: usize = 50;
/// Rows of a list within a page.
const ROWS: usize = 200;
/// Bytes of a log that are shown: what is packed may be a bomb.
const LOG: u64 = 64 << 20;
/// Memory that unpacking a log may take, as a power of two: kiln packs with less.
const LOG_WINDOW: u32 = 24;

impl Server {
    /// Answers the page's questions.
    pub(super) fn view(&self, request: &Request, what: &str) -> Response {
        let parts: Vec<&str> = what.split('/').collect();
        let shown = match parts[..] {
            ["summary"] => Some(self.summary()),
            ["objects"] => Some(self.objects(request)),
            ["object", digest] => self.object(digest),
            ["builds"] => Some(self.builds(request)),
            ["build", resolved] => self.build(resolved),
            ["log", resolved, key] => return self.log(resolved, key).unwrap_or_else(not_found),
            _ => None,
        };
        let response = shown.map_or_else(not_found, |shown| Response::json(&shown));
        response.with("Cache-Control", "no-store").with("X-Content-Type-Options", "nosniff")
    }

    fn summary(&self) -> Value {
        let (objects, builds) = (self.index.objects(), self.index.builds());
        let mut signers = std::collections::BTreeMap::<&str, (usize, usize)>::new();
        let (mut count, mut nar, mut packed) = (0usize, 0u64, 0u64);
        for (_, _, object) in objects.present() {
            (count, nar, packed) = (count + 1, nar + object.nar_size, packed + object.packed_size);
            for signer in &object.signers {
                signers.entry(signer).or_default().0 += 1;
            }
        }
        let texts: Vec<(String, usize)> = keys(builds.all().values());
        for (key, count) in &texts {
            signers.entry(key).or_default().1 += count;
        }
        let signers: Vec<_> =
            signers.iter().map(|(name, (objects, builds))| json!({"name": name, "objects": objects, "builds": builds})).collect();
        let (records, logs) =
            builds.all().values().fold((0, 0), |(records, logs), build| (records + build.records.len(), logs + build.logs.len()));
        json!({
            "ready": self.index.is_ready(), "objects": count, "nar_size": nar, "packed_size": packed, "builds": builds.all().len(),
            "records": records, "logs": logs, "signers": signers, "store_dir": STORE_DIR,
        })
    }

    fn objects(&self, request: &Request) -> Value {
        let objects = self.index.objects();
        let search = request.parameter("search").unwrap_or_default();
        let signer = request.parameter("signer");
        let wanted = Search::new(&search);
        let signed = |object: &Object| signer.as_deref().is_none_or(|signer| object.signers.iter().any(|one| **one == *signer));
        let mut found: Vec<(Id, &Slot, &Object)> =
            objects.present().filter(|(_, slot, object)| wanted.finds(&slot.digest, &object.name) && signed(object)).collect();
        match request.parameter("sort").as_deref() {
            Some("size") => found.sort_unstable_by_key(|(id, _, object)| (Reverse(object.nar_size), *id)),
            Some("packed") => found.sort_unstable_by_key(|(id, _, object)| (Reverse(object.packed_size), *id)),
            Some("new") => found.sort_unstable_by_key(|(id, _, object)| (Reverse(object.stamp.0), *id)),
            Some("referrers") => found.sort_unstable_by_key(|(id, slot, _)| (Reverse(slot.referrers.len()), *id)),
            _ => found.sort_unstable_by(|(_, a, x), (_, b, y)| (&x.name, &a.digest).cmp(&(&y.name, &b.digest))),
        }
        let rows = |(_, slot, object): &(Id, &Slot, &Object)| row(slot, Some(object));
        paged(request, &found, rows)
    }

    fn object(&self, digest: &str) -> Option<Value> {
        let digest = StoreDigest::parse(digest.as_bytes())?;
        // Asked of the directory itself: hashes are not remembered.
        let (info, _) = read_narinfo(&self.files, &EntryName::narinfo(&digest))?;
        let (objects, builds) = (self.index.objects(), self.index.builds());
        let id = objects.id(&digest)?;
        let slot = objects.slot(id)?;
        let object = slot.object.as_ref()?;
        let closure = objects.closure(id);
        let mut members = closure.members.clone();
        members.sort_unstable_by_key(|id| {
            (Reverse(objects.slot(*id).and_then(|slot| slot.object.as_ref()).map_or(0, |object| object.nar_size)), *id)
        });
        let others = |ids: &[Id]| ids.iter().copied().filter(|other| *other != id).collect::<Vec<_>>();
        let makers: Vec<_> = builds.makers(&digest).take(ROWS).map(|(resolved, build)| build_row(resolved, build)).collect();
        Some(json!({
            "path": info.path, "digest": digest.as_str(), "name": object.name, "nar_size": object.nar_size, "packed_size": object.packed_size,
            "nar_hash": format!("sha256:{}", info.nar_hash.base32()), "url": info.url, "compression": info.compression.word(),
            "ca": info.ca, "deriver": info.deriver, "signers": object.signers.iter().map(|signer| &**signer).collect::<Vec<_>>(),
            "modified": object.stamp.0 / 1_000_000_000, "refers_to_itself": object.references.contains(&id),
            "references": listed(&objects, &others(&object.references)), "referrers": listed(&objects, &others(&slot.referrers)),
            "closure": {
                "objects": closure.members.len(), "nar_size": closure.nar_size, "packed_size": closure.packed_size, "missing": closure.missing,
                "largest": listed(&objects, &members),
            },
            "builds": makers,
        }))
    }

    fn builds(&self, request: &Request) -> Value {
        let builds = self.index.builds();
        let search = request.parameter("search").unwrap_or_default().to_lowercase();
        let finds = |resolved: &DerivationHash, build: &Build| {
            build.name().to_lowercase().contains(&search) || resolved.to_string().starts_with(&search)
        };
        let mut found: Vec<_> = builds.all().iter().filter(|(resolved, build)| search.is_empty() || finds(resolved, build)).collect();
        let started = |build: &Build| build.records.values().map(|(recorded, _)| recorded.started_ms).max();
        found.sort_by_key(|(resolved, build)| (Reverse(started(build)), **resolved));
        paged(request, &found, |(resolved, build)| build_row(resolved, build))
    }

    fn build(&self, resolved: &str) -> Option<Value> {
        let resolved = DerivationHash(resolved.parse().ok()?);
        let (row, traced, recorded, logs) = {
            let builds = self.index.builds();
            let build = builds.all().get(&resolved)?;
            let keys = |keys: Vec<&KeyName>| keys.into_iter().cloned().collect::<Vec<_>>();
            (
                build_row(&resolved, build),
                keys(build.traces.keys().collect()),
                keys(build.records.keys().collect()),
                keys(build.logs.keys().collect()),
            )
        };
        let read = |name: &EntryName| self.files.read(name, Limits::DOCUMENT).ok().flatten();
        let traces = traced.iter().take(ROWS).filter_map(|key| read_traces(&read(&EntryName::traces(&resolved, key))?).ok()).flatten();
        let traces: Vec<_> = traces
            .map(|signed| {
                let is_trusted = self.trusted.iter().any(|known| signed.is_by(known));
                json!({"signer": signed.signature.name(), "trusted": is_trusted, "system": signed.trace.system, "level": signed.trace.level, "outputs": signed.trace.outputs})
            })
            .collect();
        let record = |key: &KeyName| serde_json::from_slice::<SignedRecord>(&read(&EntryName::record(&resolved, key))?).ok();
        let records: Vec<_> = recorded
            .iter()
            .take(ROWS)
            .filter_map(record)
            .map(|signed| json!({"signer": signed.signature.name(), "record": signed.record}))
            .collect();
        Some(json!({"build": row, "traces": traces, "records": records, "logs": logs}))
    }

    /// A log, unpacked while it is sent.
    fn log(&self, resolved: &str, key: &str) -> Option<Response> {
        let (resolved, key) = (DerivationHash(resolved.parse().ok()?), key.parse().ok()?);
        let found = self.files.find(&EntryName::log(&resolved, &key)).ok()??;
        let mut unpacked = zstd::Decoder::new(found.file).ok()?;
        unpacked.window_log_max(LOG_WINDOW).ok()?;
        let write = move |out: &mut dyn Write| {
            let copied = io::copy(&mut unpacked.by_ref().take(LOG), out);
            match copied {
                Ok(LOG) if unpacked.read(&mut [0])? > 0 => out.write_all(b"\n[the rest is not shown]\n"),
                Ok(_) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(error),
                Err(_) => out.write_all(b"\n[the rest cannot be unpacked]\n"),
            }
        };
        let response = Response::empty(200).with("Content-Type", "text/plain; charset=utf-8").with("X-Content-Type-Options", "nosniff");
        Some(response.with("Content-Security-Policy", "default-src 'none'; sandbox").body(Body::Stream(Box::new(write))))
    }
}

/// What is looked for: a part of a name, the beginning of a digest, or a whole path.
struct Search {
    part: String,
    digest: String,
}

impl Search {
    fn new(text: &str) -> Self {
        let text = text.trim().strip_prefix(STORE_DIR).map_or(text.trim(), |rest| rest.trim_start_matches('/'));
        let digest =
            text.split_once('-').filter(|(digest, _)| StoreDigest::parse(digest.as_bytes()).is_some()).map_or(text, |(digest, _)| digest);
        Self { part: text.to_lowercase(), digest: digest.to_owned() }
    }

    fn finds(&self, digest: &StoreDigest, name: &str) -> bool {
        self.part.is_empty() || digest.as_str().starts_with(&self.digest) || contains(name.as_bytes(), self.part.as_bytes())
    }
}

/// Whether `text` holds `part`, which is in lower case; names are ASCII.
fn contains(text: &[u8], part: &[u8]) -> bool {
    text.len() >= part.len() && text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

fn row(slot: &Slot, object: Option<&Object>) -> Value {
    match object {
        Some(object) => json!({
            "digest": slot.digest.as_str(), "name": object.name, "nar_size": object.nar_size, "packed_size": object.packed_size,
            "references": object.references.len(), "referrers": slot.referrers.len(), "modified": object.stamp.0 / 1_000_000_000,
        }),
        None => json!({"digest": slot.digest.as_str(), "missing": true}),
    }
}

#[derive(Serialize)]
struct Listed {
    total: usize,
    rows: Vec<Value>,
}

fn listed(objects: &Objects, ids: &[Id]) -> Listed {
    let rows = ids.iter().take(ROWS).filter_map(|id| objects.slot(*id)).map(|slot| row(slot, slot.object.as_ref())).collect();
    Listed { total: ids.len(), rows }
}

fn paged<T>(request: &Request, found: &[T], row: impl Fn(&T) -> Value) -> Value {
    let pages = found.len().div_ceil(PAGE).max(1);
    let page = request.parameter("page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(1).clamp(1, pages);
    let rows: Vec<_> = found.iter().skip((page - 1) * PAGE).take(PAGE).map(row).collect();
    json!({"total": found.len(), "page": page, "pages": pages, "rows": rows})
}

fn build_row(resolved: &DerivationHash, build: &Build) -> Value {
    let recorded = build.records.values().map(|(recorded, _)| recorded).next();
    let outputs: std::collections::BTreeSet<String> = build.outputs().map(|(_, path)| path.to_string()).collect();
    json!({
        "resolved": resolved, "name": build.name(), "signers": build.traces.keys().collect::<Vec<_>>(), "agreed": build.is_agreed(),
        "records": build.records.len(), "logs": build.logs.len(), "outputs": outputs,
        "started_ms": recorded.map(|recorded| recorded.started_ms), "duration_ms": recorded.map(|recorded| recorded.duration_ms),
    })
}

fn keys<'a>(builds: impl Iterator<Item = &'a Build>) -> Vec<(String, usize)> {
    let mut counted = std::collections::BTreeMap::<String, usize>::new();
    for key in builds.flat_map(|build| build.traces.keys()) {
        *counted.entry(key.to_string()).or_default() += 1;
    }
    counted.into_iter().collect()
}
