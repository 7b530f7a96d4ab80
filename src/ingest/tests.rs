use std::sync::Arc;

use bytes::Bytes;
use filmroom_storage::{
    model::{Attributes, Door, Location, Origin, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid},
    store::{Store, StoreOptions},
};

use super::{Announced, Ingest, IngestError, Outcome, Receipt};
use filmroom_dataset::{Builder, CharacterSet, DataSetDescriber, encode};

const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

struct Archive {
    ingest: Ingest,
    store: Store,
    _folder: tempfile::TempDir,
}

async fn archive() -> Archive {
    let folder = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::new(folder.path());
    options.staged_from_bytes = 64 << 10;
    options.free_space_min_bytes = 0;
    let store = Store::open(options, Arc::new(DataSetDescriber)).await.unwrap();
    Archive {
        ingest: Ingest::new(store.clone()),
        store,
        _folder: folder,
    }
}

fn instance(change: impl FnOnce(&mut Builder)) -> Attributes {
    let mut builder = Builder::new();
    builder
        .text(0x0008_0016, SECONDARY_CAPTURE)
        .text(0x0008_0018, "1.2.3.4")
        .text(0x0010_0010, "Müller^Jürgen")
        .text(0x0010_0020, "ID-1")
        .text(0x0020_000D, "1.2.3")
        .text(0x0020_000E, "1.2.3.5")
        .us(0x0028_0010, 2)
        .us(0x0028_0011, 2)
        .us(0x0028_0100, 16)
        .value(0x7FE0_0010, *b"OW", &[1, 0, 2, 0, 3, 0, 4, 0]);
    change(&mut builder);
    builder.build()
}

fn announced(syntax: &str) -> Announced {
    Announced {
        transfer_syntax_uid: TransferSyntaxUid::new(syntax).unwrap(),
        sop_class_uid: None,
        sop_instance_uid: None,
        study_instance_uid: None,
        expected_length: 0,
    }
}

fn origin() -> Origin {
    Origin {
        door: Door::Dimse,
        sender: "SENDER".into(),
        receiver: "FILMROOM".into(),
        address: "127.0.0.1".into(),
    }
}

fn encoded(data_set: &Attributes, syntax: &str) -> Bytes {
    encode(data_set, &TransferSyntaxUid::new(syntax).unwrap(), &CharacterSet::Utf8).unwrap()
}

impl Archive {
    async fn take(&self, announced: Announced, bytes: &[u8]) -> Result<Receipt, IngestError> {
        let mut receiving = self.ingest.receive(announced, origin())?;
        for piece in bytes.chunks(1000) {
            receiving.write(piece).await?;
        }
        receiving.finish().await
    }

    async fn outcome(&self, data_set: &Attributes, syntax: &str) -> Outcome {
        self.take(announced(syntax), &encoded(data_set, syntax))
            .await
            .unwrap()
            .outcome()
            .clone()
    }

    fn holds(&self, sop_instance_uid: &str) -> bool {
        self.store
            .index()
            .instance(&SopInstanceUid::new(sop_instance_uid).unwrap())
            .unwrap()
            .is_some()
    }
}

#[tokio::test]
async fn stores_an_instance_as_it_came() {
    let archive = archive().await;
    let bytes = encoded(&instance(|_| {}), IMPLICIT);
    let receipt = archive.take(announced(IMPLICIT), &bytes).await.unwrap();
    assert_eq!(receipt.outcome(), &Outcome::Stored);
    assert_eq!(receipt.sop_instance_uid().as_str(), "1.2.3.4");
    let record = archive
        .store
        .index()
        .instance(receipt.sop_instance_uid())
        .unwrap()
        .unwrap();
    assert_eq!(
        archive.store.read(&record, 0..record.data_set_length()).await.unwrap(),
        bytes
    );
    let meta = archive.store.file_meta(&record).await.unwrap();
    for uid in [SECONDARY_CAPTURE, "1.2.3.4", IMPLICIT, "SENDER"] {
        assert!(
            meta.windows(uid.len()).any(|window| window == uid.as_bytes()),
            "{uid} in the file meta information"
        );
    }
}

#[tokio::test]
async fn stores_a_long_instance_in_a_file_of_its_own() {
    let archive = archive().await;
    let long = instance(|builder| {
        builder
            .us(0x0028_0010, 400)
            .us(0x0028_0011, 400)
            .value(0x7FE0_0010, *b"OW", &vec![7; 320_000]);
    });
    assert_eq!(archive.outcome(&long, EXPLICIT).await, Outcome::Stored);
    let record = archive
        .store
        .index()
        .instance(&SopInstanceUid::new("1.2.3.4").unwrap())
        .unwrap()
        .unwrap();
    assert!(matches!(record.location, Location::Staged { .. }));
    // The same in another encoding is compared where it lies.
    assert_eq!(archive.outcome(&long, BIG_ENDIAN).await, Outcome::AlreadyStored);
    let other = instance(|builder| {
        let mut pixels = vec![7; 320_000];
        pixels[319_000] = 8;
        builder
            .us(0x0028_0010, 400)
            .us(0x0028_0011, 400)
            .value(0x7FE0_0010, *b"OW", &pixels);
    });
    assert_eq!(archive.outcome(&other, IMPLICIT).await, Outcome::Quarantined(taken()));
}

fn taken() -> String {
    "SOP Instance UID 1.2.3.4 is taken by an instance of other content".into()
}

#[tokio::test]
async fn knows_an_instance_again_in_any_encoding() {
    let archive = archive().await;
    let data_set = instance(|_| {});
    assert_eq!(archive.outcome(&data_set, EXPLICIT).await, Outcome::Stored);
    for syntax in [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED] {
        assert_eq!(
            archive.outcome(&data_set, syntax).await,
            Outcome::AlreadyStored,
            "{syntax}"
        );
    }
}

#[tokio::test]
async fn keeps_another_instance_of_the_same_uid_apart() {
    let archive = archive().await;
    assert_eq!(archive.outcome(&instance(|_| {}), EXPLICIT).await, Outcome::Stored);
    let other_pixels = instance(|builder| {
        builder.value(0x7FE0_0010, *b"OW", &[1, 0, 2, 0, 3, 0, 4, 1]);
    });
    assert_eq!(
        archive.outcome(&other_pixels, EXPLICIT).await,
        Outcome::Quarantined(taken())
    );
    assert_eq!(
        archive.outcome(&other_pixels, DEFLATED).await,
        Outcome::Quarantined(taken())
    );
    let other_patient = instance(|builder| {
        builder.text(0x0010_0020, "ID-2");
    });
    assert_eq!(
        archive.outcome(&other_patient, EXPLICIT).await,
        Outcome::Quarantined(taken())
    );
    let other_study = instance(|builder| {
        builder.text(0x0020_000D, "1.2.99");
    });
    let Outcome::Quarantined(reason) = archive.outcome(&other_study, EXPLICIT).await else {
        panic!("stored")
    };
    assert!(reason.contains("of study 1.2.3"), "{reason}");
    // The stored one is as it was.
    let record = archive
        .store
        .index()
        .instance(&SopInstanceUid::new("1.2.3.4").unwrap())
        .unwrap()
        .unwrap();
    let stored = archive.store.read(&record, 0..record.data_set_length()).await.unwrap();
    assert_eq!(stored, encoded(&instance(|_| {}), EXPLICIT));
}

#[tokio::test]
async fn refuses_what_was_not_announced() {
    let archive = archive().await;
    let bytes = encoded(&instance(|_| {}), EXPLICIT);
    let other_instance = Announced {
        sop_instance_uid: Some("1.2.3.9".into()),
        ..announced(EXPLICIT)
    };
    assert!(matches!(
        archive.take(other_instance, &bytes).await,
        Err(IngestError::Mismatch(_))
    ));
    let other_class = Announced {
        sop_class_uid: Some("1.2.840.10008.5.1.4.1.1.2".into()),
        ..announced(EXPLICIT)
    };
    assert!(matches!(
        archive.take(other_class, &bytes).await,
        Err(IngestError::Mismatch(_))
    ));
    let study = Some(StudyInstanceUid::new("1.2.77").unwrap());
    let other_study = Announced {
        study_instance_uid: study,
        ..announced(EXPLICIT)
    };
    assert!(matches!(
        archive.take(other_study, &bytes).await,
        Err(IngestError::Mismatch(_))
    ));
    assert!(!archive.holds("1.2.3.4"));
    let right = Announced {
        sop_class_uid: Some(format!("{SECONDARY_CAPTURE}\0")),
        sop_instance_uid: Some("1.2.3.4\0".into()),
        study_instance_uid: Some(StudyInstanceUid::new("1.2.3").unwrap()),
        ..announced(EXPLICIT)
    };
    assert_eq!(archive.take(right, &bytes).await.unwrap().outcome(), &Outcome::Stored);
}

#[tokio::test]
async fn refuses_what_is_no_instance() {
    let archive = archive().await;
    let bytes = encoded(&instance(|_| {}), EXPLICIT);
    let cut = archive.take(announced(EXPLICIT), &bytes[..bytes.len() - 1]).await;
    assert!(matches!(cut, Err(IngestError::CannotUnderstand(_))), "{cut:?}");
    let empty = archive.take(announced(EXPLICIT), &[]).await;
    assert!(matches!(empty, Err(IngestError::Mismatch(_))), "{empty:?}");
    let nameless = instance(|builder| {
        builder.remove(0x0020_000D);
    });
    let nameless = archive.take(announced(EXPLICIT), &encoded(&nameless, EXPLICIT)).await;
    assert!(matches!(nameless, Err(IngestError::Mismatch(_))), "{nameless:?}");
    let invalid = Announced {
        sop_instance_uid: Some("1..2".into()),
        ..announced(EXPLICIT)
    };
    assert!(matches!(
        archive.ingest.receive(invalid, origin()),
        Err(IngestError::InvalidUid(_))
    ));
    assert!(!archive.holds("1.2.3.4"));
}

#[tokio::test]
async fn tells_quirks_in_the_receipt() {
    let archive = archive().await;
    let odd = instance(|builder| {
        builder.remove(0x0010_0020);
    });
    let receipt = archive
        .take(announced(EXPLICIT), &encoded(&odd, EXPLICIT))
        .await
        .unwrap();
    assert!(receipt.quirks().iter().any(|quirk| quirk.contains("no patient ID")));
}
