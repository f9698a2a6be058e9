/// How many rows a page holds: 1 to 1,000, and 100 when the caller does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit(usize);

impl PageLimit {
    pub const MAX: usize = 1_000;

    /// As many rows as a page can hold.
    pub const MOST: Self = Self(Self::MAX);

    /// For what is bounded by something else.
    pub const UNBOUNDED: Self = Self(usize::MAX);

    /// A page that holds more bytes than this is not filled further, whatever its limit.
    pub const BYTES_MAX: usize = 4 * 1024 * 1024;

    /// The nearest allowed limit.
    pub fn clamped(rows: u64) -> Self {
        Self(
            usize::try_from(rows)
                .unwrap_or(Self::MAX)
                .clamp(1, Self::MAX),
        )
    }

    pub fn rows(self) -> usize {
        self.0
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(100)
    }
}
