//! `--latency-dist`: a spectrum of latencies, a line for each interval, darker and brighter by how many samples fell into each part of the scale.

use std::time::Duration;

use super::{ask_always, latency};
use crate::clock;
use crate::out::{Fatal, say};
use crate::session::Session;

const INTERVAL: Duration = Duration::from_secs(1);
/// The legend stands again above every so many lines.
const LINES_PER_LEGEND: u64 = 20;
/// Colours of xterm's 256, from no sample to all of them.
const COLOURS: &[u8] = &[0, 233, 234, 235, 237, 239, 241, 243, 245, 247, 144, 143, 142, 184, 226, 214, 208, 202, 196];
const GREYS: &[u8] = &[0, 233, 234, 235, 237, 239, 241, 243, 245, 247, 249, 251, 253];

/// Parts of the scale: up to so many microseconds, and the character.
const SCALE: &[(u64, char)] = &[
    (10, '.'),
    (125, '-'),
    (250, '*'),
    (500, '#'),
    (1_000, '1'),
    (2_000, '2'),
    (3_000, '3'),
    (4_000, '4'),
    (5_000, '5'),
    (6_000, '6'),
    (7_000, '7'),
    (8_000, '8'),
    (9_000, '9'),
    (10_000, 'A'),
    (20_000, 'B'),
    (30_000, 'C'),
    (40_000, 'D'),
    (50_000, 'E'),
    (100_000, 'F'),
    (200_000, 'G'),
    (300_000, 'H'),
    (400_000, 'I'),
    (500_000, 'J'),
    (1_000_000, 'K'),
    (2_000_000, 'L'),
    (4_000_000, 'M'),
    (8_000_000, 'N'),
    (16_000_000, 'O'),
    (30_000_000, 'P'),
    (60_000_000, 'Q'),
    (u64::MAX, '?'),
];

/// Shows lines without end.
///
/// # Errors
/// What came is no reply.
pub fn run(session: &mut Session) -> Result<(), Fatal> {
    let interval = session.options.interval;
    let interval = if interval.is_zero() { INTERVAL } else { interval };
    let palette = if session.options.has_mono_palette { GREYS } else { COLOURS };
    let (mut counts, mut lines, mut begun) = ([0u64; SCALE.len()], 0, clock::now());
    loop {
        let start = clock::now();
        ask_always(session, &["PING"])?;
        let now = clock::now();
        let micros = now.duration_since(start).as_micros() as u64;
        counts[SCALE.partition_point(|(max, _)| *max < micros)] += 1;
        if now.duration_since(begun) > interval {
            if lines % LINES_PER_LEGEND == 0 {
                say!("{}", legend(palette));
            }
            lines += 1;
            say!("{}", line(&counts, palette));
            (counts, begun) = ([0; SCALE.len()], now);
        }
        clock::sleep(latency::PAUSE);
    }
}

fn line(counts: &[u64; SCALE.len()], palette: &[u8]) -> String {
    let total = counts.iter().sum::<u64>().max(1) as f64;
    let mut out = String::from("\x1b[38;5;0m");
    for (count, (_, character)) in counts.iter().zip(SCALE) {
        let shade = (*count as f64 / total * (palette.len() - 1) as f64).ceil() as usize;
        out += &format!("\x1b[48;5;{}m{character}", palette[shade.min(palette.len() - 1)]);
    }
    out + "\x1b[0m\n"
}

fn legend(palette: &[u8]) -> String {
    const RULE: &str = "---------------------------------------------\n";
    let mut out = String::from(RULE);
    out += ". - * #          .01 .125 .25 .5 milliseconds\n\
            1,2,3,...,9      from 1 to 9     milliseconds\n\
            A,B,C,D,E        10,20,30,40,50  milliseconds\n\
            F,G,H,I,J        .1,.2,.3,.4,.5       seconds\n\
            K,L,M,N,O,P,Q,?  1,2,4,8,16,30,60,>60 seconds\n\
            From 0 to 100%: ";
    for colour in palette {
        out += &format!("\x1b[48;5;{colour}m ");
    }
    out + "\x1b[0m\n" + RULE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_go_by_the_share() {
        let mut counts = [0; SCALE.len()];
        (counts[0], counts[1]) = (99, 1);
        let text = line(&counts, COLOURS);
        assert!(text.starts_with("\x1b[38;5;0m\x1b[48;5;196m.\x1b[48;5;233m-\x1b[48;5;0m*"), "{text:?}");
        assert!(SCALE.is_sorted());
        assert!(line(&[0; SCALE.len()], GREYS).ends_with("?\x1b[0m\n"));
    }
}
