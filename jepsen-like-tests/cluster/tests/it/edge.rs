//! Floods of the real ports of real nodes: the leader stays, honest calls are answered, and the log says who was turned away.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use carnet_cluster::Broken;
use carnet_cluster::jurisdiction::{ADMIN, Jurisdiction, MANUFACTURER, Plan, model_id};
use carnet_cluster::patience::until;
use carnet_cluster::programs;
use carnet_cluster::workload::registration;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::signature::SecretKey;
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::record::{Enrolment, Holder};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

const NODES: [u64; 3] = [1, 2, 3];
/// More than an address may have unproven at once.
const HELD_COUNT_MAX: usize = 100;
/// More than an address may begin a second.
const EVERY: Duration = Duration::from_millis(6);

/// The sockets that a node listens on, on all planes, without the port for monitors; what clients are told of may lie before them.
fn sockets(of: &Jurisdiction, node: u64) -> Result<Vec<SocketAddr>, Broken> {
    let config = std::fs::read_to_string(of.config(node)).map_err(Broken::at("config"))?;
    let listen = config.split("[listen]").nth(1).unwrap_or_default();
    let table = listen.split("\n[").next().unwrap_or_default();
    let sockets: Vec<SocketAddr> = table
        .lines()
        .filter(|line| !line.starts_with("metrics"))
        .filter_map(|line| line.split('"').nth(1)?.parse().ok())
        .collect();
    assert_eq!(sockets.len(), 4, "{table}");
    Ok(sockets)
}

/// Empty connections from another address than everybody else's, without end.
async fn flood(to: SocketAddr) {
    let mut held: VecDeque<TcpStream> = VecDeque::new();
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let connected = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::new(127, 0, 0, 2), 0).into())?;
            socket.connect(to).await
        };
        if let Ok(stream) = connected.await {
            held.push_back(stream);
        }
        if held.len() > HELD_COUNT_MAX {
            held.pop_front();
        }
    }
}

/// Looks once whether a node's log names the flood's address on a plane.
fn turned_away(of: &Jurisdiction, node: u64, plane: &str) -> Result<(), String> {
    let log = std::fs::read_to_string(of.log(node)).map_err(|error| error.to_string())?;
    let told = log.lines().any(|line| {
        line.contains("turned away")
            && line.contains(&format!("plane={plane}"))
            && line.contains("127.0.0.2")
    });
    told.then_some(())
        .ok_or(format!("node {node}, {plane}: {log}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_every_port_costs_no_leader_and_no_call() -> Result<(), Broken> {
    let Some(programs) = programs("a_flood_of_every_port_costs_no_leader_and_no_call") else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let leader = registry.ready().await?;
    let before = registry.status(leader).await?;
    let mut floods = JoinSet::new();
    for node in NODES {
        for socket in sockets(&registry, node)? {
            floods.spawn(flood(socket));
        }
    }
    // The honest calls begin when every port has turned somebody away and said so: before that, nothing is tried.
    for node in NODES {
        for plane in ["raft", "client", "admin", "federation"] {
            let told = async || turned_away(&registry, node, plane);
            until("a port that turns the flood away", told).await?;
        }
    }
    let admin = registry.client(ADMIN, &NODES)?.build();
    let admin = admin.map_err(Broken::at("admin"))?;
    for number in 0..60 {
        let key = SecretKey::from_seed(&[number; 32]);
        let add = registry.enrol_customs(&key, number);
        // A connection of its own for each: honest newcomers meet the flood, too.
        let newcomer = registry.client(ADMIN, &NODES)?.build();
        let newcomer = newcomer.map_err(Broken::at("a newcomer"))?;
        newcomer
            .unverified()
            .registry()
            .await
            .map_err(Broken::at("a read"))?;
        admin.submit_one(add).await.map_err(Broken::at("a write"))?;
    }
    let after = registry.status(leader).await?;
    assert_eq!(
        (after.term, registry.leader().await?),
        (before.term, leader)
    );
    // An operator sees at each port what was turned away there.
    let flooded = after.ports.iter().filter(|port| !port.turned.is_empty());
    let mut flooded: Vec<&str> = flooded.map(|port| port.plane.as_str()).collect();
    flooded.sort_unstable();
    assert_eq!(flooded, ["admin", "client", "federation", "raft"]);
    floods.shutdown().await;
    registry.all_alive()
}

/// One certificate fills its part of the way into the log and keeps it full, a thousand commands a request. What others
/// write is answered meanwhile, the log is sealed and published, and the leader leads on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_certificate_that_floods_the_log_keeps_nobody_from_it() -> Result<(), Broken> {
    let Some(programs) = programs("one_certificate_that_floods_the_log_keeps_nobody_from_it")
    else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let leader = registry.ready().await?;
    let before = registry.status(leader).await?;
    let mut flood = JoinSet::new();
    for number in 0..FLOODING {
        let greedy = registry.client(ADMIN, &NODES)?.build();
        let greedy = greedy.map_err(Broken::at("a greedy client"))?;
        flood.spawn(async move {
            for round in 0_u32.. {
                let commands: Vec<Command> = (0..COMMANDS_OF_A_REQUEST)
                    .map(|at| enrol(number, round, at))
                    .collect();
                // It may be refused for want of room: it asks again.
                let _ = greedy.submit(&commands).await;
            }
        });
    }
    // It is a question of whether, not of when: what is asked again is the same request.
    let maker = registry.client(MANUFACTURER, &NODES)?;
    let maker = maker.deadline(PATIENT).build();
    let maker = maker.map_err(Broken::at("the maker"))?;
    for serial in 1..=8 {
        let text = format!("{}{serial:017}", model_id(&registry)?);
        let code = Code::parse(&text).map_err(Broken::at("a code"))?;
        let registration = registration(code, serial);
        let register = [Command::Register { registration }];
        let done = maker
            .submit_published(&register)
            .await
            .map_err(Broken::at("a registration"))?;
        assert!(
            matches!(done.answer.items[..], [ItemAnswer::Done { .. }]),
            "{:?}",
            done.answer
        );
    }
    flood.shutdown().await;
    let after = registry.status(leader).await?;
    assert_eq!(
        (after.term, registry.leader().await?),
        (before.term, leader)
    );
    registry.all_alive()
}

/// Requests that one certificate has under way.
const FLOODING: u32 = 6;
const COMMANDS_OF_A_REQUEST: u32 = 300;
/// Longer than anybody waits for a turn; nothing depends on its length.
const PATIENT: Duration = Duration::from_secs(120);

/// A key that nobody has enrolled.
fn enrol(number: u32, round: u32, at: u32) -> Command {
    let mut seed = [7; 32];
    for (place, part) in [number, round, at].into_iter().enumerate() {
        seed[place * 4..place * 4 + 4].copy_from_slice(&part.to_be_bytes());
    }
    let key = SecretKey::from_seed(&seed);
    let enrolment = Enrolment {
        public: key.public(),
        holder: Holder::Office {
            name: format!("customs/{number}"),
        },
        role: Role::Customs,
        person: "desk".into(),
    };
    let registry = Prefix::parse("XA").expect("a prefix");
    Command::AddSigner {
        proof: enrolment.sign(&registry, &key),
        enrolment,
        word: None,
        instead: None,
        reason: String::new(),
    }
}
