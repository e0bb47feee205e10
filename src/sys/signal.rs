//! Keeping SIGPIPE away from the host program.
