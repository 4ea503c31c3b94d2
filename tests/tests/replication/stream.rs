//! Each command in the stream means the same at both ends, whoever they are.

use rivulet_tests::client::shown_command;
use rivulet_tests::data::picture;
use rivulet_tests::random::{self, Rng};
use rivulet_tests::{Kind, Server, Words};

use crate::{everyone, is_fit, wait_in_step};

/// Random writes on the master, a few at a time; after each few the data are equal.
fn same_meaning(above: Kind, below: Kind) {
    let seed = random::seed(&format!("the stream from {above:?} to {below:?}"));
    let mut master = Server::start(above, &[]);
    let mut replica = Server::start(below, &[]);
    replica.follow(&master);
    let (mut rng, mut words) = (Rng::with_seed(seed), Words::new(true));
    let mut writer = master.client();
    for _ in 0..random::number("RIVULET_COMMANDS").unwrap_or(6000) / 30 {
        let batch: Vec<_> = std::iter::repeat_with(|| words.command(&mut rng)).filter(|c| is_fit(c)).take(30).collect();
        let replies = writer.pipeline(&batch);
        wait_in_step(&mut master, &mut replica);
        let (left, right) = (picture(&mut master, 2), picture(&mut replica, 2));
        if left != right {
            let lines: Vec<String> =
                batch.iter().zip(&replies).map(|(c, r)| format!("  {}\n    {r:?}", shown_command(c))).collect();
            let differs = left.keys().chain(right.keys()).find(|k| left.get(*k) != right.get(*k)).expect("one does");
            let (left, right) = (left.get(differs), right.get(differs));
            panic!("{differs:?}\n{above:?}: {left:?}\n{below:?}: {right:?}\nafter\n{}", lines.join("\n"));
        }
    }
}

#[test]
fn what_others_send_means_the_same_to_us() {
    for kind in everyone() {
        same_meaning(kind, Kind::Rivulet);
    }
}

#[test]
fn what_we_send_means_the_same_to_others() {
    for kind in everyone() {
        same_meaning(Kind::Rivulet, kind);
    }
}
