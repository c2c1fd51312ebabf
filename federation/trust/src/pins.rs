//! The countries that a verifier compared out of band: one set, in which no two speak for one prefix, and in which a bundle
//! is only ever replaced by a newer one.

use std::collections::BTreeMap;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::record::peer::{Bundle, Signed, signed_by_roots};

use crate::bundle::{BundleError, PinnedBundle};

/// Why a country cannot be pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The bundle does not hold.
    #[error("the bundle is not pinned")]
    Bundle(#[from] BundleError),
    /// More signatures are asked for than there are roots, or none.
    #[error("{of}: {threshold} of {roots} roots can never sign")]
    Threshold {
        /// Whose roots.
        of: Prefix,
        /// How many must sign.
        threshold: u8,
        /// How many there are.
        roots: usize,
    },
    /// One country is named twice.
    #[error("{0} is pinned twice; pin its newest bundle only")]
    Twice(Prefix),
    /// Two countries claim one prefix.
    #[error("{first} and {second} both claim prefix {prefix}")]
    Overlap {
        /// Which only one of them has.
        prefix: Prefix,
        /// Who was pinned first.
        first: Prefix,
        /// Who claims it too.
        second: Prefix,
    },
    /// The verifier's own country is not among them.
    #[error("{0}, the verifier's own country, is not pinned")]
    OwnMissing(Prefix),
}

/// One country that was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    primary: Prefix,
    prefixes: Vec<Prefix>,
    roots: Vec<PublicKey>,
    threshold: u8,
    bundle: Option<PinnedBundle>,
    signed: Option<Signed>,
}

impl Pin {
    /// A country's root keys. Its bundle is taken from elsewhere, and no other prefix is its own.
    ///
    /// # Errors
    /// The threshold can never be reached.
    pub fn of_roots(
        primary: Prefix,
        roots: Vec<PublicKey>,
        threshold: u8,
    ) -> Result<Self, PinError> {
        if !(1..=roots.len()).contains(&usize::from(threshold)) {
            let (of, roots) = (primary, roots.len());
            return Err(PinError::Threshold {
                of,
                threshold,
                roots,
            });
        }
        Ok(Self {
            primary,
            prefixes: vec![primary],
            roots,
            threshold,
            bundle: None,
            signed: None,
        })
    }

    /// A bundle whose fingerprint was compared: its roots, its prefixes, its log key, its sequence.
    ///
    /// # Errors
    /// Its own roots did not sign it.
    pub fn of_bundle(signed: &Signed) -> Result<Self, PinError> {
        let claimed = Bundle::from_bytes(&signed.bytes.0).map_err(BundleError::Decode)?;
        let pinned = PinnedBundle::by_roots(signed, &claimed.roots, claimed.threshold)?;
        let primary = pinned.primary();
        Ok(Self {
            prefixes: pinned.bundle().prefixes.clone(),
            bundle: Some(pinned),
            signed: Some(signed.clone()),
            ..Self::of_roots(primary, claimed.roots, claimed.threshold)?
        })
    }

    /// Its primary prefix.
    pub fn primary(&self) -> Prefix {
        self.primary
    }

    /// Every prefix that it speaks for.
    pub fn prefixes(&self) -> &[Prefix] {
        &self.prefixes
    }

    /// Its roots, and how many sign.
    pub fn roots(&self) -> (&[PublicKey], u8) {
        (&self.roots, self.threshold)
    }

    /// Whether other roots signed the bundle that was compared, too: those that its own ones replaced.
    pub fn is_signed_by(&self, roots: &[PublicKey], threshold: u8) -> bool {
        let signed = self.signed.as_ref();
        signed.is_some_and(|it| signed_by_roots(roots, threshold, &it.bytes.0, &it.signatures))
    }

    /// The bundle that was compared, if it was more than roots.
    pub fn bundle(&self) -> Option<&PinnedBundle> {
        self.bundle.as_ref()
    }
}

/// What a verifier without a network believes: its own country among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    own: Prefix,
    countries: BTreeMap<Prefix, Pin>,
    own_age_max: DurationMs,
}

impl Pins {
    /// The countries pinned by a verifier of `own`, whose own head and pack count as fresh up to an age.
    ///
    /// # Errors
    /// The set contradicts itself, or the own country is missing.
    pub fn new(own: Prefix, pins: Vec<Pin>, own_age_max: DurationMs) -> Result<Self, PinError> {
        let mut table = PrefixTable::default();
        let mut countries = BTreeMap::new();
        for pin in pins {
            table.add(pin.primary, &pin.prefixes)?;
            countries.insert(pin.primary, pin);
        }
        if !countries.contains_key(&own) {
            return Err(PinError::OwnMissing(own));
        }
        Ok(Self {
            own,
            countries,
            own_age_max,
        })
    }

    /// Primary prefix of the verifier's own country.
    pub fn own(&self) -> Prefix {
        self.own
    }

    /// The oldest own head, and the oldest pack, that counts as fresh.
    pub fn own_age_max(&self) -> DurationMs {
        self.own_age_max
    }

    /// A country, by its primary prefix.
    pub fn of(&self, primary: &Prefix) -> Option<&Pin> {
        self.countries.get(primary)
    }

    /// Every country.
    pub fn all(&self) -> impl Iterator<Item = &Pin> {
        self.countries.values()
    }
}

/// Who speaks for which prefix.
#[derive(Debug, Clone, Default)]
pub(crate) struct PrefixTable(BTreeMap<Prefix, Prefix>);

impl PrefixTable {
    /// Notes a country's prefixes.
    pub(crate) fn add(&mut self, primary: Prefix, prefixes: &[Prefix]) -> Result<(), PinError> {
        if self.0.get(&primary) == Some(&primary) {
            return Err(PinError::Twice(primary));
        }
        self.extend(primary, prefixes)
    }

    /// Notes further prefixes of a country that may stand there already.
    pub(crate) fn extend(&mut self, primary: Prefix, prefixes: &[Prefix]) -> Result<(), PinError> {
        for prefix in prefixes {
            match self.0.insert(*prefix, primary) {
                Some(first) if first != primary => {
                    return Err(PinError::Overlap {
                        prefix: *prefix,
                        first,
                        second: primary,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }
}
