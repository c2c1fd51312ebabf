//! Takes up certificates, keys, roots and the operator's list of revoked certificates anew while the node runs: at SIGHUP, and when
//! the files have changed.
//!
//! Connections stay: a new certificate is shown from the next handshake on. What cannot be used is named in the log, and what
//! was in use stays. Signing keys are read at the start alone: which of them counts is decided by the registry.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use carnet_trust::identity::Plane;
use tokio::sync::Notify;
use tracing::{error, info};

use crate::config::Config;
use crate::node::Node;
use crate::run_error::RunError;
use crate::tls::{DENIED_FILE, KeyFiles, PlaneTls, TrustedRoots, read_denied, read_roots};
use crate::told::chain;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is read anew.
pub struct Reload {
    config: Config,
    roots: Arc<TrustedRoots>,
    planes: Vec<PlaneTls>,
}

/// One file as it lay there: another file, or another content, has another look.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look(PathBuf, Option<(u64, i64, i64, u64)>);

impl Reload {
    /// The planes of a node and whom they believe.
    pub fn new(config: Config, roots: Arc<TrustedRoots>, planes: Vec<PlaneTls>) -> Self {
        Self {
            config,
            roots,
            planes,
        }
    }

    /// Reads everything anew. What was taken up, and what was refused and why.
    pub fn take_up(&self) -> (Vec<String>, Vec<String>) {
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        let mut note = |what: String, outcome: Result<bool, RunError>| match outcome {
            Ok(true) => taken.push(what),
            Ok(false) => {}
            Err(error) => refused.push(format!("{what}: {}", chain(&error))),
        };
        // First: a new certificate may be below a new root.
        note("roots".to_owned(), self.take_roots());
        for tls in &self.planes {
            let what = format!("certificate of the {} plane", tls.plane());
            let outcome = tls.take(&self.files(tls.plane()));
            note(what, outcome.map_err(RunError::from));
        }
        note(
            format!("list of revoked certificates ({DENIED_FILE})"),
            self.take_denied(),
        );
        (taken, refused)
    }

    /// Roots below which this node itself would be refused on any plane, with its old certificate and with that which lies there
    /// now, are those of somebody else.
    fn take_roots(&self) -> Result<bool, RunError> {
        let roots = read_roots(&self.config.pki().roots())?;
        for tls in &self.planes {
            tls.goes_on_below(&roots, &self.files(tls.plane()))?;
        }
        Ok(self.roots.take_own(roots))
    }

    fn take_denied(&self) -> Result<bool, RunError> {
        let file = read_denied(&self.config.node.data_dir)?;
        Ok(self.roots.refuse_file(file))
    }

    fn files(&self, plane: Plane) -> KeyFiles {
        let pki = self.config.pki();
        KeyFiles {
            certificate: pki.certificate(plane),
            key: pki.key(plane),
        }
    }

    fn look(&self) -> Vec<Look> {
        let pki = self.config.pki();
        let planes = Plane::ALL.iter();
        let of_planes = planes.flat_map(|plane| [pki.certificate(*plane), pki.key(*plane)]);
        let others = [pki.roots(), self.config.node.data_dir.join(DENIED_FILE)];
        let look = |path: PathBuf| {
            let found = fs::metadata(&path).ok();
            let found = found.map(|it| (it.ino(), it.mtime(), it.mtime_nsec(), it.size()));
            Look(path, found)
        };
        others.into_iter().chain(of_planes).map(look).collect()
    }
}

/// Takes up what has changed, for as long as the node runs. Files are read once they lie as they lay a moment before: a
/// certificate and its key are two files, and neither is of use without the other.
pub async fn watch(reload: Arc<Reload>, node: Arc<Node>, asked: Arc<Notify>) {
    let look = || {
        let reload = Arc::clone(&reload);
        node.work.run(move || reload.look())
    };
    let Ok(mut taken) = look().await else {
        return;
    };
    let mut before = taken.clone();
    loop {
        let by_hand = tokio::select! {
            () = asked.notified() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        // The runtime is stopping.
        let Ok(now) = look().await else {
            return;
        };
        let settled = now == before && now != taken;
        before.clone_from(&now);
        if !by_hand && !settled {
            continue;
        }
        taken = now;
        let reading = Arc::clone(&reload);
        let Ok((up, refused)) = node.work.run(move || reading.take_up()).await else {
            return;
        };
        for what in &refused {
            error!("not taken up, what was in use stays: {what}");
        }
        if up.is_empty() && by_hand {
            info!("asked to read certificates anew: nothing new to be taken up");
        }
        if !up.is_empty() {
            info!("taken up anew: {}", up.join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use carnet_domain::bytes::time::TimeMs;
    use carnet_trust::identity::NodeId;

    use super::*;
    use crate::clock::Clock;
    use crate::forge::{Country, NOW, Sketch, node_uri};

    struct Stands;

    impl Clock for Stands {
        fn wall(&self) -> TimeMs {
            NOW
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    /// A node's files, as an operator lays them out.
    struct Scene {
        country: Country,
        folder: tempfile::TempDir,
        config: Config,
        reload: Reload,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let country = Country::new("86");
            let text = format!(
                "[node]\nprefix = \"86\"\nid = 1\ndata_dir = \"{0}/data\"\npki_dir = \"{0}/pki\"\n\
                 [listen]\nraft = \"127.0.0.1:7101\"\nclient = \"127.0.0.1:7102\"\nadmin = \"127.0.0.1:7103\"\n\
                 federation = \"127.0.0.1:7104\"\n",
                folder.path().display()
            );
            let config = Config::parse(&text, &folder.path().join("carnet.toml"));
            let config = config.expect("a configuration");
            let pki = config.pki();
            for path in pki.certificates_and_keys() {
                let above = path.parent().expect("a folder");
                fs::create_dir_all(above).expect("made");
            }
            fs::create_dir_all(&config.node.data_dir).expect("made");
            fs::write(pki.roots(), &country.root.pem).expect("written");
            for plane in Plane::ALL {
                lay(&config, &country, *plane, (2027, 1, 1));
            }
            let roots = read_roots(&pki.roots()).expect("roots");
            let roots = Arc::new(TrustedRoots::new(roots));
            let planes = Plane::ALL.iter().map(|plane| {
                let files = KeyFiles {
                    certificate: pki.certificate(*plane),
                    key: pki.key(*plane),
                };
                let id = NodeId::new(1).expect("not zero");
                let roots = Arc::clone(&roots);
                PlaneTls::load(country.prefix, id, *plane, &files, roots, Arc::new(Stands))
                    .expect("an identity")
            });
            let planes = planes.collect();
            Self {
                reload: Reload::new(config.clone(), roots, planes),
                country,
                folder,
                config,
            }
        }

        fn until(&self, plane: Plane) -> TimeMs {
            let mut planes = self.reload.planes.iter();
            let found = planes.find(|one| one.plane() == plane);
            found.expect("a plane").not_after().expect("in use")
        }
    }

    fn lay(config: &Config, country: &Country, plane: Plane, until: (i32, u8, u8)) {
        let leaf = Sketch::leaf(&node_uri(country.prefix, plane, 1), plane);
        let (held, _) = country.issue(plane, &Sketch { until, ..leaf });
        let pem = held.pem.clone() + &country.authority(plane).pem;
        fs::write(config.pki().certificate(plane), pem).expect("written");
        fs::write(config.pki().key(plane), held.key.serialize_pem()).expect("written");
    }

    #[test]
    fn what_is_new_is_taken_up_and_what_cannot_be_used_is_named_and_changes_nothing() {
        let scene = Scene::new();
        let (none, before) = (Vec::<String>::new(), scene.until(Plane::Raft));
        assert_eq!(scene.reload.take_up(), (none.clone(), none.clone()));
        let laid = scene.reload.look();
        lay(&scene.config, &scene.country, Plane::Raft, (2028, 1, 1));
        assert_ne!(scene.reload.look(), laid, "seen without being asked");
        let (taken, refused) = scene.reload.take_up();
        assert_eq!(taken, ["certificate of the raft plane"]);
        assert_eq!(refused, none);
        assert!(before < scene.until(Plane::Raft));

        // A key that is another's stops neither the plane nor the others.
        fs::write(scene.config.pki().key(Plane::Client), "nonsense").expect("written");
        lay(&scene.config, &scene.country, Plane::Admin, (2028, 1, 1));
        lay(
            &scene.config,
            &scene.country,
            Plane::Federation,
            (2026, 5, 1),
        );
        let (taken, refused) = scene.reload.take_up();
        assert_eq!(taken, ["certificate of the admin plane"]);
        let [federation, client] = &refused[..] else {
            panic!("{refused:?}");
        };
        assert!(
            client.contains("client plane") && client.contains("client.key"),
            "{client}"
        );
        assert!(federation.contains("federation plane"), "{federation}");
        assert!(federation.contains("expired"), "{federation}");
        assert_eq!(scene.until(Plane::Federation), before);
        assert_eq!(scene.until(Plane::Client), before);
    }

    #[test]
    fn roots_below_which_the_node_is_nobody_are_not_taken() {
        let scene = Scene::new();
        let ours = fs::read_to_string(scene.config.pki().roots()).expect("read");
        let others = Country::new("86").root.pem;
        fs::write(scene.config.pki().roots(), &others).expect("written");
        let (taken, refused) = scene.reload.take_up();
        assert_eq!(taken, Vec::<String>::new());
        assert!(refused[0].starts_with("roots: "), "{refused:?}");
        // A root that is added is believed beside the old one, and below new roots alone whoever has a certificate of theirs.
        fs::write(scene.config.pki().roots(), ours + &others).expect("written");
        let (taken, refused) = scene.reload.take_up();
        assert_eq!((taken.len(), refused), (1, Vec::new()));
        assert!(scene.folder.path().exists());
    }

    #[test]
    fn the_operators_list_is_taken_up_or_stays_whole() {
        let scene = Scene::new();
        let path = scene.config.node.data_dir.join(DENIED_FILE);
        let line = format!("key/{}\n", "ab".repeat(32));
        fs::write(&path, &line).expect("written");
        assert_eq!(scene.reload.take_up().0.len(), 1);
        assert_eq!(scene.reload.roots.denied().file.len(), 1);
        fs::write(&path, line + "key/77\n").expect("written");
        let (taken, refused) = scene.reload.take_up();
        assert_eq!(taken, Vec::<String>::new());
        assert!(refused[0].contains("line 2"), "{refused:?}");
        assert_eq!(scene.reload.roots.denied().file.len(), 1);
        fs::remove_file(&path).expect("removed");
        assert_eq!(scene.reload.take_up().0.len(), 1);
        assert!(scene.reload.roots.denied().file.is_empty());
    }
}
