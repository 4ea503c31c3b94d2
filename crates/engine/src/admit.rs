//! Whether a command may run now. It is given facts and changes nothing: what must be done before, such as making room, is done by the caller.
//!
//! The order of the checks is that of Redis 7.0 (`processCommand` in server.c), as clients see it in which error they get.

use rivulet_acl::Denied;
use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_commands::spec::{Handler, Node as Run, flag};

use crate::session::{Kind, Session};

/// What may stand in a command's way, on the node's side.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// More memory is in use than may be, and nothing can be evicted.
    pub out_of_memory: bool,
    /// The disk does not take what is written: how a write is refused.
    pub disk: Option<Fail>,
    /// Fewer good replicas than a master must have to write.
    pub lacks_replicas: bool,
    pub is_read_only_replica: bool,
    /// Another node was made the master.
    pub replaced: Option<Replaced>,
    /// The master is not there, and what a replica has is not to be shown.
    pub hides_stale_data: bool,
    pub is_loading: bool,
    /// Loading beside data that are served.
    pub is_async_loading: bool,
    /// A pause stops commands that may write.
    pub writes_are_paused: bool,
    /// A pause stops all commands.
    pub all_is_paused: bool,
    /// Keys are on their way to another server: who would write to them waits.
    pub keys_are_leaving: bool,
    /// This command may write to one of them.
    pub touches_leaving_keys: bool,
    /// DEBUG and its like are allowed to this client.
    pub allows_protected: bool,
    /// A script has run for long: how others are answered.
    pub busy: Option<Fail>,
    /// What the client's user may not do of it.
    pub denied: Option<Denied>,
}

/// A master in whose place there is another one.
#[derive(Clone, Copy, Debug)]
pub struct Replaced {
    /// The term of that one.
    pub epoch: u64,
    /// What is read here may have been taken back there (`synchronous-reads`).
    pub hides_data: bool,
}

/// What becomes of a command.
#[derive(Clone, Debug)]
pub enum Verdict {
    Run,
    /// It waits for EXEC.
    Queue,
    /// It waits for the end of a pause.
    Pause,
    Refuse(Fail),
    /// The client's user may not do it.
    Deny(Denied),
}

/// The facts in short, for the way that nearly all commands go: which of them nothing stands in the way of. It is true until the next turn or the next
/// of the server's own commands, whichever comes first; no command on data changes any of it, but for memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Commands with one of these flags are looked at.
    with: u32,
    /// Those that lack one of these, too.
    without: u32,
}

impl Standing {
    pub fn of(facts: &Facts) -> Standing {
        let healthy = Standing { with: flag::PROTECTED, without: 0 };
        let mut standing = healthy;
        if facts.lacks_replicas || facts.is_read_only_replica {
            standing.with |= flag::WRITE;
        }
        if let Some(replaced) = facts.replaced {
            standing.with |= flag::WRITE | if replaced.hides_data { flag::READONLY } else { 0 };
        }
        if facts.disk.is_some() {
            // PING is refused as well, and has no flag for that.
            standing.with |= flag::WRITE | flag::FAST;
        }
        if facts.writes_are_paused || facts.keys_are_leaving {
            standing.with |= flag::WRITE | flag::MAY_REPLICATE;
        }
        if facts.out_of_memory {
            standing.with |= flag::DENYOOM;
        }
        if facts.hides_stale_data {
            standing.without |= flag::STALE;
        }
        if facts.is_loading {
            standing.without |= flag::LOADING;
        }
        if facts.is_async_loading {
            standing.with |= flag::NO_ASYNC_LOADING;
        }
        if facts.busy.is_some() {
            standing.without |= flag::ALLOW_BUSY;
        }
        if standing != healthy {
            // What a script may do, it says itself.
            standing.with |= flag::NO_MANDATORY_KEYS;
        }
        if facts.all_is_paused {
            standing = Standing { with: u32::MAX, without: u32::MAX };
        }
        standing
    }

    /// Nothing stands in the way of this command, if nothing does on the client's side.
    #[inline]
    pub fn lets(self, command: &Command) -> bool {
        command.flags & self.with | !command.flags & self.without == 0
    }
}

/// On the client's side nothing stands in the way of any command.
#[inline]
pub fn is_plain(session: &Session) -> bool {
    session.kind == Kind::Normal && session.login.is_plain && session.multi.is_none()
}

/// On the client's side nothing but its user can stand in the way of a command.
pub fn is_plain_but_for_its_user(session: &Session) -> bool {
    session.kind == Kind::Normal && session.login.authenticated && session.multi.is_none()
}

/// Nothing stands in the way of a command of the master's stream.
#[inline]
pub fn is_masters(session: &Session) -> bool {
    session.kind == Kind::Master && session.multi.is_none()
}

/// The checks between arity and the call.
pub fn admit(facts: &Facts, session: &Session, command: &'static Command, flags: u32) -> Verdict {
    if let Err(refusal) = refusal(facts, session, command, flags) {
        return refusal;
    }
    let in_multi = session.multi.is_some();
    // A queued command waits with its EXEC.
    if (!in_multi || is(command, Run::Exec)) && is_paused(facts, session, command, flags) {
        return Verdict::Pause;
    }
    if in_multi && !runs_inside_multi(command) { Verdict::Queue } else { Verdict::Run }
}

fn refusal(facts: &Facts, session: &Session, command: &'static Command, flags: u32) -> Result<(), Verdict> {
    let has = |flag: u32| flags & flag != 0;
    if has(flag::PROTECTED) && !facts.allows_protected && !session.is_master() {
        return Err(Verdict::Refuse(protected(command)));
    }
    if !session.login.authenticated && !has(flag::NO_AUTH) {
        return Err(Verdict::Refuse(Fail::new("NOAUTH Authentication required.")));
    }
    // What a master sends is not for this node to refuse.
    if session.is_master() {
        return Ok(());
    }
    if session.multi.is_some() && has(flag::NO_MULTI) {
        return Err(Verdict::Refuse(Fail::new("ERR Command not allowed inside a transaction")));
    }
    if let Some(denied) = facts.denied {
        return Err(Verdict::Deny(denied));
    }
    condition(facts, session, command, flags).map_err(Verdict::Refuse)
}

/// What the condition of the server and of the connection refuses.
fn condition(facts: &Facts, session: &Session, command: &'static Command, flags: u32) -> Result<(), Fail> {
    let has = |flag: u32| flags & flag != 0;
    // EXEC is what is queued for it.
    let queued = session.multi.as_ref().filter(|_| is(command, Run::Exec));
    let writes = has(flag::WRITE) || queued.is_some_and(|m| m.writes);
    if facts.out_of_memory && (has(flag::DENYOOM) || queued.is_some_and(|m| m.denies_oom)) {
        return Err(Fail::new("OOM command not allowed when used memory > 'maxmemory'."));
    }
    if let Some(fail) = facts.disk.as_ref().filter(|_| writes || is(command, Run::Ping)) {
        return Err(fail.clone());
    }
    if let Some(replaced) = facts.replaced {
        let tells = has(flag::READONLY) || has(flag::NO_MANDATORY_KEYS) || queued.is_some_and(|m| m.reads);
        if writes || replaced.hides_data && tells {
            return Err(Fail::text(format!(
                "STALEMASTER This node was replaced as a master in epoch {}.",
                replaced.epoch
            )));
        }
    }
    if writes && facts.lacks_replicas {
        return Err(Fail::new("NOREPLICAS Not enough good replicas to write."));
    }
    if writes && facts.is_read_only_replica {
        return Err(Fail::new("READONLY You can't write against a read only replica."));
    }
    if !session.resp3 && !session.subscriptions.is_empty() && !allowed_while_subscribed(command) {
        return Err(Fail::text(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            command.full_name
        )));
    }
    if facts.hides_stale_data && (!has(flag::STALE) || queued.is_some_and(|m| m.denies_stale)) {
        return Err(Fail::new("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."));
    }
    let denies_loading = !has(flag::LOADING) || queued.is_some_and(|m| m.denies_loading);
    let denies_async_loading = has(flag::NO_ASYNC_LOADING) || queued.is_some_and(|m| m.denies_async_loading);
    if facts.is_loading && denies_loading || facts.is_async_loading && denies_async_loading {
        return Err(Fail::new("LOADING Redis is loading the dataset in memory"));
    }
    if let Some(fail) = facts.busy.as_ref().filter(|_| !has(flag::ALLOW_BUSY)) {
        return Err(fail.clone());
    }
    if session.is_replica() && (writes || has(flag::READONLY) || has(flag::MAY_REPLICATE)) {
        return Err(Fail::new("ERR Replica can't interact with the keyspace"));
    }
    Ok(())
}

/// Whether a pause stops a command of this client.
fn is_paused(facts: &Facts, session: &Session, command: &Command, flags: u32) -> bool {
    let from_peer = session.is_master() || session.is_replica();
    if from_peer || session.is_internal || is_never_paused(command) {
        return false;
    }
    let writes_wait = facts.writes_are_paused || facts.touches_leaving_keys;
    facts.all_is_paused || writes_wait && changes_data(session, command, flags)
}

/// Whether a command may change data, or what a transaction that ends with it has queued.
pub fn changes_data(session: &Session, command: &Command, flags: u32) -> bool {
    let queued = session.multi.as_ref().filter(|_| is(command, Run::Exec));
    flags & (flag::WRITE | flag::MAY_REPLICATE) != 0 || queued.is_some_and(|m| m.may_replicate)
}

fn is(command: &Command, run: Run) -> bool {
    matches!(command.handler, Handler::Node(which) if which == run)
}

/// Whether a command runs what was queued for it.
pub fn is_exec(command: &Command) -> bool {
    is(command, Run::Exec)
}

/// Commands that MULTI does not queue.
fn runs_inside_multi(command: &Command) -> bool {
    use Run::*;
    matches!(command.handler, Handler::Node(Exec | Discard | Multi | Watch | Quit | Reset))
}

/// Commands that steer the server, and so end pauses.
fn is_never_paused(command: &Command) -> bool {
    use Run::*;
    matches!(command.handler, Handler::Node(Client | Failover | Replconf | Psync | Sync | Shutdown))
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

fn protected(command: &Command) -> Fail {
    Fail::text(format!(
        "ERR {} command not allowed. If the enable-{}-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
        command.name.to_uppercase(),
        command.name
    ))
}

#[cfg(test)]
mod tests {
    use rivulet_commands::table;

    use super::*;
    use crate::session::{Login, Multi, Wishes};

    /// What may stand in a command's way, in the order in which it is told.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Obstacle {
        Protected,
        Password,
        InMulti,
        User,
        Memory,
        Disk,
        Replaced,
        Replicas,
        ReadOnly,
        Subscribed,
        Stale,
        Loading,
        AsyncLoading,
        ReplicaLink,
    }
    use Obstacle::*;

    const ALL: [Obstacle; 14] = [
        Protected,
        Password,
        InMulti,
        User,
        Memory,
        Disk,
        Replaced,
        Replicas,
        ReadOnly,
        Subscribed,
        Stale,
        Loading,
        AsyncLoading,
        ReplicaLink,
    ];

    fn facts(obstacles: &[Obstacle]) -> Facts {
        let has = |obstacle| obstacles.contains(&obstacle);
        Facts {
            out_of_memory: has(Memory),
            disk: has(Disk).then(|| Fail::new("MISCONF the disk")),
            lacks_replicas: has(Replicas),
            is_read_only_replica: has(ReadOnly),
            replaced: has(Replaced).then_some(super::Replaced { epoch: 7, hides_data: false }),
            hides_stale_data: has(Stale),
            is_loading: has(Loading),
            is_async_loading: has(AsyncLoading),
            writes_are_paused: false,
            all_is_paused: false,
            keys_are_leaving: false,
            touches_leaving_keys: false,
            allows_protected: !has(Protected),
            busy: None,
            denied: has(User).then_some(Denied::Command),
        }
    }

    fn session(obstacles: &[Obstacle]) -> Session {
        let has = |obstacle| obstacles.contains(&obstacle);
        let mut session = Session { login: Login::superuser(), ..Session::default() };
        session.login.authenticated = !has(Password);
        session.login.is_free = !has(Password) && !has(User);
        session.set_wishes(Wishes::default());
        if has(Subscribed) {
            session.kind = Kind::Pubsub;
            session.subscriptions.channels.insert("c".as_bytes().into());
        }
        if has(InMulti) {
            session.multi = Some(Multi::default());
        }
        if has(ReplicaLink) {
            session.kind = Kind::Replica;
        }
        session
    }

    fn told(command: &'static Command, obstacles: &[Obstacle]) -> String {
        match admit(&facts(obstacles), &session(obstacles), command, command.flags) {
            Verdict::Refuse(fail) => String::from_utf8_lossy(&fail.0).into_owned(),
            Verdict::Deny(denied) => String::from_utf8_lossy(&denied.to_client(command).0).into_owned(),
            _ => String::new(),
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
            User => "NOPERM",
            Memory => "OOM",
            Disk => "MISCONF",
            Replaced => "STALEMASTER This node was replaced as a master in epoch 7.",
            Replicas => "NOREPLICAS",
            ReadOnly => "READONLY",
            Subscribed => "ERR Can't execute",
            Stale => "MASTERDOWN",
            Loading | AsyncLoading => "LOADING",
            InMulti => "ERR Command not allowed inside a transaction",
            ReplicaLink => "ERR Replica can't interact",
        }
    }

    /// Which obstacles stop which commands, if nothing else does.
    const STOPPED: &[(&str, &[Obstacle])] = &[
        ("set", &[Password, User, Memory, Disk, Replaced, Replicas, ReadOnly, Subscribed, Stale, Loading, ReplicaLink]),
        ("del", &[Password, User, Disk, Replaced, Replicas, ReadOnly, Subscribed, Stale, Loading, ReplicaLink]),
        ("get", &[Password, User, Subscribed, Stale, Loading, ReplicaLink]),
        ("flushall", &[Password, User, Disk, Replaced, Replicas, ReadOnly, Subscribed, Stale, Loading, ReplicaLink]),
        ("ping", &[Password, User, Disk, Stale, Loading]),
        ("auth", &[User, Subscribed]),
        ("hello", &[User, Subscribed]),
        ("quit", &[User]),
        ("subscribe", &[Password, User]),
        ("publish", &[Password, User, Subscribed, ReplicaLink]),
        ("info", &[Password, User, Subscribed]),
        ("debug", &[Protected, Password, User, Subscribed]),
        ("config|set", &[Password, User, Subscribed]),
        ("save", &[Password, InMulti, User, Subscribed, Stale, Loading, AsyncLoading]),
        ("replicaof", &[Password, User, Subscribed, Loading, AsyncLoading]),
        ("exec", &[Password, User, Subscribed]),
    ];

    #[test]
    fn each_obstacle_stops_those_whom_it_stops_in_redis() {
        for (name, stopped) in STOPPED {
            for obstacle in ALL {
                let told = told(named(name), &[obstacle]);
                let wanted = if stopped.contains(&obstacle) { error(obstacle) } else { "" };
                let is_right = told.starts_with(wanted) && told.is_empty() == wanted.is_empty();
                assert!(is_right, "{name}, {obstacle:?}: {told}");
            }
        }
    }

    #[test]
    fn of_two_obstacles_the_first_is_told() {
        for (name, stopped) in STOPPED {
            for (i, first) in stopped.iter().enumerate() {
                for second in &stopped[i + 1..] {
                    // A subscriber is no replica, nor the reverse.
                    if (*first, *second) == (Subscribed, ReplicaLink) {
                        continue;
                    }
                    let told = told(named(name), &[*first, *second]);
                    assert!(told.starts_with(error(*first)), "{name}, {first:?} and {second:?}: {told}");
                }
            }
        }
    }

    #[test]
    fn a_masters_stream_is_refused_nothing() {
        let obstacles: Vec<Obstacle> = ALL.into_iter().filter(|o| *o != Password).collect();
        let mut session = session(&obstacles);
        session.kind = Kind::Master;
        let facts = Facts { all_is_paused: true, writes_are_paused: true, ..facts(&obstacles) };
        for (name, _) in STOPPED {
            let verdict = admit(&facts, &session, named(name), named(name).flags);
            assert!(matches!(verdict, Verdict::Run | Verdict::Queue), "{name}: {verdict:?}");
        }
    }

    #[test]
    fn exec_is_what_is_queued() {
        for (queued, wanted) in [
            (Multi { writes: true, ..Default::default() }, ReadOnly),
            (Multi { denies_oom: true, ..Default::default() }, Memory),
            (Multi { denies_stale: true, ..Default::default() }, Stale),
            (Multi { denies_loading: true, ..Default::default() }, Loading),
            (Multi { denies_async_loading: true, ..Default::default() }, AsyncLoading),
        ] {
            let mut session = session(&[wanted]);
            session.multi = Some(queued);
            let Verdict::Refuse(fail) = admit(&facts(&[wanted]), &session, named("exec"), named("exec").flags) else {
                panic!("{wanted:?}: it is refused");
            };
            assert!(fail.0.starts_with(error(wanted).as_bytes()), "{wanted:?}");
        }
    }

    #[test]
    fn a_replaced_master_that_hides_its_data_can_still_be_told_whom_to_follow() {
        let replaced = Some(super::Replaced { epoch: 7, hides_data: true });
        let facts = Facts { replaced, ..facts(&[Obstacle::Replaced]) };
        for (queued, is_refused) in [
            (Multi::default(), false),
            (Multi { reads: true, ..Default::default() }, true),
            (Multi { writes: true, ..Default::default() }, true),
        ] {
            let mut session = session(&[]);
            session.multi = Some(queued);
            let verdict = admit(&facts, &session, named("exec"), named("exec").flags);
            assert_eq!(matches!(verdict, Verdict::Refuse(_)), is_refused, "{verdict:?}");
        }
        let verdict = admit(&facts, &session(&[]), named("replicaof"), named("replicaof").flags);
        assert!(matches!(verdict, Verdict::Run), "{verdict:?}");
    }

    #[test]
    fn who_would_write_to_a_key_on_its_way_waits() {
        let facts = Facts { keys_are_leaving: true, touches_leaving_keys: true, ..Facts::default() };
        assert!(!Standing::of(&facts).lets(named("set")) && Standing::of(&facts).lets(named("get")));
        let mut session = session(&[]);
        for (kind, waits) in [(Kind::Normal, true), (Kind::Master, false)] {
            session.kind = kind;
            let verdict = admit(&facts, &session, named("set"), named("set").flags);
            assert_eq!(matches!(verdict, Verdict::Pause), waits, "{kind:?}: {verdict:?}");
        }
    }

    #[test]
    fn pauses_stop_whom_they_stop_in_redis() {
        let verdict = |name: &str, all: bool, multi: Option<Multi>| {
            let mut session = session(&[]);
            session.multi = multi;
            let facts = Facts { writes_are_paused: true, all_is_paused: all, ..facts(&[]) };
            admit(&facts, &session, named(name), named(name).flags)
        };
        let writing = || Some(Multi { writes: true, may_replicate: true, ..Default::default() });
        for (name, all, multi, wanted) in [
            ("set", false, None, Verdict::Pause),
            ("get", false, None, Verdict::Run),
            ("get", true, None, Verdict::Pause),
            ("client|pause", true, None, Verdict::Run),
            ("replconf", true, None, Verdict::Run),
            ("shutdown", true, None, Verdict::Run),
            ("set", true, writing(), Verdict::Queue),
            ("exec", false, writing(), Verdict::Pause),
            ("exec", false, Some(Multi::default()), Verdict::Run),
            ("exec", true, Some(Multi::default()), Verdict::Pause),
            ("discard", true, writing(), Verdict::Run),
        ] {
            let got = verdict(name, all, multi);
            assert_eq!(std::mem::discriminant(&got), std::mem::discriminant(&wanted), "{name}, all {all}: {got:?}");
        }
    }

    /// The short way lets nothing through that would be stopped, whatever stands in its way.
    #[test]
    fn what_the_standing_lets_runs() {
        let plain = session(&[]);
        let with_user = session(&[User]);
        assert!(is_plain(&plain) && is_plain_but_for_its_user(&with_user));
        let all = |command: &'static Command| std::iter::once(command).chain(command.subcommands.iter());
        for bits in 0..1 << 13 {
            let has = |bit: u32| bits >> bit & 1 == 1;
            let facts = Facts {
                out_of_memory: has(0),
                disk: has(1).then(|| Fail::new("MISCONF")),
                lacks_replicas: has(2),
                is_read_only_replica: has(3),
                replaced: has(10).then_some(super::Replaced { epoch: 7, hides_data: has(11) }),
                hides_stale_data: has(4),
                is_loading: has(5),
                is_async_loading: has(6),
                writes_are_paused: has(7) || has(8),
                all_is_paused: has(8),
                keys_are_leaving: has(12),
                touches_leaving_keys: has(12),
                allows_protected: false,
                busy: has(9).then(|| Fail::new("BUSY")),
                denied: None,
            };
            let standing = Standing::of(&facts);
            for command in table::commands().flat_map(all).filter(|c| standing.lets(c)) {
                for session in [&plain, &with_user] {
                    let verdict = admit(&facts, session, command, command.flags);
                    assert!(matches!(verdict, Verdict::Run), "{}, {facts:?}: {verdict:?}", command.name);
                }
            }
        }
        let healthy = Standing::of(&Facts::default());
        assert!(["get", "set", "exec", "info"].into_iter().all(|name| healthy.lets(named(name))));
    }

    #[test]
    fn nobody_with_an_obstacle_of_his_own_is_plain() {
        for obstacle in [Password, User, Subscribed, InMulti, ReplicaLink] {
            let session = session(&[obstacle]);
            assert!(!is_plain(&session), "{obstacle:?}");
            assert_eq!(is_plain_but_for_its_user(&session), obstacle == User, "{obstacle:?}");
        }
    }
}
