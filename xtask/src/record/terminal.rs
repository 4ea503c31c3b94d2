//! A terminal that remembers when which line stood in it. It knows what the quickstart writes: text, ends of lines, the way up, and erasing what is
//! below.

use crate::chore::Outcome;

/// A line as it was for a while.
#[derive(Debug, PartialEq, Eq)]
pub struct Version {
    /// From the first line ever written.
    pub line: usize,
    pub text: String,
    pub from_ms: u64,
    /// Nothing if it stayed.
    pub to_ms: Option<u64>,
}

pub struct Terminal {
    /// Lines that fit.
    rows: usize,
    lines: Vec<String>,
    row: usize,
    column: usize,
    /// In the order of their beginning.
    pub versions: Vec<Version>,
    /// How many lines have left at the top, and since when.
    pub scrolls: Vec<(u64, usize)>,
}

impl Terminal {
    pub fn new(rows: usize) -> Terminal {
        Terminal { rows, lines: vec![String::new()], row: 0, column: 0, versions: Vec::new(), scrolls: Vec::new() }
    }

    /// Takes what was written at a time.
    ///
    /// # Errors
    /// Something in it means what this terminal does not know.
    pub fn feed(&mut self, at_ms: u64, bytes: &[u8]) -> Outcome {
        let text = std::str::from_utf8(bytes).map_err(|e| format!("no text was written: {e}"))?;
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\r' => self.column = 0,
                '\n' => self.next_line(),
                '\x1b' => self.escape(&mut chars)?,
                c if c.is_control() => return Err(format!("unknown to the terminal: {c:?}")),
                c => self.put(c),
            }
        }
        self.remember(at_ms);
        Ok(())
    }

    fn next_line(&mut self) {
        self.row += 1;
        if self.row == self.lines.len() {
            self.lines.push(String::new());
        }
    }

    fn escape(&mut self, chars: &mut std::str::Chars<'_>) -> Outcome {
        let rest = chars.as_str();
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let sequence = rest.get(..=end).unwrap_or(rest);
        *chars = rest[sequence.len()..].chars();
        match sequence.strip_prefix('[').and_then(|s| s.split_at_checked(end.saturating_sub(1))) {
            Some((count, "A")) => self.row = self.row.saturating_sub(count.parse().unwrap_or(1)),
            Some(("", "J")) => {
                self.lines.truncate(self.row + 1);
                let kept = self.lines[self.row].chars().take(self.column).collect();
                self.lines[self.row] = kept;
            }
            _ => return Err(format!("unknown to the terminal: ESC {sequence}")),
        }
        Ok(())
    }

    fn put(&mut self, c: char) {
        let line = &mut self.lines[self.row];
        match line.char_indices().nth(self.column) {
            Some((at, old)) => line.replace_range(at..at + old.len_utf8(), c.encode_utf8(&mut [0; 4])),
            None => {
                let missing = self.column - line.chars().count();
                line.extend(std::iter::repeat_n(' ', missing));
                line.push(c);
            }
        }
        self.column += 1;
    }

    /// Notes what is different from before.
    fn remember(&mut self, at_ms: u64) {
        let mut shown = vec![false; self.lines.len()];
        for version in self.versions.iter_mut().filter(|v| v.to_ms.is_none()) {
            match self.lines.get(version.line) {
                Some(text) if *text == version.text => shown[version.line] = true,
                _ => version.to_ms = Some(at_ms),
            }
        }
        for (line, text) in self.lines.iter().enumerate().filter(|(line, text)| !shown[*line] && !text.is_empty()) {
            self.versions.push(Version { line, text: text.clone(), from_ms: at_ms, to_ms: None });
        }
        // A terminal does not go back.
        let gone = self.lines.len().saturating_sub(self.rows);
        if gone > self.scrolls.last().map_or(0, |(_, gone)| *gone) {
            self.scrolls.push((at_ms, gone));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(line: usize, text: &str, from_ms: u64, to_ms: Option<u64>) -> Version {
        Version { line, text: text.into(), from_ms, to_ms }
    }

    #[test]
    fn a_table_that_is_drawn_over_itself() {
        let mut terminal = Terminal::new(24);
        terminal.feed(0, b"head\r\n").unwrap();
        terminal.feed(10, "└ a\r\nsame\r\n".as_bytes()).unwrap();
        terminal.feed(20, "\x1b[2A\r\x1b[J└ b\r\nsame\r\n".as_bytes()).unwrap();
        let expected = [
            version(0, "head", 0, None),
            version(1, "└ a", 10, Some(20)),
            version(2, "same", 10, None),
            version(1, "└ b", 20, None),
        ];
        assert_eq!(terminal.versions, expected);
        assert_eq!(terminal.scrolls, []);
    }

    #[test]
    fn it_scrolls_and_does_not_go_back() {
        let mut terminal = Terminal::new(2);
        terminal.feed(1, b"a\r\nb\r\nc").unwrap();
        terminal.feed(2, b"\x1b[2A\r\x1b[Jx").unwrap();
        terminal.feed(3, b"\r\ny\r\nz").unwrap();
        assert_eq!(terminal.scrolls, [(1, 1)]);
    }

    #[test]
    fn text_over_text() {
        let mut terminal = Terminal::new(2);
        terminal.feed(1, b"abc\rxy").unwrap();
        assert_eq!(terminal.versions, [version(0, "xyc", 1, None)]);
    }

    #[test]
    fn what_it_does_not_know_is_an_error() {
        for bytes in [&b"\x1b[31mred"[..], b"\x1b", b"\x1b[", b"\x1b[2K", b"\x07", b"\xff"] {
            assert!(Terminal::new(2).feed(0, bytes).is_err(), "{bytes:?}");
        }
    }
}
