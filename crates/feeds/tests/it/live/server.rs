//! A small server on loopback that answers as it is told, also badly, and keeps what it was
//! asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Path and query.
    pub path: String,
    /// Header lines in lower case.
    pub head: String,
    pub body: String,
}

/// One answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    /// Further header lines.
    pub head: String,
    pub body: Vec<u8>,
    /// Whether the connection breaks in the middle of the body.
    pub broken: bool,
}

pub fn ok(body: impl Into<Vec<u8>>) -> Answer {
    Answer { status: 200, body: body.into(), ..Answer::default() }
}

pub fn status(status: u16, head: &str) -> Answer {
    Answer { status, head: head.to_owned(), ..Answer::default() }
}

type Log = Arc<Mutex<Vec<String>>>;

/// The server; it lives as long as the test's process.
pub struct Server {
    address: SocketAddr,
    log: Log,
}

impl Server {
    /// Answers each request by what `answer` makes of it and of how many came before.
    pub fn new(mut answer: impl FnMut(&Asked, usize) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log: Log = Arc::default();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let (line, asked) = read(&stream);
                kept.lock().unwrap().push(line);
                write(&mut stream, &answer(&asked, n));
            }
        });
        Self { address, log }
    }

    pub fn host(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

fn read(stream: &TcpStream) -> (String, Asked) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut words = first.split_whitespace();
    let (method, path) = (words.next().unwrap(), words.next().unwrap().to_owned());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.trim().split_once(':').unwrap();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
        head += &format!("{}:{value}\n", name.to_ascii_lowercase());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let asked = Asked { head, body: String::from_utf8(body).unwrap(), path: path.clone() };
    (format!("{method} {path}"), asked)
}

fn write(stream: &mut TcpStream, answer: &Answer) {
    let length = answer.body.len();
    let head = format!(
        "HTTP/1.1 {} X\r\nContent-Length: {length}\r\nConnection: close\r\n{}\r\n",
        answer.status, answer.head
    );
    let sent = if answer.broken { length / 2 } else { length };
    // The other side may hang up first.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&answer.body[..sent]));
}
