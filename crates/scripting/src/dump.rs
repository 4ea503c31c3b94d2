//! The payload of FUNCTION DUMP and FUNCTION RESTORE.
//!
//! ```text
//! for each library: 245: u8 | text: RDB string       version: u16 | CRC-64: u64, both little-endian, over all before
//! ```

use rivulet_commands::fail::Fail;
use rivulet_rdb::{Event, Options, Reader, Writer, crc64, dump};

use crate::libraries::Libraries;

/// Appends the payload of all libraries.
pub fn write(libraries: &Libraries, writer: &mut Writer, out: &mut Vec<u8>) {
    let start = out.len();
    for code in libraries.codes() {
        writer.function(out, code);
    }
    out.extend_from_slice(&(writer.version().number() as u16).to_le_bytes());
    let checksum = crc64::checksum(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// The texts of a payload.
///
/// # Errors
/// The footer is wrong, or there is something else than libraries.
pub fn read(payload: &[u8]) -> Result<Vec<Vec<u8>>, Fail> {
    const FUNCTION: u8 = 245;
    const FUNCTION_PRE_GA: u8 = 246;
    const END: u8 = 255;
    const HEADER: &[u8] = b"REDIS0010";
    let body = dump::verify(payload).map_err(|e| Fail::text(format!("ERR {e}")))?;
    // As a file, whose reader knows these opcodes. Version 5 and later end with a checksum, of which 0 says that there is none.
    let file = [HEADER, body, &[END], &[0; 8]].concat();
    let mut reader = Reader::new(file.as_slice(), Options::default());
    let mut codes = Vec::new();
    // The version stands before the first event, so that offsets are within the body from here on.
    let mut at = 0;
    loop {
        match body.get(at) {
            None => return Ok(codes),
            Some(&FUNCTION) => {}
            Some(&FUNCTION_PRE_GA) => return Err(Fail::new("ERR Pre-GA function format not supported")),
            Some(_) => return Err(Fail::new("ERR given type is not a function")),
        }
        let event = reader.next();
        // A length may lead beyond the body, into what was put behind it.
        at = reader.offset().saturating_sub(HEADER.len() as u64) as usize;
        match event {
            Ok(Event::Function(code)) if at <= body.len() => codes.push(code),
            _ => return Err(Fail::new("ERR failed loading functions payload")),
        }
    }
}
