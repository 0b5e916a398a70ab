//! Whether this partition has quorum, and a descriptor that wakes when that changes (`quorum_overview(3)`).

#![expect(unsafe_code, reason = "the safe wrapper of libquorum")]

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::rc::Rc;

use super::error::{CallError, check};
use super::sys;

/// A subscription to quorum changes.
#[derive(Debug)]
pub struct Quorum {
    handle: sys::quorum_handle_t,
    /// Shared with the library by address; `Rc` keeps that address while `Quorum` moves.
    quorate: Rc<Cell<bool>>,
    fd: RawFd,
}

impl Quorum {
    /// Connects to Corosync and subscribes.
    pub fn track() -> Result<Self, CallError> {
        let mut quorum = Self::connect()?;
        quorum.fd = quorum.get_fd()?;
        // SAFETY: the handle is open.
        let code =
            unsafe { sys::quorum_trackstart(quorum.handle, sys::CS_TRACK_CURRENT | sys::CS_TRACK_CHANGES) };
        check("quorum_trackstart", code)?;
        Ok(quorum)
    }

    /// Takes the changes that have come. Never blocks.
    pub fn dispatch(&mut self) -> Result<(), CallError> {
        // SAFETY: the handle is open; its callback only sets the cell.
        let code = unsafe { sys::quorum_dispatch(self.handle, sys::CS_DISPATCH_ALL) };
        check("quorum_dispatch", code)
    }

    /// Whether this partition has quorum, as of the last dispatch.
    pub fn is_quorate(&self) -> bool {
        self.quorate.get()
    }

    fn connect() -> Result<Self, CallError> {
        let quorate = Rc::new(Cell::new(false));
        let mut model = sys::quorum_model_v1_data_t {
            model: sys::QUORUM_MODEL_V1,
            quorum_notify_fn: Some(on_quorum),
            nodelist_notify_fn: None,
        };
        let (mut handle, mut quorum_type) = (0, 0);
        // SAFETY: a V1 model begins with the common model data, as `quorum_model_initialize(3)` asks; the
        // library copies it. The context is the cell, which lives until after `quorum_finalize` (see `drop`).
        let code = unsafe {
            sys::quorum_model_initialize(
                &raw mut handle,
                sys::QUORUM_MODEL_V1,
                (&raw mut model).cast(),
                &raw mut quorum_type,
                Rc::as_ptr(&quorate).cast_mut().cast(),
            )
        };
        check("quorum_model_initialize", code)?;
        Ok(Self {
            handle,
            quorate,
            fd: -1,
        })
    }

    fn get_fd(&self) -> Result<RawFd, CallError> {
        let mut fd = -1;
        // SAFETY: the handle is open and `fd` is a place for the answer.
        let code = unsafe { sys::quorum_fd_get(self.handle, &raw mut fd) };
        check("quorum_fd_get", code)?;
        Ok(fd)
    }
}

impl AsFd for Quorum {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `quorum_fd_get` gave the descriptor, and the library closes it only in `quorum_finalize`,
        // that is, after this borrow of `self` has ended.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Drop for Quorum {
    fn drop(&mut self) {
        // The connection ends either way, so there is nothing to do about an error.
        // SAFETY: the handle is open and not used again; the cell is freed after this.
        let _ = unsafe { sys::quorum_finalize(self.handle) };
    }
}

/// `quorum_v1_quorum_notification_fn_t`
unsafe extern "C" fn on_quorum(
    handle: sys::quorum_handle_t,
    quorate: u32,
    _ring: sys::quorum_ring_id,
    _member_count: u32,
    _members: *const u32,
) {
    let mut context = std::ptr::null();
    // SAFETY: the library calls back with an open handle, and `context` is a place for the answer.
    let code = unsafe { sys::quorum_context_get(handle, &raw mut context) };
    if code != sys::CS_OK || context.is_null() {
        return;
    }
    // SAFETY: the context was set by `connect` to a `Cell<bool>` that outlives the handle; only shared
    // references to it exist, and all on this thread, because `Quorum` is not `Send`.
    let cell = unsafe { &*context.cast::<Cell<bool>>() };
    cell.set(quorate != 0);
}
