//! The first line of a script or library, `#!lua …`, and the flags that it or a function may have.

use rivulet_commands::fail::Fail;
use rivulet_resp::inline::split_words;

/// What a script or function promises, or asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    bits: u8,
}

/// One flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Flag {
    /// It does not write, so that it may run on a read-only replica, and by EVAL_RO and FCALL_RO.
    NoWrites,
    /// It runs also when memory is short.
    AllowOom,
    /// It runs also on a replica whose data are stale.
    AllowStale,
    NoCluster,
    AllowCrossSlotKeys,
}

impl Flag {
    /// All, in the order in which FUNCTION LIST shows them.
    pub const ALL: [Flag; 5] =
        [Flag::NoWrites, Flag::AllowOom, Flag::AllowStale, Flag::NoCluster, Flag::AllowCrossSlotKeys];

    pub fn name(self) -> &'static str {
        match self {
            Flag::NoWrites => "no-writes",
            Flag::AllowOom => "allow-oom",
            Flag::AllowStale => "allow-stale",
            Flag::NoCluster => "no-cluster",
            Flag::AllowCrossSlotKeys => "allow-cross-slot-keys",
        }
    }

    pub(crate) fn of(name: &[u8]) -> Option<Flag> {
        Flag::ALL.into_iter().find(|f| f.name().as_bytes() == name)
    }
}

impl Flags {
    pub fn has(self, flag: Flag) -> bool {
        self.bits & (1 << flag as u8) != 0
    }

    pub(crate) fn set(&mut self, flag: Flag) {
        self.bits |= 1 << flag as u8;
    }

    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |f| self.has(*f))
    }
}

/// A script without its first line, and what that said. Without one, no flags are known: the server then decides by each command.
pub(crate) fn split_script(text: &[u8]) -> Result<(Option<Flags>, &[u8]), Fail> {
    if !text.starts_with(b"#!") {
        return Ok((None, text));
    }
    let Some(end) = text.iter().position(|&c| c == b'\n') else {
        return Err(Fail::new("ERR Invalid script shebang"));
    };
    // The line's end stays, so that lines are counted from the shebang.
    let (line, body) = text.split_at(end);
    let words = split_words(line).unwrap_or_default();
    let Some((engine, options)) = words.split_first() else {
        return Err(Fail::new("ERR Invalid engine in script shebang"));
    };
    if engine != b"#!lua" {
        return Err(Fail::bytes([b"ERR Unexpected engine in script shebang: ", engine.as_slice()].concat()));
    }
    let mut flags = Flags::default();
    for option in options {
        match option.strip_prefix(b"flags=") {
            Some(names) => set_flags(&mut flags, names)?,
            None => {
                return Err(Fail::bytes([b"ERR Unknown lua shebang option: ", option.as_slice()].concat()));
            }
        }
    }
    Ok((Some(flags), body))
}

fn set_flags(flags: &mut Flags, names: &[u8]) -> Result<(), Fail> {
    if names.is_empty() {
        return Ok(());
    }
    for name in names.split(|&c| c == b',') {
        match Flag::of(name) {
            Some(flag) => flags.set(flag),
            None => return Err(Fail::bytes([b"ERR Unexpected flag in script shebang: ", name].concat())),
        }
    }
    Ok(())
}

/// A library without its first line, and the name that it has there.
pub(crate) fn split_library(text: &[u8]) -> Result<(Vec<u8>, &[u8]), Fail> {
    if !text.starts_with(b"#!") {
        return Err(Fail::new("ERR Missing library metadata"));
    }
    let end = text.iter().position(|&c| c == b'\n');
    let invalid = || Fail::new("ERR Invalid library metadata");
    let (line, body) = text.split_at(end.ok_or_else(invalid)?);
    let words = split_words(line).ok_or_else(invalid)?;
    let (engine, options) = words.split_first().ok_or_else(invalid)?;
    let mut name = None;
    for option in options {
        let Some(given) = strip_prefix_nocase(option, b"name=") else {
            return Err(Fail::bytes([b"ERR Invalid metadata value given: ", option.as_slice()].concat()));
        };
        if name.replace(given.to_vec()).is_some() {
            return Err(Fail::new("ERR Invalid metadata value, name argument was given multiple times"));
        }
    }
    let name = name.ok_or(Fail::new("ERR Library name was not given"))?;
    check_name(&name)?;
    let engine = &engine[2..];
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(Fail::bytes([b"ERR Engine '", engine, b"' not found"].concat()));
    }
    Ok((name, body))
}

fn strip_prefix_nocase<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// What a library's or function's name may be.
pub(crate) fn check_name(name: &[u8]) -> Result<(), Fail> {
    if !name.is_empty() && name.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'_') {
        return Ok(());
    }
    Err(Fail::new(
        "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_with_and_without_a_first_line() {
        assert_eq!(split_script(b"return 1").ok(), Some((None, b"return 1".as_slice())));
        let (flags, body) = split_script(b"#!lua flags=no-writes,allow-stale\nreturn 1").expect("it is right");
        let flags: Vec<_> = flags.expect("it has some").iter().collect();
        assert_eq!((flags, body), (vec![Flag::NoWrites, Flag::AllowStale], b"\nreturn 1".as_slice()));
        for (text, error) in [
            ("#!lua", "ERR Invalid script shebang"),
            ("#!lua \"x\nreturn", "ERR Invalid engine in script shebang"),
            ("#!luax\n", "ERR Unexpected engine in script shebang: #!luax"),
            ("#!LUA\n", "ERR Unexpected engine in script shebang: #!LUA"),
            ("#!lua flags=foo\n", "ERR Unexpected flag in script shebang: foo"),
            ("#!lua flags=no-writes,,\n", "ERR Unexpected flag in script shebang: "),
            ("#!lua name=foo\n", "ERR Unknown lua shebang option: name=foo"),
        ] {
            assert_eq!(split_script(text.as_bytes()).err(), Some(Fail::text(error.into())), "{text}");
        }
    }

    #[test]
    fn libraries_have_a_name() {
        assert_eq!(split_library(b"#!LUA name=a_1\nx").ok(), Some((b"a_1".to_vec(), b"\nx".as_slice())));
        let names = "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";
        for (text, error) in [
            ("", "ERR Missing library metadata"),
            ("#!lua", "ERR Invalid library metadata"),
            ("#!lua name=\"x\n", "ERR Invalid library metadata"),
            ("#!lua\n", "ERR Library name was not given"),
            ("#!lua name=\n", names),
            ("#!lua name=a-b\n", names),
            ("#!lua name=a b=c\n", "ERR Invalid metadata value given: b=c"),
            ("#!lua name=a name=b\n", "ERR Invalid metadata value, name argument was given multiple times"),
            ("#!js name=a\n", "ERR Engine 'js' not found"),
        ] {
            assert_eq!(split_library(text.as_bytes()).err(), Some(Fail::text(error.into())), "{text}");
        }
    }
}
