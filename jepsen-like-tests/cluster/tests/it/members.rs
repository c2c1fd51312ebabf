//! What an operator does about members, by the commands of the operator's guide, while clients write and read.

use std::time::Duration;

use carnet_client::admin::{Fewest, VotersWanted};
use carnet_cluster::border::{carnet, carnet_as};
use carnet_cluster::jurisdiction::{Jurisdiction, Plan, SECOND_ADMIN};
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::LoadPlan;
use carnet_cluster::{Broken, programs};
use serde_json::Value;

use crate::faults::hold;

/// For one change of the members.
const PATIENT: Duration = Duration::from_secs(60);

/// A node as `carnet member` takes it.
pub(crate) fn named(of: &Jurisdiction, node: u64) -> String {
    let member = of.member(node);
    format!("{node}={},{}", member.raft_address, member.client_address)
}

/// What a call that has to fail says.
pub(crate) fn refused(outcome: Result<Value, Broken>) -> String {
    match outcome {
        Ok(value) => panic!("not refused: {value}"),
        Err(error) => error.to_string(),
    }
}

/// The members by what they are, as `member list` shows them.
pub(crate) fn voters(of: &Jurisdiction) -> Result<Vec<String>, Broken> {
    let listed = carnet(of, &["member", "list"])?;
    let rows = listed.as_array().cloned().unwrap_or_default();
    let votes = |row: &&Value| row["is"] != "learner";
    let ids = rows.iter().filter(votes).map(|row| row["node"].as_str());
    let mut ids: Vec<String> = ids.flatten().map(str::to_owned).collect();
    ids.sort();
    Ok(ids)
}

/// A disk is gone, and with it everything that its node knew of its votes. One command puts another node in its place, once another
/// admin has agreed by another; given again it changes nothing, and what else is asked of a node that has left, or of one that has
/// moved, is said and not ignored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_disk_is_replaced_in_one_command_to_which_another_admin_agrees() -> Result<(), Broken>
{
    const NAME: &str = "a_dead_disk_is_replaced_in_one_command_to_which_another_admin_agrees";
    let Some(programs) = programs(NAME) else {
        return Ok(());
    };
    let plan = Plan {
        spare: 1,
        in_earnest: true,
        ..Plan::of("XA")
    };
    let mut run = Run::start(&programs, plan, LoadPlan::default()).await?;
    let old = run.lose_disk().await?;
    run.answers(100).await?;
    run.registry.start_node(4)?;
    run.registry.answers(4).await?;
    let (gone, new) = (old.to_string(), named(&run.registry, 4));
    let replace = ["member", "replace", &gone, "--by", &new, "--yes"];
    // A certificate alone takes no node away, whichever are left.
    let stay = run.registry.running();
    for voters in [stay.clone(), vec![stay[0]]] {
        let left = voters.clone();
        let retire = (1..=3).filter(|node| !left.contains(node)).collect();
        let wanted = VotersWanted {
            voters,
            retire,
            fewest: Fewest::Any,
        };
        let admin = run.registry.admin(&stay, PATIENT)?;
        let refused = admin.change_members(wanted).await;
        let reason = refused.map_err(|error| error.reason());
        assert_eq!(reason, Err("TWO_ADMINS".to_owned()));
    }
    for _ in 0..2 {
        let first = carnet(&run.registry, &replace)?;
        assert_eq!(first["state"], "proposed", "{first}");
        assert!(voters(&run.registry)?.contains(&gone), "nothing is changed");
    }
    let first = carnet(&run.registry, &replace)?;
    let number = first["proposal"].as_str().unwrap_or_default();
    let what = first["what"].as_str().unwrap_or_default();
    assert!(
        what.starts_with(&format!("node {gone} leaves the cluster for good")),
        "{first}"
    );
    let approve = ["proposal", "approve", number, "--yes"];
    let approved = carnet_as(&run.registry, SECOND_ADMIN, &approve)?;
    assert_eq!(approved["done"], true, "{approved}");
    let done = carnet(&run.registry, &replace)?;
    assert_eq!(
        (&done["done"], &done["retired"]),
        (&"changed".into(), &gone.as_str().into())
    );
    let mut expected: Vec<String> = (1..=4)
        .filter(|node| *node != old)
        .map(|node| node.to_string())
        .collect();
    expected.sort();
    assert_eq!(voters(&run.registry)?, expected);
    // Given again, as after an answer that was lost.
    let again = carnet(&run.registry, &replace)?;
    assert_eq!(again["done"], "nothing to change", "{again}");
    // Of a node that has left already, in favour of another: the command that helps.
    let other = named(&run.registry, 4).replacen("4=", "9=", 1);
    let said = refused(carnet(
        &run.registry,
        &["member", "replace", &gone, "--by", &other, "--yes"],
    ));
    assert!(said.contains("it has left, or never was one"), "{said}");
    assert!(
        said.contains(&format!("carnet member add {other} --vote")),
        "{said}"
    );
    // Its id is never used again.
    let back = named(&run.registry, old);
    let said = refused(carnet(&run.registry, &["member", "add", &back]));
    assert!(
        said.contains("NODE_RETIRED") || said.contains("was retired"),
        "{said}"
    );
    // A member that moved is not taken for one at its old address, nor silently left there.
    let moved = format!("4=127.0.0.1:9,{}", run.registry.client_address(4));
    for verb in [
        vec!["member", "add", &moved],
        vec!["member", "replace", &gone, "--by", &moved, "--yes"],
    ] {
        let said = refused(carnet(&run.registry, &verb));
        assert!(
            said.contains("the address of a member is not changed"),
            "{said}"
        );
    }
    // Two voters are meant, or nothing happens.
    let said = refused(carnet(&run.registry, &["member", "remove", "4"]));
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(voters(&run.registry)?, expected);
    run.answers(100).await?;
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}

/// A node becomes a voter by itself once it holds what is committed, and a voter leaves by one command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_that_is_to_vote_votes_when_it_has_caught_up() -> Result<(), Broken> {
    let Some(programs) = programs("a_learner_that_is_to_vote_votes_when_it_has_caught_up") else {
        return Ok(());
    };
    let plan = Plan {
        spare: 1,
        ..Plan::of("XA")
    };
    let mut run = Run::start(&programs, plan, LoadPlan::default()).await?;
    run.answers(200).await?;
    run.registry.start_node(4)?;
    run.registry.answers(4).await?;
    let new = named(&run.registry, 4);
    carnet(&run.registry, &["member", "add", &new, "--vote"])?;
    assert_eq!(voters(&run.registry)?, ["1", "2", "3", "4"]);
    let again = carnet(&run.registry, &["member", "promote", "4"])?;
    assert_eq!(again["done"], "nothing to change", "{again}");
    // With one of the four gone, the newcomer's vote is needed for every entry.
    let away = run.kill_follower_but(4).await?;
    run.answers(100).await?;
    let away_id = away.to_string();
    let said = refused(carnet(&run.registry, &["member", "remove", &away_id]));
    assert!(said.contains("cannot be undone"), "{said}");
    carnet(&run.registry, &["member", "remove", &away_id, "--yes"])?;
    assert_eq!(voters(&run.registry)?.len(), 3);
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}

/// A leader that is asked to stop hands its office over first: the next write does not wait for an election.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_asked_to_stop_hands_over_first() -> Result<(), Broken> {
    let Some(programs) = programs("a_leader_that_is_asked_to_stop_hands_over_first") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    for _ in 0..2 {
        let before = run.load.unknown();
        let stopped = run.stop_leader().await?;
        let said = run.registry.said(stopped, "leadership is handed over");
        assert!(said, "{}", run.registry.log_end(stopped));
        run.another_leads().await?;
        run.answers(100).await?;
        // What was under way was answered.
        assert_eq!(run.load.unknown(), before, "an outcome was lost");
        run.registry.start_node(stopped)?;
        run.registry.ready().await?;
    }
    hold(&run.judge(Least::of("stop leader", 2)).await?);
    Ok(())
}
