use crate::content::Look;

/// An element as one person is shown it, with nothing left to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Text {
        text: String,
        look: Look,
    },
    Image {
        src: String,
        href: Option<String>,
        alt: Option<String>,
        look: Look,
    },
    Action {
        label: String,
        href: String,
        look: Look,
    },
    Divider {
        look: Look,
    },
    Quote {
        text: String,
        look: Look,
    },
    /// What is HTML already.
    Html(String),
}
