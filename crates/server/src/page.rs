//! The page of a server or a Sentinel: made of its configuration, and let in through its door.

use std::sync::Arc;

use rivulet_config::Config;
use rivulet_node::start::PageWork;
use rivulet_node::{Door, Visitor, descriptors};
use rivulet_page::{Page, Program, Settings};
use rivulet_topology::Address;

/// Binds the port of a server's page, and answers what its thread does.
///
/// # Errors
/// The port can't be bound.
pub fn open(config: &Config, door: Door) -> Result<PageWork, String> {
    let host = match config.replica_announce_ip.is_empty() {
        true => "127.0.0.1",
        false => &config.replica_announce_ip,
    };
    let port = if config.replica_announce_port != 0 { config.replica_announce_port } else { config.main_port() };
    open_at(config, Program::Server, own_address(host, port), door)
}

/// The same for a Sentinel, of which is known where others reach it.
///
/// # Errors
/// The port can't be bound.
pub fn open_of_sentinel(config: &Config, (host, port): (&str, u16), door: Door) -> Result<PageWork, String> {
    open_at(config, Program::Sentinel, own_address(host, port), door)
}

fn open_at(config: &Config, program: Program, own: Address, door: Door) -> Result<PageWork, String> {
    let share = descriptors::for_page();
    let page = Page::open(Settings {
        port: config.http_port,
        addresses: config.http_bind.split_whitespace().filter_map(|ip| ip.parse().ok()).collect(),
        program,
        own,
        connections_max: share.connections as usize,
        nodes_max: share.nodes as usize,
        door: Arc::new(move |visitor| {
            door.open(match visitor {
                rivulet_page::Visitor::Page => Visitor::Page,
                rivulet_page::Visitor::Person => Visitor::Person,
            })
        }),
    })?;
    Ok(Box::new(move || page.run()))
}

/// Under which this one is shown, and known when others name it. One without a port of TCP is shown nevertheless.
fn own_address(host: &str, port: u16) -> Address {
    Address::new(host, port).unwrap_or(Address { host: host.to_string(), port })
}
