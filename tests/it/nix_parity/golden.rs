//! The vectors that were computed independently of kiln and compared with Nix once and for all.

use super::Kiln;
use super::objects::Recipes;

/// Digest, name, NAR hash (base32) and NAR length of an object.
type Golden = (&'static str, &'static str, &'static str, u64);

const DEP: Golden = ("8k90pkn2fan0wl15k96v2md0n20vgdrp", "dep", "00kjynz8n03652qccs76ivsvark3pr3dfr6w1ba3x7bx83kcknvv", 120);
const SELF_REF: Golden = ("c9dciprxvlj43yb0kffvqp92i8cqghhf", "self-ref", "0yscb0qvl353dmsb9zkkdw86q0xizfz570ixjra4cnh32bimvss6", 880);
const SELF_REF_MODULO: &str = "1mpzglkqxjxjnw9liga9wmica7y7v8m933727pga2ghja3961bj3";
const HELLO_FLAT: &str = "/kiln/store/9rbzc4ah4446bnbi4npmymci2fy6n8zs-hello.txt";
const HELLO_RECURSIVE: &str = "/kiln/store/5y63x163zw7wzwgij1c84s36j4vlnvrk-hello.txt";

/// Compares an object in the store with a vector; gives its content address.
fn check(kiln: &Kiln, (digest, name, nar_hash, nar_size): Golden) -> String {
    let info = kiln.json(["store", "info", digest]);
    assert_eq!(info["path"], format!("/kiln/store/{digest}-{name}"));
    assert_eq!(info["nar_size"], nar_size);
    let text = String::from_utf8(kiln.run(["store", "info", digest])).unwrap();
    assert!(text.contains(&format!("sha256:{nar_hash}")), "{text}");
    assert_eq!(kiln.run(["store", "dump", digest]).len() as u64, nar_size);
    info["ca"].as_str().unwrap().to_owned()
}

#[test]
fn a_file_gets_the_golden_path_and_hash() {
    let kiln = Kiln::new();
    let file = kiln.dir().join("dep");
    std::fs::write(&file, "dep\n").unwrap();
    kiln.add("dep", &file, &[]);
    assert_eq!(check(&kiln, DEP), format!("fixed:r:sha256:{}", DEP.2));
}

#[test]
fn flat_and_recursive_addressing_give_the_golden_paths() {
    let kiln = Kiln::new();
    let file = kiln.dir().join("hello");
    std::fs::write(&file, "hello\n").unwrap();
    assert_eq!(kiln.add("hello.txt", &file, &["--flat"])["path"], HELLO_FLAT);
    assert_eq!(kiln.add("hello.txt", &file, &[])["path"], HELLO_RECURSIVE);
}

#[test]
fn a_build_that_names_itself_and_an_input_gets_the_golden_path() {
    let kiln = Kiln::new();
    let mut recipes = Recipes::new(&kiln);
    recipes.derivation("dep", &[], &["out"], "echo dep > $out");
    let script = "mkdir $out; echo me=$out/x > $out/a; printf 'dep=%s me=%s' $dep $out > $out/b; ln -s $out/a $out/l";
    recipes.derivation("self-ref", &["dep"], &["out"], script);
    recipes.build(&["self-ref"]);
    check(&kiln, DEP);
    assert_eq!(check(&kiln, SELF_REF), format!("fixed:r:sha256:{SELF_REF_MODULO}"));
    let refs = kiln.json(["store", "refs", SELF_REF.0]);
    assert_eq!(refs, serde_json::json!([format!("/kiln/store/{}-dep", DEP.0), format!("/kiln/store/{}-self-ref", SELF_REF.0)]));
}
