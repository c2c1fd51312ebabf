//! Registers one robot and believes it only when the log proves it: what a maker's own software does.
//!
//! ```text
//! cargo run -p carnet-client --example register_and_verify -- 10.0.0.1:7001 /etc/carnet/pki manufacturer-0001-bot \
//!     86-0001-000002-00000000000000042
//! ```

use std::path::Path;
use std::sync::Arc;

use carnet_client::types::{
    BodyName, Code, Command, DurationMs, Firmware, IdentifierScheme, Maker, Registration,
};
use carnet_client::{Client, FileSigner, Identity, Log, identity, keys, wall_time};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoints, pki, who, code] = arguments.as_slice() else {
        return Err("write ENDPOINTS PKI-DIRECTORY WHO CODE".into());
    };
    let code = Code::parse(code)?;
    let pki = Path::new(pki);
    let of_ours = |ending: &str| pki.join(format!("clients/{who}{ending}"));

    // Who we are, and whose roots we believe.
    let identity = Identity::from_files(
        pki.join("root/roots.crt"),
        of_ours(".crt"),
        of_ours(".key"),
        Some(code.prefix()),
    )?;
    let signer = FileSigner::open(of_ours(".actor.key"))?;
    // The servers are not believed: the log is, by its key.
    let log_key = keys::read_public_key(&pki.join("keys/log.pub"))?;
    let client = Client::builder(endpoints.split(','), identity)
        .signer(Arc::new(signer))
        .log(Log::new(code.prefix(), log_key))
        .build()?;

    let maker = Maker {
        scheme: IdentifierScheme::Name,
        country: "CN".to_owned(),
        identifier: identity::canonical_name("Example Robotics")?,
    };
    let registration = Registration {
        code,
        body: BodyName {
            maker,
            serial: code.serial().to_string(),
        },
        // Never later than log time, whatever this machine's clock says.
        manufactured: wall_time().saturating_sub(DurationMs::from_days(1)),
        site: "Wuhan".to_owned(),
        origin: "CN".to_owned(),
        prototype: false,
        importers_filing: false,
        identity_parts: Vec::new(),
        parts: Vec::new(),
        robot_key: None,
        firmware: Firmware {
            family: "main".to_owned(),
            build: 1,
        },
    };
    // A lawful "no" is an error that says what to do next; sent twice by a bad line, it is registered once.
    let command = Command::Register { registration };
    let done = client.submit_published(&[command]).await?.single()?;
    say(format!("registered at {}", done.at));

    // Every read is proven on this machine, under the log's key, and covers what was just written.
    let proven = client.robot(&code).await?;
    let robot = proven.value().robot().ok_or("it is not in the log")?;
    let standing = robot.standing()?.ok_or("its state is not shown")?;
    say(format!(
        "proven: {} is {:?}",
        proven.value().code().display_form(),
        standing.state
    ));
    let maker = client.enterprise(&code.enterprise_id()).await?;
    let maker = maker
        .value()
        .as_ref()
        .ok_or("its maker is not in the log")?;
    say(format!("its maker {} is {:?}", maker.id, maker.status));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what an example shows is its data")]
fn say(text: String) {
    println!("{text}");
}
