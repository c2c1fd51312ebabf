//! Chains of countries: what leads to an offer travels with it, and nothing of it is taken on trust.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::custody::links::{steps_kept, way};
use carnet_domain::custody::{Phase, Step};
use carnet_domain::limits::{
    CHAIN_ABROAD_MAX, CHAIN_BYTES_ABROAD_MAX, CHAIN_BYTES_MAX, CHAIN_STEP_BYTES, CHAIN_TRAIL_MAX,
};
use carnet_domain::log::leaf::{Kind, Slots, Subject, leaf_bytes_hash};
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine::entry::{Body, ChainRun, MailBatch};
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Clause, Statement};
use carnet_domain::record::transfer::Stage;
use carnet_domain::rules::command::{Command, Purpose};
use carnet_domain::rules::lifecycle::State;
use carnet_domain::rules::rejection::{Detail, Ending, Flaw, Reason};
use carnet_hostile::judge::{nacked, reason_of, refused, unproven};
use carnet_hostile::liar::{kinds_since, last_said, lies, link, say, standing};
use carnet_hostile::scene::{
    admit, conclude, depart, export, offer, permit, prefix, robot, take, three, two, waiting,
};
use carnet_kit::{Country, befriend, text, transfer};

/// 49 and 81 let each other's robots of 86 pass: version 2 of their agreement.
pub(super) fn accepts_thirds(b: &mut Country, c: &mut Country, issuer: &Country) {
    let mut two_ways = carnet_kit::agreement(b.prefix, c.prefix, 2);
    let clause = two_ways.clauses[0].clone();
    for (number, recogniser) in [(3, b.prefix), (4, c.prefix)] {
        two_ways.clauses.push(Clause {
            number,
            recogniser,
            issuer: issuer.prefix,
            ..clause.clone()
        });
    }
    conclude(b, c, &two_ways);
}

/// Three countries with robot 1 of the first in the second, which may offer it to the third.
pub(super) fn passed_on() -> (Country, Country, Country, Code) {
    let (mut a, mut b, mut c) = three();
    accepts_thirds(&mut b, &mut c, &a);
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    (a, b, c, code)
}

pub(super) fn onward(from: &Country, to: &Country, code: Code, number: u8) -> Command {
    let mut onward = offer(from, to, code, number);
    if let Command::DeclareExport { agreement, .. } = &mut onward {
        agreement.version = 2;
    }
    onward
}

/// Takes a robot from one country to the next, and tells the others.
pub(super) fn goes_on(from: &mut Country, to: &mut Country, code: Code, number: u8) {
    from.must("customs", onward(from, to, code, number));
    from.deliver(to);
    to.must("customs", permit(to, number, Vec::new()));
    to.deliver(from);
    from.must("customs", depart(number));
    from.deliver(to);
    to.must("customs", admit(number));
    to.deliver(from);
}

pub(super) fn phase(country: &Country, code: &Code) -> Phase {
    robot(country, code).custody.phase
}

fn steps(country: &Country, number: u8) -> Vec<(Step, u64, String)> {
    let Ok(transfer) = country.ledger.transfer(&transfer(number));
    let steps = steps_kept(&transfer.expect("it is known").chain);
    let step = |step: carnet_domain::custody::movement::EvidenceRef| {
        let link = step.link.expect("slot 12 is shown");
        (link.step, link.epoch, step.origin)
    };
    steps.into_iter().map(step).collect()
}

/// From 86 to 49 to 81 and home, without going home in between; the chain is shown from its registration on.
#[test]
fn a_robot_goes_on_without_going_home() {
    let (mut a, mut b, mut c, code) = passed_on();
    goes_on(&mut b, &mut c, code, 2);
    assert_eq!(phase(&c, &code), Phase::Here {});
    let of = |prefix: &str| format!("carnet/{prefix}/0");
    assert_eq!(
        steps(&c, 2),
        [
            (Step::Register, 0, of("86")),
            (Step::Offer, 1, of("86")),
            (Step::Depart, 1, of("86")),
            (Step::Admit, 1, of("49")),
            (Step::Offer, 2, of("49")),
            (Step::Depart, 2, of("49")),
        ]
    );
    // The issuer follows, by both mailboxes.
    b.deliver(&mut a);
    c.deliver(&mut a);
    let Phase::Gone { to, .. } = phase(&a, &code) else {
        panic!("{:?}", phase(&a, &code));
    };
    assert_eq!(to, c.prefix);
    c.must("customs", offer(&c, &a, code, 3));
    c.deliver(&mut a);
    a.must("customs", permit(&a, 3, Vec::new()));
    a.deliver(&mut c);
    c.must("customs", depart(3));
    c.deliver(&mut a);
    a.must("customs", admit(3));
    assert_eq!(phase(&a, &code), Phase::Here {});
    // And on again, with all that can be proven of its way: around once, and out.
    export(&mut a, &mut b, code, 4);
    assert_eq!(phase(&b, &code), Phase::Here {});
    let told = steps(&b, 4);
    assert_eq!(told.len(), 12);
    assert_eq!(told[0], (Step::Register, 0, of("86")));
    let last = [
        (Step::Admit, 3, of("86")),
        (Step::Offer, 4, of("86")),
        (Step::Depart, 4, of("86")),
    ];
    assert_eq!(told[9..], last);
}

/// Says of a robot that it was scrapped, in a leaf of this kind that names no other.
fn says_it_ended(a: &mut Country, code: &Code, kind: Kind, c: &mut Country) -> Vec<Kind> {
    let mut slots = Slots::new();
    slots.set(slot::CODE, &code.as_str().to_owned());
    slots.set(slot::BODY, &robot(a, code).identity.body);
    slots.set(slot::STATE, &standing(State::Scrapped));
    say(a, kind, code, slots, &c.prefix);
    let (batch, size) = (lies(a, c), c.registry().tree.size());
    take(c, batch);
    kinds_since(c, size)
}

/// Probe f04: the issuer of a robot that is in 49 tells 81 that it scrapped it. That is its word: it is shown, and the robot comes in once
/// a registrar of 81 has looked at it.
#[test]
fn the_issuers_own_word_bars_no_robot_for_good() {
    for kind in [Kind::LifeCycle, Kind::Foreign] {
        let (mut a, mut b, mut c, code) = passed_on();
        let key = Subject::robot(&code).key();
        assert_eq!(
            says_it_ended(&mut a, &code, kind, &mut c),
            [Kind::Foreign],
            "it is no claim, of which few are read"
        );
        let Ok(ends) = c.ledger.ends(&key);
        let ends = ends.expect("it is known");
        assert_eq!(ends.proven, None);
        let shown = ends.shown().expect("every verdict shows it");
        let detail = Detail::Ended {
            what: Ending::Any,
            code,
            state: State::Scrapped,
            by: a.prefix,
            at: shown.at,
            identity: key,
        };
        // The offer is kept, and who permits it is told.
        b.must("customs", onward(&b, &c, code, 2));
        b.deliver(&mut c);
        let permitted = permit(&c, 2, Vec::new());
        let reason = Reason::IdentityEnded;
        refused(&mut c, "customs", permitted.clone(), reason, detail);
        let refuse = Command::RefuseImport {
            transfer: transfer(2),
            reason: "it is said to have ended".into(),
        };
        c.clone().must("customs", refuse);
        let clear = Command::ClearClaim {
            peer: a.prefix,
            identity: key,
            reason: "seen at the border".into(),
        };
        c.must("registrar", clear.clone());
        let detail = Detail::Prefix { prefix: a.prefix };
        refused(&mut c, "registrar", clear, Reason::ClaimUnknown, detail);
        // Said again it is nothing.
        assert_eq!(says_it_ended(&mut a, &code, kind, &mut c), []);
        c.must("customs", permitted);
        c.deliver(&mut b);
        b.must("customs", depart(2));
        b.deliver(&mut c);
        c.must("customs", admit(2));
        assert_eq!(phase(&c, &code), Phase::Here {});
    }
}

/// What it must not cost: nobody offers what it said itself to have ended.
#[test]
fn an_issuer_offers_no_robot_that_it_said_to_have_ended() {
    let (mut a, _, mut c) = three();
    let code = a.code(1);
    says_it_ended(&mut a, &code, Kind::LifeCycle, &mut c);
    a.must("customs", a.declare(1, transfer(1), &c.prefix));
    let batch = waiting(&mut a, &c);
    let detail = Detail::Code { code };
    nacked(&mut c, batch, Reason::IdentityEnded, detail);
}

/// However many leaves a robot has since, no more of them are read for its way.
#[test]
fn no_way_is_looked_for_without_end() {
    let (a, _) = two();
    let Ok(record) = a.ledger.leaf(0);
    let record = record.expect("the first leaf");
    let read = std::cell::Cell::new(0_usize);
    let leaf_at = |index: u64| {
        read.set(read.get() + 1);
        let step_before = index.checked_sub(1);
        Ok::<_, std::convert::Infallible>(Some(LeafRecord {
            step_before,
            ..record.clone()
        }))
    };
    let newest = (Some(1 << 40), Digest([7; 32]));
    let Ok(way) = way(a.prefix, newest, leaf_at, |_| Ok(None));
    assert!(way.pieces.is_empty());
    assert_eq!(read.get(), CHAIN_TRAIL_MAX);
}

/// A robot that came home, or was sent back, goes on to a country that does not know where it was.
#[test]
fn nobody_need_know_where_a_robot_was_before_its_issuer_had_it_again() {
    for comes_home in [true, false] {
        let (mut a, mut b) = two();
        let (mut c, mut third) = (Country::with_market("81"), Country::with_market("44"));
        befriend(&mut a, &mut c);
        befriend(&mut b, &mut third);
        accepts_thirds(&mut b, &mut third, &a);
        let statement = carnet_hostile::scene::recognition(&mut a);
        assert_eq!(text(&third.state(&statement)), "done");
        let code = a.code(1);
        if comes_home {
            export(&mut a, &mut c, code, 1);
            export(&mut c, &mut a, code, 2);
        } else {
            carnet_hostile::scene::bring(&mut a, &mut c, code, 1, Purpose::PermanentExport);
            c.must("customs", carnet_hostile::scene::send_back(1));
            c.deliver(&mut a);
        }
        export(&mut a, &mut b, code, 3);
        goes_on(&mut b, &mut third, code, 4);
        assert_eq!(phase(&third, &code), Phase::Here {}, "{comes_home}");
    }
}

/// Home a robot comes by what its issuer can prove: of a country that it does not know nobody else's copy counts.
#[test]
fn a_step_of_a_stranger_leads_no_robot_home() {
    let (mut a, mut b) = two();
    let (mut c, mut stranger) = (Country::with_market("81"), Country::with_market("44"));
    befriend(&mut a, &mut c);
    befriend(&mut b, &mut stranger);
    befriend(&mut stranger, &mut c);
    accepts_thirds(&mut b, &mut stranger, &a);
    accepts_thirds(&mut stranger, &mut c, &a);
    let of_issuer = carnet_hostile::scene::recognition(&mut a);
    assert_eq!(text(&stranger.state(&of_issuer)), "done");
    let of_second = carnet_hostile::scene::recognition(&mut b);
    assert_eq!(text(&c.state(&of_second)), "done");
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    goes_on(&mut b, &mut stranger, code, 2);
    b.deliver(&mut a);
    goes_on(&mut stranger, &mut c, code, 3);
    c.must("customs", offer(&c, &a, code, 4));
    let before = phase(&a, &code);
    c.deliver(&mut a);
    assert_eq!(phase(&a, &code), before);
    let step = permit(&a, 4, Vec::new());
    let permitted = reason_of(&mut a, "customs", step);
    assert_eq!(permitted, Reason::TransferUnknown);
}

/// 81 knows 86 by nothing but its bundle: no agreement, no mail.
#[test]
fn a_bundle_of_the_issuer_is_enough() {
    let (mut a, mut b) = two();
    let mut c = Country::with_market("81");
    befriend(&mut b, &mut c);
    accepts_thirds(&mut b, &mut c, &a);
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    let declared = onward(&b, &c, code, 2);
    b.must("customs", declared);
    // Without the bundle it is answered, and stops nothing.
    let batch = waiting(&mut b, &c);
    let run = &batch.items[0].chain[1];
    let (of, index, flaw) = (a.prefix, run.leaves[0].index, Flaw::Stranger);
    let detail = Detail::ChainStep { of, index, flaw };
    nacked(&mut c, batch, Reason::NotInCustody, detail);
    let statement = carnet_hostile::scene::recognition(&mut a);
    assert_eq!(text(&c.state(&statement)), "done");
    let cancel = Command::CancelExport {
        transfer: transfer(2),
        reason: String::new(),
    };
    b.must("customs", cancel);
    b.must("customs", onward(&b, &c, code, 3));
    b.deliver(&mut c);
    c.must("customs", permit(&c, 3, Vec::new()));
    c.deliver(&mut b);
    b.must("customs", depart(3));
    b.deliver(&mut c);
    c.must("customs", admit(3));
    assert_eq!(phase(&c, &code), Phase::Here {});
    assert_eq!(steps(&c, 3).len(), 8);
}

/// What 49 shows with its offer to 81, changed, and how 81 answers.
fn shown(
    change: impl Fn(&mut Vec<ChainRun>),
    reason: Reason,
    detail: impl Fn(&MailBatch) -> Detail,
) {
    let (_, mut b, mut c, code) = passed_on();
    b.must("customs", onward(&b, &c, code, 2));
    let mut batch = waiting(&mut b, &c);
    let expected = detail(&batch);
    change(&mut batch.items[0].chain);
    nacked(&mut c, batch, reason, expected);
}

/// Probe f15: a clause between two countries does not let them pass on a third country's robot without its chain.
#[test]
fn a_robot_of_a_third_country_is_not_offered_without_its_chain() {
    let without = |batch: &MailBatch| {
        let peer = batch.peer;
        let code = Code::parse("86000110000200000000000000001").expect("a code");
        Detail::OffersWithoutChain { peer, code }
    };
    shown(Vec::clear, Reason::NotInCustody, without);
    // More than travels.
    let long = |chain: &mut Vec<ChainRun>| {
        let last = chain.last().cloned().expect("a run");
        chain.resize(64, last);
    };
    shown(long, Reason::NotInCustody, without);
}

/// What 49 shows with its offer to 81, changed so that it is not what the offer names: it is asked for again.
fn unbound(change: impl Fn(&mut Vec<ChainRun>)) {
    let (_, mut b, mut c, code) = passed_on();
    b.must("customs", onward(&b, &c, code, 2));
    let mut batch = waiting(&mut b, &c);
    change(&mut batch.items[0].chain);
    let detail = Detail::ChainUnbound { code };
    unproven(&mut c, batch, Reason::EvidenceBroken, detail);
    // As it was sent it is taken.
    b.deliver(&mut c);
    assert!(matches!(phase(&c, &code), Phase::Asked { .. }));
}

#[test]
fn a_chain_that_is_cut_leads_nowhere() {
    // Its end.
    unbound(|chain| drop(chain.pop()));
    // In between.
    unbound(|chain| drop(chain.remove(1)));
    // Its beginning: the issuer's offer is no step by which it had the robot.
    let first = |batch: &MailBatch| {
        let index = batch.items[0].chain[1].leaves[0].index;
        let (of, flaw) = (prefix("86"), Flaw::Beginning);
        Detail::ChainStep { of, index, flaw }
    };
    let start = |chain: &mut Vec<ChainRun>| drop(chain.remove(0));
    shown(start, Reason::NotInCustody, first);
}

#[test]
fn a_chain_that_is_reordered_or_repeated_leads_nowhere() {
    unbound(|chain| chain.swap(1, 2));
    unbound(|chain| {
        let last = chain.last().cloned().expect("a run");
        chain.push(last);
    });
}

/// A run without a leaf is none: what is kept has as many runs as it has steps at most.
#[test]
fn a_run_without_a_step_is_no_run() {
    unbound(|chain| {
        let checkpoint = chain[0].checkpoint.clone();
        let leaves = Vec::new();
        chain.insert(0, ChainRun { checkpoint, leaves });
    });
}

/// A step of one country under another's head, under one that it did not sign, and without its path.
#[test]
fn a_step_is_proven_under_a_head_of_its_own_registry() {
    unbound(|chain| {
        let own = chain.last().map(|run| run.checkpoint.clone());
        chain[0].checkpoint = own.expect("a run");
    });
    // Neither is bound by the offer, and both are another country's: they stop no feed.
    for pathless in [false, true] {
        let (a, mut b, mut c, code) = passed_on();
        b.must("customs", onward(&b, &c, code, 2));
        let mut batch = waiting(&mut b, &c);
        let run = &mut batch.items[0].chain[0];
        let flaw = if pathless {
            run.leaves.iter_mut().for_each(|leaf| leaf.path.clear());
            Flaw::Unproven
        } else {
            // Another size, and the signature of this one.
            let size = run.checkpoint.lines().nth(1).expect("a size").to_owned();
            let other = format!("\n{size}1\n");
            run.checkpoint = run.checkpoint.replacen(&format!("\n{size}\n"), &other, 1);
            Flaw::Head
        };
        let last = run.leaves.last().expect("a step");
        let (of, index) = (a.prefix, last.index);
        let detail = Detail::ChainStep { of, index, flaw };
        nacked(&mut c, batch, Reason::NotInCustody, detail);
    }
}

/// The chain of another robot, every step of it true.
#[test]
fn the_chain_of_another_robot_leads_nowhere() {
    let (mut a, mut b, mut c, code) = passed_on();
    a.must("maker", a.register(2));
    let other = a.code(2);
    export(&mut a, &mut b, other, 5);
    b.must("customs", onward(&b, &c, code, 2));
    b.must("customs", onward(&b, &c, other, 3));
    let mut batch = waiting(&mut b, &c);
    batch.items[0].chain = batch.items[1].chain.clone();
    batch.items.truncate(1);
    let detail = Detail::ChainUnbound { code };
    unproven(&mut c, batch, Reason::EvidenceBroken, detail);
}

/// A registry that lies offers a robot that it never had, and names the past of another one as what went before.
#[test]
fn a_lie_names_no_other_robots_past() {
    let (mut a, mut b, mut c, code) = passed_on();
    a.must("maker", a.register(2));
    let never = a.code(2);
    b.must("customs", onward(&b, &c, code, 2));
    let mut slots = last_said(&b, &c.prefix);
    let chain = waiting(&mut b, &c).items[0].chain.clone();
    let end = chain.last().and_then(|run| run.leaves.last());
    let end = leaf_bytes_hash(&end.expect("a step").leaf.0);
    let mut step = link(Step::Offer, 3, 2, &b.prefix, &c.prefix, end);
    step.agreement.as_mut().expect("named").version = 2;
    slots.set(slot::CODE, &never.as_str().to_owned());
    slots.set(slot::CUSTODY, &step);
    slots.set(slot::EVENT, &onward(&b, &c, never, 3));
    say(&mut b, Kind::Custody, &never, slots, &c.prefix);
    let mut batch = lies(&mut b, &c);
    let last = chain.last().and_then(|run| run.leaves.last());
    let index = last.expect("a step").index;
    let (of, flaw) = (b.prefix, Flaw::NoStep);
    batch.items.remove(0);
    batch.items[0].sequence = 0;
    batch.items[0].chain = chain;
    let detail = Detail::ChainStep { of, index, flaw };
    nacked(&mut c, batch, Reason::NotInCustody, detail);
}

/// The chain of an offer of before is true, and leads to another offer than this.
#[test]
fn a_chain_of_before_is_no_chain_of_now() {
    let (_, mut b, mut c, code) = passed_on();
    b.must("customs", onward(&b, &c, code, 2));
    let before = waiting(&mut b, &c).items[0].chain.clone();
    let cancel = Command::CancelExport {
        transfer: transfer(2),
        reason: String::new(),
    };
    b.must("customs", cancel);
    b.deliver(&mut c);
    b.must("customs", onward(&b, &c, code, 3));
    let mut batch = waiting(&mut b, &c);
    let steps = batch.items[0].chain.iter().map(|run| run.leaves.len());
    assert_eq!(steps.sum::<usize>(), 6);
    batch.items[0].chain = before;
    let detail = Detail::ChainUnbound { code };
    unproven(&mut c, batch, Reason::EvidenceBroken, detail);
}

/// The issuer releases one robot to two countries. Neither knows of the other; a third that is offered both has the proof: two
/// departures of one epoch, in the chains of two honest exporters.
#[test]
fn a_double_release_is_exposed_by_the_chains_that_follow_from_it() {
    let (mut a, mut b, mut c) = three();
    let mut third = Country::with_market("44");
    for other in [&mut a, &mut b, &mut c] {
        befriend(other, &mut third);
    }
    accepts_thirds(&mut b, &mut third, &a);
    accepts_thirds(&mut c, &mut third, &a);
    let code = a.code(1);
    // Two lives of the issuer's log in one: it shows each of the two what it has not shown the other.
    let mut twin = a.clone();
    twin.clock = twin.clock.saturating_add(carnet_kit::STEP);
    export(&mut a, &mut b, code, 1);
    export(&mut twin, &mut c, code, 2);
    goes_on_to(&mut b, &mut third, code, 3);
    c.must("customs", onward(&c, &third, code, 4));
    let size = third.registry().tree.size();
    let batch = waiting(&mut c, &third);
    third.apply(Body::Foreign { batch });
    assert_eq!(
        carnet_hostile::liar::kinds_since(&third, size),
        [Kind::ForkEvidence]
    );
    let Ok(issuer) = third.ledger.peer(&a.prefix);
    let issuer = issuer.expect("a peer");
    assert!(issuer.quarantined, "who released it twice");
    assert_eq!(issuer.fork.map(|fork| fork.code), Some(code));
    for honest in [&b, &c] {
        let Ok(peer) = third.ledger.peer(&honest.prefix);
        assert!(!peer.expect("a peer").quarantined);
    }
}

/// As [`goes_on`], no further than the offer.
fn goes_on_to(from: &mut Country, to: &mut Country, code: Code, number: u8) {
    from.must("customs", onward(from, to, code, number));
    from.deliver(to);
}

/// Bytes of the longest chain that waits in a mailbox.
fn steps_bytes(from: &Country, to: &Country) -> usize {
    let from = &mut from.clone();
    from.close();
    let all = from.mail(&to.prefix, 0, 0).expect("mail").items;
    let bytes = all
        .iter()
        .map(|item| carnet_domain::custody::links::bytes_of(&item.chain));
    bytes.max().unwrap_or(0)
}

/// A robot that is offered on and on comes to an end of it: home it always goes.
#[test]
fn a_long_chain_goes_home_only() {
    let (a, mut b, mut c, code) = passed_on();
    let (mut steps, mut number) = (0, 2);
    let refused = loop {
        let declared = onward(&b, &c, code, number);
        if text(&b.command("customs", declared.clone())) != "done" {
            break reason_of(&mut b, "customs", declared);
        }
        let cancel = Command::CancelExport {
            transfer: transfer(number),
            reason: String::new(),
        };
        b.must("customs", cancel);
        b.deliver(&mut c);
        (steps, number) = (steps + 2, number + 1);
        assert!(steps < 64, "it goes on for ever");
    };
    assert_eq!(refused, Reason::RecordFull);
    // Registration, offer, departure and admission lead to the first of them.
    let shown = steps_bytes(&b, &c);
    assert!(shown > 16 * 1024 && shown < CHAIN_BYTES_MAX, "{shown}");
    let led = steps + 4;
    assert!(
        led * CHAIN_STEP_BYTES > CHAIN_BYTES_ABROAD_MAX && led <= CHAIN_ABROAD_MAX,
        "{led}"
    );
    let mut a = a;
    for number in number..number + 40 {
        b.must("customs", offer(&b, &a, code, number));
        b.deliver(&mut a);
        let Phase::Asked { .. } = phase(&a, &code) else {
            panic!("{number}: {:?}", phase(&a, &code));
        };
        let cancel = Command::CancelExport {
            transfer: transfer(number),
            reason: String::new(),
        };
        b.must("customs", cancel);
        b.deliver(&mut a);
    }
    // Home, its chain begins where the issuer had it again.
    export(&mut b, &mut a, code, 90);
    export(&mut a, &mut b, code, 91);
    assert!(self::steps(&b, 91).len() < 16);
}

/// With a country that the roots ended nobody else brings it into contact again.
#[test]
fn what_an_ended_country_wrote_counts_in_no_chain() {
    let (a, mut b, mut c, code) = passed_on();
    let Ok(peer) = c.ledger.peer(&a.prefix);
    let ended = Statement::EndPeer {
        peer: a.prefix,
        sequence: peer.expect("a peer").bundle.sequence,
        reason: "x".into(),
        stranded: Default::default(),
    };
    assert_eq!(text(&c.state(&ended)), "done");
    b.must("customs", onward(&b, &c, code, 2));
    let batch = waiting(&mut b, &c);
    let (of, flaw) = (a.prefix, Flaw::Distrusted);
    let index = batch.items[0].chain[1].leaves[0].index;
    let detail = Detail::ChainStep { of, index, flaw };
    nacked(&mut c, batch, Reason::NotInCustody, detail);
}

/// Whoever has a log key that made way long ago, and a copy of the log, writes no departure.
#[test]
fn a_key_that_made_way_leads_no_robot_on() {
    let (mut a, mut b, mut c) = three();
    let mut third = Country::with_market("44");
    for other in [&mut a, &mut b, &mut c] {
        befriend(other, &mut third);
    }
    accepts_thirds(&mut b, &mut third, &a);
    accepts_thirds(&mut third, &mut c, &a);
    let code = a.code(1);
    export(&mut a, &mut b, code, 1);
    b.close();
    let mut twin = b.clone();
    twin.clock = twin.clock.saturating_add(carnet_kit::STEP);
    for serial in 1..=30 {
        b.must("maker", b.register(serial));
    }
    b.close();
    b.rotate_log("log", "log-2");
    let anew = carnet_hostile::scene::recognition(&mut b);
    assert_eq!(text(&c.state(&anew)), "done");
    b.deliver(&mut c);
    goes_on(&mut twin, &mut third, code, 3);
    third.must("customs", onward(&third, &c, code, 4));
    third.deliver(&mut c);
    let Ok(known) = c.ledger.robot(&code);
    assert!(known.is_none(), "nothing is asked of it: {known:?}");
    let Ok(peer) = c.ledger.peer(&b.prefix);
    assert!(!peer.expect("a peer").quarantined, "nor is it evidence");
}

/// A permit that is taken back while the robot is on its way ends nothing: it arrives with its chain.
#[test]
fn a_robot_that_departed_before_its_permit_was_taken_back_keeps_its_chain() {
    let (_, mut b, mut c, code) = passed_on();
    b.must("customs", onward(&b, &c, code, 2));
    b.deliver(&mut c);
    c.must("customs", permit(&c, 2, Vec::new()));
    c.deliver(&mut b);
    b.must("customs", depart(2));
    let back = Command::RefuseImport {
        transfer: transfer(2),
        reason: String::new(),
    };
    c.must("customs", back);
    b.deliver(&mut c);
    let Ok(known) = c.ledger.transfer(&transfer(2));
    let known = known.expect("it is on its way");
    assert_eq!((known.stage(), known.waits()), (Stage::InTransit, false));
    assert!(known.expected_by().is_some());
    c.must("customs", admit(2));
    assert_eq!(steps(&c, 2).len(), 6);
}
