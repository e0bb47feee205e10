//! The index judges as GNU tar 1.35 does. What an older one judges otherwise; docs/tar-index.md has the list.

use std::process::Command;
use std::sync::OnceLock;

use amrelay::index::{Fault, Outcome, TarIndex};

/// Whether the system's tar is older than 1.35.
pub(crate) fn tar_is_older() -> bool {
    static OLDER: OnceLock<bool> = OnceLock::new();
    *OLDER.get_or_init(|| {
        let output = Command::new("tar").arg("--version").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let version = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("tar (GNU tar) "));
        let version = version.expect("GNU tar has to be installed");
        let mut numbers = version
            .split('.')
            .map(|number| number.parse::<u32>().unwrap());
        (numbers.next(), numbers.next()) < (Some(1), Some(35))
    })
}

/// Whether one of the known differences is why an older tar, which lists `listed`, and the index do not agree.
///
/// A time with junk behind it makes no difference to the lines. A map beyond its file makes one behind its member alone.
/// Archives with an empty name are not compared: `tests/index/versions.rs` has them.
pub(crate) fn explains(archive: &[u8], outcome: Outcome, lines: &[u8], listed: &[u8]) -> bool {
    let first_is_time = matches!(
        outcome,
        Outcome::Damaged {
            what: Fault::TimeTail,
            ..
        }
    );
    first_is_time && lines == listed
        || has_empty_name(archive)
        || map_beyond_its_file(archive)
            .is_some_and(|offset| listed.starts_with(&lines_of(&archive[..offset]).0))
}

fn has_empty_name(archive: &[u8]) -> bool {
    [&b"path="[..], b"GNU.sparse.name="].iter().any(|key| {
        let mut places = archive.windows(key.len() + 1);
        places.any(|place| place.starts_with(key) && matches!(place[key.len()], 0 | b'\n'))
    })
}

/// Where the first map is that reaches beyond its file. A fault in front of it hides it from the index of the whole
/// archive, but not from one that begins behind that fault.
fn map_beyond_its_file(archive: &[u8]) -> Option<usize> {
    let starts = (0..archive.len()).step_by(512);
    let found = starts.filter_map(|start| match lines_of(&archive[start..]).1 {
        Outcome::Damaged {
            what: Fault::SparseMapRange,
            offset,
            ..
        } => Some(start + usize::try_from(offset).unwrap()),
        _ => None,
    });
    found.min()
}

fn lines_of(archive: &[u8]) -> (Vec<u8>, Outcome) {
    let (mut parser, mut lines) = (TarIndex::new(), Vec::new());
    parser.push(archive, &mut |piece| lines.extend_from_slice(piece));
    (lines, parser.finish())
}
