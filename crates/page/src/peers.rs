//! Connections to other nodes, logged in as the replication link does, with what is configured at the time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rivulet_client::{ClientTls, ClientTlsSettings, Connection, Credentials, Login, Timeouts};
use rivulet_topology::{Address, Ask, AskError, Connect};

use crate::own::{Own, maps_of, text_of};
use crate::{Door, Settings, Visitor};

/// For a connection, and for each answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The own server is asked anew how to reach others after so long: many that can't be reached are no reason to ask often.
const CONFIGURATION_MS: u64 = 3000;

/// Names of directives with their values.
type Configuration = BTreeMap<String, String>;

/// Connects to any node: to the own one through its door.
pub struct Net {
    own: Address,
    door: Door,
    /// What the own server said last, and when.
    configuration: Mutex<Option<(u64, Configuration)>>,
}

impl Net {
    pub fn new(settings: &Settings) -> Net {
        Net { own: settings.own.clone(), door: settings.door.clone(), configuration: Mutex::default() }
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
        let configuration = configuration(self.open_own()?)?;
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
fn configuration(mut own: Own) -> Result<Configuration, String> {
    let words: [&[u8]; 5] = [b"CONFIG", b"GET", b"masteruser", b"masterauth", b"tls-*"];
    let reply = own.ask(&words, PATIENCE)?;
    let pairs = reply.pairs().unwrap_or_default();
    Ok(pairs.into_iter().map(|(name, value)| (name.text().into_owned(), value.text().into_owned())).collect())
}

struct Peer(Connection);

impl Peer {
    fn open(to: &Address, configuration: &Configuration) -> Result<Connection, String> {
        let text = |name: &str| configuration.get(name).filter(|value| !value.is_empty()).cloned();
        let login = Login {
            user: text("masteruser").map(String::into_bytes),
            password: text("masterauth").map(String::into_bytes),
            ..Login::default()
        };
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
