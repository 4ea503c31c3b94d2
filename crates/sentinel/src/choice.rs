//! Who is promoted: a pure function of what is known of each replica, which also says why, in a sentence for each.
//!
//! The order is Redis's: the lowest priority number, the largest offset, the smallest run id. Before it stand the rules that lose nothing, which
//! `strict-failover no` takes away:
//! - only who stands in the master's own history may follow it (redis#14313), so who missed later terms never wins (redis#12570, #12574);
//! - who has nothing is no candidate while another one has something (redis#13533);
//! - where all have been without a master for long, that is no reason against them: otherwise a set without a master stays one (redis#6751).

use crate::fencing::DataTerm;
use crate::info::History;

/// What is known of a replica when one is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub label: String,
    pub is_down: bool,
    pub is_disconnected: bool,
    /// Ms since a ping was last answered well.
    pub silent_ms: u64,
    /// Ms since the last INFO, if there was one.
    pub info_age_ms: Option<u64>,
    /// For how long its link to the master has been down, ms.
    pub link_down_ms: u64,
    pub priority: u32,
    pub offset: u64,
    /// The latest term of whose master it has acknowledged data, as it told when it was fenced; nothing if it has none, or was not asked.
    pub data_term: Option<DataTerm>,
    /// It has promised to acknowledge nothing to the old master any more; nothing where that is not asked.
    pub is_fenced: Option<bool>,
    pub history: Option<History>,
    /// It does not follow its master, which was started again and lacks what this one has.
    pub master_lacks_data: bool,
    pub run_id: Option<String>,
}

/// By what they are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub silent_max_ms: u64,
    pub info_age_max_ms: u64,
    pub link_down_max_ms: u64,
    pub is_strict: bool,
    /// The master is down, and whoever is promoted is fenced first, and tells the term of its data then.
    pub asks_for_terms: bool,
    /// Where the master stood when it was last heard.
    pub history: Option<History>,
    /// Where the one before its last restart stood.
    pub former: Option<History>,
}

/// Who was chosen, and why the others were not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    pub winner: Option<String>,
    /// A sentence for each replica, by its label.
    pub remarks: Vec<(String, String)>,
    /// Bytes of the master's last known offset that the winner lacks, where both are known.
    pub lacks_bytes: Option<u64>,
}

/// Chooses among the replicas.
pub fn choose(replicas: &[Facts], terms: &Terms) -> Choice {
    let mut refused: Vec<Option<String>> = replicas.iter().map(|facts| unfit(facts, terms)).collect();
    let have_terms = replicas.iter().any(|facts| facts.is_fenced == Some(true) && facts.data_term.is_some());
    match terms.is_strict {
        // They have told the term of their data, which says more than any history that this Sentinel has heard of.
        true if have_terms => refuse_older_data(replicas, &mut refused),
        true => refuse_other_histories(replicas, terms, &mut refused),
        false => {}
    }
    refuse_long_alone(replicas, terms, &mut refused);
    if terms.is_strict {
        refuse_empty(replicas, &mut refused);
    }
    let fit = replicas.iter().zip(&refused).filter(|(_, reason)| reason.is_none()).map(|(facts, _)| facts);
    let best = fit.min_by(|a, b| rank(a).cmp(&rank(b)));
    let remark = |(facts, reason): (&Facts, &Option<String>)| {
        let text = match (reason, best) {
            (Some(reason), _) => reason.clone(),
            (None, Some(best)) if best.label == facts.label => chosen(facts),
            (None, best) => second(facts, best),
        };
        (facts.label.clone(), text)
    };
    let offset = terms.history.as_ref().map(|history| history.offset);
    Choice {
        winner: best.map(|facts| facts.label.clone()),
        remarks: replicas.iter().zip(&refused).map(remark).collect(),
        lacks_bytes: best.zip(offset).map(|(facts, offset)| offset.saturating_sub(facts.offset)),
    }
}

/// Better ones come first; a server that tells no run id comes last.
fn rank(facts: &Facts) -> (u32, std::cmp::Reverse<u64>, bool, String) {
    let run_id = facts.run_id.as_ref().map(|id| id.to_ascii_lowercase());
    // What was acknowledged comes before what is wished.
    let priority = if facts.is_fenced == Some(true) { 0 } else { facts.priority };
    (priority, std::cmp::Reverse(facts.offset), run_id.is_none(), run_id.unwrap_or_default())
}

/// Redis's reasons against a replica, but for the one that may have to give way.
fn unfit(facts: &Facts, terms: &Terms) -> Option<String> {
    if facts.is_down {
        return Some("not chosen: it is down".into());
    }
    if facts.is_disconnected {
        return Some("not chosen: it is not connected".into());
    }
    if facts.is_fenced == Some(false) {
        return Some("not chosen: it is not fenced".into());
    }
    if facts.silent_ms > terms.silent_max_ms {
        return Some(format!("not chosen: it has not answered a ping for {} ms", facts.silent_ms));
    }
    if facts.priority == 0 {
        return Some("not chosen: its priority is 0, which means never".into());
    }
    match facts.info_age_ms {
        None => Some("not chosen: it has never told its state".into()),
        Some(age) if age > terms.info_age_max_ms => Some(format!("not chosen: what it told is {age} ms old")),
        Some(_) => None,
    }
}

/// Who has acknowledged data of a later term has what was acknowledged in the earlier ones, too, however far others have come elsewhere: with a master that
/// was started again and had lost something.
fn refuse_older_data(replicas: &[Facts], refused: &mut [Option<String>]) {
    let fit = replicas.iter().zip(refused.iter()).filter(|(_, reason)| reason.is_none());
    let Some(latest) = fit.filter_map(|(facts, _)| facts.data_term).max() else { return };
    for (facts, reason) in replicas.iter().zip(refused.iter_mut()) {
        if reason.is_none() && facts.data_term != Some(latest) {
            let own = facts.data_term.map_or("no epoch".to_string(), |term| term.to_string());
            *reason = Some(format!(
                "not chosen: the data that it has acknowledged are of {own}, and others have those of {latest}"
            ));
        }
    }
}

fn refuse_other_histories(replicas: &[Facts], terms: &Terms, refused: &mut [Option<String>]) {
    let Some(present) = &terms.history else { return };
    let stands_in = |facts: &Facts, history: &History| facts.history.as_ref().is_none_or(|own| history.includes(own));
    let fits = |history: &History| {
        replicas.iter().zip(refused.iter()).any(|(facts, reason)| reason.is_none() && stands_in(facts, history))
    };
    // Nobody has come over to the history that began with the master's last restart: what there was before is what there is.
    let former = terms.former.as_ref().filter(|former| fits(former)).cloned();
    let kept = kept_history(replicas, refused);
    let other = if fits(present) { None } else { former.or_else(|| common_history(replicas, terms, present)) };
    let other = kept.or(other);
    // Nobody has come over to a master before it was gone, or was made a replica by a leader that is late.
    if other.is_none() && !fits(present) && terms.asks_for_terms {
        return;
    }
    let history = other.as_ref().unwrap_or(present);
    for (facts, reason) in replicas.iter().zip(refused.iter_mut()) {
        if reason.is_none()
            && let Some(own) = &facts.history
            && !history.includes(own)
        {
            *reason = Some(format!(
                "not chosen: its data are of history {} at offset {}, the master's are of {}",
                short(&own.replid),
                own.offset,
                short(&history.replid)
            ));
        }
    }
}

/// The history of which the master has lost something, though it may be followed elsewhere: those who keep it have what was acknowledged.
fn kept_history(replicas: &[Facts], refused: &[Option<String>]) -> Option<History> {
    let keepers = replicas.iter().zip(refused).filter(|(facts, reason)| reason.is_none() && facts.master_lacks_data);
    keepers.max_by_key(|(facts, _)| facts.offset).and_then(|(facts, _)| facts.history.clone())
}

/// The one history of all replicas, though the master's last one is another: it was started again, and died before anybody came over to it. Only if
/// nobody is missing is it certain that nobody did.
fn common_history(replicas: &[Facts], terms: &Terms, present: &History) -> Option<History> {
    let common = replicas.first()?.history.clone()?;
    let has_told = |facts: &Facts| {
        let is_fresh = facts.info_age_ms.is_some_and(|age| age <= terms.info_age_max_ms);
        is_fresh && !facts.is_down && !facts.is_disconnected
    };
    let is_common = |facts: &Facts| facts.history.as_ref().is_some_and(|own| own.replid == common.replid);
    let has_forked = present.former.as_ref().is_some_and(|(id, _)| *id == common.replid);
    (!has_forked && replicas.iter().all(|facts| has_told(facts) && is_common(facts))).then_some(common)
}

fn refuse_long_alone(replicas: &[Facts], terms: &Terms, refused: &mut [Option<String>]) {
    // Who does not follow a master that has lost what it has is alone for that, and may be the only one that has it.
    let keeps = |facts: &Facts| facts.is_fenced == Some(true) && facts.master_lacks_data;
    let is_long = |facts: &Facts| facts.link_down_ms > terms.link_down_max_ms && !(terms.is_strict && keeps(facts));
    let somebody_else = replicas.iter().zip(refused.iter()).any(|(facts, reason)| reason.is_none() && !is_long(facts));
    if terms.is_strict && !somebody_else {
        return;
    }
    for (facts, reason) in replicas.iter().zip(refused.iter_mut()) {
        if reason.is_none() && is_long(facts) {
            *reason = Some(format!("not chosen: its link to the master has been down for {} ms", facts.link_down_ms));
        }
    }
}

fn refuse_empty(replicas: &[Facts], refused: &mut [Option<String>]) {
    if !replicas.iter().zip(refused.iter()).any(|(facts, reason)| reason.is_none() && facts.offset > 0) {
        return;
    }
    for (facts, reason) in replicas.iter().zip(refused.iter_mut()) {
        if reason.is_none() && facts.offset == 0 {
            *reason = Some("not chosen: it has received nothing, at offset 0, and another one has".into());
        }
    }
}

fn chosen(facts: &Facts) -> String {
    format!("chosen: offset {}, priority {}", facts.offset, facts.priority)
}

fn second(facts: &Facts, best: Option<&Facts>) -> String {
    let Some(best) = best else { return "not chosen: nobody was".into() };
    if facts.is_fenced.is_none() && facts.priority != best.priority {
        return format!("not chosen: priority {}, {} has {}", facts.priority, best.label, best.priority);
    }
    if facts.offset != best.offset {
        return format!("not chosen: offset {}, {} has {}", facts.offset, best.label, best.offset);
    }
    format!("not chosen: {} is as good, and its run id is smaller", best.label)
}

fn short(replid: &str) -> String {
    replid.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(label: &str, offset: u64) -> Facts {
        Facts {
            label: label.into(),
            is_down: false,
            is_disconnected: false,
            silent_ms: 10,
            info_age_ms: Some(10),
            link_down_ms: 0,
            priority: 100,
            offset,
            data_term: None,
            is_fenced: None,
            history: Some(History { replid: "present".into(), offset, former: None }),
            master_lacks_data: false,
            run_id: Some(label.into()),
        }
    }

    fn terms() -> Terms {
        Terms {
            silent_max_ms: 5000,
            info_age_max_ms: 5000,
            link_down_max_ms: 10_000,
            is_strict: true,
            asks_for_terms: false,
            history: Some(History { replid: "present".into(), offset: 1000, former: Some(("past".into(), 500)) }),
            former: None,
        }
    }

    fn winner(replicas: &[Facts], terms: &Terms) -> Option<String> {
        let choice = choose(replicas, terms);
        assert_eq!(choice.remarks.len(), replicas.len(), "a sentence for each");
        assert!(choice.remarks.iter().all(|(label, text)| {
            text.starts_with(if choice.winner.as_ref() == Some(label) { "chosen: " } else { "not chosen: " })
        }));
        choice.winner
    }

    /// Redis's rules: each change takes the better one out.
    #[test]
    fn each_reason_against_a_replica() {
        type Change = fn(&mut Facts);
        let rows: [(&str, Change); 9] = [
            ("down", |f| f.is_down = true),
            ("disconnected", |f| f.is_disconnected = true),
            ("silent", |f| f.silent_ms = 5001),
            ("priority 0", |f| f.priority = 0),
            ("higher priority number", |f| f.priority = 101),
            ("no INFO", |f| f.info_age_ms = None),
            ("old INFO", |f| f.info_age_ms = Some(5001)),
            ("link down for long", |f| f.link_down_ms = 10_001),
            ("smaller offset", |f| f.offset = 899),
        ];
        assert_eq!(winner(&[facts("a", 900), facts("b", 900)], &terms()), Some("a".into()), "the smaller run id");
        for (name, change) in rows {
            let mut a = facts("a", 900);
            change(&mut a);
            assert_eq!(winner(&[a, facts("b", 900)], &terms()), Some("b".into()), "{name}");
        }
        // On the border nothing is wrong.
        let mut a = facts("a", 900);
        (a.silent_ms, a.info_age_ms, a.link_down_ms) = (5000, Some(5000), 10_000);
        assert_eq!(winner(&[a, facts("b", 900)], &terms()), Some("a".into()));
    }

    /// Where those who are fenced tell the term of their data, a history that nobody came over to keeps nobody from being asked.
    #[test]
    fn who_is_asked_for_its_term_need_not_stand_in_the_masters_history() {
        let of = |replid: &str, f: Facts| Facts {
            history: Some(History { replid: replid.into(), offset: f.offset, former: None }),
            ..f
        };
        let replicas = [of("other", facts("a", 900)), of("third", facts("b", 800))];
        assert_eq!(winner(&replicas, &terms()), None);
        let asks = Terms { asks_for_terms: true, ..terms() };
        assert_eq!(winner(&replicas, &asks), Some("a".into()), "it is to be fenced");
        let told = |f: &Facts, data_term| Facts { is_fenced: Some(true), data_term, ..f.clone() };
        let later = DataTerm { epoch: 3, ..DataTerm::default() };
        let fenced = [told(&replicas[0], Some(DataTerm::default())), told(&replicas[1], Some(later))];
        assert_eq!(winner(&fenced, &asks), Some("b".into()), "its data are of the later term");
        let silent = replicas.clone().map(|f| told(&f, None));
        assert_eq!(winner(&silent, &terms()), None, "who tells no term is judged by its history");
        let mixed = [replicas[0].clone(), facts("b", 700)];
        assert_eq!(winner(&mixed, &asks), Some("b".into()), "as long as somebody stands in it");
    }

    /// It may be the only one that has what the master has lost.
    #[test]
    fn who_does_not_follow_a_master_that_lost_data_is_not_refused_for_being_alone() {
        let fenced = |label: &str, offset| Facts {
            is_fenced: Some(true),
            data_term: Some(DataTerm::default()),
            ..facts(label, offset)
        };
        let keeper = Facts { master_lacks_data: true, link_down_ms: 1 << 40, ..fenced("a", 900) };
        let stranger = Facts { master_lacks_data: false, ..keeper.clone() };
        assert_eq!(winner(&[keeper, fenced("b", 500)], &terms()), Some("a".into()));
        assert_eq!(winner(&[stranger, fenced("b", 500)], &terms()), Some("b".into()), "alone for another reason");
    }

    /// The design's rules: with `strict-failover no` each is taken out, and another one wins.
    #[test]
    fn each_rule_that_loses_nothing() {
        let history = |f: &mut Facts, replid: &str| {
            f.history = Some(History { replid: replid.into(), offset: f.offset, former: None })
        };
        let mut stranger = facts("a", 990);
        history(&mut stranger, "another");
        let mut late = facts("a", 600);
        history(&mut late, "past");
        let (mut unshared, mut unshared_too) = (facts("a", 700), facts("b", 600));
        history(&mut unshared, "before");
        history(&mut unshared_too, "before");
        let mut missing = unshared_too.clone();
        missing.is_disconnected = true;
        let mut ancestor = facts("a", 499);
        history(&mut ancestor, "past");
        let (mut empty, mut full) = (facts("a", 0), facts("b", 900));
        empty.priority = 1;
        full.priority = 2;
        let (mut alone, mut alone_too) = (facts("a", 900), facts("b", 800));
        (alone.link_down_ms, alone_too.link_down_ms) = (1 << 40, 1 << 40);
        let mut fenced = [facts("a", 800), facts("b", 900)];
        (fenced[0].priority, fenced[1].priority) = (1, 100);
        fenced.iter_mut().for_each(|facts| facts.is_fenced = Some(true));
        let unfenced = Facts { is_fenced: Some(false), ..facts("a", 950) };
        let rows = [
            ("only the master's own history", vec![stranger, facts("b", 900)], Some("b"), Some("a")),
            ("who went on in the past is out", vec![late.clone(), facts("b", 400)], Some("b"), Some("a")),
            ("who missed later terms never wins, not even alone", vec![late], None, Some("a")),
            ("an ancestor within the fork is in", vec![ancestor, facts("b", 400)], Some("a"), Some("a")),
            ("nothing is worse than something", vec![empty.clone(), full], Some("b"), Some("a")),
            ("nothing is better than nobody", vec![empty], Some("a"), Some("a")),
            ("a history that nobody shares is given up", vec![unshared.clone(), unshared_too], Some("a"), Some("a")),
            ("but not while somebody may share it", vec![unshared, missing], None, Some("a")),
            ("a set without a master heals", vec![alone, alone_too], Some("a"), None),
            ("of the fenced the most advanced wins, whatever is wished", fenced.to_vec(), Some("b"), Some("b")),
            ("who is not fenced may be behind what is acknowledged", vec![unfenced], None, None),
        ];
        for (name, replicas, strict, lax) in rows {
            assert_eq!(winner(&replicas, &terms()).as_deref(), strict, "{name}");
            assert_eq!(
                winner(&replicas, &Terms { is_strict: false, ..terms() }).as_deref(),
                lax,
                "{name}, as Redis does"
            );
        }
    }

    #[test]
    fn data_of_the_latest_term_come_before_any_offset() {
        let fenced =
            |label: &str, offset, data_term| Facts { data_term, is_fenced: Some(true), ..facts(label, offset) };
        let term = |epoch, start| Some(DataTerm { epoch, start });
        assert_eq!(winner(&[fenced("a", 900, term(4, 3)), fenced("b", 500, term(5, 0))], &terms()), Some("b".into()));
        assert_eq!(winner(&[fenced("a", 900, term(4, 0)), fenced("b", 500, term(4, 1))], &terms()), Some("b".into()));
        assert_eq!(winner(&[fenced("a", 900, None), fenced("b", 500, term(0, 0))], &terms()), Some("b".into()));
        assert_eq!(winner(&[fenced("a", 900, None), fenced("b", 500, None)], &terms()), Some("a".into()));
    }

    #[test]
    fn who_keeps_what_the_master_has_lost_comes_before_who_has_come_over() {
        let at = |label: &str, replid: &str, offset| Facts {
            history: Some(History { replid: replid.into(), offset, former: None }),
            ..facts(label, offset)
        };
        let kept = Facts { master_lacks_data: true, ..at("a", "old", 500) };
        let over = at("b", "new", 900);
        let terms = Terms { history: Some(History { replid: "new".into(), offset: 900, former: None }), ..terms() };
        assert_eq!(winner(&[at("a", "old", 500), over.clone()], &terms), Some("b".into()));
        assert_eq!(winner(&[kept.clone(), over.clone()], &terms), Some("a".into()));
        let more = Facts { master_lacks_data: true, ..at("c", "old", 501) };
        assert_eq!(winner(&[kept, over, more], &terms), Some("c".into()));
    }

    #[test]
    fn a_reborn_masters_replicas_stand_in_its_former_history() {
        let reborn = Terms {
            history: Some(History { replid: "new".into(), offset: 0, former: None }),
            former: terms().history,
            ..terms()
        };
        assert_eq!(winner(&[facts("a", 900)], &reborn), Some("a".into()));
        let mut unknown = facts("b", 900);
        unknown.is_down = true;
        let both = [facts("a", 900), unknown];
        assert_eq!(winner(&both, &reborn), Some("a".into()));
        assert_eq!(winner(&both, &Terms { former: None, ..reborn.clone() }), None, "b may have come over");
        let mut came_over = facts("b", 10);
        came_over.history = Some(History { replid: "new".into(), offset: 10, former: None });
        assert_eq!(winner(&[facts("a", 900), came_over], &reborn), Some("b".into()), "one has come over");
    }

    #[test]
    fn what_the_winner_lacks_is_told() {
        assert_eq!(choose(&[facts("a", 900)], &terms()).lacks_bytes, Some(100));
        assert_eq!(choose(&[facts("a", 1100)], &terms()).lacks_bytes, Some(0), "the master's offset was old");
        assert_eq!(choose(&[], &terms()), Choice::default());
    }
}
