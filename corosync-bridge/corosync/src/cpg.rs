//! Closed process groups: membership and messages, both in the order that all members agree on
//! (`cpg_overview(3)`).

#![expect(unsafe_code, reason = "the safe wrapper of libcpg")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{c_char, c_void};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::rc::Rc;

use super::error::{CallError, CsError, check};
use super::sys;

/// Something that happened in the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpgEvent {
    /// A member sent a message; one's own messages come too.
    Message {
        /// Node id of the sender.
        from: u32,
        /// What it sent.
        bytes: Vec<u8>,
    },
    /// Members came or went.
    Membership {
        /// Node ids of all members, one for each process.
        members: Vec<u32>,
        /// Node ids of those that went, and why.
        left: Vec<(u32, Reason)>,
    },
}

/// Why a member went (`cpg_reason_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It left by itself.
    Left,
    /// Its node is not in this partition any more.
    NodeDown,
    /// Its process ended.
    ProcessDown,
    /// Anything else that Corosync may come to say.
    Other,
}

impl From<u32> for Reason {
    fn from(reason: u32) -> Self {
        match reason {
            sys::CPG_REASON_LEAVE => Self::Left,
            sys::CPG_REASON_NODEDOWN => Self::NodeDown,
            sys::CPG_REASON_PROCDOWN => Self::ProcessDown,
            _ => Self::Other,
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendOutcome {
    /// Corosync has taken it and delivers it to every member, this one too.
    Taken,
    /// Corosync has no room now: its queue is full or the membership is changing. Try again later.
    NoRoom,
}

/// What callbacks have delivered and nobody has taken yet.
type Inbox = RefCell<VecDeque<CpgEvent>>;

/// A membership in one group. Dropping it leaves the group.
#[derive(Debug)]
pub struct Cpg {
    handle: sys::cpg_handle_t,
    /// Shared with the library by address; `Rc` keeps that address while `Cpg` moves.
    inbox: Rc<Inbox>,
    fd: RawFd,
    node_id: u32,
}

impl Cpg {
    /// Connects to Corosync and joins `group`. That the join is done is told by the first
    /// [`CpgEvent::Membership`] that names this node.
    pub fn join(group: &str) -> Result<Self, CallError> {
        let mut cpg = Self::connect()?;
        cpg.fd = cpg.get_fd()?;
        cpg.node_id = cpg.get_node_id()?;
        let name = group_name(group)?;
        // SAFETY: the handle is open; the library copies the name before it returns.
        let code = unsafe { sys::cpg_join(cpg.handle, &raw const name) };
        check("cpg_join", code)?;
        Ok(cpg)
    }

    /// This node's id.
    pub fn node_id(&self) -> u32 {
        self.node_id
    }

    /// Takes what happened next, if anything has. Never blocks.
    pub fn next_event(&mut self) -> Result<Option<CpgEvent>, CallError> {
        if self.inbox.borrow().is_empty() {
            // SAFETY: the handle is open; its callbacks touch only the inbox, which is not borrowed now.
            let code = unsafe { sys::cpg_dispatch(self.handle, sys::CS_DISPATCH_ONE_NONBLOCKING) };
            match check("cpg_dispatch", code) {
                Ok(())
                | Err(CallError {
                    code: CsError::TryAgain,
                    ..
                }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.inbox.borrow_mut().pop_front())
    }

    /// Sends `bytes` to the group in agreed order. Never blocks.
    pub fn send(&mut self, bytes: &[u8]) -> Result<SendOutcome, CallError> {
        if self.is_flow_controlled()? {
            return Ok(SendOutcome::NoRoom);
        }
        let slice = sys::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        // SAFETY: the handle is open; the slice describes `bytes`, which outlives the call, and the library
        // only reads through it.
        let code = unsafe { sys::cpg_mcast_joined(self.handle, sys::CPG_TYPE_AGREED, &raw const slice, 1) };
        match check("cpg_mcast_joined", code) {
            Ok(()) => Ok(SendOutcome::Taken),
            Err(error) if error.code == CsError::TryAgain => Ok(SendOutcome::NoRoom),
            Err(error) => Err(error),
        }
    }

    fn connect() -> Result<Self, CallError> {
        let inbox = Rc::new(Inbox::default());
        let mut model = sys::cpg_model_v1_data_t {
            model: sys::CPG_MODEL_V1,
            cpg_deliver_fn: Some(on_message),
            cpg_confchg_fn: Some(on_membership),
            cpg_totem_confchg_fn: None,
            flags: 0,
        };
        let mut handle = 0;
        // SAFETY: a V1 model begins with the common model data, as `cpg_model_initialize(3)` asks; the
        // library copies it. The context is the inbox, which lives until after `cpg_finalize` (see `drop`).
        let code = unsafe {
            sys::cpg_model_initialize(
                &raw mut handle,
                sys::CPG_MODEL_V1,
                (&raw mut model).cast(),
                Rc::as_ptr(&inbox).cast_mut().cast(),
            )
        };
        check("cpg_model_initialize", code)?;
        Ok(Self {
            handle,
            inbox,
            fd: -1,
            node_id: 0,
        })
    }

    fn get_fd(&self) -> Result<RawFd, CallError> {
        let mut fd = -1;
        // SAFETY: the handle is open and `fd` is a place for the answer.
        let code = unsafe { sys::cpg_fd_get(self.handle, &raw mut fd) };
        check("cpg_fd_get", code)?;
        Ok(fd)
    }

    fn get_node_id(&self) -> Result<u32, CallError> {
        let mut node_id = 0;
        // SAFETY: the handle is open and `node_id` is a place for the answer.
        let code = unsafe { sys::cpg_local_get(self.handle, &raw mut node_id) };
        check("cpg_local_get", code)?;
        Ok(node_id)
    }

    fn is_flow_controlled(&self) -> Result<bool, CallError> {
        let mut state = sys::CPG_FLOW_CONTROL_DISABLED;
        // SAFETY: the handle is open and `state` is a place for the answer.
        let code = unsafe { sys::cpg_flow_control_state_get(self.handle, &raw mut state) };
        check("cpg_flow_control_state_get", code)?;
        Ok(state == sys::CPG_FLOW_CONTROL_ENABLED)
    }
}

impl AsFd for Cpg {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `cpg_fd_get` gave the descriptor, and the library closes it only in `cpg_finalize`, that
        // is, after this borrow of `self` has ended.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Drop for Cpg {
    fn drop(&mut self) {
        // The connection ends either way, so there is nothing to do about an error.
        // SAFETY: the handle is open and not used again; the inbox is freed after this.
        let _ = unsafe { sys::cpg_finalize(self.handle) };
    }
}

/// A group name as the library takes it.
fn group_name(group: &str) -> Result<sys::cpg_name, CallError> {
    let mut name = sys::cpg_name {
        length: 0,
        value: [0; sys::CPG_MAX_NAME_LENGTH as usize],
    };
    let too_long = CallError {
        call: "cpg_join",
        code: CsError::NameTooLong,
    };
    let bytes = group.as_bytes();
    let Some(place) = name.value.get_mut(..bytes.len()) else {
        return Err(too_long);
    };
    for (to, from) in place.iter_mut().zip(bytes) {
        *to = c_char::from_ne_bytes([*from]);
    }
    name.length = u32::try_from(bytes.len()).map_err(|_| too_long)?;
    Ok(name)
}

/// Puts an event into the inbox of the connection that `handle` stands for.
fn put(handle: sys::cpg_handle_t, event: CpgEvent) {
    let mut context: *mut c_void = std::ptr::null_mut();
    // SAFETY: the library calls back with an open handle, and `context` is a place for the answer.
    let code = unsafe { sys::cpg_context_get(handle, &raw mut context) };
    if code != sys::CS_OK || context.is_null() {
        return;
    }
    // SAFETY: the context was set by `connect` to an `Inbox` that outlives the handle; only shared references
    // to it exist, and all on this thread, because `Cpg` is not `Send`.
    let inbox = unsafe { &*context.cast::<Inbox>() };
    inbox.borrow_mut().push_back(event);
}

/// `cpg_deliver_fn_t`
unsafe extern "C" fn on_message(
    handle: sys::cpg_handle_t,
    _group: *const sys::cpg_name,
    from: u32,
    _process: u32,
    message: *mut c_void,
    length: usize,
) {
    let bytes = if message.is_null() || length == 0 {
        Vec::new()
    } else {
        // SAFETY: the library passes a message of `length` bytes that is valid during this call.
        unsafe { std::slice::from_raw_parts(message.cast::<u8>(), length) }.to_vec()
    };
    put(handle, CpgEvent::Message { from, bytes });
}

/// `cpg_confchg_fn_t`
unsafe extern "C" fn on_membership(
    handle: sys::cpg_handle_t,
    _group: *const sys::cpg_name,
    members: *const sys::cpg_address,
    member_count: usize,
    left: *const sys::cpg_address,
    left_count: usize,
    _joined: *const sys::cpg_address,
    _joined_count: usize,
) {
    // SAFETY: the library passes lists with these counts that are valid during this call.
    let members = unsafe { addresses(members, member_count) };
    // SAFETY: as above.
    let left = unsafe { addresses(left, left_count) };
    put(
        handle,
        CpgEvent::Membership {
            members: members.iter().map(|address| address.nodeid).collect(),
            left: left
                .iter()
                .map(|address| (address.nodeid, Reason::from(address.reason)))
                .collect(),
        },
    );
}

/// A list as the library passes it; an empty one may have no address.
///
/// # Safety
/// `list` points to `count` addresses that outlive `'a`, or `count` is 0.
unsafe fn addresses<'a>(list: *const sys::cpg_address, count: usize) -> &'a [sys::cpg_address] {
    if list.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the caller promises this, and the list is not null.
    unsafe { std::slice::from_raw_parts(list, count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_name_is_copied_with_its_length() {
        let name = group_name("bmc-ha").unwrap();
        assert_eq!(name.length, 6);
        let bytes: Vec<u8> = name.value[..6].iter().map(|c| c.to_ne_bytes()[0]).collect();
        assert_eq!(bytes, b"bmc-ha");
    }

    #[test]
    fn a_group_name_that_does_not_fit_is_refused() {
        assert!(group_name(&"n".repeat(128)).is_ok());
        let error = group_name(&"n".repeat(129)).unwrap_err();
        assert_eq!(error.to_string(), "cpg_join: CS_ERR_NAME_TOO_LONG");
    }
}
