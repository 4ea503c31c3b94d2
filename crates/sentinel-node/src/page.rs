//! The page of a Sentinel (docs/page.md), which is a client of its own Sentinel: who comes through its door, and what nobody else can ask.
//!
//! What the page itself asks with is internal: it may do all, and is in no count and no list of clients. A person who logs in on the page is a client as any
//! other. Without `http-port` there is no door.

use rivulet_config::Config;
use rivulet_net::{Door, Stream, Visitor, Visitors};
use rivulet_node::start::{PageWork, begin_page};
use rivulet_resp::{Args, Reply};
use rivulet_sentinel::Reached;

use crate::program::Program;

/// Opens the page that a configuration asks for: where others know this Sentinel, and the door for connections to it. Errors are lines for the log.
pub type OpenPage = fn(&Config, (&str, u16), Door) -> Result<PageWork, String>;

/// What CLIENT LIST shows as the address of a person on the page.
const ADDRESS: &str = "page:0";

impl Program {
    /// Opens the page, which serves from now on.
    ///
    /// # Errors
    /// A line for the log: its port can't be had.
    pub fn begin_page(&mut self, open_page: OpenPage) -> Result<(), String> {
        let (door, visitors) = Door::new(&self.waker);
        let globals = &self.core.globals;
        let host = globals.announce_ip.as_deref().unwrap_or("127.0.0.1");
        let port = if globals.announce_port == 0 { globals.port } else { globals.announce_port };
        let work = open_page(&self.config, (host, port), door)?;
        self.visitors = Some(visitors);
        begin_page(&self.config, work);
        Ok(())
    }

    /// Takes in those who wait at the door.
    pub fn admit_visitors(&mut self) {
        while let Some((stream, visitor)) = self.visitors.as_ref().and_then(Visitors::next) {
            self.admit_visitor(stream, visitor == Visitor::Page);
        }
    }

    fn admit_visitor(&mut self, stream: Stream, is_internal: bool) {
        if !is_internal && !self.has_room() {
            self.stats.rejected += 1;
            return;
        }
        let Some(id) = self.register(stream) else { return };
        self.stats.connections += u64::from(!is_internal);
        self.internal_clients += usize::from(is_internal);
        if let Some(client) = self.clients.get_mut(&id) {
            client.is_internal = is_internal;
            (client.address, client.local_address) = (ADDRESS.into(), ADDRESS.into());
        }
    }

    /// Answers what the page alone can ask: directives, and how those who are watched are reached. False if it is something else, or somebody else asks.
    pub fn answer_page(&self, id: u64, args: Args<'_>, out: &mut Vec<u8>) -> bool {
        if !self.clients.get(&id).is_some_and(|client| client.is_internal) {
            return false;
        }
        let mut reply = Reply::new(out, false);
        if args.is(0, "config") && args.is(1, "get") {
            let patterns: Vec<&[u8]> = args.iter().skip(2).collect();
            let found = self.config.get(&patterns);
            reply.map(found.len());
            for (name, value) in found {
                reply.bulk(name.as_bytes());
                reply.bulk(&value);
            }
        } else if args.is(0, "logins") {
            let all: Vec<Reached<'_>> = self.core.reached().collect();
            reply.array(all.len());
            all.iter().for_each(|reached| write_login(&mut reply, reached));
        } else {
            return false;
        }
        true
    }
}

fn write_login(reply: &mut Reply<'_>, reached: &Reached<'_>) {
    let ip = reached.address.ip.map(|ip| ip.to_string()).unwrap_or_default();
    let port = reached.address.port.to_string();
    let fields: [(&str, &[u8]); 5] = [
        ("host", reached.address.host.as_bytes()),
        ("ip", ip.as_bytes()),
        ("port", port.as_bytes()),
        ("user", reached.user.unwrap_or_default()),
        ("password", reached.password),
    ];
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.bulk(value);
    }
}
