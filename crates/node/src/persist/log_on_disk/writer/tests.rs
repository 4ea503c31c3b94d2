use std::path::Path;

use super::*;

fn begin(path: &Path) -> Change {
    Change { ops: vec![FileOp::Begin { path: path.to_path_buf() }], must: false }
}

fn append(writer: &mut LogWriter, bytes: &[u8], end: u64) {
    writer.append(std::iter::once(bytes), end);
}

#[test]
fn what_is_nowhere_does_not_count_as_written() {
    let directory = std::env::temp_dir().join(format!("rivulet-writer-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (first, last) = (directory.join("100"), directory.join("107"));
    let mut writer = LogWriter::start(100, Waker::new().unwrap());
    writer.change(begin(&first), None);
    append(&mut writer, b"one", 103);
    writer.change(begin(&directory.join("no such directory/103")), Some(Token::FirstFile { number: 1 }));
    append(&mut writer, b"lost", 107);
    writer.change(begin(&last), None);
    append(&mut writer, b"two", 110);
    assert!(writer.wait_until_idle());
    let results = writer.results();
    assert!(matches!(results[..], [(Token::FirstFile { number: 1 }, Err(_))]), "{results:?}");
    assert_eq!(std::fs::read(&first).unwrap(), b"one", "another file's bytes are not for it");
    assert_eq!(std::fs::read(&last).unwrap(), b"two");
    assert_eq!(writer.written(), Some(103));
    writer.lost_is_known(110);
    assert!(writer.wait_until_idle());
    assert_eq!(writer.written(), Some(110));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn it_says_that_a_name_is_on_its_way() {
    let mut writer = LogWriter::start(0, Waker::new().unwrap());
    writer.set_sleep(200_000);
    let directory = std::env::temp_dir().join(format!("rivulet-writer-name-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (from, to) = (directory.join("a"), directory.join("b"));
    writer.change(begin(&from), None);
    append(&mut writer, b"slow", 4);
    writer.change(Change { ops: vec![FileOp::Rename { from, to: to.clone() }], must: false }, None);
    assert!(writer.is_renaming());
    assert!(writer.wait_until_idle());
    assert!(!writer.is_renaming() && to.exists());
    std::fs::remove_dir_all(directory).unwrap();
}

fn has_tail(writer: &LogWriter) -> bool {
    lock(&writer.shared.queue).tail.is_some()
}

#[test]
fn a_tail_that_can_not_be_replaced_is_not_gone_on_with() {
    let directory = std::env::temp_dir().join(format!("rivulet-writer-tail-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let tail = directory.join("a.tail");
    let mut writer = LogWriter::start(0, Waker::new().unwrap());
    writer.change(begin(&directory.join("a")), None);
    writer.open_tail(tail.clone());
    assert!(writer.wait_until_idle() && has_tail(&writer) && tail.exists());
    writer.open_tail(directory.join("no such directory/a.tail"));
    assert!(writer.wait_until_idle());
    assert!(!has_tail(&writer) && !tail.exists());
    writer.set_sleep(200_000);
    append(&mut writer, b"one", 3);
    append(&mut writer, b"two", 6);
    assert_eq!(writer.kept(), Some(0), "replies wait for the file");
    assert!(writer.wait_until_idle());
    assert_eq!(writer.kept(), Some(6));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_broken_tail_stays_while_it_has_what_the_file_has_not() {
    let directory = std::env::temp_dir().join(format!("rivulet-writer-broken-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let tail = directory.join("a.tail");
    let mut writer = LogWriter::start(0, Waker::new().unwrap());
    writer.change(begin(&directory.join("a")), None);
    writer.open_tail(tail.clone());
    assert!(writer.wait_until_idle());
    writer.set_sleep(300_000);
    append(&mut writer, b"one", 3);
    clock::sleep(Duration::from_millis(100));
    // While it writes that, more is put into the tail, which breaks behind it.
    append(&mut writer, b"two", 6);
    clock::sleep(Duration::from_millis(20));
    assert_eq!(writer.kept(), Some(6));
    std::fs::OpenOptions::new().write(true).open(&tail).unwrap().set_len(8192).unwrap();
    append(&mut writer, &[7; 10_000], 10_006);
    while writer.written() == Some(0) {
        clock::sleep(Duration::from_millis(1));
    }
    clock::sleep(Duration::from_millis(100));
    assert_eq!(writer.written(), Some(3));
    assert!(has_tail(&writer) && tail.exists(), "a kill would cost what was acknowledged");
    assert!(writer.wait_until_idle());
    while has_tail(&writer) {
        clock::sleep(Duration::from_millis(1));
    }
    assert!(!tail.exists());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn what_the_disk_refuses_can_be_given_up() {
    let directory = std::env::temp_dir().join(format!("rivulet-writer-given-up-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (first, other) = (directory.join("a"), directory.join("b"));
    let mut writer = LogWriter::start(0, Waker::new().unwrap());
    writer.change(begin(&first), None);
    append(&mut writer, b"one", 3);
    assert!(writer.wait_until_idle());
    let refused = FileOp::Replace { path: directory.join("no such directory/identity"), bytes: Vec::new() };
    writer.change(Change { ops: vec![refused], must: true }, Some(Token::Ids));
    append(&mut writer, b"two", 6);
    writer.change(begin(&other), None);
    append(&mut writer, b"six", 9);
    assert!(!writer.wait_until_idle());
    assert!(writer.failure().is_some());
    writer.give_up(Change { ops: vec![FileOp::Close], must: false });
    assert!(writer.wait_until_idle(), "nothing waits for it any more");
    assert!(matches!(writer.results()[..], [(Token::Ids, Err(_))]));
    assert_eq!((writer.written(), writer.queued_bytes(), writer.failure()), (Some(3), 0, None));
    assert_eq!(std::fs::read(&first).unwrap(), b"one");
    assert!(!other.exists(), "what follows a gap is in no file");
    writer.rebase(9);
    writer.change(begin(&other), None);
    append(&mut writer, b"new", 12);
    assert!(writer.wait_until_idle());
    assert_eq!((writer.written(), std::fs::read(&other).unwrap()), (Some(12), b"new".to_vec()));
    std::fs::remove_dir_all(directory).unwrap();
}

/// What lies in a file that was closed counts as durable only if a sync has covered it.
#[test]
fn what_was_closed_unsynced_is_not_called_durable() {
    let sync = || Change { ops: vec![FileOp::Sync], must: false };
    let close = || Change { ops: vec![FileOp::Close], must: false };
    let directory = std::env::temp_dir().join(format!("rivulet-writer-closed-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for is_synced in [true, false] {
        let mut writer = LogWriter::start(0, Waker::new().unwrap());
        writer.set_policy(AppendFsync::Always);
        writer.change(begin(&directory.join("a")), None);
        writer.set_sleep(200_000);
        append(&mut writer, b"one", 3);
        clock::sleep(Duration::from_millis(50));
        // While it writes that, the rest comes together.
        append(&mut writer, b"two", 6);
        if is_synced {
            writer.change(sync(), None);
        }
        writer.change(close(), None);
        assert!(writer.wait_until_idle());
        let durable = Some(if is_synced { 6 } else { 3 });
        assert_eq!((writer.written(), writer.fsynced()), (Some(6), durable));
        writer.change(sync(), None);
        assert!(writer.wait_until_idle());
        assert_eq!(writer.fsynced(), durable, "there is no file that could be synced");
        // The stream begins anew, with data that are elsewhere.
        writer.rebase(6);
        writer.change(begin(&directory.join("b")), None);
        append(&mut writer, b"six", 9);
        assert!(writer.wait_until_idle());
        assert_eq!(writer.fsynced(), Some(9));
    }
    std::fs::remove_dir_all(directory).unwrap();
}
