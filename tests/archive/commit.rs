//! Storage commitment as user: `filmroom send --commit` and `filmroom commit`, with a second archive as the peer.

use filmroom_fixtures::scale;

use crate::{
    dcmtk::free_port,
    harness::{Archive, Start, binary, finish, folder, run},
};

#[test]
fn a_peer_is_asked_to_keep_what_it_was_sent() {
    let here = folder();
    let data = here.path().join("data");
    let instances: Vec<_> = scale(51, 4).collect();
    let archive = Start::default().in_folder(&data).start();
    archive.stow(&instances.iter().collect::<Vec<_>>());
    assert!(archive.stop().success());
    let report_to = format!("127.0.0.1:{}", free_port());
    // It knows where one of them is called, and has to tell the other over the association that asked.
    let there = Start::default().flag("--peer", &format!("CALLED={report_to}")).start();
    let command = |what: &str, calling: &str, to: &Archive| {
        let mut command = binary();
        command
            .args([what, &format!("FILMROOM=127.0.0.1:{}", to.dicom.port())])
            .args(["--calling", calling, "--report-to", &report_to, "--wait", "50 s"])
            .args(["--study", &instances[0].study_instance_uid, "--data"])
            .arg(&data);
        command
    };
    let nothing = finish(&mut command("commit", "CALLED", &there));
    assert!(
        !nothing.success && nothing.text.contains("0 committed, 4 not"),
        "{}",
        nothing.text
    );
    assert!(nothing.text.contains("0112H"), "{}", nothing.text);
    let sent = run(command("send", "CALLED", &there).arg("--commit"));
    assert!(
        sent.contains("4 sent, 0 failed") && sent.contains("4 committed, 0 not"),
        "{sent}"
    );
    let again = run(&mut command("commit", "UNKNOWN", &there));
    assert!(again.contains("4 committed, 0 not"), "{again}");
}
