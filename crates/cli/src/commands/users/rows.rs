use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::Format;
use super::columns::{BadCell, Columns};
use super::records::{Quotes, Separated};

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
    records: Option<(Separated, Columns)>,
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
        format: Format,
        separator: u8,
        mapping: &[String],
        from: Option<Place>,
    ) -> anyhow::Result<Self> {
        let file =
            File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        let mut lines = Lines::new(file)?;
        let records = match format {
            Format::Jsonl => {
                ensure!(mapping.is_empty(), "--map is for comma-separated values");
                None
            }
            Format::Csv => {
                let separated = Separated::by(separator);
                let header = lines.record(separated)?.unwrap_or_default();
                let header = std::str::from_utf8(&header).context("the header is not UTF-8")?;
                let header = separated.cells(header.as_bytes())?;
                let header: Vec<String> = header
                    .iter()
                    .map(|name| String::from_utf8_lossy(name).trim().to_owned())
                    .collect();
                Some((separated, Columns::of(&header, mapping)?))
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
            let text = match &self.records {
                Some((separated, _)) => self.lines.record(*separated)?,
                None => self.lines.next()?,
            };
            let Some(text) = text else { return Ok(None) };
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            self.read += 1;
            let user = match &self.records {
                Some((separated, columns)) => read_record(*separated, columns, &text)?,
                None => read_json(&text),
            };
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

fn read_json(text: &[u8]) -> Result<Value, BadCell> {
    let bad = |message: String| BadCell {
        column: None,
        message,
    };
    let user: Value =
        serde_json::from_slice(text).map_err(|error| bad(format!("not JSON: {error}")))?;
    if user.is_object() {
        Ok(user)
    } else {
        Err(bad("not an object".to_owned()))
    }
}

fn read_record(
    separated: Separated,
    columns: &Columns,
    text: &[u8],
) -> anyhow::Result<Result<Value, BadCell>> {
    let cells = separated.cells(text)?;
    let cells: Result<Vec<&str>, usize> = cells
        .iter()
        .enumerate()
        .map(|(place, cell)| std::str::from_utf8(cell).map_err(|_| place))
        .collect();
    Ok(match cells {
        Ok(cells) => columns.user(&cells),
        Err(place) => Err(columns.not_text(place)),
    })
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
    fn record(&mut self, separated: Separated) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(mut record) = self.next()? else {
            return Ok(None);
        };
        let first = self.line;
        let mut quotes = Quotes::default();
        let opened = |quotes: &Quotes| {
            let (line, column) = quotes.opened();
            format!(
                "the quote that opens column {column} on line {}",
                first + line
            )
        };
        if separated.follow(&mut quotes, &record).is_err() {
            bail!(
                "line {first}: text follows {} where it is closed",
                opened(&quotes)
            );
        }
        while quotes.are_open() {
            let Some(line) = self.next()? else {
                bail!("{} is never closed", opened(&quotes));
            };
            if separated.follow(&mut quotes, &line).is_err() {
                bail!(
                    "line {}: text follows {} where it is closed",
                    self.line,
                    opened(&quotes)
                );
            }
            record.extend(line);
            if record.len() > ROW_BYTES_MAX {
                bail!(
                    "{} is not closed within {ROW_BYTES_MAX} bytes",
                    opened(&quotes)
                );
            }
        }
        Ok(Some(record))
    }
}
