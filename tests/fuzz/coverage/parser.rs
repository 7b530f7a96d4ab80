//! One fuzzer for all targets: `FUZZ_TARGET` names the one to run.
#![no_main]

use std::{env, process, sync::OnceLock};

use filmroom_fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<&Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = env::var("FUZZ_TARGET").unwrap_or_default();
        let Some(found) = target(&name) else {
            eprintln!("FUZZ_TARGET names no target: {name:?}");
            process::exit(2);
        };
        let _ = TARGET.set(found);
        // libFuzzer's own hook ends the process at every panic. Those of foreign codecs are contained by the archive, and are
        // no finding; what comes out of the target still is one.
        drop(std::panic::take_hook());
        std::panic::set_hook(Box::new(|_| {}));
    },
    |bytes: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.run)(bytes);
        }
    }
);
