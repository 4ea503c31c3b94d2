//! Whether this node should be sent reads, or whether this Sentinel can replace its masters.

use rivulet_topology::{Info, Link};

use crate::sentinel::watched;

/// How far behind a replica may be; 0 is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    pub lag_bytes_max: u64,
    pub lag_seconds_max: u64,
}

impl Bounds {
    fn any(self) -> bool {
        self.lag_bytes_max > 0 || self.lag_seconds_max > 0
    }

    /// The same with what a request asks: `max-lag-bytes=1048576&max-lag-seconds=10`.
    ///
    /// # Errors
    /// A sentence about what is no number, or not known.
    pub fn with_query(mut self, query: &str) -> Result<Bounds, String> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let bound = match name {
                "max-lag-bytes" => &mut self.lag_bytes_max,
                "max-lag-seconds" => &mut self.lag_seconds_max,
                _ => return Err("unknown parameter: there are max-lag-bytes and max-lag-seconds".into()),
            };
            *bound = value.parse().map_err(|_| format!("{name} is not a number"))?;
        }
        Ok(self)
    }
}

/// Answers why this node is not ready, if it is not.
///
/// # Errors
/// The reason.
pub fn check(info: &Info, link: Option<&Link>, bounds: Bounds) -> Result<(), String> {
    if info.is_on("loading") {
        return Err("the data are being loaded".into());
    }
    if info.is_on("async_loading") {
        return Err("a full sync replaces the data".into());
    }
    if info.is_on("stale_master") {
        return Err("another node was made master".into());
    }
    if info.text("role") == Some("master") {
        return Ok(());
    }
    if info.text("master_link_status") != Some("up") {
        return Err("the link to the master is down".into());
    }
    if bounds.any() { within(info, link, bounds) } else { Ok(()) }
}

/// Answers why this Sentinel is not ready, if it is not: it would not act, or those that are up could not replace one of its masters.
///
/// # Errors
/// The reason.
pub fn check_sentinel(info: &Info) -> Result<(), String> {
    if info.is_on("sentinel_tilt") {
        return Err("the Sentinel was not run for a while and does not act yet (TILT)".into());
    }
    let masters = watched(info);
    if masters.is_empty() {
        return Err("no master is watched".into());
    }
    let lacks = |master: &&crate::sentinel::Watched| !master.has_quorum() || !master.has_majority();
    masters.iter().find(lacks).map_or(Ok(()), |master| {
        let (name, up) = (&master.name, master.sentinels_up);
        let (quorum, majority) = (master.quorum, master.majority);
        Err(format!(
            "master '{name}': Sentinels that are up: {up}; {quorum} must agree that it is down, {majority} must elect who acts"
        ))
    })
}

fn within(info: &Info, link: Option<&Link>, bounds: Bounds) -> Result<(), String> {
    // Time passes, and bytes may wait, also while the master can't be asked: what is silent for longer than the bound is behind.
    let silent_seconds = info.count("master_last_io_seconds_ago").unwrap_or(u64::MAX);
    let lag_bytes = link.and_then(|link| link.behind_bytes);
    let lag_seconds = link.and_then(|link| link.behind_seconds);
    if bounds.lag_bytes_max > 0 {
        match lag_bytes {
            None => return Err("how far it is behind is not known: the master can't be asked".into()),
            Some(bytes) if bytes > bounds.lag_bytes_max => {
                return Err(format!("{bytes} bytes behind, {} allowed", bounds.lag_bytes_max));
            }
            Some(_) => {}
        }
    }
    if bounds.lag_seconds_max > 0 {
        // A master without writes pings every ten seconds; who has all of its bytes is not behind.
        let lag = lag_seconds.unwrap_or(silent_seconds as f64);
        if lag > bounds.lag_seconds_max as f64 {
            return Err(format!("{lag:.1} seconds behind, {} allowed", bounds.lag_seconds_max));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rivulet_topology::LinkState;

    use super::*;

    fn link(bytes: Option<u64>, seconds: Option<f64>) -> Link {
        Link {
            master: "m".into(),
            replica: "r".into(),
            state: LinkState::Online,
            behind_bytes: bytes,
            behind_seconds: seconds,
            bytes_per_second: None,
            sync: None,
            slack_bytes: None,
        }
    }

    fn why(info: &str, link: Option<&Link>, bytes: u64, seconds: u64) -> String {
        let bounds = Bounds { lag_bytes_max: bytes, lag_seconds_max: seconds };
        check(&Info::parse(info), link, bounds).err().unwrap_or_default()
    }

    const UP: &str = "role:slave\nmaster_link_status:up\nmaster_last_io_seconds_ago:3";

    #[test]
    fn states_that_are_not_ready() {
        assert_eq!(why("role:master", None, 1, 1), "");
        assert_eq!(why("role:master\nloading:1", None, 0, 0), "the data are being loaded");
        assert_eq!(why("role:slave\nasync_loading:1", None, 0, 0), "a full sync replaces the data");
        assert_eq!(why("role:master\nstale_master:1", None, 0, 0), "another node was made master");
        assert_eq!(why("role:slave\nmaster_link_status:down", None, 0, 0), "the link to the master is down");
        assert_eq!(why("role:slave", None, 0, 0), "the link to the master is down");
        assert_eq!(why(UP, None, 0, 0), "");
    }

    #[test]
    fn a_sentinel_with_its_masters() {
        let why = |text: &str| check_sentinel(&Info::parse(text)).err().unwrap_or_default();
        let one = "sentinel_tilt:0\nfailover0:sentinels_up=2,quorum=2,majority=2,name=a";
        assert_eq!(why(one), "");
        assert_eq!(why("sentinel_tilt:0"), "no master is watched");
        let tilted = one.replace("tilt:0", "tilt:1");
        assert_eq!(why(&tilted), "the Sentinel was not run for a while and does not act yet (TILT)");
        let of_b = |rest: &str| why(&format!("{one}\nfailover1:{rest},name=b"));
        let expected = |numbers: [u32; 3]| {
            let [up, quorum, majority] = numbers;
            format!(
                "master 'b': Sentinels that are up: {up}; {quorum} must agree that it is down, {majority} must elect who acts"
            )
        };
        assert_eq!(of_b("sentinels_up=1,quorum=2,majority=1"), expected([1, 2, 1]));
        assert_eq!(of_b("sentinels_up=1,quorum=1,majority=2"), expected([1, 1, 2]));
        assert_eq!(of_b("sentinels_up=3,quorum=3,majority=3"), "");
    }

    #[test]
    fn lag_at_its_bounds() {
        let near = link(Some(100), Some(2.0));
        assert_eq!(why(UP, Some(&near), 100, 2), "");
        assert_eq!(why(UP, Some(&near), 99, 0), "100 bytes behind, 99 allowed");
        assert_eq!(why(UP, Some(&near), 0, 1), "2.0 seconds behind, 1 allowed");
        // Not known is not ready, by bytes; by seconds the link's silence stands for it.
        assert!(why(UP, None, 5, 0).contains("not known"));
        assert!(why(UP, Some(&link(None, None)), 5, 0).contains("not known"));
        assert_eq!(why(UP, None, 0, 3), "");
        assert_eq!(why(UP, None, 0, 2), "3.0 seconds behind, 2 allowed");
    }

    #[test]
    fn a_query_changes_the_bounds() {
        let own = Bounds { lag_bytes_max: 5, lag_seconds_max: 6 };
        assert_eq!(own.with_query(""), Ok(own));
        assert_eq!(
            own.with_query("max-lag-bytes=0&max-lag-seconds=9"),
            Ok(Bounds { lag_bytes_max: 0, lag_seconds_max: 9 })
        );
        for wrong in ["max-lag-bytes", "max-lag-bytes=", "max-lag-bytes=-1", "max-lag-bytes=1k", "x=1"] {
            assert!(own.with_query(wrong).is_err(), "{wrong}");
        }
    }
}
