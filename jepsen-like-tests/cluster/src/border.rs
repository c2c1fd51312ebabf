//! Two jurisdictions of real processes with a border between them.
//!
//! Each knows the other by its bundle, both roots signed one agreement, and the addresses in the bundles are those of
//! gates of the harness: whatever one country's nodes say to the other's passes through them and can be cut.

mod accord;

pub(crate) use accord::AGREEMENT;
pub use accord::{carnet, carnet_as, carnet_in};

use std::sync::Arc;

use carnet_domain::rules::policy::Role;

use crate::jurisdiction::{Jurisdiction, Plan};
use crate::patience::Broken;
use crate::proxy::{Proxy, Route, Weather};
use crate::skip::Programs;

/// The office that lets robots out and in, in both countries.
pub const CUSTOMS: &str = "customs/port/one";

/// One of the two countries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Two jurisdictions and the border between them. Dropping it ends their processes.
#[derive(Debug)]
pub struct Border {
    a: Jurisdiction,
    b: Jurisdiction,
    route: Arc<Route>,
    _gates: Vec<Proxy>,
}

impl Border {
    /// Starts both clusters at once, opens the gates, exchanges bundles, signs an agreement by which each recognises
    /// everything of the other, and enrols [`CUSTOMS`] in both.
    ///
    /// # Errors
    /// Something of that failed or never happened.
    pub async fn start(programs: &Programs, plan_a: Plan, plan_b: Plan) -> Result<Self, Broken> {
        let (a, b) = tokio::try_join!(
            Jurisdiction::start(programs, plan_a),
            Jurisdiction::start(programs, plan_b)
        )?;
        let mut gates = Vec::new();
        let route = Route::new();
        for of in [&a, &b] {
            for id in of.running() {
                let (from, to) = (of.gate_address(id), of.federation_address(id));
                gates.push(Proxy::start(from, to, Arc::clone(&route)).await?);
            }
        }
        accord::recognise(&a, &b)?;
        for of in [&a, &b] {
            of.enrol_office(CUSTOMS, Role::Customs).await?;
        }
        Ok(Self {
            a,
            b,
            route,
            _gates: gates,
        })
    }

    /// The jurisdiction on a side.
    pub const fn at(&self, side: Side) -> &Jurisdiction {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    /// As [`Self::at`], to break it.
    pub const fn at_mut(&mut self, side: Side) -> &mut Jurisdiction {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    /// Changes the weather at every gate, for open connections too.
    pub fn set(&self, weather: Weather) {
        self.route.set(weather);
    }

    /// How often the border did something to traffic.
    pub fn felt(&self) -> u64 {
        self.route.felt()
    }
}
