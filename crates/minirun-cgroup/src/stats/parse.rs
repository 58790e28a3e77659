//! Parsers of the files' formats. They return none if the format is unknown, and ignore unknown keys, because each
//! kernel adds some.

use super::{Bursts, Cpu, IoDevice, Keyed, Limit, Pressure, Stall, Throttling};

/// Parses a single number.
pub fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Parses a single number, or `max`.
pub fn limit(text: &str) -> Option<Limit> {
    match text.trim() {
        "max" => Some(Limit::Max),
        number => number.parse().ok().map(Limit::At),
    }
}

/// Parses lines `key value`.
pub fn keyed(text: &str) -> Option<Keyed> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), number(value)?))
    };
    text.lines().map(pair).collect()
}

/// Parses lines `key value` in which a value can be `max`.
pub fn limits(text: &str) -> Option<Vec<(String, Limit)>> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), limit(value)?))
    };
    text.lines().map(pair).collect()
}

/// Parses a list of numbers and ranges: `0-2,7`.
pub fn numbers(text: &str) -> Option<Vec<u16>> {
    let mut all = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse::<u16>().ok()?..=last.parse().ok()?);
    }
    Some(all)
}

/// Parses `cpu.stat`.
pub fn cpu(text: &str) -> Option<Cpu> {
    let all = keyed(text)?;
    let get = |key: &str| all.get(key).copied();
    let throttling = || {
        Some(Throttling {
            nr_periods: get("nr_periods")?,
            nr_throttled: get("nr_throttled")?,
            throttled_usec: get("throttled_usec")?,
        })
    };
    let bursts = || Some(Bursts { nr_bursts: get("nr_bursts")?, burst_usec: get("burst_usec")? });
    Some(Cpu {
        usage_usec: get("usage_usec")?,
        user_usec: get("user_usec")?,
        system_usec: get("system_usec")?,
        throttling: throttling(),
        bursts: bursts(),
    })
}

/// Parses `cpu.pressure` and similar files.
pub fn pressure(text: &str) -> Option<Pressure> {
    let mut found = Pressure::default();
    let mut some = false;
    for line in text.lines() {
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "some" => (found.some, some) = (stall(rest)?, true),
            "full" => found.full = Some(stall(rest)?),
            _ => {}
        }
    }
    some.then_some(found)
}

fn stall(words: &str) -> Option<Stall> {
    let mut found = Stall::default();
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=')?;
        match key {
            "avg10" => found.avg10 = value.parse().ok()?,
            "avg60" => found.avg60 = value.parse().ok()?,
            "avg300" => found.avg300 = value.parse().ok()?,
            "total" => found.total = value.parse().ok()?,
            _ => {}
        }
    }
    Some(found)
}

/// Parses `io.stat`. Some kernels write devices without values, on a line of their own or at the start of another's.
pub fn io(text: &str) -> Option<Vec<IoDevice>> {
    let mut devices: Vec<IoDevice> = Vec::new();
    let mut now = None;
    for word in text.lines().flat_map(str::split_whitespace) {
        let Some((key, value)) = word.split_once('=') else {
            let (major, minor) = word.split_once(':')?;
            now = Some((major.parse().ok()?, minor.parse().ok()?));
            continue;
        };
        // This is the first of the six keys that come together; cost.usage and others can come alone.
        if key == "rbytes" {
            let (major, minor) = now?;
            devices.push(IoDevice { major, minor, ..IoDevice::default() });
        }
        let counts = devices.last_mut().filter(|device| Some((device.major, device.minor)) == now);
        let (Some(device), Some(count)) = (counts, value.parse().ok()) else { continue };
        match key {
            "rbytes" => device.rbytes = count,
            "wbytes" => device.wbytes = count,
            "rios" => device.rios = count,
            "wios" => device.wios = count,
            "dbytes" => device.dbytes = count,
            "dios" => device.dios = count,
            _ => {}
        }
    }
    Some(devices)
}

/// Parses `rdma.current` and `rdma.max`: the resources of each device.
pub fn rdma(text: &str) -> Option<Vec<((String, String), Limit)>> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let device = words.next()?;
        for word in words {
            let (resource, count) = word.split_once('=')?;
            all.push(((device.to_owned(), resource.to_owned()), limit(count)?));
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep;

    #[test]
    fn processors() {
        let bare = "usage_usec 4242\nuser_usec 4000\nsystem_usec 242\n";
        let time = Cpu { usage_usec: 4242, user_usec: 4000, system_usec: 242, throttling: None, bursts: None };
        assert_eq!(cpu(bare), Some(time.clone()));
        let full = format!(
            "{bare}core_sched.force_idle_usec 0\nnr_periods 7\nnr_throttled 3\nthrottled_usec 150000\n\
             nr_bursts 1\nburst_usec 20\n"
        );
        let throttling = Some(Throttling { nr_periods: 7, nr_throttled: 3, throttled_usec: 150_000 });
        let bursts = Some(Bursts { nr_bursts: 1, burst_usec: 20 });
        assert_eq!(cpu(&full), Some(Cpu { throttling, bursts, ..time }));
        for text in ["", "usage_usec\n", "usage_usec x\n", "usage_usec 1\nuser_usec 1\n"] {
            assert_eq!(cpu(text), None, "{text:?}");
        }
    }

    #[test]
    fn pressures() {
        let some = "some avg10=1.50 avg60=0.25 avg300=0.00 total=123456\n";
        let stall = Stall { avg10: 1.5, avg60: 0.25, avg300: 0.0, total: 123_456 };
        assert_eq!(pressure(some), Some(Pressure { some: stall, full: None }));
        let both = format!("{some}full avg10=0.00 avg60=0.00 avg300=0.00 total=9\n");
        let full = Some(Stall { total: 9, ..Stall::default() });
        assert_eq!(pressure(&both), Some(Pressure { some: stall, full }));
        for text in ["", "full avg10=0.00 total=1\n", "some avg10=x\n", "some avg10\n"] {
            assert_eq!(pressure(text), None, "{text:?}");
        }
    }

    #[test]
    fn devices() {
        let one = "rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=512 dios=3";
        let counts =
            IoDevice { rbytes: 4096, wbytes: 8192, rios: 1, wios: 2, dbytes: 512, dios: 3, major: 8, minor: 0 };
        let other = IoDevice { major: 254, minor: 16, ..counts };
        for (text, expected) in [
            (String::new(), vec![]),
            (format!("8:0 {one}\n"), vec![counts]),
            (format!("8:0 {one}\n254:16 {one} cost.usage=5 cost.vrate=100.00\n"), vec![counts, other]),
            (format!("7:0 \n7:1 8:0 {one}\n"), vec![counts]),
            (format!("8:0 {one}\n7:0 cost.usage=77 wbytes=1\n"), vec![counts]),
        ] {
            assert_eq!(io(&text), Some(expected), "{text:?}");
        }
        for text in ["nonsense", "8:x rbytes=1", "rbytes=1"] {
            assert_eq!(io(text), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_and_limits() {
        assert_eq!(number("18446744073709551615\n"), Some(u64::MAX));
        assert_eq!((limit("max\n"), limit("42\n"), limit("-1\n")), (Some(Limit::Max), Some(Limit::At(42)), None));
        assert_eq!(numbers("0-2,7\n"), Some(vec![0, 1, 2, 7]));
        assert_eq!((numbers("\n"), numbers("0-x\n")), (Some(vec![]), None));
        let events = keyed("low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n").unwrap();
        assert_eq!((events["max"], events["oom_kill"], events.len()), (12, 1, 6));
        assert_eq!((keyed(""), keyed("low\n")), (Some(Keyed::new()), None));
        let misc = [("sev".to_owned(), Limit::At(3)), ("sev_es".to_owned(), Limit::Max)];
        assert_eq!(limits("sev 3\nsev_es max\n").as_deref(), Some(&misc[..]));
    }

    #[test]
    fn rdma_devices() {
        let key = |resource: &str| ("mlx4_0".to_owned(), resource.to_owned());
        let expected = [(key("hca_handle"), Limit::At(2)), (key("hca_object"), Limit::Max)];
        assert_eq!(rdma("mlx4_0 hca_handle=2 hca_object=max\n").as_deref(), Some(&expected[..]));
        assert_eq!(rdma(""), Some(vec![]));
        assert_eq!(rdma("mlx4_0 hca_handle\n"), None);
    }

    #[test]
    fn damaged_files_are_read_or_refused() {
        let mut random = sweep::Random::for_test("statistics");
        let good = [
            "usage_usec 4242\nuser_usec 4000\nsystem_usec 242\nnr_periods 7\nnr_throttled 3\nthrottled_usec 1500\n",
            "some avg10=1.50 avg60=0.25 avg300=0.00 total=123456\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n",
            "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n253:1 rbytes=18446744073709551615 wbytes=0\n",
            "mlx4_0 hca_handle=2 hca_object=max\nocrdma1 hca_handle=3 hca_object=2000\n",
            "0-3,7,9-65535\n",
            "max\n",
        ];
        for _ in 0..sweep::cases(3000) {
            for text in good {
                let text = random.damaged(text.as_bytes(), b"0189 =-:,.\nmax");
                let text = String::from_utf8_lossy(&text);
                let _scalars = (number(&text), limit(&text), numbers(&text), cpu(&text));
                let _tables = (keyed(&text), limits(&text), pressure(&text), io(&text), rdma(&text));
            }
        }
    }
}
