//! HTTP by hand: requests as bytes, answers as they come, so that what is sent and what is not is the test's affair.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take to go on.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.body))
    }
}

/// A connection to a page.
pub struct Http(BufReader<TcpStream>);

impl Http {
    pub fn connect(port: u16) -> io::Result<Http> {
        Http::at(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    pub fn at(address: SocketAddr) -> io::Result<Http> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Http(BufReader::new(socket)))
    }

    pub fn socket(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// The status and the fields of an answer.
    pub fn head(&mut self) -> io::Result<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no answer: '{first}'")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_lowercase(), value.trim().to_string()));
        }
        Ok(Answer { status, headers, body: String::new() })
    }

    /// A line without its end.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_string())
    }

    /// An answer with a body of known length.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.head()?;
        let mut body = vec![0; answer.header("content-length").parse().unwrap_or(0)];
        self.0.read_exact(&mut body)?;
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    /// The next event's data.
    pub fn event(&mut self) -> io::Result<Value> {
        loop {
            if let Some(data) = self.line()?.strip_prefix("data: ") {
                return serde_json::from_str(data).map_err(io::Error::other);
            }
        }
    }
}

/// Asks for a path. Panics if there is no answer.
#[track_caller]
pub fn get(port: u16, path: &str) -> Answer {
    request(port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"))
}

/// Sends JSON, with these further fields of the head, each with its end.
#[track_caller]
pub fn post(port: u16, path: &str, fields: &str, body: &str) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n{fields}");
    request(port, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))
}

/// Sends a request as it is.
#[track_caller]
pub fn request(port: u16, text: &str) -> Answer {
    let asked = Http::connect(port).and_then(|mut http| http.send(text.as_bytes()).and_then(|()| http.answer()));
    asked.unwrap_or_else(|e| panic!("no answer at {port} to {}: {e}", text.lines().next().unwrap_or_default()))
}

/// Begins to read events.
#[track_caller]
pub fn events(port: u16) -> Http {
    let begun = Http::connect(port).and_then(|mut http| {
        http.send(format!("GET /events HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").as_bytes())?;
        http.head().map(|head| (http, head))
    });
    let (http, head) = begun.unwrap_or_else(|e| panic!("no events at {port}: {e}"));
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
    http
}
