//! The command logs: the latest commands that took long (the slow log), whose requests were large, or whose replies were.

use std::collections::VecDeque;

use rivulet_config::Config;

/// For what a command is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotedFor {
    /// It took long.
    Slow,
    LargeRequest,
    LargeReply,
}

impl NotedFor {
    pub const ALL: [NotedFor; 3] = [NotedFor::Slow, NotedFor::LargeRequest, NotedFor::LargeReply];

    /// From which duration in us, or bytes, and how many are kept; `None` if none is noted.
    fn limits(self, config: &Config) -> Option<(u64, usize)> {
        let (from, most) = match self {
            NotedFor::Slow => (config.slowlog_log_slower_than, config.slowlog_max_len),
            NotedFor::LargeRequest => (config.commandlog_request_larger_than, config.commandlog_large_request_max_len),
            NotedFor::LargeReply => (config.commandlog_reply_larger_than, config.commandlog_large_reply_max_len),
        };
        Some((u64::try_from(from).ok()?, usize::try_from(most).unwrap_or(usize::MAX)))
    }
}

/// What may be noted of a command: how long it took, and bytes of its request and reply as on the wire.
#[derive(Clone, Copy)]
pub struct Measured {
    pub us: u64,
    pub request_bytes: u64,
    pub reply_bytes: u64,
}

impl Measured {
    fn value(self, noted_for: NotedFor) -> u64 {
        match noted_for {
            NotedFor::Slow => self.us,
            NotedFor::LargeRequest => self.request_bytes,
            NotedFor::LargeReply => self.reply_bytes,
        }
    }

    /// For what it is noted, and how many such commands are kept.
    pub fn reasons(self, config: &Config) -> impl Iterator<Item = (NotedFor, usize)> {
        let reason = move |why: NotedFor| {
            let (from, most) = why.limits(config)?;
            (self.value(why) >= from).then_some((why, most))
        };
        NotedFor::ALL.into_iter().filter_map(reason)
    }
}

/// From where on a command has to be looked at. It is asked once a batch, so that each command costs one comparison.
#[derive(Clone, Copy, Default)]
pub struct Notable {
    us: u64,
    reply_bytes: u64,
}

impl Notable {
    /// Of the commands of a batch that has so many bytes: where one of them may be large, all are looked at.
    #[inline]
    pub fn of(config: &Config, batch_bytes: usize) -> Notable {
        let from = |limit: i64| u64::try_from(limit).unwrap_or(u64::MAX);
        if batch_bytes as u64 >= from(config.commandlog_request_larger_than) {
            return Notable::default();
        }
        Notable { us: from(config.slowlog_log_slower_than), reply_bytes: from(config.commandlog_reply_larger_than) }
    }

    /// Whether a command may have to be noted.
    #[inline]
    pub fn may_note(self, us: u64, reply_bytes: u64) -> bool {
        (us >= self.us) | (reply_bytes >= self.reply_bytes)
    }
}

/// One command.
pub struct Noted {
    /// Counts from 0, also over a reset.
    pub id: u64,
    pub unix_s: u64,
    /// Us that it took, or bytes.
    pub value: u64,
    pub args: Vec<Vec<u8>>,
    /// Of the client, and its name.
    pub address: String,
    pub name: Vec<u8>,
}

/// The latest commands that were noted for one reason, newest first.
#[derive(Default)]
pub struct Log {
    entries: VecDeque<Noted>,
    next_id: u64,
}

impl Log {
    /// Notes a command, whose id is given here; keeps `max` of them.
    fn add(&mut self, noted: Noted, max: usize) {
        self.entries.push_front(Noted { id: self.next_id, ..noted });
        self.next_id += 1;
        self.entries.truncate(max);
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Noted> {
        self.entries.iter()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// The three logs.
#[derive(Default)]
pub struct CommandLog {
    logs: [Log; 3],
    /// For the commands that run now.
    pub notable: Notable,
}

impl CommandLog {
    pub fn of(&self, noted_for: NotedFor) -> &Log {
        &self.logs[noted_for as usize]
    }

    pub fn of_mut(&mut self, noted_for: NotedFor) -> &mut Log {
        &mut self.logs[noted_for as usize]
    }

    /// Notes a command for one reason, and forgets the oldest beyond so many. With none to keep nothing is counted, as in Redis.
    pub fn note(&mut self, (noted_for, most): (NotedFor, usize), measured: Measured, noted: Noted) {
        let noted = Noted { value: measured.value(noted_for), ..noted };
        self.of_mut(noted_for).add(noted, most);
    }

    /// The name and the duration in us of the slowest command that is kept.
    pub fn slowest(&self) -> Option<(&[u8], u64)> {
        let slowest = self.of(NotedFor::Slow).iter().max_by_key(|noted| noted.value)?;
        Some((slowest.args.first().map_or(b"", Vec::as_slice), slowest.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_looked_at() {
        let mut config = Config { slowlog_log_slower_than: 100, ..Config::default() };
        (config.commandlog_request_larger_than, config.commandlog_reply_larger_than) = (50, 70);
        for (us, request_bytes, reply_bytes) in [99, 100, 0]
            .into_iter()
            .flat_map(|us| [49, 50].map(|n| (us, n)))
            .flat_map(|(us, n)| [69, 70].map(|m| (us, n, m)))
        {
            let measured = Measured { us, request_bytes, reply_bytes };
            let reasons: Vec<NotedFor> = measured.reasons(&config).map(|(why, _)| why).collect();
            let wanted = [us >= 100, request_bytes >= 50, reply_bytes >= 70];
            assert_eq!(NotedFor::ALL.map(|why| reasons.contains(&why)), wanted);
            let notable = Notable::of(&config, request_bytes as usize);
            assert_eq!(notable.may_note(us, reply_bytes), !reasons.is_empty(), "{us} {request_bytes} {reply_bytes}");
        }
        config.slowlog_log_slower_than = -1;
        (config.commandlog_request_larger_than, config.commandlog_reply_larger_than) = (-1, -1);
        let all = Measured { us: 1 << 40, request_bytes: 1 << 40, reply_bytes: 1 << 40 };
        assert_eq!(all.reasons(&config).count(), 0);
        assert!(!Notable::of(&config, 1 << 40).may_note(1 << 40, 1 << 40));
    }

    #[test]
    fn ids_go_on_over_a_reset_and_the_oldest_goes() {
        let mut log = Log::default();
        let noted = || Noted { id: 0, unix_s: 0, value: 0, args: Vec::new(), address: String::new(), name: Vec::new() };
        (0..3).for_each(|_| log.add(noted(), 2));
        assert_eq!(log.iter().map(|noted| noted.id).collect::<Vec<_>>(), [2, 1]);
        log.clear();
        log.add(noted(), 2);
        assert_eq!((log.len(), log.iter().next().map(|noted| noted.id)), (1, Some(3)));
    }
}
