//! Connections to other nodes, logged in as the replication link does, or as the Sentinel does where the page is one's, with what is configured at the time.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rivulet_client::{ClientTls, ClientTlsSettings, Connection, Credentials, Login, Reply, Timeouts};
use rivulet_topology::{Address, Ask, AskError, Connect};

use crate::own::{Own, maps_of, text_of};
use crate::{Door, Program, Settings, Visitor};

/// For a connection, and for each answer.
const PATIENCE: Duration = Duration::from_secs(2);

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

    /// As whom to log in at an address.
    fn login(&self, to: &Address) -> Login {
        let (user, password) = match &self.logins {
            Logins::OfLink => {
                (self.text("masteruser").map(String::into_bytes), self.text("masterauth").map(String::into_bytes))
            }
            Logins::OfSentinel(all) => {
                find(all, to).map_or((None, None), |k| (k.user.clone(), Some(k.password.clone())))
            }
        };
        Login { user, password, ..Login::default() }
    }
}

/// The node at an address. A name that the Sentinel does not know it by is looked up, as nodes are told of by others than the Sentinel.
fn find<'a>(all: &'a [Known], to: &Address) -> Option<&'a Known> {
    let is_ip = |known: &Known, ip: IpAddr| known.ip.is_some_and(|own| own.to_canonical() == ip.to_canonical());
    let here: Vec<&Known> = all.iter().filter(|known| known.port == to.port).collect();
    if here.is_empty() {
        return None;
    }
    if let Some(known) = here.iter().find(|known| known.host.eq_ignore_ascii_case(&to.host)) {
        return Some(known);
    }
    let ips: Vec<IpAddr> =
        (to.host.as_str(), to.port).to_socket_addrs().into_iter().flatten().map(|a| a.ip()).collect();
    here.into_iter().find(|known| ips.iter().any(|ip| is_ip(known, *ip)))
}

struct Peer(Connection);

impl Peer {
    fn open(to: &Address, configuration: &Configuration) -> Result<Connection, String> {
        let text = |name: &str| configuration.text(name);
        let login = configuration.login(to);
        let is_tls = text("tls-replication").is_some_and(|value| value == "yes");
        let tls = if is_tls { Some(tls(&text)?) } else { None };
        let address = rivulet_client::Address::Tcp { host: to.host.clone(), port: to.port };
        let timeouts = Timeouts::all(PATIENCE);
        Connection::open(&address, tls.as_ref(), &timeouts, &login).map_err(|error| error.to_string())
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
        let password = |at: &str| configuration.login(&Address::parse(at).expect("an address")).password;
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
    fn a_link_logs_in_at_all_alike() {
        let directives =
            BTreeMap::from([("masterauth".to_string(), "x".to_string()), ("masteruser".into(), "".into())]);
        let login = Configuration { directives, logins: Logins::OfLink }.login(&Address::parse("a:1").expect("one"));
        assert_eq!((login.user, login.password), (None, Some(b"x".to_vec())));
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
