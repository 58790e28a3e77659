//! The messages between init and its parent: fixed sizes, no serialisation.

use std::os::fd::BorrowedFd;

use minirun_sys as sys;
use minirun_sys::Errno;

/// Parent to init: go on.
pub(crate) const GO: u8 = b'G';
/// Parent to init: the record is safe, do not die with me any more.
pub(crate) const COMMIT: u8 = b'C';
/// To init: execute the program.
pub(crate) const START: u8 = b'S';

/// Bytes in a [`Record`].
pub(crate) const RECORD: usize = 1024;
/// Bytes before a record's texts.
const HEAD: usize = 48;
/// Bytes of each of a record's two texts.
pub(crate) const DETAIL: usize = (RECORD - HEAD) / 2;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Init is there. Its sender is told from the credentials that come with the message.
    Hello = 1,
    /// Every step up to the start is done.
    Created = 2,
    /// A step failed, and init ends.
    Failed = 3,
    /// The parent may run its hooks.
    AtHooks = 4,
    /// Init outlives its parent from here on.
    Kept = 5,
    /// Init begins a step. Sent only where somebody watches.
    Step = 6,
    /// A seccomp filter notifies on the descriptor whose number is in the place of the step; init waits for [`GO`].
    Listener = 7,
    /// Init is about to run startContainer hooks under a seccomp filter.
    Hooks = 8,
    /// It has run them.
    HooksDone = 9,
}

/// A message of init.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    /// Index of the step.
    pub(crate) step: u32,
    /// Which system call.
    pub(crate) call: u32,
    /// Its error number; 0 where no call failed.
    pub(crate) errno: i32,
    /// Which option of the step, counted from 1; 0 for none.
    pub(crate) option: u32,
    /// When the step before this one began and ended ([`minirun_sys::now`]); 0 where there was none.
    pub(crate) former: (u64, u64),
    /// The step in words, for those who have no plan.
    pub(crate) subject: Detail,
    /// What the kernel or the step says beyond that, cut at [`DETAIL`] bytes.
    pub(crate) detail: Detail,
}

/// A text that is made without asking for memory.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    bytes: [u8; DETAIL],
    length: usize,
}

impl Detail {
    pub(crate) const fn new() -> Detail {
        Detail { bytes: [0; DETAIL], length: 0 }
    }

    /// Appends as much as there is room for.
    pub(crate) fn push(&mut self, text: &[u8]) {
        let end = (self.length + text.len()).min(DETAIL);
        let fits = end - self.length;
        self.bytes[self.length..end].copy_from_slice(&text[..fits]);
        self.length = end;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Record {
    pub(crate) const fn of(kind: Kind) -> Record {
        let (subject, detail) = (Detail::new(), Detail::new());
        Record { kind, step: 0, call: 0, errno: 0, option: 0, former: (0, 0), subject, detail }
    }

    /// Sends it; an error means that the parent is gone.
    pub(crate) fn send(&self, channel: BorrowedFd<'_>) -> sys::Result<()> {
        let mut bytes = [0u8; RECORD];
        bytes[0..4].copy_from_slice(&(self.kind as u32).to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.step.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.call.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.errno.to_ne_bytes());
        bytes[16..20].copy_from_slice(&self.option.to_ne_bytes());
        bytes[20..24].copy_from_slice(&(self.subject.length as u32).to_ne_bytes());
        bytes[24..28].copy_from_slice(&(self.detail.length as u32).to_ne_bytes());
        bytes[32..40].copy_from_slice(&self.former.0.to_ne_bytes());
        bytes[40..48].copy_from_slice(&self.former.1.to_ne_bytes());
        bytes[HEAD..HEAD + DETAIL].copy_from_slice(&self.subject.bytes);
        bytes[HEAD + DETAIL..].copy_from_slice(&self.detail.bytes);
        sys::write(channel, &bytes).map(drop)
    }

    /// Reads one back; none when the bytes are not a record.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Record> {
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let kind = match word(0)? {
            1 => Kind::Hello,
            2 => Kind::Created,
            3 => Kind::Failed,
            4 => Kind::AtHooks,
            5 => Kind::Kept,
            6 => Kind::Step,
            7 => Kind::Listener,
            8 => Kind::Hooks,
            9 => Kind::HooksDone,
            _ => return None,
        };
        let time = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let text = |start: usize, length: u32| {
            let mut text = Detail::new();
            text.push(bytes.get(start..start.checked_add(length as usize)?)?);
            Some(text)
        };
        let (subject, detail) = (text(HEAD, word(20)?)?, text(HEAD + DETAIL, word(24)?)?);
        let (step, call, errno, option) = (word(4)?, word(8)?, word(12)? as i32, word(16)?);
        Some(Record { kind, step, call, errno, option, former: (time(32)?, time(40)?), subject, detail })
    }
}

/// Waits for a word from the other side: true when it came, false when the other side is gone.
pub(crate) fn await_word(channel: BorrowedFd<'_>, word: u8) -> bool {
    // accepts: any error, which counts as the end of the other side: init ends.
    read_word(channel).is_ok_and(|came| came == Some(word))
}

/// The next word from the other side; none when that is gone.
pub(crate) fn read_word(channel: BorrowedFd<'_>) -> sys::Result<Option<u8>> {
    let mut buffer = [0u8; 8];
    loop {
        match sys::read(channel, &mut buffer) {
            Ok(length) => return Ok((length > 0).then_some(buffer[0])),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Names the calls that a step can fail in, so that a record holds a number and a message a name.
macro_rules! calls {
    ($($variant:ident $name:literal),* $(,)?) => {
        /// A system call of init, or a check of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Call { $($variant),* }

        impl Call {
            const ALL: &[(Call, &str)] = &[$((Call::$variant, $name)),*];

            /// Its name as in section 2 of the manual; empty for a check.
            pub(crate) fn name_of(number: u32) -> &'static str {
                Call::ALL.get(number as usize).map_or("", |(_, name)| name)
            }
        }
    };
}

calls! {
    Check "", Open "open", Openat2 "openat2", Mkdir "mkdirat", Mknod "mknodat", Symlink "symlinkat", Unlink "unlinkat",
    Chown "fchownat", Chmod "fchmod", Stat "stat", Statfs "fstatfs", Setxattr "fsetxattr", Read "read", Write "write",
    Getdents "getdents64", Readlink "readlinkat", OpenTree "open_tree", MoveMount "move_mount", Fsopen "fsopen",
    Fsconfig "fsconfig", Fsmount "fsmount", Fspick "fspick", MountSetattr "mount_setattr", Mount "mount",
    Umount "umount2", PivotRoot "pivot_root", Chroot "chroot", Chdir "chdir", Fchdir "fchdir", Getcwd "getcwd",
    Setns "setns", Sethostname "sethostname", Setdomainname "setdomainname", Setrlimit "prlimit64", Setgroups "setgroups",
    Setgid "setresgid", Setuid "setresuid", Capset "capset", Prctl "prctl", Keyctl "keyctl", Setsid "setsid",
    Accept "accept4", CloseRange "close_range", Sigaction "rt_sigaction", Sigprocmask "rt_sigprocmask", Execve "execve", Clone "clone3", ClonePlain "clone", Socketpair "socketpair", Recvmsg "recvmsg", Dup "dup3", Seek "lseek", Poll "ppoll", Wait "wait4", Ioctl "ioctl", Fchown "fchown", Sendmsg "sendmsg",
    SetMempolicy "set_mempolicy", Personality "personality", Seccomp "seccomp", Unshare "unshare", Getresuid "getresuid", Getresgid "getresgid",
    Getgroups "getgroups", Capget "capget", Statx "statx",
}

/// Why a step failed: a call with its error number, or a check with its words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) call: Call,
    pub(crate) errno: i32,
    pub(crate) text: &'static str,
}

impl From<sys::TooLong> for Fault {
    fn from(_: sys::TooLong) -> Fault {
        Fault::check("too long")
    }
}

impl Fault {
    /// A check that did not hold.
    pub(crate) const fn check(text: &'static str) -> Fault {
        Fault { call: Call::Check, errno: 0, text }
    }

    /// Whether this call failed with this number.
    pub(crate) fn is(&self, errno: Errno) -> bool {
        self.errno == errno as i32
    }
}

/// Names the call whose result this is.
pub(crate) trait In<T> {
    fn in_call(self, call: Call) -> Result<T, Fault>;
}

impl<T> In<T> for sys::Result<T> {
    fn in_call(self, call: Call) -> Result<T, Fault> {
        self.map_err(|errno| Fault { call, errno: errno as i32, text: "" })
    }
}

/// The decimal digits of a number, with a NUL, in memory of its own.
pub(crate) struct Decimal([u8; 12], usize);

impl Decimal {
    pub(crate) fn of(number: u32) -> Decimal {
        let (mut text, mut at, mut rest) = ([0u8; 12], 11, number);
        loop {
            at -= 1;
            text[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return Decimal(text, at);
            }
        }
    }

    pub(crate) fn digits(&self) -> &[u8] {
        &self.0[self.1..11]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep;

    #[test]
    fn a_record_survives_the_wire() {
        let mut record = Record::of(Kind::Failed);
        (record.step, record.call, record.errno) = (7, 3, 13);
        record.detail.push(b"tmpfs: Bad value for 'size'");
        let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
        record.send(std::os::fd::AsFd::as_fd(&ours)).unwrap();
        let mut bytes = [0; RECORD];
        theirs.recv(&mut bytes).unwrap();
        let back = Record::parse(&bytes).unwrap();
        assert_eq!((back.kind, back.step, back.call, back.errno), (Kind::Failed, 7, 3, 13));
        assert_eq!(back.detail.as_bytes(), b"tmpfs: Bad value for 'size'");
    }

    #[test]
    fn decimals_are_plain() {
        for number in [0, 7, 10, 4_294_967_295] {
            assert_eq!(Decimal::of(number).digits(), number.to_string().as_bytes());
        }
    }

    /// Sends a record, and returns its bytes.
    fn bytes_of(record: &Record) -> [u8; RECORD] {
        let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
        record.send(std::os::fd::AsFd::as_fd(&ours)).unwrap();
        let mut bytes = [0; RECORD];
        assert_eq!(theirs.recv(&mut bytes).unwrap(), RECORD);
        bytes
    }

    #[test]
    fn any_record_survives_the_wire_and_any_bytes_are_read_or_refused() {
        let mut random = sweep::Random::for_test("wire");
        for _ in 0..sweep::cases(2000) {
            let mut record = Record::of(Kind::Step);
            (record.step, record.call, record.option) =
                (random.next_number() as u32, random.next_number() as u32, random.next_number() as u32);
            (record.errno, record.former) = (random.next_number() as i32, (random.next_number(), random.next_number()));
            for text in [&mut record.subject, &mut record.detail] {
                let length = random.index(2 * DETAIL);
                text.push(&random.bytes(length));
            }
            let bytes = bytes_of(&record);
            let back = Record::parse(&bytes).unwrap();
            assert_eq!(format!("{back:?}"), format!("{record:?}"));
            for text in [random.damaged(&bytes, &[0, 1, 9, 10, 0xff]), random.bytes(RECORD)] {
                if let Some(read) = Record::parse(&text) {
                    assert!(read.subject.as_bytes().len().max(read.detail.as_bytes().len()) <= DETAIL);
                    assert_eq!(Record::parse(&bytes_of(&read)).map(|again| again.step), Some(read.step));
                }
            }
        }
    }
}
