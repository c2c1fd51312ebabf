//! The names in ARCHITECTURE.md: the real ones, and one of each that would be reported.

use carnet_xtask::names::check;
use carnet_xtask::tidy::{Text, read};

fn text(path: &str, content: &str) -> Text {
    Text {
        path: path.to_owned(),
        content: content.to_owned(),
    }
}

fn reported(map: &str) -> Vec<String> {
    let tree = [
        text("ARCHITECTURE.md", map),
        text(
            "proto/domain/src/rules/actions.rs",
            &"//! A leaf. `gone` is a word of prose.\npub fn ever() {}\n// leaf\n".repeat(5),
        ),
        text("node/store/decisions/0001-a-view.md", "# A view\n"),
        text(
            "Cargo.toml",
            "[lints.clippy]\nindexing_slicing = \"deny\"\n",
        ),
    ];
    check(&tree).iter().map(ToString::to_string).collect()
}

#[test]
fn every_name_in_the_map_exists_and_every_term_is_used() {
    let tree = read(super::root()).expect("git lists the files");
    let findings: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
    assert_eq!(findings, Vec::<String>::new());
}

#[test]
fn what_there_is_may_be_named_in_several_ways() {
    let map = "`domain` `carnet-domain` `proto/domain` `rules/actions.rs` `domain/src/rules` `domain::rules::actions::ever`\n\
               `rules::actions` `ever` `rules/{actions}` `node/store/decisions/0001-a-view` `indexing_slicing`\n\
               ```\n`not looked at`\n```\n## Glossary\n| **leaf** | what | `ever` |\n";
    assert_eq!(reported(map), Vec::<String>::new());
}

#[test]
fn what_is_gone_is_reported() {
    let map = "## Glossary\n`domain::gone` `rules/gone.rs` `gone` `actions::gone`\n`rules/{actions, gone}`\n\
               | **checkpoint** | what | `ever` |\n";
    let expected = [
        "ARCHITECTURE.md:2: `domain::gone`: nothing is called so",
        "ARCHITECTURE.md:2: `rules/gone.rs`: nothing is called so",
        "ARCHITECTURE.md:2: `gone`: nothing is called so",
        "ARCHITECTURE.md:2: `actions::gone`: nothing is called so",
        "ARCHITECTURE.md:3: `rules/gone`: nothing is called so",
        "ARCHITECTURE.md:4: checkpoint: a term that the sources do not use",
    ];
    assert_eq!(reported(map), expected);
    assert_eq!(
        reported("# A map\n"),
        ["ARCHITECTURE.md:1: there is no glossary"]
    );
}
