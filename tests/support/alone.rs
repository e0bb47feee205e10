//! Tests that need a process of their own: what they limit or count is the whole process's.

use std::process::Command;

/// Set in the process that runs one test alone.
const ALONE: &str = "AMRELAY_TEST_ALONE";

/// Runs the test `name` of `module` (`module_path!()`) once more in a process of its own; true in that one.
pub(crate) fn is_alone(module: &str, name: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &path(module, name), "--nocapture"])
        .args(["--include-ignored", "--test-threads=1"])
        .env(ALONE, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{output:?}"
    );
    false
}

/// How the harness calls a test: its path without the name of the program.
pub(crate) fn path(module: &str, name: &str) -> String {
    let (_, module) = module.split_once("::").unwrap();
    format!("{module}::{name}")
}
