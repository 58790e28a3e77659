//! The allocator of a process that lives for milliseconds: it hands out memory and takes back only the newest block.
//!
//! It also keeps the promise that nothing is allocated between `clone3` and `execve`: after [`forbid_allocation`] any
//! request ends the process with a message.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much is asked of the kernel at a time, in bytes. Pages that are never touched cost nothing.
const CHUNK: usize = 1 << 20;

static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// From now on this process may not allocate: a request writes one line to standard error and exits with status 125.
///
/// Called first thing in a container's init, which shares its parent's memory image and must run on prepared data alone.
pub fn forbid_allocation() {
    FORBIDDEN.store(true, Ordering::Relaxed);
}

/// A bump allocator: `alloc` moves a pointer, `dealloc` gives back only what was handed out last.
///
/// Not for threads: minirun has none, because `unshare` and `setns` refuse a threaded process.
#[derive(Debug)]
pub struct Bump {
    free: UnsafeCell<Region>,
}

#[derive(Debug)]
struct Region {
    next: usize,
    end: usize,
}

// SAFETY: the program that installs this allocator is single-threaded (see the type's documentation), so there is never
// more than one borrow of the cell.
unsafe impl Sync for Bump {}

impl Bump {
    /// An allocator that has asked the kernel for nothing so far.
    pub const fn new() -> Bump {
        Bump { free: UnsafeCell::new(Region { next: 0, end: 0 }) }
    }

    #[allow(clippy::mut_from_ref, reason = "the cell is what makes it mutable; see the SAFETY note")]
    fn region(&self) -> &mut Region {
        // SAFETY: single-threaded (see `Sync` above) and no reference outlives the call that took it.
        unsafe { &mut *self.free.get() }
    }
}

impl Default for Bump {
    fn default() -> Bump {
        Bump::new()
    }
}

// SAFETY: blocks do not overlap, because `next` only moves over memory that was just handed out or given back last; each
// is inside a mapping of its own size, aligned as asked; a failed mapping gives null, as the trait demands.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if FORBIDDEN.load(Ordering::Relaxed) {
            crate::calls::die(b"minirun: bug: memory was asked for after clone3\n");
        }
        let region = self.region();
        let start = region.next.next_multiple_of(layout.align());
        if let Some(end) = start.checked_add(layout.size())
            && end <= region.end
        {
            region.next = end;
            return start as *mut u8;
        }
        let size = layout.size().saturating_add(layout.align()).max(CHUNK);
        let Some(start) = crate::calls::map_memory(size) else { return std::ptr::null_mut() };
        let block = start.next_multiple_of(layout.align());
        *region = Region { next: block + layout.size(), end: start + size };
        block as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let region = self.region();
        if block as usize + layout.size() == region.next {
            region.next = block as usize;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let region = self.region();
        let start = block as usize;
        if start + layout.size() == region.next && start.saturating_add(new_size) <= region.end {
            region.next = start + new_size;
            return block;
        }
        if new_size <= layout.size() {
            return block;
        }
        let Ok(new_layout) = Layout::from_size_align(new_size, layout.align()) else { return std::ptr::null_mut() };
        // SAFETY: the layout is valid, and the old block holds at least `layout.size()` bytes that do not overlap the new.
        unsafe {
            let new = self.alloc(new_layout);
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(block, new, layout.size());
            }
            new
        }
    }
}
