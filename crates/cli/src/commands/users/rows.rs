use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::Format;
use super::columns::{BadCell, Columns};

/// The longest row that is taken, in bytes: more than a request can hold.
const ROW_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Where a file begins that says that it is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

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
    pub(super) line: u64,
    /// How many rows are before it.
    pub(super) rows: u64,
}

/// The rows of a file, read one by one.
pub(super) enum Rows {
    Lines {
        reader: BufReader<File>,
        at: Place,
    },
    Records {
        reader: Box<csv::Reader<File>>,
        columns: Columns,
        rows: u64,
    },
}

impl Rows {
    /// From a place on, if one is given.
    pub(super) fn open(
        path: &Path,
        format: Format,
        mapping: &[String],
        from: Option<Place>,
    ) -> anyhow::Result<Self> {
        let file =
            File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        match format {
            Format::Jsonl => {
                if !mapping.is_empty() {
                    bail!("--map is for comma-separated values");
                }
                let mut reader = BufReader::with_capacity(1 << 20, file);
                let at = from.unwrap_or_default();
                reader.seek(SeekFrom::Start(at.byte))?;
                Ok(Self::Lines { reader, at })
            }
            Format::Csv => {
                let mut reader = csv::ReaderBuilder::new()
                    .flexible(true)
                    .buffer_capacity(1 << 20)
                    .from_reader(file);
                let header = reader.headers().context("the header cannot be read")?;
                let header: Vec<String> = header.iter().map(str::to_owned).collect();
                let columns = Columns::of(&header, mapping)?;
                if let Some(from) = from {
                    let mut position = csv::Position::new();
                    position.set_byte(from.byte).set_line(from.line);
                    position.set_record(from.rows + 1);
                    reader.seek(position)?;
                }
                Ok(Self::Records {
                    reader: Box::new(reader),
                    columns,
                    rows: from.map_or(0, |from| from.rows),
                })
            }
        }
    }

    /// The next row; nothing at the end. A failure is of the file, not of the row.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Row>> {
        match self {
            Self::Lines { reader, at } => next_line(reader, at),
            Self::Records {
                reader,
                columns,
                rows,
            } => next_record(reader, columns, rows),
        }
    }
}

fn next_line(reader: &mut BufReader<File>, at: &mut Place) -> anyhow::Result<Option<Row>> {
    loop {
        let mut line = Vec::new();
        let read = reader
            .by_ref()
            .take(ROW_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        at.byte += read as u64;
        at.line += 1;
        if read as u64 == ROW_BYTES_MAX {
            bail!("line {} is longer than {ROW_BYTES_MAX} bytes", at.line);
        }
        let text = std::str::from_utf8(&line);
        let text = text.map(|text| text.trim_start_matches(BYTE_ORDER_MARK).trim());
        if text == Ok("") {
            continue;
        }
        at.rows += 1;
        let bad = |message: String| BadCell {
            column: None,
            message,
        };
        let user = text
            .map_err(|_| bad("not UTF-8".to_owned()))
            .and_then(|text| {
                serde_json::from_str(text).map_err(|error| bad(format!("not JSON: {error}")))
            })
            .and_then(|user: Value| {
                if user.is_object() {
                    Ok(user)
                } else {
                    Err(bad("not an object".to_owned()))
                }
            });
        return Ok(Some(Row {
            number: at.rows,
            line: at.line,
            end: *at,
            user,
        }));
    }
}

fn next_record(
    reader: &mut csv::Reader<File>,
    columns: &Columns,
    rows: &mut u64,
) -> anyhow::Result<Option<Row>> {
    let mut record = csv::ByteRecord::new();
    if !reader.read_byte_record(&mut record)? {
        return Ok(None);
    }
    *rows += 1;
    let line = record.position().map_or(0, csv::Position::line);
    let end = reader.position();
    let cells: Result<Vec<&str>, usize> = record
        .iter()
        .enumerate()
        .map(|(place, cell)| std::str::from_utf8(cell).map_err(|_| place))
        .collect();
    let user = match cells {
        Ok(cells) => columns.user(&cells),
        Err(place) => Err(columns.not_text(place)),
    };
    Ok(Some(Row {
        number: *rows,
        line,
        end: Place {
            byte: end.byte(),
            line: end.line(),
            rows: *rows,
        },
        user,
    }))
}
