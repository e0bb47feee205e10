//! Statistics of a stage, as C sees them.

use std::time::Duration;

use libc::size_t;

use super::layout::Layout;
use crate::stats::{Method, Stats};

/// Method of a stage: the bytes went through a buffer in user space.
pub const AMRELAY_METHOD_COPY: u32 = 0;
/// Method of a stage: the bytes stayed in the kernel and were moved by splice(2).
pub const AMRELAY_METHOD_SPLICE: u32 = 1;

/// How much passed through a stage of the data path, and what it waited for. Waits do not overlap.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct amrelay_stats {
    /// `sizeof(amrelay_stats)`, set by the caller.
    pub size: size_t,
    /// Bytes that left the stage; of a stream in whole frames.
    pub bytes: u64,
    /// Nanoseconds from the stage's start to its end, or to this call.
    pub elapsed_ns: u64,
    /// Nanoseconds of waiting for the program that writes the data.
    pub writer_ns: u64,
    /// Nanoseconds of waiting for the receiving side.
    pub output_ns: u64,
    /// Nanoseconds of waiting for the reader of the index.
    pub index_ns: u64,
    /// `AMRELAY_METHOD_SPLICE` if bytes were moved without a copy, else `AMRELAY_METHOD_COPY`.
    pub method: u32,
}

// SAFETY: repr(C), the size first, then integers.
unsafe impl Layout for amrelay_stats {
    const NAME: &'static str = "stats";
}

impl amrelay_stats {
    pub(super) fn new(stats: &Stats) -> Self {
        Self {
            size: size_of::<Self>(),
            bytes: stats.bytes,
            elapsed_ns: nanoseconds(stats.elapsed),
            writer_ns: nanoseconds(stats.writer),
            output_ns: nanoseconds(stats.output),
            index_ns: nanoseconds(stats.index),
            method: match stats.method {
                Method::Copy => AMRELAY_METHOD_COPY,
                Method::Splice => AMRELAY_METHOD_SPLICE,
            },
        }
    }
}

/// Enough for 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
