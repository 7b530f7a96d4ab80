//! What the service says of itself is what it does.

use std::collections::BTreeMap;

use super::*;

fn example(path: &str) -> String {
    path.replace("{study}", "1.2")
        .replace("{series}", "1.3")
        .replace("{instance}", "1.4")
        .replace("{patient}", "P")
        .replace("{frames}", "1")
        .replace("{path}", "7FE00010")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_true_to_the_routes() {
    let archive = Archive::new(DicomwebConfig::default()).await;
    let mut methods: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for service in SERVICES {
        methods.entry(service.path).or_default().push(service.method);
    }
    for (path, methods) in methods {
        let path = format!("/dicom-web{}", if path == "/" { String::new() } else { example(path) });
        let answer = archive.ask(Method::TRACE, &path, &[]).await;
        assert_eq!(answer.status, 405, "{path} is not routed");
        let mut allowed: Vec<String> = answer
            .header("allow")
            .split(',')
            .map(|method| method.trim().to_lowercase())
            .collect();
        allowed.retain(|method| method != "head");
        allowed.sort();
        let mut expected = methods.clone();
        expected.sort_unstable();
        assert_eq!(allowed, expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn describes_itself_in_every_form() {
    let archive = Archive::new(DicomwebConfig::default()).await;
    for (method, path) in [
        (Method::GET, "/dicom-web/openapi.json"),
        (Method::OPTIONS, "/dicom-web"),
        (Method::GET, "/dicom-web/"),
    ] {
        let answer = archive.ask(method.clone(), path, &[]).await;
        assert_eq!(answer.status, 200, "{method} {path}");
        let document = answer.json();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["servers"][0]["url"], "http://archive.example/dicom-web");
        for service in SERVICES {
            assert!(
                document["paths"][service.path][service.method]["responses"]["200"].is_object(),
                "{}",
                service.path
            );
        }
    }
    let wadl = archive
        .ask(
            Method::OPTIONS,
            "/dicom-web",
            &[("accept", "application/vnd.sun.wadl+xml")],
        )
        .await;
    assert_eq!(wadl.header("content-type"), "application/vnd.sun.wadl+xml");
    let mut reader = quick_xml::Reader::from_reader(&wadl.body[..]);
    let mut resources = 0;
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Start(element) if element.name().as_ref() == b"resource" => resources += 1,
            _ => {}
        }
    }
    let mut paths: Vec<&str> = SERVICES.iter().map(|service| service.path).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(resources, paths.len());
}
