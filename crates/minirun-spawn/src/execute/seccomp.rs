//! The seccomp filter. After it init makes no call but execve, and where there is a listener a write, a read and a
//! close.

use std::os::fd::AsRawFd;

use minirun_plan::SeccompFilter;
use minirun_sys as sys;
use minirun_sys::Errno;

use super::Executor;
use crate::wire::{Call, Fault, GO, In, Kind, Record, await_word};

impl Executor<'_> {
    pub(crate) fn load_filter(
        &mut self,
        filter: &SeccompFilter,
        privileges: Option<(u64, u64, u64)>,
        after: Option<(u64, u64, u64)>,
    ) -> Result<(), Fault> {
        self.reset_signals()?;
        if let Some((effective, permitted, inheritable)) = privileges {
            sys::capset(effective, permitted, inheritable).in_call(Call::Capset)?;
        }
        let listener = sys::seccomp_set_filter(filter.flags, &filter.program).inspect_err(|errno| {
            self.detail.push(match errno {
                Errno::EACCES => b" (without noNewPrivileges it takes CAP_SYS_ADMIN)",
                Errno::EINVAL => b" (this kernel lacks a flag or an action of the profile)",
                Errno::EBUSY => b" (another filter of this process has a listener)",
                _ => b"",
            });
        });
        let listener = listener.in_call(Call::Seccomp)?;
        if let Some((effective, permitted, inheritable)) = after {
            sys::capset(effective, permitted, inheritable).in_call(Call::Capset)?;
        }
        let Some(listener) = listener else { return Ok(()) };
        // Handing it over by itself would take a sendmsg, about which nobody may answer yet.
        let mut record = Record::of(Kind::Listener);
        record.step = listener.as_raw_fd() as u32;
        // accepts: any error; without an agent init ends.
        let gone = record.send(self.audience()).is_err();
        if gone || !await_word(self.audience(), GO) {
            sys::exit(1)
        }
        // Not only on execve: about that the agent may be asked, and if it has gone away, the kernel must know.
        drop(listener);
        Ok(())
    }
}
