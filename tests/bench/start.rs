//! What a start takes on a database that is there, and what the server costs while nothing happens.

use std::time::Duration;

use anyhow::Result;

use crate::Options;
use crate::database::{Database, Kind};
use crate::server::Server;
use crate::stats::{Samples, digits};
use crate::table::Table;

const STARTS: usize = 20;
/// How long a server is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(5);

pub(crate) fn measure(options: &Options, kind: Kind, table: &mut Table) -> Result<()> {
    let database = Database::new(kind)?;
    Server::start(options, &database)?.stop()?;
    let mut samples = Samples::default();
    for _ in 0..STARTS {
        let server = Server::start(options, &database)?;
        samples.push(server.took);
        server.stop()?;
    }
    let server = Server::start(options, &database)?;
    std::thread::sleep(REST);
    let resident = server.resident()?;
    server.stop()?;
    let size = std::fs::metadata(&options.stint)?.len() as f64 / 1e6;
    table.put(
        "process start to ready, existing database, p50 / p99 of 20",
        kind,
        samples.p50_p99(),
    );
    table.put(
        "resident memory, idle for 5 s",
        kind,
        format!("{} MB", digits(resident)),
    );
    table.put("size of the binary", kind, format!("{} MB", digits(size)));
    Ok(())
}
