//! The limits among the options of `minirun bundle`.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use anyhow::{Context, Result, bail};
use minirun_image::{IoLimit, IoLimitKind, Resources};

use super::Bundle;
use crate::cli::size::bytes_of;

/// The limits that there are options for.
pub fn read(options: &Bundle) -> Result<Resources> {
    let mut io = Vec::new();
    for (option, kind, texts) in [
        ("device-read-bps", IoLimitKind::ReadBytes, &options.device_read_bps),
        ("device-write-bps", IoLimitKind::WriteBytes, &options.device_write_bps),
        ("device-read-iops", IoLimitKind::Reads, &options.device_read_iops),
        ("device-write-iops", IoLimitKind::Writes, &options.device_write_iops),
    ] {
        for text in texts {
            io.push(limit(option, kind, text)?);
        }
    }
    Ok(Resources {
        memory: options.memory,
        cpu_shares: options.cpu_shares,
        cpu_quota: options.cpus.as_deref().map(quota).transpose()?,
        cpuset_cpus: options.cpuset_cpus.clone(),
        pids: options.pids_limit,
        io,
    })
}

/// How much of a period so many processors are: `1.5`.
fn quota(text: &str) -> Result<u64> {
    let wrong = || format!("invalid value {text:?} for --cpus");
    let cpus: f64 = text.parse().with_context(wrong)?;
    let quota = cpus * Resources::CPU_PERIOD as f64;
    // The kernel takes no less than a millisecond.
    if !(1000.0..=1e15).contains(&quota) {
        bail!("{} (0.01 is the least)", wrong());
    }
    Ok(quota.round() as u64)
}

/// `DEVICE:RATE`.
fn limit(option: &str, kind: IoLimitKind, text: &str) -> Result<IoLimit> {
    let (device, rate) = text.rsplit_once(':').with_context(|| format!("--{option} {text:?}: expected DEVICE:RATE"))?;
    let found = std::fs::metadata(device).with_context(|| format!("--{option} {device}"))?;
    if !found.file_type().is_block_device() {
        bail!("--{option}: {device} is not a block device");
    }
    let rate = match kind {
        IoLimitKind::ReadBytes | IoLimitKind::WriteBytes => bytes_of(rate).with_context(|| format!("--{option}"))?,
        IoLimitKind::Reads | IoLimitKind::Writes => {
            rate.parse().with_context(|| format!("--{option}: {rate:?} is not a number"))?
        }
    };
    if rate <= 0 {
        bail!("--{option} {text:?}: the rate must be more than 0");
    }
    let number = found.rdev();
    let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
    Ok(IoLimit { kind, major, minor, rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_a_share_of_a_period() {
        assert_eq!(quota("1.5").unwrap(), 150_000);
        assert_eq!(quota("0.01").unwrap(), 1000);
        for text in ["", "0", "-1", "nan", "inf", "1e20", "0.001", "x"] {
            quota(text).unwrap_err();
        }
    }
}
