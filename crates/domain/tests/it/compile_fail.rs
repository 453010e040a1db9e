//! What must not compile: whoever holds a plan knows where it came from.

use serde::de::DeserializeOwned;
use stockade_domain::{Demands, Plan};

/// A plan cannot be written down field by field, nor demands changed after the fact.
#[test]
fn plans_and_demands_cannot_be_forged() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile/control.rs");
    cases.compile_fail("tests/compile/plan_literal.rs");
    cases.compile_fail("tests/compile/plan_field.rs");
    cases.compile_fail("tests/compile/plan_deserialize.rs");
    cases.compile_fail("tests/compile/demands_field.rs");
    cases.compile_fail("tests/compile/demands_iter_mut.rs");
}

/// `some_item` is ambiguous, and so does not compile, for a type that implements the
/// trait: this does not depend on the words of a compiler's message.
trait AmbiguousIfDeserializable<Marker> {
    fn some_item() {}
}
impl<T: ?Sized> AmbiguousIfDeserializable<()> for T {}
struct Deserializable;
impl<T: DeserializeOwned> AmbiguousIfDeserializable<Deserializable> for T {}

/// A plan cannot be read back from bytes; demands, which promise nothing, can.
#[test]
fn a_plan_cannot_be_deserialised() {
    let _: fn() = <Plan as AmbiguousIfDeserializable<_>>::some_item;
    fn control<T: DeserializeOwned>() {}
    control::<Demands>();
}
