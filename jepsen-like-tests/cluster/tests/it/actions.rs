//! The table of actions on real ports: of every action, who may and who may not, at the node that leads and at one that does not.
//! The latter takes no command; whose role never gives one it refuses by the table, as the leader does.

use carnet_cluster::Broken;
use carnet_cluster::hostile::{Attacker, Way};
use carnet_cluster::jurisdiction::{ADMIN, Jurisdiction, MANUFACTURER, Plan, REGISTRAR};
use carnet_cluster::programs;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::record::Holder;
use carnet_domain::rules::actions::{Deed, Judgement, Relation, Standing, ever, judge};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::Reason;
use carnet_kit::{Country, samples};

const CUSTOMS: &str = "customs/port/one";
const REGULATOR: &str = "regulator/safety/one";
/// How many of the commands that are allowed are done at least: the others are refused for what no record has yet.
const DONE_MIN: usize = 4;
/// Who is asked, the first that may or may not.
const SEATS: [(&str, Role); 5] = [
    (REGISTRAR, Role::Registrar),
    (ADMIN, Role::Admin),
    (MANUFACTURER, Role::Manufacturer),
    (CUSTOMS, Role::Customs),
    (REGULATOR, Role::Regulator),
];

/// One of every command, and of every action; more than one deed may stand behind a command.
fn commands(prefix: &str) -> Vec<Command> {
    let country = Country::unborn(prefix);
    let mut all = samples::commands(&country);
    all.retain(|command| !matches!(command, Command::Act { .. }));
    // The enterprise that is asked afterwards keeps its standing.
    for command in &mut all {
        if let Command::SetEnterpriseStatus { id, .. }
        | Command::AmendEnterprise { id, .. }
        | Command::SucceedEnterprise { id, .. } = command
        {
            *id = country.enterprise("0999");
        }
    }
    all.extend(samples::actions().into_iter().map(|action| Command::Act {
        code: country.code(1),
        expected_sequence: None,
        action,
    }));
    all
}

/// The roles that may, and those that never may, whatever a command is about: what a node can know before it reads a record.
fn may(command: &Command, role: Role) -> bool {
    let mut deeds: Vec<Deed> = Deed::ALL.to_vec();
    deeds.retain(|deed| match command {
        Command::Act { action, .. } => *deed == Deed::of(action),
        // Of one command two deeds, by whose key it is.
        Command::AddSigner { enrolment, .. } => match enrolment.holder {
            Holder::Enterprise { .. } => *deed == Deed::AddEnterpriseSigner,
            Holder::Office { .. } => *deed == Deed::AddOfficeSigner,
        },
        // It names the key that was added before it, which is an office's.
        Command::RetireSigner { .. } => *deed == Deed::RetireOfficeSigner,
        _ => deed.command() == command.kind(),
    });
    deeds
        .iter()
        .any(|deed| judge(*deed, role, Relation::ALL, Standing::Good) == Judgement::May)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_action_is_judged_at_the_port_as_in_the_table() -> Result<(), Broken> {
    let name = "every_action_is_judged_at_the_port_as_in_the_table";
    let Some(programs) = programs(name) else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    registry.enrol_office(CUSTOMS, Role::Customs).await?;
    registry.enrol_office(REGULATOR, Role::Regulator).await?;
    let leader = registry.leader().await?;
    let follower = registry.running().into_iter().find(|node| *node != leader);
    let follower = follower.expect("three nodes run");
    let commands = commands("XA");
    let (mut allowed, mut denied, mut done) = (0, 0, 0);
    let mut seats = Vec::new();
    for (who, role) in SEATS {
        let seat = Attacker::connect(&registry, who, leader).await?;
        let beside = seat.also_over(&Way::of(&registry, who, follower)?)?;
        seats.push((role, seat, beside));
    }
    for command in &commands {
        let one = std::slice::from_ref(command);
        let said = command.name();
        for expected in [true, false] {
            let mut seats = seats.iter_mut();
            let seat = seats.find(|(role, ..)| may(command, *role) == expected);
            let (role, seat, beside) =
                seat.unwrap_or_else(|| panic!("{said}: nobody is {expected}"));
            let header = seat.header(one);
            let request = seat.request(&header, one);
            // First where it is done by nobody: whose role never gives the command is told so there too.
            let refused = match beside.tell(request.to_bytes()).await? {
                Err(status) => status.message().to_owned(),
                Ok(answer) => panic!(
                    "{said} by {}: node {follower} does not lead: {answer:?}",
                    role.word()
                ),
            };
            let expects = match ever(*role, command.kind()) {
                true => "does not lead",
                false => "may not",
            };
            assert!(
                refused.contains(expects),
                "{said} by {}: {refused}",
                role.word()
            );
            let answer = seat.send(&request).await?;
            let at = format!("{said} by {} at node {leader}: {answer:?}", role.word());
            match (expected, &answer) {
                // Refused before anything is proposed, or, of an action that this role never does, by the rules.
                (false, Err(words)) => assert!(words.contains("may not"), "{at}"),
                (false, Ok(answer)) => assert!(
                    matches!(&answer.items[..], [ItemAnswer::Refused { rejection }]
                        if rejection.reason == Reason::RoleNotAllowed),
                    "{at}"
                ),
                // Refused for what the record says: nothing here has a robot.
                (true, Ok(answer)) if matches!(&answer.items[..], [ItemAnswer::Done { .. }]) => {
                    done += 1;
                }
                (true, Ok(answer)) => assert!(
                    !matches!(&answer.items[..], [ItemAnswer::Refused { rejection }]
                    if matches!(
                        rejection.reason,
                        Reason::RoleNotAllowed
                            | Reason::ActorNotInStanding
                            | Reason::SignerNotActive
                            | Reason::BadSignature
                    )),
                    "{at}"
                ),
                (true, Err(_)) => panic!("{at}"),
            }
            match expected {
                true => allowed += 1,
                false => denied += 1,
            }
        }
    }
    assert_eq!((allowed, denied), (commands.len(), commands.len()));
    assert!(done >= DONE_MIN, "{done} of them were done");
    registry.all_alive()?;
    Ok(())
}
