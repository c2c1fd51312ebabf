//! What is judged before anything is proposed: who calls, whether the role may, and whether the signature is good.
//!
//! The same table and the same verification run again in `apply`, on every replica; ingress only refuses early and
//! remembers what it verified. Refusals here are not committed and consume no number.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::{KeyId, Signature};
use carnet_domain::log::authority::{EnvelopeError, SignedHeader, header_of};
use carnet_domain::machine::entry::{Request, SessionOpening};
use carnet_domain::machine::parsed::{Parsed, any_command};
use carnet_domain::machine::{Question, is_answered, signature_digest};
use carnet_domain::record::peer::{Signed, Statement, signed_by_roots};
use carnet_domain::record::registry::Registry;
use carnet_domain::record::{Holder, Signer};
use carnet_domain::rules::actions::{ever, roles_for};
use carnet_domain::rules::command::CommandKind;
use carnet_domain::rules::parties::barred;
use carnet_domain::rules::rejection::{Detail, Reason, Rejection};
use carnet_store::records::Records;
use carnet_wire::status::ApiError;

use crate::node::Node;
use crate::service::caller::{Caller, denied, spaced};
use crate::told::storage_before;

/// A header that is canonical, of a known kind, and that the caller's role may sign.
///
/// # Errors
/// Malformed, or not allowed.
pub fn header(caller: &Caller, bytes: &[u8]) -> Result<SignedHeader, ApiError> {
    let header = SignedHeader::from_bytes(bytes)
        .map_err(|error| ApiError::invalid("request.header", error))?;
    let Some(kind) = CommandKind::from_number(u64::from(header.kind)) else {
        return Err(ApiError::invalid(
            "request.header.kind",
            format!(
                "{} is not the number of a command that this registry knows",
                header.kind
            ),
        ));
    };
    may(caller, kind)?;
    Ok(header)
}

/// Whether the caller's role ever sends such commands.
fn may(caller: &Caller, kind: CommandKind) -> Result<(), ApiError> {
    let role = caller.role();
    if ever(role, kind) {
        return Ok(());
    }
    Err(denied(role, &spaced(kind.name()), roles_for(kind)))
}

/// Verifies a request's signature over its header before it is proposed, by the rule of `apply`, and remembers it for `apply`.
///
/// A key that is not enrolled or has ended, belongs to another than the caller, or is of an enterprise that may not act, is
/// refused here, so that nothing of them comes into the log; anything else that `apply` refuses by number is left to it, and
/// the refusal is committed. What was answered before is told again, whatever its signer may do by now.
///
/// # Errors
/// Not allowed, malformed, no leader to ask whether the key is enrolled, or a fault of the store.
pub async fn verify(
    node: &Node,
    caller: &Caller,
    header: &SignedHeader,
    (bytes, signature): (&[u8], &Signature),
) -> Result<(), ApiError> {
    let signer = signer(node, (header.prefix, header.incarnation), &header.key).await?;
    belongs(caller, &signer)?;
    // Before its signature waits with others: what is wrong with the header is not for the load to decide.
    if let Err(error) = header_of(bytes, &signer.public) {
        return Err(ApiError::invalid("request.header", error));
    }
    let asked = (&signer.public, bytes, signature);
    match node.signatures.verify(caller.holder(), asked).await {
        Ok(()) => {
            let digest = sha256(&[bytes, &signature.0]);
            stands(node, header, (&digest, &signer)).await?;
            node.state
                .verified()
                .note(signature_digest(&signer, &digest));
            Ok(())
        }
        Err(error) => {
            let error = EnvelopeError::Signature(error);
            Err(ApiError::invalid("request.signature", error))
        }
    }
}

/// Whether anything of this kind that the signer signs may be executed, by the same table as in `apply`.
async fn stands(
    node: &Node,
    header: &SignedHeader,
    (request, signer): (&Digest, &Signer),
) -> Result<(), ApiError> {
    let Some(kind) = CommandKind::from_number(u64::from(header.kind)) else {
        return Ok(());
    };
    let barred = || {
        let Some(rejection) = barred_now(node, signer, kind)? else {
            return Ok(None);
        };
        // Asked only of whoever may not act: the answers of a session are read for nobody else.
        let records = Records(node.state.engine());
        let kept = |session, place, first| records.answer(session, place, first);
        let answered = is_answered(header, request, kept).map_err(storage_before)?;
        Ok((!answered).then_some(rejection))
    };
    if barred()?.is_none() {
        return Ok(());
    }
    // This node may lag behind whoever reinstated the enterprise, or behind the answer.
    node.linearize().await?;
    barred()?.map_or(Ok(()), |rejection| Err(rejected(&rejection)))
}

/// Why nothing of a kind of this signer would be executed. An accreditation begins and ends by log time, which stands while
/// nobody writes: only what neither it nor the clock allows is refused.
fn barred_now(
    node: &Node,
    signer: &Signer,
    kind: CommandKind,
) -> Result<Option<Rejection>, ApiError> {
    let records = Records(node.state.engine());
    // Its record may have changed since.
    let signer = records.signer(&signer.id).map_err(storage_before)?;
    let Some(signer) = signer else {
        return Ok(None);
    };
    let enterprise = match &signer.holder {
        Holder::Enterprise { id } => records.enterprise(id).map_err(storage_before)?,
        Holder::Office { .. } => None,
    };
    let (log_time, wall) = (node.progress().log_time, node.clock.wall());
    let at = |now| barred(&signer, enterprise.as_ref(), kind, now);
    Ok(at(log_time).and(at(log_time.max(wall))))
}

/// Reads every command of a request, or of a part of one, by the level that the registry stands at: what is malformed is
/// not proposed. `first_item` of a part says which items of the whole they are.
///
/// # Errors
/// The first item that is not a command, or a fault of the store.
pub fn parse(node: &Node, header: &SignedHeader, request: Request) -> Result<Parsed, ApiError> {
    // Not of the registry itself: whoever asks for that waits for as long as something is applied.
    let level = node.state.progress().borrow().level;
    let level = level.ok_or_else(|| ApiError::unavailable("the registry has no genesis yet"))?;
    let first = request.first_item as usize;
    Parsed::parse(request, header, level).map_err(|bad| {
        let item = first.saturating_add(bad.index);
        ApiError::invalid(format!("request.items[{item}]"), &bad.rejection)
    })
}

/// Verifies the opening of a session before it is proposed, as [`verify`] does a request.
///
/// # Errors
/// As [`verify`].
pub async fn verify_opening(
    node: &Node,
    caller: &Caller,
    opening: &[u8],
    signature: &Signature,
) -> Result<(), ApiError> {
    let said =
        SessionOpening::from_bytes(opening).map_err(|error| ApiError::invalid("opening", error))?;
    if said.subject != caller.subject() {
        return Err(ApiError::denied("the opening names another certificate"));
    }
    let signer = signer(node, (said.prefix, said.incarnation), &said.key).await?;
    belongs(caller, &signer)?;
    // It comes back by no later write: an ended key is ended.
    if signer.has_ended() {
        let detail = Detail::Key { key: signer.id };
        return Err(rejected(&Rejection::new(Reason::SignerNotActive, detail)));
    }
    carnet_domain::bytes::signature::verify(
        &signer.public,
        &SessionOpening::signing_bytes(opening),
        signature,
    )
    .map_err(|error| ApiError::invalid("signature", error))
}

/// Verifies a question for what the rules would answer: whoever asks holds the key, may send such commands, and learns no more than
/// a refusal of the command itself would tell.
///
/// # Errors
/// As [`verify`].
pub async fn verify_question(
    node: &Node,
    caller: &Caller,
    bytes: &[u8],
    signature: &Signature,
) -> Result<Question, ApiError> {
    let question =
        Question::from_bytes(bytes).map_err(|error| ApiError::invalid("question", error))?;
    let registry = node.state.registry().map_err(storage_before)?;
    let registry =
        registry.ok_or_else(|| ApiError::unavailable("the registry has no genesis yet"))?;
    let meant = (question.prefix, question.incarnation);
    if meant != (registry.prefix, registry.incarnation) {
        return Err(rejected(&elsewhere(meant, &registry)));
    }
    let signer = signer(node, meant, &question.key).await?;
    belongs(caller, &signer)?;
    carnet_domain::bytes::signature::verify(
        &signer.public,
        &Question::signing_bytes(bytes),
        signature,
    )
    .map_err(|error| ApiError::invalid("signature", error))?;
    for (index, item) in question.items.iter().enumerate() {
        let command = any_command(item, registry.level)
            .map_err(|bad| ApiError::invalid(format!("question.items[{index}]"), bad))?;
        may(caller, command.kind())?;
    }
    Ok(question)
}

/// Verifies a statement of the roots before it is proposed: an admin's certificate alone writes nothing to the log.
///
/// # Errors
/// Malformed, not signed by as many of this registry's roots as it takes, no leader to ask which those are, or a fault of
/// the store.
pub async fn verify_statement(node: &Node, signed: &Signed) -> Result<(), ApiError> {
    let judged = || {
        let registry = node.state.registry().map_err(storage_before)?;
        is_of_the_roots(registry.as_ref(), signed)
    };
    if judged()? {
        return Ok(());
    }
    // This node may lag behind a change of the roots.
    node.linearize().await?;
    if judged()? {
        return Ok(());
    }
    let rejection = Rejection::new(Reason::StatementUnsigned, Detail::NOTHING);
    Err(rejected(&rejection))
}

/// Whether the roots signed a statement: those of the registry, or before there is one, those that its genesis names.
fn is_of_the_roots(registry: Option<&Registry>, signed: &Signed) -> Result<bool, ApiError> {
    let (bytes, signatures) = (&signed.bytes.0, &signed.signatures);
    if let Some(registry) = registry {
        return Ok(signed_by_roots(
            &registry.roots,
            registry.threshold,
            bytes,
            signatures,
        ));
    }
    match Statement::from_bytes(bytes) {
        Ok(Statement::Genesis { genesis }) => Ok(signed_by_roots(
            &genesis.roots,
            genesis.threshold,
            bytes,
            signatures,
        )),
        Ok(_) => Ok(false),
        Err(error) => Err(ApiError::invalid("signed", error)),
    }
}

/// The record of a key, as new as every write that was acknowledged before the call: this node may lag behind the key's
/// addition. What is meant for another registry is no unknown key.
async fn signer(node: &Node, meant: (Prefix, u64), key: &KeyId) -> Result<Signer, ApiError> {
    let read = || {
        let found = Records(node.state.engine()).signer(key);
        found.map_err(storage_before)
    };
    if let Some(signer) = read()? {
        return Ok(signer);
    }
    node.linearize().await?;
    if let Some(signer) = read()? {
        return Ok(signer);
    }
    let registry = node.state.registry().map_err(storage_before)?;
    let rejection = match registry {
        Some(registry) if meant != (registry.prefix, registry.incarnation) => {
            elsewhere(meant, &registry)
        }
        _ => Rejection::new(Reason::SignerUnknown, Detail::Key { key: *key }),
    };
    Err(rejected(&rejection))
}

/// That something is meant for another registry, or another life of this one.
fn elsewhere((prefix, incarnation): (Prefix, u64), registry: &Registry) -> Rejection {
    let detail = Detail::MeantFor {
        prefix,
        incarnation,
        here: registry.prefix,
        incarnation_here: registry.incarnation,
    };
    Rejection::new(Reason::WrongAudience, detail)
}

/// A lawful "no" to a call that has no answer to carry it.
pub fn rejected(rejection: &Rejection) -> ApiError {
    ApiError::Rejected {
        number: rejection.reason.number(),
        text: rejection.to_string(),
    }
}

/// The certificate and the signing key must be of the same enterprise, or both of an office with the same role.
fn belongs(caller: &Caller, signer: &Signer) -> Result<(), ApiError> {
    let name = caller.name();
    let same = match &signer.holder {
        Holder::Enterprise { id } => name.enterprise() == Some(*id) && name.role() == signer.role,
        Holder::Office { .. } => name.role() == signer.role && name.enterprise().is_none(),
    };
    if same {
        return Ok(());
    }
    Err(ApiError::denied(format!(
        "{name} may not send what {} signed as {}",
        signer.holder,
        signer.role.word()
    )))
}

#[cfg(test)]
mod tests {
    use carnet_domain::bytes::encoding::Blob;
    use carnet_kit::Country;

    use super::*;

    /// A founded registry, as far as the judgement looks at it, and statements for it.
    #[test]
    fn only_what_the_roots_signed_is_proposed() {
        let country = Country::unborn("86");
        let other = Country::unborn("44");
        let signed = |by: &Country| {
            by.sign_statement(&Statement::Genesis {
                genesis: country.genesis(),
            })
        };
        let judged = |signed: &Signed| is_of_the_roots(None, signed);
        assert_eq!(judged(&signed(&country)), Ok(true));
        assert_eq!(judged(&signed(&other)), Ok(false));
        // One signature where two are needed, none, a bit of the bytes another, and junk.
        let mut one = signed(&country);
        one.signatures.truncate(1);
        assert_eq!(judged(&one), Ok(false));
        one.signatures.clear();
        assert_eq!(judged(&one), Ok(false));
        let mut twice = signed(&country);
        let first = twice.signatures[0].clone();
        twice.signatures = vec![first.clone(), first];
        assert_eq!(judged(&twice), Ok(false));
        let junk = Signed {
            bytes: Blob(vec![7; 60_000]),
            signatures: signed(&country).signatures,
        };
        assert!(judged(&junk).is_err());
        let registry = Country::new("86").registry();
        let judged = |signed: &Signed| is_of_the_roots(Some(&registry), signed);
        assert_eq!(judged(&signed(&country)), Ok(true));
        assert_eq!(judged(&signed(&other)), Ok(false));
        assert_eq!(judged(&junk), Ok(false));
    }
}
