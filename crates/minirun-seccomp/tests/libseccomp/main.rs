//! The compiler against libseccomp, which runc and crun use, and against the meaning of a profile spelt out: on random
//! profiles and calls the answers are the same.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]
#![allow(clippy::print_stdout, reason = "how many cases were compared is of interest")]

mod interpreter;
mod meaning;
mod oracle;
mod random;

use interpreter::{Data, ask};
use meaning::Case;
use minirun_seccomp::{Machine, Profile, compile};
use oracle::Oracle;
use random::Random;

const PROFILES: usize = 1000;
const CASES_EACH: usize = 300;

/// Where libseccomp answers differently, on purpose. Everything else must be the same.
#[derive(Debug, Default)]
struct Excused {
    /// Several rules with conditions hold, and their answers are not the same: libseccomp asks about the later arguments
    /// first, minirun about the earlier rule.
    overlap: usize,
    /// A mask has no bits, or none in the half that counts: for libseccomp its rule has no conditions and outweighs others.
    empty_mask: usize,
    /// Several rules with conditions are about the call, one of them with an order (`LT`, `GE`): the tree that libseccomp
    /// makes of them loses its way where upper halves are compared.
    merged: usize,
    /// A call behind socketcall or ipc whose rules have conditions, which libseccomp takes for conditions on other
    /// arguments; or an ipc with a version in its upper half, which it takes for another call.
    multiplexed: usize,
}

#[test]
fn random_profiles_mean_the_same_as_with_libseccomp() {
    let oracle = Oracle::load();
    let mut random = Random::seeded();
    let mut excused = Excused::default();
    let (mut cases, mut refused, mut broken, mut too_long) = (0, 0, 0, 0);
    while cases < PROFILES * CASES_EACH {
        let profile = random.profile(&oracle);
        let Some(theirs) = oracle.compile(&profile) else {
            refused += 1;
            continue;
        };
        if oracle::forgets_to_load(&theirs) {
            broken += 1;
            continue;
        }
        let Ok(ours) = compile(&profile, Machine::X86_64) else {
            too_long += 1;
            continue;
        };
        let ours = ours.filter.unwrap();
        let (newest, their_newest) = (meaning::newest(&profile), oracle.newest(&profile));
        for _ in 0..CASES_EACH {
            let data = random.data(&profile);
            let case = Case::of(&profile, newest, &data);
            let answer = ask(&ours.program, &data);
            assert_eq!(answer, case.answer, "{}", about(&profile, &data));
            cases += 1;
            let expected = Oracle::newer(&profile, their_newest, &data).unwrap_or_else(|| ask(&theirs, &data));
            if answer != expected {
                match case {
                    Case { overlap: true, .. } => excused.overlap += 1,
                    Case { empty_mask: true, .. } => excused.empty_mask += 1,
                    Case { merged: true, .. } => excused.merged += 1,
                    Case { multiplexed: true, .. } => excused.multiplexed += 1,
                    _ => panic!("{answer:#x}, libseccomp {expected:#x}: {}", about(&profile, &data)),
                }
            }
        }
    }
    println!(
        "{cases} cases, {excused:?} excused, {refused} profiles refused by libseccomp, {broken} broken by it, {too_long} too long"
    );
    assert!(too_long * 10 < PROFILES, "{too_long} profiles are too long");
    assert!(
        excused.overlap + excused.empty_mask + excused.merged + excused.multiplexed < cases / 20,
        "{excused:?}: too few cases compare anything"
    );
}

/// What a profile says about a call, for a message.
fn about(profile: &Profile, data: &Data) -> String {
    let names: Vec<&str> = Machine::X86_64.calls().filter(|(.., number)| *number == data.number).map(|c| c.1).collect();
    let rules = profile.syscalls.iter().flatten();
    let about: Vec<_> = rules.filter(|rule| names.iter().any(|name| rule.names.iter().any(|n| n == name))).collect();
    let Profile { default_action, default_errno_ret, architectures, .. } = profile;
    format!("{data:x?} {names:?} with {default_action:?} {default_errno_ret:?} {architectures:?} {about:#?}")
}

#[test]
fn the_numbers_of_the_calls_are_those_of_libseccomp() {
    let oracle = Oracle::load();
    let mut compared = 0;
    for machine in [Machine::X86_64, Machine::AARCH64, Machine::RISCV64] {
        for (architecture, name, number) in machine.calls() {
            // An older libseccomp does not know the newest calls.
            if let Some(theirs) = oracle.number(architecture, name) {
                assert_eq!(number, theirs, "{name} of {architecture}");
                compared += 1;
            }
        }
    }
    assert!(compared > 2000, "only {compared} numbers were compared");
}
