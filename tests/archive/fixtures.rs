//! The fixtures themselves, before anything is concluded from them.

use crate::{
    harness::{folder, python, run, write_all},
    pynetdicom::some_of_everything,
};

/// Judged by dciodvfy and pydicom.
#[test]
fn every_fixture_is_valid() {
    let folder = folder();
    let mut instances = some_of_everything(2);
    instances.extend(filmroom_fixtures::scale(1, 3));
    run(python("valid.py").args(write_all(folder.path(), &instances)));
}
