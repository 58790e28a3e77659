//! The last look before the program: whether the kernel shows of init what was asked for. A call that was answered with
//! success and not carried out is found here.

use minirun_plan::Credentials;
use minirun_sys as sys;
use nix::unistd::{Gid, Uid, getresgid, getresuid, setfsgid, setfsuid};

use crate::wire::{Call, Decimal, Detail, Fault, In};

/// As many groups as most processes have, and as the kernel allows.
const FEW: usize = 64;
const MOST: usize = 65536;

/// Compares the credentials of this process with `expected`; `detail` gets the difference.
pub(crate) fn verify_credentials(expected: &Credentials, detail: &mut Detail) -> Result<(), Fault> {
    verify_ids(expected, detail)?;
    if let Some(groups) = &expected.groups {
        let same = if groups.len() <= FEW { verify_groups::<FEW>(groups)? } else { verify_groups::<MOST>(groups)? };
        if !same {
            return Err(Fault::check("the additional groups differ"));
        }
    }
    verify_capabilities(expected, detail)?;
    let no_new_privileges = sys::get_no_new_privs().in_call(Call::Prctl)?;
    if expected.no_new_privileges && !no_new_privileges {
        return Err(Fault::check("no_new_privs is not set"));
    }
    Ok(())
}

fn verify_ids(expected: &Credentials, detail: &mut Detail) -> Result<(), Fault> {
    let (users, groups) = (getresuid().in_call(Call::Getresuid)?, getresgid().in_call(Call::Getresgid)?);
    // No id at all: then these calls change nothing and answer with the present one (setfsuid(2)).
    let (user, group) = (setfsuid(Uid::from_raw(u32::MAX)), setfsgid(Gid::from_raw(u32::MAX)));
    let ids = [
        ("real user id", users.real.as_raw(), expected.uid),
        ("effective user id", users.effective.as_raw(), expected.uid),
        ("saved user id", users.saved.as_raw(), expected.uid),
        ("file system user id", user.as_raw(), expected.uid),
        ("real group id", groups.real.as_raw(), expected.gid),
        ("effective group id", groups.effective.as_raw(), expected.gid),
        ("saved group id", groups.saved.as_raw(), expected.gid),
        ("file system group id", group.as_raw(), expected.gid),
    ];
    for (name, found, expected) in ids {
        if found != expected {
            return Err(differs(detail, name, Decimal::of(found).digits(), Decimal::of(expected).digits()));
        }
    }
    Ok(())
}

/// Not inlined, so that only a process of many groups has the large array on its stack.
#[inline(never)]
fn verify_groups<const ROOM: usize>(expected: &[u32]) -> Result<bool, Fault> {
    let mut found = [0; ROOM];
    let count = match sys::getgroups(&mut found) {
        // More than there is room for, which is more than expected.
        Err(sys::Errno::EINVAL) => return Ok(false),
        answer => answer.in_call(Call::Getgroups)?,
    };
    Ok(found[..count] == *expected)
}

fn verify_capabilities(expected: &Credentials, detail: &mut Detail) -> Result<(), Fault> {
    let (effective, permitted, inheritable) = sys::capget().in_call(Call::Capget)?;
    let (mut bounding, mut ambient) = (0, 0);
    for capability in 0..=expected.last_capability.min(63) {
        bounding |= u64::from(sys::read_capbset(capability).in_call(Call::Prctl)?) << capability;
        // No other one can be ambient (capabilities(7)).
        if permitted & inheritable & 1 << capability != 0 {
            ambient |= u64::from(sys::is_ambient(capability).in_call(Call::Prctl)?) << capability;
        }
    }
    let sets = [
        ("bounding set", bounding, expected.bounding),
        ("effective set", effective, expected.effective),
        ("permitted set", permitted, expected.permitted),
        ("inheritable set", inheritable, expected.inheritable),
        ("ambient set", ambient, expected.ambient),
    ];
    for (name, found, expected) in sets {
        if found != expected {
            return Err(differs(detail, name, &hexadecimal(found), &hexadecimal(expected)));
        }
    }
    Ok(())
}

fn differs(detail: &mut Detail, name: &str, found: &[u8], expected: &[u8]) -> Fault {
    for part in [name.as_bytes(), b" is ", found, b", expected ", expected] {
        detail.push(part);
    }
    Fault::check("the ")
}

/// A mask as /proc/PID/status shows it.
fn hexadecimal(mask: u64) -> [u8; 16] {
    let mut text = [0; 16];
    for (place, digit) in text.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(mask >> (60 - 4 * place) & 0xf) as usize];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::hexadecimal;

    #[test]
    fn masks_are_written_as_in_proc() {
        assert_eq!(&hexadecimal(0x1ff_ffff_ffff), b"000001ffffffffff");
        assert_eq!(&hexadecimal(0), b"0000000000000000");
    }
}
