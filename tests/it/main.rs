//! The end-to-end tests: through the public API, on SQLite and on PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, and says where"
)]

mod chance;
mod counter;
mod look;
mod outside;
mod receiver;
mod sender;
mod sinks;

mod access;
mod alert;
mod assign;
mod chaos;
mod circle;
mod clients;
mod collide;

mod apart;
mod append;
mod approval;
mod ask;
mod board;
mod boot;
mod bound;
mod budget;
mod canary;
mod charge;
mod check;
mod contract;
mod crash;
mod delta;
mod demo;
mod desk;
mod diagnose;
mod drift;
mod epoch;
mod escalate;
mod export;
mod files;
mod flood;
mod gemini;
mod hand;
mod heir;
mod held;
mod hook;
mod hostile;
mod import;
mod intake;
mod isolate;
mod keys;
mod lease;
mod life;
mod limit;
mod lint;
mod log;
mod make;
mod mcp;
mod metric;
mod model;
mod note;
mod once;
mod orphan;
mod outbox;
mod pagerduty;
mod plan;
mod price;
mod queue;
mod reach;
mod read;
mod reply;
mod retain;
mod route;
mod ruin;
mod run;
mod schema;
mod see;
mod send;
mod slice;
mod spend;
mod store;
mod storm;
mod story;
mod stream;
mod telemetry;
mod tools;
mod unpublish;
mod unseen;
mod vendor;
mod weigh;
mod window;
