//! Registration of descriptors with the system's poller.
