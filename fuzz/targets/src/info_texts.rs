//! What servers say of themselves, taken for a picture: whatever they say, each link joins two nodes of it, and no node is there twice.

use std::collections::BTreeSet;

use rivulet_topology::doctor::Doctor;
use rivulet_topology::survey::NODES_MAX;
use rivulet_topology::{Address, Info, Now, Survey};

/// Answers are set apart by a byte that no text has.
const SPLIT: u8 = 0;

pub fn run(bytes: &[u8]) {
    let first = Address { host: "127.0.0.1".into(), port: 1 };
    let mut survey = Survey::new(first, bytes.len().is_multiple_of(2), NODES_MAX);
    for (i, text) in bytes.split(|byte| *byte == SPLIT).take(64).enumerate() {
        let text = String::from_utf8_lossy(text);
        // Each is the answer of another of those who are to be asked.
        let targets: Vec<Address> = survey.targets().cloned().collect();
        let address = &targets[i % targets.len()];
        let now = Now { ms: i as u64 * 700, unix_ms: i as u64 };
        match i % 7 {
            6 => survey.failed(address, &text, now),
            5 => survey.examined(address, Doctor::parse(&text)),
            _ => survey.answered(address, &Info::parse(&text), now),
        }
        check(&survey, now);
    }
}

fn check(survey: &Survey, now: Now) {
    let picture = survey.topology(now);
    let ids: BTreeSet<&str> = picture.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids.len(), picture.nodes.len(), "a node is there twice");
    for link in &picture.links {
        assert!(ids.contains(link.master.as_str()) && ids.contains(link.replica.as_str()), "a link leads nowhere");
    }
    assert!(survey.targets().count() <= 256, "too many are asked");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let master =
        "run_id:a\r\nrole:master\r\nmaster_repl_offset:9\r\nslave0:ip=b,port=2,state=online,offset=5,lag=0\r\n";
    let replica = "run_id:b\r\nrole:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:1\r\nmaster_sync_in_progress:1\r\nmaster_sync_total_bytes:9\r\n";
    let sentinel = "redis_mode:sentinel\r\nmaster0:name=m,status=ok,address=127.0.0.1:1,slaves=1,sentinels=1\r\n";
    let both = format!("{master}\0{replica}\0{master}\0{replica}");
    [master, replica, sentinel, &both].map(|text| text.as_bytes().to_vec()).to_vec()
}
