//! Gates before the client planes: what clients ask and are answered passes through the harness, which can lose it.

use std::net::SocketAddr;

use super::{GATES_FROM, Jurisdiction, index};
use crate::address::CLIENT_PORT;
use crate::patience::Broken;
use crate::proxy::{Proxy, Weather};

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
            let gate = Proxy::start(self.known_client_address(id), to).await?;
            self.gates.push((id, gate));
        }
        Ok(())
    }

    /// Changes the weather between a node and its clients.
    ///
    /// # Errors
    /// The node has no gate.
    pub fn set_gate(&self, id: u64, weather: Weather) -> Result<(), Broken> {
        let (_, gate) = self
            .gates
            .iter()
            .find(|(of, _)| *of == id)
            .ok_or_else(|| Broken::new(format!("node {id} has no gate")))?;
        gate.set(weather);
        Ok(())
    }
}
