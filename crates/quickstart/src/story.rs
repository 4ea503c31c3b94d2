//! From the lines of a server's log to plain words.
//!
//! The start of a link is told step by step ([`step`]); later only what changes something is news ([`event`]). Lines that say nothing to a
//! newcomer are left out. The log's wording is Redis's, so that this would read a Redis log as well.

/// What the log has said of a full sync that goes on.
#[derive(Default)]
pub struct Sync {
    /// Times of the day, in milliseconds.
    began: Option<u64>,
    ended: Option<u64>,
}

impl Sync {
    /// How long the last full sync took, from the master's answer to the end of loading.
    pub fn seconds(&self) -> Option<f64> {
        const DAY_MS: u64 = 24 * 3600 * 1000;
        Some(((self.ended? + DAY_MS - self.began?) % DAY_MS) as f64 / 1000.0)
    }

    fn note(&mut self, line: &Line<'_>) {
        if line.text.starts_with("Full resync from master") {
            *self = Sync { began: Some(line.ms), ended: None };
        } else if line.text == "MASTER <-> REPLICA sync: Finished with success" {
            self.ended = Some(line.ms);
        }
    }
}

/// `15402:S 22 Nov 2026 15:34:13.736 * text`.
pub struct Line<'a> {
    pub time: &'a str,
    /// Milliseconds of the day.
    pub ms: u64,
    pub text: &'a str,
}

impl Line<'_> {
    pub fn parse(line: &str) -> Option<Line<'_>> {
        let mut fields = line.splitn(7, ' ');
        let time = fields.nth(4)?;
        fields.next()?;
        let text = fields.next()?;
        let mut ms = 0;
        for (part, factor) in time.split([':', '.']).zip([3_600_000, 60_000, 1000, 1]) {
            ms += part.parse::<u64>().ok()? * factor;
        }
        Some(Line { time, ms, text })
    }
}

/// A step of a replica's first connection.
pub fn step(line: &str, sync: &mut Sync) -> Option<String> {
    let line = Line::parse(line)?;
    sync.note(&line);
    let text = line.text;
    let told = if let Some(master) = text.strip_prefix("Connecting to MASTER ") {
        format!("connects to its master, {master}")
    } else if text.starts_with("Non blocking connect") {
        "connected; says PING".into()
    } else if text.starts_with("Master replied to PING") {
        "PING was answered; handshake: own port and abilities (REPLCONF)".into()
    } else if text.starts_with("Partial resynchronization not possible") {
        "has no data yet, so it asks for all (PSYNC ? -1)".into()
    } else if let Some(position) = text.strip_prefix("Full resync from master: ") {
        let offset = position.rsplit(':').next()?;
        format!("full sync: a snapshot of the master at offset {offset} comes")
    } else if text.ends_with("Loading DB in memory") {
        "the snapshot is here and is being loaded".into()
    } else {
        trouble(text)?
    };
    Some(format!("{}  {told}", line.time))
}

/// Something that changes where a node stands, and when it did, in milliseconds of the day.
pub fn event(line: &str, sync: &mut Sync) -> Option<(u64, String)> {
    let line = Line::parse(line)?;
    sync.note(&line);
    let text = line.text;
    let told = if text.starts_with("Connection with master lost") {
        "the link to its master is cut".into()
    } else if let Some(request) = text.strip_prefix("Trying a partial resynchronization (request ") {
        let offset = request.trim_end_matches([')', '.']).rsplit(':').next()?;
        format!("asks to go on at byte {offset} (PSYNC)")
    } else if text.starts_with("Successful partial resynchronization") {
        "partial resync (+CONTINUE): it goes on where it was".into()
    } else if let Some(request) = text.strip_prefix("Partial resynchronization request from ") {
        let (replica, rest) = request.split_once(" accepted. Sending ")?;
        let bytes = rest.split(' ').next()?;
        format!("sends {replica} the {bytes} bytes that it missed")
    } else if text.starts_with("Partial resynchronization not accepted") || text.starts_with("Unable to partial resync")
    {
        no_partial(text)
    } else if let Some(position) = text.strip_prefix("Full resync from master: ") {
        format!("full sync: a snapshot at offset {} comes", position.rsplit(':').next()?)
    } else if text == "MASTER <-> REPLICA sync: Finished with success" {
        match sync.seconds() {
            Some(seconds) => format!("full sync done in {seconds:.3} s"),
            None => "full sync done".into(),
        }
    } else if text.starts_with("MASTER MODE enabled") {
        "is a master now".into()
    } else if let Some(request) = text.strip_prefix("REPLICAOF ") {
        format!("becomes a replica of {}", request.split(' ').next()?)
    } else {
        trouble(text)?
    };
    Some((line.ms, format!("{}  {told}", line.time.get(..8)?)))
}

/// Why a master says no, without the ids, which are too long to be read here.
fn no_partial(text: &str) -> String {
    let why = if text.contains("ID mismatch") {
        "it has another history"
    } else if text.contains("second ID") {
        "it went on after the histories parted"
    } else if text.contains("no backlog") {
        "there is no backlog"
    } else {
        "what it misses has left the backlog"
    };
    format!("no partial resync for a replica: {why}")
}

fn trouble(text: &str) -> Option<String> {
    const STARTS: [&str; 8] = [
        "Error condition on socket for SYNC",
        "Unable to connect to MASTER",
        "Timeout connecting to the MASTER",
        "MASTER timeout",
        "Unable to AUTH to MASTER",
        "Failed trying to load the MASTER",
        "Protocol error from MASTER",
        "I/O error trying to sync with MASTER",
    ];
    STARTS.iter().any(|start| text.starts_with(start)).then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(time: &str, text: &str) -> String {
        format!("15402:S 22 Nov 2026 {time} * {text}")
    }

    #[test]
    fn the_first_connection_step_by_step() {
        let mut sync = Sync::default();
        let mut told = |time, text| step(&log(time, text), &mut sync);
        assert_eq!(
            told("15:34:13.736", "Connecting to MASTER 127.0.0.1:6379").as_deref(),
            Some("15:34:13.736  connects to its master, 127.0.0.1:6379")
        );
        assert_eq!(
            told("23:59:59.990", "Full resync from master: 0c74907d64be466c98a65af13e9bea7d9e0b4f3a:14").as_deref(),
            Some("23:59:59.990  full sync: a snapshot of the master at offset 14 comes")
        );
        assert_eq!(told("00:00:00.015", "MASTER <-> REPLICA sync: Finished with success"), None);
        assert_eq!(told("00:00:00.015", "RDB age 0 seconds"), None);
        assert_eq!(sync.seconds(), Some(0.025));
    }

    #[test]
    fn cuts_and_changes_of_role() {
        let told = |text| event(&log("15:34:13.736", text), &mut Sync::default()).map(|(_, told)| told);
        for (text, want) in [
            ("Connection with master lost.", "the link to its master is cut"),
            ("Trying a partial resynchronization (request 0c74:73).", "asks to go on at byte 73 (PSYNC)"),
            (
                "Partial resynchronization request from 127.0.0.1:6380 accepted. Sending 40 bytes of backlog starting from offset 73.",
                "sends 127.0.0.1:6380 the 40 bytes that it missed",
            ),
            (
                "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for 'a', my replication IDs are 'b' and 'c')",
                "no partial resync for a replica: it has another history",
            ),
            ("REPLICAOF 127.0.0.1:6380 enabled (user request from 'id=6')", "becomes a replica of 127.0.0.1:6380"),
            (
                "Error condition on socket for SYNC: Connection refused",
                "Error condition on socket for SYNC: Connection refused",
            ),
        ] {
            assert_eq!(told(text), Some(format!("15:34:13  {want}")));
        }
        assert_eq!(told("Connecting to MASTER 127.0.0.1:6379"), None);
        assert_eq!(event("not a line of a log", &mut Sync::default()), None);
        let moment =
            event(&log("00:00:01.002", "Connection with master lost."), &mut Sync::default()).map(|(ms, _)| ms);
        assert_eq!(moment, Some(1002));
    }
}
