//! Outputs of builds: canonical form, references to themselves and to each other, races for one place.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::model::StorePath;

/// An output under construction.
struct Draft {
    scratch: ScratchDir,
    name: StoreName,
    path: StorePath,
}

impl Draft {
    fn new(store: &Store, text: &str) -> Self {
        let scratch = store.new_scratch().unwrap();
        fs::create_dir(scratch.path().join("out")).unwrap();
        Self { scratch, path: StorePath::scratch(&name(text)), name: name(text) }
    }

    fn tree(&self) -> PathBuf {
        self.scratch.path().join("out")
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        fs::write(self.tree().join(file), text).unwrap();
    }

    fn output(&self) -> OutputTree {
        OutputTree { tree: self.tree(), name: self.name.clone(), scratch: Some(self.path.clone()) }
    }
}

fn register(store: &Store, staged: Vec<Staged>) {
    store.register(&Registration { objects: staged, ..Registration::default() }).unwrap();
}

#[test]
fn an_output_that_names_itself_gets_nixs_path() {
    let test = TestStore::new();
    let dep = test.add_text("dep", "dep\n", &[]).path;
    let draft = Draft::new(&test, "self-ref");
    draft.write("a", format!("me={}/x\n", draft.path));
    draft.write("b", format!("dep={dep} me={}", draft.path));
    symlink(format!("{}/a", draft.path), draft.tree().join("l")).unwrap();
    let staged = test.stage(vec![draft.output()], &BTreeSet::from([dep.clone()])).unwrap().remove(0);
    let info = staged.info.clone();
    assert_eq!(info.path.to_string(), "/kiln/store/c9dciprxvlj43yb0kffvqp92i8cqghhf-self-ref");
    assert_eq!((info.nar_size, info.nar_hash.base32().as_str()), (880, "0yscb0qvl353dmsb9zkkdw86q0xizfz570ixjra4cnh32bimvss6"));
    assert_eq!(info.references, BTreeSet::from([dep, info.path.clone()]));
    assert_eq!(staged.first_link, Some("l".into()));
    assert!(info.path_is_consistent() && !test.is_valid(&info.path).unwrap());
    let place = test.physical(&info.path);
    assert_eq!(fs::read_to_string(place.join("a")).unwrap(), format!("me={}/x\n", info.path));
    assert_eq!(fs::read_link(place.join("l")).unwrap(), PathBuf::from(format!("{}/a", info.path)));
    assert_eq!(describe(&place), [" 40555 1.0", "a 100444 1.0", "b 100444 1.0", "l 120777 1.0"]);
    register(&test, vec![staged]);
    assert!(test.verify(&VerifyOptions { contents: true, paths: None }).unwrap().problems.is_empty());
}

#[test]
fn siblings_are_named_in_the_order_of_their_references() {
    let test = TestStore::new();
    let (out, dev, doc) = (Draft::new(&test, "x"), Draft::new(&test, "x-dev"), Draft::new(&test, "x-doc"));
    out.write("lib", format!("doc {} and {}", doc.path, out.path));
    dev.write("headers", format!("for {} by {}", out.path, dev.path));
    doc.write("page", "text");
    let staged = test.stage(vec![dev.output(), out.output(), doc.output()], &BTreeSet::new()).unwrap();
    let [dev_path, out_path, doc_path] = [0, 1, 2].map(|index: usize| staged[index].info.path.clone());
    assert_eq!(staged[0].info.references, BTreeSet::from([dev_path.clone(), out_path.clone()]));
    assert_eq!(staged[1].info.references, BTreeSet::from([doc_path.clone(), out_path.clone()]));
    assert_eq!(fs::read_to_string(test.physical(&dev_path).join("headers")).unwrap(), format!("for {out_path} by {dev_path}"));
    let infos: HashMap<_, _> = staged.iter().map(|staged| (staged.info.path.clone(), staged.info.clone())).collect();
    assert_eq!(test.closure_with([&dev_path], &infos).unwrap(), [doc_path.clone(), out_path.clone(), dev_path.clone()]);
    assert!(matches!(test.closure([&dev_path]), Err(StoreError::NotValid { .. })));
    register(&test, staged);
    assert_eq!(test.closure([&dev_path, &doc_path]).unwrap(), [doc_path, out_path, dev_path]);
    assert!(test.verify(&VerifyOptions { contents: true, paths: None }).unwrap().problems.is_empty());
}

#[test]
fn outputs_in_a_circle_are_refused() {
    let test = TestStore::new();
    let (one, two) = (Draft::new(&test, "one"), Draft::new(&test, "two"));
    one.write("a", two.path.to_string());
    two.write("a", one.path.to_string());
    let error = test.stage(vec![one.output(), two.output()], &BTreeSet::new()).unwrap_err().to_string();
    assert!(error.contains("one, two refer to each other in a circle"), "{error}");
}

#[test]
fn a_file_name_with_a_digest_of_the_outputs_is_refused() {
    let test = TestStore::new();
    let draft = Draft::new(&test, "named");
    draft.write(&draft.path.base_name(), "x");
    let refused = test.stage(vec![draft.output()], &BTreeSet::new());
    assert!(matches!(refused, Err(StoreError::DigestInFileName { .. })), "{refused:?}");
    let (one, two) = (Draft::new(&test, "one"), Draft::new(&test, "two"));
    one.write(&two.path.base_name(), "x");
    let refused = test.stage(vec![one.output(), two.output()], &BTreeSet::new());
    assert!(matches!(refused, Err(StoreError::ScratchRemains { .. })), "{refused:?}");
}

#[test]
fn what_no_object_may_hold_is_refused_by_name() {
    let test = TestStore::new();
    let draft = Draft::new(&test, "bad");
    draft.write("tool", "x");
    fs::set_permissions(draft.tree().join("tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    let error = test.stage(vec![draft.output()], &BTreeSet::new()).unwrap_err().to_string();
    assert!(error.contains("out/tool` has the setuid bit"), "{error}");
    fs::remove_file(draft.tree().join("tool")).unwrap();
    nix::unistd::mkfifo(&draft.tree().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = test.stage(vec![draft.output()], &BTreeSet::new()).unwrap_err().to_string();
    assert!(error.contains("out/pipe` is a named pipe"), "{error}");
}

#[test]
fn hard_links_unreadable_files_and_attributes_become_plain_files() {
    let test = TestStore::new();
    let draft = Draft::new(&test, "odd");
    draft.write("a", "same");
    fs::hard_link(draft.tree().join("a"), draft.tree().join("b")).unwrap();
    fs::create_dir(draft.tree().join("closed")).unwrap();
    draft.write("closed/c", "c");
    for (file, mode) in [("a", 0o000), ("closed/c", 0o000), ("closed", 0o000)] {
        fs::set_permissions(draft.tree().join(file), fs::Permissions::from_mode(mode)).unwrap();
    }
    draft.write("marked", "m");
    let attribute = rustix::fs::lsetxattr(draft.tree().join("marked"), "user.kiln", b"x", rustix::fs::XattrFlags::empty());
    let staged = test.stage(vec![draft.output()], &BTreeSet::new()).unwrap().remove(0);
    let place = test.physical(&staged.info.path);
    let expected = [" 40555 1.0", "a 100444 1.0", "b 100444 1.0", "closed 40555 1.0", "closed/c 100444 1.0", "marked 100444 1.0"];
    assert_eq!(describe(&place), expected);
    assert_eq!(place.join("a").metadata().unwrap().nlink(), 1);
    assert_eq!(fs::read_to_string(place.join("b")).unwrap(), "same");
    if attribute.is_ok() {
        assert_eq!(rustix::fs::llistxattr_query(place.join("marked")).unwrap(), 0);
    }
}

#[test]
fn everything_gets_the_stores_owner() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let test = TestStore::new();
    let draft = Draft::new(&test, "foreign");
    draft.write("a", "x");
    symlink("a", draft.tree().join("l")).unwrap();
    for path in [draft.tree().join("a"), draft.tree().join("l"), draft.tree()] {
        std::os::unix::fs::lchown(path, Some(12345), Some(12345)).unwrap();
    }
    let staged = test.stage(vec![draft.output()], &BTreeSet::new()).unwrap().remove(0);
    let place = test.physical(&staged.info.path);
    for path in [place.join("a"), place.join("l"), place] {
        let metadata = path.symlink_metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (0, 0), "{path:?}");
    }
}

#[test]
fn a_whole_leftover_is_used_and_a_broken_one_replaced() {
    let test = TestStore::new();
    let stage = || {
        let draft = Draft::new(&test, "x");
        draft.write("a", "text");
        test.stage(vec![draft.output()], &BTreeSet::new()).unwrap().remove(0)
    };
    let place = test.physical(&stage().info.path);
    let inode = || place.metadata().unwrap().ino();
    let first = inode();
    assert_eq!(stage().found, Found::Nothing);
    assert_eq!(inode(), first);
    fs::set_permissions(place.join("a"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(place.join("a"), "torn").unwrap();
    let staged = stage();
    assert_ne!(inode(), first);
    assert_eq!(fs::read_to_string(place.join("a")).unwrap(), "text");
    register(&test, vec![staged]);
    assert_eq!(stage().found, Found::Whole);
    assert_eq!(fs::read_dir(test.dir().join("trash")).unwrap().count(), 0);
}

#[test]
fn many_threads_and_stores_may_stage_one_object() {
    let test = TestStore::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = test.again();
                for _ in 0..10 {
                    let draft = Draft::new(&store, "same");
                    make_tree(&draft.tree());
                    let staged = store.stage(vec![draft.output()], &BTreeSet::new()).unwrap();
                    register(&store, staged);
                }
            });
        }
    });
    let report = test.verify(&VerifyOptions { contents: true, paths: None }).unwrap();
    assert_eq!((report.objects, report.problems), (1, vec![]));
}

#[test]
fn nothing_of_a_batch_with_a_bad_reference_is_registered() {
    let test = TestStore::new();
    let (good, bad) = (Draft::new(&test, "good"), Draft::new(&test, "bad"));
    good.write("a", "a");
    bad.write("a", good.path.digest().as_str());
    let mut staged = test.stage(vec![good.output(), bad.output()], &BTreeSet::new()).unwrap();
    let (bad, good) = (staged.pop().unwrap(), staged.pop().unwrap());
    let batch =
        |objects: &[&Staged]| Registration { objects: objects.iter().map(|staged| (*staged).clone()).collect(), ..Registration::default() };
    assert!(matches!(test.register(&batch(&[&bad])), Err(StoreError::InvalidReference { .. })));
    assert!(!test.is_valid(&bad.info.path).unwrap());
    test.register(&batch(&[&bad, &good])).unwrap();
    assert!(test.is_valid(&bad.info.path).unwrap());
    test.register(&batch(&[&bad, &good])).unwrap();
}
