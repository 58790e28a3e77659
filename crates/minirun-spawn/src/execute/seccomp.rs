//! The seccomp filter. After it init makes no call but execve; where there is a listener also a write, a read and a close, and
//! where there are startContainer hooks what their running takes.

use std::os::fd::{AsRawFd, OwnedFd};

use minirun_plan::SeccompFilter;
use minirun_sys as sys;
use minirun_sys::Errno;

use super::Executor;
use crate::wire::{Call, Fault, GO, In, Kind, Record, await_word};

/// What may have made a call of init fail once the filter is loaded.
pub(super) const BLAME: &[u8] = b" (linux.seccomp must allow what init does to run startContainer hooks)";

impl Executor<'_> {
    pub(crate) fn load_filter(
        &mut self,
        filter: &SeccompFilter,
        privileges: Option<(u64, u64, u64)>,
        after: Option<(u64, u64, u64)>,
    ) -> Result<(), Fault> {
        self.reset_signals()?;
        if !self.plan.hooks.start_container.is_empty() {
            // The filter may end init while it runs them, and the end of file would look like an execve.
            Record::of(Kind::Hooks).send(self.audience()).in_call(Call::Write)?;
        }
        if let Some((effective, permitted, inheritable)) = privileges {
            sys::capset(effective, permitted, inheritable).in_call(Call::Capset)?;
        }
        let listener = sys::seccomp_set_filter(filter.flags, &filter.program).inspect_err(|errno| {
            self.detail.push(match errno {
                Errno::EACCES => b" (without noNewPrivileges it requires CAP_SYS_ADMIN)",
                Errno::EINVAL => b" (this kernel lacks a flag or an action of the profile)",
                Errno::EBUSY => b" (another filter of this process has a listener)",
                _ => b"",
            });
        });
        let listener = listener.in_call(Call::Seccomp)?;
        self.filtered = true;
        if let Some(listener) = listener {
            self.hand_over(listener);
        }
        let Some((effective, permitted, inheritable)) = after else { return Ok(()) };
        let done = sys::capset(effective, permitted, inheritable).in_call(Call::Capset);
        done.inspect_err(|_| self.detail.push(BLAME))
    }

    /// Has the filter's listener taken by the process that starts init.
    fn hand_over(&self, listener: OwnedFd) {
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
    }
}
