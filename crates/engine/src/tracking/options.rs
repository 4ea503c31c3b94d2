//! The options of CLIENT TRACKING, and which of them go together.

use std::collections::BTreeSet;
use std::sync::Arc;

use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_resp::Args;

use super::tracker::{Mode, Tracker};
use crate::client_id::ClientId;

const SECOND_REDIRECT: Fail = Fail::new("ERR A client can only redirect to a single other client");
const NO_SUCH_CLIENT: Fail = Fail::new("ERR The client ID you want redirect to does not exist");
const PREFIX_WITHOUT_BROADCAST: Fail = Fail::new("ERR PREFIX option requires BCAST mode to be enabled");
const OTHER_MODE: Fail = Fail::new(
    "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
);
const CHOICE_WITH_BROADCAST: Fail = Fail::new("ERR OPTIN and OPTOUT are not compatible with BCAST");
const BOTH_CHOICES: Fail = Fail::new("ERR You can't specify both OPTIN mode and OPTOUT mode");
const OTHER_CHOICE: Fail = Fail::new(
    "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
);

/// What was asked for, before it is known whether it makes sense.
#[derive(Debug, Default)]
pub struct Options {
    redirect: Option<ClientId>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    no_loop: bool,
    prefixes: Vec<Arc<[u8]>>,
}

impl Options {
    /// Reads the arguments from the fourth on. Whether there is a client with an id, `is_there` says: it is only asked now, and the client may go.
    pub fn parse(args: Args<'_>, is_there: impl Fn(ClientId) -> bool) -> Result<Options, Fail> {
        let mut options = Options::default();
        let mut at = 3;
        while at < args.len() {
            let has_value = at + 1 < args.len();
            if args.is(at, "redirect") && has_value {
                at += 1;
                if options.redirect.is_some() {
                    return Err(SECOND_REDIRECT);
                }
                let id = rivulet_commands::parse::int(args.at(at))?;
                let id = ClientId::try_from(id).ok().filter(|id| is_there(*id));
                options.redirect = Some(id.ok_or(NO_SUCH_CLIENT)?);
            } else if args.is(at, "prefix") && has_value {
                at += 1;
                options.prefixes.push(args.at(at).into());
            } else {
                let flag = match args.at(at).to_ascii_lowercase().as_slice() {
                    b"bcast" => &mut options.broadcast,
                    b"optin" => &mut options.opt_in,
                    b"optout" => &mut options.opt_out,
                    b"noloop" => &mut options.no_loop,
                    _ => return Err(SYNTAX),
                };
                *flag = true;
            }
            at += 1;
        }
        Ok(options)
    }

    /// How the client tracks with these, having tracked as `before` or not at all. Prefixes add to those that it has.
    pub fn tracker(self, before: Option<&Tracker>) -> Result<Tracker, Fail> {
        self.check(before)?;
        let mode = match (self.broadcast, self.opt_in, self.opt_out) {
            (true, ..) => Mode::Broadcast(self.all_prefixes(before)),
            (_, true, _) => Mode::OptIn,
            (_, _, true) => Mode::OptOut,
            _ => Mode::All,
        };
        Ok(Tracker {
            mode,
            no_loop: self.no_loop,
            redirect: self.redirect,
            is_redirect_broken: false,
            caching_said: before.is_some_and(|tracker| tracker.caching_said),
        })
    }

    fn all_prefixes(&self, before: Option<&Tracker>) -> BTreeSet<Arc<[u8]>> {
        let mut prefixes = prefixes_of(before).cloned().unwrap_or_default();
        match self.prefixes.is_empty() {
            // That of all keys.
            true => _ = prefixes.insert(Arc::from(&b""[..])),
            false => prefixes.extend(self.prefixes.iter().cloned()),
        }
        prefixes
    }

    fn check(&self, before: Option<&Tracker>) -> Result<(), Fail> {
        if !self.broadcast && !self.prefixes.is_empty() {
            return Err(PREFIX_WITHOUT_BROADCAST);
        }
        if before.is_some_and(|tracker| tracker.is_broadcast() != self.broadcast) {
            return Err(OTHER_MODE);
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return Err(CHOICE_WITH_BROADCAST);
        }
        if self.opt_in && self.opt_out {
            return Err(BOTH_CHOICES);
        }
        match before.map(|tracker| &tracker.mode) {
            Some(Mode::OptIn) if self.opt_out => return Err(OTHER_CHOICE),
            Some(Mode::OptOut) if self.opt_in => return Err(OTHER_CHOICE),
            _ => {}
        }
        self.check_overlaps(before)
    }

    /// A key is to be told once, so a client's prefixes may not begin with one another.
    fn check_overlaps(&self, before: Option<&Tracker>) -> Result<(), Fail> {
        for (i, prefix) in self.prefixes.iter().enumerate() {
            if let Some(other) = prefixes_of(before).into_iter().flatten().find(|other| overlap(prefix, other)) {
                return Err(overlapping(prefix, b"an existing prefix", other));
            }
            if let Some(other) = self.prefixes[i + 1..].iter().find(|other| overlap(prefix, other)) {
                return Err(overlapping(prefix, b"another provided prefix", other));
            }
        }
        Ok(())
    }
}

fn prefixes_of(tracker: Option<&Tracker>) -> Option<&BTreeSet<Arc<[u8]>>> {
    match &tracker?.mode {
        Mode::Broadcast(prefixes) => Some(prefixes),
        _ => None,
    }
}

/// Whether one of the two begins with the other.
fn overlap(a: &[u8], b: &[u8]) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

fn overlapping(prefix: &[u8], which: &[u8], other: &[u8]) -> Fail {
    const RULE: &[u8] = b"'. Prefixes for a single client must not overlap.";
    Fail::bytes([b"ERR Prefix '", prefix, b"' overlaps with ", which, b" '", other, RULE].concat())
}

#[cfg(test)]
mod tests {
    use rivulet_resp::OwnedArgs;

    use super::*;

    /// What a line gives after those before it, all of one client: its mode, or the error.
    fn after(lines: &[&str]) -> String {
        let mut tracker = None;
        let mut shown = String::new();
        for line in lines {
            let words: Vec<&str> = ["CLIENT", "TRACKING", "ON"].into_iter().chain(line.split_whitespace()).collect();
            let args = OwnedArgs::from_slices(&words);
            let options = Options::parse(args.as_args(), |id| id == 7);
            match options.and_then(|options| options.tracker(tracker.as_ref())) {
                Ok(next) => {
                    shown = match &next.mode {
                        Mode::Broadcast(prefixes) => {
                            let texts: Vec<_> = prefixes.iter().map(|p| String::from_utf8_lossy(p)).collect();
                            format!("broadcast {}", texts.join(","))
                        }
                        mode => format!("{mode:?}"),
                    };
                    tracker = Some(next);
                }
                Err(fail) => shown = String::from_utf8_lossy(&fail.0).into_owned(),
            }
        }
        shown
    }

    #[test]
    fn options_that_go_together() {
        for (lines, mode) in [
            (&[""][..], "All"),
            (&["NoLoop Redirect 7"], "All"),
            (&["OPTIN"], "OptIn"),
            (&["OPTIN", ""], "All"),
            (&["OPTIN", "", "OPTOUT"], "OptOut"),
            (&["bcast"], "broadcast "),
            (&["BCAST PREFIX b PREFIX a"], "broadcast a,b"),
            (&["BCAST PREFIX b PREFIX a", "BCAST PREFIX c"], "broadcast a,b,c"),
            (&["BCAST PREFIX b", "BCAST"], "broadcast ,b"),
            (&["BCAST", "BCAST"], "broadcast "),
        ] {
            assert_eq!(after(lines), mode, "{lines:?}");
        }
    }

    #[test]
    fn options_that_do_not() {
        for (lines, error) in [
            (&["REDIRECT"][..], SYNTAX),
            (&["PREFIX"], SYNTAX),
            (&["BCAST WHAT"], SYNTAX),
            (&["REDIRECT x"], rivulet_commands::fail::NOT_INTEGER),
            (&["REDIRECT 8"], NO_SUCH_CLIENT),
            (&["REDIRECT 0"], NO_SUCH_CLIENT),
            (&["REDIRECT -7"], NO_SUCH_CLIENT),
            (&["REDIRECT 7 REDIRECT 7"], SECOND_REDIRECT),
            (&["PREFIX x"], PREFIX_WITHOUT_BROADCAST),
            (&["", "BCAST"], OTHER_MODE),
            (&["BCAST", "NOLOOP"], OTHER_MODE),
            (&["BCAST OPTIN"], CHOICE_WITH_BROADCAST),
            (&["OPTIN OPTOUT"], BOTH_CHOICES),
            (&["OPTIN", "OPTOUT"], OTHER_CHOICE),
            (&["OPTOUT", "OPTIN"], OTHER_CHOICE),
            (&["BCAST PREFIX a PREFIX ab"], overlapping(b"a", b"another provided prefix", b"ab")),
            (&["BCAST PREFIX a PREFIX a"], overlapping(b"a", b"another provided prefix", b"a")),
            (&["BCAST PREFIX ab", "BCAST PREFIX a"], overlapping(b"a", b"an existing prefix", b"ab")),
            (&["BCAST", "BCAST PREFIX a"], overlapping(b"a", b"an existing prefix", b"")),
        ] {
            assert_eq!(after(lines), String::from_utf8_lossy(&error.0), "{lines:?}");
        }
    }
}
