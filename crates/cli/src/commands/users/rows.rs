use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::Value;
use types::parse_json;

use super::Format;
use super::columns::{BadCell, Columns};
use super::records::Record;

/// The longest row that is taken, in bytes: more than a request can hold.
const ROW_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How a file may begin that says that it is UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// One row of a file.
pub(super) struct Row {
    /// From 1; the header is not counted.
    pub(super) number: u64,
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    /// Where the next one begins.
    pub(super) end: Place,
    pub(super) user: Result<Value, BadCell>,
}

/// A place between two rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Place {
    pub(super) byte: u64,
    /// How many lines are before it.
    pub(super) line: u64,
    /// How many rows are before it.
    pub(super) rows: u64,
}

/// The rows of a file, read one by one.
pub(super) struct Rows {
    lines: Lines,
    /// How many have been read.
    read: u64,
    /// Where the rows are records and not lines of JSON.
    records: Option<Records>,
}

struct Records {
    delimiter: u8,
    columns: Columns,
}

/// How a file is to be read.
pub(super) struct Reading<'a> {
    pub(super) format: Format,
    /// Between two values; a comma unless given.
    pub(super) delimiter: Option<char>,
    /// What columns hold, as `COLUMN=TARGET`.
    pub(super) mapping: &'a [String],
}

/// A file line by line, with the place at which it is read.
struct Lines {
    reader: BufReader<File>,
    byte: u64,
    line: u64,
}

impl Rows {
    /// From a place on, if one is given.
    pub(super) fn open(
        path: &Path,
        reading: &Reading<'_>,
        from: Option<Place>,
    ) -> anyhow::Result<Self> {
        let file =
            File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        let mut lines = Lines::new(file)?;
        let records = match reading.format {
            Format::Jsonl => {
                ensure!(
                    reading.mapping.is_empty() && reading.delimiter.is_none(),
                    "--map and --delimiter are for comma-separated values"
                );
                None
            }
            Format::Csv => {
                let delimiter = delimiter(reading.delimiter.unwrap_or(','))?;
                let header = lines.record(delimiter)?;
                let header = header.iter().flat_map(Record::values);
                let names = header.map(|name| Ok(std::str::from_utf8(name)?.trim().to_owned()));
                let names = names.collect::<anyhow::Result<Vec<String>>>();
                let names = names.context("the header is not UTF-8")?;
                let columns = Columns::of(names, reading.mapping)?;
                Some(Records { delimiter, columns })
            }
        };
        if let Some(from) = from {
            lines.go_to(from)?;
        }
        Ok(Self {
            lines,
            read: from.map_or(0, |from| from.rows),
            records,
        })
    }

    /// The next row; nothing at the end. A failure is of the file, not of the row.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Row>> {
        loop {
            let line = self.lines.line + 1;
            let user = match &self.records {
                Some(records) => match self.lines.record(records.delimiter)? {
                    Some(record) if record.is_blank() => continue,
                    Some(record) => records.columns.user(&record),
                    None => return Ok(None),
                },
                None => match self.lines.next()? {
                    Some(text) if text.iter().all(u8::is_ascii_whitespace) => continue,
                    Some(text) => read_json(&text),
                    None => return Ok(None),
                },
            };
            self.read += 1;
            return Ok(Some(Row {
                number: self.read,
                line,
                end: Place {
                    byte: self.lines.byte,
                    line: self.lines.line,
                    rows: self.read,
                },
                user,
            }));
        }
    }
}

fn delimiter(asked: char) -> anyhow::Result<u8> {
    let byte = u8::try_from(asked).ok().filter(u8::is_ascii);
    let byte = byte.filter(|byte| !matches!(byte, b'"' | b'\r' | b'\n'));
    byte.context("the delimiter is one ASCII character, and neither a quote nor a line break")
}

fn read_json(text: &[u8]) -> Result<Value, BadCell> {
    let bad = |message: String| BadCell {
        column: None,
        message,
    };
    let user = parse_json(text).map_err(|error| bad(format!("not JSON: {error}")))?;
    if user.is_object() {
        Ok(user)
    } else {
        Err(bad("not an object".to_owned()))
    }
}

impl Lines {
    fn new(file: File) -> anyhow::Result<Self> {
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let beginning = reader.fill_buf()?;
        if beginning.starts_with(&[0xff, 0xfe]) || beginning.starts_with(&[0xfe, 0xff]) {
            bail!("the file begins as UTF-16 does: save it as UTF-8");
        }
        let mark = beginning.starts_with(BYTE_ORDER_MARK);
        let mut lines = Self {
            reader,
            byte: 0,
            line: 0,
        };
        if mark {
            lines.reader.consume(BYTE_ORDER_MARK.len());
            lines.byte = BYTE_ORDER_MARK.len() as u64;
        }
        Ok(lines)
    }

    fn go_to(&mut self, place: Place) -> anyhow::Result<()> {
        if place.byte > self.byte {
            self.reader.seek(SeekFrom::Start(place.byte))?;
            (self.byte, self.line) = (place.byte, place.line);
        }
        Ok(())
    }

    /// The next line with its line break.
    fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let limit = ROW_BYTES_MAX as u64;
        let read = self
            .reader
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut line)?;
        self.byte += read as u64;
        self.line += u64::from(read > 0);
        if read == ROW_BYTES_MAX {
            bail!("line {} is longer than {ROW_BYTES_MAX} bytes", self.line);
        }
        Ok((read > 0).then_some(line))
    }

    /// The next record, which goes on over line breaks within quotes.
    fn record(&mut self, delimiter: u8) -> anyhow::Result<Option<Record>> {
        let Some(line) = self.next()? else {
            return Ok(None);
        };
        let first = self.line;
        let mut record = Record::new(delimiter);
        self.take_line(&mut record, &line)?;
        while let Some(quote) = record.open_quote() {
            let (line, column) = (first + quote.line, quote.column);
            let Some(next) = self.next()? else {
                bail!("the quote that opens column {column} on line {line} is never closed");
            };
            self.take_line(&mut record, &next)?;
            if record.size() > ROW_BYTES_MAX {
                bail!(
                    "the quote that opens column {column} on line {line} is not closed within \
                     {ROW_BYTES_MAX} bytes"
                );
            }
        }
        Ok(Some(record))
    }

    fn take_line(&self, record: &mut Record, line: &[u8]) -> anyhow::Result<()> {
        let taken = record.take(line);
        taken.map_err(|misread| anyhow!("line {}: {misread}", self.line))
    }
}
