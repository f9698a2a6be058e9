use types::PageLimit;

/// About how much of an answer a row takes, where that is not bounded by little.
pub(crate) trait Weigh {
    fn bytes(&self) -> usize;
}

/// Fills a page until the limit or its bytes are reached, and says whether there is more.
pub(crate) fn page<T: Weigh>(rows: impl Iterator<Item = T>, limit: PageLimit) -> (Vec<T>, bool) {
    let mut page = Vec::new();
    let mut bytes = 0;
    for row in rows {
        let full = limit != PageLimit::UNBOUNDED && bytes > PageLimit::BYTES_MAX;
        if page.len() == limit.rows() || full {
            return (page, true);
        }
        bytes += row.bytes();
        page.push(row);
    }
    (page, false)
}
