//! What a directory sees of who asks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use overt_client::{HttpTransport, Transport};

/// A request as it arrived.
struct Arrived {
    from: SocketAddr,
    /// The request line and the header, in lower case.
    head: String,
}

/// Answers every request with `body`, and keeps connections open.
fn listen(body: &'static str) -> (String, Receiver<Arrived>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, send) = (stream.unwrap(), send.clone());
            std::thread::spawn(move || serve(stream, body, &send));
        }
    });
    (url, receive)
}

fn serve(stream: TcpStream, body: &str, arrived: &std::sync::mpsc::Sender<Arrived>) {
    let from = stream.peer_addr().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = head.to_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.split('\r').next()?.parse().ok());
        reader
            .read_exact(&mut vec![0; length.unwrap_or(0)])
            .unwrap();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
        if arrived.send(Arrived { from, head }).is_err() {
            return;
        }
    }
}

async fn ask(transport: &HttpTransport) -> Vec<u8> {
    transport.post("/v1/x", b"request".to_vec()).await.unwrap()
}

#[tokio::test]
async fn strangers_have_no_token_and_connections_of_their_own() {
    let (url, arrived) = listen("directory");
    let transport = HttpTransport::new(&url, Some("secret")).unwrap();
    ask(&transport).await;
    let user = arrived.recv().unwrap();
    assert!(user.head.contains("authorization: bearer secret"));
    let mut peers = vec![user.from];
    for _ in 0..2 {
        ask(&transport.anonymous().unwrap()).await;
        let stranger = arrived.recv().unwrap();
        assert!(
            !stranger.head.contains("authorization"),
            "{}",
            stranger.head
        );
        assert!(!peers.contains(&stranger.from), "the same connection");
        peers.push(stranger.from);
    }
    // The connection was there to be used again.
    ask(&transport).await;
    assert_eq!(arrived.recv().unwrap().from, user.from);
}

#[tokio::test]
async fn strangers_go_through_the_proxy_that_was_named() {
    let (url, _directory) = listen("directory");
    let (proxy, at_proxy) = listen("proxy");
    let (hidden, at_hidden) = listen("anonymous proxy");
    let proxied = HttpTransport::proxied(&url, Some("secret"), &proxy).unwrap();
    assert_eq!(ask(&proxied.anonymous().unwrap()).await, b"proxy");
    assert!(!at_proxy.recv().unwrap().head.contains("authorization"));

    let straight = HttpTransport::new(&url, Some("secret")).unwrap();
    let straight = straight.with_anonymous_proxy(&hidden).unwrap();
    assert_eq!(ask(&straight).await, b"directory");
    assert_eq!(
        ask(&straight.anonymous().unwrap()).await,
        b"anonymous proxy"
    );
    assert!(!at_hidden.recv().unwrap().head.contains("authorization"));

    let both = proxied.with_anonymous_proxy(&hidden).unwrap();
    assert_eq!(ask(&both).await, b"proxy");
    assert_eq!(ask(&both.anonymous().unwrap()).await, b"anonymous proxy");
}
