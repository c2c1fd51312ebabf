//! Gates on every link of the Raft plane: what one node sends another passes through the harness, which can lose, delay,
//! cut and reset it, one way or both.
//!
//! Every node is known to the others by the address of its gate. Who connects there is not in the connection, and the
//! certificate in it is encrypted: the kernel knows which process has the other end of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::patience::Broken;
use crate::proxy::{Proxy, Route, Weather};

/// What a node is known by, where its process is now.
type Processes = Mutex<BTreeMap<u64, u32>>;

/// The links between the nodes of one jurisdiction, each from one node to another.
#[derive(Debug, Default)]
pub struct Links {
    routes: BTreeMap<(u64, u64), Arc<Route>>,
    processes: Arc<Processes>,
    gates: Vec<Proxy>,
}

impl Links {
    /// Opens a gate before each node: (its id, where the gate listens, where the node does).
    ///
    /// # Errors
    /// An address cannot be bound.
    pub async fn open(nodes: &[(u64, SocketAddr, SocketAddr)]) -> Result<Self, Broken> {
        let mut links = Self::default();
        for (to, gate, node) in nodes {
            let others = nodes.iter().map(|(id, ..)| *id).filter(|id| id != to);
            let routes: BTreeMap<u64, Arc<Route>> = others.map(|id| (id, Route::new())).collect();
            for (from, route) in &routes {
                links.routes.insert((*from, *to), Arc::clone(route));
            }
            let processes = Arc::clone(&links.processes);
            let choose = move |whence| {
                let from = whose(whence, &lock(&processes))?;
                routes.get(&from).map(Arc::clone)
            };
            let gate = Proxy::choosing(*gate, *node, Arc::new(choose)).await?;
            links.gates.push(gate);
        }
        Ok(links)
    }

    /// Notes the process that a node runs in from now on.
    pub fn runs(&self, node: u64, process: u32) {
        lock(&self.processes).insert(node, process);
    }

    /// Changes the weather on every link.
    pub fn all(&self, weather: Weather) {
        self.routes.values().for_each(|route| route.set(weather));
    }

    /// Nothing passes between a node and the others, and nobody is told.
    pub fn isolate(&self, node: u64) {
        self.change(|from, to| (from == node || to == node).then_some(Weather::Silent));
    }

    /// What a node sends reaches nobody; what is sent to it arrives.
    pub fn mute(&self, node: u64) {
        self.change(|from, to| {
            if from == node {
                Some(Weather::Unasked)
            } else {
                (to == node).then_some(Weather::Unanswered)
            }
        });
    }

    /// What is sent to a node does not arrive; what it sends does.
    pub fn deafen(&self, node: u64) {
        self.change(|from, to| {
            if from == node {
                Some(Weather::Unanswered)
            } else {
                (to == node).then_some(Weather::Unasked)
            }
        });
    }

    fn change(&self, weather: impl Fn(u64, u64) -> Option<Weather>) {
        for ((from, to), route) in &self.routes {
            if let Some(weather) = weather(*from, *to) {
                route.set(weather);
            }
        }
    }

    /// How often all the links together did something to traffic.
    pub fn felt(&self) -> u64 {
        self.routes.values().map(|route| route.felt()).sum()
    }
}

/// The node whose process has this end of a connection.
fn whose(end: SocketAddr, processes: &BTreeMap<u64, u32>) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let inode = inode(end, &table)?;
    let socket = format!("socket:[{inode}]");
    let has = |process: &u32| {
        let files = std::fs::read_dir(format!("/proc/{process}/fd"));
        let mut files = files.into_iter().flatten().flatten();
        files.any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == Path::new(&socket)))
    };
    let found = processes.iter().find(|(_, process)| has(process));
    found.map(|(node, _)| *node)
}

/// The inode of a socket by its own address, from the kernel's table of IPv4 connections.
fn inode(own: SocketAddr, table: &str) -> Option<&str> {
    let SocketAddr::V4(own) = own else {
        return None;
    };
    // The kernel prints an address as the number that its bytes are in the order of this machine.
    let ip = u32::from_ne_bytes(own.ip().octets());
    let own = format!("{ip:08X}:{:04X}", own.port());
    let mut rows = table.lines().map(|row| row.split_whitespace());
    rows.find_map(|mut row| {
        // Row number, own address, other address, state, queues, timer, retransmissions, uid, timeout, inode.
        (row.nth(1)? == own).then(|| row.nth(7)).flatten()
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_process_behind_a_connection_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let to = listener.local_addr().expect("an address");
        let near = TcpStream::connect(to).expect("a connection");
        let (_far, whence) = listener.accept().expect("a connection");
        assert_eq!(near.local_addr().expect("an address"), whence);
        let own = std::process::id();
        assert_eq!(whose(whence, &BTreeMap::from([(7, own)])), Some(7));
        assert_eq!(whose(whence, &BTreeMap::from([(7, 1)])), None);
        assert_eq!(whose(whence, &BTreeMap::new()), None);
    }

    #[test]
    fn a_row_of_the_kernel_is_found_by_its_own_address() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:1F90 0200007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4711 1 x 20\n";
        let own = "127.0.0.1:8080".parse().expect("an address");
        let other = "127.0.0.2:40000".parse().expect("an address");
        let found = cfg!(target_endian = "little").then_some("4711");
        assert_eq!(inode(own, table), found);
        assert_eq!(inode(other, table), None);
    }
}
