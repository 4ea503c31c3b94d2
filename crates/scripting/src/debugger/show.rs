//! How values and replies are shown to who debugs.

use crate::lua::{Kind, Lua, View};
use crate::number;
use crate::sandbox::resolve_read_only;

/// Tables within tables are shown so deep.
const DEPTH_MAX: u32 = 10;
/// More of one value is not shown: tables that share others can be small in memory, and without end as text.
const SHOWN_BYTES_MAX: usize = 16 << 20;

/// Appends the value on top, which stays there.
pub(super) fn value(lua: &mut Lua<'_>, out: &mut Vec<u8>) {
    let mut left = SHOWN_BYTES_MAX;
    out.extend(any(lua, 0, &mut left));
}

fn any(lua: &mut Lua<'_>, depth: u32, left: &mut usize) -> Vec<u8> {
    if depth == DEPTH_MAX || !lua.has_room(8) {
        return b"<max recursion level reached! Nested table?>".to_vec();
    }
    let mut out = Vec::new();
    match lua.view(-1) {
        View::String(bytes) => quoted(&mut out, bytes),
        View::Number(number) => number::push_general(&mut out, number, 6),
        View::Other(Kind::Boolean) => out.extend_from_slice(if lua.to_bool(-1) { b"true" } else { b"false" }),
        View::Other(Kind::Nil | Kind::None) => out.extend_from_slice(b"nil"),
        View::Other(Kind::Table) => return table(lua, depth + 1, left),
        View::Other(kind) => out.extend_from_slice(object(lua, kind).as_bytes()),
    }
    *left = left.saturating_sub(out.len());
    out
}

fn object(lua: &Lua<'_>, kind: Kind) -> String {
    let name = if kind == Kind::LightUserdata { "light-userdata" } else { lua.kind_name(-1) };
    match lua.address(-1) {
        0 => format!("\"{name}@(nil)\""),
        address => format!("\"{name}@{address:#x}\""),
    }
}

/// A table whose keys are 1, 2, 3 … in this order is shown as a list, another one with its keys.
fn table(lua: &mut Lua<'_>, depth: u32, left: &mut usize) -> Vec<u8> {
    resolve_read_only(lua);
    let table = lua.top();
    let (mut list, mut pairs, mut expected) = (Vec::new(), Vec::new(), Some(1.0));
    lua.push_nil();
    while lua.next(table) {
        let shown = any(lua, depth, left);
        lua.pop(1);
        expected = expected.filter(|next| matches!(lua.view(-1), View::Number(key) if key == *next)).map(|n| n + 1.0);
        if expected.is_some() {
            list.extend_from_slice(&shown);
            list.extend_from_slice(b"; ");
        }
        pairs.push(b'[');
        // The key's own text would end the iteration if it were made of the key itself.
        lua.push_copy(-1);
        pairs.extend(any(lua, depth, left));
        lua.pop(1);
        pairs.extend_from_slice(b"]=");
        pairs.extend_from_slice(&shown);
        pairs.extend_from_slice(b"; ");
        *left = left.saturating_sub(4);
        if *left == 0 {
            lua.pop(1);
            break;
        }
    }
    // The read-only table's own value lies above what it stands for.
    lua.pop(1);
    let inner = if expected.is_some() { &list } else { &pairs };
    [b"{", inner.strip_suffix(b"; ").unwrap_or(inner), b"}"].concat()
}

/// Appends bytes as a text in quotation marks.
fn quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}

/// Appends a command's whole reply.
pub(super) fn reply(out: &mut Vec<u8>, reply: &[u8]) {
    let mut rest = reply;
    one_reply(out, &mut rest, DEPTH_MAX);
}

fn one_reply(out: &mut Vec<u8>, rest: &mut &[u8], depth: u32) {
    let Some((&kind, line)) = take_line(rest) else { return };
    let len = std::str::from_utf8(line).ok().and_then(|len| len.parse::<i64>().ok());
    match (kind, len) {
        (b'$' | b'*', Some(-1)) => out.extend_from_slice(b"NULL"),
        (b'$' | b'=', Some(len)) => {
            let len = (len.max(0) as usize).min(rest.len());
            quoted(out, &rest[..len]);
            *rest = rest.get(len + 2..).unwrap_or_default();
        }
        (b'+' | b'-', _) => quoted(out, &[&[kind], line].concat()),
        (b'*' | b'>', Some(len)) => several(out, rest, len, depth, [b"[", b"]"], false),
        (b'~', Some(len)) => several(out, rest, len, depth, [b"~(", b")"], false),
        (b'%', Some(len)) => several(out, rest, len, depth, [b"{", b"}"], true),
        (b'_', _) => out.extend_from_slice(b"(null)"),
        (b'#', _) => out.extend_from_slice(if line == b"t" { b"#true" } else { b"#false" }),
        (b',', _) => out.extend([b"(double) ", line].concat()),
        _ => out.extend_from_slice(line),
    }
}

fn several(out: &mut Vec<u8>, rest: &mut &[u8], len: i64, depth: u32, [begin, end]: [&[u8]; 2], are_pairs: bool) {
    out.extend_from_slice(begin);
    for i in 0..len {
        if rest.is_empty() || depth == 0 {
            break;
        }
        if i > 0 {
            out.push(b',');
        }
        one_reply(out, rest, depth - 1);
        if are_pairs {
            out.extend_from_slice(b" => ");
            one_reply(out, rest, depth - 1);
        }
    }
    out.extend_from_slice(end);
}

/// The first byte of a reply's line, and the others.
fn take_line<'r>(rest: &mut &'r [u8]) -> Option<(&'r u8, &'r [u8])> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    line.split_first()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut out = Vec::new();
        reply(&mut out, text.as_bytes());
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn replies() {
        for (text, expected) in [
            (":7\r\n", "7"),
            ("$2\r\nhi\r\n", "\"hi\""),
            ("$4\r\na\r\nb\r\n", "\"a\\r\\nb\""),
            ("$-1\r\n", "NULL"),
            ("*-1\r\n", "NULL"),
            ("+OK\r\n", "\"+OK\""),
            ("-ERR x\r\n", "\"-ERR x\""),
            ("*2\r\n:1\r\n*1\r\n$-1\r\n", "[1,[NULL]]"),
            ("*0\r\n", "[]"),
            ("~2\r\n+a\r\n:1\r\n", "~(\"+a\",1)"),
            ("%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", "{\"+a\" => 1,\"+b\" => 2}"),
            ("_\r\n", "(null)"),
            ("#t\r\n", "#true"),
            ("#f\r\n", "#false"),
            (",1.5\r\n", "(double) 1.5"),
            ("(123\r\n", "123"),
            ("=6\r\ntxt:hi\r\n", "\"txt:hi\""),
            ("", ""),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn bytes_in_quotation_marks() {
        let mut out = Vec::new();
        quoted(&mut out, b"a\"\\\n\r\t\x07\x08\x00\x7f\xc8 ");
        assert_eq!(out, b"\"a\\\"\\\\\\n\\r\\t\\a\\b\\x00\\x7f\\xc8 \"");
    }
}
