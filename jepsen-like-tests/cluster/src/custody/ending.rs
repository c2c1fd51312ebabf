//! What both countries have at the end: everything a checker judges by.

use carnet_client::{Client, ClientError};
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::custody::Link;
use carnet_domain::log::leaf::Kind;
use carnet_domain::log::merkle::leaf_hash;
use carnet_domain::log::stored::OpenedLeaf;
use carnet_domain::record::event::slot;
use carnet_domain::record::transfer::Transfer;
use carnet_wire::limits::PAGE_SIZE_MAX;
use carnet_wire::status::ApiError;

use super::{Ended, Kept, OwnLink};
use crate::patience::Broken;

/// Every transfer of a country.
pub(super) async fn transfers(client: &Client) -> Result<Vec<Transfer>, Broken> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = client
            .unverified()
            .transfers("", PAGE_SIZE_MAX, &token)
            .await
            .map_err(Broken::at("transfers"))?;
        all.extend(page.values);
        token = page.next;
        if token.is_empty() {
            return Ok(all);
        }
    }
}

/// What a country has of these robots.
pub(super) async fn read(
    client: &Client,
    prefix: Prefix,
    robots: &[Code],
) -> Result<Ended, Broken> {
    let mut ended = Ended {
        prefix,
        robots: Default::default(),
        transfers: transfers(client).await?,
    };
    for code in robots {
        ended.robots.insert(*code, kept(client, code).await?);
    }
    Ok(ended)
}

async fn kept(client: &Client, code: &Code) -> Result<Kept, Broken> {
    let broken = |what: &str, error: &dyn std::fmt::Display| {
        Broken::new(format!("{what} of {code}: {error}"))
    };
    let chain = match client.unverified().robot(code).await {
        Ok(robot) => Some(robot.value.custody),
        Err(ClientError::Api(ApiError::NotFound { .. })) => None,
        Err(error) => return Err(broken("record", &error)),
    };
    let leaves = match client.unverified().history(code).await {
        Ok(history) => history.value,
        Err(ClientError::Api(ApiError::NotFound { .. })) => Vec::new(),
        Err(error) => return Err(broken("history", &error)),
    };
    let mut own = Vec::new();
    for opened in &leaves {
        own.extend(own_link(opened).map_err(|error| broken("a leaf", &error))?);
    }
    let trail = client
        .unverified()
        .movements(code)
        .await
        .map_err(|error| broken("trail", &error))?
        .value
        .movements;
    Ok(Kept { chain, own, trail })
}

/// The link that a leaf wrote: registrations and custody steps have one; every other robot leaf shows the newest.
fn own_link(opened: &OpenedLeaf) -> Result<Option<OwnLink>, String> {
    if !matches!(opened.leaf().kind, Kind::Register | Kind::Custody) {
        return Ok(None);
    }
    let link = opened.slots().get::<Link>(slot::CUSTODY);
    let link = link.map_err(|error| error.to_string())?;
    let link = link.ok_or("no custody slot in a custody leaf")?;
    Ok(Some(OwnLink {
        leaf: leaf_hash(opened.bytes()),
        link,
    }))
}
