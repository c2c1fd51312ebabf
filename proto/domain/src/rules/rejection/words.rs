//! The closed lists that a [`Detail`](super::Detail) names one of, with their words.

/// What is named twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// A role of an enterprise.
    Role,
    /// A model of a recall.
    Model,
    /// A prefix or a root key of a bundle.
    PrefixOrRoot,
    /// A key of an order of the roots.
    Key,
}
crate::canonical_enum!(Listed { 1 => Role, 2 => Model, 3 => PrefixOrRoot, 4 => Key });

impl Listed {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Role => "a role",
            Self::Model => "a model",
            Self::PrefixOrRoot => "a prefix or a root",
            Self::Key => "a key",
        }
    }
}

/// What a range that ends before it begins is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranged {
    /// The days within which an enterprise may act.
    Accreditation,
    /// The production of a model.
    Production,
    /// Serials of a recall.
    Serials,
    /// Firmware builds of a recall.
    Builds,
    /// Manufacture dates of a recall.
    Dates,
}
crate::canonical_enum!(Ranged { 1 => Accreditation, 2 => Production, 3 => Serials, 4 => Builds, 5 => Dates });

impl Ranged {
    /// As words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Accreditation => "the accreditation",
            Self::Production => "the production",
            Self::Serials => "the serials",
            Self::Builds => "the builds",
            Self::Dates => "the manufacture dates",
        }
    }
}

/// Which identity has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The code, the body or a part: not said which.
    Any,
    /// That of the robot: it is never given again.
    Code,
    /// That of the robot: no other one is registered with it.
    Body,
    /// A part that carries identity.
    IdentityPart,
    /// A part to be fitted.
    Part,
    /// The robot's own key.
    Key,
}
crate::canonical_enum!(Ending { 0 => Any, 1 => Code, 2 => Body, 3 => IdentityPart, 4 => Part, 5 => Key });

impl Ending {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Code => "code: ",
            Self::Body => "body: ",
            Self::IdentityPart => "identity part: ",
            Self::Part => "part: ",
            Self::Key => "robot key: ",
        }
    }
}

/// What a proven leaf of a peer lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// Slot 0 names another robot than the leaf's key.
    Subject,
    /// A custody leaf without a code.
    Code,
    /// A custody leaf without its link.
    Link,
    /// A custody leaf without its event.
    Event,
    /// A departure without proof that it is the newest leaf.
    NewestProof,
    /// An offer whose event is no declaration of export.
    Declaration,
}
crate::canonical_enum!(Lacking {
    1 => Subject, 2 => Code, 3 => Link, 4 => Event, 5 => NewestProof, 6 => Declaration,
});

impl Lacking {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Subject => "slot 0 names another robot than the leaf's key",
            Self::Code => "a custody leaf without a code",
            Self::Link => "a custody leaf without its link",
            Self::Event => "a custody leaf without its event",
            Self::NewestProof => "a departure without proof that it is the newest leaf",
            Self::Declaration => "an offer whose event is not a declaration of export",
        }
    }
}

/// What is wrong with a step of the chain that leads to an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Its registry, or this incarnation of it, is not known here.
    Stranger,
    /// Its head is not signed by a key that is in use and known here, nor the last good one of a key that ended.
    Head,
    /// It is not proven under its head.
    Unproven,
    /// It is not a step of this robot that its registry writes and that moves custody.
    NoStep,
    /// The chain begins with it, and not with the registration by the issuer of the code, or a step by which the issuer had the robot.
    Beginning,
    /// There is no contact with its registry, its bundle ran out, or its word is doubted here.
    Distrusted,
}
crate::canonical_enum!(Flaw { 1 => Stranger, 2 => Head, 3 => Unproven, 4 => NoStep, 5 => Beginning, 6 => Distrusted });

impl Flaw {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Stranger => "of a registry that is not known here",
            Self::Head => "under a head that is not believed",
            Self::Unproven => "not proven under its head",
            Self::NoStep => "no step of custody of this robot by its registry",
            Self::Beginning => "with which no chain begins",
            Self::Distrusted => "of a registry whose word does not count here now",
        }
    }
}

/// What a record holds as much of as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Epochs of a chain.
    Epochs,
    /// Parts that carry identity.
    IdentityParts,
    /// Other parts.
    Parts,
    /// AI models, those among them that the record no longer names.
    AiModels,
    /// Marks on one robot.
    Holds,
    /// That one robot owes.
    OwedRecalls,
    /// That were remedied on one robot.
    RemediedRecalls,
    /// Peers of a registry.
    Peers,
    /// Replaced parts that carried identity.
    FormerParts,
    /// Robots that a peer offers.
    Offers,
    /// Statements of a peer that were answered with a nack.
    Nacks,
    /// Ends of identities that a peer tells or claims.
    Claims,
    /// Leaves that the mail of a peer had us write.
    Leaves,
    /// Active keys of admins, registrars and regulators.
    Supervisors,
    /// Open proposals of admins.
    Proposals,
    /// Ends of life that strangers declared.
    Declarations,
    /// Recalls that name the models of one, all its models counted.
    RecallsOverModels,
    /// Models that a recall named before an amendment or names after it.
    ModelsOfAmendment,
    /// Items of a peer that wait.
    Parked,
    /// Items of a peer's mailbox.
    MailItems,
    /// Bytes of a peer's mailbox.
    MailBytes,
    /// Robots that one enterprise offers to one country, and that wait for its answer.
    OffersOfOne,
    /// Times that the roots were replaced.
    RootChanges,
    /// Recalls that an enterprise opens.
    Recalls,
    /// Certificates that are refused.
    Revocations,
    /// Ends of life that one key declared or confirmed.
    Ends,
    /// Keys of the jurisdiction itself, below its roots.
    Keys,
    /// Custody steps that lead to an offer.
    ChainSteps,
}
crate::canonical_enum!(Counted {
    1 => Epochs, 2 => IdentityParts, 3 => Parts, 4 => AiModels, 5 => Holds, 6 => OwedRecalls, 7 => RemediedRecalls,
    8 => Peers, 9 => FormerParts, 40 => Offers, 41 => Nacks, 42 => Claims, 43 => Leaves, 44 => Supervisors, 45 => Proposals,
    46 => Declarations, 47 => RecallsOverModels, 48 => ModelsOfAmendment, 49 => Parked,
    50 => MailItems, 51 => MailBytes, 52 => OffersOfOne,
    60 => RootChanges, 61 => Recalls, 62 => Revocations, 63 => Ends, 64 => Keys,
    70 => ChainSteps,
});

impl Counted {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Epochs => "epochs",
            Self::IdentityParts => "identity parts",
            Self::Parts => "parts",
            Self::AiModels => "AI models",
            Self::Holds => "holds",
            Self::OwedRecalls => "owed recalls",
            Self::RemediedRecalls => "remedied recalls",
            Self::Peers => "peers",
            Self::FormerParts => "replaced identity parts",
            Self::Offers => "offers",
            Self::Nacks => "nacks",
            Self::Claims => "ends and claims",
            Self::Leaves => "leaves",
            Self::Supervisors => "keys of admins, registrars and regulators",
            Self::Proposals => "proposals",
            Self::Declarations => "declarations by strangers",
            Self::RecallsOverModels => "recalls over models",
            Self::ModelsOfAmendment => "models before and after the amendment",
            Self::Parked => "items that wait",
            Self::MailItems => "items",
            Self::MailBytes => "bytes of mail",
            Self::OffersOfOne => "offers of one enterprise that wait for an answer",
            Self::RootChanges => "replacements of the roots",
            Self::Recalls => "recalls opened",
            Self::Revocations => "revoked certificates",
            Self::Ends => "ends declared or confirmed by one key",
            Self::Keys => "keys of the jurisdiction",
            Self::ChainSteps => "custody steps that lead to the offer",
        }
    }
}

/// What never changes of a robot on its way from country to country, as far as a disclosure can contradict it. Code and
/// model are the subject of the leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fixed {
    /// Its maker and serial.
    Body,
    /// When and where it was made, and who filed it.
    Manufacture,
    /// The declared country of origin.
    Origin,
    /// The robot's own key.
    RobotKey,
}
crate::canonical_enum!(Fixed { 1 => Body, 2 => Manufacture, 3 => Origin, 4 => RobotKey });

impl Fixed {
    /// As words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Manufacture => "manufacture",
            Self::Origin => "country of origin",
            Self::RobotKey => "robot key",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Copy>(all: &[T], word: fn(T) -> &'static str, expected: &str) {
        let words: Vec<&str> = all.iter().map(|one| word(*one)).collect();
        assert_eq!(words.join("; "), expected);
    }

    #[test]
    fn every_word_says_what_it_stands_for() {
        check(
            Listed::ALL,
            Listed::word,
            "a role; a model; a prefix or a root; a key",
        );
        check(
            Ranged::ALL,
            Ranged::word,
            "the accreditation; the production; the serials; the builds; the manufacture dates",
        );
        check(
            Ending::ALL,
            Ending::word,
            "; code: ; body: ; identity part: ; part: ; robot key: ",
        );
        check(
            Lacking::ALL,
            Lacking::text,
            "slot 0 names another robot than the leaf's key; a custody leaf without a code; a custody leaf without its link; a \
             custody leaf without its event; a departure without proof that it is the newest leaf; an offer whose event is not a \
             declaration of export",
        );
        check(
            Fixed::ALL,
            Fixed::word,
            "body; manufacture; country of origin; robot key",
        );
        check(
            Counted::ALL,
            Counted::word,
            "epochs; identity parts; parts; AI models; holds; owed recalls; remedied recalls; peers; replaced identity parts; \
             offers; nacks; ends and claims; leaves; keys of admins, registrars and regulators; proposals; declarations by \
             strangers; recalls over models; models before and after the amendment; items that wait; items; bytes of mail; \
             offers of one enterprise that wait for an answer; replacements of the roots; recalls opened; revoked certificates; \
             ends declared or confirmed by one key; keys of the jurisdiction; custody steps that lead to the offer",
        );
    }
}
