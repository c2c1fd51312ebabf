//! The lines of the demo, in order. Each states one thing that must hold, checks it, and shows the command.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use carnet_client::Client;
use carnet_domain::bytes::code::{Code, ModelId};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::{BodyName, Firmware, Maker, RecallId};
use carnet_domain::rules::command::{Command, Registration};
use serde_json::Value;
use tokio::sync::Mutex;

use super::catalogue::{self, Country};
use super::world::{COUNTRIES, NODES, PATIENCE, World, message};
use super::{Found, Stage};

/// Robots registered in bulk.
const ROBOTS: usize = 1_000;
/// Writers that register at 49 while its leader is killed.
const WRITERS: usize = 8;
/// The oldest head of 86 that 49 takes as fresh: short, so that the demo can show it growing stale.
const HEAD_AGE_MAX: &str = "6s";

/// What the lines hand on to each other.
pub(super) struct Story {
    models: String,
}

impl Story {
    /// With the models of a file, or those that the program has in it.
    pub(super) fn new(models: Option<&Path>) -> Result<Self, String> {
        let models = match models {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| format!("{} (--models): {error}", path.display()))?,
            None => catalogue::MODELS.to_owned(),
        };
        catalogue::read(&models)?;
        Ok(Self { models })
    }
}

/// Runs one line; the story ends early where nothing could follow.
macro_rules! line {
    ($stage:ident, $title:expr, $found:expr) => {{
        let begun = Instant::now();
        let found: Result<_, String> = async { $found }.await;
        match found {
            Ok((text, value)) => {
                $stage.close($title, &Ok(text), begun.elapsed());
                value
            }
            Err(why) => {
                let found: Found = Err(why.clone());
                $stage.close($title, &found, begun.elapsed());
                return Err(format!("{}: {why}", $title));
            }
        }
    }};
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("?")
}

/// A verdict of the value expected, whatever the exit code.
fn verdict(found: (i32, Value), expected: &str) -> Result<Value, String> {
    let (_, value) = found;
    if value["verdict"] == expected {
        return Ok(value);
    }
    Err(format!(
        "expected {expected}, found {}",
        value
            .get("verdict")
            .map_or_else(|| message(&value), |_| value.to_string())
    ))
}

fn reason(value: &Value) -> String {
    let reasons = value["reasons"].as_array().cloned().unwrap_or_default();
    let each = reasons
        .iter()
        .map(|r| format!("{} ({})", text(r, "reason"), text(r, "detail")));
    each.collect::<Vec<_>>().join(", ")
}

/// A lawful "no" that names the reason expected.
fn refused(found: (i32, Value), expected: &str) -> Result<String, String> {
    let (code, value) = found;
    let said = message(&value);
    if code != 0 && said.contains(expected) {
        Ok(said)
    } else {
        Err(format!("expected {expected}, found {said}"))
    }
}

/// Plays every line.
pub(super) async fn play(story: Story, world: &mut World, stage: &mut Stage) -> Result<(), String> {
    line!(stage, "three countries, three nodes each, mutual TLS", {
        world.raise(stage)?;
        found(world, stage).await.map(|text| (text, ()))
    });
    line!(
        stage,
        "trust bundles compared by fingerprint, agreement 86-49 signed by both roots",
        recognise(world, stage).await.map(|text| (text, ()))
    );
    let (robots, maker, model49) =
        line!(stage, "real makers and models accredited and approved", {
            let countries = catalogue::read(&story.models)?;
            load(world, stage, &countries).await
        });
    let code = line!(stage, "robots registered in bulk at 86", {
        let file = world.folder().join("robots.csv");
        let rows: Vec<String> = robots
            .iter()
            .map(|code| {
                format!(
                    "{code},2026-05-01,Shanghai,compute:C{0} torso:T{0}",
                    &code.as_str()[20..]
                )
            })
            .collect();
        let rows = format!("code,manufactured,site,parts\n{}\n", rows.join("\n"));
        std::fs::write(&file, rows).map_err(|error| error.to_string())?;
        let file = file.display().to_string();
        let arguments = [
            "robot",
            "import",
            &file,
            "--maker-scheme",
            "name",
            "--maker-country",
            &maker.country,
            "--maker-id",
            &maker.identifier,
        ];
        let value = world.must(stage, "86-manufacturer", &arguments)?;
        let code = robots[42].to_string();
        world.must(stage, "86-manufacturer", &["robot", "stock", &code])?;
        Ok((
            format!(
                "{} registered, {} a second",
                value["registered"], value["per_second"]
            ),
            code,
        ))
    });
    line!(stage, "one robot with its proof", {
        world.note(
            stage,
            "86-registrar",
            &["verify", &code, "--purpose", "operation"],
        );
        let value = verdict(
            world.ask("86-registrar", &["verify", &code, "--purpose", "operation"])?,
            "VALID",
        )?;
        let head = &value["heads"][0];
        Ok((
            format!(
                "VALID under {} at size {}",
                text(head, "origin"),
                text(head, "size")
            ),
            (),
        ))
    });

    let transfer = line!(stage, "export 86→49 declared", {
        let arguments = [
            "export",
            "declare",
            &code,
            "--to",
            "49",
            "--office-of-export",
            "Shanghai",
            "--office-of-entry",
            "Hamburg",
        ];
        let value = world.must(stage, "86-customs", &arguments)?;
        let transfer = text(&value, "transfer").to_owned();
        world
            .until(stage, "49-customs", &["transfer", "get", &transfer])
            .await?;
        Ok((format!("transfer {transfer} is known at 49"), transfer))
    });
    line!(stage, "import permitted at 49, before departure", {
        world.must(stage, "49-customs", &["import", "permit", &transfer])?;
        Ok(("the permit travels to 86".to_owned(), ()))
    });
    line!(stage, "departure from 86", {
        let value = world
            .until(
                stage,
                "86-customs",
                &["export", "depart", &transfer, "--place", "Yangshan"],
            )
            .await?;
        Ok((
            format!(
                "released, leaf {}; 49 is responsible",
                text(&value, "leaf_index")
            ),
            (),
        ))
    });
    line!(stage, "admission at 49, permit used up", {
        let arguments = [
            "import",
            "admit",
            &transfer,
            "--place",
            "Hamburg",
            "--importer",
            "Hansa Robotik",
        ];
        let value = world.until(stage, "49-customs", &arguments).await?;
        Ok((
            format!("admitted at Hamburg, leaf {}", text(&value, "leaf_index")),
            (),
        ))
    });
    line!(stage, "second admission of the same transfer refused", {
        let arguments = [
            "import",
            "admit",
            &transfer,
            "--place",
            "Bremen",
            "--importer",
            "Somebody Else",
        ];
        world.note(stage, "49-customs", &arguments);
        let said = refused(world.ask("49-customs", &arguments)?, "AlreadyAdmitted")?;
        if !said.contains("Hamburg") {
            return Err(format!("place of the first is not named: {said}"));
        }
        Ok((said, ()))
    });
    line!(stage, "movement trail at 86, the issuer", {
        let steps = trail(world, stage, &code).await?;
        Ok((steps, ()))
    });
    line!(
        stage,
        "another robot goes 86→49→81→86 without going home in between",
        {
            let code = robots[43].to_string();
            round(world, stage, &code).await.map(|text| (text, ()))
        }
    );
    let (truck, rest) = robots
        .get(100..)
        .and_then(|robots| robots.split_at_checked(TRUCK))
        .ok_or("too few robots")?;
    line!(
        stage,
        "a consignment of 200 from 86 to 49, a command a step",
        consignment(world, stage, truck)
            .await
            .map(|text| (text, ()))
    );
    line!(
        stage,
        "at the desk of 49: one is detained in transit, the others are admitted",
        detained(world, stage, truck).await.map(|text| (text, ()))
    );
    line!(stage, "temporary admission at 49, and return", {
        let code = rest.first().ok_or("too few robots")?.to_string();
        there_and_back(world, stage, &code)
            .await
            .map(|text| (text, ()))
    });
    let evidence = world.folder().join("robot.evidence").display().to_string();
    line!(stage, "verified at 49 with the clause that allows it", {
        let arguments = [
            "verify",
            &code,
            "--purpose",
            "operation",
            "--save",
            &evidence,
        ];
        world.note(stage, "49-regulator", &arguments);
        let value = verdict(world.ask("49-regulator", &arguments)?, "VALID")?;
        Ok((format!("VALID by {}", text(&value, "clause")), ()))
    });
    let pins = ["49", "86"].map(|p| {
        world
            .folder()
            .join(p)
            .join("own.bundle")
            .display()
            .to_string()
    });
    line!(
        stage,
        "evidence file verified offline, with pinned bundles and our own pack",
        {
            let value = verdict(offline(world, stage, &evidence, &pins)?, "VALID")?;
            Ok((
                format!("VALID, judged at {}", text(&value, "judged_at")),
                (),
            ))
        }
    );
    line!(stage, "one byte of it flipped", {
        let mut bytes = std::fs::read(&evidence).map_err(|error| error.to_string())?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let forged = world.folder().join("forged.evidence").display().to_string();
        std::fs::write(&forged, bytes).map_err(|error| error.to_string())?;
        let (exit, value) = offline(world, stage, &forged, &pins)?;
        if exit != 4 || value["verdict"] != "INVALID" {
            return Err(format!("exit code {exit}: {value}"));
        }
        Ok((format!("byte {middle}: INVALID, {}", reason(&value)), ()))
    });
    line!(stage, "an unregistered code", {
        let unknown = format!("{}99999999999999999", &code[..12]);
        world.note(stage, "49-regulator", &["verify", &unknown]);
        let value = verdict(world.ask("49-regulator", &["verify", &unknown])?, "INVALID")?;
        let why = reason(&value);
        if !why.contains("NOT_REGISTERED") {
            return Err(why);
        }
        Ok((format!("proven: {why}"), ()))
    });
    line!(stage, "kill -9 of the leader of 49 under load", {
        kill_leader(world, stage, model49)
            .await
            .map(|text| (text, ()))
    });
    line!(stage, "86 cut off: VALID, then STALE with its age", {
        cut_off(world, stage, &code).await.map(|text| (text, ()))
    });
    line!(stage, "recall at 86 reaches 49", {
        let model = &code[..12];
        let arguments = [
            "recall",
            "open",
            "86-2026-001",
            "--model",
            model,
            "--severity",
            "remedy",
            "--remedy",
            "replace the battery",
        ];
        world.must(stage, "86-regulator", &arguments)?;
        let begun = Instant::now();
        let client = world.client("49", "regulator-hq-rita")?;
        let id = RecallId::parse("86/86-2026-001").ok_or("not the name of a recall")?;
        while client.unverified().recall(&id).await.is_err() {
            if PATIENCE < begun.elapsed() {
                return Err("the recall did not arrive".to_owned());
            }
        }
        let ms = begun.elapsed().as_millis();
        let arguments = [
            "export",
            "declare",
            &code,
            "--to",
            "86",
            "--agreement",
            "86-49:1",
        ];
        world.note(stage, "49-customs", &arguments);
        let said = refused(world.ask("49-customs", &arguments)?, "RecallOpen")?;
        Ok((
            format!("there in {ms} ms after its commit; an export from 49: {said}"),
            (),
        ))
    });
    line!(
        stage,
        "a stolen certificate of 49 revoked, its open connections closed",
        stolen(world, stage).await.map(|text| (text, ()))
    );
    line!(
        stage,
        "end of life at 49, declared and confirmed by two parties",
        {
            let certificate = "aa".repeat(32);
            let declare = [
                "robot",
                "declare-eol",
                &code,
                "--outcome",
                "scrapped",
                "--certificate",
                &certificate,
            ];
            world.must(stage, "49-recycler", &declare)?;
            let value = world.must(
                stage,
                "49-registrar",
                &[
                    "robot",
                    "confirm-eol",
                    &code,
                    "--certificate",
                    &certificate,
                    "--yes",
                ],
            )?;
            Ok((
                format!("scrapped for ever, leaf {}", text(&value, "leaf_index")),
                (),
            ))
        }
    );
    line!(
        stage,
        "re-registration of code and body refused in all three countries",
        {
            again(world, stage, &code, &maker)
                .await
                .map(|text| (text, ()))
        }
    );
    Ok(())
}

/// Founds every country's cluster.
async fn found(world: &World, stage: &mut Stage) -> Result<String, String> {
    for (prefix, alpha2, _) in COUNTRIES {
        let (raft, client) = (world.addresses(prefix, 1), world.addresses(prefix, 2));
        let members: Vec<String> = (0..usize::from(NODES))
            .map(|at| format!("{}={},{}", at + 1, raft[at], client[at]))
            .collect();
        let mut arguments = vec!["cluster", "init", "--country", alpha2, "--seal-idle", "2s"];
        members
            .iter()
            .for_each(|member| arguments.extend(["--member", member]));
        world
            .until(stage, &format!("{prefix}-admin"), &arguments)
            .await?;
    }
    let mut leaders = Vec::new();
    for (prefix, _, name) in COUNTRIES {
        leaders.push(format!(
            "{name} ({prefix}) led by node {}",
            world.leader(prefix)?
        ));
    }
    Ok(leaders.join(", "))
}

/// Bundles, fingerprints, and the agreement between 86 and 49.
async fn recognise(world: &World, stage: &mut Stage) -> Result<String, String> {
    let file = |prefix: &str| {
        world
            .folder()
            .join(prefix)
            .join("own.bundle")
            .display()
            .to_string()
    };
    let mut prints = Vec::new();
    for (prefix, _, name) in COUNTRIES {
        let endpoints = world.addresses(prefix, 4).join(",");
        let arguments = [
            "bundle",
            "export",
            "--file",
            &file(prefix),
            "--name",
            name,
            "--federation-endpoints",
            &endpoints,
        ];
        let value = world.must(stage, &format!("{prefix}-admin"), &arguments)?;
        prints.push((prefix, text(&value, "fingerprint").to_owned()));
    }
    for (at, ..) in COUNTRIES {
        for (of, print) in prints.iter().filter(|(of, _)| *of != at) {
            let arguments = ["peer", "add", "--bundle", &file(of), "--fingerprint", print];
            world.must(stage, &format!("{at}-admin"), &arguments)?;
        }
    }
    let agreement = world.folder().join("86-49.agreement").display().to_string();
    let clause = format!("recogniser=49,issuer=86,age={HEAD_AGE_MAX},severity=stop-use,count=1000");
    let draft = [
        "agreement",
        "draft",
        "--file",
        &agreement,
        "--id",
        "86-49",
        "--parties",
        "49,86",
        "--clause",
        &clause,
        "--clause",
        "recogniser=86,issuer=49",
    ];
    world.must(stage, "86-admin", &draft)?;
    for verb in ["sign", "publish"] {
        for who in ["86-admin", "49-admin"] {
            world.must(stage, who, &["agreement", verb, &agreement])?;
        }
    }
    Ok(format!(
        "clause 1: 49 recognises robots of 86 under heads of at most {HEAD_AGE_MAX}"
    ))
}

type Loaded = (Vec<Code>, Maker, Option<(ModelId, Maker)>);

/// Enterprises and models of all countries, and the keys of the makers and recyclers that the demo uses.
async fn load(
    world: &World,
    stage: &mut Stage,
    countries: &std::collections::BTreeMap<&'static str, Country>,
) -> Result<(String, Loaded), String> {
    let mut report = Vec::new();
    for (prefix, _, name) in COUNTRIES {
        let Some(country) = countries.get(prefix) else {
            continue;
        };
        let registrar = world.client(prefix, "registrar-hq-anna")?;
        for commands in [&country.enterprises, &country.models] {
            for part in commands.chunks(100) {
                let done = registrar
                    .submit(part)
                    .await
                    .map_err(|error| error.to_string())?;
                if let Some(rejection) = done.outcomes().find_map(Result::err) {
                    return Err(rejection.to_string());
                }
            }
        }
        report.push(format!(
            "{name}: {} makers, {} models",
            country.enterprises.len() - 1,
            country.models.len()
        ));
        for (role, file, enterprise) in [
            ("manufacturer", "manufacturer-0001-bot", "0001"),
            ("recycler", "recycler-0002-end", "0002"),
        ] {
            let key = world
                .folder()
                .join(prefix)
                .join(format!("clients/{file}.actor.pub"))
                .display()
                .to_string();
            let enterprise = format!("{prefix}{enterprise}");
            let arguments = [
                "key",
                "add",
                &key,
                "--role",
                role,
                "--enterprise",
                &enterprise,
            ];
            world.must(stage, &format!("{prefix}-registrar"), &arguments)?;
        }
    }
    world.note(stage, "86-registrar", &["enterprise", "get", "860001"]);
    let first = countries.get("86").ok_or("no maker of 86 in the file")?;
    let maker = first
        .first_maker
        .clone()
        .ok_or("no maker of 86 in the file")?;
    let robots = (0..ROBOTS)
        .map(|at| {
            let model = first.first_models[at % first.first_models.len()];
            Code::parse(&format!("{model}{at:017}")).map_err(|error| error.to_string())
        })
        .collect::<Result<Vec<Code>, String>>()?;
    let model49 = countries
        .get("49")
        .and_then(|country| Some((*country.first_models.first()?, country.first_maker.clone()?)));
    report.push("makers of other countries are importers' filings of 86".to_owned());
    Ok((report.join("; "), (robots, maker, model49)))
}

/// A robot of 86 goes to 49, from there to 81, which recognises it by a clause with 49 alone, and home.
async fn round(world: &World, stage: &mut Stage, code: &str) -> Result<String, String> {
    let agreements = [
        (
            "49-81",
            "49",
            "81",
            ["recogniser=81,issuer=86", "recogniser=49,issuer=86"],
        ),
        (
            "81-86",
            "81",
            "86",
            ["recogniser=86,issuer=81", "recogniser=81,issuer=81"],
        ),
    ];
    for (id, one, other, clauses) in agreements {
        let file = world.folder().join(format!("{id}.agreement"));
        let file = file.display().to_string();
        let parties = format!("{one},{other}");
        let mut draft = vec!["agreement", "draft", "--file", &file];
        draft.extend(["--id", id, "--parties", &parties]);
        clauses
            .iter()
            .for_each(|clause| draft.extend(["--clause", clause]));
        world.must(stage, &format!("{one}-admin"), &draft)?;
        for verb in ["sign", "publish"] {
            for who in [one, other] {
                let arguments = ["agreement", verb, &file];
                world.must(stage, &format!("{who}-admin"), &arguments)?;
            }
        }
    }
    world.must(stage, "86-manufacturer", &["robot", "stock", code])?;
    crosses(world, stage, code, ("86", "49"), FOR_GOOD).await?;
    crosses(world, stage, code, ("49", "81"), FOR_GOOD).await?;
    let arguments = ["verify", code, "--purpose", "operation"];
    world.note(stage, "81-regulator", &arguments);
    let there = verdict(world.ask("81-regulator", &arguments)?, "VALID")?;
    crosses(world, stage, code, ("81", "86"), FOR_GOOD).await?;
    let arguments = ["movement", "list", code];
    world.note(stage, "86-customs", &arguments);
    let (_, value) = world.ask("86-customs", &arguments)?;
    let rows = value.as_array().cloned().unwrap_or_default();
    let steps = rows
        .iter()
        .filter(|row| ["depart", "admit"].contains(&text(row, "step")));
    let steps: Vec<String> = steps
        .map(|row| format!("{} by {}", text(row, "step"), text(row, "writer")))
        .collect();
    Ok(format!(
        "at 81 VALID by {}; the trail at 86: {}",
        text(&there, "clause"),
        steps.join(" → ")
    ))
}

/// Robots on the truck.
const TRUCK: usize = 200;
/// Its reference.
const UCR: &str = "6CN86-DEMO-000001";
/// For whom it is.
const CONSIGNEE: &str = "enterprise/490001";

/// A truck of robots is declared, permitted and released, each step one command under one signature.
async fn consignment(world: &World, stage: &mut Stage, truck: &[Code]) -> Result<String, String> {
    let file = world.folder().join("truck.txt");
    let codes: Vec<String> = truck.iter().map(ToString::to_string).collect();
    std::fs::write(&file, codes.join("\n")).map_err(|error| error.to_string())?;
    let file = file.display().to_string();
    let stock = ["robot", "each", &file, "stock"];
    world.must(stage, "86-manufacturer", &stock)?;
    let declare = [
        "consignment",
        "declare",
        &file,
        "--to",
        "49",
        "--ucr",
        UCR,
        "--mrn",
        "26CN000000000001",
        "--commodity",
        "847950",
        "--office-of-export",
        "Shanghai",
        "--office-of-entry",
        "Hamburg",
        "--consignee",
        CONSIGNEE,
    ];
    let mut took = Vec::new();
    let steps: [(&str, &str, Vec<&str>); 3] = [
        ("86-customs", "offered", declare.to_vec()),
        (
            "49-customs",
            "permitted",
            vec!["consignment", "permit", UCR, "--commodity", "847950"],
        ),
        (
            "86-customs",
            "in-transit",
            vec!["consignment", "depart", UCR, "--place", "Yangshan"],
        ),
    ];
    for (who, leads_to, arguments) in steps {
        let begun = Instant::now();
        let done = world.must(stage, who, &arguments)?;
        took.push(format!(
            "{} {} ms",
            arguments[1],
            begun.elapsed().as_millis()
        ));
        if text(&done, "done") != TRUCK.to_string() || done["signatures"] != "1" {
            return Err(format!("{}: {done}", arguments[1]));
        }
        // The other side knows of all of them.
        let other = if who.starts_with("86") {
            "49-customs"
        } else {
            "86-customs"
        };
        all_stand(world, stage, other, leads_to).await?;
    }
    Ok(format!(
        "{TRUCK} robots under one signature each time: {}",
        took.join(", ")
    ))
}

/// Waits until every robot of the truck stands at a stage, as somebody knows it.
async fn all_stand(world: &World, stage: &mut Stage, who: &str, at: &str) -> Result<(), String> {
    let arguments = ["consignment", "show", UCR];
    world.note(stage, who, &arguments);
    let begun = Instant::now();
    loop {
        let (_, value) = world.ask(who, &arguments)?;
        if text(&value["stages"], at) == TRUCK.to_string() {
            return Ok(());
        }
        if PATIENCE < begun.elapsed() {
            return Err(format!("not all are {at} for {who}: {}", value["stages"]));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One robot of the truck is detained at the desk, the rest is admitted, and that one against a report.
async fn detained(world: &World, stage: &mut Stage, truck: &[Code]) -> Result<String, String> {
    let one = truck.first().ok_or("an empty truck")?.to_string();
    let desk = [
        "border",
        "desk",
        "--place",
        "Hamburg",
        "--importer",
        CONSIGNEE,
    ];
    let typed = format!("{one}\ndetain another serial on the plate\nadmit\n");
    let (code, said) = world.piped(stage, "49-customs", &desk, &typed)?;
    let screens: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let [seen, held, refused] = screens.as_slice() else {
        return Err(format!("not three screens: {said}"));
    };
    if code != 1
        || held["answer"] != "detained"
        || !text(refused, "message").contains("ConditionUnmet")
    {
        return Err(format!("exit code {code}: {said}"));
    }
    let admit = [
        "consignment",
        "admit",
        UCR,
        "--place",
        "Hamburg",
        "--importer",
        CONSIGNEE,
    ];
    let begun = Instant::now();
    let rest = world.must(stage, "49-customs", &admit)?;
    let ms = begun.elapsed().as_millis();
    let query = [
        "movement", "query", "--status", "detained", "--office", "Hamburg",
    ];
    world.note(stage, "49-customs", &query);
    let (_, waits) = world.ask("49-customs", &query)?;
    if text(&rest, "done") != (TRUCK - 1).to_string() || waits[0]["code"] != one.as_str() {
        return Err(format!("{rest}; detained: {waits}"));
    }
    let report = "ab".repeat(32);
    let looked = [&admit[..], &["--robot", &one, "--document", &report]].concat();
    world.must(stage, "49-customs", &looked)?;
    Ok(format!(
        "{} → {}; {} admitted in {ms} ms, the detained one against a report",
        text(seen, "verdict").split(':').next().unwrap_or_default(),
        text(held, "answer"),
        text(&rest, "done"),
    ))
}

/// A robot goes to 49 for a time, and comes home its owner's.
async fn there_and_back(world: &World, stage: &mut Stage, code: &str) -> Result<String, String> {
    const FOR_A_TIME: &str = "temporary-admission";
    world.must(stage, "86-manufacturer", &["robot", "stock", code])?;
    let owner = |value: &Value| value["owner"].clone();
    let (_, before) = world.ask("86-customs", &["robot", "get", code])?;
    crosses(world, stage, code, ("86", "49"), FOR_A_TIME).await?;
    // There it is a guest: it is not sold on.
    let sell = ["export", "declare", code, "--to", "86"];
    world.note(stage, "49-customs", &sell);
    let said = refused(world.ask("49-customs", &sell)?, "HereForATime")?;
    crosses(world, stage, code, ("49", "86"), FOR_A_TIME).await?;
    let arguments = ["robot", "get", code];
    world.note(stage, "86-customs", &arguments);
    let (_, after) = world.ask("86-customs", &arguments)?;
    if owner(&before) != owner(&after) || before["state"] != after["state"] {
        return Err(format!("it came back another: {before} {after}"));
    }
    Ok(format!(
        "home as it went, {}; to be given away from there: {said}",
        text(&after, "state")
    ))
}

const FOR_GOOD: &str = "permanent-export";

/// One robot over one border.
async fn crosses(
    world: &World,
    stage: &mut Stage,
    code: &str,
    (from, to): (&str, &str),
    purpose: &str,
) -> Result<(), String> {
    let (exporter, importer) = (format!("{from}-customs"), format!("{to}-customs"));
    let declare = ["export", "declare", code, "--to", to, "--purpose", purpose];
    let declared = world.must(stage, &exporter, &declare)?;
    let transfer = text(&declared, "transfer").to_owned();
    let permit = ["import", "permit", &transfer];
    world.until(stage, &importer, &permit).await?;
    let depart = ["export", "depart", &transfer, "--place", "the port"];
    world.until(stage, &exporter, &depart).await?;
    let admit = [
        "import",
        "admit",
        &transfer,
        "--place",
        "the port",
        "--importer",
        "Robots Inc",
    ];
    world.until(stage, &importer, &admit).await.map(drop)
}

/// The trail at the issuer, once the admission abroad has arrived there.
async fn trail(world: &World, stage: &mut Stage, code: &str) -> Result<String, String> {
    let arguments = ["movement", "list", code];
    world.note(stage, "86-customs", &arguments);
    let begun = Instant::now();
    loop {
        let (_, value) = world.ask("86-customs", &arguments)?;
        let rows = value.as_array().cloned().unwrap_or_default();
        let steps: Vec<String> = rows
            .iter()
            .map(|row| format!("{} by {}", text(row, "step"), text(row, "writer")))
            .collect();
        if rows.iter().any(|row| row["step"] == "admit") {
            return Ok(steps.join(" → "));
        }
        if PATIENCE < begun.elapsed() {
            return Err(format!("no admission in the trail: {}", steps.join(" → ")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn offline(
    world: &World,
    stage: &mut Stage,
    file: &str,
    pins: &[String; 2],
) -> Result<(i32, Value), String> {
    let pack = format!("{file}.pack");
    let arguments = ["pack", "save", "--file", &pack];
    world.note(stage, "49-regulator", &arguments);
    world.ask("49-regulator", &arguments)?;
    let arguments = [
        "verify",
        "--file",
        file,
        "--pack",
        &pack,
        "--purpose",
        "operation",
        "--own",
        "49",
        "--pin",
        &pins[0],
        "--pin",
        &pins[1],
    ];
    world.note(stage, "49-regulator", &arguments);
    world.ask("49-regulator", &arguments)
}

fn registration(code: Code, body: BodyName) -> Command {
    Command::Register {
        registration: Registration {
            code,
            body,
            manufactured: TimeMs::of_date(2026, 5, 1).unwrap_or(TimeMs(0)),
            site: "demo".into(),
            origin: "DE".into(),
            prototype: false,
            importers_filing: false,
            identity_parts: Vec::new(),
            parts: Vec::new(),
            robot_key: None,
            firmware: Firmware {
                family: "main".into(),
                build: 1,
            },
        },
    }
}

/// Writers register robots at 49, its leader is killed, and every acknowledged one is there afterwards.
async fn kill_leader(
    world: &mut World,
    stage: &mut Stage,
    model: Option<(ModelId, Maker)>,
) -> Result<String, String> {
    let (model, maker) = model.ok_or("no model of 49 in the file")?;
    let leader = world.leader("49")?;
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let client = world.client("49", "manufacturer-0001-bot")?;
        let (acknowledged, stop, maker) =
            (Arc::clone(&acknowledged), Arc::clone(&stop), maker.clone());
        writers.push(tokio::spawn(async move {
            for at in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return Ok::<(), String>(());
                }
                let serial = format!("{:017}", writer * 1_000_000 + at);
                let code =
                    Code::parse(&format!("{model}{serial}")).map_err(|error| error.to_string())?;
                let body = BodyName {
                    maker: maker.clone(),
                    serial,
                };
                if client.submit_one(registration(code, body)).await.is_ok() {
                    acknowledged.lock().await.insert(code);
                }
            }
            Ok(())
        }));
    }
    let count = |set: &Arc<Mutex<BTreeSet<Code>>>| {
        let set = Arc::clone(set);
        async move { set.lock().await.len() }
    };
    let begun = Instant::now();
    while count(&acknowledged).await < 200 && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.command(format!("kill -9 <carnetd of node {leader} of 49>"));
    world.kill("49", leader)?;
    let killed = Instant::now();
    let before = count(&acknowledged).await;
    while count(&acknowledged).await == before && killed.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let back = killed.elapsed().as_millis();
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.map_err(|error| error.to_string())??;
    }
    world.start("49", leader)?;
    let client = world.client("49", "registrar-hq-anna")?;
    let all = registered(&client, model.as_str()).await?;
    let acknowledged = acknowledged.lock().await;
    let lost: Vec<&Code> = acknowledged.difference(&all).collect();
    world.note(stage, "49-registrar", &["robot", "list", model.as_str()]);
    if acknowledged.len() <= before {
        return Err("no write was accepted after the kill".to_owned());
    }
    if !lost.is_empty() {
        return Err(format!(
            "{} acknowledged registrations are gone",
            lost.len()
        ));
    }
    Ok(format!(
        "node {leader} killed, next write accepted after {back} ms; {} acknowledged, 0 lost",
        acknowledged.len()
    ))
}

/// Every code registered under a model.
async fn registered(client: &Client, model: &str) -> Result<BTreeSet<Code>, String> {
    let (mut all, mut token) = (BTreeSet::new(), String::new());
    loop {
        let page = client
            .unverified()
            .robots(model, 1000, &token)
            .await
            .map_err(|error| error.to_string())?;
        all.extend(page.values.iter().map(|robot| robot.identity.code));
        token = page.next;
        if token.is_empty() {
            return Ok(all);
        }
    }
}

/// 86 falls silent: the verdict at 49 rests on what it showed last, until that is too old.
async fn cut_off(world: &World, stage: &mut Stage, code: &str) -> Result<String, String> {
    let arguments = ["verify", code, "--purpose", "operation"];
    // Every node of 49 has seen fresh evidence before the cut.
    for endpoint in world.addresses("49", 2) {
        let words = [
            "--endpoints",
            &endpoint,
            "verify",
            code,
            "--purpose",
            "operation",
        ];
        world.until(stage, "49-regulator", &words).await?;
    }
    // The first answer waited for a seal of 49, and the last for a node that had been killed: once more, so that what each has
    // of 86 is of now.
    for endpoint in world.addresses("49", 2) {
        let words = [
            "--endpoints",
            &endpoint,
            "verify",
            code,
            "--purpose",
            "operation",
        ];
        verdict(world.ask("49-regulator", &words)?, "VALID")?;
    }
    stage.command("kill -STOP <every carnetd of 86>".to_owned());
    world.signal("86", "-STOP")?;
    world.note(stage, "49-regulator", &arguments);
    let first = verdict(world.ask("49-regulator", &arguments)?, "VALID");
    let begun = Instant::now();
    let last = loop {
        let (_, value) = world.ask("49-regulator", &arguments)?;
        if value["verdict"] != "VALID" || PATIENCE < begun.elapsed() {
            break value;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    world.signal("86", "-CONT")?;
    let first = first?;
    let last = verdict((0, last), "STALE")?;
    let age = |value: &Value| value["heads"][0]["age_s"].to_string();
    Ok(format!(
        "VALID at an age of {} s, then STALE at {} s: {}",
        age(&first),
        age(&last),
        reason(&last)
    ))
}

/// How long each node is asked with a certificate that it refuses.
const THIEFS_PATIENCE: Duration = Duration::from_secs(1);

/// A second certificate of a desk is stolen and revoked: it is dead at every node, the desk's own one is not.
async fn stolen(world: &World, stage: &mut Stage) -> Result<String, String> {
    const STOLEN: &str = "customs/port/laptop";
    world.must(stage, "49-admin", &["pki", "client", STOLEN])?;
    let (mut thieves, mut desks) = (Vec::new(), Vec::new());
    for endpoint in world.addresses("49", 2) {
        thieves.push(world.client_at("49", "customs-port-laptop", &endpoint)?);
        desks.push(world.client_at("49", "customs-port-chen", &endpoint)?);
    }
    for client in thieves.iter().chain(&desks) {
        let read = client.unverified().checkpoint(0, 0).await;
        read.map_err(|error| error.to_string())?;
    }
    let revoke = ["pki", "revoke", STOLEN, "--reason", "laptop stolen"];
    world.must(stage, "49-admin", &revoke)?;
    let begun = Instant::now();
    for thief in &thieves {
        // Whoever is refused tries on until its time is over: a second is enough to know.
        while let Ok(Ok(_)) =
            tokio::time::timeout(THIEFS_PATIENCE, thief.unverified().checkpoint(0, 0)).await
        {
            if PATIENCE < begun.elapsed() {
                return Err("a connection with it is still open".to_owned());
            }
        }
    }
    let ms = begun.elapsed().as_millis();
    for desk in &desks {
        let read = desk.unverified().checkpoint(0, 0).await;
        read.map_err(|error| error.to_string())?;
    }
    world.note(stage, "49-admin", &["pki", "list", "--server"]);
    Ok(format!(
        "no node of {} answers it, open connections are closed ({ms} ms of trying); the desk's own certificate goes on",
        thieves.len()
    ))
}

/// The same code at home, the same body everywhere.
async fn again(
    world: &World,
    stage: &mut Stage,
    code: &str,
    maker: &Maker,
) -> Result<String, String> {
    let code = Code::parse(code).map_err(|error| error.to_string())?;
    let body = BodyName {
        maker: maker.clone(),
        serial: code.serial().to_string(),
    };
    let mut said = Vec::new();
    for (prefix, _, name) in COUNTRIES {
        let client = world.client(prefix, "manufacturer-0001-bot")?;
        // The first model of the enterprise 0001 of every country.
        let other = format!("{prefix}0001100001{}", "7".repeat(17));
        let other = Code::parse(&other).map_err(|error| error.to_string())?;
        let tries = if prefix == "86" {
            vec![code, other]
        } else {
            vec![other]
        };
        for again in tries {
            said.push(format!(
                "{name}: {}",
                ended(&client, again, body.clone()).await?
            ));
        }
    }
    stage.command("the SDK: Client::submit_one(Command::Register { … })".to_owned());
    Ok(said.join("; "))
}

/// The refusal of a registration, once the end of life has arrived.
async fn ended(client: &Client, code: Code, body: BodyName) -> Result<String, String> {
    let begun = Instant::now();
    loop {
        match client.submit_one(registration(code, body.clone())).await {
            Err(error) if error.to_string().contains("IdentityEnded") => {
                return Ok("IdentityEnded".to_owned());
            }
            Err(error) if PATIENCE < begun.elapsed() => return Err(error.to_string()),
            Err(error)
                if error.to_string().contains("BodyExists")
                    || error.to_string().contains("CodeExists") => {}
            Err(error) => return Err(error.to_string()),
            Ok(_) => return Err(format!("{} was registered", code.display_form())),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
