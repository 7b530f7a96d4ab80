//! The modality worklist and performed procedure steps, with DCMTK and pynetdicom as modalities.

use std::fs;

use filmroom_fixtures::scale;

use crate::{
    harness::{Archive, Start, dcmtk, eventually, folder, python, run},
    web::ask,
};

/// What DCMTK's dump2dcm makes a worklist file of.
const DUMP: &str = "
(0008,0005) CS [ISO_IR 100]
(0008,0050) SH [ACC-7]
(0010,0010) PN [DOE^JANE]
(0010,0020) LO [P7]
(0020,000d) UI [1.2.276.0.7230010.3.2.7]
(0032,1060) LO [CT OF THE HEAD]
(0040,1001) SH [RP7]
(0040,0100) SQ
(fffe,e000) -
(0008,0060) CS [CT]
(0040,0001) AE [CT01]
(0040,0002) DA [20300107]
(0040,0003) TM [101500]
(0040,0006) PN [ROE^RICHARD]
(0040,0009) SH [SPS7]
(fffe,e00d) -
(fffe,e0dd) -
";

fn entry(id: &str, name: &str, modality: &str, date: &str, study: &str) -> serde_json::Value {
    serde_json::json!({
        "00080050": { "vr": "SH", "Value": [format!("ACC-{id}")] },
        "00100010": { "vr": "PN", "Value": [{ "Alphabetic": name }] },
        "00100020": { "vr": "LO", "Value": [format!("P{id}")] },
        "0020000D": { "vr": "UI", "Value": [study] },
        "00401001": { "vr": "SH", "Value": [format!("RP{id}")] },
        "00400100": { "vr": "SQ", "Value": [{
            "00080060": { "vr": "CS", "Value": [modality] },
            "00400001": { "vr": "AE", "Value": ["CT01"] },
            "00400002": { "vr": "DA", "Value": [date] },
            "00400003": { "vr": "TM", "Value": ["0930"] },
            "00400007": { "vr": "LO", "Value": ["Schädel"] },
            "00400009": { "vr": "SH", "Value": [format!("SPS{id}")] },
        }] },
    })
}

fn put(archive: &Archive, id: &str, entry: &serde_json::Value) {
    let path = format!("/api/v1/worklist/{id}");
    let body = entry.to_string();
    let answer = ask(
        archive.http,
        "PUT",
        &path,
        &[("content-type", "application/json")],
        body.as_bytes(),
    )
    .unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// What findscu prints for some keys.
fn findscu(archive: &Archive, keys: &[&str]) -> String {
    let mut command = dcmtk("findscu");
    command.args(["-W", "-v", "-aec", "FILMROOM"]);
    for key in keys {
        command.args(["-k", key]);
    }
    run(command.arg("127.0.0.1").arg(archive.dicom.port().to_string()))
}

#[test]
fn findscu_reads_the_worklist_from_programs_and_files() {
    let dropped = folder();
    let setting = format!("[worklist]\nfolder = {:?}\n", dropped.path());
    let archive = Start::default().settings(&setting).start();
    put(&archive, "1", &entry("1", "Müller^Jörg", "CT", "20300105", "1.2.3.1"));
    put(&archive, "2", &entry("2", "Smith^John", "MR", "20300106", "1.2.3.2"));
    let keys = ["PatientName", "StudyInstanceUID", "AccessionNumber"];
    let of = |more: &[&str]| findscu(&archive, &[&keys[..], more].concat());
    let modality = "ScheduledProcedureStepSequence[0].Modality";
    let date = "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate";
    let all = of(&[modality, date]);
    assert!(all.contains("ACC-1") && all.contains("ACC-2"), "{all}");
    let ct = of(&[&format!("{modality}=CT"), &format!("{date}=20300101-20300131")]);
    assert!(ct.contains("ACC-1") && !ct.contains("ACC-2"), "{ct}");
    let station = "ScheduledProcedureStepSequence[0].ScheduledStationAETitle=CT0?";
    assert!(of(&[station]).contains("ACC-2"));
    assert!(!of(&["ScheduledProcedureStepSequence[0].ScheduledStationAETitle=XA01"]).contains("ACC-"));

    let dump = dropped.path().join("dump.txt");
    fs::write(&dump, DUMP).unwrap();
    let file = dropped.path().join("seven.wl");
    run(dcmtk("dump2dcm").arg("+te").arg(&dump).arg(&file));
    eventually("the file is offered", || {
        of(&["PatientName=doe*"]).contains("ACC-7").then_some(())
    });
    fs::remove_file(&file).unwrap();
    eventually("the file is offered no more", || {
        (!of(&["PatientName=doe*"]).contains("ACC-7")).then_some(())
    });
}

#[test]
fn pynetdicom_works_through_a_scheduled_step() {
    let data = folder();
    let archive = Start::default().in_folder(&data.path().join("data")).start();
    let instances: Vec<_> = scale(41, 3).collect();
    let study = &instances[0].study_instance_uid;
    put(&archive, "1", &entry("1", "Müller^Jörg", "CT", "20300105", study));
    put(&archive, "2", &entry("2", "Smith^John", "MR", "20300106", "1.2.3.2"));
    let mut modality = python("worklist.py");
    modality
        .arg(archive.dicom.port().to_string())
        .arg(study)
        .args(instances.iter().map(|instance| &instance.sop_instance_uid));
    run(&mut modality);
    archive.kill();
    // What was answered is there after the process was killed.
    let archive = Start::default().in_folder(&data.path().join("data")).start();
    let get = |path: &str| {
        let answer = ask(archive.http, "GET", path, &[], &[]).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let recorded = get("/fhir/AuditEvent?type=110111&agent=CT01");
    let actions: Vec<_> = recorded["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["resource"]["action"])
        .collect();
    assert!(
        ["C", "U", "R"]
            .iter()
            .all(|action| actions.iter().any(|found| *found == action)),
        "{recorded}"
    );
    assert!(
        recorded.to_string().contains(&**study) && recorded.to_string().contains("\"P1\""),
        "{recorded}"
    );
    let steps = get("/api/v1/procedure-steps");
    assert_eq!(steps["total"], 1);
    assert_eq!(steps["procedure_steps"][0]["state"], "COMPLETED");
    let incomplete = || get("/api/v1/studies/incomplete")["studies"].clone();
    let lacking = incomplete();
    assert_eq!(lacking[0]["study_instance_uid"], **study);
    assert_eq!(
        (&lacking[0]["expected"], &lacking[0]["received"]),
        (&3.into(), &0.into())
    );
    archive.stow(&instances[..2].iter().collect::<Vec<_>>());
    let lacking = incomplete();
    assert_eq!(lacking[0]["received"], 2);
    assert_eq!(
        lacking[0]["missing"][0]["sop_instance_uid"],
        *instances[2].sop_instance_uid
    );
    archive.stow(&[&instances[2]]);
    assert_eq!(incomplete().as_array().map(Vec::len), Some(0));
}
