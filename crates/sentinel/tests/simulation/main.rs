//! Sentinels over a network that is simulated: cuts in one direction or both, pauses, kills, restarts with what was on the disk. Whatever happens,
//! in a term at most one leads for a master, and when all is quiet again everybody knows the same master, and all follow it.
//!
//! `RIVULET_SEED=n` plays one run again, `RIVULET_SEEDS=n` plays so many.

mod many;
mod world;

use rivulet_resp::{OwnedArgs, Reply};

use world::{Chance, Port, SERVER, World};

fn seeds(count: u64) -> std::ops::Range<u64> {
    match std::env::var("RIVULET_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => {
            let more = std::env::var("RIVULET_SEEDS").ok().and_then(|count| count.parse().ok());
            1..1 + more.unwrap_or(count)
        }
    }
}

/// Says which seed failed.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("play it again: RIVULET_SEED={}", self.0);
        }
    }
}

#[test]
fn a_dead_master_is_replaced_soon() {
    for seed in seeds(20) {
        let _told = Told(seed);
        let mut world = World::new(seed, 3, 3, &[]);
        world.run_ms(6000);
        world.turn_server(SERVER);
        let began = world.now_ms;
        while world.servers.values().filter(|s| s.is_up && s.master.is_none()).count() == 0 {
            world.run_ms(1);
            assert!(world.now_ms - began < 1300, "too late\n{}", world.story());
        }
        world.settle(5000);
        world.turn_server(SERVER);
        world.settle(5000);
        assert_eq!(world.leaders.len(), 1, "one election was enough\n{}", world.story());
    }
}

#[test]
fn whatever_happens_one_leads_a_term_and_all_agree_in_the_end() {
    for seed in seeds(40) {
        let _told = Told(seed);
        let mut chance = Chance(seed | 1);
        let mut world = World::new(seed, 3 + 2 * chance.below(2) as usize, 3 + chance.below(2) as usize, &[]);
        world.run_ms(5000);
        for _ in 0..12 {
            world.trouble();
            let ms = 50 + chance.below(4000);
            world.run_ms(ms);
        }
        world.heal();
        world.settle(240_000);
    }
}

#[test]
fn a_minority_does_nothing() {
    for seed in seeds(5) {
        let _told = Told(seed);
        let mut world = World::new(seed, 5, 3, &["sentinel hello-secret m s"]);
        world.run_ms(6000);
        (0..3).for_each(|i| world.kill(i));
        world.turn_server(SERVER);
        world.run_ms(60_000);
        assert!(world.leaders.is_empty(), "{}", world.story());
        world.heal();
        world.settle(60_000);
    }
}

#[test]
fn everybody_restarts_at_once() {
    for seed in seeds(10) {
        let _told = Told(seed);
        let mut world = World::new(seed, 3, 3, &[]);
        world.run_ms(6000);
        world.turn_server(SERVER);
        world.run_ms(3000);
        (0..3).for_each(|i| world.kill(i));
        let up: Vec<Port> = world.servers.iter().filter(|(_, s)| s.is_up).map(|(port, _)| *port).collect();
        up.into_iter().for_each(|port| world.turn_server(port));
        world.run_ms(2000);
        world.heal();
        world.settle(60_000);
    }
}

/// They know from their disks who is there, and need no master to tell them.
#[test]
fn a_total_restart_replaces_a_master_that_stays_away() {
    for seed in seeds(5) {
        let _told = Told(seed);
        let mut world = World::new(seed, 3, 3, &[]);
        world.run_ms(6000);
        (0..3).for_each(|i| world.kill(i));
        world.turn_server(SERVER);
        world.run_ms(1000);
        (0..3).for_each(|i| world.start(i));
        world.run_ms(5000);
        assert!(world.servers.values().any(|server| server.is_up && server.master.is_none()), "{}", world.story());
        world.settle(5000);
    }
}

/// The user's own failover: nothing that was written is missing, whoever asks for it and how.
#[test]
fn a_planned_switch_loses_nothing() {
    for (seed, words) in seeds(10).flat_map(|seed| {
        [vec!["SENTINEL", "FAILOVER", "m"], vec!["SENTINEL", "FAILOVER", "m", "COORDINATED"]].map(|words| (seed, words))
    }) {
        let _told = Told(seed);
        let mut world = World::new(seed, 3, 3, &[]);
        world.run_ms(6000);
        let (mut out, began) = (Vec::new(), world.now_ms);
        let core = world.nodes[1].core.as_mut().expect("it runs");
        core.set_time(began, began);
        let args = OwnedArgs::from_slices(&words);
        core.command(args.as_args(), &mut Reply::new(&mut out, false), false).expect("a replica is fit");
        assert_eq!(out, b"+OK\r\n");
        world.end_turn(1, Vec::new());
        // What it had as a master: it may go on from the new one in the millisecond in which it is told to.
        let (mut id, mut offset) = (String::new(), 0);
        while world.servers[&SERVER].master.is_none() {
            (id, offset) = (world.servers[&SERVER].replid.clone(), world.servers[&SERVER].offset);
            world.run_ms(1);
            assert!(world.now_ms - began < 250, "it takes too long\n{}", world.story());
        }
        let new = &world.servers[&world.servers[&SERVER].master.expect("just now")];
        let (shared, shared_to) = new.former.as_ref().expect("it was promoted");
        assert_eq!(*shared, id);
        assert!(offset < *shared_to, "{} bytes are lost\n{}", offset + 1 - shared_to, world.story());
        world.settle(3000);
        assert_eq!(world.leaders.len(), 1);
    }
}

/// All have been told to follow somebody, or each other: nobody is a master any more.
#[test]
fn a_set_without_a_master_heals() {
    for seed in seeds(5) {
        let _told = Told(seed);
        let mut world = World::new(seed, 3, 3, &[]);
        world.run_ms(6000);
        world.change_role(SERVER, Some(SERVER + 1));
        world.run_ms(30_000);
        world.settle(60_000);
        assert!(world.servers.values().filter(|server| server.master.is_none()).count() == 1);
    }
}
