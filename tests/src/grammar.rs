//! Random command lines from patterns.
//!
//! A pattern is words between blanks. `[a|b]` is one of these or nothing, `(a|b)` one of these, `…+` once to four times, `{name}` a
//! random word of that class (`Words::class`). All else stands for itself.

use crate::random::Rng;

/// A parsed pattern.
#[derive(Debug)]
pub enum Part {
    Word(&'static str),
    Class(&'static str),
    OneOf(Vec<Vec<Part>>),
    Maybe(Vec<Vec<Part>>),
    Some(Box<Part>),
}

/// Parses a whole pattern. Patterns are constants, so that mistakes panic.
pub fn parse(pattern: &'static str) -> Vec<Part> {
    let mut rest = pattern;
    let mut branches = sequence(&mut rest);
    assert!(rest.is_empty() && branches.len() == 1, "{pattern}");
    branches.pop().expect("there is one")
}

/// Alternatives up to a closing bracket or the end.
fn sequence(rest: &mut &'static str) -> Vec<Vec<Part>> {
    let mut branches = vec![Vec::new()];
    loop {
        *rest = rest.trim_start();
        let Some(first) = rest.bytes().next() else { return branches };
        let part = match first {
            b'|' => {
                *rest = &rest[1..];
                branches.push(Vec::new());
                continue;
            }
            b')' | b']' => return branches,
            b'(' | b'[' => {
                *rest = &rest[1..];
                let inner = sequence(rest);
                *rest = &rest[1..];
                if first == b'(' { Part::OneOf(inner) } else { Part::Maybe(inner) }
            }
            b'{' => {
                let end = rest.find('}').expect("the class ends");
                let name = &rest[1..end];
                *rest = &rest[end + 1..];
                Part::Class(name)
            }
            _ => {
                let end = rest.find([' ', '|', ')', ']', '+']).unwrap_or(rest.len());
                let word = &rest[..end];
                *rest = &rest[end..];
                Part::Word(word)
            }
        };
        let part = match rest.strip_prefix('+') {
            Some(after) => {
                *rest = after;
                Part::Some(Box::new(part))
            }
            None => part,
        };
        branches.last_mut().expect("there is one").push(part);
    }
}

/// Makes the words of a command line.
pub fn fill(parts: &[Part], rng: &mut Rng, class: &mut impl FnMut(&mut Rng, &str) -> Vec<u8>, out: &mut Vec<Vec<u8>>) {
    for part in parts {
        fill_one(part, rng, class, out);
    }
}

fn fill_one(part: &Part, rng: &mut Rng, class: &mut impl FnMut(&mut Rng, &str) -> Vec<u8>, out: &mut Vec<Vec<u8>>) {
    match part {
        Part::Word(word) => out.push(word.as_bytes().to_vec()),
        Part::Class(name) => {
            let word = class(rng, name);
            out.push(word);
        }
        Part::OneOf(branches) => fill(&branches[rng.usize(..branches.len())], rng, class, out),
        Part::Maybe(branches) => {
            if rng.u8(..3) == 0 {
                fill(&branches[rng.usize(..branches.len())], rng, class, out);
            }
        }
        Part::Some(inner) => {
            for _ in 0..rng.usize(1..=4) {
                fill_one(inner, rng, class, out);
            }
        }
    }
}
