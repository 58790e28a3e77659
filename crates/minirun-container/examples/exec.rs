//! Runs a program in a container: `exec STATE-DIRECTORY ID PROGRAM [ARGUMENT ...]`.

use minirun_container::{Error, Exec, Runtime};

fn main() -> Result<(), Error> {
    minirun_container::seal()?;
    let mut arguments = std::env::args().skip(1);
    let runtime = Runtime::open(arguments.next().unwrap_or_default())?;
    let container = runtime.container(&arguments.next().unwrap_or_default())?;
    let status = container.exec(&Exec { args: arguments.collect(), ..Exec::default() })?.wait()?;
    std::process::exit(status.code().unwrap_or(1))
}
