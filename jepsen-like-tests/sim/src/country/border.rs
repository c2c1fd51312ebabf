//! Customs on both sides of a border, who bring one robot after the other across: declared here by the maker, who holds it,
//! permitted there, departed here, admitted there. Each step is possible when the mail of the one before has come, so it is tried
//! until then.

use std::sync::Arc;

use carnet_domain::bytes::time::DurationMs;
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::record::PartyName;
use carnet_domain::rules::command::{Command, TransferId};
use carnet_domain::rules::rejection::Reason;
use carnet_kit::text;

use crate::country::books::{Books, Crossing};
use crate::country::clerk::{Clerk, Who};
use crate::country::ground::Ground;
use crate::history::Shared;
use crate::random::Random;

pub(crate) struct Border {
    /// From where robots go.
    pub(crate) from: (Arc<Ground>, Books),
    /// Where they come to.
    pub(crate) to: (Arc<Ground>, Books),
    pub(crate) history: Shared,
    pub(crate) random: Random,
}

impl Border {
    /// Brings robots across until the simulation is closing.
    pub(crate) async fn open(self) -> turmoil::Result {
        let Self {
            from,
            to,
            history,
            mut random,
        } = self;
        let mut begin = |key, name: &str, (ground, books): (Arc<Ground>, Books)| {
            let uri = format!("carnet://{}/{name}", ground.kit.prefix);
            let who = Who { key, uri };
            let dice = Random::new(random.next(), 5);
            Clerk::begin(ground, who, books, history.clone(), dice)
        };
        let books = from.1.clone();
        let mut desks = Desks {
            maker: begin("maker", "manufacturer/0001/export", from.clone()).await?,
            here: begin("customs", "customs/hq/desk", from).await?,
            there: begin("customs", "customs/hq/desk", to).await?,
        };
        let mut number = 0;
        while !history.lock().closing {
            desks.here.pause(50, 400).await;
            let Some(serial) = books.next_to_cross(number) else {
                continue;
            };
            number += 1;
            books.begin();
            let began_ms = history.lock().now_ms;
            cross(&mut desks, (serial, number), &books).await;
            books.crossed(began_ms);
            books.end();
        }
        std::future::pending::<()>().await;
        Ok(())
    }
}

/// Who is needed to bring a robot across.
struct Desks {
    maker: Clerk,
    here: Clerk,
    there: Clerk,
}

async fn cross(desks: &mut Desks, (serial, number): (u32, u64), books: &Books) {
    let Desks { maker, here, there } = desks;
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id[8..10].copy_from_slice(here.ground.kit.prefix.as_str().as_bytes());
    let transfer = TransferId(id);
    let code = here.ground.kit.code(serial);
    books.sets_out(Crossing { code });
    let id = there.ground.kit.enterprise("0001");
    let mut offer = here
        .ground
        .kit
        .declare(serial, transfer, &there.ground.kit.prefix);
    if let Command::DeclareExport { papers, .. } = &mut offer {
        papers.consignee = Some(PartyName::Enterprise { id });
    }
    // Customs alone give away nobody's robot for good.
    at_last(maker, &offer).await;
    let permit = Command::PermitImport {
        transfer,
        // saturates: a time of the kit
        depart_by: there
            .ground
            .kit
            .clock
            .saturating_add(DurationMs::from_days(1)),
        conditions: Vec::new(),
    };
    at_last(there, &permit).await;
    let depart = Command::Depart {
        transfer,
        place: "port".into(),
    };
    at_last(here, &depart).await;
    let admit = Command::Admit {
        transfer,
        place: "harbour".into(),
        importer: PartyName::Enterprise { id },
        documents: Vec::new(),
        countersignature: None,
    };
    at_last(there, &admit).await;
}

/// Whether a step is refused because the mail of the one before has not come yet.
fn has_not_come(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::TransferUnknown | Reason::NotAccepted | Reason::NotReleased
    )
}

/// Has a command executed, again and again with numbers of its own, until what it waits for has come.
async fn at_last(clerk: &mut Clerk, command: &Command) {
    loop {
        let told = clerk.execute(command.clone(), false).await;
        match clerk.judge(&told) {
            Some(ItemAnswer::Done { .. }) => return,
            Some(ItemAnswer::Refused { rejection }) if has_not_come(rejection.reason) => {}
            // Above all that it was done before: what was told once as done is not asked for again.
            Some(other) => {
                clerk.violated(&format!("{}: {}", command.name(), text(&other)));
                return;
            }
            None => return,
        }
        clerk.pause(100, 600).await;
    }
}
