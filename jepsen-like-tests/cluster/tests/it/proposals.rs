//! What takes two people, through the program of each: proposed by one, seen by its number, approved or rejected by another.

use carnet_cluster::border::{carnet, carnet_as};
use carnet_cluster::jurisdiction::{
    ADMIN, Jurisdiction, MANUFACTURER, Plan, REGISTRAR, SECOND_ADMIN, SECOND_REGISTRAR,
};
use carnet_cluster::{Broken, programs};
use serde_json::Value;

use crate::members::refused;

/// Everything that waits, by number.
fn waiting(of: &Jurisdiction, who: &str) -> Result<Vec<(String, Value)>, Broken> {
    let listed = carnet_as(of, who, &["proposal", "list"])?;
    let rows = listed.as_array().cloned().unwrap_or_default();
    let numbered = |row: Value| Some((row["proposal"].as_str()?.to_owned(), row));
    Ok(rows.into_iter().filter_map(numbered).collect())
}

fn only(of: &Jurisdiction, who: &str) -> Result<(String, Value), Broken> {
    let mut all = waiting(of, who)?;
    match (all.pop(), all.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Broken::new("not one proposal")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_two_is_proposed_by_one_and_approved_by_number_by_another() -> Result<(), Broken>
{
    const NAME: &str = "what_takes_two_is_proposed_by_one_and_approved_by_number_by_another";
    let Some(programs) = programs(NAME) else {
        return Ok(());
    };
    let plan = Plan {
        in_earnest: true,
        ..Plan::of("XA")
    };
    let registry = Jurisdiction::start(&programs, plan).await?;
    // What a key of the manufacturer signed after a leaf is to count for nothing.
    let key = registry.actor_key(MANUFACTURER)?;
    let worse = |after: &str| {
        let verb = [
            "key",
            "retire",
            &key,
            "--compromised-after",
            after,
            "--reason",
            "found in May",
            "--yes",
        ];
        carnet_as(&registry, REGISTRAR, &verb)
    };
    let first = worse("3")?;
    assert_eq!(first["state"], "proposed", "{first}");
    let (number, row) = only(&registry, SECOND_REGISTRAR)?;
    let what = row["what"].as_str().unwrap_or_default();
    assert!(what.contains("is reported compromised"), "{row}");
    assert_eq!(
        (&row["state"], &row["reason"]),
        (&"open".into(), &"found in May".into())
    );
    let status = carnet(&registry, &["cluster", "status"])?;
    let said = status["proposals"].to_string();
    assert!(said.contains(&format!("\"{number}\"")), "{status}");
    let approve = ["proposal", "approve", &number, "--yes"];
    // Its proposer is no second person.
    let said = refused(carnet_as(&registry, REGISTRAR, &approve));
    assert!(
        said.contains("SECOND_PARTY_REQUIRED") || said.contains("SecondPartyRequired"),
        "{said}"
    );
    let done = carnet_as(&registry, SECOND_REGISTRAR, &approve)?;
    assert_eq!(done["proposal"], number.as_str(), "{done}");
    assert!(waiting(&registry, REGISTRAR)?.is_empty());
    // It is read after its end, and nobody says yes to it again.
    let get = ["proposal", "get", &number];
    let ended = carnet_as(&registry, SECOND_REGISTRAR, &get)?;
    assert_eq!(
        (&ended["state"], &ended["ended_by"]),
        (&"done".into(), &SECOND_REGISTRAR.into()),
        "{ended}"
    );
    let gone = refused(carnet_as(&registry, SECOND_REGISTRAR, &approve));
    assert!(
        gone.contains(&format!("proposal {number} was done by")),
        "{gone}"
    );
    // It is to be worse, but the other says no.
    worse("2")?;
    let (number, _) = only(&registry, SECOND_REGISTRAR)?;
    let no = ["proposal", "reject", &number, "--reason", "not yet"];
    carnet_as(&registry, SECOND_REGISTRAR, &no)?;
    assert!(waiting(&registry, REGISTRAR)?.is_empty());
    let get = ["proposal", "get", &number];
    let ended = carnet_as(&registry, REGISTRAR, &get)?;
    assert_eq!(
        (&ended["state"], &ended["ended_reason"]),
        (&"rejected".into(), &"not yet".into()),
        "{ended}"
    );
    let none = refused(carnet_as(
        &registry,
        REGISTRAR,
        &["proposal", "get", "999999"],
    ));
    assert!(
        none.contains("nothing was proposed under the number"),
        "{none}"
    );
    // An admin's certificate, which the other admin sees and approves; and a client's, which takes one.
    carnet_as(
        &registry,
        ADMIN,
        &["pki", "revoke", SECOND_ADMIN, "--reason", "laptop stolen"],
    )?;
    let all = waiting(&registry, ADMIN)?;
    assert!(!all.is_empty(), "a first word");
    for (number, row) in &all {
        let what = row["what"].as_str().unwrap_or_default();
        assert!(what.contains("is refused on every plane"), "{row}");
        let mine = ["proposal", "reject", number, "--reason", "mine"];
        let own = refused(carnet_as(&registry, SECOND_ADMIN, &mine));
        assert!(own.contains("it is about whoever signs this"), "{own}");
        let back = ["proposal", "reject", number, "--reason", "found again"];
        carnet_as(&registry, ADMIN, &back)?;
    }
    carnet_as(
        &registry,
        ADMIN,
        &["pki", "revoke", MANUFACTURER, "--reason", "stolen"],
    )?;
    assert!(waiting(&registry, ADMIN)?.is_empty());
    Ok(())
}
