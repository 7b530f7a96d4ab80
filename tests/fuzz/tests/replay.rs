//! Every seed, and every input that once did harm, through its target.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path};

use filmroom_fuzz::{TARGETS, target};

#[test]
fn seeds_and_what_they_are_cut_to_do_no_harm() {
    for target in TARGETS {
        for seed in (target.seeds)() {
            (target.run)(&seed);
            for parts in 1..8 {
                (target.run)(seed.get(..seed.len() * parts / 8).unwrap());
            }
        }
    }
}

#[test]
fn what_once_did_harm_does_none() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for of_target in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if !of_target.file_type().unwrap().is_dir() {
            continue;
        }
        let name = of_target.file_name().into_string().unwrap();
        let target = target(&name).unwrap_or_else(|| panic!("regressions/{name} is of no target"));
        for input in fs::read_dir(of_target.path()).unwrap().map(Result::unwrap) {
            (target.run)(&fs::read(input.path()).unwrap());
        }
    }
}
