//! Circles of imports: the real workspace. The wrong ones are planted beside the check itself.

use carnet_xtask::{circles, tidy};

use crate::root;

#[test]
fn no_files_import_each_other_in_a_circle() {
    let tree = tidy::read(root()).expect("git lists the files");
    let found: Vec<String> = circles::check(&tree)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, Vec::<String>::new());
}
