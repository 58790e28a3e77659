//! Lists containers: `list STATE-DIRECTORY`.

use minirun_container::{Error, Runtime};

#[allow(clippy::print_stdout, reason = "it is what this program does")]
fn main() -> Result<(), Error> {
    for listed in Runtime::open(std::env::args().nth(1).unwrap_or_default())?.list()? {
        match listed.snapshot {
            Ok(snapshot) => println!("{} {} {:?}", listed.id, snapshot.status(), snapshot.pid()),
            Err(error) => println!("{} {error}", listed.id),
        }
    }
    Ok(())
}
