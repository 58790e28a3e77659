//! Who init is: user and group, capabilities, keyring.

use std::ffi::CStr;

use minirun_sys as sys;
use minirun_sys::Errno;

use crate::child::{arm_death_signal, make_unreadable};
use crate::wire::{Call, Decimal, Detail, Fault, In};

/// Becomes the root of a user namespace: files that init makes belong to the container's root.
pub(crate) fn become_root(uid: u32, gid: u32) -> Result<(), Fault> {
    sys::setgid(gid).in_call(Call::Setgid)?;
    sys::setuid(uid).in_call(Call::Setuid)?;
    arm_death_signal()?;
    make_unreadable()
}

/// A session keyring that only the container has.
pub(crate) fn session_keyring(name: &CStr) -> Result<(), Fault> {
    // What a named keyring gets anyway (KEY_POS_ALL KEY_USR_VIEW, READ and LINK), and searching for its
    // owner, as runc grants it.
    const PERMISSIONS: u32 = 0x3f1b_0000;
    match sys::join_session_keyring(name) {
        Ok(serial) => sys::set_key_permissions(serial, PERMISSIONS).in_call(Call::Keyctl),
        // A kernel without keyrings has none to hide.
        Err(Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno).in_call(Call::Keyctl),
    }
}

/// Only what is made for one reader: chown of a file would outlast the container.
pub(crate) fn own_streams(uid: u32) -> Result<(), Fault> {
    for stream in sys::Standard::ALL {
        let stream = stream.fd();
        // accepts: EBADF; a closed stream has no owner. Not given away, it is only less usable.
        let Ok(stat) = sys::fstat(stream) else { continue };
        let null = stat.st_rdev == libc::makedev(1, 3);
        let ours = match stat.st_mode & libc::S_IFMT {
            libc::S_IFIFO | libc::S_IFSOCK => true,
            libc::S_IFCHR => !null,
            _ => false,
        };
        if !ours || stat.st_uid == uid {
            continue;
        }
        match sys::fchown(stream, uid, stat.st_gid) {
            // A stream that cannot be given away can still be used as it is.
            Ok(()) | Err(Errno::EPERM | Errno::EROFS | Errno::EINVAL) => {}
            Err(errno) => return Err(errno).in_call(Call::Fchown),
        }
    }
    Ok(())
}

/// umask(2) answers with the former mask and knows no error, so a second call tells whether the first was carried out.
pub(crate) fn set_umask(mask: u32) -> Result<(), Fault> {
    sys::umask(mask);
    if sys::umask(mask) == mask { Ok(()) } else { Err(Fault::check("umask(2) was not carried out")) }
}

pub(crate) fn drop_bounding(mask: u64, detail: &mut Detail) -> Result<(), Fault> {
    for capability in (0..64).filter(|bit| mask & 1 << bit != 0) {
        if let Err(errno) = sys::drop_capbset(capability) {
            detail.push(b" of capability ");
            detail.push(Decimal::of(capability).digits());
            return Err(errno).in_call(Call::Prctl);
        }
    }
    Ok(())
}

/// Group first: an ordinary user may not change it any more. The permitted capabilities stay until they are set.
pub(crate) fn change_user(uid: u32, gid: u32) -> Result<(), Fault> {
    sys::setgid(gid).in_call(Call::Setgid)?;
    sys::set_keepcaps(true).in_call(Call::Prctl)?;
    sys::setuid(uid).in_call(Call::Setuid)?;
    sys::set_keepcaps(false).in_call(Call::Prctl)?;
    arm_death_signal()?;
    make_unreadable()
}

pub(crate) fn set_capabilities(effective: u64, permitted: u64, inheritable: u64, ambient: u64) -> Result<(), Fault> {
    sys::capset(effective, permitted, inheritable).in_call(Call::Capset)?;
    sys::clear_ambient().in_call(Call::Prctl)?;
    for capability in (0..64).filter(|bit| ambient & 1 << bit != 0) {
        sys::raise_ambient(capability).in_call(Call::Prctl)?;
    }
    arm_death_signal()?;
    make_unreadable()
}
