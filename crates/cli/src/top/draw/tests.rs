//! A model in, text out.

use rivulet_topology::survey::NODES_MAX;
use rivulet_topology::{Address, Info, Now, Survey};

use super::*;
use crate::top::tree::{ASCII, LINES};
use crate::top::view::{Key, Order};

const NOW: Now = Now { ms: 10_000, unix_ms: 1_700_000_000_000 };

fn at(port: u16) -> Address {
    Address { host: "10.0.0.1".into(), port }
}

/// A master with two replicas, of which one is being sent all data and the other has a replica that is silent, and a Sentinel.
fn survey() -> Survey {
    let mut survey = Survey::new(at(26379), false, NODES_MAX);
    let mut answer = |port: u16, text: &str| {
        let text = format!("run_id:r{port}\nrivulet_version:1.0\nuptime_in_seconds:90\nmaster_replid:h\n{text}");
        survey.answered(&at(port), &Info::parse(&text), NOW);
    };
    answer(26379, "redis_mode:sentinel\nmaster0:name=m,status=ok,address=10.0.0.1:1,slaves=2,sentinels=1");
    let slave = |i: u16, port: u16, state: &str, offset: u64| {
        format!("slave{i}:ip=10.0.0.1,port={port},state={state},offset={offset},lag=1\n")
    };
    let master = "role:master\nmaster_repl_offset:5000\nrepl_backlog_active:1\nrepl_backlog_size:1048576\n\
                  repl_backlog_first_byte_offset:1\nrepl_backlog_histlen:5000\ndb0:keys=7\nused_memory:2048\n\
                  diverged:1\ndiverged_reason:a write of its own\n";
    answer(1, &format!("{master}{}{}", slave(0, 2, "online", 5000), slave(1, 3, "send_bulk", 0)));
    let replica = |port: u16, offset: u64, rest: &str| {
        format!("role:slave\nmaster_host:10.0.0.1\nmaster_port:{port}\nslave_repl_offset:{offset}\n{rest}")
    };
    answer(2, &replica(1, 3976, &format!("master_link_status:up\n{}", slave(0, 4, "online", 976))));
    answer(
        3,
        &replica(
            1,
            0,
            "master_link_status:down\nmaster_sync_in_progress:1\nmaster_sync_total_bytes:4096\n\
             master_sync_read_bytes:1024\nmaster_sync_bytes_per_second:1024\nmaster_sync_seconds_left:3",
        ),
    );
    survey.failed(&at(4), "connection refused \x1b[2J", NOW);
    survey
}

fn text(lines: &[Line]) -> String {
    lines.iter().map(|line| line.text() + "\n").collect()
}

fn canvas(width: usize, height: usize) -> Canvas {
    Canvas { width, height, branches: ASCII }
}

fn drawn(view: &View, width: usize, height: usize) -> String {
    text(&screen(&survey().topology(NOW), view, None, canvas(width, height)))
}

#[test]
fn a_screen_of_80_by_24() {
    let expected = "\
rivulet-cli top  5 nodes, 3 links  1 syncing  1 silent            ? help  q quit
  NODE                       STATE            OFFSET   BEHIND    LAG       RATE
> 10.0.0.1:1                 master             5000
  |- 10.0.0.1:2              online             3976    1.00K   1.0s
  |  `- 10.0.0.1:4           silent    connection refused ?[2J
  `- 10.0.0.1:3              syncing   [##........] 25%, 3s left, 1.00K/s, 4.00K
  10.0.0.1:26379             sentinel  watches 10.0.0.1:1

10.0.0.1:1  rivulet 1.0, up 90s, 7 keys, 2.00K, 0 clients, 0 cmd/s
  backlog 1.00M from 0 to 5000
Findings
  10.0.0.1:1: its data are not those of its position: a write of its own
  10.0.0.1:4: does not answer: connection refused ?[2J
Events









up/down choose  Enter log  v verify  f fail over
";
    let shown = drawn(&View::default(), 80, 24);
    assert_eq!(shown, expected, "\n{shown}");
}

#[test]
fn a_picture_for_scripts() {
    let shown = plain(&survey().topology(NOW), LINES);
    let rows: Vec<&str> = shown.lines().skip(1).take(3).collect();
    assert!(rows[0].starts_with("  10.0.0.1:1 ") && rows[0].ends_with(" 7     2.00K"), "{shown}");
    assert!(rows[1].starts_with("  ├─ 10.0.0.1:2 ") && rows[2].starts_with("  │  └─ 10.0.0.1:4 "), "{shown}");
    assert!(!shown.contains('\u{1b}') && shown.contains("\nFindings\n"), "{shown}");
}

#[test]
fn what_is_left_out_is_told() {
    let topology = Topology { left_out: 7, ..survey().topology(NOW) };
    let said = "  7 more were named and are not asked or shown: there are too many\n";
    assert!(
        plain(&topology, LINES).contains(said) && !plain(&survey().topology(NOW), LINES).contains("more were named")
    );
    let title = screen(&topology, &View::default(), None, canvas(100, 24))[0].text();
    assert!(title.contains("  7 not shown  "), "{title}");
}

#[test]
fn any_size_is_kept() {
    let (topology, mut view) = (survey().topology(NOW), View::default());
    for page in [Page::Map, Page::Help, Page::Log { from: 9 }] {
        view.page = page;
        for (width, height) in [(0, 0), (1, 1), (20, 3), (80, 5), (200, 60), (1000, 1000)] {
            let lines = screen(&topology, &view, Some(("verifying", 1.5)), canvas(width, height));
            assert_eq!(lines.len(), height, "{width}x{height}");
            assert!(lines.iter().all(|line| line.width() <= width), "{width}x{height}");
        }
    }
    let nothing = Topology { time_ms: 0, nodes: vec![], links: vec![], events: vec![], left_out: 0 };
    assert_eq!(screen(&nothing, &View::default(), None, canvas(80, 24)).len(), 24);
}

#[test]
fn keys_choose_ask_and_order() {
    let (topology, mut view) = (survey().topology(NOW), View::default());
    let ids: Vec<&str> = topology.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(view.chosen(&topology), Some(ids[0]));
    assert_eq!(view.press(Key::Up, &topology), None);
    view.press(Key::Down, &topology);
    assert_eq!(view.chosen(&topology), Some(ids[1]));
    // A failover waits for a yes, and any other key is a no.
    view.press(Key::Char('f'), &topology);
    assert!(drawn(&view, 80, 24).ends_with("failing over from 10.0.0.1:1 to 10.0.0.1:2? (y/n)\n"));
    assert_eq!(view.press(Key::Enter, &topology), None);
    assert_eq!(view.asked, None);
    view.press(Key::Char('f'), &topology);
    let Some(Order::Start(action)) = view.press(Key::Char('y'), &topology) else { panic!("{view:?}") };
    assert_eq!((action.to.port, action.words.join(" ").as_str()), (1, "FAILOVER TO 10.0.0.1 2"));
    // One at a time.
    assert_eq!(view.press(Key::Char('v'), &topology), None);
    view.answer(&action, vec!["OK".into()]);
    assert!(drawn(&view, 80, 24).ends_with("failing over from 10.0.0.1:1 to 10.0.0.1:2: OK\n"));
    let Some(Order::Start(action)) = view.press(Key::Char('v'), &topology) else { panic!("{view:?}") };
    assert_eq!((action.to.port, action.words[..3].join(" ").as_str()), (1, "REPLICATION VERIFY ALL"));
    view.answer(&action, vec!["offset: 5".into(), "10.0.0.1:2 equal: the same".into()]);
    assert!(drawn(&view, 80, 24).contains("\n  10.0.0.1:2 equal: the same\n"));
    view.press(Key::Escape, &topology);
    view.press(Key::End, &topology);
    view.press(Key::Char('f'), &topology);
    assert_eq!((view.asked.clone(), view.message.as_str()), (None, "choose a master, or a replica"));
    view.press(Key::Enter, &topology);
    assert!(drawn(&view, 80, 24).contains("Events of 10.0.0.1:26379"));
    assert_eq!(view.press(Key::Char('q'), &topology), Some(Order::Quit));
}

#[test]
fn nodes_in_a_ring_are_drawn_once() {
    let mut survey = Survey::new(at(1), false, NODES_MAX);
    for (port, master) in [(1, 2), (2, 1)] {
        let text =
            format!("run_id:r{port}\nrole:slave\nmaster_host:10.0.0.1\nmaster_port:{master}\nmaster_link_status:up");
        survey.answered(&at(port), &Info::parse(&text), NOW);
    }
    assert_eq!(tree::rows(&survey.topology(NOW), None, ASCII, 80).len(), 2);
}
