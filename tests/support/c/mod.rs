//! Compiling and running C programs as a user of the installed library would.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub(crate) const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The compiler for C, or for C++, of the machine that the library is built for; CC and CXX overrule it.
pub(crate) fn compiler(cpp: bool) -> Command {
    let target = env!("AMRELAY_TARGET");
    let tool = cc::Build::new()
        .cpp(cpp)
        .target(target)
        .host(target)
        .opt_level(0)
        .cargo_metadata(false)
        .get_compiler();
    let mut command = tool.to_command();
    command.current_dir(root()).arg("-Iinclude");
    command
}

/// The shared library that cargo built along with this test.
pub(crate) fn library() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    test.parent().expect("a folder").join("libamrelay.so")
}

/// Compiles a program against the header and the shared library; returns where it is.
pub(crate) fn compile(source: &str) -> PathBuf {
    let folder = library_folder();
    let program = folder.join(Path::new(source).file_stem().expect("a name"));
    succeed(
        compiler(false)
            .args(["-std=c99", "-g", "-pthread"])
            .args(WARNINGS)
            .arg(source)
            .arg("-o")
            .arg(&program)
            .arg(format!("-L{}", folder.display()))
            .arg(format!("-Wl,-rpath,{}", folder.display()))
            .arg("-lamrelay"),
    );
    program
}

/// A folder of this test's own with the names that a linker and a loader look for.
fn library_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = env!("CARGO_CRATE_NAME");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        fs::create_dir_all(&folder).expect("a folder");
        for name in ["libamrelay.so", "libamrelay.so.0"] {
            let link = folder.join(name);
            let _ = fs::remove_file(&link);
            symlink(library(), &link).expect("a link");
        }
        folder
    })
}

/// Runs a program that has to end with status 0.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A command that runs a program, under valgrind if that is asked for.
pub(crate) fn program(path: &Path) -> Command {
    if env::var_os("AMRELAY_VALGRIND").is_none() {
        return Command::new(path);
    }
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
    command.args(["--show-leak-kinds=all", "--errors-for-leak-kinds=all"]);
    command.arg(path);
    command
}
