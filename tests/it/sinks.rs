//! Everything that a value could have got into, and the forms in which it would stand there.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tests::{Backend, TestDb};

/// What was written somewhere, by the name of the place.
pub type Sink = (String, Vec<u8>);

/// A value in each form in which it may come back: as it is, percent-encoded, hexadecimal, and in base64 whatever
/// stands before and behind it.
pub fn forms(value: &str) -> Vec<String> {
    let percent = |digits: fn(u8) -> String| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let one = |byte: u8| match plain(byte) {
            true => char::from(byte).to_string(),
            false => digits(byte),
        };
        value.bytes().map(one).collect()
    };
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        value.to_owned(),
        percent(|byte| format!("%{byte:02X}")),
        percent(|byte| format!("%{byte:02x}")),
        hex.to_uppercase(),
        hex,
    ];
    for before in 0..3 {
        let padded = [vec![0; before], value.as_bytes().to_vec()].concat();
        // Characters that hold bits of what stands beside it, too.
        let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for encoded in [
            STANDARD_NO_PAD.encode(&padded),
            URL_SAFE_NO_PAD.encode(&padded),
        ] {
            forms.push(encoded[first..last].to_owned());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

/// The form of this value that stands in these bytes.
pub fn found<'a>(bytes: &[u8], forms: &'a [String]) -> Option<&'a String> {
    // Bytes that are no text can't be a part of any form.
    let text = String::from_utf8_lossy(bytes);
    forms.iter().find(|form| text.contains(form.as_str()))
}

/// Every column of every row of every table, as the database's own catalogue names them; an embedded one's files too.
pub async fn database(db: &TestDb) -> Vec<Sink> {
    let conn = tests::db::connect(db.url()).await.unwrap();
    let all = async |sql: &str| {
        let statement = Statement::from_string(conn.get_database_backend(), sql);
        let rows = conn.query_all_raw(statement).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let texts = rows
            .iter()
            .map(|row| row.try_get_by_index::<String>(0).unwrap());
        texts.collect::<Vec<_>>()
    };
    let sqlite = conn.get_database_backend() == DbBackend::Sqlite;
    let tables = match sqlite {
        true => "SELECT name FROM sqlite_master WHERE type = 'table'",
        false => {
            "SELECT CASE WHEN table_schema = 'public' THEN '' ELSE table_schema || '.' END || table_name FROM information_schema.tables \
                  WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        }
    };
    let mut sinks = Vec::new();
    for table in all(tables).await {
        let rows = if sqlite {
            // Every value's bytes, whatever its type: no number and no text is written otherwise.
            let columns = all(&format!("SELECT name FROM pragma_table_info('{table}')")).await;
            let columns: Vec<String> = columns
                .iter()
                .map(|name| format!("hex(\"{name}\")"))
                .collect();
            let sql = format!("SELECT {} FROM \"{table}\"", columns.join(" || '0A' || "));
            let rows = all(&sql).await;
            rows.iter().map(|hex| unhex(hex)).collect::<Vec<_>>()
        } else {
            let sql = format!("SELECT CAST(t AS text) FROM {table} t");
            let rows = all(&sql).await;
            rows.into_iter().map(String::into_bytes).collect()
        };
        sinks.push((format!("the table {table}"), rows.join(&b'\n')));
    }
    conn.close().await.unwrap();
    if db.backend() == Backend::Sqlite {
        sinks.extend(files(db));
    }
    sinks
}

/// The files of an embedded database, as they are on the disk just now.
fn files(db: &TestDb) -> Vec<Sink> {
    let file = db.url().trim_start_matches("sqlite://");
    let file = file.split('?').next().expect("a path");
    let folder = Path::new(file).parent().expect("a folder");
    files_in(folder)
}

/// The files of a folder and of those in it. What is gone before it can be read is none.
pub fn files_in(folder: &Path) -> Vec<Sink> {
    let mut sinks = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sinks.extend(files_in(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            sinks.push((format!("file {}", path.display()), bytes));
        }
    }
    sinks
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).expect("a digit") as u8;
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

#[test]
fn a_value_is_found_in_every_form_wherever_it_stands() {
    let value = "canary/é+7d1f=";
    let forms = forms(value);
    for before in 0..6 {
        for behind in 0..6 {
            let text = format!("{}{value}{}", "x".repeat(before), "y".repeat(behind));
            for encoded in [
                STANDARD_NO_PAD.encode(&text),
                URL_SAFE_NO_PAD.encode(&text),
                text.clone(),
            ] {
                assert!(found(encoded.as_bytes(), &forms).is_some(), "{encoded}");
            }
        }
    }
    for other in [
        "canary%2F%C3%A9%2B7d1f%3D",
        "63616e6172792fc3a92b376431663d",
        "63616E6172792FC3A92B376431663D",
    ] {
        assert!(found(other.as_bytes(), &forms).is_some(), "{other}");
    }
    assert_eq!(found(b"canary/another", &forms), None);
}
