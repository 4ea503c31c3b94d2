//! What was acknowledged is there again, whatever the disk does: it is full, fails, is cut short, or changes a byte.

mod checksums;
mod files;
mod fsync;
mod full;
mod limits;
mod retries;
mod settings;
mod snapshots;

use std::path::{Path, PathBuf};

use rivulet_tests::process::{self, TempDir};
use rivulet_tests::{Server, wait};

const DIRECTORY: &str = "appendonlydir";

/// The path of a file among the append-only files.
fn file(server: &Server, name: &str) -> PathBuf {
    server.dir.path().join(DIRECTORY).join(name)
}

/// The last incremental file.
fn last_incr(server: &Server) -> PathBuf {
    let manifest = std::fs::read_to_string(file(server, "appendonly.aof.manifest")).expect("a manifest");
    let name =
        manifest.lines().filter(|line| line.ends_with("type i")).filter_map(|line| line.split(' ').nth(1)).next_back();
    file(server, name.expect("an incremental file"))
}

/// Writes values of `len` bytes under rising names until the server refuses one, `count_max` at most; answers how many were taken.
fn fill(server: &mut Server, name: &str, len: usize, count_max: usize) -> usize {
    let value = "v".repeat(len);
    (0..count_max).position(|n| server.call(&["SET", &format!("{name}:{n}"), &value]).is_error()).unwrap_or(count_max)
}

/// All of these values are there.
#[track_caller]
fn assert_filled(server: &mut Server, name: &str, len: usize, count: usize) {
    for n in 0..count {
        let found = server.must(&format!("STRLEN {name}:{n}"));
        assert_eq!(found.int(), len as i64, "{name}:{n} of {count}\n{}", server.log());
    }
}

/// Waits until writes are refused because of the append-only file.
#[track_caller]
fn wait_refused(server: &mut Server, why: &str) {
    let expected = format!("MISCONF Errors writing to the AOF file: {why}");
    wait::until("writes are refused", || {
        let reply = server.call("SET refused 1");
        assert!(!reply.is_error() || reply.text() == expected, "{reply:?}");
        reply.is_error()
    });
    assert_eq!(server.info("aof_last_write_status"), "err");
}

#[track_caller]
fn wait_taken(server: &mut Server) {
    wait::until("writes are taken again", || !server.call("SET taken 1").is_error());
    assert_eq!(server.info("aof_last_write_status"), "ok");
}

/// A file system of its own, until the value goes.
struct Mount {
    point: PathBuf,
    /// Where its bytes are.
    _image: Option<TempDir>,
}

impl Mount {
    /// Mounts at `point`, or says why that can't be here.
    fn new(point: &Path, args: &[&str], image: Option<TempDir>) -> Option<Mount> {
        std::fs::create_dir_all(point).expect("a directory");
        let at = point.to_string_lossy();
        let (text, ok) = process::run("mount", &[args, &[&at]].concat());
        if !ok {
            println!("skipped: mount: {text}");
            return None;
        }
        Some(Mount { point: point.to_path_buf(), _image: image })
    }

    fn in_memory(point: &Path, bytes: usize) -> Option<Mount> {
        process::tool("mount")?;
        Mount::new(point, &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"], None)
    }

    /// A file system of this kind in a file.
    fn in_a_file(point: &Path, kind: &str, bytes: u64) -> Option<Mount> {
        let mkfs = format!("mkfs.{kind}");
        let Some(mkfs) =
            process::tool(&mkfs).or_else(|| Some(format!("/usr/sbin/{mkfs}").into()).filter(|p: &PathBuf| p.is_file()))
        else {
            println!("skipped: there is no {mkfs}");
            return None;
        };
        let image = TempDir::new();
        let path = image.path().join("image");
        std::fs::File::create(&path).and_then(|file| file.set_len(bytes)).expect("an image");
        let path = path.to_string_lossy().into_owned();
        let (text, ok) = process::run(mkfs, &[&path]);
        assert!(ok, "{text}");
        Mount::new(point, &["-o", "loop", &path], Some(image))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        process::run("umount", &["-l", &self.point.to_string_lossy()]);
    }
}
