//! Records: nothing that comes in makes them grow, or says what cannot be.

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::limits::AI_MODELS_MAX;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::lifecycle::State;
use carnet_domain::rules::rejection::{Counted, Detail, Reason};
use carnet_hostile::judge::refused;
use carnet_hostile::scene::{act, d, robot, two};
use carnet_kit::{Country, transfer};

/// Probe r14.
#[test]
fn a_record_does_not_grow_by_training_without_end() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    let code = a.code(1);
    let mut train = |from: u32, to: u32| {
        for number in from..to {
            let model = sha256(&[&number.to_be_bytes()]);
            let training = Action::RecordTraining {
                data_set: d("data"),
                model,
                place: "plant".into(),
            };
            a.must("maker", act(code, training));
        }
        robot(&a, &code).to_bytes().len()
    };
    let full = train(0, 2 * AI_MODELS_MAX as u32);
    let later = train(2 * AI_MODELS_MAX as u32, 8 * AI_MODELS_MAX as u32);
    assert!(later <= full + 2, "{later} bytes after {full}");
}

/// Probe f06: a record that has gathered more than travels is not offered, and so stops no feed.
#[test]
fn a_record_that_outgrew_its_bounds_is_not_sent_abroad() {
    let (mut a, b) = two();
    let code = a.code(1);
    let mut grown = robot(&a, &code);
    grown.ai_models = (0..16_000_u32)
        .map(|number| sha256(&[&number.to_be_bytes()]))
        .collect();
    let Ok(()) = a.ledger.put_robot(grown);
    let declared = a.declare(1, transfer(1), &b.prefix);
    let detail = Detail::Full {
        what: Counted::AiModels,
        max: AI_MODELS_MAX as u64,
    };
    refused(&mut a, "maker", declared, Reason::RecordFull, detail);
}

/// Probe r22, of a code that was only set aside.
#[test]
fn a_reserved_code_is_not_stocked_or_scrapped() {
    let mut a = Country::with_market("86");
    let code = a.code(4);
    a.must("maker", Command::Reserve { code });
    for (who, action) in [
        ("maker", Action::Stock { at: None }),
        (
            "recycler",
            Action::DeclareEndOfLife {
                outcome: carnet_domain::rules::lifecycle::EndOfLife::Scrapped,
                certificate: d("certificate"),
            },
        ),
    ] {
        let detail = Detail::ActionIn {
            action: action.kind(),
            state: State::Reserved,
        };
        let command = act(code, action);
        refused(&mut a, who, command, Reason::TransitionNotAllowed, detail);
    }
}

/// Probe r22, of a code that was only set aside: annulled it frees no body, for it has none, and stays burned.
#[test]
fn an_annulled_code_that_was_set_aside_stays_burned() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(3));
    let code = a.code(4);
    a.must("maker", Command::Reserve { code });
    let reason = "why".to_owned();
    a.must("registrar", act(code, Action::Annul { reason }));
    let again = a.register(4);
    refused(
        &mut a,
        "maker",
        again,
        Reason::CodeExists,
        Detail::Code { code },
    );
    let mut same = a.registration(5);
    same.body = a.registration(3).body;
    let detail = Detail::BodyOf { code: a.code(3) };
    let register = Command::Register { registration: same };
    refused(&mut a, "maker", register, Reason::BodyExists, detail);
}

/// Probe r12, of a correction that corrects nothing there can be.
#[test]
fn a_correction_beyond_the_last_index_is_malformed() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    for corrects in [(1 << 48) + 1, u64::MAX] {
        let note = "n".to_owned();
        let correct = act(a.code(1), Action::Correct { corrects, note });
        refused(
            &mut a,
            "registrar",
            correct,
            Reason::Malformed,
            Detail::NOTHING,
        );
    }
}

/// Probe r12: what is out of use comes back after an inspection since then that it passed.
#[test]
fn a_robot_returns_to_service_after_an_inspection_that_passed() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    let code = a.code(1);
    let mut deployed = robot(&a, &code);
    deployed.state = State::Deployed;
    let Ok(()) = a.ledger.put_robot(deployed);
    let (failed, passed) = (d("failed"), d("passed"));
    let inspect = |report, passed| act(code, Action::Inspect { report, passed });
    let back = |report| act(code, Action::ReturnToService { report });
    // One from before it was retired is none.
    a.must("maker", inspect(passed, true));
    let reason = "unsafe".to_owned();
    a.must("maker", act(code, Action::Retire { reason }));
    let missing = Reason::InspectionMissing;
    refused(&mut a, "maker", back(passed), missing, Detail::NOTHING);
    a.must("maker", inspect(failed, false));
    refused(&mut a, "maker", back(failed), missing, Detail::NOTHING);
    a.must("maker", inspect(passed, true));
    refused(
        &mut a,
        "maker",
        back(d("another")),
        missing,
        Detail::NOTHING,
    );
    a.must("maker", inspect(failed, false));
    refused(&mut a, "maker", back(passed), missing, Detail::NOTHING);
    a.must("maker", inspect(passed, true));
    a.must("maker", back(passed));
}

/// Probe r12: a correction is of a leaf of the robot.
#[test]
fn a_correction_corrects_a_leaf_of_the_robot() {
    let mut a = Country::with_market("86");
    a.must("maker", a.register(1));
    a.must("maker", a.register(2));
    let code = a.code(1);
    let leaf = |a: &Country, serial| robot(a, &a.code(serial)).head.expect("a leaf").leaf_index;
    let (own, other) = (leaf(&a, 1), leaf(&a, 2));
    let correct = |corrects| {
        let note = "n".to_owned();
        act(code, Action::Correct { corrects, note })
    };
    for index in [0, other, other + 1, 1 << 40] {
        let detail = Detail::LeafOf { index, code };
        refused(
            &mut a,
            "registrar",
            correct(index),
            Reason::LeafNotItsOwn,
            detail,
        );
    }
    a.must("registrar", correct(own));
}
