//! A container from its creation to its end: `lifecycle STATE-DIRECTORY BUNDLE PROGRAM [ARGUMENT ...]`.

use minirun_container::options::Target;
use minirun_container::{Create, Delete, Error, Exec, Runtime};

const SIGKILL: i32 = 9;

#[allow(clippy::print_stdout, reason = "it is what this program does")]
fn main() -> Result<(), Error> {
    minirun_container::seal()?;
    let mut arguments = std::env::args().skip(1);
    let runtime = Runtime::open(arguments.next().unwrap_or_default())?;
    let bundle = arguments.next().unwrap_or_default().into();
    let created =
        runtime.create(&Create { id: format!("example-{}", std::process::id()), bundle, ..Create::default() })?;
    let container = created.container();
    println!("{}", container.snapshot()?.status());
    container.start()?;
    println!("{}", container.snapshot()?.status());
    let process = container.exec(&Exec { args: arguments.collect(), ..Exec::default() })?;
    println!("exec: {}", process.wait()?);
    container.kill(SIGKILL, Target::Init)?;
    println!("init: {}", created.wait()?);
    println!("{}", container.snapshot()?.status());
    container.delete(&Delete::default())
}
