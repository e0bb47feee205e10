//! A process that may not use more memory. The limit is the whole process's: each test that sets one runs alone.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Limits the memory of this process to what it uses now, and `room` bytes.
pub(crate) fn limit_memory(room: u64) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    let limit = Rlimit {
        current: Some(pages * rustix::param::page_size() as u64 + room),
        ..getrlimit(Resource::As)
    };
    setrlimit(Resource::As, limit).unwrap();
}

/// Takes memory in pieces of `size` bytes until there is none left for a further piece.
pub(crate) fn hoard(size: usize) -> Vec<Vec<u8>> {
    let mut hoard = Vec::with_capacity(1000);
    loop {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(size).is_err() {
            return hoard;
        }
        hoard.push(piece);
    }
}
