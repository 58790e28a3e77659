//! The allocator of a process that lives for milliseconds: it hands out memory and asks the kernel for it in chunks.
//! What is freed is handed out again, for some commands stay (`run`, `exec`, `events`), but given back only if it is large.
//!
//! It also keeps the promise that nothing is allocated between `clone3` and `execve`: after [`forbid_allocation`] any
//! request ends the process with a message.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How much is asked of the kernel at a time, in bytes. Pages that are never touched cost nothing.
const CHUNK: usize = 1 << 20;

static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// From now on this process may not allocate: a request writes one line to standard error and exits with status 125.
///
/// Called first thing in a container's init, which shares its parent's memory image and must run on prepared data alone.
pub fn forbid_allocation() {
    FORBIDDEN.store(true, Ordering::Relaxed);
}

/// A block that is larger than a chunk has a mapping of its own, in whole pages.
const PAGE: usize = 4096;

/// Small blocks come in multiples of this many bytes, which is enough for the alignment of every basic type.
const GRAIN: usize = 16;
/// So many sizes of small blocks have a list of their own; above them there are the powers of two.
const SMALL: usize = 64;
/// One list for each size of small blocks, one for each power of two.
const LISTS: usize = SMALL + 64;

/// A bump allocator: `alloc` takes the first block from the list of its size, else it moves a pointer; `dealloc` moves
/// it back over what was handed out last, and puts everything else on a list. A loop that asks for the same again and
/// again so comes to rest.
///
/// For one thread, the first that uses it: another one ends the process. minirun has no threads, because `unshare` and
/// `setns` refuse a process that has some.
#[derive(Debug)]
pub struct Bump {
    /// The thread that uses it, by an address of its own; 0 before the first use.
    owner: AtomicUsize,
    free: UnsafeCell<Region>,
}

#[derive(Debug)]
struct Region {
    next: usize,
    end: usize,
    /// The first freed block of each size. A freed block begins with the address of the next, or 0.
    lists: [usize; LISTS],
}

/// How many bytes a block has that is to hold `size`, and its list.
fn class(size: usize) -> Option<(usize, usize)> {
    if size <= SMALL * GRAIN {
        let grains = size.div_ceil(GRAIN).max(1);
        return Some((grains * GRAIN, grains - 1));
    }
    let size = size.checked_next_power_of_two()?;
    Some((size, SMALL + size.trailing_zeros() as usize))
}

/// The size of the mapping that a block has to itself, if it has one.
fn own_mapping(layout: Layout) -> Option<usize> {
    let size = layout.size().checked_next_multiple_of(PAGE)?;
    (size > CHUNK && layout.align() <= PAGE).then_some(size)
}

// SAFETY: the cell is reached through `region` alone, which ends the process in every thread but one.
unsafe impl Sync for Bump {}

/// An address that no other living thread has. A clone of the process keeps it.
fn this_thread() -> usize {
    // Without a destructor this is reachable from the first instruction of a thread to its last, and allocates nothing.
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

impl Bump {
    /// An allocator that has asked the kernel for nothing so far.
    pub const fn new() -> Bump {
        Bump { owner: AtomicUsize::new(0), free: UnsafeCell::new(Region { next: 0, end: 0, lists: [0; LISTS] }) }
    }

    /// The memory to hand out.
    ///
    /// # Safety
    /// No other reference from this function is in use.
    #[allow(clippy::mut_from_ref, reason = "the cell is what makes it mutable; see the SAFETY note")]
    unsafe fn region(&self) -> &mut Region {
        let this = this_thread();
        if self.owner.load(Ordering::Relaxed) != this {
            // An exchange, because two threads can come first together.
            // accepts: no error: another owner ends the process.
            if let Err(_other) = self.owner.compare_exchange(0, this, Ordering::Relaxed, Ordering::Relaxed) {
                crate::calls::die(b"minirun: bug: memory was asked for by a second thread\n");
            }
        }
        // SAFETY: this is the only thread that gets here, and the caller has no other reference.
        unsafe { &mut *self.free.get() }
    }
}

impl Default for Bump {
    fn default() -> Bump {
        Bump::new()
    }
}

// SAFETY: blocks do not overlap, because `next` only moves over memory that was just handed out or given back last, and
// a block is on a list only between its `dealloc` and its next `alloc`; each is inside a mapping of its own size and has
// the whole size of its class, which the layout tells again; it is aligned as asked; a failed mapping gives null, as the
// trait demands.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if FORBIDDEN.load(Ordering::Relaxed) {
            crate::calls::die(b"minirun: bug: memory was asked for after clone3\n");
        }
        if let Some(size) = own_mapping(layout) {
            return crate::calls::map_memory(size).unwrap_or(0) as *mut u8;
        }
        let Some((size, list)) = class(layout.size()) else { return std::ptr::null_mut() };
        // SAFETY: it is not used after this call, and nothing that this call calls uses it.
        let region = unsafe { self.region() };
        let freed = region.lists[list];
        if freed != 0 && freed.is_multiple_of(layout.align()) {
            // SAFETY: a block on a list is nobody's, has at least GRAIN bytes, and begins with an address.
            region.lists[list] = unsafe { (freed as *const usize).read() };
            return freed as *mut u8;
        }
        let align = layout.align().max(GRAIN);
        let start = region.next.next_multiple_of(align);
        if let Some(end) = start.checked_add(size)
            && end <= region.end
        {
            region.next = end;
            return start as *mut u8;
        }
        let mapped = size.saturating_add(align).max(CHUNK);
        let Some(start) = crate::calls::map_memory(mapped) else { return std::ptr::null_mut() };
        let block = start.next_multiple_of(align);
        (region.next, region.end) = (block + size, start + mapped);
        block as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(size) = own_mapping(layout) {
            // SAFETY: the block is no longer anybody's, and is all that is mapped there.
            return unsafe { crate::calls::unmap_memory(block as usize, size) };
        }
        let Some((size, list)) = class(layout.size()) else { return };
        // SAFETY: as in `alloc`.
        let region = unsafe { self.region() };
        if block as usize + size == region.next {
            region.next = block as usize;
            return;
        }
        // SAFETY: the block is no longer anybody's, has at least GRAIN bytes, and is aligned to GRAIN.
        unsafe { block.cast::<usize>().write(region.lists[list]) };
        region.lists[list] = block as usize;
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Ok(new_layout) = Layout::from_size_align(new_size, layout.align()) else { return std::ptr::null_mut() };
        match (own_mapping(layout), own_mapping(new_layout)) {
            (None, None) => {
                let (Some((size, _)), Some((wanted, _))) = (class(layout.size()), class(new_size)) else {
                    return std::ptr::null_mut();
                };
                if size == wanted {
                    return block;
                }
                // SAFETY: as in `alloc`, which is called only after its last use.
                let region = unsafe { self.region() };
                let start = block as usize;
                if start + size == region.next && start.saturating_add(wanted) <= region.end {
                    region.next = start + wanted;
                    return block;
                }
            }
            (before, after) if before == after => return block,
            _ => {}
        }
        // SAFETY: the layout is valid, and both blocks hold the bytes that are copied and do not overlap.
        unsafe {
            let new = self.alloc(new_layout);
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(block, new, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep;

    /// What one round of a command that stays may do: blocks of many sizes, freed in another order.
    fn round(bump: &Bump) {
        let sizes = [1, 16, 17, 1000, 24, 1024, 1025, 5000, 300, 70_000];
        let layouts = sizes.map(|size| Layout::from_size_align(size, 8).unwrap());
        // SAFETY: every block is written within its layout, and freed once with the layout that it has then.
        unsafe {
            let blocks = layouts.map(|layout| {
                let block = bump.alloc(layout);
                assert!((block as usize).is_multiple_of(8));
                block.write_bytes(layout.size() as u8, layout.size());
                block
            });
            for (block, layout) in blocks.iter().zip(layouts) {
                let all = std::slice::from_raw_parts(*block, layout.size());
                assert!(all.iter().all(|byte| *byte == layout.size() as u8), "{layout:?}");
            }
            for (block, layout) in blocks.iter().zip(layouts) {
                let (larger, smaller) = (layout.size() * 3, layout.size() / 2 + 1);
                let block = bump.realloc(*block, layout, larger);
                let grown = Layout::from_size_align(larger, 8).unwrap();
                assert_eq!(*block, layout.size() as u8);
                let block = bump.realloc(block, grown, smaller);
                bump.dealloc(block, Layout::from_size_align(smaller, 8).unwrap());
            }
        }
    }

    #[test]
    fn a_loop_comes_to_rest() {
        let bump = Bump::new();
        (0..3).for_each(|_| round(&bump));
        let state = || {
            // SAFETY: the reference ends with the closure.
            let region = unsafe { bump.region() };
            region.next..region.end
        };
        let before = state();
        (0..1000).for_each(|_| round(&bump));
        assert_eq!(state(), before);
    }

    #[test]
    fn large_blocks_are_given_back() {
        let bump = Bump::new();
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        // SAFETY: each block is written within its layout, and freed once with the layout that it has then.
        unsafe {
            // Into a mapping of its own, within it, into another one, and back.
            let mut block = bump.alloc(layout(CHUNK - 1));
            block.write_bytes(7, CHUNK - 1);
            let mut size = CHUNK - 1;
            for wanted in [CHUNK + 1, CHUNK + 2, 40 * CHUNK, CHUNK + 5, CHUNK / 2] {
                block = bump.realloc(block, layout(size), wanted);
                assert!(std::slice::from_raw_parts(block, CHUNK / 2).iter().all(|byte| *byte == 7));
                size = wanted;
            }
            bump.dealloc(block, layout(size));
            for _ in 0..10_000 {
                let large = bump.alloc(layout(64 * CHUNK));
                large.write(1);
                bump.dealloc(large, layout(64 * CHUNK));
            }
        }
        // Everything that was touched would be more than this.
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let virtual_pages: usize = statm.split(' ').next().unwrap().parse().unwrap();
        assert!(virtual_pages < 10_000 * 64 * CHUNK / PAGE / 100);
    }

    #[test]
    fn large_alignments_are_kept() {
        let bump = Bump::new();
        let (plain, page) = (Layout::from_size_align(4096, 1).unwrap(), Layout::from_size_align(4096, 4096).unwrap());
        // SAFETY: each block is freed once, with its layout.
        unsafe {
            let (first, second) = (bump.alloc(plain), bump.alloc(plain));
            bump.dealloc(first, plain);
            assert!((bump.alloc(page) as usize).is_multiple_of(4096));
            bump.dealloc(second, plain);
        }
    }

    /// A block with the number that fills it.
    struct Block {
        start: *mut u8,
        layout: Layout,
        fill: u8,
    }

    impl Block {
        fn new(bump: &Bump, layout: Layout, fill: u8) -> Block {
            // SAFETY: the layout is not empty; the block is written within it.
            let start = unsafe { bump.alloc(layout) };
            assert!(!start.is_null() && (start as usize).is_multiple_of(layout.align()), "{layout:?}");
            Block { start, layout, fill }.filled()
        }

        fn filled(self) -> Block {
            // SAFETY: it is as large as its layout says.
            unsafe { self.start.write_bytes(self.fill, self.layout.size()) };
            self
        }

        /// Whether its first bytes are untouched.
        fn check(&self, length: usize) {
            // SAFETY: it is that long, and was written in full.
            let bytes = unsafe { std::slice::from_raw_parts(self.start, length) };
            assert!(bytes.iter().all(|byte| *byte == self.fill), "{:?} was written by another", self.layout);
        }

        fn resized(mut self, bump: &Bump, size: usize) -> Block {
            let kept = self.layout.size().min(size);
            // SAFETY: it is from this allocator, with this layout.
            self.start = unsafe { bump.realloc(self.start, self.layout, size) };
            self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
            assert!((self.start as usize).is_multiple_of(self.layout.align()), "{:?}", self.layout);
            self.check(kept);
            self.filled()
        }

        fn free(self, bump: &Bump) {
            self.check(self.layout.size());
            // SAFETY: it is from this allocator, with this layout, and not used any more.
            unsafe { bump.dealloc(self.start, self.layout) };
        }
    }

    fn some_size(random: &mut sweep::Random) -> usize {
        let near = |random: &mut sweep::Random, size: usize| size - 20 + random.index(40);
        match random.index(20) {
            0 => near(random, CHUNK),
            1 => near(random, 2 * CHUNK),
            2 => near(random, CHUNK / 2),
            3..6 => 1 + random.index(100_000),
            _ => 1 + random.index(1500),
        }
    }

    #[test]
    fn blocks_are_aligned_and_keep_their_bytes_whatever_is_asked_for() {
        let mut random = sweep::Random::for_test("alloc");
        for _ in 0..sweep::cases(3) {
            let (bump, mut blocks) = (Bump::new(), Vec::new());
            for _ in 0..2000 {
                let fill = random.next_number() as u8;
                match random.index(3) {
                    0 if blocks.len() < 60 => {
                        let align = 1 << [0, 3, 4, 6, 12, 14][random.index(6)];
                        let layout = Layout::from_size_align(some_size(&mut random), align).unwrap();
                        blocks.push(Block::new(&bump, layout, fill));
                    }
                    _ if blocks.is_empty() => {}
                    1 => {
                        let block: Block = blocks.swap_remove(random.index(blocks.len()));
                        blocks.push(block.resized(&bump, some_size(&mut random)));
                    }
                    _ => blocks.swap_remove(random.index(blocks.len())).free(&bump),
                }
            }
            blocks.into_iter().for_each(|block| block.free(&bump));
        }
    }
}
