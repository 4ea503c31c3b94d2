//! Files: of real servers, of old versions, damaged ones, and ours read back.

mod blocks;
mod checker;
mod damage;
mod dumps;
mod measured;
mod model;
mod old_encodings;
mod real_servers;
mod round_trips;

use std::path::PathBuf;

use rivulet_rdb::{Error, Event, Options, Reader};

/// The bytes of a file in `tests/fixtures`. Each was saved by the server that its name tells.
fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All events of a file, up to its end or its error.
fn events(file: &[u8], options: Options) -> Result<Vec<Event>, Error> {
    let mut reader = Reader::new(file, options);
    let mut events = Vec::new();
    loop {
        let event = reader.next()?;
        let end = matches!(event, Event::Eof(_));
        events.push(event);
        if end {
            return Ok(events);
        }
    }
}
