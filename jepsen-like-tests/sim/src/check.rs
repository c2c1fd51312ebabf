//! Judges a finished run.
//!
//! Every acknowledged write and every read carries the log index it belongs to, so a run is checked against the log, in
//! linear time: replayed in index order it must give what was read, and index order must agree with real time.

use std::collections::BTreeMap;

use carnet_consensus::testing::Step;

use crate::history::{Action, History, Outcome};
use crate::site::Site;

/// The log as the replicas applied it. Two that differ are a violation: committed is immutable, and equal history gives
/// equal state.
pub(crate) fn committed(sites: &[Site], violations: &mut Vec<String>) -> BTreeMap<u64, Step> {
    let mut log: BTreeMap<u64, Step> = BTreeMap::new();
    for site in sites {
        for index in site.machine.divergences() {
            violations.push(format!(
                "node {} applied index {index} twice, differently",
                site.node
            ));
        }
        for (index, step) in site.machine.history() {
            let known = log.entry(index).or_insert_with(|| step.clone());
            if *known != step {
                violations.push(format!(
                    "node {} has {step:?} at {index}, another has {known:?}",
                    site.node
                ));
            }
        }
    }
    log
}

/// Acknowledged writes are there, failed ones are not, unknown ones at most once.
pub(crate) fn writes(history: &History, log: &BTreeMap<u64, Step>, violations: &mut Vec<String>) {
    let mut times: BTreeMap<&[u8], u64> = BTreeMap::new();
    for step in log.values() {
        *times.entry(&step.proposal).or_default() += 1;
    }
    for (id, op) in history.ops.iter().enumerate() {
        let Action::Write { key } = &op.action else {
            continue;
        };
        let proposal = format!("{key}={id}");
        let found = times.get(proposal.as_bytes()).copied().unwrap_or(0);
        match op.ended.as_ref().map(|(_, outcome)| outcome) {
            Some(Outcome::Written(position)) => {
                let kept = log.get(&position.index).is_some_and(|step| {
                    step.position == *position && step.proposal == proposal.as_bytes()
                });
                if !kept || found != 1 {
                    violations.push(format!(
                        "acknowledged write {id} at {position:?} is there {found} times"
                    ));
                }
            }
            Some(Outcome::Failed(why)) if found != 0 => {
                violations.push(format!(
                    "write {id} failed ({why}) and is there {found} times"
                ));
            }
            _ if 1 < found => violations.push(format!("write {id} is there {found} times")),
            _ => {}
        }
    }
}

/// Linearizable: reads saw the state of their index, and no operation stands before one that ended before it began.
pub(crate) fn order(history: &History, log: &BTreeMap<u64, Step>, violations: &mut Vec<String>) {
    let mut values: BTreeMap<&str, BTreeMap<u64, String>> = BTreeMap::new();
    for (index, step) in log {
        if let Some((key, value)) = std::str::from_utf8(&step.proposal)
            .ok()
            .and_then(|text| text.split_once('='))
        {
            values
                .entry(key)
                .or_default()
                .insert(*index, value.to_owned());
        }
    }
    enum Event {
        Begin,
        End,
    }
    let mut events: Vec<(u64, usize, Event)> = Vec::new();
    for (id, op) in history.ops.iter().enumerate() {
        events.push((op.begun, id, Event::Begin));
        if let Some((ended, _)) = &op.ended {
            events.push((*ended, id, Event::End));
        }
    }
    events.sort_by_key(|(order, _, _)| *order);
    let mut floor = 0;
    let mut floor_at: BTreeMap<usize, u64> = BTreeMap::new();
    for (_, id, event) in events {
        let op = &history.ops[id];
        let Event::End = event else {
            floor_at.insert(id, floor);
            continue;
        };
        let begun_at = floor_at.get(&id).copied().unwrap_or(0);
        match (&op.action, op.ended.as_ref().map(|(_, outcome)| outcome)) {
            (_, Some(Outcome::Written(position))) => {
                if position.index <= begun_at {
                    violations.push(format!(
                        "write {id} at {} began after {begun_at} was seen",
                        position.index
                    ));
                }
                floor = floor.max(position.index);
            }
            (Action::Read { key }, Some(Outcome::Read { value, applied })) => {
                if *applied < begun_at {
                    violations.push(format!(
                        "read {id} on node {} of {applied} began after {begun_at} was seen",
                        op.node
                    ));
                }
                let there = values
                    .get(key.as_str())
                    .and_then(|values| values.range(..=*applied).next_back());
                if there.map(|(_, value)| value) != value.as_ref() {
                    violations.push(format!(
                        "read {id} of {key} at {applied} gave {value:?}, the log says {there:?}"
                    ));
                }
                floor = floor.max(*applied);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use carnet_store::machine::LogPosition;

    use super::*;
    use crate::history::Shared;

    fn at(index: u64) -> LogPosition {
        LogPosition {
            term: 1,
            node: 1,
            index,
        }
    }

    fn log(proposals: &[&'static str]) -> BTreeMap<u64, Step> {
        (0..)
            .zip(proposals)
            .map(|(index, text)| {
                (
                    index,
                    Step {
                        position: at(index),
                        proposal: Bytes::from_static(text.as_bytes()),
                        digest: 0,
                    },
                )
            })
            .collect()
    }

    fn read(value: Option<&str>, applied: u64) -> Outcome {
        Outcome::Read {
            value: value.map(str::to_owned),
            applied,
        }
    }

    fn judged(ops: &[(Action, Outcome)], log: &BTreeMap<u64, Step>) -> Vec<String> {
        let history = Shared::default();
        for (action, outcome) in ops {
            let op = history.begin(1, action.clone());
            history.end(op, outcome.clone());
        }
        let mut violations = Vec::new();
        writes(&history.lock(), log, &mut violations);
        order(&history.lock(), log, &mut violations);
        violations
    }

    fn write_x() -> Action {
        Action::Write {
            key: "x".to_owned(),
        }
    }

    fn read_x() -> Action {
        Action::Read {
            key: "x".to_owned(),
        }
    }

    #[test]
    fn a_good_history_passes() {
        let ops = [
            (write_x(), Outcome::Written(at(1))),
            (read_x(), read(Some("0"), 1)),
            (write_x(), Outcome::Unknown),
            (read_x(), read(Some("2"), 2)),
        ];
        assert_eq!(
            judged(&ops, &log(&["", "x=0", "x=2"])),
            Vec::<String>::new()
        );
    }

    #[test]
    fn bad_histories_do_not() {
        let lost = [(write_x(), Outcome::Written(at(1)))];
        assert_eq!(
            judged(&lost, &log(&["", ""])).len(),
            1,
            "an acknowledged write is gone"
        );
        let twice = [(write_x(), Outcome::Unknown)];
        assert_eq!(
            judged(&twice, &log(&["x=0", "x=0"])).len(),
            1,
            "one write, done twice"
        );
        let undead = [(write_x(), Outcome::Failed("refused".to_owned()))];
        assert_eq!(
            judged(&undead, &log(&["x=0"])).len(),
            1,
            "a failed write was done"
        );
        let stale = [
            (write_x(), Outcome::Written(at(1))),
            (read_x(), read(None, 0)),
        ];
        assert_eq!(
            judged(&stale, &log(&["", "x=0"])).len(),
            1,
            "a read does not see what was acknowledged"
        );
        let invented = [(read_x(), read(Some("9"), 0))];
        assert_eq!(
            judged(&invented, &log(&[""])).len(),
            1,
            "a value nobody wrote"
        );
        let backwards = [
            (write_x(), Outcome::Written(at(2))),
            (write_x(), Outcome::Written(at(1))),
        ];
        assert_eq!(
            judged(&backwards, &log(&["", "x=1", "x=0"])).len(),
            1,
            "log order against real time"
        );
    }
}
