//! Passing over values that this server doesn't have, so that the rest of a file can be checked: modules' values, fields that expire.

use std::io::Read;

use crate::error::Problem;
use crate::format::{module_opcodes, types};
use crate::input::Input;

/// Passes over a value of a type for which [`crate::value::load`] said [`Problem::Unsupported`].
pub fn skip<R: Read>(value_type: u8, valkey: bool, input: &mut Input<R>) -> Result<(), Problem> {
    match value_type {
        types::MODULE_2 => {
            input.len()?;
            module_items(input)
        }
        types::HASH_METADATA_PRE_GA if valkey => fields(input, |input| {
            input.skip_string()?;
            input.skip_string()?;
            input.skip(8)
        }),
        types::HASH_METADATA_PRE_GA => ttl_fields(input),
        types::HASH_METADATA => {
            input.skip(8)?;
            ttl_fields(input)
        }
        types::HASH_LISTPACK_EX_PRE_GA => input.skip_string(),
        types::HASH_LISTPACK_EX => {
            input.skip(8)?;
            input.skip_string()
        }
        byte => Err(Problem::Unsupported(byte)),
    }
}

fn fields<R: Read>(input: &mut Input<R>, one: impl Fn(&mut Input<R>) -> Result<(), Problem>) -> Result<(), Problem> {
    for _ in 0..input.len()? {
        one(input)?;
    }
    Ok(())
}

fn ttl_fields<R: Read>(input: &mut Input<R>) -> Result<(), Problem> {
    fields(input, |input| {
        input.len()?;
        input.skip_string()?;
        input.skip_string()
    })
}

/// The items of a module's value or auxiliary data, each preceded by its kind, up to the mark of the end.
pub fn module_items<R: Read>(input: &mut Input<R>) -> Result<(), Problem> {
    loop {
        match input.len()? {
            module_opcodes::EOF => return Ok(()),
            module_opcodes::SINT | module_opcodes::UINT => drop(input.len()?),
            module_opcodes::FLOAT => input.skip(4)?,
            module_opcodes::DOUBLE => input.skip(8)?,
            module_opcodes::STRING => input.skip_string()?,
            _ => return Err(Problem::Corrupt("an unknown opcode in a module's data")),
        }
    }
}

/// The name that a module's 64-bit type id spells: nine characters of six bits above ten bits of version.
pub fn module_name(id: u64) -> String {
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).map(|i| CHARACTERS[(id >> (58 - 6 * i) & 63) as usize] as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_modules() {
        let id = "ReJSON-RL".bytes().fold(0u64, |id, c| {
            let code = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".bytes().position(|b| b == c);
            id << 6 | code.unwrap() as u64
        });
        assert_eq!(module_name(id << 10 | 3), "ReJSON-RL");
    }
}
