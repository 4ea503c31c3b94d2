//! A link that is cut with any of its bytes, in all ways of a full sync. `RIVULET_SEED=N` runs one and shows what the servers logged; `RIVULET_SEEDS=N`
//! says how many.

use rivulet_simulation::link::{WAYS, run};
use rivulet_simulation::seeds::{self, Seeds};

/// With so many runs all is exercised that they are for.
const ENOUGH: usize = 200;

#[test]
fn a_link_cut_at_any_byte_recovers() {
    if seeds::ran_single(run) {
        return;
    }
    let outcomes = Seeds::from_env(1_500).run(|seed| run(seed, false));
    outcomes.assert_kept("link");
    let runs = &outcomes.reports;
    for way in 0..WAYS {
        let count = |is_meant: &dyn Fn(&&rivulet_simulation::link::Report) -> bool| {
            runs.iter().filter(|run| run.way == way).filter(is_meant).count()
        };
        let (early, late, never) = (
            count(&|run| run.was_cut && !run.was_up),
            count(&|run| run.was_cut && run.was_up),
            count(&|run| !run.was_cut),
        );
        println!("way {way}: cut before the data were there {early}, later {late}, not {never}");
        if runs.len() >= ENOUGH {
            assert!(early > 0 && late > 0 && never > 0, "the runs exercise what they are to");
        }
    }
}
