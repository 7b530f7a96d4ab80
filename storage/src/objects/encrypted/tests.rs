use std::collections::BTreeMap;

use super::*;
use crate::{
    encryption::MasterKeys,
    model::StudyInstanceUid,
    objects::{Fault, FaultyObjects, MemoryObjects},
};

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

fn pack(study: u32, pack: u32) -> ObjectName {
    name(&format!("studies/1.2.{study}/3.4.{study}/{pack:08}.tar"))
}

fn under(master: &Arc<MasterKeys>) -> Encryption {
    Encryption {
        master: Arc::clone(master),
        plain: PlainObjects::Read,
    }
}

struct Fixture {
    inner: Arc<dyn ObjectStore>,
    master: Arc<MasterKeys>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            inner: Arc::new(MemoryObjects::default()),
            master: Arc::new(MasterKeys::random().unwrap()),
        }
    }

    async fn open(&self) -> EncryptedObjects {
        EncryptedObjects::open(Arc::clone(&self.inner), &under(&self.master))
            .await
            .unwrap()
    }

    /// Everything at the engine.
    async fn all(&self) -> BTreeMap<ObjectName, Bytes> {
        let mut all = BTreeMap::new();
        for (name, length) in self.inner.list("", None, 10_000).await.unwrap() {
            let bytes = self.inner.get_range(&name, 0..length).await.unwrap();
            all.insert(name, bytes);
        }
        all
    }

    async fn place(&self, objects: &EncryptedObjects, name: &ObjectName) -> (ObjectName, Bytes) {
        let at = objects.shared.place(name).unwrap().at;
        let bytes = self.inner.get_range(&at, 0..1 << 30).await.unwrap();
        (at, bytes)
    }
}

fn body(fill: u8, length: usize) -> Body {
    Bytes::from(vec![fill; length]).into()
}

async fn whole(objects: &EncryptedObjects, name: &ObjectName) -> Result<Bytes, ObjectError> {
    let read = objects.get_range(name, 0..1 << 30).await;
    if let Some(source) = objects.local_source(name) {
        let blocking = source.and_then(|source| Ok(source.read_at(0, 1 << 30)?));
        match (&read, blocking) {
            (Ok(read), Ok(blocking)) => assert_eq!(*read, blocking),
            (Ok(_), Err(_)) | (Err(_), Err(_)) => {}
            (Err(read), Ok(_)) => panic!("only read by blocking: {read}"),
        }
    }
    read
}

#[tokio::test]
async fn nothing_of_bytes_and_uids_is_seen() {
    let fixture = Fixture::new();
    let objects = fixture.open().await;
    let secret = b"DOE^JANE 1.2.840.4711 ".repeat(10_000);
    let name = name("studies/1.2.840.4711/1.2.840.4712/00000001.tar");
    objects.put(&name, Bytes::from(secret.clone()).into()).await.unwrap();
    assert_eq!(whole(&objects, &name).await.unwrap(), secret);
    for (at, bytes) in fixture.all().await {
        assert!(!at.as_str().contains("4711") && !at.as_str().contains("4712"), "{at}");
        for needle in [&b"DOE^"[..], b"4711"] {
            assert!(bytes.windows(needle.len()).all(|window| window != needle));
        }
    }
}

#[tokio::test]
async fn the_same_put_twice_shares_no_byte() {
    let fixture = Fixture::new();
    let objects = fixture.open().await;
    objects.put(&pack(1, 1), body(7, 200_000)).await.unwrap();
    let (_, first) = fixture.place(&objects, &pack(1, 1)).await;
    objects.put(&pack(1, 1), body(7, 200_000)).await.unwrap();
    let (_, second) = fixture.place(&objects, &pack(1, 1)).await;
    assert_eq!(first.len(), second.len());
    let same = first[64..].iter().zip(&second[64..]).filter(|(a, b)| a == b).count();
    assert!(same < first.len() / 100, "one in 256 by chance, not {same}");
}

#[tokio::test]
async fn what_is_changed_cut_or_moved_does_not_open() {
    let fixture = Fixture::new();
    let objects = fixture.open().await;
    let (one, other, beside) = (pack(1, 1), pack(2, 1), pack(1, 2));
    for name in [&one, &other, &beside] {
        objects.put(name, body(1, 200_000)).await.unwrap();
    }
    let (at, good) = fixture.place(&objects, &one).await;
    let fails = async |bytes: Bytes, what: &str| {
        fixture.inner.put(&at, bytes.into()).await.unwrap();
        // With a head at hand the chunks alone are looked at.
        let read = whole(&objects, &one).await;
        assert!(
            read.is_err() || read.is_ok_and(|read| read == vec![1; 200_000]),
            "{what}"
        );
        let fresh = fixture.open().await;
        let read = whole(&fresh, &one).await.map(|read| read.len());
        assert!(matches!(read, Err(ObjectError::Damaged(..))), "{what}: {read:?}");
        assert!(
            matches!(fresh.local_source(&one), Some(Err(_)))
                || fresh.local_source(&one).unwrap().unwrap().read_at(0, 1 << 30).is_err()
        );
    };
    for place in [0, 8, 30, 57, 64, 70_000, good.len() - 1] {
        let mut changed = good.to_vec();
        changed[place] ^= 1;
        fails(changed.into(), &format!("changed at {place}")).await;
    }
    fails(good.slice(..good.len() - 1), "cut").await;
    fails(good.slice(..64 + 65_552), "cut at a chunk").await;
    fails(good.slice(..10), "cut within the head").await;
    fails(Bytes::new(), "emptied").await;
    for name in [&other, &beside] {
        let (_, bytes) = fixture.place(&objects, name).await;
        fails(bytes, "another object in its place").await;
    }
    fixture.inner.put(&at, good.into()).await.unwrap();
    whole(&objects, &one).await.unwrap();
}

#[tokio::test]
async fn a_destroyed_key_takes_one_study_with_it() {
    let fixture = Fixture::new();
    let objects = fixture.open().await;
    for study in [1, 2] {
        objects.put(&pack(study, 1), body(1, 100)).await.unwrap();
    }
    let study = StudyInstanceUid::new("1.2.1").unwrap();
    objects.destroy_key(&study).await.unwrap();
    objects.destroy_key(&study).await.unwrap();
    for objects in [&objects, &fixture.open().await] {
        let read = whole(objects, &pack(1, 1)).await;
        assert!(
            matches!(&read, Err(ObjectError::Damaged(_, why)) if why.contains("destroyed")),
            "{read:?}"
        );
        whole(objects, &pack(2, 1)).await.unwrap();
    }
    objects.put(&pack(1, 2), body(2, 100)).await.unwrap();
    assert_eq!(whole(&objects, &pack(1, 2)).await.unwrap(), vec![2; 100]);
    assert!(whole(&objects, &pack(1, 1)).await.is_err());
}

#[tokio::test]
async fn a_rotation_moves_all_to_the_first_master_key() {
    let mut fixture = Fixture::new();
    let objects = fixture.open().await;
    for study in 0..5 {
        objects.put(&pack(study, 1), body(1, 100)).await.unwrap();
    }
    let old = Arc::clone(&fixture.master);
    let new = MasterKeys::random().unwrap();
    // The new key alone opens nothing.
    let refused = EncryptedObjects::open(
        Arc::clone(&fixture.inner),
        &under(&Arc::new(MasterKeys::random().unwrap())),
    )
    .await;
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains(&old.first_id().to_string()), "{refused}");
    fixture.master = Arc::new(new.then(&old));
    let objects = fixture.open().await;
    objects.put(&pack(9, 1), body(1, 100)).await.unwrap();
    let rotation = objects.rotate(|_| ()).await.unwrap();
    assert_eq!(rotation, Rotation { keys: 7, wrapped: 6 });
    assert_eq!(objects.rotate(|_| ()).await.unwrap(), Rotation { keys: 7, wrapped: 0 });
    assert_eq!(objects.wrapped_by().await.unwrap(), [(new.first_id(), 7)]);
    fixture.master = Arc::new(new);
    let objects = fixture.open().await;
    for study in 0..5 {
        whole(&objects, &pack(study, 1)).await.unwrap();
    }
    fixture.master = old;
    assert!(
        EncryptedObjects::open(Arc::clone(&fixture.inner), &under(&fixture.master))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn plain_objects_are_read_and_encrypted_one_by_one() {
    let fixture = Fixture::new();
    for study in 0..5 {
        fixture
            .inner
            .put(&pack(study, 1), body(study as u8, 1000))
            .await
            .unwrap();
    }
    fixture.inner.put(&name("journal/1"), body(b'j', 10)).await.unwrap();
    let objects = fixture.open().await;
    objects.put(&pack(7, 1), body(7, 1000)).await.unwrap();
    objects.put(&pack(1, 1), body(11, 1100)).await.unwrap();
    let list = async |page: usize| {
        let mut all: Vec<(ObjectName, u64)> = Vec::new();
        loop {
            let after = all.last().map(|(name, _)| name.clone());
            let page = objects.list("", after.as_ref(), page).await.unwrap();
            if page.is_empty() {
                all.sort();
                return all;
            }
            all.extend(page);
        }
    };
    let before = list(100).await;
    assert_eq!(before.len(), 7);
    assert_eq!(list(2).await, before);
    assert!(before.contains(&(pack(1, 1), 1100)), "what was put anew");
    assert_eq!(whole(&objects, &pack(2, 1)).await.unwrap(), vec![2; 1000]);
    assert_eq!(objects.head(&pack(2, 1)).await.unwrap(), Some(1000));
    let mut encrypted = 0;
    loop {
        let page = objects.plain(None, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        for (name, _) in page {
            let blocking = objects.clone();
            let task = tokio::spawn(async move { blocking.encrypt(&name).await });
            task.await.unwrap().unwrap();
            encrypted += 1;
            assert_eq!(list(3).await, before);
        }
    }
    assert_eq!(encrypted, 5);
    assert!(!objects.shared.reads_plain());
    assert!(
        fixture
            .all()
            .await
            .keys()
            .all(|name| name.as_str().starts_with("encrypted/") || name.as_str().starts_with("keys/"))
    );
    assert_eq!(whole(&objects, &pack(2, 1)).await.unwrap(), vec![2; 1000]);
    objects.delete(&pack(2, 1)).await.unwrap();
    assert_eq!(objects.head(&pack(2, 1)).await.unwrap(), None);
}

#[tokio::test]
async fn plain_objects_are_refused_where_that_is_asked() {
    let fixture = Fixture::new();
    fixture.inner.put(&pack(1, 1), body(1, 10)).await.unwrap();
    let mut encryption = under(&fixture.master);
    encryption.plain = PlainObjects::Refuse;
    let objects = EncryptedObjects::open(Arc::clone(&fixture.inner), &encryption)
        .await
        .unwrap();
    assert!(matches!(
        whole(&objects, &pack(1, 1)).await,
        Err(ObjectError::Missing(_))
    ));
    assert!(objects.list("", None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_encrypted_store_is_known_as_one_and_its_key_is_missed() {
    let fixture = Fixture::new();
    assert!(!is_encrypted(fixture.inner.as_ref()).await.unwrap());
    let objects = fixture.open().await;
    assert!(is_encrypted(fixture.inner.as_ref()).await.unwrap());
    objects.put(&name("journal/1"), body(1, 1)).await.unwrap();
    for (name, _) in fixture.inner.list(ARCHIVE_KEYS, None, 10).await.unwrap() {
        fixture.inner.delete(&name).await.unwrap();
    }
    let error = EncryptedObjects::open(Arc::clone(&fixture.inner), &under(&fixture.master))
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("keys/archive"), "{error}");
}

#[tokio::test]
async fn failures_of_the_engine_are_told_and_leave_what_was_there() {
    let faulty = Arc::new(FaultyObjects::new(MemoryObjects::default()));
    let master = Arc::new(MasterKeys::random().unwrap());
    let objects = EncryptedObjects::open(faulty.clone(), &under(&master)).await.unwrap();
    objects.put(&pack(1, 1), body(1, 100)).await.unwrap();
    faulty.inject([Fault::Error]);
    assert!(objects.put(&pack(1, 1), body(2, 100)).await.is_err());
    assert_eq!(whole(&objects, &pack(1, 1)).await.unwrap(), vec![1; 100]);
    faulty.inject([Fault::LostAnswer]);
    assert!(objects.put(&pack(1, 1), body(3, 100)).await.is_err());
    assert_eq!(whole(&objects, &pack(1, 1)).await.unwrap(), vec![3; 100]);
    faulty.inject([Fault::Torn(80)]);
    objects.put(&pack(1, 1), body(4, 100)).await.unwrap();
    assert!(matches!(
        whole(&objects, &pack(1, 1)).await,
        Err(ObjectError::Damaged(..))
    ));
}
