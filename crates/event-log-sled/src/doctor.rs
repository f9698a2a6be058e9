use std::io::ErrorKind;
use std::path::Path;

use event_log::{Head, Report, verify};

use crate::directory::{move_aside, remove_if_there};
use crate::head_file::{self, RememberedHead};
use crate::open::{self, OpenError, log_directory};
use crate::trial::{Snapshots, Trial, judge_copy, open_copy};

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
    let head_file = head_file::read(data).ok().flatten();
    let directory = data.join("log.doctor");
    let log = log_directory(data);
    let opened = open_copy(&log, &directory, Snapshots::Kept)
        .or_else(|_| open_copy(&log, &directory, Snapshots::Removed));
    let (refusal, report) = match opened {
        Err(refusal) => (Some(refusal), None),
        Ok(opened) => {
            let refusal = match head_file {
                Some(remembered) => open::compare(&opened, remembered).err(),
                None => Some(OpenError::NoHead),
            };
            let report = verify(&Trial::of(opened, &directory), &mut |_| ());
            (refusal, Some(report))
        }
    };
    remove_if_there(&directory).map_err(OpenError::io("the trial copy cannot be removed"))?;
    drop(lock);
    let advice = advice(refusal.as_ref(), report.as_ref());
    Ok(DoctorReport {
        refusal: refusal.map(|refusal| refusal.to_string()),
        remembered: head_file.map(|it| it.head),
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

/// Writes a new head file for a log that is whole, when the old one is lost. Every record is read
/// first. A head file that can be read and says that events are missing is believed, not replaced.
pub fn rewrite_head(data: &Path) -> Result<Head, OpenError> {
    let _lock = open::lock(data)?;
    let remembered = match head_file::read(data) {
        Ok(remembered) => remembered,
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(OpenError::io("the head file cannot be read")(error)),
    };
    let head = judge_copy(data, &log_directory(data), |opened| {
        if let Some(remembered) = remembered {
            open::compare(&opened, remembered)?;
        }
        let head = opened.head();
        let trial = Trial::of(opened, &data.join("log.check"));
        match verify(&trial, &mut |_| ()).damage {
            None => Ok(head),
            Some(damage) => Err(OpenError::Damaged {
                position: damage.position,
                last_good: damage.last_good,
                what: damage.what,
            }),
        }
    })?;
    let old = head_file::path(data);
    if remembered.is_none() && old.exists() {
        move_aside(data, &old).map_err(OpenError::io("the old head file cannot be moved"))?;
    }
    // The length of sled's file is not known to have been synced, so nothing is claimed of it.
    head_file::create(data, RememberedHead { head, log_bytes: 0 })
        .map_err(OpenError::io("the head file cannot be written"))?;
    Ok(head)
}
