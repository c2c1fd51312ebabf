//! One country of a simulation: its nodes, its desks, its steward, and what breaks it.

use std::sync::Arc;

use crate::country::books::Books;
use crate::country::desk::Desk;
use crate::country::drawn::Drawn;
use crate::country::ground::Ground;
use crate::country::judge;
use crate::country::node::{Place, boot};
use crate::country::steward::Steward;
use crate::history::Shared;
use crate::nemesis::Nemesis;
use crate::random::Random;
use crate::registry;

/// Desks of the maker.
const DESKS: u32 = 3;

/// One country of a simulation.
pub(crate) struct Nation {
    pub(crate) ground: Arc<Ground>,
    pub(crate) places: Vec<Place>,
    pub(crate) books: Books,
    pub(crate) nemesis: Nemesis,
    pub(crate) judge: judge::Judge,
}

impl Nation {
    /// A country with its nodes, desks and steward on hosts of a simulation.
    pub(crate) fn new(
        sim: &mut turmoil::Sim<'static>,
        ground: Arc<Ground>,
        drawn: Drawn,
        history: &Shared,
    ) -> Self {
        let places: Vec<Place> = (1..=drawn.nodes())
            .map(|node| Place::new(&ground, node, drawn, history))
            .collect();
        for place in &places {
            let place = place.clone();
            sim.host(place.host(), move || boot(place.clone()));
        }
        let books = Books::default();
        let prefix = ground.kit.prefix.as_str().to_lowercase();
        for number in 1..=DESKS {
            let (ground, books, history) = (Arc::clone(&ground), books.clone(), history.clone());
            sim.host(format!("desk-{prefix}-{number}"), move || {
                let desk = Desk {
                    ground: Arc::clone(&ground),
                    number,
                    books: books.clone(),
                    history: history.clone(),
                    random: Random::new(drawn.seed, 300 + u64::from(number)),
                };
                desk.open()
            });
        }
        let steward = Steward {
            ground: Arc::clone(&ground),
            books: books.clone(),
            history: history.clone(),
            drawn,
        };
        sim.host(format!("steward-{prefix}"), move || steward.clone().work());
        let victims = places.iter().map(Place::victim).collect();
        Self {
            nemesis: Nemesis::new(drawn.seed, history.clone(), victims, 0),
            judge: judge::Judge::new(&ground),
            ground,
            places,
            books,
        }
    }

    /// Whether every desk was told that something is done which it asked for after a moment.
    pub(crate) fn works_since(&self, since_ms: u64) -> bool {
        let pages = self.books.lock();
        (1..=DESKS).all(|desk| {
            let last = pages.last_begun_ms.get(&desk);
            last.is_some_and(|begun| since_ms <= *begun)
        })
    }

    /// The nodes that belong to the cluster, once its steward is through.
    pub(crate) fn members(&self) -> Vec<Place> {
        let left = self.ground.left();
        let stay = self.places.iter().filter(|place| Some(place.node) != left);
        stay.cloned().collect()
    }

    /// Whether whoever is to be replaced was.
    pub(crate) fn has_its_members(&self) -> bool {
        self.places.iter().all(|place| {
            let leaver = place.drawn.leaver;
            leaver.is_none() || self.books.lock().replaced
        })
    }

    /// Whether everybody is answered, everything is published, and all replicas hold the same.
    pub(crate) fn is_settled(&self) -> bool {
        let mut differing = Vec::new();
        self.books.lock().under_way == 0
            && judge::is_published(&self.members())
            && registry::agree(&judge::replicas(&self.members()), &mut differing)
            && differing.is_empty()
    }
}
