//! The figures of the README.

use carnet_xtask::{figures, tidy};

use crate::root;

#[test]
fn the_readme_shows_what_the_recorded_run_counted() {
    let mut tree = tidy::read(root()).expect("the tracked files");
    assert_eq!(figures::check(&tree), Vec::<String>::new());
    let kept = tree
        .iter_mut()
        .find(|text| text.path == figures::KEPT)
        .expect("the recorded run");
    kept.content.push_str("planted\twrites\t1\n");
    assert_eq!(figures::check(&tree).len(), 1);
}
