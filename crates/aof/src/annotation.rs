//! Lines of a file that begin with `#`: Redis passes over them, and so they carry what is not of the stream.

/// The longest line, its end included.
pub const LINE_LEN_MAX: usize = 1023;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotation {
    /// `#TS:<Unix seconds>`: what follows was executed at this time or later.
    Timestamp(i64),
    /// `#RIVULET:OWN <n>`: the next n bytes are executed, but are not of the stream.
    Own(u64),
    /// `#RIVULET:PASSED <n>`: the next n bytes are of the stream, and were not executed as nobody here knew the command.
    Passed(u64),
    /// Anything else.
    Other,
}

/// The line says of how many bytes something is true, but not in a form that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadableCount;

impl Annotation {
    /// What `line`, which ends with its newline, says.
    pub fn parse(line: &[u8]) -> Result<Annotation, UnreadableCount> {
        let text = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
        let counted = |word: &str| text.and_then(|text| text.strip_prefix(word)?.strip_prefix(' ')?.parse().ok());
        for (word, of) in [("#RIVULET:OWN", Annotation::Own as fn(u64) -> _), ("#RIVULET:PASSED", Annotation::Passed)] {
            if line.starts_with(word.as_bytes()) {
                return counted(word).map(of).ok_or(UnreadableCount);
            }
        }
        let time = text.and_then(|text| text.strip_prefix("#TS:")?.parse().ok());
        Ok(time.map_or(Annotation::Other, Annotation::Timestamp))
    }

    /// Appends the line; there is none for [`Annotation::Other`].
    pub fn append_to(self, out: &mut Vec<u8>) {
        match self {
            Annotation::Timestamp(seconds) => out.extend_from_slice(format!("#TS:{seconds}\r\n").as_bytes()),
            Annotation::Own(bytes) => out.extend_from_slice(format!("#RIVULET:OWN {bytes}\r\n").as_bytes()),
            Annotation::Passed(bytes) => out.extend_from_slice(format!("#RIVULET:PASSED {bytes}\r\n").as_bytes()),
            Annotation::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for annotation in
            [Annotation::Timestamp(0), Annotation::Timestamp(1_700_000_000), Annotation::Own(23), Annotation::Passed(7)]
        {
            let mut line = Vec::new();
            annotation.append_to(&mut line);
            assert_eq!(Annotation::parse(&line), Ok(annotation));
        }
    }

    #[test]
    fn a_count_must_be_readable_but_nothing_else() {
        for line in ["#\r\n", "#TS:\r\n", "#TS:12\n", "#TS:1x\r\n", "# a word\n", "#RIVULET:ELSE 1\r\n"] {
            assert_eq!(Annotation::parse(line.as_bytes()), Ok(Annotation::Other), "{line}");
        }
        for line in ["#RIVULET:OWN\r\n", "#RIVULET:OWN x\r\n", "#RIVULET:OWN -1\r\n", "#RIVULET:OWN 1\n"] {
            assert_eq!(Annotation::parse(line.as_bytes()), Err(UnreadableCount), "{line}");
        }
    }
}
