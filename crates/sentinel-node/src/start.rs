//! From a configuration to a Sentinel that runs.

use rivulet_config::{Config, ConfigError, Level, Startup};
use rivulet_host::{fs, random, time, world};
use rivulet_net::TlsContext;
use rivulet_node::process::{self, Entered, pid_file, supervisor, title};
use rivulet_node::{REDIS_VERSION, descriptors, log, system::os_error};
use rivulet_sentinel::{Sentinel, configuration};

use crate::listeners::listen;
use crate::page::OpenPage;
use crate::program::Program;
use crate::users;

/// Runs a Sentinel until it is to end; answers its exit status.
pub fn serve(startup: Startup, open_page: OpenPage) -> i32 {
    log::set_role(b'X');
    match prepare(startup, open_page) {
        Ok(Some(mut program)) => program.run(),
        // A child goes on.
        Ok(None) => 0,
        Err(Failure::Unusable(text)) => {
            eprintln!("{text}");
            1
        }
        Err(Failure::Logged(text)) => {
            log::write(Level::Warning, format_args!("{text}"));
            1
        }
    }
}

/// Why there is no Sentinel: told on standard error, or in the log, as Redis does.
enum Failure {
    Unusable(String),
    Logged(String),
}

/// Nothing if a child goes on in the background.
fn prepare(startup: Startup, open_page: OpenPage) -> Result<Option<Program>, Failure> {
    let Startup { mut config, warnings, users: lines_of_users, sentinel: lines, .. } = startup;
    let mut words = [0u8; 8 + 20];
    random::fill(&mut words).map_err(|e| Failure::Unusable(format!("No random numbers: {e}")))?;
    let seed = u64::from_le_bytes(std::array::from_fn(|i| words[i]));
    let id: String = words[8..].iter().map(|byte| format!("{byte:02x}")).collect();

    // Paths in what follows are relative to the working directory.
    enter(&config).map_err(Failure::Unusable)?;
    let mut core = Sentinel::new(time::monotonic_ms(), time::unix_ms(), seed);
    core.can_run = can_run;
    core.globals.port = known_port(&config);
    core.globals.own_password = (!config.requirepass.is_empty()).then(|| config.requirepass.clone());
    core.globals.log_level = format!("{:?}", config.loglevel).to_ascii_lowercase();
    let mut lines = lines;
    lines.sort_by_key(|line| line.words.get(1).map_or(2, |option| configuration::stage(option)));
    for line in &lines {
        core.configure(&line.words[1..]).map_err(|e| Failure::Unusable(ConfigError::at(line, e).to_string()))?;
    }
    users::check_lines(&config, &lines_of_users).map_err(|e| Failure::Unusable(e.to_string()))?;
    check_file(&config).map_err(Failure::Logged)?;
    let Entered::AsServer(supervisor) = process::enter(&mut config).map_err(Failure::Unusable)? else {
        return Ok(None);
    };
    greet(&config, &warnings);
    let known = users::begin(&config, &lines_of_users).map_err(Failure::Logged)?;
    descriptors::fit_maxclients(&mut config).map_err(Failure::Logged)?;
    let tls = tls_context(&config).map_err(Failure::Logged)?;
    let listeners = listen(&config).map_err(Failure::Logged)?;
    log::write(Level::Notice, format_args!("Running mode=sentinel, port={}.", config.main_port()));
    title::begin(&config, title::SENTINEL);
    core.begin(&id);
    let mut program = Program::new(config, core, known, listeners, tls, supervisor, &words)
        .map_err(|e| Failure::Logged(format!("Can't start: {e}")))?;
    if program.config.http_port != 0 {
        program.begin_page(open_page).map_err(Failure::Logged)?;
    }
    pid_file::write(&program.config);
    program.supervisor.tell(supervisor::SERVES);
    program.supervisor.tell(supervisor::READY);
    Ok(Some(program))
}

/// Whether a script can be run.
fn can_run(path: &str) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Goes to the working directory and opens the log there.
fn enter(config: &Config) -> Result<(), String> {
    log::set_level(config.loglevel);
    log::set_format(config);
    log::begin_syslog(config);
    fs::set_current_dir(&config.dir).map_err(|e| format!("Can't chdir to '{}': {}", config.dir, os_error(&e)))?;
    log::set_file(&config.logfile).map_err(|e| format!("Can't open the log file: {}", os_error(&e)))
}

fn greet(config: &Config, warnings: &[String]) {
    let warn = |text: std::fmt::Arguments<'_>| log::write(Level::Warning, text);
    warn(format_args!("oO0OoO0OoO0Oo Rivulet is starting oO0OoO0OoO0Oo"));
    let (version, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
    warn(format_args!("Redis version={REDIS_VERSION}, bits=64, rivulet={version}, pid={pid}, just started"));
    if config.file.is_some() {
        warn(format_args!("Configuration loaded"));
    }
    warnings.iter().for_each(|text| warn(format_args!("{text}")));
}

/// A Sentinel keeps its state in its configuration file.
fn check_file(config: &Config) -> Result<(), String> {
    let Some(path) = &config.file else {
        return Err("Sentinel needs config file on disk to save state. Exiting...".into());
    };
    // A simulated machine has no permissions.
    let found = match world::is_simulated() {
        true => fs::metadata(path).map(drop),
        false => rustix::fs::access(path, rustix::fs::Access::WRITE_OK).map_err(std::io::Error::from),
    };
    found.map_err(|e| format!("Sentinel config file {} is not writable: {}. Exiting...", path.display(), os_error(&e)))
}

/// The port by which others know this Sentinel: that of TLS, if that is what it speaks to them, or if it listens on no other.
fn known_port(config: &Config) -> u16 {
    let speaks_tls = config.tls_replication && config.tls_port != 0;
    if speaks_tls { config.tls_port } else { config.main_port() }
}

/// What connections with TLS begin with, if a directive asks for them.
fn tls_context(config: &Config) -> Result<Option<TlsContext>, String> {
    if !config.uses_tls() {
        return Ok(None);
    }
    let context = config.tls_context().map_err(|reason| {
        log::write(Level::Warning, format_args!("{reason}"));
        "Failed to configure TLS. Check logs for more info."
    })?;
    Ok(Some(context))
}
