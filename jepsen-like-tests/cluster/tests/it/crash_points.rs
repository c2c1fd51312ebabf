//! Leaders that die at every point between a seal and its published checkpoint.

use carnet_cluster::Broken;
use carnet_cluster::check::{Verdict, Violation, heads_consistent, replicas_equal};
use carnet_cluster::crash::{Again, light, survive};
use carnet_cluster::jurisdiction::{Jurisdiction, Plan};
use carnet_cluster::observe::Observers;
use carnet_cluster::planted_programs;

use crate::faults::hold;

/// In the order in which a leader passes them.
const POINTS: [(&str, Again); 7] = [
    ("crash-after-seal", Again::UnderLoad),
    ("crash-before-size-kept", Again::ByItself),
    ("crash-in-size-kept", Again::ByItself),
    ("crash-before-signature", Again::ByItself),
    ("crash-before-publish", Again::ByItself),
    ("crash-in-publish", Again::UnderLoad),
    ("crash-after-publish", Again::UnderLoad),
];
/// Serials between the robots of two points.
const SERIALS: u32 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_may_die_anywhere_between_seal_and_publication() -> Result<(), Broken> {
    let Some(programs) = planted_programs("a_leader_may_die_anywhere_between_seal_and_publication")
    else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let nodes = registry.running();
    let observers = Observers::start(&registry, &nodes)?;
    let mut violations: Vec<Violation> = Vec::new();
    for (serial, (point, again)) in (1..).step_by(SERIALS as usize).zip(POINTS) {
        let found = survive(&mut registry, point, again, light(serial)).await;
        let found = found.map_err(Broken::at(point))?;
        violations.extend(found);
    }
    let observed = observers.finish(&registry, &nodes).await?;
    registry.all_alive()?;
    violations.extend(replicas_equal(&observed.looks));
    violations.extend(heads_consistent(
        &observed.heads,
        &observed.last,
        &observed.proofs,
    ));
    let forged = |text| Violation {
        invariant: "L1",
        text,
    };
    violations.extend(observed.faults.into_iter().map(forged));
    hold(&Verdict::of(violations, Vec::new()));
    Ok(())
}
