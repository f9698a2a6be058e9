/// Content that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct ContentError {
    /// A JSON pointer into the content, such as `/elements/3/content`.
    pub pointer: String,
    /// What is expected, in one sentence.
    pub message: String,
}

impl ContentError {
    pub(crate) fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

/// Content that cannot be told to this person on this channel. No value of a variable is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error("{pointer}: there is no variable `{name}`")]
    MissingVariable { name: String, pointer: String },
    #[error("{pointer}: {message}")]
    Template { pointer: String, message: String },
    #[error("what is rendered is longer than {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
    #[error("the templates do more work than is allowed")]
    TooMuchWork,
    #[error("there is nothing to say on this channel")]
    Empty,
}
