//! Clocks that step, run ahead or differ, on real processes: log time does not follow a bad clock, the country serves or
//! says why not, and what a quorum of clocks did wrong the roots set right.

use std::time::Duration;

use carnet_client::{Client, wall_time};
use carnet_cluster::Broken;
use carnet_cluster::border::carnet;
use carnet_cluster::clocks::{Shift, Shim};
use carnet_cluster::jurisdiction::{Jurisdiction, MANUFACTURER, Plan, firmware_family, model_id};
use carnet_cluster::patience::until;
use carnet_cluster::programs;
use carnet_domain::bytes::code::Code;
use carnet_domain::record::{BodyName, Firmware, IdentifierScheme, Maker};
use carnet_domain::rules::command::{Command, Registration};

/// What stamps may be ahead of a quorum's clocks: ten seconds of ceiling, two of disagreement, and as many for the
/// machine to be slow between two looks at a clock.
const AHEAD_MS: i64 = 14_000;

/// Three nodes with clocks of their own, and somebody who registers robots there.
struct Country {
    registry: Jurisdiction,
    client: Client,
    serial: u32,
}

impl Country {
    /// `None`: the test cannot run on this machine, and has said so.
    async fn start(test: &str) -> Result<Option<Country>, Broken> {
        let Some(programs) = programs(test) else {
            return Ok(None);
        };
        let Some(shim) = Shim::compiled(test)? else {
            return Ok(None);
        };
        let plan = Plan {
            clocks: Some(shim),
            ..Plan::of("XA")
        };
        let registry = Jurisdiction::start(&programs, plan).await?;
        let client = registry
            .client(MANUFACTURER, &[1, 2, 3])?
            .deadline(Duration::from_secs(5))
            .build()
            .map_err(Broken::at("client"))?;
        Ok(Some(Country {
            registry,
            client,
            serial: 0,
        }))
    }

    fn registration(&self) -> Result<Command, Broken> {
        let serial = self.serial;
        let text = format!("{}{serial:017}", model_id(&self.registry)?);
        let maker = Maker {
            scheme: IdentifierScheme::Name,
            country: "CN".to_owned(),
            identifier: "HARNESS-ROBOTICS".to_owned(),
        };
        Ok(Command::Register {
            registration: Registration {
                code: Code::parse(&text).map_err(Broken::at(text.clone()))?,
                body: BodyName {
                    maker,
                    serial: format!("S{serial}"),
                },
                manufactured: wall_time(),
                site: "plant".to_owned(),
                origin: "CN".to_owned(),
                prototype: false,
                importers_filing: false,
                identity_parts: Vec::new(),
                parts: Vec::new(),
                robot_key: None,
                firmware: Firmware {
                    family: firmware_family().to_owned(),
                    build: 1,
                },
            },
        })
    }

    /// One attempt to register one more robot.
    async fn try_write(&mut self) -> Result<(), String> {
        self.serial += 1;
        let register = self.registration().map_err(|error| error.to_string())?;
        let done = self.client.submit_one(register).await;
        done.map(drop).map_err(|error| {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text += &format!(": {cause}");
                source = cause.source();
            }
            text
        })
    }

    /// Registers one more robot, however often it takes.
    async fn write(&mut self) -> Result<(), Broken> {
        let end = std::time::Instant::now() + Duration::from_secs(180);
        loop {
            match self.try_write().await {
                Ok(()) => return Ok(()),
                Err(seen) if end < std::time::Instant::now() => {
                    return Err(Broken::new(format!("no write is taken: {seen}")));
                }
                Err(_) => {}
            }
        }
    }

    /// Log time less this machine's clock, in milliseconds, on the node that has come furthest.
    async fn log_time_ahead(&self) -> Result<i64, Broken> {
        let mut newest = 0;
        for id in [1, 2, 3] {
            newest = newest.max(self.registry.status(id).await?.log_time_ms);
        }
        let now = wall_time().as_ms();
        Ok(i64::try_from(newest).map_err(Broken::at("log time"))?
            - i64::try_from(now).map_err(Broken::at("wall time"))?)
    }

    async fn not_ahead(&self) -> Result<(), Broken> {
        let ahead = self.log_time_ahead().await?;
        if ahead > AHEAD_MS {
            return Err(Broken::new(format!("log time is {ahead} ms ahead")));
        }
        Ok(())
    }

    /// Sets a leader's clock, and waits until another node leads; the old leader must have said why.
    async fn unseats_leader(&self, shift: Shift) -> Result<u64, Broken> {
        let leader = self.registry.leader().await?;
        self.registry.set_clock(leader, shift)?;
        until("another node leads", || async {
            let now = self.registry.leader().await.map_err(|e| e.to_string())?;
            if now == leader {
                return Err(format!("node {leader} leads"));
            }
            Ok(())
        })
        .await?;
        self.says(leader, "leadership is handed over").await?;
        until("its status says that its clock is off", || async {
            let seen = self.registry.status(leader).await;
            let seen = seen.map_err(|error| error.to_string())?;
            match seen.clock_verdict.as_str() {
                "off" => Ok(()),
                other => Err(other.to_owned()),
            }
        })
        .await?;
        Ok(leader)
    }

    async fn says(&self, node: u64, what: &str) -> Result<(), Broken> {
        until(&format!("node {node} says: {what}"), || async {
            let log = std::fs::read_to_string(self.registry.log(node)).unwrap_or_default();
            if log.contains(what) {
                Ok(())
            } else {
                Err(format!("{} bytes of log", log.len()))
            }
        })
        .await
    }

    fn set_all(&self, shift: Shift) -> Result<(), Broken> {
        [1, 2, 3]
            .into_iter()
            .try_for_each(|id| self.registry.set_clock(id, shift))
    }

    /// Writes until the leader refuses them with a reason that contains `why`.
    async fn refuses(&mut self, why: &str) -> Result<String, Broken> {
        let end = std::time::Instant::now() + Duration::from_secs(180);
        loop {
            let seen = match self.try_write().await {
                Err(refused) if refused.contains(why) => return Ok(refused),
                Err(other) => other,
                Ok(()) => "it is taken".to_owned(),
            };
            if end < std::time::Instant::now() {
                return Err(Broken::new(format!("not refused by {why}: {seen}")));
            }
        }
    }
}

/// Four steps of one clock, with a write each, moved log time 33 minutes in 5 seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_one_clock_do_not_move_log_time() -> Result<(), Broken> {
    const NAME: &str = "steps_of_one_clock_do_not_move_log_time";
    let Some(mut country) = Country::start(NAME).await? else {
        return Ok(());
    };
    country.write().await?;
    let leader = country.registry.leader().await?;
    for step in 1..=4 {
        country
            .registry
            .set_clock(leader, Shift::seconds(400 * step))?;
        country.write().await?;
        country.not_ahead().await?;
    }
    country.says(leader, "leadership is handed over").await?;
    country.registry.set_clock(leader, Shift::NONE)?;
    country.write().await?;
    country.registry.ready().await.map(drop)
}

/// At +1 h a leader refused all writes, at −1 h its robots turned STALE abroad, and nothing said so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_an_hour_off_hands_over() -> Result<(), Broken> {
    let Some(mut country) = Country::start("a_leader_an_hour_off_hands_over").await? else {
        return Ok(());
    };
    for shift in [Shift::seconds(3600), Shift::seconds(-3600)] {
        country.write().await?;
        let unseated = country.unseats_leader(shift).await?;
        country.write().await?;
        country.not_ahead().await?;
        let country_now = &country;
        until("log time keeps up", || async {
            let ahead = country_now.log_time_ahead().await;
            match ahead.map_err(|error| error.to_string())? {
                ahead if -60_000 < ahead => Ok(()),
                ahead => Err(format!("{ahead} ms")),
            }
        })
        .await?;
        country.registry.set_clock(unseated, Shift::NONE)?;
        country
            .says(unseated, "agrees with a quorum of voters again")
            .await?;
    }
    country.registry.ready().await.map(drop)
}

/// Three nodes a year ahead for a minute set log time to next year for good. (Not quite a year: certificates last one.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_clocks_far_ahead_move_nothing_and_heal() -> Result<(), Broken> {
    const NAME: &str = "all_clocks_far_ahead_move_nothing_and_heal";
    let Some(mut country) = Country::start(NAME).await? else {
        return Ok(());
    };
    country.write().await?;
    country.set_all(Shift::days(300))?;
    let said = country.refuses("TimeNeedsRoots").await?;
    assert!(said.contains("have the roots move log time"), "{said}");
    country.not_ahead().await?;
    let leader = country.registry.leader().await?;
    let seen = country.registry.status(leader).await?;
    assert!(seen.writes_refused.contains("TimeNeedsRoots"), "{seen:?}");
    country.set_all(Shift::NONE)?;
    let country_now = &country;
    until(
        "the status says that writes are taken, before one comes",
        || async {
            let leader = country_now.registry.leader().await;
            let leader = leader.map_err(|error| error.to_string())?;
            let status = country_now.registry.status(leader).await;
            match status.map_err(|error| error.to_string())?.writes_refused {
                why if why.is_empty() => Ok(()),
                why => Err(why),
            }
        },
    )
    .await?;
    country.write().await?;
    country.not_ahead().await?;
    country.registry.ready().await.map(drop)
}

/// Where no quorum of clocks agrees, writes are refused, and the refusal says who reads what.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_all_differ_stop_writes_by_name() -> Result<(), Broken> {
    const NAME: &str = "clocks_that_all_differ_stop_writes_by_name";
    let Some(mut country) = Country::start(NAME).await? else {
        return Ok(());
    };
    country.write().await?;
    country.registry.set_clock(2, Shift::seconds(-400))?;
    country.registry.set_clock(3, Shift::seconds(-800))?;
    let said = country
        .refuses("no quorum of voters' clocks agrees")
        .await?;
    for node in ["node 1", "node 2", "node 3"] {
        assert!(said.contains(node), "{said}");
    }
    country.set_all(Shift::NONE)?;
    country.write().await?;
    country.not_ahead().await
}

/// What a quorum did wrong inside its hour, the roots set right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roots_repair_a_clock_that_ran_ahead() -> Result<(), Broken> {
    const NAME: &str = "the_roots_repair_a_clock_that_ran_ahead";
    let Some(mut country) = Country::start(NAME).await? else {
        return Ok(());
    };
    country.write().await?;
    country.set_all(Shift::seconds(3000))?;
    loop {
        country.write().await?;
        if country.log_time_ahead().await? > 2_900_000 {
            break;
        }
    }
    country.set_all(Shift::NONE)?;
    country.write().await?;
    assert!(
        country.log_time_ahead().await? > 2_000_000,
        "healed clocks alone do not set it back"
    );
    let draft = country
        .registry
        .folder()
        .join("repair")
        .display()
        .to_string();
    let country_now = &country;
    let operator = |arguments: &[&str]| carnet(&country.registry, arguments);
    until("the clocks that are read agree", || async {
        let shown = carnet(
            &country_now.registry,
            &["cluster", "time", "repair", "--file", &draft],
        );
        shown.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    assert!(!std::path::Path::new(&draft).exists(), "only shown");
    operator(&["cluster", "time", "repair", "--file", &draft, "--yes"])?;
    let unsigned = operator(&["cluster", "time", "submit", &draft]);
    assert!(unsigned.is_err(), "without the roots: {unsigned:?}");
    operator(&["cluster", "time", "sign", &draft])?;
    operator(&["cluster", "time", "submit", &draft])?;
    country.not_ahead().await?;
    let replayed = carnet(&country.registry, &["cluster", "time", "submit", &draft]);
    assert!(replayed.is_err(), "a second time: {replayed:?}");
    let set_back = country.log_time_ahead().await?;
    country.write().await?;
    country.not_ahead().await?;
    let country_now = &country;
    until("log time goes on from there", || async {
        let ahead = country_now.log_time_ahead().await;
        let ahead = ahead.map_err(|error| error.to_string())?;
        if set_back - 60_000 < ahead {
            Ok(())
        } else {
            Err(format!("{ahead} ms, it was {set_back} ms"))
        }
    })
    .await?;
    country.registry.ready().await.map(drop)
}
