//! Runs a bundle: `run STATE-DIRECTORY BUNDLE`.

use minirun_container::{Create, Error, Run, Runtime};

fn main() -> Result<(), Error> {
    minirun_container::seal()?;
    let mut arguments = std::env::args().skip(1);
    let runtime = Runtime::open(arguments.next().unwrap_or_default())?;
    let bundle = arguments.next().unwrap_or_default().into();
    let create = Create { id: format!("example-{}", std::process::id()), bundle, ..Create::default() };
    let status = runtime.run(&Run { create, ..Run::default() })?.wait()?;
    std::process::exit(status.code().unwrap_or(1))
}
