//! Whether a variable holds a secret: by its name, and by what known tokens look like.

use crate::model::{Key, Workload};
use crate::node::Where;

/// Adds what a variable says. The value itself is compared, and never shown.
pub(crate) fn add_variable(to: &mut Workload, name: &str, value: Option<&str>, is_known: bool, at: &Where) {
    let shown = crate::gather::shown(name);
    let mut add = |key, value: String| to.add(key, value, shown.clone(), true, at.clone());
    let folded = name.to_ascii_uppercase();
    match value {
        Some("") => {}
        // A name that ends so tells where a secret is, which is how it should be passed.
        Some(value) if folded.ends_with("_FILE") && value.starts_with('/') => {}
        Some(value) if is_known => {
            add(Key::VariableWritten, folded);
            add(Key::VariableContent, value.to_owned());
        }
        Some(_) | None => add(Key::VariablePassed, folded),
    }
}
