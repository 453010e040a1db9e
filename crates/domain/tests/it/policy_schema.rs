//! The JSON Schema: it accepts what is read, refuses what is misspelt, and is the one in docs.

use jsonschema::Validator;
use serde_json::Value;
use stockade_domain::policy::{parse, presets, schema};

fn validator() -> Validator {
    jsonschema::validator_for(schema().as_value()).expect("a valid schema")
}

fn json(policy: &str) -> Value {
    let table: toml::Table = toml::from_str(policy).expect("TOML");
    serde_json::to_value(table).expect("JSON")
}

/// The example of the documentation, every preset, and the samples of the other tests.
#[test]
fn real_policies_are_valid() {
    let examples = include_str!("../../../../docs/policy.md")
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let mut count = 0;
    for text in examples.chain(presets::ALL.iter().map(|preset| preset.text)) {
        parse(text, "p").expect(text);
        if let Err(error) = validator().validate(&json(text)) {
            panic!("{error}: {text}");
        }
        count += 1;
    }
    assert!(count >= 4, "the examples were found");
}

/// What an editor should underline.
#[test]
fn mistakes_are_found() {
    for text in [
        "driver = \"native\"",
        "version = 2",
        "version = 1\nmemory = \"1G\"",
        "version = 1\n[limits]\nmemroy = \"1G\"",
        "version = 1\n[limits]\nmemory = []",
        "version = 1\n[limits]\ncpu-weight = 0",
        "version = 1\n[workspace]\nmode = \"cwo\"",
        "version = 1\n[files]\nro = \"/etc\"",
        "version = 1\n[need]\nnetwork-nome = \"require\"",
        "version = 1\n[need]\nnetwork-none = \"perhaps\"",
        "version = 1\npreset = \"loked\"",
        "version = 1\n[floor.environment]\nset = { A = \"1\" }",
    ] {
        assert!(!validator().is_valid(&json(text)), "{text}");
        assert!(parse(text, "p").is_err(), "the reader agrees: {text}");
    }
}

/// The file in the documentation is what the program writes.
#[test]
fn the_documented_schema_is_fresh() {
    let kept: Value =
        serde_json::from_str(include_str!("../../../../docs/schema/policy.schema.json")).expect("JSON");
    assert_eq!(&kept, schema().as_value(), "write it anew: cargo xtask man");
}
