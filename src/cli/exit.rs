//! The exit codes of `kiln`.

/// Everything asked for was done.
pub const OK: u8 = 0;
/// Something asked for could not be done: a build failed, a file could not be fetched.
pub const FAILED: u8 = 1;
/// The request itself is wrong: arguments, a recipe, an unknown target.
pub const BAD_REQUEST: u8 = 2;
/// This machine cannot seal a build, or lacks something else that must be set up.
pub const CANNOT_SEAL: u8 = 3;
/// The store holds something that is not what its name says, or results of one derivation disagree.
pub const DAMAGED: u8 = 4;
/// Stopped by Ctrl-C or a signal.
pub const INTERRUPTED: u8 = 130;
