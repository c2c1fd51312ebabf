//! Gates before the client planes and between the nodes: what passes there goes through the harness, which can lose it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{GATES_FROM, Jurisdiction, index};
use crate::address::{CLIENT_PORT, RAFT_PORT};
use crate::links::Links;
use crate::patience::Broken;
use crate::proxy::{Proxy, Route, Weather};

impl Jurisdiction {
    /// The address at which a node's client plane is known: that of its gate, if it has one.
    pub(super) fn known_client_address(&self, id: u64) -> SocketAddr {
        let own = index(id);
        let at = if self.plan.gated {
            GATES_FROM + own
        } else {
            own
        };
        self.network.of(at, CLIENT_PORT)
    }

    pub(super) async fn open_gates(&mut self) -> Result<(), Broken> {
        if !self.plan.gated {
            return Ok(());
        }
        for at in 0..self.nodes.len() {
            let id = self.nodes[at].id;
            let to = self.network.of(index(id), CLIENT_PORT);
            let route = Route::new();
            let gate = Proxy::start(self.known_client_address(id), to, Arc::clone(&route)).await?;
            self.gates.push((id, route, gate));
        }
        Ok(())
    }

    /// The address at which a node's Raft plane is known: that of its gate, if there are gates between the nodes.
    pub(super) fn known_raft_address(&self, id: u64) -> SocketAddr {
        let own = index(id);
        let at = if self.plan.linked {
            GATES_FROM + own
        } else {
            own
        };
        self.network.of(at, RAFT_PORT)
    }

    pub(super) async fn open_links(&mut self) -> Result<(), Broken> {
        if !self.plan.linked {
            return Ok(());
        }
        let nodes: Vec<_> = self
            .nodes
            .iter()
            .map(|node| {
                let to = self.network.of(index(node.id), RAFT_PORT);
                (node.id, self.known_raft_address(node.id), to)
            })
            .collect();
        self.links = Some(Links::open(&nodes).await?);
        Ok(())
    }

    /// The links between the nodes.
    ///
    /// # Errors
    /// There are no gates between them.
    pub fn links(&self) -> Result<&Links, Broken> {
        let links = self.links.as_ref();
        links.ok_or_else(|| Broken::new("there are no gates between the nodes"))
    }

    /// Changes the weather between a node and its clients.
    ///
    /// # Errors
    /// The node has no gate.
    pub fn set_gate(&self, id: u64, weather: Weather) -> Result<(), Broken> {
        let (_, route, _) = self
            .gates
            .iter()
            .find(|(of, ..)| *of == id)
            .ok_or_else(|| Broken::new(format!("node {id} has no gate")))?;
        route.set(weather);
        Ok(())
    }
}
