//! Writes the seeds of a target into a folder: `cargo run -p filmroom-fuzz --example seeds -- TARGET FOLDER`; without arguments, names
//! the targets.

use std::{env, fs, io, path::Path};

use filmroom_fuzz::{TARGETS, target};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, folder] = arguments.as_slice() else {
        for target in TARGETS {
            println!("{}", target.name);
        }
        return Ok(());
    };
    let target = target(name).ok_or_else(|| io::Error::other(format!("there is no target {name}")))?;
    fs::create_dir_all(folder)?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        fs::write(Path::new(folder).join(format!("seed-{number:03}")), seed)?;
    }
    Ok(())
}
