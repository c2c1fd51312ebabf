//! A country that was restored from a copy: what it shows is not believed, and what it lost is not counted as delivered.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_kit::{Country, befriend};
use carnet_peering::home::Home;
use carnet_peering::inquirer::{Answered, AskedFor, Inquirer, InquiryPurpose};
use carnet_trust::bundle::PinnedBundle;
use carnet_trust::evidence;
use carnet_trust::known::{Doubt, Known, KnownHead, KnownRegistry, Source};
use carnet_trust::verdict::{EvidenceInput, Input, OWN_AGE_MAX, Purpose, judge};

use crate::world::{ENDPOINT, Lines, Running, World, until};

const OWN: &str = "81.example:7104";

/// 81 took in a log of 49 with one robot more than the copy has, from which 49 was restored.
struct Restored {
    lost: Arc<World>,
    copy: Arc<World>,
    own: Arc<World>,
    lines: Lines,
    code: Code,
}

fn restored() -> Restored {
    let (mut a, mut b) = (Country::with_market("49"), Country::with_market("81"));
    befriend(&mut a, &mut b);
    a.must("maker", a.register(900));
    let code = a.code(900);
    let own = World::new(b);
    own.publish();
    let lost = World::new(a);
    lost.publish();
    let copy = World::new(lost.country.lock().unwrap().clone());
    copy.publish();
    lost.offer(1..20, own.prefix());
    lost.publish();
    let lines = Lines::default();
    lines.serve(ENDPOINT, &lost, Some(own.prefix()));
    let at = vec![ENDPOINT.to_owned()];
    own.endpoints.lock().unwrap().insert(lost.prefix(), at);
    Restored {
        lost,
        copy,
        own,
        lines,
        code,
    }
}

impl Restored {
    fn peer(&self) -> Prefix {
        self.copy.prefix()
    }

    fn now(&self) -> TimeMs {
        let clocks = [&self.copy, &self.own].map(|world| world.country.lock().unwrap().clock);
        clocks[0]
            .max(clocks[1])
            .saturating_add(DurationMs::from_secs(5))
    }

    /// What 81 says of the robot, with what 49 answers now.
    async fn verdict(&self, doubt: Option<Doubt>) -> String {
        let peer = self.own.known(self.peer());
        let inquirer = Inquirer::new(
            Arc::clone(&self.own) as Arc<dyn Home>,
            Arc::new(self.lines.clone()),
        );
        let purpose = InquiryPurpose::parse("verify").unwrap();
        let found = inquirer
            .inquire(
                self.peer(),
                &self.code,
                (&purpose, AskedFor::Others),
                Duration::from_secs(60),
                |asked, bytes| match evidence::parse(bytes) {
                    Ok(found) if found.frame.map_head.index + 1 < asked.size_seen => {
                        Ok(Answered::Lagging)
                    }
                    Ok(_) => Ok(Answered::Newest),
                    Err(error) => Err(error.to_string()),
                },
            )
            .await
            .unwrap();
        let mut known = Known::nothing(Source::Store, self.now());
        known.agreements = peer.agreements.clone();
        let head = (peer.size_seen > 0).then_some(KnownHead {
            size: peer.size_seen,
            root: peer.root_seen,
            time: peer.time_seen,
        });
        known
            .registries
            .insert(self.peer(), KnownRegistry { head, doubt });
        let input = Input {
            verifier: self.own.prefix(),
            code: self.code,
            issuer: Some(EvidenceInput::of(
                PinnedBundle::of_state(peer.bundle.clone()).unwrap(),
                Some(found.evidence.to_vec()),
            )),
            custodians: Vec::new(),
            known: Some(known),
            own_age_max: OWN_AGE_MAX,
        };
        let verdict = judge(Purpose::ImportPermit, &input, self.now());
        let reasons = verdict.reasons.iter().map(|reason| reason.code.to_string());
        let all: Vec<String> = std::iter::once(verdict.value.to_string())
            .chain(reasons)
            .collect();
        all.join(" ")
    }
}

#[tokio::test]
async fn a_restored_country_is_not_believed_ten_minutes_later() {
    let restored = restored();
    let peer = restored.peer();
    let mut running = Running::follow(&restored.own, &restored.lines);
    until("taken in", || restored.own.known(peer).cursor == 19).await;
    assert_eq!(restored.verdict(None).await, "VALID");

    // 49 comes back from its copy, and goes on ten minutes later.
    restored.lines.break_all(ENDPOINT);
    let own = restored.own.prefix();
    restored.lines.serve(ENDPOINT, &restored.copy, Some(own));
    restored
        .copy
        .country
        .lock()
        .unwrap()
        .advance(DurationMs::from_secs(600));
    restored.copy.publish();
    assert_eq!(restored.verdict(None).await, "INDETERMINATE ROLLED_BACK");
    running.paused().await;
    let doubt = |running: &Running| running.board.of(peer).and_then(|status| status.doubt);
    running.go_on();
    running.paused().await;
    assert_eq!(
        doubt(&running),
        None,
        "its server may lag: it has only refused"
    );

    // It outgrows what 81 had taken in: another history. Its mail is not taken, and whatever it shows it is doubted.
    restored.copy.offer(50..80, own);
    restored.copy.publish();
    assert_eq!(restored.verdict(None).await, "INDETERMINATE OTHER_HISTORY");
    running.go_on();
    running.paused().await;
    assert_eq!(
        doubt(&running),
        None,
        "one head of one server, and nobody signed the way"
    );
    restored.own.time_ms.fetch_add(60_000, Ordering::SeqCst);
    restored.copy.offer(80..90, own);
    restored.copy.publish();
    running.go_on();
    running.paused().await;
    assert_eq!(doubt(&running), Some(Doubt::OtherHistory));
    assert_eq!(restored.own.known(peer).cursor, 19);
    let found = restored.verdict(doubt(&running)).await;
    assert_eq!(found, "INDETERMINATE OTHER_HISTORY OTHER_HISTORY");
    // A node that has not followed it learns the same from the first evidence, and doubts it from then on.
    let text = running.last_error(peer);
    assert!(text.contains("does not extend"), "{text}");
}

#[tokio::test]
async fn mail_that_a_restored_country_lost_is_sent_again() {
    let restored = restored();
    let own = restored.own.prefix();
    restored.own.offer(1..3, restored.peer());
    restored.own.publish();
    let board = restored
        .lines
        .serve(OWN, &restored.own, Some(restored.peer()));
    for world in [&restored.lost, &restored.copy] {
        world
            .endpoints
            .lock()
            .unwrap()
            .insert(own, vec![OWN.to_owned()]);
    }
    let mut running = Running::follow(&restored.lost, &restored.lines);
    until("delivered", || restored.lost.known(own).cursor == 2).await;
    restored.lines.break_all(OWN);
    running.paused().await;
    running.go_on();
    let acknowledged = || {
        let status = board.of(restored.peer()).unwrap_or_default();
        status.served_acknowledged
    };
    until("acknowledged", || acknowledged() == 2).await;
    running.stop.cancel();

    // The copy had neither of them.
    let _restored = Running::follow(&restored.copy, &restored.lines);
    until("asked again", || acknowledged() == 0).await;
    until("delivered again", || restored.copy.known(own).cursor == 2).await;
}
