//! Just enough RESP to tell commands apart.

/// The first command in the bytes and its length: an array of bulk strings, or an inline line. `None` needs more.
pub fn next_command(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let (line, mut at) = line(bytes, 0)?;
    let Some(count) = line.strip_prefix(b"*") else {
        let words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        return Some((words.map(<[u8]>::to_vec).collect(), at));
    };
    let mut args = Vec::new();
    for _ in 0..number(count) {
        let (header, start) = self::line(bytes, at)?;
        let len = number(header.strip_prefix(b"$").expect("a bulk string"));
        let arg = bytes.get(start..start + len)?;
        at = start + len + 2;
        if bytes.len() < at {
            return None;
        }
        args.push(arg.to_vec());
    }
    Some((args, at))
}

fn line(bytes: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let len = bytes[from..].iter().position(|byte| *byte == b'\n')?;
    let line = &bytes[from..from + len];
    Some((line.strip_suffix(b"\r").unwrap_or(line), from + len + 1))
}

fn number(digits: &[u8]) -> usize {
    str::from_utf8(digits).unwrap().parse().unwrap()
}
