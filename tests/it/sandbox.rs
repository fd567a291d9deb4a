//! What a builder sees, and what becomes of it.

use crate::sealed::{Sealed, prints};

#[test]
fn a_script_runs_and_its_exit_code_is_known() {
    assert_eq!(prints("echo hello"), "hello\n");
    let outcome = Sealed::script("exit 7").run();
    assert_eq!(outcome.exit.code, Some(7));
}
