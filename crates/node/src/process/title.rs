//! What the list of processes shows (`proc-title-template`, `set-proc-title`).
//!
//! The system shows the memory where the arguments lay when the process began, and on into that of the environment if there is no NUL at the
//! arguments' end. Both are written over; what the C library knows of the environment is copied before.

use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, OnceLock};

use rivulet_config::{Config, expand_proc_title};
use rivulet_host::world;

/// What `{server-mode}` stands for.
pub const SERVER: &str = "";
pub const SENTINEL: &str = "[sentinel]";

/// Memory for the title, and what the process was called.
struct Place {
    start: usize,
    len: usize,
    name: String,
    mode: &'static str,
}

/// Nothing where the system does not tell the place.
static PLACE: OnceLock<Option<Mutex<Place>>> = OnceLock::new();

unsafe extern "C" {
    /// The C library's list of the environment, ended by a null pointer.
    static mut environ: *mut *mut c_char;
}

/// Shows the title from now on, if the configuration wants one. It must be called first before any other thread starts. `mode` is [`SERVER`] or
/// [`SENTINEL`].
pub fn begin(config: &Config, mode: &'static str) {
    if !config.set_proc_title || world::is_simulated() {
        return;
    }
    PLACE.get_or_init(|| take_place(mode));
    show(config);
}

/// The configuration has changed.
pub fn show(config: &Config) {
    let Some(Some(place)) = PLACE.get() else { return };
    let place = place.lock().unwrap_or_else(|e| e.into_inner());
    let Some(title) = expand_proc_title(&config.proc_title_template, |name| value(config, &place, name)) else {
        return;
    };
    let bytes = title.as_bytes();
    let shown = bytes.len().min(place.len - 1);
    // SAFETY: `take_place` found that these bytes are the process's arguments and environment, which nothing else reads any more but through pointers
    // that expect bytes with a NUL behind, and the last one stays NUL.
    unsafe {
        let start = place.start as *mut u8;
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, shown);
        std::ptr::write_bytes(start.add(shown), 0, place.len - shown);
    }
}

fn value(config: &Config, place: &Place, name: &str) -> Option<String> {
    Some(match name {
        "title" => place.name.clone(),
        "listen-addr" if config.port != 0 || config.tls_port != 0 => {
            let address = config.bind.first().map_or("*", |address| address.as_str());
            format!("{address}:{}", config.main_port())
        }
        "listen-addr" => format!("unixsocket:{}", config.unixsocket),
        "server-mode" => place.mode.into(),
        "config-file" => config.file.as_ref().map_or_else(|| "-".into(), |file| file.display().to_string()),
        "port" => config.port.to_string(),
        "tls-port" => config.tls_port.to_string(),
        "unixsocket" => config.unixsocket.clone(),
        _ => return None,
    })
}

fn take_place(mode: &'static str) -> Option<Mutex<Place>> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (start, len) = place_by(&stat)?;
    let name = std::env::args_os().next()?.to_string_lossy().into_owned();
    keep_environment(start, len);
    Some(Mutex::new(Place { start, len, name, mode }))
}

/// Where arguments and environment lie, by the line of `/proc/self/stat`: one behind the other.
fn place_by(stat: &str) -> Option<(usize, usize)> {
    // The third field is the first behind the name, which may have any characters.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<usize>().ok();
    let (start, args_end, env_start, end) = (field(48)?, field(49)?, field(50)?, field(51)?);
    (start != 0 && args_end > start && env_start == args_end && end >= env_start).then(|| (start, end - start))
}

/// Copies what the C library's list points to into memory that is never given back.
fn keep_environment(start: usize, len: usize) {
    // SAFETY: there is only this thread, so nobody else reads or changes the list, whose entries are strings up to a null pointer. A copy takes an
    // entry's place for as long as the process lives.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let at = *entry as usize;
            if at >= start && at - start < len {
                *entry = CString::from(CStr::from_ptr(*entry)).into_raw();
            }
            entry = entry.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_what_the_system_tells_and_nothing_odd() {
        let line = |start: u64, args_end: u64, env_start: u64, end: u64| {
            let between = "0 ".repeat(44);
            format!("1 (a) b) S {between}{start} {args_end} {env_start} {end} 0\n")
        };
        assert_eq!(place_by(&line(100, 110, 110, 150)), Some((100, 50)));
        for odd in [line(0, 0, 0, 0), line(100, 100, 100, 150), line(100, 110, 111, 150), line(100, 110, 110, 109)] {
            assert_eq!(place_by(&odd), None, "{odd}");
        }
        assert_eq!(place_by("1 (a) S 1 2"), None);
        assert!(place_by(&std::fs::read_to_string("/proc/self/stat").expect("it is there")).is_some());
    }

    #[test]
    fn titles_have_what_the_template_names() {
        let place = Place { start: 0, len: 0, name: "rivulet-server".into(), mode: SENTINEL };
        let mut config = Config { port: 7, ..Config::default() };
        let shown =
            |config: &Config| expand_proc_title(&config.proc_title_template, |name| value(config, &place, name));
        assert_eq!(shown(&config).as_deref(), Some("rivulet-server *:7 [sentinel]"));
        config.proc_title_template = "{config-file} {port} {tls-port} {listen-addr}".into();
        (config.port, config.unixsocket) = (0, "/tmp/s".into());
        assert_eq!(shown(&config).as_deref(), Some("- 0 0 unixsocket:/tmp/s"));
    }
}
