//! Trees made at random, with names nobody would choose.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use super::{Dice, command};

/// Plants about `count` files, folders, links, fifos and sparse files below `root`.
pub(crate) fn plant_at_random(dice: &mut Dice, root: &Path, count: usize) {
    let mut folders = vec![root.to_path_buf()];
    let mut files: Vec<PathBuf> = Vec::new();
    for _ in 0..count {
        let folder = folders[dice.roll(folders.len())].clone();
        let path = folder.join(OsStr::from_bytes(&hostile_name(dice)));
        // Some names come twice, and a path may grow longer than one call of the system takes.
        if path.as_os_str().len() > 3000 || path.symlink_metadata().is_ok() {
            continue;
        }
        match dice.roll(12) {
            0..=2 => {
                fs::create_dir(&path).unwrap();
                folders.push(path);
            }
            3 => symlink(OsStr::from_bytes(&hostile_name(dice)), path).unwrap(),
            4 if !files.is_empty() => {
                fs::hard_link(&files[dice.roll(files.len())], path).unwrap();
            }
            5 => assert!(command("mkfifo").arg(path).status().unwrap().success()),
            6 => {
                let sparse = fs::File::create(&path).unwrap();
                for piece in 0..dice.roll(30) as u64 {
                    sparse.write_all_at(b"data", piece * 4096).unwrap();
                }
                files.push(path);
            }
            _ => {
                let length = dice.pick(&[0, 0, 1, 511, 512, 513, 1500, 5000]);
                fs::write(&path, vec![b'B'; length]).unwrap();
                files.push(path);
            }
        }
    }
}

/// A name of 1 to 255 bytes, of letters, blanks, dots, control characters or any bytes at all.
fn hostile_name(dice: &mut Dice) -> Vec<u8> {
    let length = match dice.roll(8) {
        0 => dice.pick(&[98, 99, 100, 101, 154, 155, 156, 200, 254, 255]),
        1 => 1,
        _ => 1 + dice.roll(30),
    };
    let alphabet: &[u8] = match dice.roll(6) {
        0 => b"\n\t\r \\\"'",
        1 => b"..-a",
        2 => b"\xc3\xa4\xe2\x82\xac",
        3 => b"",
        _ => b"abcdefghijklmnopqrstuvwxyz0123456789",
    };
    let mut name: Vec<u8> = (0..length)
        .map(|_| match alphabet {
            b"" => dice.roll(255).to_le_bytes()[0] + 1,
            _ => dice.pick(alphabet),
        })
        .map(|byte| if byte == b'/' { b'?' } else { byte })
        .collect();
    if matches!(&name[..], b"." | b"..") {
        name.push(b'x');
    }
    name
}
