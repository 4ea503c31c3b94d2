//! What a start does to the append-only files that it has found, before it loads them and after.

use rivulet_aof::files::backlog_path;
use rivulet_aof::manifest::{self, Manifest};
use rivulet_aof::op::{Change, FileOp};
use rivulet_aof::recover::Found;
use rivulet_aof::sums;
use rivulet_aof::tail;
use rivulet_host::fs;

use crate::log;
use crate::system::os_error;

/// An append-only file of before Redis 7 becomes the base.
pub fn take_over_old_file(found: &mut Found, filename: &str, dir: &str) -> Result<(), String> {
    let manifest = &found.manifest;
    let inside = found.directory.path.join(filename);
    let was_interrupted = manifest.incr.is_empty()
        && manifest.base.as_ref().is_some_and(|base| base.name == filename)
        && fs::metadata(&inside).is_err();
    let empty = manifest.base.is_none() && manifest.incr.is_empty();
    if !fs::metadata(filename).is_ok_and(|file| !file.is_directory) || !(empty || was_interrupted) {
        return Ok(());
    }
    found.manifest = Manifest::for_upgrade(filename);
    let path = found.directory.path.join(manifest::file_name(filename));
    let moved = Change {
        ops: vec![
            FileOp::Replace { path, bytes: found.manifest.to_bytes() },
            FileOp::Rename { from: filename.into(), to: inside },
        ],
        must: false,
    };
    moved.carry_out(&mut rivulet_aof::disk::SystemDisk::default()).map_err(|(_, e)| {
        format!("Error trying to move the old AOF file {filename} into dir {dir}: {}", os_error(&e))
    })?;
    log::notice!("Successfully migrated an old-style AOF file ({filename}) into the AOF directory ({dir}).");
    Ok(())
}

/// Completes the last file with what a killed process had not written yet.
pub fn add_tail(found: &Found, filename: &str) -> Result<(), String> {
    let Some(last) = found.manifest.incr.last() else {
        // Its file may get a name that it knows.
        return tail::discard(&found.directory.path, filename)
            .map_err(|e| format!("Can't remove {}: {}", tail::file_name(filename), os_error(&e)));
    };
    match tail::recover(&found.directory.path, filename, &last.name) {
        Ok(0) => {}
        Ok(bytes) => log::notice!(
            "Added the last {bytes} bytes to AOF file {}, which were not written before the server was killed",
            last.name
        ),
        Err(e) => {
            return Err(format!(
                "Can't add the bytes in {} to {}: {}",
                tail::file_name(filename),
                last.name,
                os_error(&e)
            ));
        }
    }
    Ok(())
}

/// What the manifest calls history goes, or serves replicas as backlog.
pub fn remove_history(found: &mut Found, filename: &str) {
    if found.manifest.history.is_empty() {
        return;
    }
    for file in std::mem::take(&mut found.manifest.history) {
        let path = found.directory.path.join(&file.name);
        // A file that stays is not named any more.
        if found.identity.as_ref().is_some_and(|identity| identity.segment(&file.name).is_some()) {
            // Replicas may need it: as backlog it goes when none does.
            let backlog = backlog_path(&path);
            let _ = fs::rename(sums::path_of(&path), sums::path_of(&backlog));
            let _ = fs::rename(path, backlog);
            continue;
        }
        log::notice!("Removing the history file {} in the background", file.name);
        let _ = fs::remove_file(sums::path_of(&path));
        let _ = fs::remove_file(path);
    }
    let path = found.directory.path.join(manifest::file_name(filename));
    let replaced = FileOp::Replace { path, bytes: found.manifest.to_bytes() };
    if let Err(e) = replaced.carry_out(&mut rivulet_aof::disk::SystemDisk::default()) {
        log::warning!("Can't write the AOF manifest: {}", os_error(&e));
    }
}

#[cfg(test)]
mod tests;
