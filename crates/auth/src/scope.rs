use std::fmt;

/// Declares the scopes: variant and stable name. The order means nothing: scopes are stored by name.
macro_rules! scopes {
    ($($(#[$meta:meta])* $scope:ident = $name:literal,)+) => {
        /// What a key may be allowed to do. Writing does not include reading.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope {
            $($(#[$meta])* $scope,)+
        }

        impl Scope {
            /// All there are, by name.
            pub const EVERY: &'static [Self] = &[$(Self::$scope,)+];

            /// The stable name, `resource:verb`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$scope => $name,)+ }
            }

            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$scope),)+
                    _ => None,
                }
            }
        }
    };
}

scopes! {
    AudiencesRead = "audiences:read",
    AudiencesWrite = "audiences:write",
    /// Who did what of those things that administer the server.
    AuditRead = "audit:read",
    /// Everything there is, keys included.
    BackupRead = "backup:read",
    BrandsRead = "brands:read",
    BrandsWrite = "brands:write",
    EventsRead = "events:read",
    /// What lies in the inboxes of people.
    InboxRead = "inbox:read",
    InboxWrite = "inbox:write",
    KeysRead = "keys:read",
    KeysWrite = "keys:write",
    /// Lists and subscriptions to them.
    ListsRead = "lists:read",
    ListsWrite = "lists:write",
    /// Checkpoints, proofs and tiles of the log.
    LogVerify = "log:verify",
    /// Messages, bulk jobs, and what became of them.
    MessagesRead = "messages:read",
    /// Sending, and whatever stops or repeats it.
    MessagesSend = "messages:send",
    MetricsRead = "metrics:read",
    /// What people choose: preferences and quiet hours.
    PreferencesRead = "preferences:read",
    PreferencesWrite = "preferences:write",
    ProfilesRead = "profiles:read",
    ProfilesWrite = "profiles:write",
    TemplatesRead = "templates:read",
    TemplatesWrite = "templates:write",
    /// Tenants and memberships in them.
    TenantsRead = "tenants:read",
    TenantsWrite = "tenants:write",
    /// Device tokens of people.
    TokensRead = "tokens:read",
    TokensWrite = "tokens:write",
    /// Sections, topics and the preference page.
    TopicsRead = "topics:read",
    TopicsWrite = "topics:write",
    /// Telling what people did elsewhere.
    TrackWrite = "track:write",
    /// Issuing tokens with which a person reaches what is theirs.
    UserTokensIssue = "user-tokens:issue",
    /// Everything about a person at once.
    /// Erasing people for ever.
    UsersErase = "users:erase",
    UsersRead = "users:read",
    UsersWrite = "users:write",
    /// Who is told of what happens, and how that goes.
    WebhooksRead = "webhooks:read",
    WebhooksWrite = "webhooks:write",
}

/// The word for every scope, those to come included.
pub const ADMIN: &str = "admin";
/// As [`ADMIN`], in keys of before there were scopes.
const STAR: &str = "*";

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes {
    bits: u64,
    admin: bool,
}

/// A word that is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope")]
pub struct UnknownScope(pub String);

impl Scopes {
    pub const NONE: Self = Self {
        bits: 0,
        admin: false,
    };
    pub const ADMIN: Self = Self {
        bits: 0,
        admin: true,
    };

    /// The set of these words.
    ///
    /// # Errors
    /// The first that is no scope: nothing is guessed, for a guess could widen.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownScope> {
        words.into_iter().try_fold(Self::NONE, |scopes, word| {
            scopes
                .with(word)
                .ok_or_else(|| UnknownScope(word.to_owned()))
        })
    }

    /// Those of a key that was issued, as far as the words are known: what a later version wrote allows
    /// nothing here.
    pub fn known<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let words = words.into_iter();
        words.fold(Self::NONE, |scopes, word| {
            let word = if word == STAR { ADMIN } else { word };
            scopes.with(word).unwrap_or(scopes)
        })
    }

    fn with(mut self, word: &str) -> Option<Self> {
        if word == ADMIN {
            self.admin = true;
        } else {
            self.bits |= Scope::parse(word)?.bit();
        }
        Some(self)
    }

    pub fn allows(self, scope: Scope) -> bool {
        self.admin || self.bits & scope.bit() != 0
    }

    /// Whether whoever holds these may give away the others.
    pub fn include(self, others: Self) -> bool {
        self.admin || !others.admin && others.bits & !self.bits == 0
    }

    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// The words, in their order.
    pub fn names(self) -> Vec<&'static str> {
        let admin = self.admin.then_some(ADMIN);
        let own = Scope::EVERY
            .iter()
            .filter(|scope| self.bits & scope.bit() != 0);
        admin.into_iter().chain(own.map(|it| it.name())).collect()
    }
}

impl Scope {
    fn bit(self) -> u64 {
        1 << self as u32
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_allows_what_it_names_and_nothing_else() {
        assert!(Scope::EVERY.len() < 64);
        for scope in Scope::EVERY {
            let one = Scopes::parse([scope.name()]).expect("a scope");
            for other in Scope::EVERY {
                assert_eq!(one.allows(*other), scope == other, "{one:?} {other:?}");
            }
            assert_eq!(one.names(), [scope.name()]);
            assert!(Scopes::ADMIN.allows(*scope) && Scopes::ADMIN.include(one));
            assert!(!one.include(Scopes::ADMIN) && one.include(one));
        }
        assert!(Scopes::NONE.is_empty());
        // It was issued once, and is no more.
        assert_eq!(Scopes::known(["*"]), Scopes::ADMIN);
        assert!(Scopes::parse(["*"]).is_err());
    }

    #[test]
    fn no_word_widens() {
        for word in [
            "",
            "profiles",
            "profiles:*",
            "*:read",
            "profiles:read ",
            " profiles:read",
            "PROFILES:READ",
            "profiles:read,profiles:write",
            "profiles:read profiles:write",
            "Admin",
            "**",
            "profiles:read\n",
            "profiles:read:write",
        ] {
            assert_eq!(Scopes::parse([word]), Err(UnknownScope(word.to_owned())));
            assert!(Scopes::known([word]).is_empty());
        }
    }
}
