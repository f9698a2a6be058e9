use anyhow::Context as _;

/// Values apart by a separator, in quotes where they hold one, a quote or a line break (RFC 4180).
#[derive(Clone, Copy, Debug)]
pub(super) struct Separated {
    separator: u8,
}

/// How far a record has been read. The library that takes records apart forgives a quote that is left
/// open and swallows the rest of the file with it; this does not.
#[derive(Debug, Default)]
pub(super) struct Quotes {
    state: State,
    /// Lines before this one in the record.
    lines: u64,
    /// From 1.
    column: usize,
    /// The line, from 0, and the column in which the latest quote was opened.
    opened: (u64, usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Begin,
    Plain,
    Quoted,
    /// After a quote within quotes: it closes them, or is one of two.
    Closed,
}

/// Text follows a quote that closes.
#[derive(Debug)]
pub(super) struct TextAfterQuote;

impl Quotes {
    pub(super) fn are_open(&self) -> bool {
        self.state == State::Quoted
    }

    /// The line, counted from the first of the record, and the column of the latest quote.
    pub(super) fn opened(&self) -> (u64, usize) {
        self.opened
    }
}

impl Separated {
    pub(super) fn by(separator: u8) -> Self {
        Self { separator }
    }

    /// Takes the next line of a record.
    pub(super) fn follow(self, quotes: &mut Quotes, line: &[u8]) -> Result<(), TextAfterQuote> {
        if quotes.column == 0 {
            quotes.column = 1;
        }
        for byte in line {
            let ends = matches!(byte, b'\r' | b'\n');
            quotes.state = match (quotes.state, *byte) {
                (State::Begin, b'"') => {
                    quotes.opened = (quotes.lines, quotes.column);
                    State::Quoted
                }
                (State::Quoted, b'"') => State::Closed,
                (State::Quoted, _) | (State::Closed, b'"') => State::Quoted,
                (State::Begin | State::Plain | State::Closed, byte) if byte == self.separator => {
                    quotes.column += 1;
                    State::Begin
                }
                (State::Closed, _) if ends => State::Closed,
                (State::Closed, _) => return Err(TextAfterQuote),
                (State::Begin | State::Plain, _) => State::Plain,
            };
        }
        quotes.lines += 1;
        Ok(())
    }

    /// The values of a whole record.
    pub(super) fn cells(self, record: &[u8]) -> anyhow::Result<csv::ByteRecord> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.separator)
            .buffer_capacity(record.len().clamp(64, 8_192))
            .from_reader(record);
        let mut cells = csv::ByteRecord::new();
        reader
            .read_byte_record(&mut cells)
            .context("a record cannot be taken apart")?;
        Ok(cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(lines: &[&str]) -> Result<Quotes, TextAfterQuote> {
        let mut quotes = Quotes::default();
        for line in lines {
            Separated::by(b',').follow(&mut quotes, line.as_bytes())?;
        }
        Ok(quotes)
    }

    #[test]
    fn a_record_ends_where_its_quotes_do() {
        for (lines, open) in [
            (&["a,b\n"][..], false),
            (&["a,\"b\"\r\n"], false),
            (&["a,\"b\n"], true),
            (&["a,\"b\n", "c\",d\n"], false),
            (&["\"a\"\"b\",\"\"\n"], false),
            (&["\"a\"\"\n"], true),
            (&["a \"b\" c,d\n"], false),
            (&[""], false),
        ] {
            let quotes = follow(lines).expect("well quoted");
            assert_eq!(quotes.are_open(), open, "{lines:?}");
        }
        assert!(follow(&["\"a\"b,c\n"]).is_err());
        assert!(follow(&["a,\"b\n", "c\"d\n"]).is_err());
        let quotes = follow(&["\"a\n", "b\",\"c\n"]).expect("well quoted");
        assert_eq!(quotes.opened(), (1, 2));
    }
}
