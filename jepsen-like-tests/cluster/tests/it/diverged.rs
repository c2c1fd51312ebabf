//! A replica whose state came out differently stops by itself and for good; the others go on and lose nothing.

use std::time::Duration;

use carnet_client::admin::GetStatusResponse;
use carnet_cluster::Broken;
use carnet_cluster::jurisdiction::{Jurisdiction, MANUFACTURER, Plan, model_id};
use carnet_cluster::patience::until;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::{LoadPlan, registration};
use carnet_cluster::{planted_programs, programs};
use carnet_domain::bytes::code::Code;
use carnet_domain::rules::command::Command;

use crate::faults::hold;

/// How long a change of the cluster is waited for.
const PATIENT: Duration = Duration::from_secs(60);
/// The exit code of a replica that differs from the majority.
const DIVERGED: Option<i32> = Some(7);
/// What the alarm begins with.
const ALARM: &str = "this replica's state differs from the majority's";
/// The text at which the planted difference shows itself.
const MARK: &str = "planted: differs";
/// A serial that no load uses.
const MARKED_SERIAL: u32 = 900_001;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_writes_one_byte_differently_stops() -> Result<(), Broken> {
    let Some(programs) = planted_programs("a_follower_that_writes_one_byte_differently_stops")
    else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    let odd = run.kill_follower().await?;
    start_planted(&mut run, odd, "one-replica-differs").await?;
    write_the_mark(&run.registry).await?;
    stopped(&mut run, odd, "digest of the writes").await?;
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_writes_one_byte_differently_stops() -> Result<(), Broken> {
    let Some(programs) = planted_programs("a_leader_that_writes_one_byte_differently_stops") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    let odd = run.kill_follower().await?;
    start_planted(&mut run, odd, "one-replica-differs").await?;
    let admin = run.registry.admin(&[1, 2, 3], PATIENT)?;
    let led = admin.transfer_leadership(odd).await;
    let (leader, _) = led.map_err(Broken::at("leadership is handed over"))?;
    assert_eq!(leader, odd);
    known(&run.registry, odd).await?;
    write_the_mark(&run.registry).await?;
    stopped(&mut run, odd, "digest of the writes").await?;
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}

/// Once, a replica that had just started did not know what it wrote: one word stood against one, and nobody stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_errs_just_after_another_was_restarted_and_it_alone_stops() -> Result<(), Broken>
{
    let test = "one_replica_errs_just_after_another_was_restarted_and_it_alone_stops";
    let Some(programs) = planted_programs(test) else {
        return Ok(());
    };
    let (odd, restarted) = (3, 2);
    for leader in [odd, 1] {
        // Nothing else is written here: the restarted node seals nothing of its own before the mark.
        let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
        registry.kill(odd)?;
        registry.start_node_with(odd, &["--planted", "one-replica-differs"])?;
        if registry.ready().await? != leader {
            let admin = registry.admin(&[1, 2, 3], PATIENT)?;
            let led = admin.transfer_leadership(leader).await;
            led.map_err(Broken::at("leadership is handed over"))?;
        }
        let before = register(&registry, MARKED_SERIAL + 1, None).await?;
        known(&registry, odd).await?;
        registry.stop(restarted).await?;
        registry.start_node(restarted)?;
        registry.ready().await?;
        write_the_mark(&registry).await?;
        let code = registry.exit_code(odd).await?;
        let said = registry.log_end(odd);
        assert_eq!(code, DIVERGED, "{said}");
        assert!(said.contains("digest of the writes"), "{said}");
        let after = register(&registry, MARKED_SERIAL + 2, None).await?;
        registry.ready().await?;
        assert_eq!(registry.running(), [1, 2]);
        for id in registry.running() {
            let client = registry.client(MANUFACTURER, &[id])?;
            let client = client.build().map_err(Broken::at("client"))?;
            for code in [before, marked(&registry)?, after] {
                let read = client.unverified().robot(&code).await;
                read.map_err(Broken::at(format!("{code} at node {id}")))?;
            }
        }
        let content = async |id| {
            registry
                .status_with_digest(id)
                .await
                .map(|s| s.state_digest)
        };
        assert_eq!(content(1).await?, content(2).await?);
    }
    Ok(())
}

/// Nobody is asked here: the signed head itself says that this replica is the odd one out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_with_other_roots_stops_at_the_next_signed_head() -> Result<(), Broken> {
    let test = "a_replica_with_other_roots_stops_at_the_next_signed_head";
    let Some(programs) = planted_programs(test) else {
        return Ok(());
    };
    let plan = Plan {
        compare_every_ms: 600_000,
        ..Plan::of("XA")
    };
    let mut run = Run::start(&programs, plan, LoadPlan::default()).await?;
    let odd = run.kill_follower().await?;
    let fault = ["--planted", "one-replica-has-other-roots"];
    run.registry.start_node_with(odd, &fault)?;
    stopped(&mut run, odd, "the signed checkpoint of size").await?;
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}

/// The same replica under a leader's eyes: whoever finds it first, no head with its root is ever signed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_with_other_roots_is_outvoted() -> Result<(), Broken> {
    let Some(programs) = planted_programs("a_replica_with_other_roots_is_outvoted") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    let odd = run.kill_leader().await?;
    let fault = ["--planted", "one-replica-has-other-roots"];
    run.registry.start_node_with(odd, &fault)?;
    stopped(&mut run, odd, "").await?;
    hold(&run.judge(Least::of("kill leader", 1)).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthy_replicas_have_one_digest_of_everything_and_say_so() -> Result<(), Broken> {
    let test = "healthy_replicas_have_one_digest_of_everything_and_say_so";
    let Some(programs) = programs(test) else {
        return Ok(());
    };
    let plan = Plan {
        content_every_s: 1,
        ..Plan::of("XA")
    };
    let mut run = Run::start(&programs, plan, LoadPlan::default()).await?;
    let killed = run.kill_follower().await?;
    run.answers(50).await?;
    run.registry.start_node(killed)?;
    run.answers(50).await?;
    for id in [1, 2, 3] {
        compared(&run.registry, id, |status| {
            status.compare.as_ref().is_some_and(|compare| {
                compare.agreed_size > 0
                    && !compare.content_digest.is_empty()
                    && compare.content_voters == [1, 2, 3]
            })
        })
        .await?;
    }
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}

/// Starts a node with a fault that sleeps, and waits until it knows what it writes.
async fn start_planted(run: &mut Run, odd: u64, fault: &str) -> Result<(), Broken> {
    run.registry.start_node_with(odd, &["--planted", fault])?;
    run.registry.ready().await?;
    known(&run.registry, odd).await
}

/// Waits until a node has agreed with a majority on what it wrote.
async fn known(registry: &Jurisdiction, id: u64) -> Result<(), Broken> {
    let published = registry.status(id).await?.published_size;
    compared(registry, id, |status| {
        let compare = status.compare.as_ref();
        compare.is_some_and(|compare| compare.agreed_size > published)
    })
    .await
}

async fn compared(
    registry: &Jurisdiction,
    id: u64,
    wished: impl Fn(&GetStatusResponse) -> bool,
) -> Result<(), Broken> {
    until(&format!("node {id} has compared its state"), || async {
        let status = registry.status(id).await.map_err(|e| e.to_string())?;
        if wished(&status) {
            Ok(())
        } else {
            Err(format!("{:?}", status.compare))
        }
    })
    .await
}

fn robot(registry: &Jurisdiction, serial: u32) -> Result<Code, Broken> {
    let text = format!("{}{serial:017}", model_id(registry)?);
    Code::parse(&text).map_err(Broken::at(text))
}

/// The robot of which a planted replica writes one byte differently.
fn marked(registry: &Jurisdiction) -> Result<Code, Broken> {
    robot(registry, MARKED_SERIAL)
}

/// Registers it.
async fn write_the_mark(registry: &Jurisdiction) -> Result<(), Broken> {
    register(registry, MARKED_SERIAL, Some(MARK))
        .await
        .map(drop)
}

async fn register(
    registry: &Jurisdiction,
    serial: u32,
    site: Option<&str>,
) -> Result<Code, Broken> {
    let code = robot(registry, serial)?;
    let mut registration = registration(code, 1);
    if let Some(site) = site {
        registration.site = site.to_owned();
    }
    let client = registry.client(MANUFACTURER, &registry.running())?;
    let client = client.build().map_err(Broken::at("client"))?;
    let submitted = client.submit(&[Command::Register { registration }]).await;
    let submitted = submitted.map_err(Broken::at(format!("robot {code}")))?;
    let done = submitted.outcomes().all(|outcome| outcome.is_ok());
    assert!(done, "robot {code} was refused");
    Ok(code)
}

/// The node stops with its own exit code and an alarm that names what differs, and at every start again; the others serve.
async fn stopped(run: &mut Run, odd: u64, named: &str) -> Result<(), Broken> {
    let code = run.registry.exit_code(odd).await?;
    let said = run.registry.log_end(odd);
    assert_eq!(code, DIVERGED, "{said}");
    let alarm = said
        .lines()
        .find(|line| line.contains("ERROR") && line.contains(ALARM));
    let alarm = alarm.unwrap_or_else(|| panic!("no alarm: {said}"));
    assert!(
        alarm.contains(named) && alarm.contains("log index"),
        "{alarm}"
    );
    // Even without the fault, on what it has.
    for _ in 0..2 {
        run.registry.start_node(odd)?;
        let code = run.registry.exit_code(odd).await?;
        assert_eq!(code, DIVERGED, "{}", run.registry.log_end(odd));
    }
    run.answers(100).await?;
    run.registry.ready().await?;
    let others: Vec<u64> = [1, 2, 3].into_iter().filter(|id| *id != odd).collect();
    assert_eq!(run.registry.running(), others);
    Ok(())
}
