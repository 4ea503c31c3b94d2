//! Whether a command may run now. Nothing is changed here: what must be done before, such as making room, was done by the caller.
//!
//! The order of the checks is that of Redis 7.0 (`processCommand` in server.c), as clients see it in which error they get.

use rivulet_commands::fail::Fail;
use rivulet_commands::spec::{Handler, Node as Run, flag};
use rivulet_commands::{Command, table};

use crate::clients::Client;
use crate::node::Node;

/// What the checks ask of the node. Each is asked only when it matters.
pub trait Facts {
    /// DEBUG and its like may be off, or for local clients only.
    fn allows_protected(&self, client: &Client) -> bool;
    /// The disk does not take what is written.
    fn disk(&self) -> Result<(), Fail>;
    fn lacks_replicas(&self) -> bool;
    fn is_replica(&self) -> bool;
    fn is_read_only(&self) -> bool;
    /// The master is not there, and what a replica has is not to be shown.
    fn hides_stale_data(&self) -> bool;
    fn is_loading(&self) -> bool;
    /// Loading beside data that are served.
    fn is_async_loading(&self) -> bool;
}

impl Facts for Node {
    fn allows_protected(&self, client: &Client) -> bool {
        rivulet_config::allows(&self.config.enable_debug_command, self.is_local(client.id))
    }

    #[inline]
    fn disk(&self) -> Result<(), Fail> {
        self.check_disk()
    }

    #[inline]
    fn lacks_replicas(&self) -> bool {
        self.too_few_good_replicas()
    }

    #[inline]
    fn is_replica(&self) -> bool {
        Node::is_replica(self)
    }

    #[inline]
    fn is_read_only(&self) -> bool {
        self.config.replica_read_only
    }

    #[inline]
    fn hides_stale_data(&self) -> bool {
        self.replication.is_stale() && !self.config.replica_serve_stale_data
    }

    #[inline]
    fn is_loading(&self) -> bool {
        Node::is_loading(self)
    }

    #[inline]
    fn is_async_loading(&self) -> bool {
        Node::is_async_loading(self)
    }
}

/// The checks between arity and the call. Room was made before, and `out_of_memory` says that there was none to be had.
#[inline]
pub fn admit(facts: &impl Facts, client: &Client, command: &'static Command, out_of_memory: bool) -> Result<(), Fail> {
    if !client.authenticated && !command.is(flag::NO_AUTH) {
        return Err(Fail::new("NOAUTH Authentication required."));
    }
    // What a master sends is not for this node to refuse.
    if client.is_master() {
        return Ok(());
    }
    if command.is(flag::PROTECTED) && !facts.allows_protected(client) {
        return Err(protected(command));
    }
    let pubsub_only = !client.resp3 && client.subscriptions() > 0;
    let exec = matches!(command.handler, Handler::Node(Run::Exec));
    // EXEC is what is queued for it.
    let queued = client.multi.as_ref().filter(|_| exec);
    let writes = command.is(flag::WRITE) || queued.is_some_and(|m| m.writes);
    let denies_oom = command.is(flag::DENYOOM) || queued.is_some_and(|m| m.denies_oom);
    let denies_stale = !command.is(flag::STALE) || queued.is_some_and(|m| m.denies_stale);
    let denies_loading = !command.is(flag::LOADING) || queued.is_some_and(|m| m.denies_loading);
    let denies_async_loading = command.is(flag::NO_ASYNC_LOADING) || queued.is_some_and(|m| m.denies_async_loading);
    if out_of_memory && denies_oom {
        return Err(Fail::new("OOM command not allowed when used memory > 'maxmemory'."));
    }
    if writes || matches!(command.handler, Handler::Node(Run::Ping)) {
        facts.disk()?;
    }
    if writes {
        if !facts.is_replica() && facts.lacks_replicas() {
            return Err(Fail::new("NOREPLICAS Not enough good replicas to write."));
        }
        if facts.is_replica() && facts.is_read_only() {
            return Err(Fail::new("READONLY You can't write against a read only replica."));
        }
    }
    if pubsub_only && !allowed_while_subscribed(command) {
        return Err(Fail::text(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            table::full_name(command)
        )));
    }
    if denies_stale && facts.hides_stale_data() {
        return Err(Fail::new("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."));
    }
    if denies_loading && facts.is_loading() || denies_async_loading && facts.is_async_loading() {
        return Err(Fail::new("LOADING Redis is loading the dataset in memory"));
    }
    if client.multi.is_some() && command.is(flag::NO_MULTI) {
        return Err(Fail::new("ERR Command not allowed inside a transaction"));
    }
    if client.is_replica() && (writes || command.is(flag::READONLY) || command.is(flag::MAY_REPLICATE)) {
        return Err(Fail::new("ERR Replica can't interact with the keyspace"));
    }
    Ok(())
}

#[cold]
fn protected(command: &Command) -> Fail {
    Fail::text(format!(
        "ERR {} command not allowed. If the enable-{}-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
        command.name.to_uppercase(),
        command.name
    ))
}

fn allowed_while_subscribed(command: &Command) -> bool {
    use Run::*;
    matches!(
        command.handler,
        Handler::Node(
            Ping | Subscribe | Ssubscribe | Psubscribe | Unsubscribe | Sunsubscribe | Punsubscribe | Quit | Reset
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Kind;

    /// What may stand in a command's way, in the order in which it is told.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Obstacle {
        Password,
        Protected,
        Memory,
        Disk,
        Replicas,
        ReadOnly,
        Subscribed,
        Stale,
        Loading,
        AsyncLoading,
        Multi,
        ReplicaLink,
    }
    use Obstacle::*;

    const ALL: [Obstacle; 12] = [
        Password,
        Protected,
        Memory,
        Disk,
        Replicas,
        ReadOnly,
        Subscribed,
        Stale,
        Loading,
        AsyncLoading,
        Multi,
        ReplicaLink,
    ];

    struct Present(Vec<Obstacle>);

    impl Present {
        fn has(&self, obstacle: Obstacle) -> bool {
            self.0.contains(&obstacle)
        }
    }

    impl Facts for Present {
        fn allows_protected(&self, _: &Client) -> bool {
            !self.has(Protected)
        }

        fn disk(&self) -> Result<(), Fail> {
            if self.has(Disk) { Err(Fail::new("MISCONF the disk")) } else { Ok(()) }
        }

        fn lacks_replicas(&self) -> bool {
            self.has(Replicas)
        }

        fn is_replica(&self) -> bool {
            self.has(ReadOnly) || self.has(Stale)
        }

        fn is_read_only(&self) -> bool {
            self.has(ReadOnly)
        }

        fn hides_stale_data(&self) -> bool {
            self.has(Stale)
        }

        fn is_loading(&self) -> bool {
            self.has(Loading)
        }

        fn is_async_loading(&self) -> bool {
            self.has(AsyncLoading)
        }
    }

    fn client(present: &Present) -> Client {
        let mut client = Client::new(1, None, 0);
        client.authenticated = !present.has(Password);
        if present.has(Subscribed) {
            client.channels.insert("c".as_bytes().into());
        }
        if present.has(Obstacle::Multi) {
            client.multi = Some(crate::clients::Multi::default());
        }
        if present.has(ReplicaLink) {
            client.kind = Kind::Replica;
        }
        client
    }

    fn told(command: &'static Command, obstacles: &[Obstacle]) -> String {
        let present = Present(obstacles.to_vec());
        let client = client(&present);
        match admit(&present, &client, command, present.has(Memory)) {
            Ok(()) => String::new(),
            Err(fail) => String::from_utf8_lossy(&fail.0).into_owned(),
        }
    }

    fn named(name: &str) -> &'static Command {
        let mut words = name.split('|');
        let command = words.next().and_then(|word| table::find(word.as_bytes())).expect("there is such a command");
        words.next().map_or(command, |sub| {
            command.subcommands.iter().find(|s| s.name == sub).expect("there is such a subcommand")
        })
    }

    /// How an error begins that an obstacle is told by.
    fn error(obstacle: Obstacle) -> &'static str {
        match obstacle {
            Password => "NOAUTH",
            Protected => "ERR DEBUG command not allowed",
            Memory => "OOM",
            Disk => "MISCONF",
            Replicas => "NOREPLICAS",
            ReadOnly => "READONLY",
            Subscribed => "ERR Can't execute",
            Stale => "MASTERDOWN",
            Loading | AsyncLoading => "LOADING",
            Obstacle::Multi => "ERR Command not allowed inside a transaction",
            ReplicaLink => "ERR Replica can't interact",
        }
    }

    /// Which obstacles stop which commands, if nothing else does.
    const STOPPED: &[(&str, &[Obstacle])] = &[
        ("set", &[Password, Memory, Disk, Replicas, ReadOnly, Subscribed, Stale, Loading, ReplicaLink]),
        ("del", &[Password, Disk, Replicas, ReadOnly, Subscribed, Stale, Loading, ReplicaLink]),
        ("get", &[Password, Subscribed, Stale, Loading, ReplicaLink]),
        ("flushall", &[Password, Disk, Replicas, ReadOnly, Subscribed, Stale, Loading, ReplicaLink]),
        ("ping", &[Password, Disk, Stale, Loading]),
        ("auth", &[Subscribed]),
        ("hello", &[Subscribed]),
        ("quit", &[]),
        ("subscribe", &[Password]),
        ("publish", &[Password, Subscribed]),
        ("info", &[Password, Subscribed]),
        ("debug", &[Password, Protected, Subscribed]),
        ("config|set", &[Password, Subscribed]),
        ("save", &[Password, Subscribed, Stale, Loading, AsyncLoading, Obstacle::Multi]),
        ("replicaof", &[Password, Subscribed, Loading, AsyncLoading]),
        ("exec", &[Password, Subscribed]),
    ];

    #[test]
    fn each_obstacle_stops_those_whom_it_stops_in_redis() {
        for (name, stopped) in STOPPED {
            for obstacle in ALL {
                let told = told(named(name), &[obstacle]);
                let wanted = if stopped.contains(&obstacle) { error(obstacle) } else { "" };
                assert!(
                    told.starts_with(wanted) && told.is_empty() == wanted.is_empty(),
                    "{name}, {obstacle:?}: {told}"
                );
            }
        }
    }

    #[test]
    fn of_two_obstacles_the_first_is_told() {
        for (name, stopped) in STOPPED {
            for (i, first) in stopped.iter().enumerate() {
                for second in &stopped[i + 1..] {
                    // A replica needs no replicas.
                    let first = if *first == Replicas && matches!(second, ReadOnly | Stale) { second } else { first };
                    let told = told(named(name), &[stopped[i], *second]);
                    assert!(told.starts_with(error(*first)), "{name}, {:?} and {second:?}: {told}", stopped[i]);
                }
            }
        }
    }

    #[test]
    fn a_masters_stream_is_refused_nothing() {
        let present = Present(ALL.iter().copied().filter(|o| *o != Password).collect());
        let mut client = client(&present);
        client.kind = Kind::Master;
        for (name, _) in STOPPED {
            assert!(admit(&present, &client, named(name), true).is_ok(), "{name}");
        }
    }

    #[test]
    fn exec_is_what_is_queued() {
        for (queued, wanted) in [
            (crate::clients::Multi { writes: true, ..Default::default() }, ReadOnly),
            (crate::clients::Multi { denies_oom: true, ..Default::default() }, Memory),
            (crate::clients::Multi { denies_stale: true, ..Default::default() }, Stale),
            (crate::clients::Multi { denies_loading: true, ..Default::default() }, Loading),
            (crate::clients::Multi { denies_async_loading: true, ..Default::default() }, AsyncLoading),
        ] {
            let present = Present(vec![wanted]);
            let mut client = client(&present);
            client.multi = Some(queued);
            let fail = admit(&present, &client, named("exec"), present.has(Memory)).expect_err("it is refused");
            assert!(fail.0.starts_with(error(wanted).as_bytes()), "{wanted:?}");
        }
    }
}
