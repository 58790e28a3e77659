//! Filters that the kernel runs: seccomp, and BPF for the devices of a cgroup.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use super::{check, check_fd, syscall};
use crate::Result;

/// seccomp(2) with `SECCOMP_SET_MODE_FILTER` and these `SECCOMP_FILTER_FLAG_*` bits, for this thread and its children. A
/// program is made of `struct sock_filter`, one per element. The answer is a listener, if the flags ask for one.
pub fn seccomp_set_filter(flags: u32, program: &[u64]) -> Result<Option<OwnedFd>> {
    const SET_MODE_FILTER: libc::c_uint = 1;
    const NEW_LISTENER: u32 = 1 << 3;
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel reads the struct and the instructions that it counts, copying them.
    let answer = unsafe { syscall!(SYS_seccomp, SET_MODE_FILTER, flags, &raw const program) };
    if flags & NEW_LISTENER == 0 {
        return check(answer).map(|_| None);
    }
    // SAFETY: with that flag the answer is a new descriptor.
    unsafe { check_fd(answer) }.map(Some)
}

/// The instruction format of classic and extended BPF differs; this is one extended one, as the kernel's header has it.
pub type BpfInstruction = u64;

/// The name of our filters, as the kernel shows it.
const NAME: [u8; 16] = *b"minirun_devices\0";

/// `BPF_PROG_LOAD` of a `BPF_PROG_TYPE_CGROUP_DEVICE` program (bpf(2)).
pub fn bpf_load_device_filter(program: &[BpfInstruction]) -> Result<OwnedFd> {
    const PROG_LOAD: libc::c_int = 5;
    const CGROUP_DEVICE: u32 = 15;
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
    }
    let load = Load {
        kind: CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: NAME,
    };
    // SAFETY: the kernel reads a struct of this size, the instructions that it counts and the string. The answer is a new
    // descriptor.
    unsafe { check_fd(syscall!(SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>())) }
}

const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;
const REPLACE: u32 = 4;

/// `BPF_PROG_ATTACH` of a device filter to a cgroup, beside those that are there (`BPF_F_ALLOW_MULTI`), or in place of one
/// of them (`BPF_F_REPLACE`).
pub fn bpf_attach_device_filter(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> Result<()> {
    const PROG_ATTACH: libc::c_int = 8;
    let flags = if replaced.is_some() { ALLOW_MULTI | REPLACE } else { ALLOW_MULTI };
    let replaced = replaced.map_or(0, |program| program.as_raw_fd() as u32);
    let attach = [cgroup.as_raw_fd() as u32, program.as_raw_fd() as u32, CGROUP_DEVICE, flags, replaced];
    // SAFETY: the kernel reads an array of this size.
    check(unsafe { syscall!(SYS_bpf, PROG_ATTACH, attach.as_ptr(), size_of_val(&attach)) }).map(drop)
}

/// `BPF_PROG_DETACH` of a device filter from a cgroup.
pub fn bpf_detach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    const PROG_DETACH: libc::c_int = 9;
    let detach = [cgroup.as_raw_fd() as u32, program.as_raw_fd() as u32, CGROUP_DEVICE, 0, 0];
    // SAFETY: the kernel reads an array of this size.
    check(unsafe { syscall!(SYS_bpf, PROG_DETACH, detach.as_ptr(), size_of_val(&detach)) }).map(drop)
}

/// `BPF_PROG_QUERY`: the ids of the device filters that are attached to a cgroup itself.
pub fn bpf_device_filters(cgroup: BorrowedFd<'_>) -> Result<Vec<u32>> {
    const PROG_QUERY: libc::c_int = 16;
    #[repr(C)]
    struct Query {
        cgroup: u32,
        kind: u32,
        flags: u32,
        attach_flags: u32,
        ids: u64,
        count: u32,
        padding: u32,
    }
    // The kernel attaches 64 to a cgroup at most (BPF_CGROUP_MAX_PROGS).
    let mut ids = [0u32; 64];
    let mut query = Query {
        cgroup: cgroup.as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: ids.len() as u32,
        padding: 0,
    };
    // SAFETY: the kernel reads and writes a struct of this size, and writes as many ids as that counts.
    check(unsafe { syscall!(SYS_bpf, PROG_QUERY, &raw mut query, size_of::<Query>()) })?;
    Ok(ids[..(query.count as usize).min(ids.len())].to_vec())
}

/// `BPF_PROG_GET_FD_BY_ID`, for a program that was loaded under the name of [`bpf_load_device_filter`]; none for another.
pub fn bpf_own_device_filter(id: u32) -> Result<Option<OwnedFd>> {
    const GET_FD_BY_ID: libc::c_int = 13;
    const GET_INFO_BY_FD: libc::c_int = 15;
    /// Where `struct bpf_prog_info` has the name.
    const NAME_AT: usize = 64;
    let get = [id, 0, 0];
    // SAFETY: the kernel reads an array of this size, and answers with a new descriptor.
    let program = unsafe { check_fd(syscall!(SYS_bpf, GET_FD_BY_ID, get.as_ptr(), size_of_val(&get))) }?;
    #[repr(C)]
    struct Ask {
        program: u32,
        length: u32,
        info: u64,
    }
    #[repr(C, align(8))]
    struct Info([u8; NAME_AT + 16]);
    let mut info = Info([0; NAME_AT + 16]);
    let length = size_of::<Info>() as u32;
    let ask = Ask { program: program.as_raw_fd() as u32, length, info: info.0.as_mut_ptr() as u64 };
    // SAFETY: the kernel reads a struct of this size, and writes as many bytes of information as that says.
    check(unsafe { syscall!(SYS_bpf, GET_INFO_BY_FD, &raw const ask, size_of::<Ask>()) })?;
    Ok((info.0[NAME_AT..] == NAME).then_some(program))
}
