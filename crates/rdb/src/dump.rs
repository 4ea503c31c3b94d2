//! The payload of DUMP and RESTORE: `type | value | version: u16 | CRC-64: u64`, both little-endian.

use std::fmt;

use rivulet_keyspace::value::{Limits, Value, ValueRef};

use crate::crc64;
use crate::error::{Doing, Error, Problem};
use crate::format::{self, REDIS_VERSION_MAX, VALKEY_VERSION};
use crate::input::Input;
use crate::value::{self, Scratch};
use crate::write::Writer;

const FOOTER: usize = 10;

/// Appends the payload of a value.
pub fn dump(writer: &mut Writer, value: ValueRef<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    let value_type = writer.value_type(&value);
    out.push(value_type);
    writer.value(out, &value);
    let version = writer.version().of_type(value_type).number();
    out.extend_from_slice(&(version as u16).to_le_bytes());
    let checksum = crc64::checksum(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// Why a payload can't be restored; the texts are those of Redis's replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpError {
    /// Too short, of an unknown version, or damaged.
    VersionOrChecksum,
    /// The footer is right, but the value is not.
    BadFormat(Error),
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DumpError::VersionOrChecksum => "DUMP payload version or checksum are wrong",
            DumpError::BadFormat(_) => "Bad data format",
        })
    }
}

impl std::error::Error for DumpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DumpError::VersionOrChecksum => None,
            DumpError::BadFormat(error) => Some(error),
        }
    }
}

/// Checks a payload's footer and gives what is before it.
pub fn verify(payload: &[u8]) -> Result<&[u8], DumpError> {
    verified(payload).map(|(body, _)| body)
}

fn verified(payload: &[u8]) -> Result<(&[u8], u32), DumpError> {
    let body = body(payload)?;
    let (summed, checksum) = payload.split_at(payload.len() - size_of::<u64>());
    if crc64::checksum(summed).to_le_bytes() == checksum { Ok(body) } else { Err(DumpError::VersionOrChecksum) }
}

/// What is before a footer of a version that is known, and the version.
fn body(payload: &[u8]) -> Result<(&[u8], u32), DumpError> {
    let body_len = payload.len().checked_sub(FOOTER).ok_or(DumpError::VersionOrChecksum)?;
    let (body, footer) = payload.split_at(body_len);
    let version = u32::from(u16::from_le_bytes([footer[0], footer[1]]));
    let known = version <= REDIS_VERSION_MAX || version == VALKEY_VERSION;
    if known { Ok((body, version)) } else { Err(DumpError::VersionOrChecksum) }
}

/// The value of a payload of any version that the file reader knows.
///
/// # Errors
/// The footer is wrong, or the value is.
pub fn restore(payload: &[u8], limits: &Limits) -> Result<Value, DumpError> {
    load(verified(payload)?, limits)
}

/// The same, whatever the checksum is: for tests (`DEBUG SET-SKIP-CHECKSUM-VALIDATION`).
///
/// # Errors
/// The version is not known, or the value is wrong.
pub fn restore_unsummed(payload: &[u8], limits: &Limits) -> Result<Value, DumpError> {
    load(body(payload)?, limits)
}

fn load((body, version): (&[u8], u32), limits: &Limits) -> Result<Value, DumpError> {
    let mut input = Input::of(body);
    let mut value_type = None;
    let mut load = || {
        let byte = input.byte()?;
        if !format::is_value_type(byte) {
            return Err(Problem::UnknownType(byte));
        }
        value_type = Some(byte);
        value::load(byte, version, &mut input, &mut Scratch::default(), limits)
    };
    load().map_err(|problem| {
        let offset = input.offset();
        DumpError::BadFormat(Error { offset, doing: Doing::ReadValue, key: None, value_type, problem })
    })
}
