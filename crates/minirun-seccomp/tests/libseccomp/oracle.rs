//! libseccomp, loaded while the tests run: no crate depends on it.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::sync::OnceLock;

use minirun_seccomp::{ACTIONS, Machine, OPERATORS, Profile, Syscall};

use crate::interpreter::Data;
use crate::meaning::behind;

/// `struct scmp_arg_cmp`.
#[repr(C)]
struct Comparison {
    index: c_uint,
    operator: c_int,
    one: u64,
    two: u64,
}

type Context = *mut c_void;

/// The functions of seccomp.h that the tests use.
pub struct Oracle {
    init: unsafe extern "C" fn(u32) -> Context,
    release: unsafe extern "C" fn(Context),
    arch_add: unsafe extern "C" fn(Context, u32) -> c_int,
    rule_add: unsafe extern "C" fn(Context, u32, c_int, c_uint, *const Comparison) -> c_int,
    export: unsafe extern "C" fn(Context, c_int) -> c_int,
    resolve: unsafe extern "C" fn(*const c_char) -> c_int,
    resolve_in: unsafe extern "C" fn(u32, *const c_char) -> c_int,
}

/// `SCMP_ARCH_*` of seccomp.h: `AUDIT_ARCH_*`, but for x32.
pub fn token(architecture: &str) -> u32 {
    match architecture {
        "SCMP_ARCH_X86_64" => 0xc000_003e,
        "SCMP_ARCH_X32" => 0x4000_003e,
        "SCMP_ARCH_X86" => 0x4000_0003,
        "SCMP_ARCH_AARCH64" => 0xc000_00b7,
        "SCMP_ARCH_ARM" => 0x4000_0028,
        "SCMP_ARCH_RISCV64" => 0xc000_00f3,
        other => panic!("no token for {other}"),
    }
}

/// The architectures of x86_64, in the order of the tables here.
pub const ARCHITECTURES: [&str; 3] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_X86"];

/// Returns the number of a call in minirun's tables, which another test compares with libseccomp's.
pub fn number_of(architecture: &str, name: &str) -> Option<u32> {
    static NUMBERS: OnceLock<HashMap<(&str, &str), u32>> = OnceLock::new();
    let numbers = NUMBERS.get_or_init(|| {
        Machine::X86_64.calls().map(|(architecture, name, number)| ((architecture, name), number)).collect()
    });
    numbers.get(&(architecture, name)).copied()
}

/// Returns the name of a call number.
pub fn name_of(architecture: &str, number: u32) -> Option<&'static str> {
    static NAMES: OnceLock<HashMap<(&str, u32), &str>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        Machine::X86_64.calls().map(|(architecture, name, number)| ((architecture, number), name)).collect()
    });
    names.get(&(architecture, number)).copied()
}

/// Returns the answer for an action of a profile.
pub fn answer(action: &str, number: Option<u32>) -> u32 {
    let (_, bits) = ACTIONS.iter().find(|(name, _)| *name == action).unwrap();
    let numbered = matches!(action, "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE");
    if numbered { bits | number.unwrap_or(1) } else { *bits }
}

/// Whether the program has a bug of libseccomp 2.5.4: for some profiles with x32 it uses the architecture as the number
/// of the call.
pub fn forgets_to_load(program: &[u64]) -> bool {
    const LOAD_NUMBER: u64 = 0x20;
    const EQUAL: u16 = 0x15;
    let entry = program.iter().position(|code| *code as u16 == EQUAL && (code >> 32) as u32 == token(ARCHITECTURES[0]));
    entry.is_some_and(|at| program[at + 1 + (program[at] >> 16 & 0xff) as usize] != LOAD_NUMBER)
}

/// # Safety
/// The symbol must be a function of this type.
unsafe fn function<F>(symbol: *mut c_void) -> F {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: by the caller's promise; a function pointer is as large as the symbol's address.
    unsafe { std::mem::transmute_copy(&symbol) }
}

impl Oracle {
    pub fn load() -> Oracle {
        // SAFETY: the library's constructors do nothing but initialise it; the symbols have the types of seccomp.h.
        unsafe {
            let library = libc::dlopen(c"libseccomp.so.2".as_ptr(), libc::RTLD_NOW);
            assert!(!library.is_null(), "libseccomp.so.2 is missing: runtime-tests/install-packages libseccomp2");
            let symbol = |name: &CStr| {
                let found = libc::dlsym(library, name.as_ptr());
                assert!(!found.is_null(), "libseccomp lacks {name:?}");
                found
            };
            Oracle {
                init: function(symbol(c"seccomp_init")),
                release: function(symbol(c"seccomp_release")),
                arch_add: function(symbol(c"seccomp_arch_add")),
                rule_add: function(symbol(c"seccomp_rule_add_array")),
                export: function(symbol(c"seccomp_export_bpf")),
                resolve: function(symbol(c"seccomp_syscall_resolve_name")),
                resolve_in: function(symbol(c"seccomp_syscall_resolve_name_arch")),
            }
        }
    }

    /// Returns the number of a call as a filter sees it; none if libseccomp does not know it there.
    pub fn number(&self, architecture: &str, name: &str) -> Option<u32> {
        let name = CString::new(name).unwrap();
        // SAFETY: the name is a C string.
        let number = unsafe { (self.resolve_in)(token(architecture), name.as_ptr()) };
        u32::try_from(number).ok()
    }

    /// Returns the program that libseccomp compiles from a profile, called as by runc; none if it refuses.
    pub fn compile(&self, profile: &Profile) -> Option<Vec<u64>> {
        let default = answer(profile.default_action.as_deref().unwrap(), profile.default_errno_ret);
        // SAFETY: the context is valid from init to release, and each pointer outlives its call.
        unsafe {
            let context = (self.init)(default);
            assert!(!context.is_null());
            for architecture in profile.architectures.iter().flatten() {
                // It can exist already, like the native one.
                (self.arch_add)(context, token(architecture));
            }
            let taken = profile.syscalls.iter().flatten().all(|syscall| self.add(context, syscall, default));
            let program = taken.then(|| {
                let mut file = File::from_raw_fd(libc::memfd_create(c"program".as_ptr(), libc::MFD_CLOEXEC));
                assert_eq!((self.export)(context, file.as_raw_fd()), 0);
                let mut bytes = Vec::new();
                file.rewind().unwrap();
                file.read_to_end(&mut bytes).unwrap();
                bytes.chunks_exact(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap())).collect()
            });
            (self.release)(context);
            program
        }
    }

    /// Adds a rule for each name, unless its action is the default.
    unsafe fn add(&self, context: Context, syscall: &Syscall, default: u32) -> bool {
        let answer = answer(&syscall.action, syscall.errno_ret);
        if answer == default {
            return true;
        }
        let comparisons: Vec<Comparison> = syscall
            .args
            .iter()
            .flatten()
            .map(|argument| Comparison {
                index: argument.index,
                operator: 1 + OPERATORS.iter().position(|known| *known == argument.op).unwrap() as c_int,
                one: argument.value,
                two: argument.value_two,
            })
            .collect();
        let twice =
            comparisons.iter().enumerate().any(|(i, one)| comparisons[..i].iter().any(|c| c.index == one.index));
        let each = if twice { 1 } else { comparisons.len().max(1) };
        syscall.names.iter().all(|name| {
            let name = CString::new(name.as_str()).unwrap();
            // SAFETY: the context is valid, and the arrays have the given lengths.
            unsafe {
                let number = (self.resolve)(name.as_ptr());
                let add =
                    |part: &[Comparison]| (self.rule_add)(context, answer, number, part.len() as c_uint, part.as_ptr());
                if comparisons.is_empty() { add(&[]) == 0 } else { comparisons.chunks(each).all(|part| add(part) == 0) }
            }
        })
    }

    /// Returns the newest call that a profile names, for each architecture, computed as in runc.
    pub fn newest(&self, profile: &Profile) -> [Option<u32>; 3] {
        ARCHITECTURES.map(|architecture| {
            // libseccomp does not return the separate numbers of calls behind socketcall and ipc, nor that of the
            // multiplexing call. runc then treats these as new although the profile names them.
            let own = |name: &String| self.number(architecture, name).or(number_of(architecture, name));
            let number = |name: &String| own(name).max(behind(architecture, name));
            profile.syscalls.iter().flatten().flat_map(|syscall| &syscall.names).filter_map(number).max()
        })
    }

    /// Returns the answer of the prefix that runc adds to libseccomp's program: calls newer than those of the profile
    /// do not exist.
    pub fn newer(profile: &Profile, newest: [Option<u32>; 3], data: &Data) -> Option<u32> {
        if matches!(profile.default_action.as_deref(), Some("SCMP_ACT_ALLOW" | "SCMP_ACT_LOG" | "SCMP_ACT_TRACE")) {
            return None;
        }
        let x32 = data.number & 0x4000_0000 != 0;
        let at = match data.architecture {
            0xc000_003e if x32 => 1,
            0xc000_003e => 0,
            0x4000_0003 => 2,
            _ => return None,
        };
        // runc skips the native architecture if it is not listed; minirun does not.
        let listed = profile.architectures.iter().flatten().any(|name| name == ARCHITECTURES[at]);
        ((at == 0 || listed) && data.number > newest[at]?).then_some(0x0005_0026)
    }
}
