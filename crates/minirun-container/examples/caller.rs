//! Shows what is left of an operation in the calling process: nothing. `caller STATE-DIRECTORY BUNDLE`.

use std::process::Command;

use minirun_container::options::{Orphans, Run};
use minirun_container::{Create, Error, Running, Runtime};
use nix::sys::prctl::{get_child_subreaper, get_dumpable};

/// The signal mask, whether others can read this process and whether it adopts orphans, and its open descriptors.
#[allow(clippy::expect_used, reason = "without /proc there is nothing to show")]
fn attributes() -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("its status");
    let blocked = status.lines().find(|line| line.starts_with("SigBlk")).expect("the mask in its status");
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("its descriptors").count();
    format!("{blocked}, {:?}, {:?}, {descriptors} descriptors", get_dumpable(), get_child_subreaper())
}

#[allow(clippy::print_stdout, clippy::expect_used, reason = "it is what this program does")]
fn main() -> Result<(), Error> {
    minirun_container::seal()?;
    let mut arguments = std::env::args().skip(1);
    let runtime = Runtime::open(arguments.next().unwrap_or_default())?;
    let bundle = arguments.next().unwrap_or_default().into();
    let before = attributes();
    let create = Create { id: format!("example-{}", std::process::id()), bundle, ..Create::default() };
    let refused = Create { id: "../x".to_owned(), ..create.clone() };
    println!("refused: {}", runtime.create(&refused).expect_err("an id with a slash"));
    let mut other = Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().expect("another child");
    let run = runtime.run(&Run { create: create.clone(), ..Run::default() }).and_then(Running::wait);
    println!("other child: {}", other.wait().expect("its status"));
    println!("{}", run?);
    println!("{}", runtime.run(&Run { create, orphans: Orphans::Adopt, ..Run::default() })?.wait()?);
    println!("{}", if attributes() == before { "as before".to_owned() } else { format!("{before}; {}", attributes()) });
    Ok(())
}
