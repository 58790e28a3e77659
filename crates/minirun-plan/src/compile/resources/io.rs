//! `linux.resources.blockIO`: the io controller.

use super::Limits;
use crate::spec::{BlockIo, ThrottleDevice};
use crate::{Expect, Origin};

/// The weights that the specification allows (config-linux.md, "Block IO").
const WEIGHTS: std::ops::RangeInclusive<u16> = 10..=1000;

impl Limits<'_> {
    pub(super) fn block_io(&mut self, io: &BlockIo, at: &Origin) {
        if let Some(weight) = self.weight_in_range(io.weight, &at.field("weight")) {
            let (file, weight) =
                if self.facts.bfq { ("io.bfq.weight", weight as u32) } else { ("io.weight", io_weight_of(weight)) };
            self.knob(file, format!("default {weight}"), Expect::DeviceLine, &at.field("weight"));
        }
        self.leaf_weight(io.leaf_weight, &at.field("leafWeight"));
        for (i, device) in io.weight_device.iter().flatten().enumerate() {
            let at = at.field("weightDevice").index(i);
            self.leaf_weight(device.leaf_weight, &at.field("leafWeight"));
            let origin = at.field("weight");
            if let Some(weight) = self.weight_in_range(device.weight, &origin) {
                if self.facts.bfq {
                    let line = format!("{}:{} {weight}", device.major, device.minor);
                    self.knob("io.bfq.weight", line, Expect::DeviceLine, &origin);
                } else if self.need("io", &origin) {
                    self.problems.add(&origin, "weights of single devices require the bfq I/O scheduler");
                }
            }
        }
        // The kernel stores rates in 64 bits and operations in 32. The maximum means "no limit".
        let (bytes, operations) = (u64::MAX, u32::MAX as u64);
        self.throttle("rbps", bytes, &io.throttle_read_bps_device, &at.field("throttleReadBpsDevice"));
        self.throttle("wbps", bytes, &io.throttle_write_bps_device, &at.field("throttleWriteBpsDevice"));
        self.throttle("riops", operations, &io.throttle_read_iops_device, &at.field("throttleReadIOPSDevice"));
        self.throttle("wiops", operations, &io.throttle_write_iops_device, &at.field("throttleWriteIOPSDevice"));
    }

    /// Adds one write per entry: the kernel keeps the device's other keys, and an error can name the entry.
    fn throttle(&mut self, key: &str, ceiling: u64, devices: &Option<Vec<ThrottleDevice>>, at: &Origin) {
        for (i, device) in devices.iter().flatten().enumerate() {
            let origin = at.index(i).field("rate");
            if device.rate == 0 || device.rate >= ceiling {
                let text = format!("{} is out of range (expected 1 to {})", device.rate, ceiling - 1);
                self.problems.add(&origin, text);
            } else {
                let line = format!("{}:{} {key}={}", device.major, device.minor, device.rate);
                self.knob("io.max", line, Expect::DeviceLine, &origin);
            }
        }
    }

    /// Returns a weight that is set. Zero means unset: Docker always sends zero.
    fn weight_in_range(&mut self, weight: Option<u16>, origin: &Origin) -> Option<u16> {
        let weight = weight.filter(|weight| *weight != 0)?;
        if !WEIGHTS.contains(&weight) {
            let (least, most) = (WEIGHTS.start(), WEIGHTS.end());
            self.problems.add(origin, format!("{weight} is out of range (expected {least} to {most})"));
            return None;
        }
        Some(weight)
    }

    fn leaf_weight(&mut self, weight: Option<u16>, origin: &Origin) {
        if weight.is_some_and(|weight| weight != 0) {
            self.v1_only(origin, "only leaf cgroups have processes");
        }
    }
}

/// Returns the `io.weight` (1 to 10000) of the specification's weight (10 to 1000): runc's linear map.
fn io_weight_of(weight: u16) -> u32 {
    1 + (weight as u32 - 10) * 9999 / 990
}
