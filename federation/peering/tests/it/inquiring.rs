//! Inquiries over the wire, and what stays when the wire is cut.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::record::peer::Peer;
use carnet_peering::home::Home;
use carnet_peering::inquirer::{
    Answered, AskedFor, Fetched, InquireError, Inquirer, InquiryPurpose,
};
use carnet_trust::evidence;

use crate::world::{ENDPOINT, Lines, World, two};

struct Asked {
    a: Arc<World>,
    b: Arc<World>,
    lines: Lines,
    inquirer: Inquirer,
    code: Code,
}

fn asked() -> Asked {
    let (a, b, lines) = two();
    a.offer(1..2, b.prefix());
    a.publish();
    let home = Arc::clone(&b) as Arc<dyn Home>;
    let inquirer = Inquirer::new(home, Arc::new(lines.clone()));
    let code = a.country.lock().unwrap().code(1);
    Asked {
        a,
        b,
        lines,
        inquirer,
        code,
    }
}

impl Asked {
    async fn ask(&self) -> Result<Fetched, InquireError> {
        self.ask_within(Duration::from_secs(60)).await
    }

    async fn ask_within(&self, patience: Duration) -> Result<Fetched, InquireError> {
        let peer = self.b.known(self.a.prefix());
        let origin = self.a.origin().unwrap();
        let judge = |_: &Peer, bytes: &[u8]| {
            let evidence = evidence::parse(bytes).map_err(|error| error.to_string())?;
            let proven = evidence.verify(&peer.bundle.keys, &origin);
            let proven = proven.map_err(|error| error.to_string())?;
            match proven.size() < peer.size_seen {
                true => Ok(Answered::Lagging),
                false => Ok(Answered::Newest),
            }
        };
        let purpose = InquiryPurpose::parse("border-inspection").unwrap();
        self.inquirer
            .inquire(
                self.a.prefix(),
                &self.code,
                (&purpose, AskedFor::Authority),
                patience,
                judge,
            )
            .await
    }
}

#[tokio::test]
async fn evidence_goes_on_ageing_when_the_peer_is_cut_off() {
    let asked = asked();
    let live = asked.ask().await.unwrap();
    assert_eq!(live.kept_because, None);
    asked.lines.cut(ENDPOINT, true);
    asked.b.time_ms.fetch_add(5_000, Ordering::SeqCst);
    let kept = asked.ask().await.unwrap();
    assert_eq!((kept.evidence, kept.at), (live.evidence, live.at));
    let because = kept.kept_because.unwrap();
    assert!(because.why.contains(ENDPOINT) && !because.overloaded);
    asked.lines.cut(ENDPOINT, false);
    let again = asked.ask().await.unwrap();
    assert_eq!((again.kept_because, again.at), (None, asked.b.wall()));
}

#[tokio::test]
async fn what_is_not_evidence_never_replaces_what_is() {
    let asked = asked();
    let live = asked.ask().await.unwrap();
    *asked.a.evidence.lock().unwrap() = Some(b"<html>502 Bad Gateway</html>".to_vec());
    let kept = asked.ask().await.unwrap();
    assert_eq!(kept.evidence, live.evidence);
    assert!(kept.kept_because.unwrap().why.contains("not evidence"));
    let peer = asked.a.prefix();
    let stored = asked.inquirer.kept(peer, &asked.code);
    assert_eq!(stored, Some((live.evidence, live.at)));
}

#[tokio::test]
async fn a_code_is_asked_about_once_at_a_time_and_nobody_is_given_an_answer_from_before_its_question()
 {
    let asked = asked();
    let all = (0..20).map(|_| asked.ask());
    for answer in futures::future::join_all(all).await {
        assert_eq!(answer.unwrap().kept_because, None);
    }
    // The first, and one for all who came while it was under way.
    assert_eq!(asked.a.inquiries.load(Ordering::SeqCst), 2);
    asked.ask().await.unwrap();
    assert_eq!(asked.a.inquiries.load(Ordering::SeqCst), 3);
    // Who has left keeps nobody from asking.
    {
        let left = std::pin::pin!(asked.ask());
        assert!(futures::poll!(left).is_pending());
    }
    asked.ask().await.unwrap();
}

#[tokio::test]
async fn what_is_kept_is_an_answer_while_it_is_young() {
    let asked = asked();
    let (peer, fresh) = (asked.a.prefix(), DurationMs::from_secs(60));
    let instead = || {
        let later = Duration::from_millis(40);
        asked.inquirer.unasked(peer, &asked.code, fresh, later)
    };
    let later = InquireError::TooOften {
        peer,
        retry_after: Duration::from_millis(40),
    };
    assert_eq!(instead(), Err(later.clone()));
    let live = asked.ask().await.unwrap();
    let kept = instead().unwrap();
    assert_eq!((kept.kept_because, kept.asked), (None, None));
    assert_eq!((&kept.evidence, kept.at), (&live.evidence, live.at));
    let asked_as = live.asked.expect("it was asked now");
    let known = asked.b.known(peer);
    let of = |peer: &Peer| (peer.size_seen, peer.cursor, peer.bundle_leaf);
    assert_eq!(of(&asked_as), of(&known), "as it was known then");
    asked.b.time_ms.fetch_add(60_001, Ordering::SeqCst);
    assert_eq!(
        instead(),
        Err(later),
        "then the peer is asked, a moment later"
    );
}

/// Beside its newest a peer shows what it showed under the head that was taken in: as it comes, for the caller to judge.
#[tokio::test]
async fn what_stands_under_the_head_that_is_known_comes_beside_the_newest() {
    let asked = asked();
    let batch = {
        let country = asked.a.country.lock().unwrap();
        country.mail(&asked.b.prefix(), 0, 0).unwrap()
    };
    asked.b.propose_foreign(batch).await.unwrap();
    let known = asked.b.known(asked.a.prefix()).size_seen;
    let under = b"under the head that is known".to_vec();
    *asked.a.before.lock().unwrap() = Some((known + 1, under.clone()));
    let found = asked.ask().await.unwrap();
    assert!(found.under_known.is_empty(), "of another size");
    *asked.a.before.lock().unwrap() = Some((known, under.clone()));
    let found = asked.ask().await.unwrap();
    assert_eq!(found.under_known, under);
    // Where both have no room in a message, the newest is what comes.
    let large = vec![7; carnet_wire::limits::FEDERATION_MESSAGE_BYTES_MAX - 2_000];
    *asked.a.before.lock().unwrap() = Some((known, large));
    let again = asked.ask().await.unwrap();
    assert!(again.under_known.is_empty() && again.kept_because.is_none());
    assert_eq!(again.evidence, found.evidence);
}

#[tokio::test]
async fn without_any_evidence_there_is_none() {
    let asked = asked();
    asked.lines.cut(ENDPOINT, true);
    let error = asked.ask().await.unwrap_err();
    assert!(matches!(error, InquireError::NoAnswer { .. }), "{error}");
    let stranger = carnet_domain::bytes::code::Prefix::parse("81").unwrap();
    let purpose = InquiryPurpose::parse("x").unwrap();
    let patience = Duration::from_secs(60);
    let error = asked
        .inquirer
        .inquire(
            stranger,
            &asked.code,
            (&purpose, AskedFor::Others),
            patience,
            |_, _| Ok(Answered::Newest),
        )
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "81 is not a peer");
}

/// A server that lags, or a registry that was restored, answers with less than was taken in: it is not kept, the next endpoint
/// is asked, and only when none has more it is the answer, for the verdict to say so.
#[tokio::test]
async fn an_older_head_than_was_taken_in_is_the_last_answer_to_be_used() {
    let asked = asked();
    let live = asked.ask().await.unwrap();
    // 44 takes in what 86 published since; the old answer is served still.
    let old = live.evidence.to_vec();
    asked.a.offer(2..3, asked.b.prefix());
    asked.a.publish();
    let batch = {
        let country = asked.a.country.lock().unwrap();
        country.mail(&asked.b.prefix(), 0, 0).unwrap()
    };
    asked.b.propose_foreign(batch).await.unwrap();
    *asked.a.evidence.lock().unwrap() = Some(old.clone());
    let found = asked.ask().await.unwrap();
    let size = |bytes: &[u8]| {
        let evidence = evidence::parse(bytes).unwrap();
        evidence.frame.map_head.index + 1
    };
    let known = asked.b.known(asked.a.prefix()).size_seen;
    assert!(
        size(&found.evidence) < known,
        "the lagging answer, for want of a better one"
    );
    // A second node of 86 is up to date.
    *asked.a.evidence.lock().unwrap() = None;
    let second = "86.example:7105";
    asked.lines.serve(second, &asked.a, Some(asked.b.prefix()));
    let endpoints = vec![ENDPOINT.to_owned(), second.to_owned()];
    asked
        .b
        .endpoints
        .lock()
        .unwrap()
        .insert(asked.a.prefix(), endpoints);
    let newest = asked.ask().await.unwrap();
    assert!(known <= size(&newest.evidence));
    let joined = evidence::parse(&newest.evidence).unwrap().frame.joined;
    assert!(known == size(&newest.evidence) || joined.is_some_and(|joined| joined.size == known));
    // What lags never replaces what was kept.
    *asked.a.evidence.lock().unwrap() = Some(old);
    asked.ask().await.unwrap();
    let kept = asked.inquirer.kept(asked.a.prefix(), &asked.code).unwrap();
    assert_eq!(kept.0, newest.evidence);
}

/// As much as a node of a peer answers in one moment.
async fn use_up(asked: &Asked) {
    let home = Arc::clone(&asked.b) as Arc<dyn Home>;
    let greedy = Inquirer::new(home, Arc::new(asked.lines.clone()));
    let purpose = InquiryPurpose::parse("x").unwrap();
    loop {
        let purpose = (&purpose, AskedFor::Authority);
        let (patience, code) = (Duration::from_millis(10), &asked.code);
        let taken = |_: &Peer, _: &[u8]| Ok(Answered::Newest);
        let peer = asked.a.prefix();
        let answer = greedy.inquire(peer, code, purpose, patience, taken).await;
        if answer.is_err() || answer.is_ok_and(|found| found.kept_because.is_some()) {
            return;
        }
    }
}

/// That it has no time was taken for silence: nobody was told, and nobody asked again.
#[tokio::test(start_paused = true)]
async fn a_peer_that_is_overloaded_is_asked_again_and_called_so() {
    let asked = asked();
    use_up(&asked).await;
    // Its clock stands: it stays overloaded for as long as anybody waits.
    let before = asked.a.inquiries.load(Ordering::SeqCst);
    let error = asked.ask().await.unwrap_err();
    let InquireError::Overloaded { why, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        why.contains(ENDPOINT) && why.contains("overloaded"),
        "{why}"
    );
    assert_eq!(asked.a.inquiries.load(Ordering::SeqCst), before);
    // It has time while it is waited for.
    let world = Arc::clone(&asked.a);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.time_ms.fetch_add(2_000, Ordering::SeqCst);
    });
    let live = asked.ask().await.unwrap();
    assert_eq!(live.kept_because, None);
    // What is kept is used, and said to be no fresh answer for that reason.
    use_up(&asked).await;
    let kept = asked.ask().await.unwrap();
    assert_eq!(kept.evidence, live.evidence);
    assert!(kept.kept_because.unwrap().overloaded);
}

/// A server that took the connection and said nothing used up the patience for all.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_says_nothing_keeps_nobody_from_asking_the_next() {
    let asked = asked();
    let silent: Vec<String> = (1..=2).map(|n| format!("silent-{n}.example:1")).collect();
    for endpoint in &silent {
        asked.lines.silent(endpoint);
    }
    let all = silent.iter().cloned().chain([ENDPOINT.to_owned()]);
    let endpoints = all.collect::<Vec<_>>();
    let peer = asked.a.prefix();
    let name = |endpoints: &[String]| {
        let mut known = asked.b.endpoints.lock().unwrap();
        known.insert(peer, endpoints.to_vec());
    };
    name(&endpoints);
    let patience = Duration::from_secs(3);
    let begun = tokio::time::Instant::now();
    let found = asked.ask_within(patience).await.unwrap();
    assert_eq!(found.kept_because, None);
    assert!(begun.elapsed() < patience, "{:?}", begun.elapsed());
    // The next time whoever answered is asked first, and the silent ones not at all.
    let dials = || silent.iter().map(|at| asked.lines.dials(at)).sum::<usize>();
    let (dialled, begun) = (dials(), tokio::time::Instant::now());
    asked.ask_within(patience).await.unwrap();
    assert_eq!((dials(), begun.elapsed()), (dialled, Duration::ZERO));
    // Where all are silent, each is named, in the time there was.
    name(&silent);
    let begun = tokio::time::Instant::now();
    let kept = asked.ask_within(patience).await.unwrap();
    assert_eq!(begun.elapsed(), patience);
    let because = kept.kept_because.unwrap();
    assert!(!because.overloaded);
    for endpoint in &silent {
        let said = format!("{endpoint}: no answer in 3000 ms");
        assert!(because.why.contains(&said), "{}", because.why);
    }
}
