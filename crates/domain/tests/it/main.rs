//! What the model promises, from data alone.

#![allow(
    clippy::expect_used,
    reason = "a test ends at the first surprise, helpers included"
)]

mod compile_fail;
mod demands;
mod environment;
mod paths;
mod plan;
mod policy_file;
mod policy_layers;
mod policy_layers_properties;
mod policy_merge;
mod policy_properties;
mod policy_schema;
mod protect;
mod receipt;
mod samples;
