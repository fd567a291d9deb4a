//! Extra: Landlock, where the kernel has it with the right to move files between directories (ABI 2, Linux 5.19).
//!
//! The tree is already all that can be seen, so the rules forbid only what no builder does: device nodes. What counts is the side effect: the
//! kernel refuses every change of the mounts to a process under Landlock, whatever capabilities it might come by.

use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr};

use super::step::Layers;
use crate::sandbox::Layer;

/// Puts the rules in force, if that is possible.
pub(super) fn restrict(layers: &mut Layers) {
    match rules() {
        Ok(()) => layers.active(Layer::Landlock),
        Err(error) => layers.absent(Layer::Landlock, error.to_string()),
    }
}

fn rules() -> Result<(), Box<dyn std::error::Error>> {
    let moving = AccessFs::from_all(ABI::V2) & !AccessFs::from_all(ABI::V1);
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::MakeChar | AccessFs::MakeBlock | moving)?
        .create()?;
    ruleset.add_rule(PathBeneath::new(PathFd::new("/")?, moving))?.restrict_self()?;
    Ok(())
}
