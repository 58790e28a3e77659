//! Compares the compiler with libseccomp, which runc and crun use, and with a second implementation of the meaning of a
//! profile, on random profiles and calls.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]
#![allow(clippy::print_stdout, reason = "the number of compared cases is useful")]

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

/// The cases in which minirun deliberately differs from libseccomp. All others must agree.
#[derive(Debug, Default)]
struct Excused {
    /// Several rules with conditions hold, with different answers: libseccomp tests later arguments first, minirun
    /// earlier rules.
    overlap: usize,
    /// A mask has no bits, or none in the significant half: libseccomp treats its rule as unconditional, and it
    /// overrides others.
    empty_mask: usize,
    /// Several rules with conditions are about the call, one of them with an order (`LT`, `GE`): libseccomp's tree for
    /// them is wrong where upper halves are compared.
    merged: usize,
    /// A call behind socketcall or ipc whose rules have conditions, which libseccomp applies to other arguments; or an
    /// ipc with a version in its upper half, which it treats as another call.
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

/// Returns the rules of a profile about a call, for messages.
fn about(profile: &Profile, data: &Data) -> String {
    let names: Vec<&str> = Machine::X86_64.calls().filter(|(.., number)| *number == data.number).map(|c| c.1).collect();
    let rules = profile.syscalls.iter().flatten();
    let about: Vec<_> = rules.filter(|rule| names.iter().any(|name| rule.names.iter().any(|n| n == name))).collect();
    let Profile { default_action, default_errno_ret, architectures, .. } = profile;
    format!("{data:x?} {names:?} with {default_action:?} {default_errno_ret:?} {architectures:?} {about:#?}")
}

#[test]
fn call_numbers_agree_with_libseccomp() {
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
