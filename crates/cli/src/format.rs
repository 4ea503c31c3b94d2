//! Replies as text, in each of the output forms.

use rivulet_client::Reply;
use rivulet_resp::inline::quote;

/// How replies are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For a reader: with types, numbers and quotes.
    Standard,
    /// As it is.
    Raw,
    Csv,
    Json,
    /// JSON whose texts are in quotes with escapes.
    QuotedJson,
}

/// What stands between texts in the raw form.
#[derive(Clone, Debug)]
pub struct Delimiters {
    pub element: Vec<u8>,
    pub reply: Vec<u8>,
}

/// A reply as it is shown, with the end of its line.
pub fn render(reply: &Reply, output: Output, delimiters: &Delimiters) -> Vec<u8> {
    let mut out = Vec::new();
    let end: &[u8] = match output {
        Output::Standard => {
            standard(&mut out, reply, &mut Vec::new());
            b""
        }
        Output::Raw => {
            raw(&mut out, reply, &delimiters.element);
            &delimiters.reply
        }
        Output::Csv => {
            csv(&mut out, reply);
            b"\n"
        }
        Output::Json | Output::QuotedJson => {
            json(&mut out, reply, output);
            b"\n"
        }
    };
    out.extend_from_slice(end);
    out
}

/// A reply of a command whose text is meant for a reader, as INFO's is.
pub fn render_verbatim(reply: &Reply, delimiters: &Delimiters) -> Vec<u8> {
    let mut out = Vec::new();
    raw(&mut out, reply, &delimiters.element);
    out
}

/// The keys that a server says have changed, in the form for readers; nothing of any other push.
pub fn invalidated(push: &Reply) -> Option<Vec<u8>> {
    let Reply::Push(items) = push else { return None };
    let [name, Reply::Array(keys)] = items.as_slice() else { return None };
    if !name.as_bytes()?.starts_with(b"invalidate") {
        return None;
    }
    let names: Vec<Vec<u8>> =
        keys.iter().map(|key| [b"'", key.as_bytes().unwrap_or_default(), b"'"].concat()).collect();
    Some([b"-> invalidate: ".as_slice(), &names.join(&b", "[..]), b"\n"].concat())
}

fn standard(out: &mut Vec<u8>, reply: &Reply, prefix: &mut Vec<u8>) {
    match reply {
        Reply::Error(text) => line(out, b"(error) ", text),
        Reply::Status(text) | Reply::Verbatim { text, .. } => line(out, b"", text),
        Reply::Integer(n) => line(out, b"(integer) ", n.to_string().as_bytes()),
        Reply::Double(text) => line(out, b"(double) ", text),
        Reply::BigNumber(text) => line(out, b"(big number) ", text),
        Reply::Bulk(text) => line(out, b"", &quote(text)),
        Reply::Null => line(out, b"", b"(nil)"),
        Reply::Boolean(value) => line(out, b"", if *value { b"(true)" } else { b"(false)" }),
        Reply::Attributed { reply, .. } => standard(out, reply, prefix),
        Reply::Array(items) if items.is_empty() => line(out, b"", b"(empty array)"),
        Reply::Set(items) if items.is_empty() => line(out, b"", b"(empty set)"),
        Reply::Push(items) if items.is_empty() => line(out, b"", b"(empty push)"),
        Reply::Map(pairs) if pairs.is_empty() => line(out, b"", b"(empty hash)"),
        Reply::Array(items) | Reply::Push(items) => numbered(out, items, ')', prefix),
        Reply::Set(items) => numbered(out, items, '~', prefix),
        Reply::Map(pairs) => numbered_pairs(out, pairs, prefix),
    }
}

fn line(out: &mut Vec<u8>, head: &[u8], text: &[u8]) {
    out.extend_from_slice(head);
    out.extend_from_slice(text);
    out.push(b'\n');
}

fn numbered(out: &mut Vec<u8>, items: &[Reply], mark: char, prefix: &mut Vec<u8>) {
    let width = digits(items.len());
    let indent = prefix.len();
    for (i, item) in items.iter().enumerate() {
        number(out, i, width, mark, prefix);
        prefix.resize(indent + width + 2, b' ');
        standard(out, item, prefix);
        prefix.truncate(indent);
    }
}

fn numbered_pairs(out: &mut Vec<u8>, pairs: &[(Reply, Reply)], prefix: &mut Vec<u8>) {
    let width = digits(pairs.len());
    let indent = prefix.len();
    for (i, (key, value)) in pairs.iter().enumerate() {
        number(out, i, width, '#', prefix);
        prefix.resize(indent + width + 2, b' ');
        standard(out, key, prefix);
        out.pop();
        out.extend_from_slice(b" => ");
        if has_lines(value) {
            out.push(b'\n');
            out.extend_from_slice(prefix);
        }
        standard(out, value, prefix);
        prefix.truncate(indent);
    }
}

/// The number before an element. The first one's line was begun by the collection around it.
fn number(out: &mut Vec<u8>, i: usize, width: usize, mark: char, prefix: &[u8]) {
    if i > 0 {
        out.extend_from_slice(prefix);
    }
    out.extend_from_slice(format!("{:width$}{mark} ", i + 1).as_bytes());
}

fn digits(count: usize) -> usize {
    count.to_string().len()
}

/// Whether the form for readers takes several lines.
fn has_lines(reply: &Reply) -> bool {
    match reply {
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => match items.as_slice() {
            [] => false,
            [one] => has_lines(one),
            _ => true,
        },
        Reply::Map(pairs) => match pairs.as_slice() {
            [] => false,
            [(_, value)] => has_lines(value),
            _ => true,
        },
        Reply::Attributed { reply, .. } => has_lines(reply),
        _ => false,
    }
}

fn raw(out: &mut Vec<u8>, reply: &Reply, delimiter: &[u8]) {
    match reply {
        Reply::Null => {}
        Reply::Error(text) => line(out, b"", text),
        Reply::Integer(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Reply::Boolean(value) => out.extend_from_slice(if *value { b"(true)" } else { b"(false)" }),
        Reply::Status(text)
        | Reply::Bulk(text)
        | Reply::Double(text)
        | Reply::BigNumber(text)
        | Reply::Verbatim { text, .. } => out.extend_from_slice(text),
        Reply::Attributed { reply, .. } => raw(out, reply, delimiter),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(delimiter);
                }
                raw(out, item, delimiter);
            }
        }
        Reply::Map(pairs) => {
            for (i, (key, value)) in pairs.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(delimiter);
                }
                raw(out, key, delimiter);
                out.push(b' ');
                raw(out, value, delimiter);
            }
        }
    }
}

fn csv(out: &mut Vec<u8>, reply: &Reply) {
    let separate = |out: &mut Vec<u8>, i: usize, item: &Reply| {
        if i > 0 {
            out.push(b',');
        }
        csv(out, item);
    };
    match reply {
        Reply::Null => out.extend_from_slice(b"NULL"),
        Reply::Error(text) => {
            out.extend_from_slice(b"ERROR,");
            out.extend_from_slice(&quote(text));
        }
        Reply::Integer(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Reply::Boolean(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Reply::Double(text) | Reply::BigNumber(text) => out.extend_from_slice(text),
        Reply::Status(text) | Reply::Bulk(text) | Reply::Verbatim { text, .. } => out.extend_from_slice(&quote(text)),
        Reply::Attributed { reply, .. } => csv(out, reply),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
            items.iter().enumerate().for_each(|(i, item)| separate(out, i, item));
        }
        Reply::Map(pairs) => {
            let flat = pairs.iter().flat_map(|(key, value)| [key, value]);
            flat.enumerate().for_each(|(i, item)| separate(out, i, item));
        }
    }
}

fn json(out: &mut Vec<u8>, reply: &Reply, output: Output) {
    match reply {
        Reply::Null => out.extend_from_slice(b"null"),
        Reply::Error(text) => {
            out.extend_from_slice(b"error:");
            json_text(out, text, output);
        }
        Reply::Integer(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Reply::Boolean(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Reply::Double(text) | Reply::BigNumber(text) => out.extend_from_slice(text),
        Reply::Status(text) | Reply::Bulk(text) | Reply::Verbatim { text, .. } => json_text(out, text, output),
        Reply::Attributed { reply, .. } => json(out, reply, output),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                json(out, item, output);
            }
            out.push(b']');
        }
        Reply::Map(pairs) => {
            out.push(b'{');
            for (i, (key, value)) in pairs.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                json_key(out, key, output);
                out.push(b':');
                json(out, value, output);
            }
            out.push(b'}');
        }
    }
}

/// A key is a text in JSON, whatever it is in RESP3.
fn json_key(out: &mut Vec<u8>, key: &Reply, output: Output) {
    let mut text = Vec::new();
    json(&mut text, key, output);
    let is_text = text.first() == Some(&b'"') || matches!(key, Reply::Error(_));
    if is_text {
        out.extend_from_slice(&text);
    } else {
        out.push(b'"');
        out.extend_from_slice(&text);
        out.push(b'"');
    }
}

fn json_text(out: &mut Vec<u8>, text: &[u8], output: Output) {
    if output == Output::QuotedJson {
        for byte in quote(text) {
            // The escapes are text themselves.
            out.extend_from_slice(if byte == b'\\' { b"\\\\" } else { std::slice::from_ref(&byte) });
        }
        return;
    }
    out.push(b'"');
    for &byte in text {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.as_bytes().to_vec())
    }

    fn shown(reply: &Reply, output: Output) -> String {
        let delimiters = Delimiters { element: b"\n".to_vec(), reply: b"\n".to_vec() };
        String::from_utf8_lossy(&render(reply, output, &delimiters)).into_owned()
    }

    #[test]
    fn for_readers_collections_are_numbered_and_indented() {
        let inner = Reply::Array(vec![bulk("x"), Reply::Array(vec![Reply::Integer(1), Reply::Null])]);
        let mut items = vec![inner.clone()];
        items.extend((0..9).map(Reply::Integer));
        let text = shown(&Reply::Array(items), Output::Standard);
        assert!(text.starts_with(" 1) 1) \"x\"\n    2) 1) (integer) 1\n       2) (nil)\n 2) (integer) 0\n"), "{text}");
        assert!(text.ends_with("\n10) (integer) 8\n"), "{text}");
        let map = Reply::Map(vec![(bulk("a"), Reply::Integer(1)), (bulk("b"), inner)]);
        assert_eq!(
            shown(&map, Output::Standard),
            "1# \"a\" => (integer) 1\n2# \"b\" => \n   1) \"x\"\n   2) 1) (integer) 1\n      2) (nil)\n"
        );
        assert_eq!(shown(&Reply::Set(vec![Reply::Boolean(true)]), Output::Standard), "1~ (true)\n");
    }

    #[test]
    fn every_simple_reply_in_every_form() {
        let text = Reply::Bulk(b"a\"\n\x01\xff".to_vec());
        let error = Reply::Error(b"ERR x".to_vec());
        let double = Reply::Double(b"1.5".to_vec());
        let verbatim = Reply::Verbatim { format: *b"txt", text: b"v\n".to_vec() };
        use Output::*;
        for (reply, output, expected) in [
            (&text, Standard, "\"a\\\"\\n\\x01\\xff\"\n"),
            (&text, Raw, "a\"\n\u{1}\u{fffd}\n"),
            (&text, Csv, "\"a\\\"\\n\\x01\\xff\"\n"),
            (&text, Json, "\"a\\\"\\n\\u0001\u{fffd}\"\n"),
            (&text, QuotedJson, "\"a\\\\\"\\\\n\\\\x01\\\\xff\"\n"),
            (&error, Standard, "(error) ERR x\n"),
            (&error, Raw, "ERR x\n\n"),
            (&error, Csv, "ERROR,\"ERR x\"\n"),
            (&error, Json, "error:\"ERR x\"\n"),
            (&double, Standard, "(double) 1.5\n"),
            (&double, Json, "1.5\n"),
            (&Reply::Null, Standard, "(nil)\n"),
            (&Reply::Null, Raw, "\n"),
            (&Reply::Null, Csv, "NULL\n"),
            (&Reply::Null, Json, "null\n"),
            (&verbatim, Standard, "v\n\n"),
            (&verbatim, Csv, "\"v\\n\"\n"),
            (&Reply::Array(vec![]), Standard, "(empty array)\n"),
            (&Reply::Map(vec![]), Standard, "(empty hash)\n"),
            (&Reply::Set(vec![]), Json, "[]\n"),
        ] {
            assert_eq!(shown(reply, output), expected, "{reply:?} {output:?}");
        }
    }

    #[test]
    fn maps_in_every_form() {
        let map = Reply::Map(vec![(Reply::Integer(1), bulk("x")), (bulk("k"), Reply::Array(vec![Reply::Null]))]);
        assert_eq!(shown(&map, Output::Raw), "1 x\nk \n");
        assert_eq!(shown(&map, Output::Csv), "1,\"x\",\"k\",NULL\n");
        assert_eq!(shown(&map, Output::Json), "{\"1\":\"x\",\"k\":[null]}\n");
    }

    #[test]
    fn keys_that_were_invalidated() {
        let push = Reply::Push(vec![bulk("invalidate"), Reply::Array(vec![bulk("a"), bulk("b")])]);
        assert_eq!(invalidated(&push), Some(b"-> invalidate: 'a', 'b'\n".to_vec()));
        assert_eq!(invalidated(&Reply::Push(vec![bulk("invalidate"), Reply::Null])), None);
    }
}
