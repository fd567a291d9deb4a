//! Objects with references, made by builds of a small project; and a binary cache, written by hand, that hands them to Nix.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use kiln::model::Sha256;

use super::Kiln;
use super::trees::Numbers;
use crate::support::Scratch;

/// Recipes of a project, written by a test.
pub(super) struct Recipes<'a> {
    kiln: &'a Kiln,
    text: String,
    targets: Vec<String>,
}

fn identifier(name: &str) -> String {
    name.replace('-', "_")
}

impl<'a> Recipes<'a> {
    pub(super) fn new(kiln: &'a Kiln) -> Self {
        Self { kiln, text: String::new(), targets: Vec::new() }
    }

    /// Adds a derivation, which becomes a target. `inputs` are earlier ones; `-` becomes `_` in their labels.
    pub(super) fn derivation(&mut self, name: &str, inputs: &[&str], outputs: &[&str], script: &str) {
        let inputs: Vec<String> = inputs.iter().map(|input| format!("\"{0}\": {0}", identifier(input))).collect();
        let (variable, inputs) = (identifier(name), inputs.join(", "));
        let _ = writeln!(self.text, "{variable} = sh(\"{name}\", {script:?}, inputs = {{{inputs}}}, outputs = {outputs:?})");
        self.targets.push(name.to_owned());
    }

    /// Adds derivations whose outputs name themselves, their siblings and their inputs at generated places; gives their names. With `bare`,
    /// others are named by digest alone, too.
    pub(super) fn generated(&mut self, count: usize, seed: u64, bare: bool) -> Vec<String> {
        let mut numbers = Numbers::new(seed);
        for index in 0..count {
            let inputs: Vec<String> = (0..numbers.below(4).min(index)).map(|_| format!("g{}", numbers.below(index))).collect();
            let mut inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            inputs.sort_unstable();
            inputs.dedup();
            let outputs: &[&str] = if index % 4 == 1 { &["out", "dev"] } else { &["out"] };
            let script = generated_script(&mut numbers, &inputs, outputs, bare);
            self.derivation(&format!("g{index}"), &inputs, outputs, &script);
        }
        (0..count).map(|index| format!("g{index}")).collect()
    }

    /// Builds targets; gives their store paths.
    pub(super) fn build(&self, targets: &[&str]) -> Vec<String> {
        let listed: Vec<String> = self.targets.iter().map(|name| format!("\"{name}\": {}", identifier(name))).collect();
        self.kiln.project.set_recipe(&format!("{}targets = {{{}}}\n", self.text, listed.join(", ")));
        let outcome = self.kiln.json(["build"].iter().chain(targets));
        let paths = outcome["targets"].as_array().unwrap().iter();
        paths.map(|built| built["path"].as_str().unwrap().to_owned()).collect()
    }
}

/// A script that writes paths and bare digests between stretches of other bytes, in files and links.
fn generated_script(numbers: &mut Numbers, inputs: &[&str], outputs: &[&str], bare: bool) -> String {
    let mut script = String::from("digest() { d=${1##*/}; printf %s ${d%%-*}; }\n");
    for (place, output) in outputs.iter().enumerate() {
        let _ = writeln!(script, "mkdir \"${output}\"");
        // `dev` may name `out`, but not the other way round: that would be a circle.
        let named: Vec<&str> = inputs.iter().chain(&outputs[..=place]).copied().collect();
        for file in 0..1 + numbers.below(3) {
            let _ = writeln!(script, "{{");
            for _ in 0..1 + numbers.below(5) {
                let len = [0, 1, 31, 33, 4096, 262_100, 262_144][numbers.below(7)] + numbers.below(5);
                let what = numbers.pick(&named);
                let words = ["echo $X", "echo $X$X", "echo $X/lib:/kiln/store", "digest $X", "digest $X; digest $X"];
                let word = words[numbers.below(if bare || what == *output { 5 } else { 3 })];
                let _ = writeln!(script, "  head -c {len} /dev/zero; {}", word.replace("$X", &format!("${{{what}}}")));
            }
            let _ = writeln!(script, "}} > \"${output}/file{file}\"");
        }
        if numbers.below(2) == 0 {
            let _ = writeln!(script, "ln -s \"${{{}}}/there\" \"${output}/link\"", numbers.pick(&named));
        }
    }
    script
}

/// A binary cache in a directory, unsigned.
pub(super) struct Cache {
    dir: Scratch,
}

fn base_name(path: &str) -> &str {
    path.strip_prefix("/kiln/store/").unwrap()
}

impl Cache {
    /// The cache with these objects of a store.
    pub(super) fn of(kiln: &Kiln, paths: &[String]) -> Self {
        let cache = Self::empty();
        for path in paths {
            let info = kiln.json(["store", "info", path]);
            let references: Vec<String> = strings(&info["references"]);
            cache.put(path, &kiln.run(["store", "dump", path]), &references, info["ca"].as_str());
        }
        cache
    }

    /// The same under other digests, also inside the objects, and without content addresses: as a builder might have left them that knew
    /// nothing of content addressing. `paths` must hold all references. Gives the new paths, in the same order.
    pub(super) fn disguised(kiln: &Kiln, paths: &[String]) -> (Self, Vec<String>) {
        let cache = Self::empty();
        let other = |digest: &str| digest[1..].to_owned() + &digest[..1];
        let disguise = |path: &str| {
            let (digest, name) = base_name(path).split_once('-').unwrap();
            format!("/kiln/store/{}-{name}", other(digest))
        };
        let digests: Vec<&str> = paths.iter().map(|path| &base_name(path)[..32]).collect();
        for path in paths {
            let mut nar = kiln.run(["store", "dump", path]);
            digests.iter().for_each(|digest| replace(&mut nar, digest.as_bytes(), other(digest).as_bytes()));
            let references = strings(&kiln.json(["store", "info", path])["references"]);
            cache.put(&disguise(path), &nar, &references.iter().map(|path| disguise(path)).collect::<Vec<_>>(), None);
        }
        (cache, paths.iter().map(|path| disguise(path)).collect())
    }

    fn empty() -> Self {
        let cache = Self { dir: Scratch::new() };
        fs::write(cache.dir().join("nix-cache-info"), "StoreDir: /kiln/store\n").unwrap();
        cache
    }

    fn put(&self, path: &str, nar: &[u8], references: &[String], ca: Option<&str>) {
        let references: Vec<&str> = references.iter().map(|path| base_name(path)).collect();
        let (name, hash) = (base_name(path), Sha256::of(nar).base32());
        fs::write(self.dir().join(format!("{name}.nar")), nar).unwrap();
        let mut text = format!("StorePath: {path}\nURL: {name}.nar\nCompression: none\nNarHash: sha256:{hash}\nNarSize: {}\n", nar.len());
        let _ = writeln!(text, "References: {}", references.join(" "));
        if let Some(ca) = ca {
            let _ = writeln!(text, "CA: {ca}");
        }
        fs::write(self.narinfo(path), text).unwrap();
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn narinfo(&self, path: &str) -> PathBuf {
        self.dir().join(format!("{}.narinfo", &base_name(path)[..32]))
    }

    /// Changes the value of a field.
    pub(super) fn edit(&self, path: &str, field: &str, change: impl Fn(&str) -> String) {
        let file = self.narinfo(path);
        let text = fs::read_to_string(&file).unwrap();
        let prefix = format!("{field}: ");
        let lines = text.lines().map(|line| match line.strip_prefix(&prefix) {
            Some(value) => format!("{prefix}{}\n", change(value)),
            None => format!("{line}\n"),
        });
        fs::write(&file, lines.collect::<String>()).unwrap();
    }
}

fn strings(list: &serde_json::Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Replaces each occurrence of `old` by `new`, which is as long.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let mut start = 0;
    while let Some(found) = bytes[start..].windows(old.len()).position(|window| window == old) {
        start += found;
        bytes[start..start + old.len()].copy_from_slice(new);
        start += old.len();
    }
}
