//! The stream that a replica is sent, shown as it comes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rivulet_client::{ClientError, Connection, Failure, Payload};

use super::Session;
use crate::clock;
use crate::format::{Output, render};
use crate::out::{self, Fatal, words};

/// A master waits so long between the end of a snapshot without a file and the stream.
const BEFORE_ACK: Duration = Duration::from_secs(1);

impl Session {
    /// Tells the master something about this replica. An old master may not know it.
    ///
    /// # Errors
    /// The link is gone.
    pub fn replconf(&mut self, name: &str, value: &str) -> Result<bool, Fatal> {
        eprintln!("sending REPLCONF {name} {value}");
        let reply = self.ask(&["REPLCONF", name, value]).map_err(|_| Fatal("\nI/O error".into()))?;
        if reply.is_error() {
            eprintln!("REPLCONF {name} error: {}", reply.text());
        }
        Ok(!reply.is_error())
    }

    /// Asks for a snapshot, and reads up to its first byte.
    ///
    /// # Errors
    /// The master refuses, or the link is gone.
    pub fn sync(&mut self) -> Result<Payload<'_>, Fatal> {
        let Some(connection) = &mut self.connection else { return Err("Error writing to master".into()) };
        // The snapshot may be long in coming, and nothing looks whether Ctrl-C was pressed.
        self.is_deaf.store(true, Ordering::Relaxed);
        let unlimited = connection.set_read_timeout(None);
        unlimited.map_err(|error| Fatal(format!("Error writing to master: {}", out::system_words(&error))))?;
        connection.send_raw(b"SYNC\r\n").map_err(|_| Fatal::from("Error writing to master"))?;
        begin(connection)
    }

    /// Discards a snapshot and shows the stream behind it, without end.
    ///
    /// # Errors
    /// The link is gone: it ends by nothing else.
    pub fn follow_stream(&mut self) -> Result<(), Fatal> {
        let mut payload = self.sync()?;
        let has_mark = payload.len().is_none();
        match payload.len() {
            None => eprintln!("SYNC with master, discarding bytes of bulk transfer until EOF marker..."),
            Some(len) => eprintln!("SYNC with master, discarding {len} bytes of bulk transfer..."),
        }
        let mut bytes = 0;
        while let Some(piece) =
            payload.next_piece().map_err(|_| Fatal::from("Error reading RDB payload while SYNCing"))?
        {
            bytes += piece.len() as u64;
        }
        if has_mark {
            eprintln!("SYNC done after {bytes} bytes. Logging commands from master.");
            clock::sleep(BEFORE_ACK);
            eprintln!("sending REPLCONF ACK 0");
            // Nothing is replied: what comes next is the stream.
            let connection = self.connection.as_mut().ok_or("Error writing to master")?;
            connection.send(&["REPLCONF", "ACK", "0"]).map_err(|_| Fatal::from("Error writing to master"))?;
        } else {
            eprintln!("SYNC done. Logging commands from master.");
        }
        loop {
            let command = self.receive().map_err(|error| Fatal(format!("Error: {}", words(&error))))?;
            out::write(&render(&command, Output::Csv, &self.delimiters));
        }
    }
}

fn begin(connection: &mut Connection) -> Result<Payload<'_>, Fatal> {
    connection.payload().map_err(|error| match error {
        ClientError { failure: Failure::Refused { reply, .. }, .. } => {
            Fatal(format!("SYNC with master failed: -{}", reply.text()))
        }
        ClientError { failure: Failure::Protocol(what), .. } => Fatal(format!("SYNC with master failed: {what}")),
        _ => "Error reading bulk length while SYNCing".into(),
    })
}
