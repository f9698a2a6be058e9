use std::fmt;

use crate::ids::LIST_ID_PARTS_MAX;
use crate::{InvalidId, ListId};

/// A way to name several lists at once: a list id in which whole parts may be `*` (exactly one
/// part) and the last part may be `**` (one or more parts).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListPattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Exactly(String),
    Any,
    /// One or more parts; only ever the last.
    Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("in a list pattern `*` stands for a whole part, and `**` only for the last parts")]
    Wildcard,
    #[error("`**` must follow at least one part that is not a wildcard")]
    RestOfNothing,
}

impl ListPattern {
    pub fn parse(raw: &str) -> Result<Self, InvalidPattern> {
        let raw_parts: Vec<&str> = raw.split('.').collect();
        if raw_parts.len() > LIST_ID_PARTS_MAX {
            return Err(InvalidId::ListParts.into());
        }
        let mut parts = Vec::new();
        for (place, raw_part) in raw_parts.iter().enumerate() {
            parts.push(match *raw_part {
                "*" => Part::Any,
                "**" if place + 1 < raw_parts.len() => return Err(InvalidPattern::Wildcard),
                "**" => match parts.last() {
                    Some(Part::Exactly(_)) => Part::Rest,
                    Some(Part::Any | Part::Rest) | None => {
                        return Err(InvalidPattern::RestOfNothing);
                    }
                },
                part if part.contains('*') => return Err(InvalidPattern::Wildcard),
                part => {
                    ListId::parse(part)?;
                    Part::Exactly(part.to_owned())
                }
            });
        }
        Ok(Self { parts })
    }

    /// The list that the pattern names, if it names one only.
    pub fn exactly(&self) -> Option<ListId> {
        let exact = |part: &Part| matches!(part, Part::Exactly(_));
        let named = self.parts.iter().all(exact);
        named.then(|| ListId::parse(&self.to_string()).ok())?
    }

    pub fn matches(&self, list: &ListId) -> bool {
        let mut names = list.as_str().split('.');
        for part in &self.parts {
            let Some(name) = names.next() else {
                return false;
            };
            match part {
                Part::Exactly(expected) if name != expected => return false,
                Part::Exactly(_) | Part::Any => {}
                Part::Rest => return true,
            }
        }
        names.next().is_none()
    }
}

impl fmt::Display for ListPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, part) in self.parts.iter().enumerate() {
            if place > 0 {
                f.write_str(".")?;
            }
            f.write_str(match part {
                Part::Exactly(name) => name,
                Part::Any => "*",
                Part::Rest => "**",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_courier_documents_them() {
        for (pattern, list, expected) in [
            ("example", "example", true),
            ("example", "example.a", false),
            ("example.*", "example.a", true),
            ("example.*", "example", false),
            ("example.*", "example.a.b", false),
            ("example.**", "example.a.b.c", true),
            ("example.**", "example", false),
            ("example.*.list", "example.a.list", true),
            ("example.*.list", "example.a.other", false),
            ("*", "example", true),
            ("*", "example.a", false),
            ("*.*", "example.a", true),
        ] {
            let list = ListId::parse(list).unwrap();
            let matches = ListPattern::parse(pattern).unwrap().matches(&list);
            assert_eq!(matches, expected, "{pattern} and {list}");
            assert_eq!(ListPattern::parse(pattern).unwrap().to_string(), pattern);
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in [
            "",
            "**",
            "**.part",
            "*.**",
            ".a",
            "a.",
            "a..b",
            "a b",
            "***",
            "poke**",
            "g*",
            "a.b.c.d.e",
        ] {
            assert!(ListPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
