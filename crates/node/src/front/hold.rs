//! What of one connection's output waits, and for what. It knows places in the output and offsets of the stream, and who may let them go; nothing of sockets.

use std::collections::VecDeque;

use crate::front::output::Output;

/// What a part of the output waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// For this server's disk, and for nothing else.
    Disk,
    /// Replies to writes: for the replicas, too. After `synchronous-timeout` they are errors.
    Write,
    /// Replies to reads: as those to writes.
    Read,
    /// Messages that tell of writes. They are sent after `synchronous-timeout`, as they are.
    Message,
}

/// A part of the output, and the offset which must be released before it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Places in all that was ever written, see [`Output::end`].
    pub start: u64,
    pub end: u64,
    pub offset: u64,
    /// Replicas must have acknowledged the stream up to here, which is beyond what there was then: so they followed this master still. 0 if nobody asks.
    pub confirm: u64,
    /// When it was written, ms on the machine's clock.
    pub since_ms: u64,
    /// So many replies it is, where they may be replaced.
    pub replies: u32,
    pub waits: Waits,
}

/// Up to where the stream is as safe as it must be; `u64::MAX` where nothing is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// On this server's disk.
    pub disk: u64,
    /// On so many replicas as `synchronous-replicas` says.
    pub replicas: u64,
    /// So many of them have heard of it, whether or not it is on their disks.
    pub confirmed: u64,
}

impl Released {
    pub const ALL: Released = Released { disk: u64::MAX, replicas: u64::MAX, confirmed: u64::MAX };

    fn lets(self, mark: &Mark) -> bool {
        mark.offset <= self.disk && !self.misses_replicas(mark)
    }

    /// It waits for replicas, and they have not acknowledged what they must.
    fn misses_replicas(self, mark: &Mark) -> bool {
        mark.waits != Waits::Disk && (mark.offset > self.replicas || mark.confirm > self.confirmed)
    }
}

/// Replies of one connection that wait, in their order.
#[derive(Default)]
pub struct Hold {
    marks: VecDeque<Mark>,
    /// The output before this place may leave now.
    pub sendable: u64,
    /// It is in the list of those with replies that wait.
    pub is_listed: bool,
    /// What was written behind the last mark tells of writes.
    pub tells_of_writes: bool,
    /// Where the reply to the present command ends, if something was pushed to its client behind it.
    pub pushed_from: Option<u64>,
    /// Where it begins, if something was pushed before it.
    pub pushed_to: Option<u64>,
}

impl Hold {
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// A command begins.
    pub fn forget_pushes(&mut self) {
        (self.pushed_from, self.pushed_to) = (None, None);
    }

    /// What waits longest.
    pub fn first(&self) -> Option<&Mark> {
        self.marks.front()
    }

    /// Where what has no mark begins.
    pub fn marked_to(&self, output: &Output) -> u64 {
        self.marks.back().map_or(self.sendable.max(output.sent_to()), |mark| mark.end)
    }

    /// Adds a mark behind all others. Replies that follow each other at one time wait together.
    pub fn add(&mut self, mark: Mark) {
        if let Some(last) = self.marks.back_mut()
            && (last.end, last.waits, last.since_ms) == (mark.start, mark.waits, mark.since_ms)
        {
            last.end = mark.end;
            last.offset = last.offset.max(mark.offset);
            last.confirm = last.confirm.max(mark.confirm);
            last.replies += mark.replies;
            return;
        }
        self.marks.push_back(mark);
    }

    /// Lets go what may leave. Answers whether the socket may be given more than before.
    pub fn release(&mut self, released: Released, output: &Output) -> bool {
        while self.marks.front().is_some_and(|mark| released.lets(mark)) {
            self.marks.pop_front();
        }
        let before = self.sendable;
        self.sendable = self.marks.front().map_or(output.end(), |mark| mark.start);
        self.sendable > before.max(output.sent_to())
    }

    /// Whether something waits for replicas that have less of the stream than that.
    pub fn waits_for_replicas(&self, released: Released) -> bool {
        self.marks.iter().any(|mark| released.misses_replicas(mark))
    }

    /// From now on only the disk is waited for.
    pub fn forget_replicas(&mut self) {
        self.marks.iter_mut().for_each(|mark| mark.waits = Waits::Disk);
        self.tells_of_writes = false;
    }

    /// Gives the memory of a connection that is quiet back.
    pub fn give_back(&mut self) {
        if self.marks.is_empty() {
            self.marks = VecDeque::new();
        }
    }

    /// When the first of those that may be replaced has waited for `timeout_ms`.
    pub fn deadline_ms(&self, timeout_ms: u64, released: Released) -> Option<u64> {
        let mut waiting = self.marks.iter().filter(|mark| released.misses_replicas(mark));
        waiting.next().map(|mark| mark.since_ms.saturating_add(timeout_ms))
    }

    /// What has waited for replicas since `until_ms` or longer waits no more: replies become `error(waits)`. Answers how many did.
    pub fn time_out(
        &mut self,
        until_ms: u64,
        released: Released,
        output: &mut Output,
        error: impl Fn(Waits) -> Vec<u8>,
    ) -> u64 {
        let is_late = |mark: &Mark| mark.since_ms <= until_ms && released.misses_replicas(mark);
        if !self.marks.iter().any(is_late) {
            return 0;
        }
        let Some(from) = self.marks.front().map(|mark| mark.start) else { return 0 };
        let old = output.take_from(from);
        let (mut replaced, mut done, mut new) = (0, from, Vec::with_capacity(old.len()));
        let part = |start: u64, end: u64| &old[(start - from) as usize..(end - from) as usize];
        for mark in &mut self.marks {
            new.extend_from_slice(part(done, mark.start));
            done = mark.end;
            let (start, late) = (from + new.len() as u64, is_late(mark));
            match mark.waits {
                Waits::Write | Waits::Read if late => {
                    (0..mark.replies).for_each(|_| new.extend(error(mark.waits)));
                    replaced += u64::from(mark.replies);
                }
                _ => new.extend_from_slice(part(mark.start, mark.end)),
            }
            if late {
                mark.waits = Waits::Disk;
            }
            (mark.start, mark.end) = (start, from + new.len() as u64);
        }
        new.extend_from_slice(&old[(done - from) as usize..]);
        output.bytes.extend_from_slice(&new);
        replaced
    }

    /// The stream is at another place: no offset of before means anything.
    pub fn forget_offsets(&mut self) {
        self.marks.iter_mut().for_each(|mark| (mark.offset, mark.confirm) = (0, 0));
    }

    /// What is in memory for it.
    pub fn memory_bytes(&self) -> usize {
        self.marks.capacity() * size_of::<Mark>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(disk: u64, replicas: u64) -> Released {
        Released { disk, replicas, confirmed: u64::MAX }
    }

    /// Writes a part and marks it, if it waits for something.
    fn write(hold: &mut Hold, output: &mut Output, text: &str, waits: Option<(Waits, u64, u64)>) {
        let start = output.end();
        output.bytes.extend_from_slice(text.as_bytes());
        if let Some((waits, offset, since_ms)) = waits {
            hold.add(Mark { start, end: output.end(), offset, confirm: 0, since_ms, replies: 1, waits });
        }
    }

    fn left(hold: &Hold, output: &Output) -> String {
        let text = String::from_utf8_lossy(&output.bytes).into_owned();
        text[..hold.sendable as usize].to_string()
    }

    #[test]
    fn order_is_kept_whatever_is_released() {
        let (mut hold, mut output) = (Hold::default(), Output::default());
        write(&mut hold, &mut output, "a", None);
        write(&mut hold, &mut output, "w", Some((Waits::Write, 10, 1)));
        write(&mut hold, &mut output, "b", None);
        write(&mut hold, &mut output, "d", Some((Waits::Disk, 30, 1)));
        write(&mut hold, &mut output, "w", Some((Waits::Write, 20, 2)));
        write(&mut hold, &mut output, "c", None);
        for (disk, replicas, leaves) in [
            (0, 0, "a"),
            (9, 10, "a"),
            (10, 9, "a"),
            (10, 10, "awb"),
            (10, 20, "awb"),
            (30, 10, "awbd"),
            (30, 19, "awbd"),
            (30, 20, "awbdwc"),
        ] {
            hold.release(released(disk, replicas), &output);
            assert_eq!(left(&hold, &output), leaves, "{disk} {replicas}");
        }
        assert!(hold.is_empty());
    }

    #[test]
    fn the_disk_alone_is_asked_where_nothing_else_is() {
        let (mut hold, mut output) = (Hold::default(), Output::default());
        write(&mut hold, &mut output, "d", Some((Waits::Disk, 10, 1)));
        assert!(!hold.waits_for_replicas(released(0, 0)));
        assert!(!hold.release(released(9, u64::MAX), &output));
        assert!(hold.release(released(10, 0), &output) && hold.is_empty());
    }

    #[test]
    fn replies_of_one_time_wait_together_and_are_counted() {
        let (mut hold, mut output) = (Hold::default(), Output::default());
        for (text, offset, since_ms) in [("a", 10, 1), ("b", 20, 1), ("c", 30, 2)] {
            write(&mut hold, &mut output, text, Some((Waits::Write, offset, since_ms)));
        }
        assert_eq!(
            hold.marks.iter().map(|mark| (mark.end, mark.offset, mark.replies)).collect::<Vec<_>>(),
            [(2, 20, 2), (3, 30, 1)]
        );
    }

    #[test]
    fn what_is_late_is_replaced_where_it_stands() {
        let (mut hold, mut output) = (Hold::default(), Output::default());
        write(&mut hold, &mut output, "<sent>", None);
        write(&mut hold, &mut output, "<w1>", Some((Waits::Write, 10, 1)));
        write(&mut hold, &mut output, "<w2>", Some((Waits::Write, 20, 1)));
        write(&mut hold, &mut output, "<pong>", None);
        write(&mut hold, &mut output, "<message>", Some((Waits::Message, 20, 2)));
        write(&mut hold, &mut output, "<read>", Some((Waits::Read, 20, 3)));
        write(&mut hold, &mut output, "<w3>", Some((Waits::Write, 30, 4)));
        write(&mut hold, &mut output, "<end>", None);
        let error = |waits| if waits == Waits::Read { b"[r]".to_vec() } else { b"[unsynced]".to_vec() };
        assert_eq!(hold.time_out(0, released(u64::MAX, 5), &mut output, error), 0);
        let deadline_ms = |hold: &Hold, replicas| hold.deadline_ms(100, released(u64::MAX, replicas));
        assert_eq!(
            (deadline_ms(&hold, 5), deadline_ms(&hold, 25), deadline_ms(&hold, 30)),
            (Some(101), Some(104), None)
        );
        assert_eq!(hold.time_out(3, released(u64::MAX, 5), &mut output, error), 3);
        let all = "<sent>[unsynced][unsynced]<pong><message>[r]<w3><end>";
        assert_eq!(String::from_utf8_lossy(&output.bytes), all);
        assert_eq!(deadline_ms(&hold, 5), Some(104));
        hold.release(released(u64::MAX, 5), &output);
        assert_eq!(left(&hold, &output), "<sent>[unsynced][unsynced]<pong><message>[r]");
        hold.release(released(u64::MAX, 30), &output);
        assert_eq!(left(&hold, &output), all);
    }

    #[test]
    fn a_read_waits_to_hear_that_the_replicas_still_follow() {
        let (mut hold, mut output) = (Hold::default(), Output::default());
        output.bytes.extend_from_slice(b"<read>");
        let mark =
            Mark { start: 0, end: output.end(), offset: 10, confirm: 11, since_ms: 1, replies: 1, waits: Waits::Read };
        hold.add(mark);
        for (replicas, confirmed, leaves) in [(10, 10, ""), (9, 11, ""), (10, 11, "<read>")] {
            let released = Released { disk: u64::MAX, replicas, confirmed };
            assert_eq!(hold.waits_for_replicas(released), leaves.is_empty());
            assert_eq!(hold.deadline_ms(100, released), leaves.is_empty().then_some(101));
            hold.release(released, &output);
            assert_eq!(left(&hold, &output), leaves, "{replicas} {confirmed}");
        }
    }

    #[test]
    fn a_late_reply_still_waits_for_the_disk() {
        let (mut hold, mut output) = (Hold::default(), Output::default());
        write(&mut hold, &mut output, "<w>", Some((Waits::Write, 10, 1)));
        assert_eq!(hold.time_out(1, released(5, 5), &mut output, |_| b"[late]".to_vec()), 1);
        hold.release(released(5, 5), &output);
        assert_eq!(left(&hold, &output), "");
        hold.release(released(10, 5), &output);
        assert_eq!(left(&hold, &output), "[late]");
    }
}
