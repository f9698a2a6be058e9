//! What is noted of `db` while it is read: findings, and which pages there are.

use crate::survey::{FINDINGS_MAX, Oddity};

/// More pages than this are not kept account of: it would take more memory than they are worth.
const PAGES_MAX: u64 = 1 << 27;

/// What one thread saw.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) findings: Findings,
    pub(super) pages: Pages,
}

impl Seen {
    pub(super) fn add_all(&mut self, other: Self) {
        self.pages.add_all(&other.pages);
        for (offset, what) in other.findings.0 {
            self.findings.add(offset, what);
        }
    }
}

/// Findings in `db`, by offset.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<(u64, Oddity)>);

impl Findings {
    pub(super) fn add(&mut self, offset: u64, what: Oddity) {
        if self.0.len() < FINDINGS_MAX {
            self.0.push((offset, what));
        }
    }
}

/// Pages in the messages of the log.
#[derive(Default)]
pub(super) struct Pages {
    /// A bit for each page: whether it is somewhere as a whole.
    whole: Vec<u64>,
    /// The first page behind all that are mentioned.
    end: u64,
}

impl Pages {
    pub(super) fn mention(&mut self, page: u64) {
        if page < PAGES_MAX {
            self.end = self.end.max(page + 1);
        }
    }

    pub(super) fn add_whole(&mut self, page: u64) {
        self.mention(page);
        if let Some((word, bit)) = Self::place(page) {
            self.whole.resize(self.whole.len().max(word + 1), 0);
            self.whole[word] |= bit;
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.end = self.end.max(other.end);
        self.whole
            .resize(self.whole.len().max(other.whole.len()), 0);
        for (word, other) in self.whole.iter_mut().zip(&other.whole) {
            *word |= other;
        }
    }

    pub(super) fn first_missing(&self, from: u64) -> Option<u64> {
        (from..self.end).find(|page| {
            Self::place(*page).is_some_and(|(word, bit)| {
                let word = self.whole.get(word).copied().unwrap_or_default();
                word & bit == 0
            })
        })
    }

    fn place(page: u64) -> Option<(usize, u64)> {
        let word = usize::try_from(page / 64).ok()?;
        (page < PAGES_MAX).then_some((word, 1 << (page % 64)))
    }
}
