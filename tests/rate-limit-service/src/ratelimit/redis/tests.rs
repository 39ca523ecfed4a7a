//! Against a server of two commands in the test.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

fn increment(key: &str, hits: u64) -> Increment {
    Increment {
        key: key.to_owned(),
        hits,
        expires_after_s: 60,
    }
}

/// Answers one connection with these pieces, each when something has come; yields what
/// came.
fn server(
    listener: TcpListener,
    answers: Vec<&'static [u8]>,
) -> JoinHandle<(TcpListener, Vec<u8>)> {
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        for answer in answers {
            let mut piece = [0; 1024];
            let length = stream.read(&mut piece).await.unwrap();
            heard.extend_from_slice(&piece[..length]);
            stream.write_all(answer).await.unwrap();
        }
        (listener, heard)
    })
}

#[tokio::test]
async fn counts_are_asked_for_in_one_go() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redis = Redis::new(listener.local_addr().unwrap());
    let server = server(listener, vec![b":5\r\n:1\r\n:70\r\n:1\r\n"]);
    let (a, b) = (increment("a b", 2), increment("ü", 0));
    assert_eq!(redis.add(&[&a, &b]).await.unwrap(), [5, 70]);
    let (_, heard) = server.await.unwrap();
    let wanted = "*3\r\n$6\r\nINCRBY\r\n$3\r\na b\r\n$1\r\n2\r\n\
                  *3\r\n$6\r\nEXPIRE\r\n$3\r\na b\r\n$2\r\n60\r\n\
                  *3\r\n$6\r\nINCRBY\r\n$2\r\nü\r\n$1\r\n0\r\n\
                  *3\r\n$6\r\nEXPIRE\r\n$2\r\nü\r\n$2\r\n60\r\n";
    assert_eq!(String::from_utf8(heard).unwrap(), wanted);
}

#[tokio::test]
async fn nothing_to_count_asks_nobody() {
    // The port of a listener that is gone.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redis = Redis::new(listener.local_addr().unwrap());
    drop(listener);
    assert!(redis.add(&[]).await.unwrap().is_empty());
    assert!(redis.add(&[&increment("k", 1)]).await.is_err());
}

#[tokio::test]
async fn an_error_costs_the_connection_and_the_next_question_makes_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redis = Redis::new(listener.local_addr().unwrap());
    let one = increment("k", 1);
    let first = server(listener, vec![b"-LOADING not yet\r\n:1\r\n"]);
    let error = format!("{:#}", redis.add(&[&one]).await.unwrap_err());
    assert!(error.contains("LOADING"), "{error}");
    let second = server(first.await.unwrap().0, vec![b":8\r\n:1\r\n"]);
    assert_eq!(redis.add(&[&one]).await.unwrap(), [8]);
    second.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_not_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redis = Redis::new(listener.local_addr().unwrap());
    let one = increment("k", 1);
    let first = server(listener, vec![b":1\r\n:1\r\n"]);
    assert_eq!(redis.add(&[&one]).await.unwrap(), [1]);
    let second = server(first.await.unwrap().0, vec![b":2\r\n:1\r\n"]);
    // The end of the first connection arrives like any other bytes.
    let kept = || redis.connection.try_lock().unwrap();
    while kept().as_ref().is_some_and(Connection::is_open) {
        tokio::task::yield_now().await;
    }
    assert_eq!(redis.add(&[&one]).await.unwrap(), [2]);
    second.await.unwrap();
}
