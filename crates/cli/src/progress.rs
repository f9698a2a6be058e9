use indicatif::{ProgressBar, ProgressStyle};
use types::Position;

/// How far something is that takes long: on standard error, if somebody looks at it.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Up to this position.
    pub(crate) fn new(last: u64) -> Self {
        let style = "{bar:40} {human_pos}/{human_len} events  {per_sec}  {eta}";
        Self::styled(ProgressBar::new(last), style)
    }

    /// Up to where is not known.
    pub(crate) fn endless() -> Self {
        Self::styled(
            ProgressBar::no_length(),
            "{spinner} {human_pos} events  {per_sec}",
        )
    }

    fn styled(bar: ProgressBar, style: &str) -> Self {
        let style = ProgressStyle::with_template(style).expect("the template is one");
        Self(bar.with_style(style))
    }

    pub(crate) fn reached(&self, position: Position) {
        self.0.set_position(position.0);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
