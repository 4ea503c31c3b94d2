//! The page of a server: made of its configuration, and let in through its door.

use std::sync::Arc;

use rivulet_config::Config;
use rivulet_node::start::PageWork;
use rivulet_node::{Door, Visitor};
use rivulet_page::{Page, Settings};
use rivulet_topology::Address;

/// Binds the page's port, and answers what its thread does.
///
/// # Errors
/// The port can't be bound.
pub fn open(config: &Config, door: Door) -> Result<PageWork, String> {
    let page = Page::open(Settings {
        port: config.http_port,
        addresses: config.http_bind.split_whitespace().filter_map(|ip| ip.parse().ok()).collect(),
        own: own_address(config),
        door: Arc::new(move |visitor| {
            door.open(match visitor {
                rivulet_page::Visitor::Page => Visitor::Page,
                rivulet_page::Visitor::Person => Visitor::Person,
            })
        }),
    })?;
    Ok(Box::new(move || page.run()))
}

/// Under which this server is shown, and known when others name it. One without a port of TCP is shown nevertheless.
fn own_address(config: &Config) -> Address {
    let host = match config.replica_announce_ip.is_empty() {
        true => "127.0.0.1",
        false => &config.replica_announce_ip,
    };
    let port = if config.replica_announce_port != 0 { config.replica_announce_port } else { config.main_port() };
    Address::new(host, port).unwrap_or(Address { host: host.to_string(), port })
}
