//! `cargo xtask pauses`: how long clients wait during a full sync and snapshots of big values.

use crate::chore::{self, Outcome};

const ITEMS: u64 = 5_000_000;
const MAX_MS: u64 = 10;

pub fn run(args: &[String]) -> Outcome {
    let (mut items, mut max_ms) = (ITEMS, MAX_MS);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = value.parse().map_err(|_| format!("{value} is no number"))?;
        match word.as_str() {
            "--items" => items = number,
            "--max-ms" => max_ms = number,
            other => return Err(format!("no option {other}: --items N, --max-ms N")),
        }
    }
    let server = chore::build_server()?;
    let mut test = chore::cargo();
    test.args(["test", "-p", "rivulet-tests", "--test", "pauses", "--", "--nocapture", "--test-threads", "1"]);
    test.env("RIVULET_SERVER", server).env("RIVULET_PAUSES_ITEMS", items.to_string());
    chore::run(test.env("RIVULET_PAUSES_MAX_MS", max_ms.to_string()))
}
