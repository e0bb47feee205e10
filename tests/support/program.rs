//! Programs that tests compare with, and that may not be installed.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Set where everything is to be there, as in `make check`.
const COMPLETE: &str = "AMRELAY_CHECK_ALL";

/// Whether there is no such program, and a test may leave out what needs it; says so past the harness, which shows only what
/// a failed test prints.
pub(crate) fn is_missing(name: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\"", name])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    if found.success() {
        return false;
    }
    assert!(
        std::env::var_os(COMPLETE).is_none(),
        "{name} is not installed"
    );
    let message = format!("left out: {name} is not installed\n");
    std::io::stderr().write_all(message.as_bytes()).unwrap();
    true
}
