//! The contract of an object store, run against every engine.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::*;
use crate::encryption::{Encryption, MasterKeys, PlainObjects};

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

/// Runs the whole suite against an empty store.
pub(super) async fn run(objects: &dyn ObjectStore) {
    puts_and_reads(objects).await;
    puts_local_files(objects).await;
    replaces_whole_objects(objects).await;
    lists_in_order_of_names(objects).await;
    deletes_once_and_again(objects).await;
    takes_many_at_once(objects).await;
}

async fn puts_and_reads(objects: &dyn ObjectStore) {
    let name = name("studies/1.2/3.4/00000001.tar");
    assert_eq!(objects.head(&name).await.unwrap(), None);
    assert!(matches!(
        objects.get_range(&name, 0..1).await,
        Err(ObjectError::Missing(_))
    ));
    let mut body = Body::default();
    body.push(Bytes::from_static(b"first "));
    body.push(Bytes::new());
    body.push(Bytes::from(vec![b'x'; 100_000]));
    let length = body.len();
    objects.put(&name, body).await.unwrap();
    assert_eq!(objects.head(&name).await.unwrap(), Some(length));
    assert_eq!(objects.get_range(&name, 0..5).await.unwrap(), "first");
    assert_eq!(objects.get_range(&name, 4..8).await.unwrap(), "t xx");
    assert_eq!(
        objects.get_range(&name, length - 2..length + 50).await.unwrap(),
        "xx",
        "short where the object ends"
    );
    for range in [0..5, 4..8, 0..length] {
        if let Some(bytes) = objects.get_range_at_once(&name, range.clone()) {
            assert_eq!(bytes, objects.get_range(&name, range).await.unwrap());
        }
    }
    assert_eq!(objects.get_range_at_once(&name, length - 2..length + 50), None);
    let whole = objects.get_range(&name, 0..length).await.unwrap();
    assert_eq!(objects.crc32(&name).await.unwrap(), crc32fast::hash(&whole));
}

async fn puts_local_files(objects: &dyn ObjectStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("staged");
    std::fs::write(&path, vec![7; 300_000]).unwrap();
    let name = name("studies/1.2/3.5/00000001.tar");
    for _ in 0..2 {
        objects.put_file(&name, &path).await.unwrap();
        assert!(path.exists(), "the file stays where it was");
        assert_eq!(objects.head(&name).await.unwrap(), Some(300_000));
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(objects.get_range(&name, 299_999..300_000).await.unwrap(), vec![7]);
}

async fn replaces_whole_objects(objects: &dyn ObjectStore) {
    let name = name("replaced");
    objects
        .put(&name, Bytes::from_static(b"a long first version").into())
        .await
        .unwrap();
    objects.put(&name, Bytes::from_static(b"short").into()).await.unwrap();
    assert_eq!(objects.get_range(&name, 0..100).await.unwrap(), "short");
    objects.put(&name, Body::default()).await.unwrap();
    assert_eq!(objects.head(&name).await.unwrap(), Some(0));
}

async fn lists_in_order_of_names(objects: &dyn ObjectStore) {
    // A dot sorts before a slash, so that the longer study UID comes first.
    let names = [
        "list/1.2.3/a",
        "list/1.2/a",
        "list/1.2/b",
        "list/1.2/b/c",
        "list/2",
        "list/20/x",
        "other/1",
    ];
    let names: Vec<_> = names
        .into_iter()
        .filter(|name| *name != "list/1.2/b")
        .map(name)
        .collect();
    for name in names.iter().rev() {
        objects
            .put(name, Bytes::from(name.as_str().to_owned()).into())
            .await
            .unwrap();
    }
    let all = objects.list("list/", None, 100).await.unwrap();
    let expected: Vec<_> = names
        .iter()
        .filter(|name| name.as_str().starts_with("list/"))
        .cloned()
        .collect();
    let mut sorted = expected.clone();
    sorted.sort();
    assert_eq!(all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), sorted);
    assert!(all.iter().all(|(name, length)| *length == name.as_str().len() as u64));
    let mut paged = Vec::new();
    loop {
        let page = objects.list("list/", paged.last(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page.into_iter().map(|(name, _)| name));
    }
    assert_eq!(paged, sorted);
    let part: Vec<_> = objects.list("list/1.2/", None, 100).await.unwrap();
    assert!(!part.is_empty() && part.iter().all(|(name, _)| name.as_str().starts_with("list/1.2/")));
    assert!(objects.list("nothing/", None, 100).await.unwrap().is_empty());
}

async fn deletes_once_and_again(objects: &dyn ObjectStore) {
    let name = name("deleted/1");
    objects.put(&name, Bytes::from_static(b"1").into()).await.unwrap();
    objects.delete(&name).await.unwrap();
    objects.delete(&name).await.unwrap();
    assert_eq!(objects.head(&name).await.unwrap(), None);
    assert!(objects.list("deleted/", None, 9).await.unwrap().is_empty());
}

async fn takes_many_at_once(objects: &dyn ObjectStore) {
    let names: BTreeMap<_, _> = (0..20_u8).map(|n| (name(&format!("many/{n:02}")), n)).collect();
    let puts = names
        .iter()
        .map(|(name, n)| objects.put(name, Bytes::from(vec![*n; 5000]).into()));
    for put in futures_util::future::join_all(puts).await {
        put.unwrap();
    }
    let gets = futures_util::future::join_all(names.keys().map(|name| objects.get_range(name, 4000..4002))).await;
    for (got, n) in gets.into_iter().zip(names.values()) {
        assert_eq!(got.unwrap(), vec![*n; 2]);
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    run(&MemoryObjects::default()).await;
}

#[tokio::test]
async fn a_local_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    run(&LocalObjects::open(folder.path().to_owned()).unwrap()).await;
    let under_way = std::fs::read_dir(folder.path().join(".put")).unwrap().count();
    assert_eq!(under_way, 0, "nothing is left under way");
}

#[tokio::test]
async fn a_wrapper_without_faults_keeps_the_contract() {
    run(&FaultyObjects::new(MemoryObjects::default())).await;
}

#[tokio::test]
async fn faults_do_what_they_say() {
    let objects = FaultyObjects::new(MemoryObjects::default());
    let name = name("a");
    let put = |bytes: &'static [u8]| objects.put(&name, Bytes::from_static(bytes).into());
    objects.inject([
        Fault::Error,
        Fault::None,
        Fault::LostAnswer,
        Fault::None,
        Fault::Torn(3),
    ]);
    assert!(put(b"12345").await.is_err());
    assert_eq!(objects.head(&name).await.unwrap(), None);
    assert!(put(b"12345").await.is_err());
    assert_eq!(
        objects.head(&name).await.unwrap(),
        Some(5),
        "carried out, though the answer was lost"
    );
    put(b"123456").await.unwrap();
    assert_eq!(
        objects.head(&name).await.unwrap(),
        Some(3),
        "torn, though the answer was good"
    );
}

fn encryption(plain: PlainObjects) -> Encryption {
    Encryption {
        master: Arc::new(MasterKeys::random().unwrap()),
        plain,
    }
}

#[tokio::test]
async fn encryption_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let inner: Arc<dyn ObjectStore> = Arc::new(LocalObjects::open(folder.path().to_owned()).unwrap());
    run(&EncryptedObjects::open(inner, &encryption(PlainObjects::Read))
        .await
        .unwrap())
    .await;
    let inner: Arc<dyn ObjectStore> = Arc::new(MemoryObjects::default());
    run(&EncryptedObjects::open(inner, &encryption(PlainObjects::Refuse))
        .await
        .unwrap())
    .await;
}

#[tokio::test]
async fn encryption_keeps_the_contract_beside_plain_objects() {
    let inner: Arc<dyn ObjectStore> = Arc::new(MemoryObjects::default());
    inner
        .put(&name("zzz"), Bytes::from_static(b"plain").into())
        .await
        .unwrap();
    let objects = EncryptedObjects::open(inner, &encryption(PlainObjects::Read))
        .await
        .unwrap();
    run(&objects).await;
    assert_eq!(objects.get_range(&name("zzz"), 0..9).await.unwrap(), "plain");
}
