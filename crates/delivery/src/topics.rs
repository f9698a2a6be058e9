use types::AudienceId;

/// What a webhook can ask for besides the types of events.
pub const AUDIENCE_TYPES: [&str; 2] = [MATCHED, UNMATCHED];
const MATCHED: &str = "audiences:user:matched";
const UNMATCHED: &str = "audiences:user:unmatched";

/// What a webhook is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Patterns of types of events; of none at all if there is none.
    pub(crate) events: Vec<String>,
    pub(crate) joined: bool,
    pub(crate) left: bool,
    /// Of this audience only.
    pub(crate) audience: Option<AudienceId>,
}

impl Topics {
    /// What these words stand for, each a type or the beginning of some and `*`. What stands for nothing
    /// is passed over.
    pub fn of(words: &[String], audience: Option<AudienceId>) -> Self {
        let any = |name: &str| words.iter().any(|word| covers(word, name));
        Self {
            events: words
                .iter()
                .filter(|word| is_of_events(word))
                .cloned()
                .collect(),
            joined: any(MATCHED),
            left: any(UNMATCHED),
            audience,
        }
    }

    /// Whether the word stands for anything.
    pub fn is_known(word: &str) -> bool {
        AUDIENCE_TYPES.iter().any(|name| covers(word, name)) || is_of_events(word)
    }

    /// Whether joining or leaving audiences is told.
    pub fn tells_of_audiences(&self) -> bool {
        self.joined || self.left
    }
}

pub(crate) fn audience_type(joined: bool) -> &'static str {
    if joined { MATCHED } else { UNMATCHED }
}

fn is_of_events(word: &str) -> bool {
    engine::event_types().any(|name| covers(word, name))
}

fn covers(word: &str, name: &str) -> bool {
    match word.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => word == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_for_types_of_events_and_of_membership() {
        let of = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
            Topics::of(&words, None)
        };
        let all = of(&["*"]);
        assert!(all.joined && all.left && all.events == ["*"]);
        let some = of(&["profile.*", "audiences:user:matched", "nothing.at_all"]);
        assert!(some.joined && !some.left && some.events == ["profile.*"]);
        let both = of(&["audiences:*"]);
        assert!(both.joined && both.left && both.events.is_empty());
        for unknown in [
            "",
            "profile",
            "profile.updated.*",
            "audiences:updated",
            "**",
        ] {
            assert!(!Topics::is_known(unknown), "{unknown}");
        }
    }
}
