//! `--scan`, and the pages of keys that other modes look at.

use rivulet_client::Reply;
use rivulet_resp::inline::quote;

use super::Interrupt;
use crate::clock;
use crate::format::Output;
use crate::out::{self, Fatal};
use crate::session::Session;

/// All keys that the options ask for, a page at a time.
pub struct Pages {
    cursor: u64,
    is_over: bool,
    command: Vec<Vec<u8>>,
    /// Pages that were read.
    pub count: u64,
}

impl Pages {
    pub fn new(session: &Session) -> Pages {
        let mut command = Vec::new();
        if let Some(pattern) = &session.options.pattern {
            command.extend([b"MATCH".to_vec(), pattern.clone()]);
        }
        if let Some(count) = session.options.count {
            command.extend([b"COUNT".to_vec(), count.to_string().into_bytes()]);
        }
        Pages { cursor: session.options.cursor, is_over: false, command, count: 0 }
    }

    /// Where the next page begins.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next page, which may be empty; nothing behind the last.
    ///
    /// # Errors
    /// The server refuses, or the link is lost.
    pub fn next_page(&mut self, session: &mut Session) -> Result<Option<Vec<Vec<u8>>>, Fatal> {
        if self.is_over {
            return Ok(None);
        }
        let mut command = vec![b"SCAN".to_vec(), self.cursor.to_string().into_bytes()];
        command.extend_from_slice(&self.command);
        let reply = session.ask(&command).map_err(|_| Fatal::from("\nI/O error"))?;
        if reply.is_error() {
            return Err(Fatal(format!("SCAN error: {}", reply.text())));
        }
        let items = reply.items().ok_or("Non ARRAY response from SCAN!")?;
        let [cursor, keys] = items else { return Err("Invalid element count from SCAN!".into()) };
        self.cursor = cursor.text().parse().map_err(|_| "Invalid cursor from SCAN!")?;
        self.is_over = self.cursor == 0;
        self.count += 1;
        let keys = keys.items().ok_or("Non ARRAY response from SCAN!")?;
        Ok(Some(keys.iter().filter_map(Reply::as_bytes).map(<[u8]>::to_vec).collect()))
    }

    /// Waits every hundred pages, if that was asked for.
    pub fn rest(&self, session: &Session) {
        if self.count.is_multiple_of(100) {
            clock::sleep(session.options.interval);
        }
    }
}

/// How many keys there are.
///
/// # Errors
/// The server refuses, or the link is lost.
pub fn db_size(session: &mut Session) -> Result<u64, Fatal> {
    let reply = session.ask(&["DBSIZE"]).map_err(|_| Fatal::from("\nI/O error"))?;
    if reply.is_error() {
        return Err(Fatal(format!("Couldn't determine DBSIZE: {}", reply.text())));
    }
    let size = reply.as_i64().and_then(|size| u64::try_from(size).ok());
    size.ok_or_else(|| "Non INTEGER response from DBSIZE!".into())
}

/// Lists the keys.
///
/// # Errors
/// As [`Pages::next_page`].
pub fn run(session: &mut Session) -> Result<(), Fatal> {
    let interrupt = Interrupt::watch()?;
    let mut pages = Pages::new(session);
    while let Some(keys) = pages.next_page(session)? {
        let mut text = Vec::new();
        for key in keys {
            match session.output {
                Output::Standard => text.extend_from_slice(&quote(&key)),
                _ => text.extend_from_slice(&key),
            }
            text.push(b'\n');
        }
        out::write(&text);
        clock::sleep(session.options.interval);
        if interrupt.has_come() {
            break;
        }
    }
    Ok(())
}
