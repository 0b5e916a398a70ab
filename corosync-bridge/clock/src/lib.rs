//! What the kernel says of its wall clock: `adjtimex(2)`, made safe. No other crate of the bridge but this and the
//! bindings to Corosync has `unsafe` in it.

use std::io;

/// Whether somebody keeps the clock right: an NTP client, PTP or a GPS receiver. They tell the kernel by taking
/// `STA_UNSYNC` away; the kernel puts it back when it has not heard of them for long (`adjtimex(2)`).
///
/// # Errors
/// When the kernel or a filter of system calls refuses the question.
pub fn is_disciplined() -> io::Result<bool> {
    Ok(status()? & libc::STA_UNSYNC == 0)
}

#[expect(unsafe_code, reason = "no safe wrapper of adjtimex is among the dependencies")]
fn status() -> io::Result<libc::c_int> {
    // SAFETY: timex has integer fields only, for which all zeroes is a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a timex that lives until the call returns and that nobody else has. `modes` is 0, so the
    // kernel writes what it knows into it and changes nothing of its clock.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(timex.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_whoever_asks() {
        is_disciplined().unwrap();
    }
}
