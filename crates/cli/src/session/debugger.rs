//! What the server's debugger of Lua scripts says, in its colours.

use rivulet_client::Reply;

use super::{Debugger, Session};
use crate::format::Output;
use crate::out;

const WHITE: u8 = 37;

impl Session {
    /// Shows what the debugger says, and notes whether it has ended.
    pub(super) fn show_debugger(&mut self, reply: &Reply) {
        let has_colours = std::env::var("TERM").is_ok_and(|terminal| terminal.contains("xterm"));
        let lines = reply.items().map_or(vec![reply], |items| items.iter().collect());
        for line in lines {
            let text = line.as_bytes().unwrap_or_default();
            if text.starts_with(b"<endsession>") {
                (self.debugger, self.output) = (Debugger::Ended, Output::Standard);
            } else if has_colours {
                let (is_bold, colour) = colour(text);
                out::write(format!("\x1b[{};{colour};49m", u8::from(is_bold)).as_bytes());
                out::write(text);
                out::write(b"\x1b[0m");
            } else {
                out::write(text);
            }
            out::write(b"\n");
        }
    }
}

/// Whether a line is bold, and its colour by ANSI's number.
fn colour(line: &[u8]) -> (bool, u8) {
    const MARKS: &[(&str, bool, u8)] = &[
        ("<value>", false, 35),
        ("<retval>", false, 35),
        ("<hint>", true, WHITE),
        ("<error>", false, 31),
        ("<reply>", false, 36),
        ("<redis>", false, 32),
        ("<debug>", true, WHITE),
    ];
    // `-> 7` is where the script stands, `  #7` where it will stop.
    if let [_, second, third, b'0'..=b'9', _, ..] = line {
        if *second == b'>' {
            return (false, 33);
        }
        if *third == b'#' {
            return (true, WHITE);
        }
    }
    let has = |mark: &str| line.windows(mark.len()).any(|part| part == mark.as_bytes());
    let found = MARKS.iter().find(|(mark, ..)| has(mark));
    found.map_or((false, WHITE), |(_, is_bold, colour)| (*is_bold, *colour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_of_lines() {
        for (line, expected) in [
            ("* Stopped at 1, stop reason = step over", (false, 37)),
            ("-> 1   local a = 1", (false, 33)),
            ("  #3   return", (true, 37)),
            ("<redis> set k v", (false, 32)),
            ("<error> no", (false, 31)),
            ("<retval> 2", (false, 35)),
            ("", (false, 37)),
        ] {
            assert_eq!(colour(line.as_bytes()), expected, "{line}");
        }
    }
}
