//! Reports that `redis-check-aof` 7.0.15 gave for the same files, and what becomes of the files.

use super::*;

struct Directory(tempfile::TempDir);

impl Directory {
    fn new(files: &[(&str, &[u8])]) -> Directory {
        let directory = tempfile::tempdir().expect("a new directory");
        for (name, bytes) in files {
            std::fs::write(directory.path().join(name), bytes).expect("a new file");
        }
        Directory(directory)
    }

    /// Whether the check succeeds, and the report, in which the directory is called `DIR`.
    fn check(&self, name: &str, mode: Mode, answer: &str) -> (bool, String) {
        let mut out = Vec::new();
        let sound =
            check(&self.0.path().join(name), mode, 0, &mut answer.as_bytes(), &mut out).expect("memory takes it");
        let report = String::from_utf8(out).expect("ascii");
        (sound, report.replace(self.0.path().to_str().expect("ascii"), "DIR"))
    }

    fn len(&self, name: &str) -> u64 {
        std::fs::metadata(self.0.path().join(name)).expect("a file").len()
    }
}

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const MANIFEST: &[u8] = b"file b seq 1 type b\nfile i1 seq 1 type i\nfile i2 seq 2 type i\n";

#[test]
fn a_single_file() {
    let open_multi = [PING, b"*1\r\n$5\r\nmulti\r\n"].concat();
    let short = [PING, b"*2\r\n$3\r\nGET\r\n$5\r\nab"].concat();
    let damaged = [PING, b"hello\r\n"].concat();
    let directory = Directory::new(&[
        ("ok", PING),
        ("empty", b""),
        ("multi", &open_multi),
        ("short", &short),
        ("damaged", &damaged),
        ("exec", b"*1\r\n$4\r\nexec\r\n"),
    ]);
    for (name, sound, report) in [
        (
            "ok",
            true,
            "AOF analyzed: filename=DIR/ok, size=14, ok_up_to=14, ok_up_to_line=4, diff=0\nAOF DIR/ok is valid\n",
        ),
        ("empty", true, "AOF DIR/empty is empty\n"),
        (
            "multi",
            false,
            "0x              16: Reached EOF before reading EXEC for MULTI\n\
             AOF analyzed: filename=DIR/multi, size=29, ok_up_to=14, ok_up_to_line=7, diff=15\n\
             AOF DIR/multi is not valid. Use the --fix option to try fixing it.\n",
        ),
        (
            "short",
            false,
            "0x              1f: Expected to read 7 bytes, got 2 bytes\n\
             AOF analyzed: filename=DIR/short, size=33, ok_up_to=14, ok_up_to_line=8, diff=19\n\
             AOF DIR/short is not valid. Use the --fix option to try fixing it.\n",
        ),
        (
            "damaged",
            false,
            "AOF DIR/damaged format error\n\
             AOF analyzed: filename=DIR/damaged, size=21, ok_up_to=14, ok_up_to_line=4, diff=7\n\
             AOF DIR/damaged is not valid. Use the --fix option to try fixing it.\n",
        ),
        (
            "exec",
            false,
            "0x               8: Unexpected EXEC in AOF DIR/exec\n\
             AOF analyzed: filename=DIR/exec, size=14, ok_up_to=0, ok_up_to_line=4, diff=14\n\
             AOF DIR/exec is not valid. Use the --fix option to try fixing it.\n",
        ),
    ] {
        let expected = format!("Start checking Old-Style AOF\n{report}");
        assert_eq!(directory.check(name, Mode::Report, ""), (sound, expected), "{name}");
    }
    let (sound, report) = directory.check("none", Mode::Report, "");
    assert_eq!((sound, report.as_str()), (false, "Cannot open file DIR/none: No such file or directory\n"));
}

#[test]
fn it_asks_before_it_cuts() {
    let directory = Directory::new(&[("a", &[PING, b"*1\r\n$4\r\nPI"].concat())]);
    let question = "This will shrink the AOF DIR/a from 24 bytes, with 10 bytes, to 14 bytes\nContinue? [y/N]: ";
    for answer in ["", "\n", "n\n", "no, yes\n"] {
        let (sound, report) = directory.check("a", Mode::Fix, answer);
        assert!(!sound && report.ends_with(&format!("{question}Aborting...\n")), "{report}");
        assert_eq!(directory.len("a"), 24);
    }
    let (sound, report) = directory.check("a", Mode::Fix, "yes\n");
    assert!(sound && report.ends_with(&format!("{question}Successfully truncated AOF DIR/a\n")), "{report}");
    assert_eq!(directory.len("a"), 14);
}

#[test]
fn a_manifest() {
    let directory = Directory::new(&[("m", MANIFEST), ("b", PING), ("i1", b""), ("i2", PING)]);
    let report = "Start checking Multi Part AOF\n\
                  Start to check BASE AOF (RESP format).\n\
                  AOF analyzed: filename=b, size=14, ok_up_to=14, ok_up_to_line=4, diff=0\n\
                  BASE AOF b is valid\n\
                  Start to check INCR files.\n\
                  INCR AOF i1 is empty\n\
                  AOF analyzed: filename=i2, size=14, ok_up_to=14, ok_up_to_line=7, diff=0\n\
                  INCR AOF i2 is valid\n\
                  All AOF files and manifest are valid\n";
    assert_eq!(directory.check("m", Mode::Report, ""), (true, report.into()));
}

#[test]
fn only_the_last_file_may_be_cut() {
    let files: [(&str, &[u8]); 4] = [("m", MANIFEST), ("b", PING), ("i1", b"*1\r\n"), ("i2", b"*1\r\n")];
    let directory = Directory::new(&files);
    let (sound, report) = directory.check("m", Mode::Fix, "y\n");
    assert!(!sound && report.ends_with("\nFailed to truncate AOF i1 because it is not the last file\n"), "{report}");
    assert_eq!((directory.len("i1"), directory.len("i2")), (4, 4));

    let directory = Directory::new(&[files[0], files[1], ("i1", PING), files[3]]);
    let (sound, report) = directory.check("m", Mode::Fix, "y\n");
    assert!(sound && report.contains(" Successfully truncated AOF i2\nAll AOF files"), "{report}");
    assert_eq!(directory.len("i2"), 0);
}

#[test]
fn a_missing_or_unreadable_part() {
    let directory = Directory::new(&[("m", MANIFEST), ("x", b"file b seq x type b\n")]);
    let (sound, report) = directory.check("m", Mode::Report, "");
    assert!(!sound && report.ends_with("AOF\nCannot open file DIR/b: No such file or directory\n"), "{report}");
    std::fs::write(directory.0.path().join("b"), PING).expect("a file");
    let (sound, report) = directory.check("m", Mode::Report, "");
    assert!(!sound, "{report}");
    assert!(report.ends_with("\nCannot open file DIR/i1: No such file or directory, aborting...\n"), "{report}");
    let (sound, report) = directory.check("x", Mode::Report, "");
    let expected = "Start checking Multi Part AOF\n*** FATAL AOF MANIFEST FILE ERROR ***\nReading the manifest file, at line 1\n\
                    >>> 'file b seq x type b'\nInvalid AOF manifest file format\n";
    assert_eq!((sound, report.as_str()), (false, expected));
}

#[test]
fn a_time_to_go_back_to() {
    let stamped = [b"#TS:10\r\n", PING, b"#TS:20\r\n", PING].concat();
    let files: [(&str, &[u8]); 4] = [("m", MANIFEST), ("b", PING), ("i1", &stamped), ("i2", &stamped)];
    let directory = Directory::new(&files);
    let (sound, report) = directory.check("m", Mode::TruncateTo(15), "");
    assert!(!sound, "{report}");
    assert!(
        report.contains("Failed to truncate AOF DIR/i1 to timestamp 15 to offset 22 because it is not"),
        "{report}"
    );
    let (sound, report) = directory.check("i2", Mode::TruncateTo(5), "");
    assert!(!sound && report.ends_with("AOF DIR/i2 has nothing before timestamp 5, aborting...\n"), "{report}");

    std::fs::write(directory.0.path().join("i1"), PING).expect("a file");
    let (sound, report) = directory.check("m", Mode::TruncateTo(15), "");
    assert!(sound, "{report}");
    assert!(report.contains("Truncate nothing in AOF i1 to timestamp 15\nINCR AOF i1 is valid\n"), "{report}");
    assert!(report.contains("\nSuccessfully truncated AOF i2 to timestamp 15\n"), "{report}");
    assert_eq!(directory.len("i2"), 22);

    std::fs::write(directory.0.path().join("i2"), b"#TS:x\r\n").expect("a file");
    let (sound, report) = directory.check("i2", Mode::TruncateTo(15), "");
    assert!(!sound && report.ends_with("\nInvalid timestamp annotation\n"), "{report}");
}

#[test]
fn a_snapshot_at_the_start() {
    use rivulet_rdb::write::Version;

    let mut rdb = Vec::new();
    let mut writer = rivulet_rdb::Writer::new(Version::DEFAULT, false);
    rdb.extend_from_slice(b"REDIS0010");
    writer.eof(&mut rdb);
    rdb.extend_from_slice(&[0; 8]);
    let size = rdb.len() + PING.len();
    let whole = [&rdb[..], PING].concat();
    let directory = Directory::new(&[("a", &whole), ("cut", &rdb[..rdb.len() - 1])]);
    let (sound, report) = directory.check("a", Mode::Report, "");
    assert!(sound, "{report}");
    assert!(report.starts_with("Start checking Old-Style AOF\n[offset 0] Checking RDB file DIR/a\n"), "{report}");
    assert!(report.contains("RDB preamble is OK, proceeding with AOF tail...\n"), "{report}");
    assert!(report.contains(&format!("size={size}, ok_up_to={size}, ok_up_to_line=4, diff=0\n")), "{report}");
    let (sound, report) = directory.check("cut", Mode::Report, "");
    assert!(!sound && report.ends_with("RDB preamble of AOF file is not sane, aborting.\n"), "{report}");
}

#[test]
fn a_byte_that_has_changed() {
    let set = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    let directory = Directory::new(&[("a", set)]);
    sums::make(&directory.0.path().join("a")).expect("checksums");
    assert!(directory.check("a", Mode::Report, "").0);
    let changed = [&set[..set.len() - 3], b"2\r\n"].concat();
    std::fs::write(directory.0.path().join("a"), changed).expect("a byte changes");
    let (sound, report) = directory.check("a", Mode::Report, "");
    assert!(
        !sound && report.contains("AOF DIR/a is not as it was written: bytes 0 to 27 had the checksum "),
        "{report}"
    );
}

#[test]
fn files_that_a_server_uses_are_not_cut() {
    let files: [(&str, &[u8]); 4] =
        [("a.manifest", b"file i1 seq 1 type i\n"), ("i1", b"*1\r\n$4\r\nPING\r\n*1\r\n"), ("a.lock", b""), ("b", b"")];
    let directory = Directory::new(&files);
    let server = rivulet_host::fs::File::open(directory.0.path().join("a.lock")).expect("a file");
    server.lock().expect("nobody has it");
    for mode in [Mode::Fix, Mode::TruncateTo(1)] {
        let (sound, report) = directory.check("a.manifest", mode, "y\n");
        assert!(
            !sound
                && report.ends_with("\nA server uses these files. Shut it down before they are changed, aborting...\n"),
            "{report}"
        );
    }
    assert_eq!(directory.len("i1"), 18);
    drop(server);
    assert!(directory.check("a.manifest", Mode::Fix, "y\n").0);
    assert_eq!(directory.len("i1"), 14);
}
