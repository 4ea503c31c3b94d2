//! `--stat`: a line of figures, again and again.

use std::time::Duration;

use rivulet_progress::bytes;

use super::ask_always;
use crate::clock;
use crate::out::{Fatal, say};
use crate::session::Session;

/// The head stands again above every so many lines.
const LINES_PER_HEAD: u64 = 20;
const HEAD: &str = "------- data ------ --------------------- load -------------------- - child -\n\
                    keys       mem      clients blocked requests            connections          \n";

/// Shows lines without end.
///
/// # Errors
/// The server refuses.
pub fn run(session: &mut Session) -> Result<(), Fatal> {
    let pause = session.options.interval;
    let pause = if pause.is_zero() { Duration::from_secs(1) } else { pause };
    let (mut lines, mut requests) = (0, 0);
    loop {
        let reply = ask_always(session, &["INFO"])?;
        if reply.is_error() {
            return Err(Fatal(format!("ERROR: {}", reply.text())));
        }
        if lines % LINES_PER_HEAD == 0 {
            say!("{HEAD}");
        }
        lines += 1;
        let info = Info(&reply.text()).line(&mut requests);
        say!("{info}\n");
        clock::sleep(pause);
    }
}

/// The text of INFO.
struct Info<'a>(&'a str);

impl Info<'_> {
    fn number(&self, field: &str) -> i64 {
        let value = self.0.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }

    fn keys(&self) -> i64 {
        let databases = self.0.lines().filter_map(|line| {
            let (name, figures) = line.split_once(":keys=")?;
            name.strip_prefix("db")?.parse::<u32>().ok()?;
            figures.split(',').next()?.parse::<i64>().ok()
        });
        databases.fold(0, i64::saturating_add)
    }

    /// A line; `requests` are those of the line before, and become this one's.
    fn line(&self, requests: &mut i64) -> String {
        let all = self.number("total_commands_processed");
        let since = if *requests == 0 { 0 } else { all.saturating_sub(*requests) };
        *requests = all;
        let memory = bytes(u64::try_from(self.number("used_memory")).unwrap_or(0));
        let child = match (
            self.number("rdb_bgsave_in_progress"),
            self.number("aof_rewrite_in_progress"),
            self.number("loading"),
        ) {
            (0, 0, 0) => "",
            (1, 0, 0) => "SAVE",
            (0, 1, 0) => "AOF",
            (1, 1, 0) => "SAVE+AOF",
            (0, 0, 1) => "LOAD",
            _ => "",
        };
        let (keys, clients) = (self.keys(), self.number("connected_clients"));
        let (blocked, connections) = (self.number("blocked_clients"), self.number("total_connections_received"));
        let load = format!("{all} (+{since})");
        format!("{keys:<11}{memory:<8} {clients:<8}{blocked:<8}{load:<19} {connections:<12}{child}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line() {
        let text = "# Clients\r\nconnected_clients:2\r\nblocked_clients:1\r\nused_memory:1572864\r\nused_memory_rss:5\r\n\
            loading:0\r\nasync_loading:0\r\nrdb_bgsave_in_progress:1\r\naof_rewrite_in_progress:0\r\n\
            total_connections_received:7\r\ntotal_commands_processed:100\r\ndb0:keys=3,expires=0\r\ndb9:keys=4,expires=1\r\n";
        let mut requests = 0;
        let first = Info(text).line(&mut requests);
        assert_eq!(first, "7          1.50M    2       1       100 (+0)            7           SAVE");
        let later = text.replace(":100", ":160");
        assert!(Info(&later).line(&mut requests).contains("160 (+60)"));
        assert_eq!(requests, 160);
        assert!(Info("").line(&mut requests).starts_with("0          0B"));
    }
}
