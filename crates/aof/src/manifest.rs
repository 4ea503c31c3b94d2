//! The manifest: which files make up the data, and in which order they are loaded. The format, the names and the error texts are those of
//! Redis 7.0 (aof.c), so that either server starts on the other's directory.
//!
//! It is a value: reading and replacing the file is the caller's business.

use std::fmt;

use rivulet_resp::inline::{quote, split_words};

/// The longest line, its newline included.
const LINE_LEN_MAX: usize = 1024;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The state at the place where the first incremental file begins.
    Base,
    /// Commands since then.
    Incr,
    /// Not needed any more; to be removed.
    History,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Kind::Base => 'b',
            Kind::Incr => 'i',
            Kind::History => 'h',
        }
    }
}

/// A file of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    pub name: String,
    pub seq: i64,
    pub kind: Kind,
}

impl FileInfo {
    fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"file ");
        if needs_quotes(&self.name) {
            out.extend(quote(self.name.as_bytes()));
        } else {
            out.extend_from_slice(self.name.as_bytes());
        }
        out.extend(format!(" seq {} type {}\n", self.seq, self.kind.letter()).bytes());
    }
}

/// Redis's rule, and a single quote, which Redis would write but not read back.
fn needs_quotes(name: &str) -> bool {
    name.is_empty() || name.bytes().any(|c| !c.is_ascii_graphic() || matches!(c, b'\\' | b'"' | b'\''))
}

/// How a base is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseFormat {
    Rdb,
    Aof,
}

/// The end of an incremental file's name.
const INCR_SUFFIX: &str = ".incr.aof";

/// The number in the name of an incremental file.
pub fn incr_seq(name: &str, appendfilename: &str) -> Option<i64> {
    name.strip_prefix(appendfilename)?.strip_prefix('.')?.strip_suffix(INCR_SUFFIX)?.parse().ok()
}

/// The files of an append-only file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    pub base: Option<FileInfo>,
    /// In the order in which they are loaded.
    pub incr: Vec<FileInfo>,
    pub history: Vec<FileInfo>,
    /// The number of the last base that there was.
    pub base_seq: i64,
    /// The number of the last incremental file that there was.
    pub incr_seq: i64,
}

impl Manifest {
    /// What the file says.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        if bytes.is_empty() {
            return Err(ManifestError { problem: ManifestProblem::Empty, line: None });
        }
        let mut manifest = Manifest::default();
        let mut rest = bytes;
        let mut number = 0;
        while !rest.is_empty() {
            let window = &rest[..rest.len().min(LINE_LEN_MAX)];
            let newline = memchr::memchr(b'\n', window);
            let (line, after) = rest.split_at(newline.map_or(window.len(), |at| at + 1));
            (rest, number) = (after, number + 1);
            if line[0] == b'#' {
                continue;
            }
            // A NUL ends a line, as in C.
            if newline.is_none() || line.contains(&0) {
                return Err(ManifestError { problem: ManifestProblem::LongLine, line: None });
            }
            let line = line.trim_ascii();
            manifest.add_line(line).map_err(|problem| ManifestError {
                problem,
                line: Some((number, String::from_utf8_lossy(line).into_owned())),
            })?;
        }
        // What was retired may be all that there was, and stay under its name.
        let retired =
            manifest.history.iter().filter(|file| file.name.ends_with(INCR_SUFFIX)).map(|file| file.seq).max();
        manifest.skip_incr(retired.unwrap_or(0));
        Ok(manifest)
    }

    /// The next incremental file has a number above this one.
    pub fn skip_incr(&mut self, seq: i64) {
        self.incr_seq = self.incr_seq.max(seq);
    }

    fn add_line(&mut self, line: &[u8]) -> Result<(), ManifestProblem> {
        let (name, seq, letter) = parse_line(line)?;
        let kind = match letter {
            b'b' => Kind::Base,
            b'i' => Kind::Incr,
            b'h' => Kind::History,
            _ => return Err(ManifestProblem::UnknownType),
        };
        let file = FileInfo { name, seq, kind };
        match kind {
            Kind::Base if self.base.is_some() => return Err(ManifestProblem::DuplicateBase),
            Kind::Base => {
                self.base_seq = seq;
                self.base = Some(file);
            }
            Kind::Incr if seq <= self.incr_seq => return Err(ManifestProblem::NonMonotonic),
            Kind::Incr => {
                self.incr_seq = seq;
                self.incr.push(file);
            }
            Kind::History => self.history.push(file),
        }
        Ok(())
    }

    /// The file's bytes: the base, then the history, then the incremental files.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for file in self.base.iter().chain(&self.history).chain(&self.incr) {
            file.append_to(&mut out);
        }
        out
    }

    /// What an append-only file of before Redis 7 becomes: its one file is the base, under its name.
    pub fn for_upgrade(appendfilename: &str) -> Manifest {
        let base = FileInfo { name: appendfilename.into(), seq: 1, kind: Kind::Base };
        Manifest { base: Some(base), base_seq: 1, ..Manifest::default() }
    }

    /// Names the next base and makes the present one history.
    pub fn next_base(&mut self, appendfilename: &str, format: BaseFormat) -> &FileInfo {
        if let Some(base) = self.base.take() {
            self.history.insert(0, FileInfo { kind: Kind::History, ..base });
        }
        self.base_seq += 1;
        let suffix = match format {
            BaseFormat::Rdb => "rdb",
            BaseFormat::Aof => "aof",
        };
        let name = format!("{appendfilename}.{}.base.{suffix}", self.base_seq);
        self.base.insert(FileInfo { name, seq: self.base_seq, kind: Kind::Base })
    }

    /// Names the next incremental file.
    pub fn next_incr(&mut self, appendfilename: &str) -> &FileInfo {
        self.incr_seq += 1;
        let name = format!("{appendfilename}.{}{INCR_SUFFIX}", self.incr_seq);
        self.incr.push(FileInfo { name, seq: self.incr_seq, kind: Kind::Incr });
        &self.incr[self.incr.len() - 1]
    }

    /// Makes history of all incremental files but the last `keep`, the youngest first.
    pub fn retire_incr(&mut self, keep: usize) {
        let count = self.incr.len().saturating_sub(keep);
        for file in self.incr.drain(..count) {
            self.history.insert(0, FileInfo { kind: Kind::History, ..file });
        }
    }

    /// The files that are loaded, in order.
    pub fn data(&self) -> impl Iterator<Item = &FileInfo> {
        self.base.iter().chain(&self.incr)
    }
}

/// The manifest's own name.
pub fn file_name(appendfilename: &str) -> String {
    format!("{appendfilename}.manifest")
}

/// The incremental file that Redis begins when append-only is switched on and no base exists yet.
pub fn temp_incr_name(appendfilename: &str) -> String {
    format!("temp-{appendfilename}.incr")
}

/// Under which name it is begun at `start`. The next one has another: who is on his way to this one must not find that one.
pub fn temp_incr_at(appendfilename: &str, start: u64) -> String {
    format!("{}.{start}", temp_incr_name(appendfilename))
}

/// Whether a file is, or was, such.
pub fn is_temp_incr(name: &str, appendfilename: &str) -> bool {
    let rest = name.strip_prefix(&temp_incr_name(appendfilename));
    rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.').is_some_and(|start| start.parse::<u64>().is_ok()))
}

/// Under which process `pid` writes a new base, in its rewrite with this number.
pub fn temp_base_name(pid: u32, number: u64) -> String {
    format!("temp-rewriteaof-bg-{pid}-{number}.aof")
}

/// The name, number and type's letter that a line gives. Pairs with other keys are passed over: later versions may have them.
fn parse_line(line: &[u8]) -> Result<(String, i64, u8), ManifestProblem> {
    let words = split_words(line).ok_or(ManifestProblem::Format)?;
    if words.len() < 6 || words.len() % 2 != 0 {
        return Err(ManifestProblem::Format);
    }
    let (mut name, mut seq, mut letter) = (None, 0, 0);
    for pair in words.chunks_exact(2) {
        let value = pair[1].split(|&c| c == 0).next().unwrap_or_default();
        match pair[0].to_ascii_lowercase().as_slice() {
            b"file" if value.iter().any(|c| matches!(c, b'/' | b'\\')) => return Err(ManifestProblem::Path),
            b"file" => name = Some(String::from_utf8(value.to_vec()).map_err(|_| ManifestProblem::Format)?),
            b"seq" => seq = leading_number(value),
            b"type" => letter = value.first().copied().unwrap_or(0),
            _ => {}
        }
    }
    match name {
        Some(name) if seq != 0 && letter != 0 => Ok((name, seq, letter)),
        _ => Err(ManifestProblem::Format),
    }
}

/// As C's `atoll`: the number at the start, or 0.
fn leading_number(text: &[u8]) -> i64 {
    let (negative, digits) = match text.trim_ascii_start() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let magnitude = digits
        .iter()
        .take_while(|c| c.is_ascii_digit())
        .fold(0i64, |n, c| n.saturating_mul(10).saturating_add(i64::from(c - b'0')));
    if negative { -magnitude } else { magnitude }
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestProblem {
    Empty,
    LongLine,
    Format,
    Path,
    DuplicateBase,
    NonMonotonic,
    UnknownType,
}

/// Why a manifest can't be used. Its text is that of Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    pub problem: ManifestProblem,
    /// The line's number, from 1, and its text, where it could be read as one.
    pub line: Option<(usize, String)>,
}

impl ManifestError {
    /// The lines that Redis logs, as warnings.
    pub fn log_lines(&self) -> Vec<String> {
        let mut lines = vec!["*** FATAL AOF MANIFEST FILE ERROR ***".to_string()];
        if let Some((number, text)) = &self.line {
            lines.push(format!("Reading the manifest file, at line {number}"));
            lines.push(format!(">>> '{text}'"));
        }
        lines.push(self.to_string());
        lines
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.problem {
            ManifestProblem::Empty => "Found an empty AOF manifest",
            ManifestProblem::LongLine => "The AOF manifest file contains too long line",
            ManifestProblem::Format => "Invalid AOF manifest file format",
            ManifestProblem::Path => "File can't be a path, just a filename",
            ManifestProblem::DuplicateBase => "Found duplicate base file information",
            ManifestProblem::NonMonotonic => "Found a non-monotonic sequence number",
            ManifestProblem::UnknownType => "Unknown AOF file type",
        })
    }
}

impl std::error::Error for ManifestError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AOF: &str = "appendonly.aof";

    fn names(files: &[FileInfo]) -> Vec<&str> {
        files.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn a_rewrite() {
        let mut manifest = Manifest::default();
        manifest.next_base(AOF, BaseFormat::Rdb);
        manifest.next_incr(AOF);
        assert_eq!(
            String::from_utf8_lossy(&manifest.to_bytes()),
            "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
        );
        manifest.next_incr(AOF);
        manifest.next_incr(AOF);
        assert_eq!(manifest.next_base(AOF, BaseFormat::Aof).name, "appendonly.aof.2.base.aof");
        manifest.retire_incr(1);
        let text = "file appendonly.aof.2.base.aof seq 2 type b\n\
                    file appendonly.aof.2.incr.aof seq 2 type h\n\
                    file appendonly.aof.1.incr.aof seq 1 type h\n\
                    file appendonly.aof.1.base.rdb seq 1 type h\n\
                    file appendonly.aof.3.incr.aof seq 3 type i\n";
        assert_eq!(String::from_utf8_lossy(&manifest.to_bytes()), text);
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest.clone()));
        manifest.retire_incr(0);
        assert_eq!(names(&manifest.history)[0], "appendonly.aof.3.incr.aof");
        assert_eq!(manifest.data().count(), 1);
    }

    #[test]
    fn an_old_file_is_the_base() {
        let mut manifest = Manifest::for_upgrade(AOF);
        assert_eq!(manifest.to_bytes(), b"file appendonly.aof seq 1 type b\n");
        assert_eq!(manifest.next_base(AOF, BaseFormat::Rdb).seq, 2);
    }

    #[test]
    fn what_later_versions_may_add_is_passed_over() {
        let text = "# a comment\nTYPE incr SEQ 7x File \"a b\" startoffset 12\n";
        let manifest = Manifest::parse(text.as_bytes()).expect("valid");
        assert_eq!(manifest.incr, [FileInfo { name: "a b".into(), seq: 7, kind: Kind::Incr }]);
        assert_eq!(Manifest::parse(b"# nothing\n"), Ok(Manifest::default()));
    }

    #[test]
    fn errors_are_those_of_redis() {
        let long = format!("file {} seq 1 type b\n", "x".repeat(1020));
        for (text, line, error) in [
            ("", None, "Found an empty AOF manifest"),
            (&long, None, "The AOF manifest file contains too long line"),
            ("file a seq 1 type b", None, "The AOF manifest file contains too long line"),
            ("file a seq 1 type b\0\n", None, "The AOF manifest file contains too long line"),
            ("\n", Some(1), "Invalid AOF manifest file format"),
            ("file a seq 1\n", Some(1), "Invalid AOF manifest file format"),
            ("file a seq 1 type b more\n", Some(1), "Invalid AOF manifest file format"),
            ("file \"a seq 1 type b\n", Some(1), "Invalid AOF manifest file format"),
            ("file a seq x type b\n", Some(1), "Invalid AOF manifest file format"),
            ("seq 1 type b x y\n", Some(1), "Invalid AOF manifest file format"),
            ("file a/b seq 1 type b\n", Some(1), "File can't be a path, just a filename"),
            ("#\nfile a seq 1 type b\n file b seq 1 type b \n", Some(3), "Found duplicate base file information"),
            ("file a seq 2 type i\nfile b seq 2 type i\n", Some(2), "Found a non-monotonic sequence number"),
            ("file a seq -1 type i\n", Some(1), "Found a non-monotonic sequence number"),
            ("file a seq 1 type x\n", Some(1), "Unknown AOF file type"),
        ] {
            let found = Manifest::parse(text.as_bytes()).expect_err(text);
            assert_eq!((found.to_string().as_str(), found.line.as_ref().map(|l| l.0)), (error, line), "{text:?}");
        }
        let found = Manifest::parse(b" file a seq 1 type x \r\n").expect_err("a wrong type");
        assert_eq!(found.log_lines()[1..3], ["Reading the manifest file, at line 1", ">>> 'file a seq 1 type x'"]);
    }

    #[test]
    fn a_line_may_have_1024_bytes() {
        let text = format!("file {} seq 1 type b\n", "x".repeat(LINE_LEN_MAX - 19));
        assert_eq!(text.len(), LINE_LEN_MAX);
        assert!(Manifest::parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        let mut manifest = Manifest::default();
        manifest.next_incr("my log\n\u{e9}");
        assert_eq!(manifest.to_bytes(), b"file \"my log\\n\\xc3\\xa9.1.incr.aof\" seq 1 type i\n");
    }

    fn file(kind: Kind) -> impl Strategy<Value = FileInfo> {
        // Names that a path can't have, and a NUL, can't come back.
        ("[^/\\\\\0]{0,20}", 1i64..1000).prop_map(move |(name, seq)| FileInfo { name, seq, kind })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            base in proptest::option::of(file(Kind::Base)),
            mut incr in proptest::collection::vec(file(Kind::Incr), 1..5),
            history in proptest::collection::vec(file(Kind::History), 0..5),
        ) {
            for (i, file) in incr.iter_mut().enumerate() {
                file.seq += 1000 * i as i64;
            }
            let base_seq = base.as_ref().map_or(0, |file| file.seq);
            let incr_seq = incr.last().map_or(0, |file| file.seq);
            let manifest = Manifest { base, incr, history, base_seq, incr_seq };
            prop_assert_eq!(Manifest::parse(&manifest.to_bytes()), Ok(manifest));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Manifest::parse(&bytes);
            let _ = Manifest::parse(&[b"file ".as_slice(), &bytes, b" seq 1 type b\n"].concat());
        }
    }
}
