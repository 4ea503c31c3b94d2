//! From a configuration to a running server.

use std::collections::HashMap;

use rivulet_commands::{Command, table};
use rivulet_config::{Config, ConfigError, Line, Startup};
use rivulet_engine::renames::Renames;
use rivulet_host::world;
use rivulet_keyspace::Keyspace;
use rivulet_memory as memory;
use rivulet_net::Door;

use crate::acl::start::check_users;
use crate::front::descriptors;
use crate::node::Node;
use crate::process::supervisor::{self, Supervisor};
use crate::process::{self, Entered, pid_file, title};
use crate::system::os_error;
use crate::{REDIS_VERSION, helpers, log};

/// What a page does on its thread.
pub type PageWork = Box<dyn FnOnce() -> std::io::Result<()> + Send>;

/// Opens the page that a configuration asks for, whose connections to this server come through the door. It is not among what a node knows: who speaks HTTP
/// is given as a parameter. Errors are lines for the log.
pub type OpenPage = fn(&Config, Door) -> Result<PageWork, String>;

/// Runs a server until it is to end; answers its exit status.
pub fn serve(startup: Startup, open_page: OpenPage) -> i32 {
    let Startup { mut config, warnings, users, renames, .. } = startup;
    let renames = match rename_commands(&renames).and_then(|renames| check_users(&config, &users).map(|()| renames)) {
        Ok(renames) => renames,
        Err(error) => {
            eprintln!("{error}");
            return 1;
        }
    };
    if let Err(text) = enter(&config) {
        eprintln!("{text}");
        return 1;
    }
    let supervisor = match process::enter(&mut config) {
        Ok(Entered::AsServer(supervisor)) => supervisor,
        Ok(Entered::AsParent) => return 0,
        Err(text) => {
            eprintln!("{text}");
            return 1;
        }
    };
    greet(&config, &warnings);
    let mut node = match open(config, supervisor, renames, &users, open_page) {
        Ok(node) => node,
        Err(text) => {
            log::warning!("{text}");
            return 1;
        }
    };
    let status = node.run();
    if !world::is_simulated() {
        // Freeing a large keyspace value by value would only delay the end.
        std::mem::forget(std::mem::replace(
            &mut node.engine.keyspace,
            Keyspace::new(1, rivulet_keyspace::KeyHasher::new([0, 0])),
        ));
    }
    status
}

/// Goes to the working directory and opens the log there. Errors are texts for who has started the server.
fn enter(config: &Config) -> Result<(), String> {
    log::set_level(config.loglevel);
    log::set_format(config);
    log::begin_syslog(config);
    rivulet_host::fs::set_current_dir(&config.dir)
        .map_err(|e| format!("Can't chdir to '{}': {}", config.dir, os_error(&e)))?;
    // After the change of directory, which a relative path is relative to.
    log::set_file(&config.logfile).map_err(|e| format!("Can't open the log file: {}", os_error(&e)))
}

fn greet(config: &Config, warnings: &[String]) {
    log::warning!("oO0OoO0OoO0Oo Rivulet is starting oO0OoO0OoO0Oo");
    log::warning!(
        "Redis version={REDIS_VERSION}, bits=64, rivulet={}, pid={}, just started",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    );
    match &config.file {
        Some(_) => log::warning!("Configuration loaded"),
        None => log::warning!(
            "Warning: no config file specified, using the default config. In order to specify a config file use rivulet-server /path/to/redis.conf"
        ),
    }
    warnings.iter().for_each(|w| log::warning!("{w}"));
}

/// Makes the node, listens, and begins to load. Errors are lines for the log.
fn open(
    mut config: Config,
    supervisor: Supervisor,
    renames: HashMap<Vec<u8>, Option<&'static Command>>,
    users: &[Line],
    open_page: OpenPage,
) -> Result<Node, String> {
    descriptors::fit_maxclients(&mut config)?;
    title::begin(&config, title::SERVER);
    helpers::begin();
    let mut node = Node::new(config).map_err(|e| format!("Can't start: {e}"))?;
    node.life.supervisor = supervisor;
    node.engine.renames = Renames(renames);
    node.take_users(users)?;
    node.front.accepting.reserved_from = descriptors::reserved_from();
    node.begin_tls()?;
    node.listen()?;
    if node.config.http_port != 0 {
        let door = node.open_door();
        begin_page(&node.config, open_page(&node.config, door)?);
    }
    pid_file::write(&node.config);
    banner(&node);
    log::notice!("Server initialized");
    node.apply_delays();
    node.wind_watchdog_as_changed();
    rivulet_memory::set_background_thread(node.config.jemalloc_bg_thread);
    node.warn_about_timeout();
    if !rivulet_host::world::is_simulated() {
        memory::fault_in_program();
    }
    node.ops.startup_memory = memory::used();
    node.load_promises()?;
    node.begin_as_configured();
    match node.load_at_startup() {
        Ok(()) if node.persist.loading.load.is_none() && node.life.exit.is_none() => node.ready(),
        Ok(()) => {}
        // Tools look for what is wrong with append-only files in the last line.
        Err(text) if node.config.appendonly => return Err(text),
        Err(text) => return Err(format!("Fatal error loading the DB: {text}. Exiting.")),
    }
    Ok(node)
}

/// What `rename-command` lines say: the new name of each command, and nothing for an old one.
fn rename_commands(lines: &[Line]) -> Result<HashMap<Vec<u8>, Option<&'static Command>>, ConfigError> {
    let mut renames = HashMap::new();
    for line in lines {
        let [_, old, new] = line.words.as_slice() else {
            return Err(ConfigError::at(line, "wrong number of arguments"));
        };
        let (old, new) = (old.to_ascii_lowercase(), new.to_ascii_lowercase());
        let command = match renames.get(&old) {
            Some(renamed) => *renamed,
            None => table::find(&old),
        };
        let Some(command) = command else {
            return Err(ConfigError::at(line, "No such command in rename-command"));
        };
        renames.insert(old, None);
        if !new.is_empty() && renames.insert(new.clone(), Some(command)).is_none() && table::find(&new).is_some() {
            return Err(ConfigError::at(line, "Target command name already exists"));
        }
    }
    Ok(renames)
}

fn banner(node: &Node) {
    let port = node.config.main_port();
    let text = format!(
        "\n      ~~~  ~~  ~~~~\n   ~~~~  ~~~  ~~       Rivulet {} (Redis {REDIS_VERSION}) 64 bit\n ~~  ~~~~  ~~~ ~~~     Running in standalone mode\n   ~~  ~~ ~~~~  ~      Port: {port}\n     ~~~ ~~~  ~~       PID: {}\n\n",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    );
    if node.config.always_show_logo || node.config.logfile.is_empty() {
        log::raw(text.as_bytes());
    } else {
        log::notice!("Running mode=standalone, port={port}.");
    }
}

/// Begins a page that was opened: it serves from now on, also while data load, on a thread of its own.
pub fn begin_page(config: &Config, work: PageWork) {
    log::notice!("The page is at port {} of {}", config.http_port, config.http_bind);
    helpers::start("page", || {
        if let Err(error) = work() {
            log::warning!("The page has ended: {}", os_error(&error));
        }
    });
}

impl Node {
    /// Whom `replicaof` names is followed from the beginning; what is loaded says where the stream goes on.
    fn begin_as_configured(&mut self) {
        let Some((host, port)) = self.config.replicaof.clone() else { return };
        self.attach_link(&host, port, None);
        if let Some(link) = &mut self.replication.link {
            link.waits_for_data = true;
        }
    }

    /// Gives the system the score of the present role.
    pub fn adjust_oom_score(&mut self) -> Result<(), String> {
        let is_replica = self.is_replica();
        self.life.oom_score.apply(&self.config, is_replica)
    }

    /// The data is there: the server is open, and a replica goes to its master.
    pub fn ready(&mut self) {
        if let Err(text) = self.look_at_end_before() {
            log::warning!("Can't start: what the last end has left can't be taken out: {text}");
            self.life.exit = Some(1);
            return;
        }
        self.begin_following();
        self.look_at_synchronous();
        log::notice!("Ready to accept connections");
        let serves = if self.is_replica() { supervisor::SERVES_READS } else { supervisor::SERVES };
        self.life.supervisor.tell(serves);
        self.life.supervisor.tell(supervisor::READY);
        // Who is not let to change it serves all the same.
        let _ = self.adjust_oom_score();
    }
}
