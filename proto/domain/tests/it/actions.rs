//! Who may do what: the published table is compared with the code cell by cell, and `decide` is asked about every cell.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::transfer::Transfer;
use carnet_domain::record::{Actor, Declared, Desk, Holder, Party, Pending, Robot, Signer};
use carnet_domain::rules::actions::{Deed, Judgement, Relation, Standing, ever, judge, row_of};
use carnet_domain::rules::command::{Action, Command, CommandKind};
use carnet_domain::rules::decide::{Context, Stop, decide};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::{Detail, Reason};
use carnet_kit::memory::MemoryLedger;
use carnet_kit::{Country, befriend, samples, transfer};

use crate::catalog::check;

/// How many cells say yes, of all.
const MAY: usize = 616;

type Cell = (Deed, Role, Relation, Standing);

fn cells() -> impl Iterator<Item = Cell> {
    Deed::ALL.iter().flat_map(|deed| {
        Role::ALL.iter().flat_map(move |role| {
            Relation::ALL.iter().flat_map(move |relation| {
                Standing::ALL
                    .iter()
                    .map(move |standing| (*deed, *role, *relation, *standing))
            })
        })
    })
}

fn judged(cell: Cell) -> Judgement {
    let (deed, role, relation, standing) = cell;
    judge(deed, role, &[relation], standing)
}

/// A line for each deed, standing and role that may: as what.
fn published() -> String {
    let mut out = String::new();
    for deed in Deed::ALL {
        for standing in Standing::ALL {
            for role in Role::ALL {
                let may: Vec<_> = Relation::ALL
                    .iter()
                    .filter(|one| judged((*deed, *role, **one, *standing)) == Judgement::May)
                    .map(|one| one.name())
                    .collect();
                if !may.is_empty() {
                    let (deed, standing) = (deed.name(), standing.name());
                    let _ = writeln!(out, "{deed} {standing} {} {}", role.word(), may.join(","));
                }
            }
        }
    }
    out
}

/// The cells that the published table says yes to.
fn read(text: &str) -> BTreeSet<Cell> {
    let cell = |line: &str| -> Vec<Cell> {
        let words: Vec<&str> = line.split(' ').collect();
        let [deed, standing, role, relations] = words[..] else {
            panic!("four words a line: {line}");
        };
        let deed = Deed::from_name(deed).expect("a deed");
        let standing = Standing::from_name(standing).expect("a standing");
        let role = Role::from_name(role).expect("a role");
        let relation = |name| Relation::from_name(name).expect("a relation");
        let relations = relations.split(',').map(relation);
        relations.map(|one| (deed, role, one, standing)).collect()
    };
    text.lines().flat_map(cell).collect()
}

#[test]
fn the_published_table_is_the_code() {
    check("vectors/actions.txt", &published());
    let told = read(include_str!("../../../vectors/actions.txt"));
    for cell in cells() {
        let may = judged(cell) == Judgement::May;
        assert_eq!(told.contains(&cell), may, "{cell:?}");
    }
    assert_eq!(told.len(), MAY, "cells that say yes");
}

/// What a person reads.
#[test]
fn the_document_is_the_table() {
    let mut out = String::from(
        "# Who may do what\n\nMade from the table in `proto/domain/src/rules/actions.rs` by \
         `CARNET_VECTORS=write`; do not edit. A role may do a deed if it is one of the relations named to the robot, \
         model or office that the deed is about; `None` is somebody without any. The last column says what an \
         enterprise may do that is suspended, struck off or outside its accreditation. What needs a second party, and \
         what may follow what, is in `rules/parties.rs` and `rules/lifecycle.rs`.\n\n\
         | deed | command | who, as what | without standing |\n|---|---|---|---|\n",
    );
    for deed in Deed::ALL {
        let row = row_of(*deed);
        let grants = row.grants.iter().map(|grant| {
            let roles: Vec<_> = grant.roles.iter().map(|role| role.word()).collect();
            let relations: Vec<_> = grant.relations.iter().map(|one| one.name()).collect();
            let relations = match grant.relations.len() == Relation::ALL.len() {
                true => "anybody".to_owned(),
                false => relations.join(", "),
            };
            format!("{}: {relations}", roles.join(", "))
        });
        let standing = match row.standing {
            Standing::Good => "no",
            Standing::Lost => "may",
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {standing} |",
            deed.name(),
            deed.command().name(),
            grants.collect::<Vec<_>>().join("; "),
        );
    }
    check("ACTIONS.md", &out);
}

#[test]
fn ingress_lets_nothing_pass_that_no_cell_allows_and_stops_nothing_that_one_does() {
    for kind in CommandKind::ALL {
        for role in Role::ALL {
            let mut of_kind =
                cells().filter(|(deed, of, ..)| deed.command() == *kind && of == role);
            let may = of_kind.any(|cell| judged(cell) == Judgement::May);
            assert_eq!(ever(*role, *kind), may, "{kind:?} {role:?}");
        }
    }
}

/// A market with a robot that is offered abroad, so that every deed finds its subject.
struct Market {
    country: Country,
    /// The same, before the offer.
    ledger: MemoryLedger,
}

fn market() -> Market {
    let (mut country, mut other) = (Country::with_market("86"), Country::with_market("49"));
    befriend(&mut country, &mut other);
    country.must("maker", country.register(1));
    country.must(
        "maker",
        samples::recall(&country, "R-1", carnet_domain::record::Severity::Advisory),
    );
    let ledger = country.ledger.clone();
    country.must("customs", country.declare(1, transfer(1), &other.prefix));
    Market { country, ledger }
}

fn command(country: &Country, deed: Deed) -> Command {
    let find = |kind: CommandKind| {
        let mut all = samples::commands(country).into_iter();
        all.find(|one| one.kind() == kind).expect("one of each")
    };
    let public = |name: &str| country.key(name).public();
    match deed {
        Deed::AddEnterpriseSigner => {
            let id = country.enterprise("0002");
            country.enrolment("new", Holder::Enterprise { id }, Role::Dealer, "new")
        }
        Deed::RetireEnterpriseSigner | Deed::RetireOfficeSigner | Deed::RetireFollowed => {
            Command::RetireSigner {
                public: public(match deed {
                    Deed::RetireOfficeSigner => "customs",
                    _ => "dealer",
                }),
                compromised_after: None,
                reason: "left".into(),
            }
        }
        Deed::FileImport => {
            let mut registration = country.registration(1);
            registration.importers_filing = true;
            Command::Register { registration }
        }
        deed if deed.command() == CommandKind::Act => {
            let mut actions = samples::actions().into_iter();
            let action: Action = actions
                .find(|action| Deed::of(action) == deed)
                .expect("one of each");
            Command::Act {
                code: country.code(1),
                expected_sequence: None,
                action,
            }
        }
        deed => find(deed.command()),
    }
}

/// The robot, in such relations that only one is the signer's; and who signs.
fn related(country: &Country, robot: Robot, relation: Relation) -> (Robot, Holder) {
    let signer = Holder::Enterprise {
        id: country.enterprise("0004"),
    };
    let other = Some(Party::Enterprise {
        id: country.enterprise("0005"),
    });
    let me = Some(Party::Enterprise {
        id: country.enterprise("0004"),
    });
    let of_others = Robot {
        holder: other.clone(),
        owner: other.clone(),
        operator: other,
        workshop: Some(country.enterprise("0005")),
        ..robot
    };
    let robot = match relation {
        Relation::Maker => {
            let id = of_others.identity.code.enterprise_id();
            return (of_others, Holder::Enterprise { id });
        }
        Relation::Office => return (of_others, country.office("registrar")),
        Relation::None => of_others,
        // What has an owner is sold by that one alone.
        Relation::Holder => Robot {
            holder: me,
            owner: None,
            ..of_others
        },
        Relation::Owner => Robot {
            owner: me,
            ..of_others
        },
        Relation::Operator => Robot {
            operator: me,
            ..of_others
        },
        Relation::Workshop => Robot {
            workshop: Some(country.enterprise("0004")),
            ..of_others
        },
        Relation::Pending => Robot {
            pending: Pending::EndOfLife {
                outcome: carnet_domain::rules::lifecycle::EndOfLife::Scrapped,
                by: Actor {
                    holder: signer.clone(),
                    person: String::new(),
                    key: country.key("x").public().key_id(),
                },
                certificate: carnet_domain::bytes::digest::Digest::ZERO,
            },
            ..of_others
        },
        Relation::Declarer => Robot {
            declared: vec![Declared {
                outcome: carnet_domain::rules::lifecycle::EndOfLife::Scrapped,
                by: Actor {
                    holder: signer.clone(),
                    person: String::new(),
                    key: country.key("x").public().key_id(),
                },
                certificate: carnet_domain::bytes::digest::Digest::ZERO,
                at: country.clock,
                withdrawn: false,
                clock: 0,
            }],
            ..of_others
        },
        Relation::Desk => Robot {
            owner: Some(Party::Person {
                commitment: carnet_domain::bytes::digest::Digest::ZERO,
                desk: Desk::of(country.prefix, &signer),
                since: country.clock,
            }),
            ..of_others
        },
    };
    (robot, signer)
}

/// Every deed, in every role, by who is anything to the robot, with and without standing: `decide` refuses exactly what the
/// table refuses, and for its reason.
#[test]
fn decide_asks_the_table_about_every_cell() {
    let market = market();
    let country = &market.country;
    let registry = country.registry();
    for cell in cells() {
        let (deed, role, relation, standing) = cell;
        // Whose key follows no other does another deed by the same command.
        if deed == Deed::RetireFollowed && relation != Relation::Pending {
            continue;
        }
        let mut ledger = match deed {
            Deed::CancelExport => {
                // To whose enterprise declared it, the rest of the row is nothing.
                let mut ledger = country.ledger.clone();
                let declared: Vec<Transfer> = ledger.transfers().cloned().collect();
                for transfer in declared {
                    let declared_by = None;
                    let Ok(()) = ledger.put_transfer(Transfer {
                        declared_by,
                        ..transfer
                    });
                }
                ledger
            }
            _ => market.ledger.clone(),
        };
        let Ok(robot) = ledger.robot(&country.code(1));
        let (robot, holder) = related(country, robot.expect("registered"), relation);
        let Ok(()) = ledger.put_robot(robot);
        let public = country.key("somebody else").public();
        let signer = Signer {
            id: public.key_id(),
            public,
            holder,
            role,
            person: "somebody else".into(),
            added: 0,
            retired: None,
            compromised_after: None,
            enrolled_by: None,
            ends: Default::default(),
            // Of this relation alone the key in question is the one that the signer's own follows.
            instead: (deed == Deed::RetireFollowed)
                .then(|| country.key("dealer").public().key_id()),
        };
        let context = Context {
            registry: &registry,
            now: registry.log_time,
            signer: &signer,
            standing,
            next_leaf: registry.tree.size(),
        };
        let reason = match decide(&ledger, &context, &command(country, deed)) {
            // Who issued a recall ends it, and who sets which hold is a table of its own.
            Err(Stop::Refused(rejection))
                if matches!(
                    rejection.detail,
                    Detail::OpenedBy { .. } | Detail::RoleMayNotHold { .. }
                ) =>
            {
                None
            }
            Err(Stop::Refused(rejection)) => Some(rejection.reason),
            Err(Stop::Fault(never)) => match never {},
            Ok(_) => None,
        };
        let found = match reason {
            Some(Reason::RoleNotAllowed) => Judgement::NotTheRole,
            Some(Reason::NotYours) => Judgement::NotTheSubject,
            Some(Reason::ActorNotInStanding) => Judgement::NotInStanding,
            _ => Judgement::May,
        };
        assert_eq!(found, judged(cell), "{cell:?}: {reason:?}");
    }
}
