use std::fmt;

/// One record of delimiter-separated values, taken in line by line: values stand in quotes where they
/// hold the delimiter, a quote or a line break (RFC 4180).
///
/// Libraries forgive a quote that is left open and swallow the rest of the file with it, or end a line
/// at a lone carriage return and leave out what follows. This refuses both.
#[derive(Debug)]
pub(super) struct Record {
    delimiter: u8,
    state: State,
    /// Lines and bytes taken so far.
    lines: u64,
    size: usize,
    /// Where the latest quote was opened.
    opened: Opened,
    /// The values one after another, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
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

/// A place in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Opened {
    /// Counted from the first line of the record, which is 0.
    pub(super) line: u64,
    /// Counted from the first value of the record, which is 1.
    pub(super) column: usize,
}

/// Why a line is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misread {
    TextAfterQuote,
    CarriageReturn,
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TextAfterQuote => "text follows a quote that closes",
            Self::CarriageReturn => {
                "a carriage return stands without a line feed: save the file with lines that end in \
                 LF or CRLF"
            }
        })
    }
}

impl Record {
    pub(super) fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            state: State::default(),
            lines: 0,
            size: 0,
            opened: Opened::default(),
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Takes the next line, with its line break; nothing may follow one that completes the record.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<(), Misread> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        for &byte in text {
            self.state = match (self.state, byte) {
                (State::Begin, b'"') => {
                    self.opened = Opened {
                        line: self.lines,
                        column: self.ends.len() + 1,
                    };
                    State::Quoted
                }
                (State::Quoted, b'"') => State::Closed,
                (State::Quoted, _) | (State::Closed, b'"') => {
                    self.bytes.push(byte);
                    State::Quoted
                }
                (State::Begin | State::Plain | State::Closed, byte) if byte == self.delimiter => {
                    self.ends.push(self.bytes.len());
                    State::Begin
                }
                (_, b'\r') => return Err(Misread::CarriageReturn),
                (State::Closed, _) => return Err(Misread::TextAfterQuote),
                (State::Begin | State::Plain, _) => {
                    self.bytes.push(byte);
                    State::Plain
                }
            };
        }
        self.lines += 1;
        self.size += line.len();
        if self.state == State::Quoted {
            self.bytes.extend(&line[text.len()..]);
        } else {
            self.ends.push(self.bytes.len());
        }
        Ok(())
    }

    /// The quote that is still open: the record goes on.
    pub(super) fn open_quote(&self) -> Option<Opened> {
        (self.state == State::Quoted).then_some(self.opened)
    }

    /// Bytes taken so far.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether it is a line without anything on it.
    pub(super) fn is_blank(&self) -> bool {
        self.ends.len() == 1 && self.bytes.iter().all(u8::is_ascii_whitespace)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins
            .zip(&self.ends)
            .map(|(begin, end)| &self.bytes[begin..*end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lines: &[&str]) -> Result<Record, Misread> {
        let mut record = Record::new(b',');
        for line in lines {
            record.take(line.as_bytes())?;
        }
        Ok(record)
    }

    #[test]
    fn values_are_what_stands_between_delimiters_and_within_quotes() {
        for (lines, values) in [
            (&["a,b\n"][..], &["a", "b"][..]),
            (&["a,\"b\"\r\n"], &["a", "b"]),
            (&["a,b\r"], &["a", "b"]),
            (&["a,\"b\r\n", "c\",d\n"], &["a", "b\r\nc", "d"]),
            (&["\"a\rb\",\"\r\"\n"], &["a\rb", "\r"]),
            (&["\"a\"\"b\",\"\"\n"], &["a\"b", ""]),
            (&["a \"b\" c,d\n"], &["a \"b\" c", "d"]),
            (&[",,"], &["", "", ""]),
            (&[""], &[""]),
        ] {
            let record = taken(lines).expect("well formed");
            assert_eq!(record.open_quote(), None, "{lines:?}");
            let read: Vec<_> = record.values().collect();
            let expected: Vec<_> = values.iter().map(|it| it.as_bytes()).collect();
            assert_eq!(read, expected, "{lines:?}");
        }
    }

    #[test]
    fn a_record_goes_on_while_a_quote_is_open() {
        let open = |lines: &[&str]| taken(lines).expect("well formed").open_quote();
        let opened = |line, column| Some(Opened { line, column });
        assert_eq!(open(&["a,\"b\n"]), opened(0, 2));
        assert_eq!(open(&["\"a\"\"\n"]), opened(0, 1));
        assert_eq!(open(&["\"a\n", "b\",\"c\n"]), opened(1, 2));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (lines, why) in [
            (&["\"a\"b,c\n"][..], Misread::TextAfterQuote),
            (&["a,\"b\n", "c\"d\n"], Misread::TextAfterQuote),
            (&["a,b\rc,d\n"], Misread::CarriageReturn),
            (&["\"a\"\rb\n"], Misread::CarriageReturn),
        ] {
            assert_eq!(taken(lines).map(|_| ()), Err(why), "{lines:?}");
        }
    }

    /// What the library writes is read as it was.
    #[test]
    fn what_is_written_is_read_again() {
        let values = ["", "a,b", "\"", "c\nd", "\r\n", "\r", " e ", "f\"g"];
        let mut writer = csv::Writer::from_writer(vec![]);
        writer.write_record(values).expect("written");
        let written = writer.into_inner().expect("flushed");
        let mut record = Record::new(b',');
        for line in written.split_inclusive(|byte| *byte == b'\n') {
            record.take(line).expect("well formed");
        }
        let read: Vec<_> = record.values().collect();
        assert_eq!(read, values.map(str::as_bytes));
    }
}
