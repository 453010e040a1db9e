//! Builds one landlock sandbox.

use stockade_domain::target::HostFacts;
use stockade_domain::{Plan, Spec};
use stockade_linux::jail::Context;
use stockade_workspace::replica::{COPY, LIST};

use super::places::Places;
use super::{NAME, receipt, rules};
use crate::driver::{Boundary, Seed};
use crate::error::Result;
use crate::local::jail::{self, Jail, workspace};
use crate::local::{Host, identity};

/// Makes the places, builds the wall, gathers the receipt.
pub(super) async fn create(host: &Host, plan: Plan, seed: Seed) -> Result<Box<dyn Boundary>> {
    let facts = host.facts();
    let spec = plan.spec();
    let mut places = Places::new(&seed.state_dir, seed.changes_dir.as_deref(), spec);
    if seed.over_link {
        places = places.over_link();
    }
    places.make(spec)?;
    if let Some((source, changes)) = workspace::to_copy(spec, &seed) {
        // What is sent over the link is sent from there.
        workspace::make(spec, source, &seed, changes.join(COPY), changes.join(LIST), None)?;
    }
    let jail = Jail {
        driver: NAME,
        host,
        claimed: identity::claim(facts, spec, None)?,
        context: context(spec, facts, &places)?,
        closed: true,
        after: None,
        carried: places.carried(),
    };
    let expected = places.canaries(spec);
    jail::create(jail, &plan, &seed, |controls, observed, attestation| {
        receipt::gather(controls, spec, &places, &expected, (observed, attestation))
    })
    .await
}

/// What the steps depend on besides the plan.
pub(super) fn context(spec: &Spec, facts: &HostFacts, places: &Places) -> Result<Context> {
    Ok(Context {
        ids: None,
        root: None,
        joins_cgroups: false,
        landlock_abi: facts.landlock_abi,
        rules: Some(rules::rules(spec, places)?),
        canaries: places.canaries(spec),
        writable: places.writable(),
        moved: places.moved(spec),
    })
}
