//! Hundreds of masters under the same Sentinels.

use crate::Told;
use crate::seeds;
use crate::world::{Port, World};

/// The Sentinels know each other, all replicas, and what they are.
fn settled(seed: u64, sets: u16) -> World {
    let mut world = World::of_sets(seed, 3, sets, 3, &[]);
    world.run_ms(4000);
    for node in &world.nodes {
        let core = node.core.as_ref().expect("it runs");
        assert!(core.masters.values().all(|master| master.replicas.len() == 2 && master.peers.len() == 2));
    }
    world
}

/// With 200 masters each instance is asked as often as the periods say, neither less nor more often, nobody is taken to be down, and no Sentinel
/// mistrusts its clock.
#[test]
fn periods_are_kept_with_200_masters() {
    let _told = Told(1);
    let mut world = settled(1, 200);
    world.asked.clear();
    world.run_ms(5000);
    let count = |word: &str| world.asked.get(word).copied().unwrap_or(0);
    // PING comes when nothing was heard for a second, and so at the first tick after that; a hello every two seconds; INFO every ten, first at the start.
    for (word, least, most) in [("ping", 3.9, 5.1), ("publish", 1.9, 3.1), ("info", 0.0, 0.1)] {
        let each = f64::from(count(word)) / (600.0 * 3.0);
        assert!((least..=most).contains(&each), "{each} of {word} for each instance");
    }
    for node in &world.nodes {
        let core = node.core.as_ref().expect("it runs");
        assert!(!core.tilt.is_on() && core.masters.values().all(|master| !master.is_down()));
        // One link to each server, and one to each of the other Sentinels, whichever masters they share.
        assert_eq!(core.links(), 602);
    }
    assert!(world.leaders.is_empty() && world.is_settled());
}

/// redis#4334, #13658: 50 of 200 masters go at once. Each has a new one within a second and a half of `down-after-milliseconds`, and few elections
/// are held more than once, as in each another Sentinel comes first.
#[test]
fn fifty_masters_are_replaced_at_once() {
    for seed in seeds(1) {
        let _told = Told(seed);
        let mut world = settled(seed, 200);
        let gone: Vec<Port> = world.sets.iter().step_by(4).map(|set| set.ports.start).collect();
        assert_eq!(gone.len(), 50);
        gone.iter().for_each(|port| world.turn_server(*port));
        let began = world.now_ms;
        let has_master = |world: &World, port: Port| {
            world.servers.range(port + 1..port + 3).any(|(_, server)| server.master.is_none())
        };
        while !gone.iter().all(|port| has_master(&world, *port)) {
            world.run_ms(10);
            assert!(world.now_ms - began < 2500, "too late\n{}", world.story());
        }
        let elections = world.leaders.len();
        assert!(elections <= 55, "{elections} elections for 50 masters");
        let leaders: Vec<usize> = world.leaders.values().flatten().copied().collect();
        for i in 0..3 {
            let led = leaders.iter().filter(|leader| **leader == i).count();
            assert!(led >= 5, "Sentinel {i} led {led} of them");
        }
        gone.iter().for_each(|port| world.turn_server(*port));
        world.settle(15_000);
        let others = world.nodes[0].core.as_ref().expect("it runs").masters.values();
        assert_eq!(others.filter(|master| master.config_epoch > 0).count(), 50, "the others stayed as they were");
        assert!(world.nodes.iter().all(|node| node.core.as_ref().is_some_and(|core| !core.tilt.is_on())));
    }
}
