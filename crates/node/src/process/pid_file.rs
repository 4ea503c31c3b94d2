//! The file that holds the process id (`pidfile`).

use rivulet_config::{Config, PIDFILE_DEFAULT};
use rivulet_host::fs;

/// In the background there is always one: who wants to end the server must find it.
pub fn choose(config: &mut Config) {
    if config.pidfile.is_empty() {
        config.pidfile = PIDFILE_DEFAULT.into();
    }
}

/// Writes it if it is wanted. A path that can't be written is no reason not to serve.
pub fn write(config: &Config) {
    if !config.pidfile.is_empty() {
        let _ = fs::write(&config.pidfile, format!("{}\n", std::process::id()));
    }
}

/// Removes it at the end; nobody is helped by an error then. Answers whether there was one to remove.
pub fn remove(config: &Config) -> bool {
    if config.pidfile.is_empty() {
        return false;
    }
    let _ = fs::remove_file(&config.pidfile);
    true
}
