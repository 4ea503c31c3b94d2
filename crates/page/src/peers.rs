//! Connections to other nodes, logged in as the replication link does, or as the Sentinel does where the page is one's, with what is configured at the time.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rivulet_client::{
    ClientError, ClientTls, ClientTlsSettings, Connection, Credentials, Login, Reply, ReplyBounds, Timeouts,
};
use rivulet_topology::watcher::REPLY_BYTES_MAX;
use rivulet_topology::{Address, Ask, AskError, Connect};

use crate::own::{Own, maps_of, text_of};
use crate::{Door, Program, Settings, Visitor};

/// For a connection, and for each answer as a whole.
const PATIENCE: Duration = Duration::from_secs(2);
const BOUNDS: ReplyBounds =
    ReplyBounds { bytes_max: REPLY_BYTES_MAX, patience: PATIENCE, now_ms: rivulet_host::time::monotonic_ms };

/// The own server is asked anew how to reach others after so long: many that can't be reached are no reason to ask often.
const CONFIGURATION_MS: u64 = 3000;

/// How others are to be reached.
#[derive(Clone)]
struct Configuration {
    /// Names of directives with their values.
    directives: BTreeMap<String, String>,
    logins: Logins,
}

/// As whom to log in. What has passwords is never shown: it has no `Debug`.
#[derive(Clone)]
enum Logins {
    /// At all nodes as the replication link does.
    OfLink,
    /// Each set of a Sentinel has its own password, which is shown to nobody but the nodes that the Sentinel itself shows it to.
    OfSentinel(Vec<Known>),
}

/// A node to which a Sentinel shows a password.
#[derive(Clone, Default)]
struct Known {
    host: String,
    ip: Option<IpAddr>,
    port: u16,
    user: Option<Vec<u8>>,
    password: Vec<u8>,
}

/// Connects to any node: to the own one through its door.
pub struct Net {
    program: Program,
    own: Address,
    door: Door,
    /// What the own server said last, and when.
    configuration: Mutex<Option<(u64, Configuration)>>,
}

impl Net {
    pub fn new(settings: &Settings) -> Net {
        Net {
            program: settings.program,
            own: settings.own.clone(),
            door: settings.door.clone(),
            configuration: Mutex::default(),
        }
    }

    fn open_own(&self) -> Result<Own, String> {
        (self.door)(Visitor::Page).and_then(Own::new).map_err(|error| error.to_string())
    }

    /// How others are to be reached.
    fn configuration(&self) -> Result<Configuration, String> {
        let mut last = self.configuration.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = rivulet_host::time::monotonic_ms();
        if let Some((ms, configuration)) = &*last
            && now_ms.saturating_sub(*ms) < CONFIGURATION_MS
        {
            return Ok(configuration.clone());
        }
        let configuration = configuration(self.open_own()?, self.program)?;
        *last = Some((now_ms, configuration.clone()));
        Ok(configuration)
    }
}

impl Connect for Net {
    fn connect(&self, to: &Address) -> Result<Box<dyn Ask>, String> {
        if *to == self.own {
            return Ok(Box::new(self.open_own()?));
        }
        Ok(Box::new(Peer(Peer::open(to, &self.configuration()?)?)))
    }
}

/// What the own server says of how to reach others.
fn configuration(mut own: Own, program: Program) -> Result<Configuration, String> {
    let words: [&[u8]; 5] = [b"CONFIG", b"GET", b"masteruser", b"masterauth", b"tls-*"];
    let reply = own.ask(&words, PATIENCE)?;
    let pairs = reply.pairs().unwrap_or_default();
    let directives =
        pairs.into_iter().map(|(name, value)| (name.text().into_owned(), value.text().into_owned())).collect();
    let logins = match program {
        Program::Server => Logins::OfLink,
        Program::Sentinel => Logins::OfSentinel(known_of(&own.ask(&[b"LOGINS"], PATIENCE)?)),
    };
    Ok(Configuration { directives, logins })
}

fn known_of(reply: &Reply) -> Vec<Known> {
    reply.items().unwrap_or_default().iter().map(known).collect()
}

fn known(reply: &Reply) -> Known {
    let text = |name| reply.field(name).map(|value| value.text().into_owned()).unwrap_or_default();
    let bytes = |name| reply.field(name).and_then(Reply::as_bytes).unwrap_or_default().to_vec();
    Known {
        host: text("host"),
        ip: text("ip").parse().ok(),
        port: text("port").parse().unwrap_or(0),
        user: Some(bytes("user")).filter(|user| !user.is_empty()),
        password: bytes("password"),
    }
}

impl Configuration {
    fn text(&self, name: &str) -> Option<String> {
        self.directives.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// How to reach an address, and as whom. `ips_of` looks a name up.
    fn way(&self, to: &Address, ips_of: impl FnOnce(&Address) -> Vec<IpAddr>) -> Way {
        match &self.logins {
            Logins::OfLink => {
                let bytes = |name: &str| self.text(name).map(String::into_bytes);
                let login = Login { user: bytes("masteruser"), password: bytes("masterauth"), ..Login::default() };
                Way { host: to.host.clone(), login }
            }
            Logins::OfSentinel(all) => way_of_sentinel(all, to, ips_of),
        }
    }
}

/// Where a connection goes, and what it shows there. It has no `Debug`, either.
struct Way {
    host: String,
    login: Login,
}

/// A password goes to no other address than that of the node that it is for: a name may have several, and others the next time that it is looked up. A name
/// that the Sentinel does not know is looked up once, as nodes are told of by others than the Sentinel.
fn way_of_sentinel(all: &[Known], to: &Address, ips_of: impl FnOnce(&Address) -> Vec<IpAddr>) -> Way {
    let here: Vec<&Known> = all.iter().filter(|known| known.port == to.port).collect();
    let by_name = here.iter().find(|known| known.host.eq_ignore_ascii_case(&to.host)).copied();
    let is_one_of = |known: &&&Known, ips: &[IpAddr]| {
        known.ip.is_some_and(|own| ips.iter().any(|ip| ip.to_canonical() == own.to_canonical()))
    };
    let found = by_name.or_else(|| {
        let ips = if here.is_empty() { Vec::new() } else { ips_of(to) };
        here.iter().find(|known| is_one_of(known, &ips)).copied()
    });
    let Some(known) = found else { return Way { host: to.host.clone(), login: Login::default() } };
    // The Sentinel itself looks up a name of which it has no address.
    let host = known.ip.map_or_else(|| to.host.clone(), |ip| ip.to_canonical().to_string());
    let login = Login { user: known.user.clone(), password: Some(known.password.clone()), ..Login::default() };
    Way { host, login }
}

fn looked_up(to: &Address) -> Vec<IpAddr> {
    let found = (to.host.as_str(), to.port).to_socket_addrs().into_iter().flatten();
    found.map(|address| address.ip()).collect()
}

struct Peer(Connection);

impl Peer {
    fn open(to: &Address, configuration: &Configuration) -> Result<Connection, String> {
        let text = |name: &str| configuration.text(name);
        let Way { host, login } = configuration.way(to, looked_up);
        let is_tls = text("tls-replication").is_some_and(|value| value == "yes");
        let tls = if is_tls { Some(tls(&text)?) } else { None };
        let address = rivulet_client::Address::Tcp { host, port: to.port };
        let connect = || {
            let mut connection = Connection::connect(&address, tls.as_ref(), &Timeouts::all(PATIENCE))?;
            connection.bound_replies(BOUNDS);
            connection.log_in(&login)?;
            Ok(connection)
        };
        connect().map_err(|error: ClientError| error.to_string())
    }
}

/// As the replication link has it: the client's certificate if there is one of its own, else the server's. Files are read anew for each connection, as they
/// are replaced when they are about to expire.
fn tls(text: &dyn Fn(&str) -> Option<String>) -> Result<ClientTls, String> {
    let read = |path: String| std::fs::read(&path).map_err(|error| format!("{path}: {error}"));
    let file = |name: &str| text(name).map(read).transpose();
    let has_own = text("tls-client-cert-file").is_some();
    let name = |of_client: &'static str, of_server: &'static str| if has_own { of_client } else { of_server };
    let certificates = file(name("tls-client-cert-file", "tls-cert-file"))?;
    let key = file(name("tls-client-key-file", "tls-key-file"))?;
    let password = text(name("tls-client-key-file-pass", "tls-key-file-pass"));
    let credentials = certificates.as_deref().zip(key.as_deref());
    let credentials =
        credentials.map(|(certificates, key)| Credentials { certificates, key, password: password.as_deref() });
    let mut authorities = Vec::from_iter(file("tls-ca-cert-file")?);
    if let Some(directory) = text("tls-ca-cert-dir") {
        let entries = std::fs::read_dir(&directory).map_err(|error| format!("{directory}: {error}"))?;
        authorities.extend(entries.flatten().filter_map(|entry| std::fs::read(entry.path()).ok()));
    }
    let (ciphers, ciphersuites) =
        (text("tls-ciphers").unwrap_or_default(), text("tls-ciphersuites").unwrap_or_default());
    ClientTls::new(&ClientTlsSettings {
        authorities,
        credentials,
        ciphers: &ciphers,
        ciphersuites: &ciphersuites,
        ..ClientTlsSettings::default()
    })
    .map_err(|error| format!("TLS can't be used: {error:?}"))
}

impl Ask for Peer {
    fn text(&mut self, words: &[&str]) -> Result<String, AskError> {
        text_of(&self.0.ask(words).map_err(|error| AskError::Lost(error.to_string()))?)
    }

    fn maps(&mut self, words: &[&str]) -> Result<Vec<BTreeMap<String, String>>, AskError> {
        maps_of(&self.0.ask(words).map_err(|error| AskError::Lost(error.to_string()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(host: &str, ip: &str, port: u16, password: &str) -> Known {
        Known { host: host.into(), ip: ip.parse().ok(), port, password: password.into(), ..Known::default() }
    }

    #[test]
    fn a_sentinels_password_is_for_those_that_it_watches() {
        let all =
            vec![known("db", "127.0.0.1", 1, "a"), known("127.0.0.1", "127.0.0.1", 2, "b"), known("c", "", 3, "c")];
        let configuration = Configuration { directives: BTreeMap::new(), logins: Logins::OfSentinel(all) };
        let password = |at: &str| configuration.way(&Address::parse(at).expect("an address"), looked_up).login.password;
        for (at, want) in [
            ("DB:1", Some("a")),
            ("127.0.0.1:1", Some("a")),
            ("[::ffff:127.0.0.1]:2", Some("b")),
            ("c:3", Some("c")),
            ("127.0.0.1:3", None),
            ("127.0.0.2:2", None),
            ("127.0.0.1:4", None),
        ] {
            assert_eq!(password(at), want.map(|word| word.as_bytes().to_vec()), "{at}");
        }
    }

    #[test]
    fn a_sentinels_password_goes_to_the_address_that_it_is_for() {
        let all = vec![known("db", "10.0.0.1", 1, "a"), known("10.0.0.2", "10.0.0.2", 1, "b"), known("c", "", 1, "c")];
        let ips = ["10.9.9.9", "::ffff:10.0.0.2", "10.0.0.1"].map(|ip| ip.parse().expect("an address"));
        let way = |at: &str| {
            let way = way_of_sentinel(&all, &Address::parse(at).expect("an address"), |_| ips.to_vec());
            (way.host, way.login.password.map(|password| String::from_utf8(password).expect("text")))
        };
        let to = |host: &str, password: Option<&str>| (host.to_string(), password.map(str::to_string));
        // Of the addresses of a name only the one that is known is spoken to, also if the name itself is.
        assert_eq!(way("others-name:1"), to("10.0.0.1", Some("a")));
        assert_eq!(way("DB:1"), to("10.0.0.1", Some("a")));
        assert_eq!(way("c:1"), to("c", Some("c")));
        // At another port nobody is known.
        assert_eq!(way("others-name:2"), to("others-name", None));
    }

    #[test]
    fn a_link_logs_in_at_all_alike() {
        let directives =
            BTreeMap::from([("masterauth".to_string(), "x".to_string()), ("masteruser".into(), "".into())]);
        let configuration = Configuration { directives, logins: Logins::OfLink };
        let way = configuration.way(&Address::parse("a:1").expect("one"), |_| panic!("nobody asks"));
        assert_eq!((way.host.as_str(), way.login.user, way.login.password), ("a", None, Some(b"x".to_vec())));
    }

    #[test]
    fn what_the_sentinel_says_is_read() {
        let bulk = |bytes: &[u8]| Reply::Bulk(bytes.to_vec());
        let fields: [(&[u8], &[u8]); 5] =
            [(b"host", b"db"), (b"ip", b"10.0.0.1"), (b"port", b"7"), (b"user", b""), (b"password", b"\xff1")];
        let login = Reply::Array(fields.iter().flat_map(|(name, value)| [bulk(name), bulk(value)]).collect());
        let all = known_of(&Reply::Array(vec![login]));
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].host.as_str(), all[0].ip, all[0].port), ("db", "10.0.0.1".parse().ok(), 7));
        assert_eq!((&all[0].user, all[0].password.as_slice()), (&None, b"\xff1".as_slice()));
    }
}
