use std::path::Path;

use event_log::{Head, Report, verify};

use crate::directory::remove_if_there;
use crate::head_file::{self, RememberedHead};
use crate::open::{self, OpenError, log_directory, open_log, trial_of};
use crate::store::SledLog;

/// What is the matter with a store, and what can be done.
#[derive(Debug)]
pub struct DoctorReport {
    /// Why it does not open; `None` if it does.
    pub refusal: Option<String>,
    /// What the head file remembers.
    pub remembered: Option<Head>,
    /// What a full reading of a copy showed; `None` if not even a copy opens.
    pub report: Option<Report>,
    pub advice: Vec<&'static str>,
}

/// Examines a copy; the store itself is not touched.
pub fn doctor(data: &Path) -> Result<DoctorReport, OpenError> {
    let lock = open::lock(data)?;
    let remembered = head_file::read(data).ok().flatten();
    let trial = data.join("log.doctor");
    let log = log_directory(data);
    let refusal = trial_of(&log, &trial, remembered, false)
        .or_else(|_| trial_of(&log, &trial, remembered, true))
        .err();
    let report = open_log(&trial).ok().and_then(|opened| {
        // A copy of its own needs a head file and a lock of its own to be read as a log.
        let workshop = data.join("log.doctor.head");
        std::fs::create_dir_all(&workshop).ok()?;
        let frontier = &opened.edge.frontier;
        let head = Head {
            position: types::Position(frontier.size()),
            root: frontier.root(),
        };
        head_file::create(&workshop, RememberedHead { head, log_bytes: 0 }).ok()?;
        let head_file = head_file::HeadFile::open(&workshop).ok()?;
        let file = std::fs::File::open(trial.join("db")).ok()?;
        let lock = open::lock(&workshop).ok()?;
        let log = SledLog::from_parts(trial.clone(), opened, file, head_file, lock);
        let report = verify(&log, &mut |_| ());
        drop(log);
        remove_if_there(&workshop).ok()?;
        Some(report)
    });
    remove_if_there(&trial).map_err(OpenError::io("the trial copy cannot be removed"))?;
    drop(lock);
    let advice = advice(refusal.as_ref(), report.as_ref());
    Ok(DoctorReport {
        refusal: refusal.map(|refusal| refusal.to_string()),
        remembered: remembered.map(|it| it.head),
        report,
        advice,
    })
}

fn advice(refusal: Option<&OpenError>, report: Option<&Report>) -> Vec<&'static str> {
    const COPY: &str = "Copy the whole data directory to another disk before anything else.";
    const RESTORE: &str = "Restore the newest backup, or import the newest export.";
    let whole = report.is_some_and(|report| report.damage.is_none());
    match refusal {
        None if whole => vec!["The store opens and every record is good: nothing needs doing."],
        Some(OpenError::NoHead) if whole => vec![
            COPY,
            "Every record that is there is good, but the head file, which would tell whether the \
             newest are missing, cannot be read. If you know by other means that none are \
             missing, `muster log doctor --rewrite-head` writes a new one.",
        ],
        Some(OpenError::Blobs(_)) => vec![
            COPY,
            "The store was written by something else than this server; it cannot be relied on.",
            RESTORE,
        ],
        None | Some(_) => vec![
            COPY,
            "The disk or the file system has lost or changed what was written: check both.",
            RESTORE,
        ],
    }
}

/// Writes a new head file for a log that is whole, when the old one is lost.
pub fn rewrite_head(data: &Path) -> Result<Head, OpenError> {
    let lock = open::lock(data)?;
    let trial = data.join("log.doctor");
    let tried = trial_of(&log_directory(data), &trial, None, false);
    remove_if_there(&trial).map_err(OpenError::io("the trial copy cannot be removed"))?;
    match tried {
        Ok(()) | Err(OpenError::NoHead) => {}
        Err(error) => return Err(error),
    }
    let opened = open_log(&log_directory(data))?;
    let frontier = &opened.edge.frontier;
    let head = Head {
        position: types::Position(frontier.size()),
        root: frontier.root(),
    };
    head_file::create(data, RememberedHead { head, log_bytes: 0 })
        .map_err(OpenError::io("the head file cannot be written"))?;
    drop(lock);
    Ok(head)
}
