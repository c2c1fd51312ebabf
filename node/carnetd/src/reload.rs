//! Takes up certificates, keys, roots and the operator's list of revoked certificates anew while the node runs: at SIGHUP, and when
//! the files have changed.
//!
//! Connections stay: a new certificate is shown from the next handshake on. What cannot be used is named in the log, and what
//! was in use stays. The log keys are read anew too: a node has the one that follows before the registry uses it, and which of them
//! signs is the registry's history to say. The passport and the witness key are read at the start alone.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use carnet_trust::identity::Plane;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::keyring::{KeyRole, Keyring};
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
    keyring: Arc<dyn Keyring>,
}

/// One file as it lay there: another file, or another content, has another look.
/// It is another one too where it was made readable: whoever could not read it before looks again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look(PathBuf, Option<(u64, i64, i64, u64)>);

impl Look {
    fn at(path: PathBuf) -> Self {
        let found = fs::metadata(&path).ok();
        let found = found.map(|it| (it.ino(), it.ctime(), it.ctime_nsec(), it.size()));
        Self(path, found)
    }
}

impl Reload {
    /// The planes of a node and whom they believe.
    pub fn new(
        config: Config,
        roots: Arc<TrustedRoots>,
        planes: Vec<PlaneTls>,
        keyring: Arc<dyn Keyring>,
    ) -> Self {
        Self {
            config,
            roots,
            planes,
            keyring,
        }
    }

    /// Reads everything anew. What was taken up, and what was refused and why.
    pub fn take_up(&self) -> (Vec<String>, Vec<String>) {
        let (mut taken, mut refused) = self.take_up_but_the_list();
        let what = format!("list of revoked certificates ({DENIED_FILE})");
        match self.take_denied() {
            Ok(true) => taken.push(what),
            Ok(false) => {}
            Err(error) => refused.push(format!("{what}: {}", chain(&error))),
        }
        (taken, refused)
    }

    fn take_up_but_the_list(&self) -> (Vec<String>, Vec<String>) {
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
            "log keys".to_owned(),
            self.keyring.reload().map_err(RunError::from),
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
        let gone = self.roots.denied().file.difference(&file).count();
        if gone > 0 {
            warn!(
                "{gone} certificates that {DENIED_FILE} named are refused no more, unless the registry's list names them"
            );
        }
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
        let others = [
            pki.roots(),
            pki.seed(KeyRole::Log.word()),
            // A folder looks otherwise when a file in it comes or goes.
            pki.keys(),
            self.config.node.data_dir.join(DENIED_FILE),
        ];
        others.into_iter().chain(of_planes).map(Look::at).collect()
    }
}

/// Takes up what has changed, for as long as the node runs. Files are read once they lie as they lay a moment before: a
/// certificate and its key are two files, and neither is of use without the other. What was refused is tried again at every look: it
/// may become good without being touched, as a certificate does that begins in an hour.
///
/// Asked by hand, all is read at once but the list of revoked certificates: half of one that is being copied gives back what the other
/// half refuses, and nothing in it says that it is half.
pub async fn watch(reload: Arc<Reload>, node: Arc<Node>, asked: Arc<Notify>) {
    let look = || {
        let reload = Arc::clone(&reload);
        node.work.run(move || reload.look())
    };
    let Ok(mut taken) = look().await else {
        return;
    };
    let mut before = taken.clone();
    let mut tried: Vec<String> = Vec::new();
    loop {
        let by_hand = tokio::select! {
            () = asked.notified() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        // The runtime is stopping.
        let Ok(now) = look().await else {
            return;
        };
        let lies_still = now == before;
        before.clone_from(&now);
        let due = lies_still && (now != taken || !tried.is_empty());
        if !by_hand && !due {
            continue;
        }
        // What does not lie still is looked at once more, also after it was read by hand.
        if lies_still {
            taken = now;
        }
        let reading = Arc::clone(&reload);
        let read = move || match lies_still {
            true => reading.take_up(),
            false => reading.take_up_but_the_list(),
        };
        let Ok((up, refused)) = node.work.run(read).await else {
            return;
        };
        for what in &refused {
            if by_hand || !tried.contains(what) {
                error!("not taken up, what was in use stays: {what}");
            }
        }
        tried = refused;
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
    use crate::keyring::FileKeyring;

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
            fs::create_dir_all(pki.keys()).expect("made");
            for (number, role) in KeyRole::ALL.into_iter().enumerate() {
                lay_seed(&pki.seed(role.word()), number as u8);
            }
            let keyring: Arc<dyn Keyring> = Arc::new(FileKeyring::open(&pki).expect("keys"));
            Self {
                reload: Reload::new(config.clone(), roots, planes, keyring),
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

    fn lay_seed(path: &std::path::Path, number: u8) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(path, hex::encode([number; 32])).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a mode");
    }

    fn lay(config: &Config, country: &Country, plane: Plane, until: (i32, u8, u8)) {
        use std::os::unix::fs::PermissionsExt as _;
        let leaf = Sketch::leaf(&node_uri(country.prefix, plane, 1), plane);
        let (held, _) = country.issue(plane, &Sketch { until, ..leaf });
        let pem = held.pem.clone() + &country.authority(plane).pem;
        fs::write(config.pki().certificate(plane), pem).expect("written");
        let key = config.pki().key(plane);
        fs::write(&key, held.key.serialize_pem()).expect("written");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a mode");
    }

    /// Once, it was taken up, and the next restart of the node refused it.
    #[test]
    fn a_key_that_others_may_read_is_taken_up_no_more_than_at_a_start() {
        use std::os::unix::fs::PermissionsExt as _;
        let scene = Scene::new();
        lay(&scene.config, &scene.country, Plane::Raft, (2028, 1, 1));
        let key = scene.config.pki().key(Plane::Raft);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("a mode");
        let laid = scene.reload.look();
        let (taken, refused) = scene.reload.take_up();
        assert_eq!(taken, Vec::<String>::new());
        assert!(refused[0].contains("mode 0644"), "{refused:?}");
        // Nothing but its mode is another, and that is seen.
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a mode");
        assert_ne!(scene.reload.look(), laid);
        assert_eq!(scene.reload.take_up().0, ["certificate of the raft plane"]);
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
    fn a_log_key_that_is_to_follow_is_taken_up_beside_the_one_in_use() {
        let scene = Scene::new();
        let pki = scene.config.pki();
        let laid = scene.reload.look();
        lay_seed(&pki.keys().join("log-0a0b.seed"), 9);
        assert_ne!(scene.reload.look(), laid, "seen without being asked");
        assert_eq!(scene.reload.take_up().0, ["log keys"]);
        let held = scene.reload.keyring.log_keys();
        assert_eq!(held.len(), 2, "{held:?}");
        // One that is another role's key is refused, and those in use stay.
        lay_seed(&pki.keys().join("log-0a0c.seed"), 1);
        let (taken, refused) = scene.reload.take_up();
        assert_eq!(taken, Vec::<String>::new());
        assert!(refused[0].starts_with("log keys: "), "{refused:?}");
        assert_eq!(scene.reload.keyring.log_keys(), held);
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
