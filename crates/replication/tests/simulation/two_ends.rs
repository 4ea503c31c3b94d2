//! Stories of few nodes with a network that delivers at once, cut where the story says.

use rivulet_replication::Millis;

use crate::invariants::{everything_is_equal, logs_agree};
use crate::network::{ConnId, Side};
use crate::node::{Effect, Node};

/// Nodes whose bytes arrive at once, in pieces of one size.
struct Table {
    nodes: Vec<Node>,
    now: Millis,
    piece: usize,
    conns: Vec<(ConnId, usize, usize)>,
    /// The connection to cut once so many bytes have gone to its client.
    cut_after: Option<usize>,
    logs: Vec<(usize, String)>,
    next: ConnId,
}

impl Table {
    fn new(count: usize, seed: u64) -> Table {
        let nodes =
            (0..count).map(|index| Node::new(index, fastrand::Rng::with_seed(seed + index as u64), 0)).collect();
        Table { nodes, now: 0, piece: usize::MAX, conns: Vec::new(), cut_after: None, logs: Vec::new(), next: 0 }
    }

    fn act(&mut self, index: usize, act: impl FnOnce(&mut Node, Millis, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        act(&mut self.nodes[index], self.now, &mut effects);
        for effect in effects {
            self.settle(index, effect);
        }
    }

    fn settle(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::Open { port } => {
                self.nodes[index].upstream = Some(self.next + 1);
                self.open(index, usize::from(port));
            }
            Effect::OpenChannel { port } => {
                self.nodes[index].channel = Some(self.next + 1);
                self.open(index, usize::from(port));
            }
            Effect::Send(conn, side, bytes) => {
                for piece in bytes.chunks(self.piece) {
                    let Some((_, client, server)) = self.conns.iter().find(|(id, ..)| *id == conn).copied() else {
                        return;
                    };
                    let (to, end) = if side == Side::Client { (server, Side::Server) } else { (client, Side::Client) };
                    let mut piece = piece;
                    if let Some(left) = self.cut_after.as_mut().filter(|_| end == Side::Client) {
                        piece = &piece[..piece.len().min(*left)];
                        *left -= piece.len();
                    }
                    self.act(to, |node, now, out| node.received(conn, end, piece, now, out));
                    if self.cut_after == Some(0) {
                        self.cut_after = None;
                        self.cut(conn);
                    }
                }
            }
            Effect::Close(conn, by) => {
                let Some(at) = self.conns.iter().position(|(id, ..)| *id == conn) else { return };
                let (_, client, server) = self.conns.remove(at);
                let (node, side) = if by == Side::Client { (server, Side::Server) } else { (client, Side::Client) };
                self.act(node, |node, now, out| node.closed(conn, side, now, out));
            }
            Effect::Log(text) => self.logs.push((index, text)),
            _ => {}
        }
    }

    fn open(&mut self, client: usize, server: usize) {
        self.next += 1;
        let conn = self.next;
        self.conns.push((conn, client, server));
        self.nodes[server].accept(conn);
        self.act(client, |node, now, out| node.connected(conn, now, out));
    }

    fn cut(&mut self, conn: ConnId) {
        let Some(at) = self.conns.iter().position(|(id, ..)| *id == conn) else { return };
        let (_, client, server) = self.conns.remove(at);
        self.act(server, |node, now, out| node.closed(conn, Side::Server, now, out));
        self.act(client, |node, now, out| node.closed(conn, Side::Client, now, out));
    }

    fn follow(&mut self, index: usize, master: usize) {
        self.act(index, |node, now, out| node.follow(master as u16, now, out));
    }

    fn write(&mut self, index: usize, units: usize) {
        for _ in 0..units {
            self.act(index, |node, _, out| node.write(out));
        }
    }

    fn pass(&mut self, time: Millis) {
        let end = self.now + time;
        while self.now < end {
            self.now += 100;
            for index in 0..self.nodes.len() {
                self.act(index, |node, now, out| node.tick(now, out));
            }
        }
    }

    fn logged(&self, index: usize, text: &str) -> usize {
        self.logs.iter().filter(|(node, line)| *node == index && line.contains(text)).count()
    }

    fn assert_equal(&self) {
        everything_is_equal(&self.nodes).unwrap();
        for node in &self.nodes {
            logs_agree(node, &self.nodes[0]);
        }
    }
}

/// From the first reply to the last byte of a stream with transactions: the link is cut after every byte in turn, and
/// always comes back to the same data.
#[test]
fn a_link_cut_at_any_byte_recovers() {
    for piece in [1, 7, usize::MAX] {
        let mut bytes = 0;
        loop {
            let mut table = Table::new(2, 3);
            table.piece = piece;
            table.cut_after = Some(bytes);
            table.write(0, 2);
            table.follow(1, 0);
            table.pass(12_000);
            table.write(0, 5);
            table.pass(2_000);
            let was_cut = table.cut_after.is_none();
            table.write(0, 3);
            table.pass(12_000);
            table.assert_equal();
            if !was_cut {
                break;
            }
            bytes += if piece == 1 { 1 } else { 13 };
        }
        assert!(bytes > 1_000, "the story was cut {bytes} times only");
    }
}

/// The same for a full sync over two channels in either way: wherever one of the connections is cut, the data are whole in
/// the end.
#[test]
fn two_channels_cut_at_any_byte_recover() {
    for (dual, rdb) in [(true, false), (false, true)] {
        for seed in [3, 4, 5] {
            let mut bytes = 0;
            loop {
                let mut table = Table::new(2, seed);
                table.nodes.iter_mut().for_each(|node| node.use_channels(dual, rdb));
                table.piece = [1, 7, usize::MAX][bytes % 3];
                table.cut_after = Some(bytes);
                table.write(0, 2);
                table.follow(1, 0);
                for _ in 0..12 {
                    table.pass(1_000);
                    table.write(0, 1);
                }
                let was_cut = table.cut_after.is_none();
                table.pass(14_000);
                table.assert_equal();
                if !was_cut {
                    assert_eq!(table.logged(1, "Full resync from master over two channels"), 1);
                    assert_eq!(table.logged(0, "continue with dedicated"), 1);
                    break;
                }
                bytes += 11;
            }
            assert!(bytes > 1_000, "the story was cut at {bytes} bytes at most");
        }
    }
}

/// Three replicas at once, over two channels in either way and over one: one snapshot, and each has all.
#[test]
fn replicas_of_all_ways_share_a_snapshot() {
    let mut table = Table::new(4, 21);
    table.nodes[0].use_channels(true, true);
    for (node, (dual, rdb)) in [(1, (true, false)), (2, (false, true)), (3, (false, false))] {
        table.nodes[node].use_channels(dual, rdb);
        table.follow(node, 0);
    }
    for _ in 0..10 {
        table.write(0, 2);
        table.pass(500);
    }
    table.pass(12_000);
    table.assert_equal();
    let full: Vec<usize> = [1, 2, 3].map(|node| table.logged(node, "Full resync from master")).into();
    let two: Vec<usize> = [1, 2, 3].map(|node| table.logged(node, "over two channels")).into();
    assert_eq!((full, two), (vec![1, 1, 1], vec![1, 1, 0]));
}

/// A short cut in the stream costs a partial resync, and no full one.
#[test]
fn a_short_cut_is_a_partial_resync() {
    let mut table = Table::new(2, 1);
    table.follow(1, 0);
    table.pass(12_000);
    for _ in 0..5 {
        table.write(0, 3);
        table.cut(table.next);
        table.write(0, 3);
        table.pass(2_000);
        table.assert_equal();
    }
    assert_eq!(table.logged(1, "Full resync from master"), 1);
    assert_eq!(table.logged(1, "Successful partial resynchronization with master."), 5);
}

/// A failover in a chain: the replica takes over, its own replica and the old master go on from where they are.
#[test]
fn a_failover_costs_no_full_resync() {
    let mut table = Table::new(3, 5);
    table.follow(1, 0);
    table.pass(15_000);
    table.follow(2, 1);
    table.write(0, 4);
    table.pass(15_000);
    table.assert_equal();
    table.act(1, |node, now, out| node.promote(now, out));
    table.write(1, 4);
    table.follow(0, 1);
    table.pass(10_000);
    table.assert_equal();
    assert_eq!(table.nodes[2].data.writes, table.nodes[1].data.writes);
    for (node, full, partial) in [(0, 0, 1), (2, 1, 1)] {
        assert_eq!(table.logged(node, "Full resync from master"), full, "node {node}");
        assert_eq!(table.logged(node, "Successful partial resynchronization"), partial, "node {node}");
    }
    assert_eq!(table.logged(0, "Master replication ID changed to"), 1);
}

/// Whoever would become a replica of its own replica is told so, at once and with the reason.
#[test]
fn loops_are_refused() {
    let mut table = Table::new(3, 9);
    table.follow(1, 0);
    table.pass(15_000);
    table.follow(2, 1);
    table.pass(15_000);
    table.assert_equal();
    for master in [0, 1, 2] {
        table.follow(0, master);
        table.pass(100);
        assert_eq!(table.logged(0, "a loop is refused"), master + 1, "node 0 as a replica of {master}");
    }
    assert!(table.nodes[1].link.as_ref().unwrap().is_up(), "the others are not disturbed");
}

/// Three nodes that turn to each other at the same moment notice it too.
#[test]
fn a_loop_that_closes_at_once_is_noticed() {
    let mut table = Table::new(3, 11);
    for node in [0, 1, 2] {
        table.follow(node, (node + 1) % 3);
    }
    table.pass(20_000);
    let noticed: usize = [0, 1, 2].map(|node| table.logged(node, "a loop is refused")).iter().sum();
    assert!(noticed > 0);
}
