//! Every member of the configuration, as the types have it: none can be forgotten.
//!
//! About minirun alone: other runtimes have other types, and no plans.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

#[path = "fields/growth.rs"]
mod growth;
#[path = "fields/plans.rs"]
mod plans;
mod schema;
#[path = "fields/types.rs"]
mod types;
