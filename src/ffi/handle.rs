//! Handles: what C holds a pointer to.
//!
//! A handle is one counted reference that C owns until it frees it. Every call holds a further one while it lasts, so
//! that a callback may free the handle whose call it came from.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::error::{AMRELAY_E_POISONED, AMRELAY_E_THREAD, Failure};
use super::guard::{catch, guard};

thread_local! {
    // Not `std::thread::current`: that allocates in threads Rust did not start, and is never freed in the main one.
    static THREAD: u64 = {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// The number of the calling thread, never used for another.
pub(super) fn this_thread() -> u64 {
    THREAD.with(|number| *number)
}

/// What a handle of any kind has.
#[derive(Debug)]
pub(super) struct Marks {
    /// The only thread that may use the handle; `None`: any.
    owner: Option<u64>,
    /// A call with this handle panicked, so what it holds may be half changed.
    poisoned: AtomicBool,
}

impl Marks {
    /// Of a handle that only the calling thread may use.
    pub(super) fn this_thread() -> Self {
        Self {
            owner: Some(this_thread()),
            poisoned: AtomicBool::new(false),
        }
    }

    /// Of a handle that any thread may use.
    pub(super) fn any_thread() -> Self {
        Self {
            owner: None,
            poisoned: AtomicBool::new(false),
        }
    }

    fn check_thread(&self) -> Result<(), Failure> {
        if self.owner.is_none_or(|owner| owner == this_thread()) {
            return Ok(());
        }
        Err(Failure::new(
            AMRELAY_E_THREAD,
            "the handle belongs to another thread",
        ))
    }

    fn check_usable(&self) -> Result<(), Failure> {
        if !self.poisoned.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(Failure::new(
            AMRELAY_E_POISONED,
            "an earlier call with the handle met a defect",
        ))
    }
}

/// A type that C has pointers to.
pub(super) trait Handle {
    /// How messages call it.
    const NAME: &'static str;

    fn marks(&self) -> &Marks;
}

/// Writes a new handle to `out`, which was checked with [`check_out`]: the reference is C's from now on.
///
/// # Safety
/// `out` can be written.
#[allow(
    clippy::arc_with_non_send_sync,
    reason = "a call from a wrong thread reaches the count, and must be refused rather than spoil it"
)]
pub(super) unsafe fn publish<T: Handle>(handle: T, out: *mut *mut T) {
    let pointer = Arc::into_raw(Arc::new(handle)).cast_mut();
    // SAFETY: the caller promised that `out` can be written.
    unsafe { out.write(pointer) };
}

/// Refuses a missing out-parameter before anything is made.
pub(super) fn check_out<T>(out: *mut T) -> Result<(), Failure> {
    if out.is_null() {
        Err(Failure::null("out"))
    } else {
        Ok(())
    }
}

/// A reference to the handle behind `pointer`, for this call.
///
/// # Safety
/// `pointer` is NULL or came from [`publish`] and was not freed.
pub(super) unsafe fn hold<T: Handle>(pointer: *const T) -> Result<Arc<T>, Failure> {
    // SAFETY: not NULL in the closure, hence alive as the caller promised.
    let Some(handle) = (unsafe { pointer.as_ref() }) else {
        return Err(Failure::null(T::NAME));
    };
    handle.marks().check_thread()?;
    handle.marks().check_usable()?;
    // SAFETY: `publish` made the pointer with `Arc::into_raw`, and C's reference keeps the count above zero.
    Ok(unsafe {
        Arc::increment_strong_count(pointer);
        Arc::from_raw(pointer)
    })
}

/// Runs the body of an export with the handle behind `pointer`. A panic in it makes the handle unusable.
///
/// # Safety
/// As for [`hold`].
pub(super) unsafe fn enter<T: Handle>(
    function: &str,
    pointer: *const T,
    body: impl FnOnce(&T) -> Result<c_int, Failure>,
) -> c_int {
    guard(function, || {
        // SAFETY: the caller's promise is the same.
        let handle = unsafe { hold(pointer) }?;
        catch(|| body(&handle)).unwrap_or_else(|panic| {
            handle.marks().poisoned.store(true, Ordering::Relaxed);
            Err(panic)
        })
    })
}

/// Runs the body of an export that ends a handle, with the reference that C gives up.
///
/// # Safety
/// As for [`hold`]; after success the pointer is not used again.
pub(super) unsafe fn consume<T: Handle>(
    function: &str,
    pointer: *mut T,
    body: impl FnOnce(Arc<T>) -> Result<c_int, Failure>,
) -> c_int {
    guard(function, || {
        // SAFETY: the caller's promise is the same.
        drop(unsafe { hold(pointer) }?);
        // SAFETY: `publish` made the pointer with `Arc::into_raw`, and C hands over the reference that is in it.
        body(unsafe { Arc::from_raw(pointer) })
    })
}

/// Does the same for a `_free` export; NULL is allowed, and so is an unusable handle. Called in a wrong thread it
/// frees nothing: a reported leak is better than a loop that is changed while its own thread uses it.
///
/// # Safety
/// As for [`hold`]; the pointer is not used again.
pub(super) unsafe fn free<T: Handle>(function: &str, pointer: *mut T, body: impl FnOnce(Arc<T>)) {
    guard(function, || {
        // SAFETY: the caller promised that a pointer that is not NULL is alive.
        let Some(handle) = (unsafe { pointer.as_ref() }) else {
            return Ok(0);
        };
        handle.marks().check_thread()?;
        // SAFETY: as in `consume`.
        body(unsafe { Arc::from_raw(pointer) });
        Ok(0)
    });
}
