//! The column families of the state database, one a kind of record.

macro_rules! families {
    ($($variant:ident = $name:literal: $doc:literal),* $(,)?) => {
        /// A column family.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Family { $(#[doc = $doc] $variant),* }

        impl Family {
            /// Every family. A snapshot or backup that misses one is refused.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in the database.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

families! {
    Meta = "meta": "Applied position, membership, cluster, log time, head of the tree.",
    Robots = "robots": "Code (19 bytes) → robot record.",
    Index = "index": "Secondary keys: body, part, enterprise, model, state.",
    Enterprises = "enterprises": "Prefix and enterprise code → enterprise.",
    Models = "models": "Prefix, enterprise and model code → type approval.",
    Offices = "offices": "Key id → signer key of an enterprise or office.",
    Recalls = "recalls": "Recall number → campaign.",
    Transfers = "transfers": "Transfer → custody transfer.",
    Sessions = "sessions": "Session → state and stored answers.",
    Entries = "entries": "Leaf index → leaf bytes and openings.",
    Envelopes = "envelopes": "Index of an entry's first leaf → its envelope.",
    Tree = "tree": "Level and index → tile of 256 hashes.",
    Map = "map": "State map: pages.",
    Heads = "heads": "Signing key or peer → its newest leaf.",
    Mailboxes = "mailboxes": "Peer and sequence → own leaf index.",
    Inboxes = "inboxes": "Items of peers' mailboxes that wait: by peer and number, listed by peer and by robot.",
    Peers = "peers": "Peer → bundle, agreements, key history.",
    Ended = "ended": "Code, body or part → proof of its end of life.",
    Foreign = "foreign": "Statements of other registries that were applied.",
    Telemetry = "telemetry": "Chains and day roots.",
    Audit = "audit": "Heads of audit chains.",
}
