//! The Data Product Specification: text in, a valid typed [`model::Specification`] out, or every
//! fault at once.
//!
//! The way of a text: [`document`] (strict JSON) → [`schema`] (the embedded JSON Schema) → [`validate`] (what a schema
//! cannot say) → [`model`]. Reads no files, resolves no hosts, merges nothing; knows `fits` only to format keywords.

pub mod document;
pub mod fault;
pub mod glob;
pub mod keyword_rules;
mod keywords;
pub mod location;
pub mod model;
mod node;
mod position;
mod receivers;
pub mod schema;
pub mod validate;
