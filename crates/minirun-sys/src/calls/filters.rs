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
    let answer = syscall!(SYS_seccomp, SET_MODE_FILTER, flags, &raw const program);
    if flags & NEW_LISTENER != 0 { check_fd(answer).map(Some) } else { check(answer).map(|_| None) }
}

/// The instruction format of classic and extended BPF differs; this is one extended one, as the kernel's header has it.
pub type BpfInstruction = u64;

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
        name: *b"minirun_devices\0",
    };
    check_fd(syscall!(SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()))
}

/// `BPF_PROG_ATTACH` of a device filter to a cgroup, beside those that are there (`BPF_F_ALLOW_MULTI`).
pub fn bpf_attach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    const PROG_ATTACH: libc::c_int = 8;
    const CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    let attach = [cgroup.as_raw_fd() as u32, program.as_raw_fd() as u32, CGROUP_DEVICE, ALLOW_MULTI, 0];
    check(syscall!(SYS_bpf, PROG_ATTACH, attach.as_ptr(), size_of_val(&attach))).map(drop)
}
