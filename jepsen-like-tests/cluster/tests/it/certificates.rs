//! Who is let in on which plane: a certificate of another plane, another country or another time is not.

use std::time::Duration;

use carnet_client::admin::Admin;
use carnet_client::{ApiError, Client, ClientError, Identity};
use carnet_cluster::Broken;
use carnet_cluster::clocks::{Shift, Shim};
use carnet_cluster::jurisdiction::{ADMIN, Jurisdiction, MANUFACTURER, Plan};
use carnet_cluster::programs;

const DEADLINE: Duration = Duration::from_secs(5);

/// An identity of one folder's keys, for the registry of another.
fn identity(
    keys: &Jurisdiction,
    who: &str,
    plane: &str,
    registry: &Jurisdiction,
) -> Result<Identity, Broken> {
    let file = |ending: &str| {
        keys.pki()
            .join(format!("clients/{}{plane}.{ending}", who.replace('/', "-")))
    };
    let roots = registry.pki().join("root/roots.crt");
    Identity::from_files(roots, file("crt"), file("key"), Some(registry.prefix()))
        .map_err(Broken::at(who))
}

async fn read_head(of: &Jurisdiction, identity: Identity) -> Result<(), ClientError> {
    let client = Client::builder([of.client_address(1)], identity)
        .deadline(DEADLINE)
        .build()?;
    client.unverified().checkpoint(0, 0).await.map(drop)
}

async fn read_status(of: &Jurisdiction, identity: Identity) -> Result<(), ClientError> {
    let admin = Admin::new([of.admin_address(1)], identity.admin(), DEADLINE)?;
    admin.status(&of.admin_address(1), false).await.map(drop)
}

/// Refused by the handshake: no answer of the service came back, not even a refusal. In TLS 1.3 the server refuses after
/// the client has begun to speak, so the client may see a connection that breaks instead of one that is not made.
fn refused(outcome: Result<(), ClientError>, what: &str) {
    match outcome {
        Err(
            ClientError::Unreachable { .. }
            | ClientError::UnknownOutcome { .. }
            | ClientError::Api(ApiError::UnknownOutcome { .. }),
        ) => {}
        other => panic!("{what}: {other:?}"),
    }
}

/// The right certificates are let in: what is refused beside them is not refused because the node is away.
async fn serves(registry: &Jurisdiction) -> Result<(), Broken> {
    let client = identity(registry, MANUFACTURER, "", registry)?;
    let head = read_head(registry, client).await;
    head.map_err(Broken::at("client plane"))?;
    let admin = identity(registry, ADMIN, ".admin", registry)?;
    let status = read_status(registry, admin).await;
    status.map_err(Broken::at("admin plane"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_certificates_of_the_plane_and_country_are_let_in() -> Result<(), Broken> {
    let Some(programs) = programs("only_certificates_of_the_plane_and_country_are_let_in") else {
        return Ok(());
    };
    let registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let foreign = Jurisdiction::lay_out(&programs, Plan::of("XB"))?;

    serves(&registry).await?;

    let on_client = identity(&registry, ADMIN, ".admin", &registry)?;
    refused(
        read_head(&registry, on_client).await,
        "an admin-plane certificate on the client plane",
    );
    let on_admin = identity(&registry, ADMIN, "", &registry)?;
    refused(
        read_status(&registry, on_admin).await,
        "a client-plane certificate on the admin plane",
    );
    let abroad = identity(&foreign, MANUFACTURER, "", &registry)?;
    refused(
        read_head(&registry, abroad).await,
        "a certificate of another country",
    );
    let abroad = identity(&foreign, ADMIN, ".admin", &registry)?;
    refused(
        read_status(&registry, abroad).await,
        "an admin of another country",
    );
    serves(&registry).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_time_is_not_let_in() -> Result<(), Broken> {
    const NAME: &str = "a_certificate_of_another_time_is_not_let_in";
    let Some(programs) = programs(NAME) else {
        return Ok(());
    };
    let Some(shim) = Shim::compiled(NAME)? else {
        return Ok(());
    };
    let plan = Plan {
        clocks: Some(shim),
        keys_made: Shift::days(-3),
        ..Plan::of("XA")
    };
    let later = Shift::days(-2);
    let registry = Jurisdiction::start(&programs, plan).await?;
    registry.make_client("manufacturer/0001/valid", 30, later)?;
    registry.make_client("manufacturer/0001/late", 1, later)?;

    let valid = identity(&registry, "manufacturer/0001/valid", "", &registry)?;
    read_head(&registry, valid)
        .await
        .map_err(Broken::at("a certificate in its time"))?;
    let late = identity(&registry, "manufacturer/0001/late", "", &registry)?;
    refused(
        read_head(&registry, late).await,
        "a certificate that has expired",
    );
    serves(&registry).await
}
