use serde::{Deserialize, Serialize};

/// What one person is told on one channel, with nothing left to fill in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendered {
    /// The subject of an e-mail, the title of a push notification or of a message in the inbox.
    pub title: Option<String>,
    /// Plain text: the whole of a text message, the body of what has a title.
    pub text: String,
    /// The whole HTML document of an e-mail; on no other channel.
    pub html: Option<String>,
    /// What can be clicked, in the order of the content.
    pub actions: Vec<Action>,
    /// The address of the first image, if there is one.
    pub image: Option<String>,
}

/// Something to click.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub label: String,
    pub href: String,
}
