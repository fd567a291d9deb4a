//! `kiln show`: a target's derivation, its input tree and its hash.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::model::{Builder, DerivationGraph, DerivationHash, Hints, Input, Node, OutputName};

use super::failure::Failure;
use super::session::{Globals, ParamArgs};
use super::ui::{BOLD, DIM, paint, table};
use super::{Exit, session};

/// Print a target's derivation, its inputs and its hash
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kiln show runtime\n  kiln show libpython --json | jq .derivation.builder.script.script -r")]
pub struct Args {
    /// The target, or the name of a derivation that some target needs
    target: String,
    #[command(flatten)]
    params: ParamArgs,
}

#[derive(Serialize)]
struct Shown {
    target: String,
    hash: DerivationHash,
    output: OutputName,
    derivation: Value,
    hints: Hints,
    #[serde(skip)]
    tree: String,
}

/// Runs the command.
///
/// # Errors
/// If the recipes are wrong or the target is unknown.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let found = session::find(globals, &args.params, &args.target)?;
    let graph = &found.lowering.lowered.graph;
    let node = session::node(graph, &found.derivation)?;
    let canonical = node.derivation.canonical().map_err(Failure::new)?;
    let shown = Shown {
        target: args.target.clone(),
        hash: node.hash,
        output: found.output.clone(),
        derivation: serde_json::from_str(&canonical).map_err(Failure::new)?,
        hints: node.hints.clone(),
        tree: input_tree(graph, node),
    };
    globals.ui().print(&shown, |shown| render(shown, node))?;
    Ok(super::exit::OK)
}

fn render(shown: &Shown, node: &Node) -> String {
    let derivation = &node.derivation;
    let mut rows = vec![
        vec!["name".to_owned(), derivation.name.to_string()],
        vec!["hash".to_owned(), shown.hash.to_string()],
        vec!["system".to_owned(), derivation.system.clone()],
        vec!["builder".to_owned(), builder(&derivation.builder)],
    ];
    rows.extend(node.hints.span.iter().map(|span| vec!["declared".to_owned(), span.to_string()]));
    for (name, policy) in &derivation.outputs {
        let references = match &policy.references {
            None => "any reference".to_owned(),
            Some(allowed) if allowed.is_empty() => "no reference".to_owned(),
            Some(allowed) => {
                format!("refers only to {}", allowed.iter().map(|one| String::from(one.clone())).collect::<Vec<_>>().join(", "))
            }
        };
        rows.push(vec![format!("output {name}"), format!("{references}, {}", if policy.links { "links allowed" } else { "no link" })]);
    }
    format!("{}\n{}\n{}\n{}", paint(BOLD, &shown.target), table(&rows), paint(DIM, "inputs"), shown.tree)
}

fn builder(builder: &Builder) -> String {
    match builder {
        Builder::Script(script) => format!("script of {} lines, run by {}", script.script.lines().count(), script.interpreter.join(" ")),
        Builder::Builtin(builtin) => format!("builtin {}", builtin.kind),
        Builder::Fetch(fetch) => format!("fetch, sha256 {}", fetch.sha256),
    }
}

/// The inputs as a tree; a derivation's own inputs are drawn where it first occurs.
fn input_tree(graph: &DerivationGraph, node: &Node) -> String {
    let mut text = format!("{}\n", node.derivation.name);
    draw(graph, node, "", &mut BTreeSet::new(), &mut text);
    text
}

/// A derivation with more inputs than this gets one line for all its fetched files.
const MANY: usize = 12;

fn draw(graph: &DerivationGraph, node: &Node, indent: &str, drawn: &mut BTreeSet<DerivationHash>, text: &mut String) {
    if !drawn.insert(node.hash) {
        return;
    }
    let mut inputs: Vec<(String, &Input)> = node.derivation.inputs.iter().map(|(label, input)| (label.to_string(), input)).collect();
    if let Builder::Script(script) = &node.derivation.builder {
        inputs.push(("root".to_owned(), &script.root));
    }
    if inputs.len() > MANY {
        text.push_str(&format!("{indent}└─ {} inputs\n", inputs.len()));
        return;
    }
    for (index, (label, input)) in inputs.iter().enumerate() {
        let last = index + 1 == inputs.len();
        let (branch, below) = if last { ("└─", "   ") } else { ("├─", "│  ") };
        match input {
            Input::Object(path) => text.push_str(&format!("{indent}{branch} {label}: {path}\n")),
            Input::Output { derivation, output } => {
                let Some(input) = graph.get(derivation) else { continue };
                let seen = drawn.contains(derivation) && !input.derivation.inputs.is_empty();
                let more = if seen { " …" } else { "" };
                let suffix = if *output == OutputName::out() { String::new() } else { format!(".{output}") };
                let short = &derivation.to_string()[..12];
                text.push_str(&format!("{indent}{branch} {label}: {}{suffix}  {short}{more}\n", input.derivation.name));
                draw(graph, input, &format!("{indent}{below}"), drawn, text);
            }
        }
    }
}
