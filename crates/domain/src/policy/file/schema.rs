//! The JSON Schema of policy files, for editors: made from the same types that read them,
//! with the grammars of [`crate::units`] in words. A reader's rules for paths, names and
//! numbers are stricter than the schema; whatever the schema refuses is refused here too.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::super::presets::NAMES;
use super::VERSION;
use super::raw::RawFile;
use crate::control::ControlKind;

/// The schema, draft 2020-12.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<RawFile>();
    schema.insert("title".to_owned(), "Stockade policy".into());
    let about = "What a sandboxed command may see, change, reach and use. Unknown keys are errors.";
    schema.insert("description".to_owned(), about.into());
    schema
}

pub(super) fn version(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "description": "The version of this form.", "const": VERSION })
}

pub(super) fn preset(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": NAMES })
}

pub(super) fn needs(_: &mut SchemaGenerator) -> Schema {
    let need = |kind: &ControlKind| {
        let schema = serde_json::json!({ "description": kind.summary(), "enum": ["require", "prefer"] });
        (kind.name().to_owned(), schema)
    };
    let properties: serde_json::Map<_, _> = ControlKind::ALL.iter().map(need).collect();
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

pub(super) fn size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number"], "examples": ["2G", "512MiB", "none"] })
}

pub(super) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number"], "examples": ["30s", "1h30m", "none"] })
}

pub(super) fn cpus(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number"], "examples": [1.5, "none"] })
}

pub(super) fn memory_share(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number"], "examples": ["80%", "16G", "none"] })
}

pub(super) fn cpu_share(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number"], "examples": ["all-but-1", 6, "none"] })
}

pub(super) fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number"], "examples": [512, "none"] })
}

pub(super) fn weight(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "minimum": 1, "maximum": 10000 })
}
