//! Dependencies that nobody uses.

use carnet_xtask::layers::{self, Edge, Reach, Workspace};
use carnet_xtask::tidy::{self, Text};
use carnet_xtask::unused;

use crate::root;

#[test]
fn every_dependency_of_the_workspace_is_used() {
    let workspace = layers::read(root()).expect("the workspace");
    let tree = tidy::read(root()).expect("the tracked files");
    let found: Vec<String> = unused::check(&workspace, &tree)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_public_item_of_the_product_is_used() {
    let tree = tidy::read(root()).expect("the tracked files");
    let found: Vec<String> = unused::items(&tree)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_public_item_that_only_its_own_line_or_tests_name_is_found() {
    let items = |files: &[(&str, &str)]| {
        let tree: Vec<Text> = files
            .iter()
            .map(|(path, content)| Text {
                path: (*path).into(),
                content: (*content).into(),
            })
            .collect();
        let found = unused::items(&tree);
        let named = found.iter().map(|item| (item.name.clone(), item.tested));
        named.collect::<Vec<_>>()
    };
    let lib = "node/a/src/lib.rs";
    let alone = [("go".to_owned(), false)];
    assert_eq!(items(&[(lib, "pub fn go() {}")]), alone);
    assert_eq!(
        items(&[(lib, "/// `go`.\npub const fn go() {}\nlet x = \"go\";")]),
        alone
    );
    assert_eq!(items(&[(lib, "pub async fn go<T>() {}")]), alone);
    assert_eq!(items(&[(lib, "pub struct go;")]), alone);
    assert_eq!(items(&[(lib, "pub const go: u8 = 1;")]), alone);
    assert_eq!(items(&[(lib, "pub fn go() {}\nfn f() { go() }")]), []);
    assert_eq!(items(&[(lib, "pub(crate) fn go() {}")]), []);
    assert_eq!(
        items(&[(lib, "pub fn go() {}"), ("node/b/src/x.rs", "a::go()")]),
        []
    );
    // The SDK is for others.
    assert_eq!(items(&[("client/sdk/src/lib.rs", "pub fn go() {}")]), []);
    let tested = [("go".to_owned(), true)];
    assert_eq!(
        items(&[(lib, "pub fn go() {}"), ("node/a/tests/it/x.rs", "go()")]),
        tested
    );
    let within = "pub fn go() {}\n#[cfg(test)]\nmod tests {\n    go()\n}\n";
    assert_eq!(items(&[(lib, within)]), tested);
}

fn check(path: &str, content: &str, reach: Reach, expected: &str) {
    let workspace = Workspace {
        members: [("carnet-a".to_owned(), "a".to_owned())].into(),
        edges: vec![Edge {
            from: "carnet-a".into(),
            to: "some-library".into(),
            reach,
        }],
    };
    let tree = [Text {
        path: path.into(),
        content: content.into(),
    }];
    let found: Vec<String> = unused::check(&workspace, &tree)
        .iter()
        .map(|finding| format!("{:?}", finding.fault))
        .collect();
    assert_eq!(found.join(" "), expected, "{content}");
}

#[test]
fn what_no_line_uses_is_found() {
    let lib = "a/src/lib.rs";
    check(lib, "use some_library::Thing;", Reach::Product, "");
    check(lib, "use some_library as other;", Reach::Product, "");
    check(lib, "fn f() { some_library::go() }", Reach::Product, "");
    check(lib, "// some_library::go()", Reach::Product, "Unused");
    check(
        lib,
        "let x = \"some_library::go\";",
        Reach::Product,
        "Unused",
    );
    check(lib, "my_some_library::go()", Reach::Product, "Unused");
    check(lib, "let some_library = 1;", Reach::Product, "Unused");
    check(
        "b/src/lib.rs",
        "use some_library::Thing;",
        Reach::Product,
        "Unused",
    );
    check(lib, "", Reach::Tests, "Unused");
}

#[test]
fn what_only_tests_use_is_a_dev_dependency() {
    let tests = "fn f() {}\n#[cfg(test)]\nmod tests {\n    use some_library::Thing;\n}\n";
    check("a/src/lib.rs", tests, Reach::Product, "OnlyTests");
    check("a/src/lib.rs", tests, Reach::Tests, "");
    // Tests in a file of their own are named before the rest.
    let before = "#[cfg(test)]\nmod tests;\nuse some_library::Thing;\n";
    check("a/src/lib.rs", before, Reach::Product, "");
    let import = "use some_library::Thing;";
    check("a/tests/it/main.rs", import, Reach::Product, "OnlyTests");
    check("a/src/x/tests.rs", import, Reach::Product, "OnlyTests");
    check("a/src/x/tests.rs", import, Reach::Tests, "");
}
