//! `kiln eval`: what a project can build.

use serde::Serialize;

use super::session::{Globals, ParamArgs};
use super::ui::{BOLD, DIM, paint, table};
use super::{Exit, session};

/// List the targets of the project
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  kiln eval --param python=3.11")]
pub struct Args {
    #[command(flatten)]
    params: ParamArgs,
}

#[derive(Serialize)]
struct Listing {
    targets: Vec<TargetLine>,
    params: Vec<ParamLine>,
}

#[derive(Serialize)]
struct TargetLine {
    name: String,
    description: String,
    declared: String,
}

#[derive(Serialize)]
struct ParamLine {
    name: String,
    value: String,
    default: String,
    declared: String,
}

/// Runs the command.
///
/// # Errors
/// If the recipes are wrong.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let evaluated = session::evaluate(globals, &args.params)?.evaluated;
    let targets = evaluated.targets.iter().map(|(name, target)| TargetLine {
        name: name.clone(),
        description: target.description.clone(),
        declared: evaluated.recipe(target.artifact.recipe).span.to_string(),
    });
    let params = evaluated.params.iter().map(|(name, param)| ParamLine {
        name: name.clone(),
        value: param.value.clone(),
        default: param.default.clone(),
        declared: param.span.to_string(),
    });
    let listing = Listing { targets: targets.collect(), params: params.collect() };
    globals.ui().print(&listing, render)?;
    Ok(super::exit::OK)
}

fn render(listing: &Listing) -> String {
    let width = listing.targets.iter().map(|target| target.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for target in &listing.targets {
        let padding = if target.description.is_empty() { 0 } else { width + 2 - target.name.len() };
        text.push_str(&format!("{}{:padding$}{}\n", paint(BOLD, &target.name), "", target.description));
    }
    if !listing.params.is_empty() {
        text.push_str(&format!("\n{}\n", paint(DIM, "parameters (--param NAME=VALUE)")));
        let rows: Vec<_> =
            listing.params.iter().map(|param| vec![format!("{} = {}", param.name, param.value), param.declared.clone()]).collect();
        text.push_str(&table(&rows));
    }
    text
}
