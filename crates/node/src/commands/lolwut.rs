//! LOLWUT: a drawing, another one each time, and the version below it.
//!
//! Brooks run down from the top and flow into each other, until one river is left: many streams become one.

use std::fmt::Write;

use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_engine::asker::Asker;
use rivulet_resp::Args;

use crate::REDIS_VERSION;
use crate::node::Node;

/// Dots of a character of Braille, across and down.
const DOTS: (usize, usize) = (2, 4);
const COLUMNS_MAX: i64 = 1000;
const ROWS_MAX: i64 = 1000;
const COLUMNS: usize = 60;
const ROWS: usize = 14;

impl Node {
    pub fn lolwut(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        // There is one drawing, whichever version is asked for.
        let first = if args.is(1, "version") && args.len() > 2 {
            rivulet_commands::parse::int(args.at(2))?;
            3
        } else {
            1
        };
        if args.len() > first + 2 {
            return Err(SYNTAX);
        }
        let size = |at: usize, default: usize, max: i64| match args.get(at) {
            Some(text) => rivulet_commands::parse::int(text).map(|n| n.clamp(1, max) as usize),
            None => Ok(default),
        };
        let (columns, rows) = (size(first, COLUMNS, COLUMNS_MAX)?, size(first + 1, ROWS, ROWS_MAX)?);
        let mut text = draw(columns, rows, &mut self.engine.rng);
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "\nMany streams, one river. Rivulet {}, Redis ver. {REDIS_VERSION}\n",
            env!("CARGO_PKG_VERSION")
        );
        by.reply.verbatim("txt", text.as_bytes());
        Ok(())
    }
}

/// So many characters across and down.
fn draw(columns: usize, rows: usize, rng: &mut fastrand::Rng) -> String {
    let (width, height) = (columns * DOTS.0, rows * DOTS.1);
    let mut dots = vec![vec![false; width]; height];
    // Where the brooks are; those that meet are one from there on.
    let mut brooks: Vec<usize> = (0..(width / 8).max(1)).map(|_| rng.usize(..width)).collect();
    for (y, line) in dots.iter_mut().enumerate() {
        brooks.sort_unstable();
        brooks.dedup_by(|a, b| a.abs_diff(*b) < 2);
        // They are drawn to the middle, the more so the further down they are.
        let pull = y as f64 / height as f64;
        for brook in &mut brooks {
            line[*brook] = true;
            let towards_middle = *brook < width / 2;
            let goes_right = if rng.f64() < pull * 0.7 { towards_middle } else { rng.bool() };
            *brook = if goes_right { (*brook + 1).min(width - 1) } else { brook.saturating_sub(1) };
        }
    }
    let mut text = String::with_capacity(rows * (columns * 3 + 1));
    for lines in dots.chunks(DOTS.1) {
        for column in 0..columns {
            text.push(braille(|x, y| lines[y][column * DOTS.0 + x]));
        }
        text.push('\n');
    }
    text
}

/// The character of Braille with these dots (x across, y down).
fn braille(is_set: impl Fn(usize, usize) -> bool) -> char {
    const BITS: [[u32; 2]; 4] = [[0, 3], [1, 4], [2, 5], [6, 7]];
    let dots = (0..DOTS.1).flat_map(|y| (0..DOTS.0).map(move |x| (x, y))).filter(|&(x, y)| is_set(x, y));
    let bits: u32 = dots.map(|(x, y)| 1 << BITS[y][x]).sum();
    char::from_u32(0x2800 + bits).unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_has_the_size_that_is_asked_for() {
        let mut rng = fastrand::Rng::with_seed(1);
        for (columns, rows) in [(1, 1), (60, 14), (3, 100)] {
            let text = draw(columns, rows, &mut rng);
            assert_eq!(text.lines().count(), rows);
            assert!(text.lines().all(|line| line.chars().count() == columns));
            assert!(text.lines().all(|line| line.chars().any(|c| c != '\u{2800}')), "the river is everywhere");
        }
        assert_eq!(braille(|_, _| true), '⣿');
        assert_eq!(braille(|x, y| (x, y) == (0, 0)), '⠁');
    }
}
