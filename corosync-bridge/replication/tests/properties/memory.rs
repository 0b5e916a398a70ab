//! How much memory a piece of code takes, by an allocator that counts.

#![expect(
    unsafe_code,
    reason = "an allocator can only be written so; this one passes everything on"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    /// Bytes that this thread has taken and not given back; less than nothing where it gives back another's.
    static TAKEN: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static COUNTS: Cell<bool> = const { Cell::new(false) };
}

/// The most that `work` held of this thread's memory at any time, in bytes.
pub(crate) fn peak_of(work: impl FnOnce()) -> usize {
    TAKEN.set(0);
    PEAK.set(0);
    COUNTS.set(true);
    work();
    COUNTS.set(false);
    PEAK.get().unsigned_abs()
}

/// Runs `work` in the middle of [`peak_of`] without counting what it takes.
pub(crate) fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    COUNTS.set(false);
    let result = work();
    COUNTS.set(true);
    result
}

fn note(bytes: isize) {
    // A thread that ends gives memory back when its counters are gone already.
    let counts = COUNTS.try_with(Cell::get).unwrap_or(false);
    if counts {
        TAKEN.set(TAKEN.get() + bytes);
        PEAK.set(PEAK.get().max(TAKEN.get()));
    }
}

fn signed(size: usize) -> isize {
    isize::try_from(size).unwrap_or(isize::MAX)
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory but three plain cells of
// this thread, which are made without allocating.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(signed(layout.size()));
        // SAFETY: the caller keeps `alloc`'s contract, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-signed(layout.size()));
        // SAFETY: the pointer came from `System` by `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}
