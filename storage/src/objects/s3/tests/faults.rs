//! Connections that break at every place.

use super::{
    server::{Mischief, Proxy},
    *,
};

const SLOW_DOWN: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 109\r\n\r\n\
    <Error><Code>SlowDown</Code><Message>please reduce your request rate, as a server says it .</Message></Error>";
const ELSEWHERE: &str = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";

async fn through_proxy(server: &Server) -> (Proxy, S3Objects) {
    let proxy = Proxy::before(server).await;
    let options = S3Options {
        endpoint: proxy.endpoint.clone(),
        request_timeout: Duration::from_secs(10),
        part_bytes: 5 << 20,
        ..server.options()
    };
    let objects = S3Objects::open(options).await.unwrap();
    (proxy, objects)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_lose_nothing() {
    assert_eq!(SLOW_DOWN.split("\r\n\r\n").nth(1).unwrap().len(), 109);
    let mut server = Server::start();
    let (proxy, objects) = through_proxy(&server).await;
    let pack = name("studies/1.2/3/00000001.tar");
    let bytes = pattern(300_000);

    for mischief in [
        Mischief::Cut,
        Mischief::LoseAnswer,
        Mischief::CutAnswer(20),
        Mischief::Say(SLOW_DOWN),
        Mischief::Delay(Duration::from_millis(50)),
    ] {
        proxy.plan([("PUT ", mischief)]);
        objects.put(&pack, body(&bytes)).await.unwrap();
        proxy.plan([("GET ", mischief)]);
        assert_eq!(read_all(&objects, &pack).await, bytes, "{mischief:?}");
        proxy.plan([("HEAD ", mischief)]);
        assert_eq!(objects.head(&pack).await.unwrap(), Some(300_000), "{mischief:?}");
        proxy.plan([("list-type=2", mischief)]);
        assert_eq!(
            objects.list("studies/", None, 9).await.unwrap().len(),
            1,
            "{mischief:?}"
        );
        proxy.plan([("DELETE ", mischief)]);
        objects.delete(&pack).await.unwrap();
        assert_eq!(objects.head(&pack).await.unwrap(), None, "{mischief:?}");
        assert!(proxy.is_used_up(), "{mischief:?}");
    }
    // In the middle of the bytes.
    objects.put(&pack, body(&bytes)).await.unwrap();
    proxy.plan([
        ("GET ", Mischief::CutAnswer(100_000)),
        ("GET ", Mischief::CutAnswer(299_000)),
    ]);
    assert_eq!(objects.crc32(&pack).await.unwrap(), crc32fast::hash(&bytes));

    survives_in_parts(&proxy, &objects, &mut server).await;
    gives_up_at_last(&proxy, &objects, &mut server).await;
    does_not_follow_redirects(&proxy, &objects).await;
    leaves_nothing_of_a_dropped_put(&proxy, &objects, &mut server).await;
    waits_no_longer_than_it_is_told(&proxy, &server).await;
}

async fn survives_in_parts(proxy: &Proxy, objects: &S3Objects, server: &mut Server) {
    let large = name("studies/1.2/3/00000002.tar");
    let bytes = pattern((11 << 20) + 7);
    proxy.plan([
        ("uploads=", Mischief::Cut),
        ("partNumber=", Mischief::Cut),
        ("partNumber=", Mischief::LoseAnswer),
        ("partNumber=", Mischief::Say(SLOW_DOWN)),
        ("POST ", Mischief::Cut),
        // Completed, and we are not told: the next try finds no upload, and the object.
        ("POST ", Mischief::LoseAnswer),
    ]);
    objects.put(&large, body(&bytes)).await.unwrap();
    assert!(proxy.is_used_up());
    assert_eq!(objects.crc32(&large).await.unwrap(), crc32fast::hash(&bytes));
    // An upload whose very beginning had no answer is known to nobody; nothing of ours can be in it.
    let left = server.ask(&format!("uploads {}", server.bucket.clone()));
    assert!(left.as_u64().unwrap() <= 1, "{left}");
}

async fn gives_up_at_last(proxy: &Proxy, objects: &S3Objects, server: &mut Server) {
    let lost = name("studies/1.2/3/00000003.tar");
    let before = server.ask(&format!("uploads {}", server.bucket.clone()));
    proxy.plan([("partNumber=", Mischief::Say(FORBIDDEN))]);
    let error = objects.put(&lost, body(&pattern(6 << 20))).await.unwrap_err();
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    assert!(!error.to_string().contains("Signature"), "{error}");
    assert_eq!(objects.head(&lost).await.unwrap(), None);
    assert_eq!(
        server.ask(&format!("uploads {}", server.bucket.clone())),
        before,
        "the upload is aborted"
    );

    let asked = proxy.requests();
    proxy.plan(vec![("PUT ", Mischief::Say(SLOW_DOWN)); 6]);
    let error = objects.put(&lost, body(&pattern(10))).await.unwrap_err();
    assert!(error.to_string().contains("SlowDown"), "{error}");
    assert_eq!(proxy.requests() - asked, 6, "six attempts");
    proxy.plan([("PUT ", Mischief::Say(FULL))]);
    assert!(matches!(
        objects.put(&lost, body(&pattern(10))).await,
        Err(ObjectError::Full(_))
    ));
}

const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 40\r\n\r\n<Error><Code>AccessDenied</Code></Error>";
const FULL: &str = "HTTP/1.1 507 Insufficient Storage\r\ncontent-length: 0\r\n\r\n";

async fn does_not_follow_redirects(proxy: &Proxy, objects: &S3Objects) {
    let asked = proxy.requests();
    for method in ["GET ", "list-type=2"] {
        proxy.plan([(method, Mischief::Say(ELSEWHERE))]);
    }
    let error = objects.get_range(&name("any"), 0..10).await.unwrap_err().to_string();
    assert!(error.contains("objects.s3.endpoint"), "{error}");
    let error = objects.list("", None, 10).await.unwrap_err().to_string();
    assert!(error.contains("objects.s3.endpoint"), "{error}");
    assert_eq!(proxy.requests() - asked, 2, "asked once each");
}

async fn leaves_nothing_of_a_dropped_put(proxy: &Proxy, objects: &S3Objects, server: &mut Server) {
    let dropped = name("studies/1.2/3/00000004.tar");
    let before = server.ask(&format!("uploads {}", server.bucket.clone()));
    proxy.plan([("partNumber=", Mischief::Delay(Duration::from_secs(30)))]);
    let put = objects.put(&dropped, body(&pattern(6 << 20)));
    tokio::select! {
        put = put => panic!("it should still be under way: {put:?}"),
        () = async { while !proxy.is_used_up() { tokio::task::yield_now().await } } => {}
    }
    for _ in 0..600 {
        if server.ask(&format!("uploads {}", server.bucket.clone())) == before {
            assert_eq!(objects.head(&dropped).await.unwrap(), None);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the upload is still there");
}

async fn waits_no_longer_than_it_is_told(proxy: &Proxy, server: &Server) {
    let options = S3Options {
        endpoint: proxy.endpoint.clone(),
        request_timeout: Duration::from_millis(300),
        attempts_max: 2,
        ..server.options()
    };
    let Ok(hasty) = S3Objects::open(options).await else {
        // So busy a machine that even the bucket was not reached: the limit was kept.
        return;
    };
    let answers = Mischief::Delay(Duration::from_secs(3600));
    proxy.plan([("HEAD ", answers), ("HEAD ", answers)]);
    let error = hasty.head(&name("any")).await.unwrap_err().to_string();
    assert!(error.contains("no answer came"), "{error}");
}
