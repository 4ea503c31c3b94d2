//! Standard output, and the errors that end the program.

use std::io::{self, Write};

use rivulet_client::{ClientError, Failure};

/// Why the program ends with a failure: what standard error is told, or nothing if it was told already.
#[derive(Debug, PartialEq, Eq)]
pub struct Fatal(pub String);

impl Fatal {
    pub fn said() -> Fatal {
        Fatal(String::new())
    }
}

impl From<String> for Fatal {
    fn from(text: String) -> Fatal {
        Fatal(text)
    }
}

impl From<&str> for Fatal {
    fn from(text: &str) -> Fatal {
        Fatal(text.to_string())
    }
}

impl From<ClientError> for Fatal {
    fn from(error: ClientError) -> Fatal {
        Fatal(format!("Error: {}", words(&error)))
    }
}

/// An error of a connection in redis-cli's words, which tools read.
pub fn words(error: &ClientError) -> String {
    match &error.failure {
        Failure::Closed => "Server closed the connection".into(),
        Failure::TimedOut => "Connection timed out".into(),
        Failure::Protocol(what) => format!("Protocol error, {what}"),
        Failure::TooLarge(bytes) => format!("The reply has more than {bytes} bytes"),
        Failure::Resolve(error) => {
            let text = system_words(error);
            text.strip_prefix("failed to lookup address information: ").map_or(text.clone(), str::to_string)
        }
        Failure::Connect(error) | Failure::Tls(error) | Failure::Write(error) | Failure::Read(error) => {
            system_words(error)
        }
        Failure::Refused { command, reply } => format!("{command} failed: {}", reply.text()),
    }
}

/// An error of the system in the words of C.
pub fn system_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.rfind(" (os error ").map_or(text.clone(), |end| text[..end].to_string())
}

/// Writes to standard output at once. Who reads no more ends the program, as it ends any that does not ask to be told.
pub fn write(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
        std::process::exit(1);
    }
}

/// Writes a line to standard error, as it is. Who does not listen there misses it.
pub fn complain(line: &[u8]) {
    let _ = io::stderr().lock().write_all(&[line, b"\n"].concat());
}

/// As `print!`, by [`write()`].
macro_rules! say {
    ($($format:tt)*) => { $crate::out::write(format!($($format)*).as_bytes()) };
}

pub(crate) use say;
