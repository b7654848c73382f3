//! An auditor that reaches everybody through a proxy.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use overt_auditor::fetch::Fetch;
use overt_auditor::transport::Http;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Names are resolved by the proxy (`socks5h`): looking them up would say where the auditor looks.
#[tokio::test]
async fn everything_goes_through_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("socks5h://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting).await.unwrap();
        assert_eq!(greeting[0], 5);
        stream.write_all(&[5, 0]).await.unwrap();
        // CONNECT to a domain name (RFC 1928, section 4).
        let mut head = [0; 5];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(head[..4], [5, 1, 0, 3]);
        let mut name = vec![0; usize::from(head[4]) + 2];
        stream.read_exact(&mut name).await.unwrap();
        stream
            .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).await.unwrap();
        assert!(request[..length].starts_with(b"GET /checkpoint "));
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
            .await
            .unwrap();
        name.truncate(name.len() - 2);
        String::from_utf8(name).unwrap()
    });
    let fetch = Fetch(Arc::new(Http::new(Some(&proxy)).unwrap()));
    let url = "http://directory.invalid";
    assert_eq!(fetch.get(url, "/checkpoint", 100).await.unwrap(), b"hello");
    assert_eq!(served.await.unwrap(), "directory.invalid");
    assert!(fetch.get(url, "/checkpoint", 3).await.is_err(), "too long");
    assert!(Http::new(Some("no address")).is_err());
}
