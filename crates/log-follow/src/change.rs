//! The difference between two states of an item, as it is appended to the state file.
//!
//! A table of 4,000 counts or the checkpoints of 600 files are not written again if one of them changes.

use std::collections::HashMap;
use std::mem;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::checkpoint::{FileCheckpoint, Position};
use crate::record::Record;
use crate::totals::TallyChange;

/// The difference between two records of an item.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecordChange {
    seen: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<PositionChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<BeforeChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tally: Option<TallyChange>,
}

/// The new value of the position before the last value.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BeforeChange {
    /// The last value was delivered.
    None,
    /// The position before this change.
    Previous,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct PositionChange {
    marks: Vec<CheckpointChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<(i64, i64)>,
    started: bool,
}

/// One or more checkpoints of the new position.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum CheckpointChange {
    /// The first index and the number of checkpoints that are taken from the old position.
    Same(usize, usize),
    /// The old checkpoint with this index, with other fields. A field with the value null is removed.
    Changed {
        of: usize,
        #[serde(flatten)]
        fields: Map<String, Value>,
    },
    New(Box<FileCheckpoint>),
}

impl RecordChange {
    /// Returns the difference. `None` if the new record has to be written as a whole.
    pub(crate) fn between(old: &Record, new: &Record) -> Option<Self> {
        if old.since != new.since {
            return None;
        }
        let before = match &new.before {
            before if *before == old.before => None,
            None => Some(BeforeChange::None),
            Some(before) if *before == old.position => Some(BeforeChange::Previous),
            Some(_) => return None,
        };
        let position = if old.position == new.position {
            None
        } else {
            Some(PositionChange::between(&old.position, &new.position)?)
        };
        let tally = match (&old.tally, &new.tally) {
            (old, new) if old == new => None,
            (Some(old), Some(new)) => Some(TallyChange::between(old, new)),
            _ => return None,
        };
        Some(Self { seen: new.seen, position, before, tally })
    }

    /// Changes the record to which this difference belongs. Returns `None` if it belongs to another one.
    pub(crate) fn apply(self, record: &mut Record) -> Option<()> {
        let position = match self.position {
            Some(change) => change.apply(&record.position)?,
            None => record.position.clone(),
        };
        let previous = mem::replace(&mut record.position, position);
        match self.before {
            None => {}
            Some(BeforeChange::None) => record.before = None,
            Some(BeforeChange::Previous) => record.before = Some(previous),
        }
        if let Some(change) = self.tally {
            change.apply(record.tally.as_mut()?);
        }
        record.seen = self.seen;
        Some(())
    }
}

impl PositionChange {
    fn between(old: &Position, new: &Position) -> Option<Self> {
        let indexes: HashMap<(u64, u64), usize> = old
            .checkpoints
            .iter()
            .enumerate()
            .rev()
            .map(|(index, checkpoint)| ((checkpoint.dev, checkpoint.ino), index))
            .collect();
        let mut marks = Vec::new();
        for checkpoint in &new.checkpoints {
            let index = indexes.get(&(checkpoint.dev, checkpoint.ino)).copied();
            match index.map(|index| (index, &old.checkpoints[index])) {
                Some((index, old)) if old == checkpoint => push_same(&mut marks, index),
                Some((of, old)) => {
                    marks.push(CheckpointChange::Changed { of, fields: changed_fields(old, checkpoint)? });
                }
                None => marks.push(CheckpointChange::New(Box::new(checkpoint.clone()))),
            }
        }
        Some(Self { marks, floor: new.floor, started: new.started })
    }

    fn apply(self, old: &Position) -> Option<Position> {
        let mut checkpoints = Vec::new();
        for mark in self.marks {
            match mark {
                CheckpointChange::Same(first, count) => {
                    checkpoints.extend_from_slice(old.checkpoints.get(first..first.checked_add(count)?)?);
                }
                CheckpointChange::Changed { of, fields } => {
                    checkpoints.push(with_fields(old.checkpoints.get(of)?, fields)?);
                }
                CheckpointChange::New(checkpoint) => checkpoints.push(*checkpoint),
            }
        }
        Some(Position { checkpoints, floor: self.floor, started: self.started })
    }
}

fn push_same(marks: &mut Vec<CheckpointChange>, index: usize) {
    match marks.last_mut() {
        Some(CheckpointChange::Same(first, count)) if *first + *count == index => *count += 1,
        _ => marks.push(CheckpointChange::Same(index, 1)),
    }
}

fn fields_of(checkpoint: &FileCheckpoint) -> Option<Map<String, Value>> {
    match serde_json::to_value(checkpoint) {
        Ok(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

fn changed_fields(old: &FileCheckpoint, new: &FileCheckpoint) -> Option<Map<String, Value>> {
    let (old, new) = (fields_of(old)?, fields_of(new)?);
    let removed: Vec<_> = old.keys().filter(|name| !new.contains_key(*name)).cloned().collect();
    let changed = new.into_iter().filter(|(name, value)| old.get(name) != Some(value));
    Some(changed.chain(removed.into_iter().map(|name| (name, Value::Null))).collect())
}

fn with_fields(old: &FileCheckpoint, changed: Map<String, Value>) -> Option<FileCheckpoint> {
    let mut fields = fields_of(old)?;
    for (name, value) in changed {
        match value {
            Value::Null => drop(fields.remove(&name)),
            value => drop(fields.insert(name, value)),
        }
    }
    serde_json::from_value(Value::Object(fields)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::totals::Tally;

    fn checkpoint(ino: u64, offset: u64) -> FileCheckpoint {
        FileCheckpoint {
            dev: 1,
            ino,
            offset,
            size: offset,
            path: format!("/var/log/{ino}").into(),
            ..Default::default()
        }
    }

    fn record(checkpoints: Vec<FileCheckpoint>) -> Record {
        let position = Position { checkpoints, floor: None, started: true };
        Record { position, since: 1, seen: 2, ..Record::default() }
    }

    /// Returns the written difference, after a check that it makes `new` from `old`.
    fn written(old: &Record, new: &Record) -> String {
        let text = serde_json::to_string(&RecordChange::between(old, new).unwrap()).unwrap();
        let mut changed = old.clone();
        serde_json::from_str::<RecordChange>(&text).unwrap().apply(&mut changed).unwrap();
        assert_eq!(changed, *new, "{text}");
        text
    }

    #[test]
    fn one_changed_checkpoint_of_many_is_written_with_its_changed_fields() {
        let old = record((0..600).map(|ino| checkpoint(ino, 10)).collect());
        let mut new = old.clone();
        new.position.checkpoints[300].offset = 20;
        assert_eq!(
            written(&old, &new),
            r#"{"seen":2,"position":{"marks":[[0,300],{"of":300,"offset":20},[301,299]],"started":true}}"#
        );
    }

    #[test]
    fn rotation_renames_one_checkpoint_and_adds_another() {
        let old = record(vec![checkpoint(1, 10)]);
        let rotated = FileCheckpoint { path: "/var/log/1.1".into(), rotated: Some(5), ..checkpoint(1, 10) };
        let mut new = record(vec![rotated, checkpoint(2, 0)]);
        new.position.floor = Some((1, -1));
        let text = written(&old, &new);
        assert!(text.contains(r#"{"of":0,"path":"/var/log/1.1","rotated":5}"#), "{text}");
        assert!(written(&new, &old).contains(r#"{"of":0,"path":"/var/log/1","rotated":null}"#));
    }

    #[test]
    fn position_before_the_last_value_is_the_previous_one_or_none() {
        let old = record(vec![checkpoint(1, 10)]);
        let mut new = record(vec![checkpoint(1, 20)]);
        new.before = Some(old.position.clone());
        assert!(written(&old, &new).contains(r#""before":"previous""#));
        let delivered = Record { before: None, ..new.clone() };
        assert_eq!(written(&new, &delivered), r#"{"seen":2,"before":"none"}"#);
        let unrelated = Record { before: Some(Position::default()), ..new };
        assert_eq!(RecordChange::between(&old, &unrelated), None);
    }

    #[test]
    fn counts_change_and_the_first_counts_are_a_whole_record() {
        let counted = |lines| Record { tally: Some(Tally::of_lines(lines)), ..record(Vec::new()) };
        assert_eq!(written(&counted(1), &counted(2)), r#"{"seen":2,"tally":{"lines":2}}"#);
        assert_eq!(RecordChange::between(&record(Vec::new()), &counted(1)), None);
    }

    #[test]
    fn difference_to_another_position_is_refused() {
        let (old, new) = (record(vec![checkpoint(1, 1), checkpoint(2, 2)]), record(vec![checkpoint(2, 2)]));
        let change = RecordChange::between(&old, &new).unwrap();
        assert_eq!(change.apply(&mut record(vec![checkpoint(1, 1)])), None);
    }
}
