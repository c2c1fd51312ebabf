//! The feature level of a registry: which variants and versions its log may hold.
//!
//! A binary knows levels up to [`Level::KNOWN`]; what `apply` reads is decided by the level that the registry stands at,
//! never by the binary, so that binaries of two ages come to the same bytes. The level is raised by an entry of the log,
//! once every member knows the higher one.

/// A feature level, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u16);

impl Level {
    /// Where every registry begins.
    pub const FIRST: Self = Self(1);
    /// The highest that this binary knows.
    pub const KNOWN: Self = Self(1);

    /// The level of a number; `None` for 0.
    pub const fn new(number: u16) -> Option<Self> {
        match number {
            0 => None,
            number => Some(Self(number)),
        }
    }

    /// From 1; levels are ordered by it.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The next; `None` after the last number.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// The level that a schema names with `since`; without, the first.
    #[doc(hidden)]
    pub const fn since(named: &[u16]) -> Self {
        match named {
            [level] => Self(*level),
            _ => Self::FIRST,
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}
