//! `cargo xtask soak`: whole servers under writes and trouble, for as long as one likes.

use crate::chore::{self, Outcome};

const MINUTES: f64 = 10.0;

pub fn run(args: &[String]) -> Outcome {
    let (mut minutes, mut seed) = (MINUTES, "new".to_string());
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--minutes" => minutes = value.parse().map_err(|_| format!("{value} is no number"))?,
            "--seed" => seed = value.clone(),
            other => return Err(format!("no option {other}: --minutes N, --seed S")),
        }
    }
    let server = chore::build_server()?;
    let mut test = chore::cargo();
    test.args(["test", "-p", "rivulet-tests", "--test", "soak", "--", "--nocapture"]);
    test.env("RIVULET_SERVER", server).env("RIVULET_SEED", seed);
    chore::run(test.env("RIVULET_SOAK_SECONDS", (minutes * 60.0).round().to_string()))
}
