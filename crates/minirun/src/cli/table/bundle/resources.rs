//! The limits among the options of `minirun bundle`, as the configuration has them.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::Bundle;
use crate::cli::size::bytes_of;

/// The period of `--cpus`, in microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

/// `linux.resources`, as far as there are options for it.
pub fn read(options: &Bundle) -> Result<Value> {
    let (mut memory, mut cpu, mut pids, mut io) = (Map::new(), Map::new(), Map::new(), Map::new());
    let set = |object: &mut Map<String, Value>, key: &str, value: Option<Value>| {
        object.extend(value.map(|value| (key.to_owned(), value)));
    };
    set(&mut memory, "limit", options.memory.map(Value::from));
    set(&mut cpu, "shares", options.cpu_shares.map(Value::from));
    let quota = options.cpus.as_deref().map(quota).transpose()?;
    set(&mut cpu, "quota", quota.map(Value::from));
    set(&mut cpu, "period", quota.map(|_| PERIOD.into()));
    set(&mut cpu, "cpus", options.cpuset_cpus.clone().map(Value::from));
    set(&mut pids, "limit", options.pids_limit.map(Value::from));
    for (option, key, texts) in [
        ("device-read-bps", "throttleReadBpsDevice", &options.device_read_bps),
        ("device-write-bps", "throttleWriteBpsDevice", &options.device_write_bps),
        ("device-read-iops", "throttleReadIOPSDevice", &options.device_read_iops),
        ("device-write-iops", "throttleWriteIOPSDevice", &options.device_write_iops),
    ] {
        let rates: Vec<_> = texts.iter().map(|text| rate(option, text)).collect::<Result<_>>()?;
        set(&mut io, key, Some(rates.into()).filter(|_| !texts.is_empty()));
    }
    let all = [("memory", memory), ("cpu", cpu), ("pids", pids), ("blockIO", io)];
    let some = all.into_iter().filter(|(_, members)| !members.is_empty());
    Ok(some.map(|(key, members)| (key.to_owned(), Value::Object(members))).collect())
}

/// How much of a period so many processors are: `1.5`.
fn quota(text: &str) -> Result<u64> {
    let wrong = || format!("invalid value {text:?} for --cpus");
    let cpus: f64 = text.parse().with_context(wrong)?;
    let quota = cpus * PERIOD as f64;
    // The kernel takes no less than a millisecond.
    if !(1000.0..=1e15).contains(&quota) {
        bail!("{} (0.01 is the least)", wrong());
    }
    Ok(quota.round() as u64)
}

/// `DEVICE:RATE`.
fn rate(option: &str, text: &str) -> Result<Value> {
    let (device, rate) = text.rsplit_once(':').with_context(|| format!("--{option} {text:?}: expected DEVICE:RATE"))?;
    let found = std::fs::metadata(device).with_context(|| format!("--{option} {device}"))?;
    if !found.file_type().is_block_device() {
        bail!("--{option}: {device} is not a block device");
    }
    let rate = match option.ends_with("bps") {
        true => bytes_of(rate).with_context(|| format!("--{option}"))?,
        false => rate.parse().with_context(|| format!("--{option}: {rate:?} is not a number"))?,
    };
    if rate <= 0 {
        bail!("--{option} {text:?}: the rate must be more than 0");
    }
    let number = found.rdev();
    Ok(json!({"major": nix::sys::stat::major(number), "minor": nix::sys::stat::minor(number), "rate": rate}))
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
