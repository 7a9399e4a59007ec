//! The harness of the end-to-end tests: databases and servers per test, the application in this process or as the real
//! binary, clients for its API, and builders.
//!
//! A test is a sentence about the product. Its body is written once, with [`both_dbs!`], and runs on SQLite and on
//! PostgreSQL. It speaks GraphQL through [`TestApp`], moves the clock with [`TestApp::advance`], waits with
//! [`TestApp::drain`], and never sleeps.

pub mod app;
pub mod binary;
pub mod client;
pub mod coworker;
pub mod db;
pub mod postgres;
pub mod process;
pub mod provider;
pub mod proxy;
pub mod redis;
pub mod store;
pub mod terminal;

pub use app::TestApp;
pub use client::{Client, Item, Received, Socket, Subscription};
pub use coworker::Coworker;
pub use db::{Backend, TestDb};
