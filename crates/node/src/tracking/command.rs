//! CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO.

use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_engine::asker::Asker;
use rivulet_engine::client_id::ClientId;
use rivulet_engine::tracking::options::Options;
use rivulet_engine::tracking::tracker::{Mode, Tracker};
use rivulet_resp::Args;

use crate::node::Node;

const CACHING_WITHOUT_CHOICE: Fail = Fail::new(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
);
const YES_WITHOUT_OPT_IN: Fail =
    Fail::new("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
const NO_WITHOUT_OPT_OUT: Fail =
    Fail::new("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");

/// The words of TRACKINGINFO about how a client tracks.
fn flags(tracker: Option<&Tracker>) -> Vec<&'static str> {
    let Some(tracker) = tracker else { return vec!["off"] };
    let mut flags = vec!["on"];
    match (&tracker.mode, tracker.caching_said) {
        (Mode::All, _) => {}
        (Mode::Broadcast(_), _) => flags.push("bcast"),
        (Mode::OptIn, false) => flags.push("optin"),
        (Mode::OptIn, true) => flags.extend(["optin", "caching-yes"]),
        (Mode::OptOut, false) => flags.push("optout"),
        (Mode::OptOut, true) => flags.extend(["optout", "caching-no"]),
    }
    if tracker.no_loop {
        flags.push("noloop");
    }
    if tracker.is_redirect_broken {
        flags.push("broken_redirect");
    }
    flags
}

impl Node {
    fn tracker(&self, id: ClientId) -> Option<&Tracker> {
        self.clients.get(id).and_then(|client| client.session.tracking.as_deref())
    }

    pub fn client_tracking(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        // All is read before anything of it is judged.
        let options = Options::parse(args, |id| self.clients.get(id).is_some())?;
        if args.is(2, "on") {
            let tracker = options.tracker(self.tracker(by.id))?;
            self.start_tracking(by.id, tracker);
        } else if args.is(2, "off") {
            self.stop_tracking(by.id);
        } else {
            return Err(SYNTAX);
        }
        by.reply.ok();
        Ok(())
    }

    pub fn client_caching(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let tracker = self.clients.at(by.id).session.tracking.as_deref_mut().ok_or(CACHING_WITHOUT_CHOICE)?;
        match (args.is(2, "yes"), args.is(2, "no"), &tracker.mode) {
            (true, _, Mode::OptIn) | (_, true, Mode::OptOut) => tracker.caching_said = true,
            (true, ..) => return Err(YES_WITHOUT_OPT_IN),
            (_, true, _) => return Err(NO_WITHOUT_OPT_OUT),
            _ => return Err(SYNTAX),
        }
        by.reply.ok();
        Ok(())
    }

    pub fn client_getredir(&mut self, by: &mut Asker<'_>) {
        by.reply.int(Tracker::redirect_shown(self.tracker(by.id)));
    }

    pub fn client_trackinginfo(&mut self, by: &mut Asker<'_>) {
        let tracker = self.tracker(by.id);
        let (reply, flags) = (&mut by.reply, flags(tracker));
        reply.map(3);
        reply.bulk(b"flags");
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
        reply.bulk(b"redirect");
        reply.int(Tracker::redirect_shown(tracker));
        reply.bulk(b"prefixes");
        match tracker.map(|tracker| &tracker.mode) {
            Some(Mode::Broadcast(prefixes)) => {
                reply.array(prefixes.len());
                prefixes.iter().for_each(|prefix| reply.bulk(prefix));
            }
            _ => reply.array(0),
        }
    }
}
