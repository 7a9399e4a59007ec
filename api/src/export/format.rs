//! The formats of exports: CSV, JSON lines, Parquet.

use std::io::{self, Write};
use std::mem::take;
use std::sync::Arc;

use domain::export::{Cell, Column, Kind, Table};
use domain::run::envelope::timestamp;
use parking_lot::Mutex;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::{Map, Value};

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated values with a header; moments as RFC 3339 in UTC; what is missing is empty
    Csv,
    /// One JSON object a line; moments as RFC 3339 in UTC; what is missing is null
    Json,
    /// Apache Parquet, compressed with Snappy
    Parquet,
}

impl Format {
    /// The format with this file extension.
    pub fn named(extension: &str) -> Option<Self> {
        match extension {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// Its media type.
    pub const fn media(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/jsonl; charset=utf-8",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// Writes a table, page by page.
pub struct Writer {
    columns: &'static [Column],
    form: Form,
    /// Whether the header was written.
    begun: bool,
}

enum Form {
    Csv,
    Json,
    Parquet(Box<Parquet>),
}

impl Writer {
    /// Begins a table.
    pub fn new(format: Format, table: Table) -> Self {
        Self {
            columns: table.columns(),
            form: match format {
                Format::Csv => Form::Csv,
                Format::Json => Form::Json,
                Format::Parquet => Form::Parquet(Box::default()),
            },
            begun: false,
        }
    }

    /// The bytes of some rows.
    ///
    /// # Errors
    /// What the format's library said.
    pub fn write(&mut self, rows: &[Vec<Cell>]) -> io::Result<Vec<u8>> {
        let first = !std::mem::replace(&mut self.begun, true);
        match &mut self.form {
            Form::Csv => csv(self.columns, first, rows),
            Form::Json => json(self.columns, rows),
            Form::Parquet(file) => file.write(self.columns, rows).map_err(io::Error::other),
        }
    }

    /// The last bytes; a table without rows has its columns all the same.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = match (&self.form, self.begun) {
            (Form::Csv, false) => csv(self.columns, true, &[])?,
            (Form::Csv | Form::Json | Form::Parquet(_), _) => Vec::new(),
        };
        if let Form::Parquet(file) = &mut self.form {
            bytes.extend(file.finish(self.columns).map_err(io::Error::other)?);
        }
        Ok(bytes)
    }
}

fn csv(columns: &[Column], header: bool, rows: &[Vec<Cell>]) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if header {
        writer.write_record(columns.iter().map(|column| column.name))?;
    }
    for row in rows {
        writer.write_record(row.iter().map(|cell| match cell {
            Cell::Nothing => String::new(),
            Cell::Text(text) => text.clone(),
            Cell::Int(number) => number.to_string(),
            Cell::Bool(yes) => yes.to_string(),
            Cell::Time(at) => timestamp(*at),
        }))?;
    }
    writer
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))
}

fn json(columns: &[Column], rows: &[Vec<Cell>]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for row in rows {
        let values = columns.iter().zip(row).map(|(column, cell)| {
            let value = match cell {
                Cell::Nothing => Value::Null,
                Cell::Text(text) => text.as_str().into(),
                Cell::Int(number) => (*number).into(),
                Cell::Bool(yes) => (*yes).into(),
                Cell::Time(at) => timestamp(*at).into(),
            };
            (column.name.to_owned(), value)
        });
        let object: Map<String, Value> = values.collect();
        serde_json::to_writer(&mut bytes, &object)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// What a Parquet file's writer has written and nobody has taken yet.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Rows of a row group: what a file's end says of its groups must stay small, and so must what is kept in memory.
const GROUP: usize = 32_768;

/// A Parquet file on its way.
#[derive(Default)]
struct Parquet {
    buffer: Buffer,
    file: Option<SerializedFileWriter<Buffer>>,
    /// Rows that are not a row group yet.
    rows: Vec<Vec<Cell>>,
}

impl Parquet {
    fn file(
        &mut self,
        columns: &[Column],
    ) -> Result<&mut SerializedFileWriter<Buffer>, ParquetError> {
        if self.file.is_none() {
            let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
            let schema = Type::group_type_builder("stint")
                .with_fields(fields)
                .build()?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_offset_index_disabled(true)
                .set_statistics_enabled(EnabledStatistics::Chunk)
                .build();
            let file =
                SerializedFileWriter::new(self.buffer.clone(), schema.into(), properties.into())?;
            self.file = Some(file);
        }
        self.file
            .as_mut()
            .ok_or_else(|| ParquetError::General("the file is not there".into()))
    }

    fn write(&mut self, columns: &[Column], rows: &[Vec<Cell>]) -> Result<Vec<u8>, ParquetError> {
        self.rows.extend_from_slice(rows);
        if self.rows.len() >= GROUP {
            self.group(columns)?;
        }
        Ok(take(&mut *self.buffer.0.lock()))
    }

    /// Writes the rows at hand as a row group.
    fn group(&mut self, columns: &[Column]) -> Result<(), ParquetError> {
        let rows = take(&mut self.rows);
        let mut group = self.file(columns)?.next_row_group()?;
        for (place, column) in columns.iter().enumerate() {
            let Some(mut writer) = group.next_column()? else {
                return Err(ParquetError::General("a column is missing".into()));
            };
            let cells = rows.iter().map(|row| &row[place]);
            let levels: Vec<i16> = cells
                .clone()
                .map(|cell| i16::from(*cell != Cell::Nothing))
                .collect();
            let levels = Some(levels.as_slice());
            match column.kind {
                Kind::Text => {
                    let values: Vec<ByteArray> = cells
                        .filter_map(|cell| match cell {
                            Cell::Text(text) => Some(text.as_str().into()),
                            Cell::Nothing | Cell::Int(_) | Cell::Bool(_) | Cell::Time(_) => None,
                        })
                        .collect();
                    writer
                        .typed::<ByteArrayType>()
                        .write_batch(&values, levels, None)?;
                }
                Kind::Bool => {
                    let values: Vec<bool> = cells
                        .filter_map(|cell| match cell {
                            Cell::Bool(yes) => Some(*yes),
                            Cell::Nothing | Cell::Text(_) | Cell::Int(_) | Cell::Time(_) => None,
                        })
                        .collect();
                    writer
                        .typed::<BoolType>()
                        .write_batch(&values, levels, None)?;
                }
                Kind::Int | Kind::Time => {
                    let values: Vec<i64> = cells
                        .filter_map(|cell| match cell {
                            Cell::Int(number) => Some(*number),
                            Cell::Time(at) => Some(at.0),
                            Cell::Nothing | Cell::Text(_) | Cell::Bool(_) => None,
                        })
                        .collect();
                    writer
                        .typed::<Int64Type>()
                        .write_batch(&values, levels, None)?;
                }
            }
            writer.close()?;
        }
        group.close()?;
        Ok(self.file(columns)?.flush()?)
    }

    fn finish(&mut self, columns: &[Column]) -> Result<Vec<u8>, ParquetError> {
        self.file(columns)?;
        if !self.rows.is_empty() {
            self.group(columns)?;
        }
        if let Some(mut file) = self.file.take() {
            file.finish()?;
        }
        Ok(take(&mut *self.buffer.0.lock()))
    }
}

fn field(column: &Column) -> Result<Arc<Type>, ParquetError> {
    let (physical, logical) = match column.kind {
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Int => (Physical::INT64, None),
        Kind::Bool => (Physical::BOOLEAN, None),
        Kind::Time => (
            Physical::INT64,
            Some(LogicalType::timestamp(true, TimeUnit::MILLIS)),
        ),
    };
    let built = Type::primitive_type_builder(column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()?;
    Ok(Arc::new(built))
}
