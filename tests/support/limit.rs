//! A process without descriptors to spare. The limit is the whole process's: a test that sets it runs
//! alone.

use std::fs::File;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// No descriptor can be opened while this lives.
pub(crate) struct NoDescriptors(Rlimit);

impl NoDescriptors {
    pub(crate) fn new() -> Self {
        let before = getrlimit(Resource::Nofile);
        // The lowest are in use. poll(2) wants no more entries than that.
        let none = Rlimit {
            current: Some(4),
            ..before
        };
        setrlimit(Resource::Nofile, none).unwrap();
        assert!(File::open("/dev/null").is_err());
        Self(before)
    }
}

impl Drop for NoDescriptors {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0).unwrap();
    }
}
