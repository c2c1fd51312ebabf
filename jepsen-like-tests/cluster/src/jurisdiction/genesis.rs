//! The beginning of a registry, and the little business that every workload needs.

use carnet_client::wall_time;
use carnet_domain::bytes::code::{EnterpriseId, ModelId};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::SecretKey;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::machine::entry::{Answer, ItemAnswer};
use carnet_domain::record::offices::Profile;
use carnet_domain::record::peer::{
    FirstSigner, Genesis, RootSignature, Signed, Statement, root_signing_bytes,
};
use carnet_domain::record::{Enrolment, Form, Holder, IdentifierScheme, Maker, ModelFacts};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;

use super::{ADMIN, Jurisdiction, MANUFACTURER, REGISTRAR, SECOND_ADMIN, SECOND_REGISTRAR, layout};
use crate::patience::Broken;

/// Incarnation of a fresh log.
pub(super) const INCARNATION: u64 = 0;
/// An idle log is not sealed within a test, so that it has a last head.
const SEAL_IDLE: DurationMs = DurationMs::from_days(1);
/// The only model.
pub(super) const MODEL: &str = "100002";
/// The only enterprise.
pub(super) const ENTERPRISE: &str = "0001";

/// The genesis, signed by every root.
pub(super) fn signed(of: &Jurisdiction) -> Result<Signed, Broken> {
    let keys = (1..=of.plan.roots).map(|number| {
        let path = of.pki().join(format!("root/root-{number}.seed"));
        carnet_client::keys::read_seed(&path).map_err(Broken::at("root key"))
    });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let cluster = carnet_client::keys::read_cluster(&of.pki()).map_err(Broken::at("cluster"))?;
    let signer = |who: &str, role, office: &str| -> Result<FirstSigner, Broken> {
        let public = layout::actor_key(of, who)?;
        Ok(FirstSigner {
            public,
            holder: Holder::Office {
                name: office.to_owned(),
            },
            role,
            person: who.to_owned(),
        })
    };
    let mut signers = vec![
        signer(ADMIN, Role::Admin, "admin/ops")?,
        signer(REGISTRAR, Role::Registrar, "registrar/hq")?,
    ];
    if of.plan.in_earnest {
        // Its certificate names the person so: nobody rejects what is about themselves.
        signers.push(FirstSigner {
            person: "two".into(),
            ..signer(SECOND_ADMIN, Role::Admin, "admin/ops")?
        });
        let second = signer(SECOND_REGISTRAR, Role::Registrar, "registrar/hq")?;
        signers.push(second);
    }
    let genesis = Genesis {
        prefix: of.prefix(),
        country: "AQ".to_owned(),
        incarnation: INCARNATION,
        cluster: cluster.bytes(),
        roots: keys.iter().map(SecretKey::public).collect(),
        threshold: of.plan.roots.min(2),
        log_key: of.log_identity()?.1,
        time: wall_time(),
        seal_idle: SEAL_IDLE,
        // In a sandbox one admin enrols everybody.
        profile: match of.plan.in_earnest {
            true => Profile::Production,
            false => Profile::Sandbox,
        },
        signers,
    };
    let bytes = Statement::Genesis { genesis }.to_bytes();
    let message = root_signing_bytes(&bytes);
    let signatures = keys.iter().map(|root| RootSignature {
        root: root.public(),
        signature: root.sign(&message),
    });
    Ok(Signed {
        signatures: signatures.collect(),
        bytes: Blob(bytes),
    })
}

/// Whether the answer to a genesis is a yes.
pub(super) fn judge(answer: &Answer) -> Result<(), Broken> {
    match answer
        .items
        .iter()
        .find(|item| matches!(item, ItemAnswer::Refused { .. }))
    {
        None => Ok(()),
        Some(refused) => Err(Broken::new(format!("the genesis was refused: {refused:?}"))),
    }
}

/// Accredits the enterprise, enrols its key and approves its model.
pub(super) async fn open_for_business(of: &Jurisdiction) -> Result<(), Broken> {
    let registrar = of
        .client(REGISTRAR, &of.running())?
        .build()
        .map_err(Broken::at("registrar"))?;
    let enterprise = enterprise(of)?;
    let (from, to) = (
        TimeMs::from_ms(0),
        TimeMs::parse("2100-01-01T00:00:00Z").map_err(Broken::at("a date"))?,
    );
    let commands = [
        Command::AccreditEnterprise {
            code: enterprise.enterprise(),
            name: "Harness Robotics".to_owned(),
            maker: Maker {
                scheme: IdentifierScheme::Name,
                country: "CN".to_owned(),
                identifier: "HARNESS-ROBOTICS".to_owned(),
            },
            roles: vec![Role::Manufacturer],
            valid_from: from,
            valid_to: to,
        },
        enrolment(
            of,
            MANUFACTURER,
            Holder::Enterprise { id: enterprise },
            Role::Manufacturer,
        )?,
        Command::ApproveModel {
            id: model(of)?,
            facts: ModelFacts {
                name: "H1".to_owned(),
                certificate: "TA-1".to_owned(),
                form: Form::Bipedal,
                level: 3,
                safety_class: 2,
                height_cm: 170,
                mass_kg: 60,
                degrees_of_freedom: 40,
                battery_wh: 900,
                firmware_family: FIRMWARE.to_owned(),
                commodity: String::new(),
            },
            production_from: from,
            production_to: to,
        },
    ];
    for command in commands {
        let name = command.name();
        registrar
            .submit_one(command)
            .await
            .map_err(Broken::at(name))?;
    }
    Ok(())
}

/// The command that enrols the key of somebody of whom the layout has the files.
fn enrolment(of: &Jurisdiction, who: &str, holder: Holder, role: Role) -> Result<Command, Broken> {
    let path = of
        .pki()
        .join(format!("clients/{}.actor.key", layout::stem(who)));
    let key = carnet_client::keys::read_seed(&path);
    let key = key.map_err(Broken::at(path.display().to_string()))?;
    Ok(enrol(of, &key, holder, role, who))
}

/// The command that enrols a key, signed by it.
pub(super) fn enrol(
    of: &Jurisdiction,
    key: &SecretKey,
    holder: Holder,
    role: Role,
    person: &str,
) -> Command {
    let enrolment = Enrolment {
        public: key.public(),
        holder,
        role,
        person: person.to_owned(),
    };
    Command::AddSigner {
        proof: enrolment.sign(&of.prefix(), key),
        enrolment,
        word: None,
        instead: None,
        reason: String::new(),
    }
}

/// Enrols the key of an office, whose name is its person's without the last part. Only an admin may.
pub(super) async fn enrol_office(of: &Jurisdiction, who: &str, role: Role) -> Result<(), Broken> {
    let office = who.rsplit_once('/').map_or(who, |(office, _)| office);
    let admin = of
        .client(ADMIN, &of.running())?
        .build()
        .map_err(Broken::at("admin"))?;
    let name = office.to_owned();
    let command = enrolment(of, who, Holder::Office { name }, role)?;
    admin.submit_one(command).await.map_err(Broken::at(who))?;
    Ok(())
}

/// Accredits an enterprise for one role, on the registrar's word, and enrols the key of somebody who signs for it.
pub(super) async fn enrol_enterprise(
    of: &Jurisdiction,
    who: &str,
    code: &str,
    role: Role,
) -> Result<(), Broken> {
    let text = format!("{}{code}", of.prefix());
    let id = EnterpriseId::parse(&text).map_err(Broken::at(text.clone()))?;
    let registrar = of
        .client(REGISTRAR, &of.running())?
        .build()
        .map_err(Broken::at("registrar"))?;
    let accredited = Command::AccreditEnterprise {
        code: id.enterprise(),
        name: text.clone(),
        maker: Maker {
            scheme: IdentifierScheme::Name,
            country: "CN".to_owned(),
            identifier: text.clone(),
        },
        roles: vec![role],
        valid_from: TimeMs::from_ms(0),
        valid_to: TimeMs::parse("2100-01-01T00:00:00Z").map_err(Broken::at("a date"))?,
    };
    let enrolled = enrolment(of, who, Holder::Enterprise { id }, role)?;
    for command in [accredited, enrolled] {
        registrar
            .submit_one(command)
            .await
            .map_err(Broken::at(who))?;
    }
    Ok(())
}

/// The firmware family of every robot.
pub(super) const FIRMWARE: &str = "h1-os";

/// The enterprise in this jurisdiction.
pub(super) fn enterprise(of: &Jurisdiction) -> Result<EnterpriseId, Broken> {
    EnterpriseId::parse(&format!("{}{ENTERPRISE}", of.prefix()))
        .map_err(Broken::at("enterprise code"))
}

/// The model in this jurisdiction.
pub(super) fn model(of: &Jurisdiction) -> Result<ModelId, Broken> {
    ModelId::parse(&format!("{}{ENTERPRISE}{MODEL}", of.prefix())).map_err(Broken::at("model code"))
}
