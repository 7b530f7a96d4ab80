//! Peers that are broken or mean harm: the standard's refusal, the server stays up, what is stored stays as it is.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use filmroom_fixtures::{Instance, scale_instance};

use crate::{
    harness::{AE_TITLE, Archive, Start, eventually},
    scu::{self, IMPLICIT_LITTLE, Scu, VERIFICATION, associate_rq, command, connect, item, p_data, pdu, read_pdu},
    web::ask,
};

/// An archive with one instance stored, and what must still be true at the end.
pub struct Besieged {
    pub archive: Archive,
    pub stored: Instance,
}

impl Besieged {
    #[track_caller]
    pub fn start() -> Self {
        Self::started(Start::default())
    }

    #[track_caller]
    pub fn started(start: Start) -> Self {
        let archive = start.start();
        let stored = scale_instance(40, 0);
        assert_eq!(archive.stow(&[&stored]).status, 200);
        Self { archive, stored }
    }

    /// Serves both doors, holds what it held and nothing else.
    #[track_caller]
    pub fn assert_unmoved(mut self) {
        self.archive.assert_running();
        let mut scu = Scu::associate(self.archive.dicom, &[(VERIFICATION, IMPLICIT_LITTLE)]).unwrap();
        assert_eq!(scu.echo().unwrap(), 0);
        scu.release().unwrap();
        self.archive.assert_holds(&self.stored);
        assert_eq!(self.archive.search("/instances").len(), 1, "something else was stored");
        assert!(!self.archive.log().contains("panicked"), "{}", self.archive.log());
    }

    /// Sends bytes to the DICOM port and waits until the archive ends the connection. What it sent before that.
    #[track_caller]
    fn throw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = connect(self.archive.dicom).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => answer,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => answer,
            Err(error) => panic!("the connection was not ended: {error}"),
        }
    }
}

pub fn request() -> Vec<u8> {
    associate_rq(
        AE_TITLE,
        &[(VERIFICATION, IMPLICIT_LITTLE), (SOP_CLASS, EXPLICIT_LITTLE)],
    )
}

const SOP_CLASS: &str = "1.2.840.10008.5.1.4.1.1.4";
const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";

#[test]
fn garbage_on_the_dicom_port() {
    let besieged = Besieged::start();
    let noise: Vec<u8> = (0..200_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    besieged.throw(&noise);
    besieged.throw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    besieged.throw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    besieged.throw(b"");
    besieged.throw(&[0xff; 6]);
    besieged.throw(&[0; 64]);
    besieged.assert_unmoved();
}

/// Every prefix of an association request, and of a whole store.
#[test]
fn truncated_pdus() {
    let besieged = Besieged::start();
    let request = request();
    for length in (0..request.len()).step_by(7) {
        besieged.throw(&request[..length]);
    }
    let instance = scale_instance(41, 0);
    let mut store = request;
    store.extend(p_data(
        3,
        3,
        &scu::store_command(1, &instance.sop_class_uid, &instance.sop_instance_uid),
    ));
    store.extend(p_data(3, 2, instance.data_set()));
    for length in (300..store.len() - 1).step_by(701) {
        besieged.throw(&store[..length]);
    }
    besieged.assert_unmoved();
}

/// Lengths that say more or less than there is, at every level of a PDU.
#[test]
fn wrong_lengths() {
    let besieged = Besieged::start();
    let request = request();
    for at in (2..6).chain(74..request.len().min(300)) {
        for value in [0x00, 0x7f, 0xff] {
            let mut bytes = request.clone();
            bytes[at] = value;
            besieged.throw(&bytes);
        }
    }
    besieged.assert_unmoved();
}

/// PDUs that announce gigabytes.
#[test]
fn announced_gigabytes() {
    let besieged = Besieged::start();
    besieged.throw(b"\x01\x00\xff\xff\xff\xff\x00\x01");
    let mut data = request();
    data.extend(b"\x04\x00\xff\xff\xff\xfe\x00\x00\x00\x10\x01\x03");
    besieged.throw(&data);
    let mut inner = request();
    inner.extend(pdu(4, b"\xff\xff\xff\xf0\x01\x03\x00\x00"));
    besieged.throw(&inner);
    let resident = resident_bytes(besieged.archive.process_id());
    assert!(resident < 400 << 20, "{resident} bytes are resident");
    besieged.assert_unmoved();
}

/// Memory of a process that is in use: bytes.
pub fn resident_bytes(process_id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process_id}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("0");
    line.split_whitespace()
        .next()
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// What a peer may not do in an association is answered with an abort, and only that association ends.
#[test]
fn unexpected_pdus_are_aborted() {
    let besieged = Besieged::start();
    let echo = |id| {
        command(&[
            (2, scu::uid(VERIFICATION)),
            (0x100, scu::us(0x30)),
            (0x110, scu::us(id)),
            (0x800, scu::us(0x101)),
        ])
    };
    let wrong: Vec<Vec<u8>> = vec![
        request(),
        pdu(2, &[0; 100]),
        pdu(3, &[0, 1, 1, 1]),
        pdu(6, &[0; 4]),
        pdu(9, &[0; 4]),
        p_data(99, 3, &echo(1)),
        p_data(2, 3, &echo(1)),
        p_data(1, 2, &[0; 40]),
        p_data(1, 3, &[0xff; 40]),
        p_data(1, 3, &[]),
        pdu(4, &[]),
        pdu(4, &[0, 0, 0, 1, 1]),
        p_data(
            1,
            3,
            &command(&[(0x100, scu::us(0x7777)), (0x110, scu::us(1)), (0x800, scu::us(0x101))]),
        ),
    ];
    for bytes in wrong {
        let mut bystander = Scu::associate(besieged.archive.dicom, &[(VERIFICATION, IMPLICIT_LITTLE)]).unwrap();
        let mut both = request();
        both.extend(&bytes);
        besieged.throw(&both);
        assert_eq!(bystander.echo().unwrap(), 0, "another association ended with it");
        bystander.release().unwrap();
    }
    besieged.assert_unmoved();
}

#[test]
fn a_request_before_an_association_is_aborted() {
    let besieged = Besieged::start();
    for bytes in [p_data(1, 3, &[0; 20]), pdu(5, &[0; 4]), pdu(7, &[0; 4])] {
        besieged.throw(&bytes);
    }
    besieged.assert_unmoved();
}

#[test]
fn an_abort_in_the_middle_of_a_store() {
    let besieged = Besieged::start();
    let instance = scale_instance(42, 0);
    let mut bytes = request();
    bytes.extend(p_data(
        3,
        3,
        &scu::store_command(1, &instance.sop_class_uid, &instance.sop_instance_uid),
    ));
    bytes.extend(p_data(3, 0, &instance.data_set()[..2000]));
    bytes.extend(pdu(7, &[0, 0, 0, 0]));
    besieged.throw(&bytes);
    besieged.assert_unmoved();
}

/// Connections that say nothing, or stop in the middle, do not keep others out, and are ended.
#[test]
fn half_open_connections() {
    let settings = "[dicom]\nassociation_timeout = \"2s\"\nnetwork_timeout = \"2s\"\nidle_timeout = \"3s\"\n";
    let besieged = Besieged::started(Start::default().settings(settings));
    let mut silent: Vec<TcpStream> = (0..40).map(|_| connect(besieged.archive.dicom).unwrap()).collect();
    for (index, stream) in silent.iter_mut().enumerate() {
        let request = request();
        let _ = stream.write_all(&request[..index.min(request.len())]);
    }
    let mut web: Vec<TcpStream> = (0..40).map(|_| connect(besieged.archive.http).unwrap()).collect();
    for stream in &mut web {
        let _ = stream.write_all(b"GET /dicom-web/studies HTT");
    }
    let mut scu = Scu::associate(besieged.archive.dicom, &[(VERIFICATION, IMPLICIT_LITTLE)]).unwrap();
    assert_eq!(scu.echo().unwrap(), 0);
    scu.release().unwrap();
    for stream in &mut silent {
        let ended = eventually("a silent connection is ended", || {
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            match stream.read(&mut [0; 64]) {
                Ok(0) => Some(true),
                Ok(_) => None,
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    None
                }
                Err(_) => Some(true),
            }
        });
        assert!(ended);
    }
    drop(web);
    besieged.assert_unmoved();
}

/// UIDs that look like paths, or are none, stay out of the file system.
#[test]
fn uids_like_paths() {
    let besieged = Besieged::start();
    let outside = besieged.archive.data().parent().unwrap().to_owned();
    let before = names(&outside);
    for evil in [
        "../../../../evil",
        "/tmp/evil-filmroom",
        "..",
        "1.2/../../3",
        "1.2\\..\\3",
        "%2e%2e%2f",
        "1.2.\u{0}3",
    ] {
        for victim in 0..3 {
            let instance = scale_instance(43, 0);
            let uid = [
                &instance.study_instance_uid,
                &instance.series_instance_uid,
                &instance.sop_instance_uid,
            ][victim];
            let mut part10 = instance.part10.clone();
            let mut padded = evil.as_bytes().to_vec();
            padded.resize(uid.len(), 0);
            for at in memchr::memmem::find_iter(&instance.part10, uid.as_bytes()) {
                part10[at..at + uid.len()].copy_from_slice(&padded);
            }
            let status = besieged.archive.stow_bytes(&[&part10]).status;
            assert!((400..500).contains(&status), "{evil}: {status}");
        }
        let path = evil.replace('\\', "%5C").replace('\0', "%00");
        for path in [
            format!("/dicom-web/studies/{path}"),
            format!("/dicom-web/studies/{}", path.replace('/', "%2F")),
        ] {
            let answer = ask(besieged.archive.http, "GET", &path, &[("Accept", "*/*")], &[]).unwrap();
            assert!((300..500).contains(&answer.status), "{path}: {}", answer.status);
        }
    }
    assert_eq!(names(&outside), before);
    assert!(!std::path::Path::new("/tmp/evil-filmroom").exists());
    besieged.assert_unmoved();
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Data sets with lies in them, by C-STORE: nested without end, lengths beyond the end, millions of items.
#[test]
fn data_sets_with_lies() {
    let besieged = Besieged::start();
    let instance = scale_instance(44, 0);
    let lies: Vec<Vec<u8>> = vec![
        b"\x08\x00\x05\x00SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff".repeat(5000),
        b"\x08\x00\x05\x00UT\0\0\xf0\xff\xff\xff".to_vec(),
        b"\x08\x00\x05\x00CS\xff\xff".to_vec(),
        vec![0xff; 5000],
        vec![0; 5000],
        Vec::new(),
    ];
    for lie in lies {
        let mut scu = Scu::associate_for(besieged.archive.dicom, &instance).unwrap();
        let context = scu.context(&instance.sop_class_uid).unwrap();
        let store = scu::store_command(1, &instance.sop_class_uid, &instance.sop_instance_uid);
        scu.send(&p_data(context, 3, &store)).unwrap();
        for (index, fragment) in lie.chunks(16_000).enumerate() {
            let last = (index + 1) * 16_000 >= lie.len();
            scu.send(&p_data(context, if last { 2 } else { 0 }, fragment)).unwrap();
        }
        if lie.is_empty() {
            scu.send(&p_data(context, 2, &[])).unwrap();
        }
        let answer = scu.receive().unwrap();
        let status = memchr::memmem::find(&answer.body, &[0, 0, 0, 9, 2, 0, 0, 0])
            .map(|at| u16::from_le_bytes([answer.body[at + 8], answer.body[at + 9]]));
        assert!(
            answer.kind == 7 || status.is_some_and(|status| status != 0),
            "{answer:?}"
        );
    }
    besieged.assert_unmoved();
}

/// The command names one instance, the data set is another.
#[test]
fn a_command_that_disagrees_with_its_data_set() {
    let besieged = Besieged::start();
    let instance = scale_instance(45, 0);
    let other = Instance {
        sop_instance_uid: "2.25.12345".to_owned(),
        ..instance.clone()
    };
    let mut scu = Scu::associate_for(besieged.archive.dicom, &instance).unwrap();
    let status = scu.store(&other).unwrap();
    assert_eq!(status & 0xff00, 0xa900, "{status:04X}H");
    let nameless = Instance {
        sop_instance_uid: "not a uid".to_owned(),
        ..instance.clone()
    };
    let status = scu.store(&nameless).unwrap();
    assert!(matches!(status, 0x0117 | 0xa900..=0xa9ff), "{status:04X}H");
    scu.release().unwrap();
    besieged.assert_unmoved();
}

/// Refused as the standard says: an application context that nobody knows, a called AE title that is not ours.
#[test]
fn associations_that_the_standard_refuses() {
    let besieged = Besieged::started(Start::default().settings("[dicom]\ncheck_called_ae_title = true\n"));
    let mut stream = connect(besieged.archive.dicom).unwrap();
    stream
        .write_all(&associate_rq("SOMEBODY", &[(VERIFICATION, IMPLICIT_LITTLE)]))
        .unwrap();
    let answer = read_pdu(&mut stream).unwrap();
    assert_eq!((answer.kind, &answer.body[1..]), (3, &[1u8, 1, 7][..]), "{answer:?}");

    let mut unknown = vec![0, 1, 0, 0];
    unknown.extend(format!("{AE_TITLE:16}{:16}", "TESTSCU").bytes());
    unknown.extend([0; 32]);
    unknown.extend(item(0x10, b"1.2.3.4.5.6"));
    let mut context = vec![1, 0, 0, 0];
    context.extend(item(0x30, VERIFICATION.as_bytes()));
    context.extend(item(0x40, IMPLICIT_LITTLE.as_bytes()));
    unknown.extend(item(0x20, &context));
    unknown.extend(item(0x50, &item(0x51, &[0, 0, 0x40, 0])));
    let mut stream = connect(besieged.archive.dicom).unwrap();
    stream.write_all(&pdu(1, &unknown)).unwrap();
    let answer = read_pdu(&mut stream).unwrap();
    assert_eq!((answer.kind, &answer.body[1..]), (3, &[1u8, 1, 2][..]), "{answer:?}");
    besieged.assert_unmoved();
}
