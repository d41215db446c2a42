//! The format of the state file.
//!
//! The file is one JSON object: `version`, a number that grows with each change of the format, and `history`, the
//! [`KillHistory`] of that version. The format is this crate's own. It is not the JSON of any value, so values can change
//! without a new version.
//!
//! | version | content |
//! |---|---|
//! | 1 | `ledger`: records nested as `report`, with the field names of that time's values |
//! | 2 | `history`: flat records |
//!
//! Fields that are added with a default need no new version.

use serde::{Deserialize, Serialize};

use crate::history::KillHistory;
use crate::state_v1::StateV1;

/// The version that is written.
pub(crate) const VERSION: u32 = 2;

/// Why the content of a state file is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    #[error("its format has version {0}, and versions 1 to {VERSION} are known")]
    Unknown(u32),
}

impl FormatError {
    /// Whether a newer program wrote the file, which this one must not overwrite.
    pub(crate) fn is_newer(&self) -> bool {
        matches!(self, Self::Unknown(version) if *version > VERSION)
    }
}

#[derive(Deserialize)]
struct Header {
    version: u32,
}

#[derive(Deserialize)]
struct State {
    history: KillHistory,
}

#[derive(Serialize)]
struct StateToWrite<'a> {
    version: u32,
    history: &'a KillHistory,
}

/// Reads a history of any known version.
pub(crate) fn decode(text: &[u8]) -> Result<KillHistory, FormatError> {
    let Header { version } = serde_json::from_slice(text)?;
    match version {
        1 => Ok(serde_json::from_slice::<StateV1>(text)?.into()),
        VERSION => Ok(serde_json::from_slice::<State>(text)?.history),
        unknown => Err(FormatError::Unknown(unknown)),
    }
}

/// Writes a history in the current version.
pub(crate) fn encode(history: &KillHistory) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&StateToWrite { version: VERSION, history })
}

#[cfg(test)]
mod tests {
    use oom_evidence::{Constraint, Killer, Trust};

    use super::*;
    use crate::source::OomSource;

    /// Written by version 1.
    const V1: &[u8] = include_bytes!("../tests/data/oom-v1.json");

    #[test]
    fn version_1_is_migrated_with_all_that_it_holds() {
        let history = decode(V1).unwrap();
        assert_eq!((history.reports, history.records.len(), history.total()), (6, 6, 4));
        assert_eq!((history.messages_lost, history.messages_before_start), (0, 50));
        let undated = history.newest().next().unwrap();
        assert_eq!((undated.time().as_deref(), undated.unix_seconds()), (Some("Feb 30 10:00:00"), None));
        let php = &history.records[0];
        assert_eq!(php.time().as_deref(), Some("2023-11-14T22:14:20.000Z"));
        assert_eq!(
            (php.trust, php.killer, php.constraint),
            (Trust::Low, Killer::Kernel, Some(Constraint::Memcg))
        );
        assert_eq!(
            (php.invoked_by.as_deref(), php.unit.as_deref()),
            (Some("php-fpm"), Some("php-fpm.service"))
        );
        assert_eq!((php.victims[0].pid, php.victims[0].uid, php.tasks.len()), (4711, Some(33), 2));
        assert_eq!((php.counted_kills, php.time_text.as_deref()), (1, None));
        let merged = &history.records[2];
        assert_eq!(merged.sources, [OomSource::Kmsg, OomSource::File]);
        assert_eq!((merged.error_micros, merged.since_boot_seconds), (516_000, Some(5160.0)));
        let redis = &history.records[3];
        assert_eq!((redis.main_pid, redis.sources.as_slice()), (Some(900), &[OomSource::Systemd][..]));
        let oomd = &history.records[4];
        assert_eq!((oomd.killer, oomd.reason.as_deref()), (Killer::SystemdOomd, Some("memory-pressure")));
    }

    #[test]
    fn version_1_keeps_counts_positions_and_services() {
        let mut history = decode(V1).unwrap();
        let boots: Vec<_> = history.boots.iter().map(|boot| (boot.kernel, boot.reported())).collect();
        assert_eq!(boots, [(Some(3), 1), (Some(1), 1)]);
        assert_eq!(history.boots[0].by_source[&OomSource::File], 2);
        assert_eq!(history.boots[1].by_source[&OomSource::SystemdOomd], 1);
        assert_eq!(history.positions.kmsg, Some(51));
        assert!(history.positions.journal.as_deref().is_some_and(|cursor| cursor.starts_with("s=0639;")));
        assert_eq!(history.positions.files["var/log/messages"].offset, 1195);
        assert_eq!(history.services.total, 3);
        assert_eq!(history.services.counts["redis.service"].last_unix_seconds, 1_700_009_000);
        let outlived = crate::services::CgroupCount { inode: 77, oom_kills: 2 };
        history.services.add_outlived("memcached.service", outlived, &history.boots[1].id);
        assert_eq!(history.services.total, 3, "counted before");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let history = decode(V1).unwrap();
        let text = encode(&history).unwrap();
        assert!(text.starts_with(br#"{"version":2,"history":{"#));
        assert_eq!(decode(&text).unwrap(), history);
    }

    #[test]
    fn damaged_and_unknown_forms_are_refused() {
        for bad in ["", "{", "\0\0\0\0", "[]", r#"{"version":1}"#, r#"{"version":2}"#, r#"{"history":{}}"#] {
            let error = decode(bad.as_bytes()).unwrap_err();
            assert!(matches!(error, FormatError::Form(_)), "{bad}: {error}");
        }
        assert!(!decode(br#"{"version":0}"#).unwrap_err().is_newer());
        let newer = decode(br#"{"version":3,"history":{"from":"the future"}}"#).unwrap_err();
        assert!(newer.is_newer());
        assert_eq!(newer.to_string(), "its format has version 3, and versions 1 to 2 are known");
    }
}
