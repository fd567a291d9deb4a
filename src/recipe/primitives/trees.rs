//! `source`, `unpack`, `debian_root`, `merge`: trees that kiln itself makes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::NoneOr;

use crate::model::{Label, OutputName, OutputPolicy};
use crate::recipe::SourceFilter;
use crate::recipe::artifact::Artifact;
use crate::recipe::recipes::{RecipeKind, SourceRequest};
use crate::recipe::refusal::Refusal;
use crate::recipe::session::{Session, call_span, path_of_call};

use super::UNPACK;
use super::arguments::{OptionalList, artifact, description as one_line, labelled, list, name_or, store_name, texts};
use super::fetch::File;

/// Most path components that `unpack` strips.
const MOST_STRIPPED: i64 = 64;

#[starlark_module]
pub(super) fn register(builder: &mut GlobalsBuilder) {
    /// A tree or file of the project.
    fn source<'v>(
        path: &str,
        exclude: Option<UnpackListOrTuple<Value<'v>>>,
        #[starlark(default = NoneOr::None)] name: NoneOr<&str>,
        #[starlark(default = "")] description: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Artifact> {
        let session = Session::of(eval)?;
        let project_path = path_of_call(eval, path)?;
        let exclude: BTreeSet<String> = list("exclude", &exclude.map(|given| given.items).unwrap_or_default())?.into_iter().collect();
        SourceFilter::new(&exclude).map_err(Refusal::from)?;
        if project_path.is_empty() && matches!(name, NoneOr::None) {
            return Err(Refusal::UnnamedSource { path: path.to_owned() }.into());
        }
        let last = project_path.rsplit('/').next().unwrap_or_default();
        let name = name_or(name, last.trim_start_matches('.'))?;
        let description = one_line(description)?;
        let key = format!("source {project_path} {name} {exclude:?} {description}");
        let source = session.known_or(key, || {
            session.project().check_source(&project_path)?;
            let span = call_span(eval);
            let request = SourceRequest { path: project_path, exclude, name: name.clone(), span: span.clone() };
            session.add(name, description, span, RecipeKind::Source(request))
        });
        Ok(source?)
    }

    /// The tree in an archive.
    fn unpack<'v>(
        archive: Value<'v>,
        #[starlark(default = NoneOr::None)] name: NoneOr<&str>,
        #[starlark(default = 1)] strip: i64,
        #[starlark(default = NoneOr::None)] patches: NoneOr<Value<'v>>,
        #[starlark(default = "")] description: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Artifact> {
        if let NoneOr::Other(_) = patches {
            return Err(Refusal::UnpackPatches.into());
        }
        if !(0..=MOST_STRIPPED).contains(&strip) {
            return Err(Refusal::Number { parameter: "strip", wanted: "a number from 0 to 64", found: strip }.into());
        }
        let archive = artifact("archive", archive)?;
        let name = name_or(name, without_archive_suffix(archive.name()))?;
        let inputs = BTreeMap::from([(label("archive")?, archive.reference())]);
        let kind = RecipeKind::Builtin { kind: UNPACK, arguments: json!({ "strip": strip }), inputs };
        Ok(Session::of(eval)?.add(name, one_line(description)?, call_span(eval), kind)?)
    }

    /// Debian packages and all that they need, unpacked into one tree that can be a root.
    fn debian_root<'v>(
        lock: &str,
        packages: UnpackListOrTuple<Value<'v>>,
        links: Option<Value<'v>>,
        #[starlark(default = "root")] name: &str,
        #[starlark(default = "")] description: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Artifact> {
        let (session, span) = (Session::of(eval)?, call_span(eval));
        let packages = list("packages", &packages.items)?;
        if packages.is_empty() {
            return Err(Refusal::Empty { parameter: "packages" }.into());
        }
        let links = texts("links", links)?;
        check_links(&links)?;
        let lock = session.debian_lock(&path_of_call(eval, lock)?)?;
        let mut inputs = BTreeMap::new();
        for (index, package) in lock.closure(&packages)?.into_values().enumerate() {
            let file = File::in_pool(&package.path, package.sha256)?.add(session, span.clone())?;
            inputs.insert(label(&format!("deb_{index:05}"))?, file.reference());
        }
        let kind = RecipeKind::Builtin { kind: "debian-root/1", arguments: json!({ "links": links }), inputs };
        Ok(session.add(store_name(name)?, one_line(description)?, span, kind)?)
    }

    /// Several trees laid into one without links, with a manifest.
    fn merge<'v>(
        layers: Value<'v>,
        #[starlark(default = "merged")] name: &str,
        #[starlark(default = "")] description: &str,
        #[starlark(default = NoneOr::None)] references: OptionalList<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Artifact> {
        let inputs = labelled("layers", Some(layers))?;
        if inputs.is_empty() {
            return Err(Refusal::Empty { parameter: "layers" }.into());
        }
        let references = super::derivation::allowed_references(name, references, &inputs)?;
        let outputs = BTreeMap::from([(OutputName::out(), OutputPolicy { references, links: false })]);
        let kind = RecipeKind::Builtin { kind: "merge/1", arguments: json!({}), inputs };
        Ok(Session::of(eval)?.add_with(store_name(name)?, one_line(description)?, call_span(eval), outputs, kind)?)
    }
}

fn label(text: &str) -> Result<Label, Refusal> {
    text.parse().map_err(|source| Refusal::Label { parameter: "inputs", source })
}

/// `Python-3.11.2` for `Python-3.11.2.tar.xz`.
fn without_archive_suffix(name: &str) -> &str {
    const SUFFIXES: [&str; 13] =
        [".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tgz", ".tbz2", ".txz", ".tzst", ".tar", ".zip", ".whl", ".deb", ".crate"];
    SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).filter(|rest| !rest.is_empty()).unwrap_or(name)
}

fn check_links(links: &BTreeMap<String, String>) -> Result<(), Refusal> {
    for (path, target) in links {
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Refusal::LinkPath { path: path.clone() });
        }
        if target.is_empty() {
            return Err(Refusal::Empty { parameter: "links" });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::without_archive_suffix;

    #[test]
    fn archive_names_lose_their_suffix() {
        for (name, expected) in
            [("Python-3.11.2.tar.xz", "Python-3.11.2"), ("six-1.16.0.zip", "six-1.16.0"), (".tar", ".tar"), ("plain", "plain")]
        {
            assert_eq!(without_archive_suffix(name), expected);
        }
    }
}
