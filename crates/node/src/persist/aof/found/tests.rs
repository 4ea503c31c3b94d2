use rivulet_aof::recover;
use rivulet_aof::tail::Tail;

use super::*;

/// The next first file may get the name that it knows.
#[test]
fn a_tail_of_files_that_are_gone_goes() {
    let directory = std::env::temp_dir().join(format!("rivulet-no-tail-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (tail, segment) = (directory.join("a.aof.tail"), directory.join("a.aof.1.incr.aof"));
    std::fs::write(&segment, b"").unwrap();
    let mut left = Tail::create(&tail).unwrap();
    left.belongs_to(&segment, 0);
    assert!(left.put(std::iter::once(&b"PING\r\n"[..])));
    std::fs::write(directory.join("a.aof.manifest"), b"file a.aof.2.base.rdb seq 2 type b\n").unwrap();
    add_tail(&recover::find(&directory, "a.aof").unwrap(), "a.aof").unwrap();
    assert!(!tail.exists());
    std::fs::write(directory.join("a.aof.manifest"), b"file a.aof.1.incr.aof seq 1 type i\n").unwrap();
    add_tail(&recover::find(&directory, "a.aof").unwrap(), "a.aof").unwrap();
    assert_eq!(std::fs::read(&segment).unwrap(), b"");
    std::fs::remove_dir_all(directory).unwrap();
}
