//! A maker's desk, which registers one robot after the other.

use std::sync::Arc;

use carnet_domain::machine::entry::ItemAnswer;

use crate::country::books::Books;
use crate::country::clerk::{Clerk, Who};
use crate::country::ground::Ground;
use crate::history::Shared;
use crate::random::Random;

/// Serial numbers of one desk.
const SERIALS: u32 = 100_000;

pub(crate) struct Desk {
    pub(crate) ground: Arc<Ground>,
    pub(crate) number: u32,
    pub(crate) books: Books,
    pub(crate) history: Shared,
    pub(crate) random: Random,
}

impl Desk {
    /// Registers robots until the simulation is closing.
    pub(crate) async fn open(self) -> turmoil::Result {
        let Self {
            ground,
            number,
            books,
            history,
            random,
        } = self;
        let prefix = ground.kit.prefix;
        let who = Who {
            key: "maker",
            uri: format!("carnet://{prefix}/manufacturer/0001/desk-{number}"),
        };
        let mut clerk = Clerk::begin(ground, who, books.clone(), history.clone(), random).await?;
        let mut serial = number * SERIALS;
        while !history.lock().closing {
            clerk.pause(5, 200).await;
            serial += 1;
            books.begin();
            let began_ms = history.lock().now_ms;
            if register(&mut clerk, serial, &books).await {
                books.worked(number, began_ms);
            }
            books.end();
        }
        std::future::pending::<()>().await;
        Ok(())
    }
}

/// Registers a robot. The answer is that it is done, however often it was asked for.
async fn register(clerk: &mut Clerk, serial: u32, books: &Books) -> bool {
    let command = clerk.ground.kit.register(serial);
    let code = clerk.ground.kit.code(serial);
    let waits = clerk.random.between(0, 3) == 0;
    let told = clerk.execute(command, waits).await;
    match clerk.judge(&told) {
        Some(ItemAnswer::Done { leaf_index, .. }) => books.note(code, serial, leaf_index),
        other => {
            clerk.violated(&format!("{code}: executed twice, or wrongly: {other:?}"));
            return false;
        }
    }
    match clerk.random.between(0, 4) {
        0 => clerk.ask_again(&told).await,
        1 | 2 => clerk.read(&code).await,
        _ => {}
    }
    true
}
