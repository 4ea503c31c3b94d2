//! The sections of INFO that are a Sentinel's own, and ROLE.

use rivulet_resp::Reply;

use crate::sentinel::Sentinel;

impl Sentinel {
    /// `# Sentinel` and its lines.
    pub fn info_section(&self) -> String {
        let since = self.tilt.since_ms.map_or(-1, |since| (self.now_ms.saturating_sub(since) / 1000) as i64);
        let failures = u8::from(self.failures.after_election) | u8::from(self.failures.after_promotion) << 1;
        let mut text = format!(
            "# Sentinel\r\nsentinel_masters:{}\r\nsentinel_tilt:{}\r\nsentinel_tilt_since_seconds:{since}\r\n\
             sentinel_running_scripts:{}\r\nsentinel_scripts_queue_length:{}\r\nsentinel_simulate_failure_flags:{failures}\r\n",
            self.masters.len(),
            u8::from(self.tilt.is_on()),
            self.scripts.running(),
            self.scripts.jobs.len(),
        );
        for (i, master) in self.masters.values().enumerate() {
            let status = match (master.agreed_down_since_ms, master.instance.down_since_ms) {
                (Some(_), _) => "odown",
                (None, Some(_)) => "sdown",
                (None, None) => "ok",
            };
            let address = &master.instance.address;
            text += &format!(
                "master{i}:name={},status={status},address={}:{},slaves={},sentinels={}\r\n",
                master.name,
                address.announced(self.globals.announce_hostnames),
                address.port,
                master.replicas.len(),
                master.voters(),
            );
        }
        text
    }

    /// `# Failover`: what stands between each master and its replacement. Redis has no such section, so it comes only to who asks for it. A name, which may be
    /// any text, is the last of a line.
    pub fn failover_section(&self) -> String {
        let mut text = format!("# Failover\r\nsentinel_current_epoch:{}\r\n", self.current_epoch);
        for (i, master) in self.masters.values().enumerate() {
            let (up, ..) = self.reachable(master);
            // Where nothing is synchronous there are no members, and nobody is fenced.
            let is_fenced = master.synchronous() > 0;
            let or_none = |count: usize| if is_fenced { count } else { 0 };
            text += &format!(
                "failover{i}:epoch={},state={},sentinels_up={up},quorum={},majority={},members={},members_answering={},members_to_fence={},forgotten_replicas={},name={}\r\n",
                master.config_epoch,
                master.failover.as_ref().map_or("none", |attempt| attempt.word()),
                master.settings.quorum,
                master.majority(),
                or_none(master.members().len()),
                or_none(self.members_that_answer(master)),
                or_none(master.fences_needed()),
                master.forgotten.len(),
                master.name,
            );
        }
        text
    }

    /// ROLE: `sentinel`, and the names of the masters.
    pub fn role(&self, reply: &mut Reply<'_>) {
        reply.array(2);
        reply.bulk(b"sentinel");
        reply.array(self.masters.len());
        self.masters.keys().for_each(|name| reply.bulk(name.as_bytes()));
    }
}

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment as C's `ctime` writes it, in UTC; `seconds` of Unix time.
pub(crate) fn ctime(seconds: u64) -> String {
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let weekday = DAYS[(days % 7) as usize];
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) && year < 10_000 {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while month < 11 && days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{weekday} {} {:>2} {hour:02}:{minute:02}:{:02} {year}", MONTHS[month], days + 1, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_a_master_and_its_replacement() {
        let mut sentinel = Sentinel::new(1000, 1_000_000, 1);
        for line in [
            "monitor a 10.0.0.1 1 2",
            "monitor b,c 10.0.0.2 2 1",
            "config-epoch a 3",
            "current-epoch 5",
            "known-sentinel a 10.0.0.9 26379 1111111111111111111111111111111111111111",
            "known-sentinel a 10.0.0.8 26379 2222222222222222222222222222222222222222",
        ] {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            sentinel.configure(&words).expect("a good line");
        }
        let nobody = "members=0,members_answering=0,members_to_fence=0,forgotten_replicas=0";
        let expected = format!(
            "# Failover\r\nsentinel_current_epoch:5\r\n\
             failover0:epoch=3,state=none,sentinels_up=3,quorum=2,majority=2,{nobody},name=a\r\n\
             failover1:epoch=0,state=none,sentinels_up=1,quorum=1,majority=1,{nobody},name=b,c\r\n"
        );
        assert_eq!(sentinel.failover_section(), expected);
        // One synchronous replica, and two members: both are fenced, as either may be the one that has a write.
        if let Some(master) = sentinel.masters.get_mut("a") {
            master.synchronous.replicas = 1;
            master.instance.members = ["x", "y"].map(String::from).into();
        }
        let told = sentinel.failover_section();
        assert!(
            told.contains("members=2,members_answering=0,members_to_fence=2,forgotten_replicas=0,name=a"),
            "{told}"
        );
    }

    #[test]
    fn moments() {
        assert_eq!(ctime(0), "Thu Jan  1 00:00:00 1970");
        assert_eq!(ctime(951_782_399), "Mon Feb 28 23:59:59 2000");
        assert_eq!(ctime(951_782_400), "Tue Feb 29 00:00:00 2000");
        assert_eq!(ctime(1_795_943_561), "Sun Nov 29 09:12:41 2026");
        assert!(!ctime(u64::MAX).is_empty());
    }
}
