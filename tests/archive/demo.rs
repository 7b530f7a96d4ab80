//! `filmroom demo`: what a newcomer sees in the first minute.

use crate::{
    harness::{Start, eventually},
    web::ask,
};

#[test]
fn shows_phantom_studies() {
    let archive = Start::default().command("demo").start();
    let catalogue = filmroom_fixtures::catalogue(1);
    eventually("the phantom studies are there", || {
        (archive.search("/studies").len() >= catalogue.len()).then_some(())
    });
    let page = ask(archive.http, "GET", "/", &[("Accept", "text/html")], &[]).unwrap();
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap_or_default().starts_with("text/html"));
    let html = page.text();
    for study in archive.search("/studies?limit=100") {
        let name = study["00100010"]["Value"][0]["Alphabetic"].as_str().unwrap();
        let shown = name.split('^').next().unwrap();
        assert!(html.contains(shown), "{shown} is not on the page");
        let uid = study["0020000D"]["Value"][0].as_str().unwrap();
        let thumbnail = archive.get(&format!("/studies/{uid}/thumbnail"), "image/jpeg");
        assert_eq!(thumbnail.status, 200, "{name}: {}", thumbnail.text());
        assert_eq!(&thumbnail.body[..3], b"\xff\xd8\xff");
    }
}
