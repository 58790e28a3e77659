//! The device filter of a cgroup: attached when the cgroup is created, and replaced when its rules change.

use std::os::fd::{AsFd, OwnedFd};

use minirun_plan::{DeviceFilter, Origin};
use minirun_sys::{
    Errno, bpf_attach_device_filter, bpf_detach_device_filter, bpf_device_filters, bpf_load_device_filter,
    bpf_own_device_filter,
};

use crate::{Cgroup, CgroupError, Result};

/// The replaced filter, and its replacement; none allows every device.
#[derive(Debug)]
pub struct FormerDevices {
    former: Option<OwnedFd>,
    new: Option<OwnedFd>,
}

impl Cgroup {
    /// Loads the device filter and attaches it beside the existing ones, which must all allow an access.
    ///
    /// # Errors
    ///
    /// Fails if bpf(2) fails, for lack of privileges or of `CONFIG_CGROUP_BPF`.
    pub fn attach_devices(&self, filter: &DeviceFilter) -> Result<()> {
        let program = self.load(filter)?;
        self.exchange(None, Some(&program))
    }

    /// Atomically replaces the filter that [`Cgroup::attach_devices`] attached; without a new one every device is
    /// allowed. Filters of other programs stay.
    ///
    /// # Errors
    ///
    /// Fails as [`Cgroup::attach_devices`]; the former filter then stays.
    pub fn replace_devices(&self, filter: Option<&DeviceFilter>) -> Result<FormerDevices> {
        let new = filter.map(|filter| self.load(filter)).transpose()?;
        let former = self.own_filter()?;
        self.exchange(former.as_ref(), new.as_ref())?;
        Ok(FormerDevices { former, new })
    }

    /// Undoes [`Cgroup::replace_devices`].
    ///
    /// # Errors
    ///
    /// Fails if bpf(2) fails.
    pub fn restore_devices(&self, devices: &FormerDevices) -> Result<()> {
        self.exchange(devices.new.as_ref(), devices.former.as_ref())
    }

    fn own_filter(&self) -> Result<Option<OwnedFd>> {
        for id in bpf_device_filters(self.dir.as_fd()).map_err(self.failed("list the device filters of"))? {
            match bpf_own_device_filter(id) {
                Ok(None) | Err(Errno::ENOENT) => {}
                answer => return answer.map_err(self.failed("open the device filter of")),
            }
        }
        Ok(None)
    }

    fn load(&self, filter: &DeviceFilter) -> Result<OwnedFd> {
        bpf_load_device_filter(&filter.program).map_err(self.failed("load the device filter for"))
    }

    fn exchange(&self, old: Option<&OwnedFd>, new: Option<&OwnedFd>) -> Result<()> {
        let cgroup = self.dir.as_fd();
        match (old, new) {
            (old, Some(new)) => bpf_attach_device_filter(cgroup, new.as_fd(), old.map(AsFd::as_fd))
                .map_err(self.failed("attach the device filter to")),
            (Some(old), None) => {
                bpf_detach_device_filter(cgroup, old.as_fd()).map_err(self.failed("detach the device filter from"))
            }
            (None, None) => Ok(()),
        }
    }

    fn failed(&self, operation: &'static str) -> impl Fn(Errno) -> CgroupError {
        move |errno| {
            let hint = match errno {
                Errno::EPERM => "run as root in the initial user namespace",
                Errno::EINVAL | Errno::ENOSYS => "use a kernel with CONFIG_CGROUP_BPF",
                _ => "",
            };
            let error = CgroupError::new(operation, self.path(), errno).hint(hint);
            error.origin(&Origin::of("linux.resources.devices"))
        }
    }
}
