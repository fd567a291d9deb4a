//! What is taken in, from whom, and what is not.

use std::path::Path;

use kiln::cache::entry::EntryName;
use kiln::cache::signing::SecretKey;
use kiln::cache::statement::{SignedTrace, write_traces};
use kiln::model::{BuildTrace, DerivationHash, OutputName, SandboxLevel, Sha256};

use super::served::token;
use super::{Entry, Served, entry};

struct Tokens {
    read: String,
    push: String,
    admin: String,
}

fn server(args: &[&str]) -> (Served, Tokens) {
    let mut tokens = None;
    let served = Served::prepared(&[&["--tokens", "{}/tokens", "--public"], args].concat(), |dir| {
        tokens = Some(Tokens { read: token(dir, "r", "read"), push: token(dir, "p", "push"), admin: token(dir, "a", "admin") });
    });
    (served, tokens.unwrap())
}

fn files(dir: &Path) -> Vec<String> {
    let entries =
        walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let names = entries.map(|entry| entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned());
    names.filter(|name| name != "nix-cache-info").collect()
}

#[test]
fn an_object_is_pushed_nar_first() {
    let (served, tokens) = server(&[]);
    let dep = entry("dep", b"dep", &[]);
    let top = entry("top", &[9; 300_000], &[&dep]);
    let mut client = served.client();
    let mut put = |path: String, body: &[u8]| client.put(&path, &tokens.push, body).status;
    assert_eq!(put(top.narinfo(), top.info.to_string().as_bytes()), 422, "its NAR is not there");
    assert_eq!(put(top.nar(), &top.packed), 201);
    assert_eq!(put(top.narinfo(), top.info.to_string().as_bytes()), 422, "what it refers to is not there");
    assert_eq!(put(dep.nar(), &dep.packed), 201);
    assert_eq!(put(dep.narinfo(), dep.info.to_string().as_bytes()), 201);
    assert_eq!(put(top.narinfo(), top.info.to_string().as_bytes()), 201);
    assert_eq!(put(top.narinfo(), top.info.to_string().as_bytes()), 204, "it is there");
    assert_eq!(client.put(&top.nar(), &format!("{}If-None-Match: *\r\n", tokens.push), &top.packed).status, 412);
    let reply = client.ask("GET", &top.nar(), "");
    assert_eq!((reply.status, &reply.body), (200, &top.packed));
    assert_eq!(files(&served.dir()).len(), 4);
    assert!(served.dir().join("nix-cache-info").is_file(), "it is a cache also for who reads the directory");
}

#[test]
fn only_who_may_writes() {
    let (served, tokens) = server(&[]);
    let one = entry("one", b"x", &[]);
    let mut client = served.client();
    assert_eq!(client.put(&one.nar(), "", &one.packed).status, 401);
    assert_eq!(client.put(&one.nar(), &tokens.read, &one.packed).status, 403);
    assert_eq!(client.put(&one.nar(), &tokens.push, &one.packed).status, 201);
    assert_eq!(client.ask("DELETE", &one.nar(), &tokens.push).status, 403);
    assert_eq!(client.ask("DELETE", &one.nar(), &tokens.admin).status, 204);
    assert_eq!(client.ask("DELETE", &one.nar(), &tokens.admin).status, 404);
    let pin = format!("{}\n", one.path);
    assert_eq!(client.put("/kiln/pins/release", &tokens.push, pin.as_bytes()).status, 201);
    assert_eq!(client.put("/kiln/pins/release", &tokens.push, pin.as_bytes()).status, 201, "a pin is replaced");
    assert_eq!(client.put("/kiln/pins/bad", &tokens.push, b"/nix/store/x\n").status, 422);
    assert_eq!(client.ask("DELETE", "/kiln/pins/release", &tokens.push).status, 204);
    let closed = Served::start(&[]);
    assert_eq!(closed.client().put(&one.nar(), &tokens.admin, &one.packed).status, 403, "without tokens nobody writes");
    assert_eq!(files(&closed.dir()), Vec::<String>::new());
}

#[test]
fn bytes_that_are_not_what_their_name_says_are_not_kept() {
    let (served, tokens) = server(&["--max-upload", "1000000"]);
    let one = entry("one", &[3; 5000], &[]);
    let mut client = served.client();
    let mut wrong = one.packed.clone();
    wrong[10] ^= 1;
    let reply = client.put(&one.nar(), &tokens.push, &wrong);
    assert_eq!((reply.status, reply.text().as_str()), (422, "the bytes are not those that the name says\n"));
    assert_eq!(client.put(&one.nar(), &tokens.push, &one.packed[..20]).status, 422);
    assert_eq!(client.put("/nar/whatever.nar.zst", &tokens.push, &one.packed).status, 403);
    assert_eq!(client.put("/index.html", &tokens.push, b"<script>").status, 405);
    assert_eq!(client.put("/elsewhere", &tokens.push, b"x").status, 403);
    assert_eq!(client.put("/nix-cache-info", &tokens.push, b"StoreDir: /nix/store\n").status, 403);
    let derivation = format!("/kiln/derivations/{}.json", Sha256::of("{}"));
    assert_eq!(client.put(&derivation, &tokens.push, b"{ }").status, 422);
    assert_eq!(client.put(&derivation, &tokens.push, b"{}").status, 201);
    // Broken off.
    client.send(format!("PUT {} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{}\r\n", one.nar(), one.packed.len(), tokens.push));
    client.send(&one.packed[..10]);
    drop(client);
    crate::support::eventually("nothing to be left", || files(&served.dir()) == [&derivation[1..]]);
}

#[test]
fn descriptions_that_lie_are_not_kept() {
    let (served, tokens) = server(&[]);
    let (one, other) = (entry("one", b"1", &[]), entry("other", b"2", &[]));
    let mut client = served.client();
    for packed in [&one, &other] {
        assert_eq!(client.put(&packed.nar(), &tokens.push, &packed.packed).status, 201);
    }
    let good = one.info.to_string();
    let size = format!("FileSize: {}", one.packed.len());
    let lies = [
        ("another object", other.info.to_string()),
        ("no content address", good.lines().filter(|line| !line.starts_with("CA:")).map(|line| format!("{line}\n")).collect()),
        ("another content address", good.replace(&one.info.ca.unwrap().to_string(), &other.info.ca.unwrap().to_string())),
        ("a reference that changes the path", good.replace("References: ", &format!("References: {}", other.path.base_name()))),
        ("another packed NAR", good.replace(&one.info.url, &other.info.url)),
        (
            "another file hash",
            good.replace(
                &format!("FileHash: sha256:{}", Sha256::of(&one.packed).base32()),
                &format!("FileHash: sha256:{}", Sha256::of("x").base32()),
            ),
        ),
        ("another size", good.replace(&size, "FileSize: 1")),
        ("another packing", good.replace("Compression: zstd", "Compression: xz")),
        ("a way out", good.replace(&one.info.url, "../secret")),
        ("rubbish", "rubbish".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, text) in lies {
        assert_ne!(text, good, "{what}");
        assert_eq!(client.put(&one.narinfo(), &tokens.push, text.as_bytes()).status, 422, "{what}");
    }
    assert_eq!(client.put(&one.narinfo(), &tokens.push, good.as_bytes()).status, 201);
}

fn trace(level: SandboxLevel, key: &SecretKey, of: &Entry) -> (DerivationHash, Vec<u8>) {
    let resolved = DerivationHash(Sha256::of("resolved"));
    let outputs = [(OutputName::out(), of.path.clone())].into();
    let trace = BuildTrace { resolved, outputs, system: "x86_64-linux".into(), level };
    (resolved, write_traces(&[SignedTrace::new(trace, key)]).unwrap())
}

#[test]
fn statements_are_taken_from_trusted_keys_about_sealed_builds_only() {
    let (trusted, stranger) =
        (SecretKey::generate("team-1".parse().unwrap()).unwrap(), SecretKey::generate("team-1".parse().unwrap()).unwrap());
    let (served, tokens) = server(&["--trusted-key", &trusted.public().to_string()]);
    let one = entry("one", b"1", &[]);
    let mut client = served.client();
    let (resolved, good) = trace(SandboxLevel::Strict, &trusted, &one);
    let name = |resolved: &DerivationHash, key: &str| format!("/{}", EntryName::traces(resolved, &key.parse().unwrap()));
    let mut put = |path: &str, body: &[u8]| client.put(path, &tokens.push, body).status;
    let own = name(&resolved, "team-1");
    assert_eq!(put(&own, &trace(SandboxLevel::Relaxed, &trusted, &one).1), 422, "weakly sealed");
    assert_eq!(put(&own, &trace(SandboxLevel::Strict, &stranger, &one).1), 422, "another's signature");
    assert_eq!(put(&name(&resolved, "team-2"), &good), 403, "under a stranger's name");
    assert_eq!(put(&name(&DerivationHash(Sha256::of("other")), "team-1"), &good), 422, "about something else");
    assert_eq!(put(&own, b""), 422, "nothing");
    assert_eq!(put(&own, b"{}\n"), 422, "rubbish");
    assert_eq!(put(&own, &good), 201);
    assert_eq!(put(&own, &good), 201, "again");
    assert_eq!(client.ask("GET", &own, "").body, good);
    assert_eq!(client.ask("GET", &own, "").header("Cache-Control"), Some("no-cache"));
}

#[test]
fn of_two_that_would_be_the_first_one_is_told_that_it_was_not() {
    let key = SecretKey::generate("team-1".parse().unwrap()).unwrap();
    let (served, tokens) = server(&["--trusted-key", &key.public().to_string()]);
    let (resolved, first) = trace(SandboxLevel::Strict, &key, &entry("one", b"1", &[]));
    let (_, second) = trace(SandboxLevel::Strict, &key, &entry("two", b"2", &[]));
    let path = format!("/{}", EntryName::traces(&resolved, key.name()));
    let mut slow = served.client();
    let condition = "If-None-Match: *\r\n";
    let length = second.len();
    // It has looked, and found nothing, once it asks for the body.
    slow.send(format!(
        "PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n{condition}{}\r\n",
        tokens.push
    ));
    assert_eq!(slow.reply_head().status, 100);
    let mut quick = served.client();
    assert_eq!(quick.put(&path, &format!("{condition}{}", tokens.push), &first).status, 201);
    slow.send(&second);
    assert_eq!(slow.reply().status, 412);
    assert_eq!(quick.ask("GET", &path, "").body, first);
}

#[test]
fn bodies_may_come_in_chunks_and_wait_for_a_word() {
    let (served, tokens) = server(&["--max-upload", "100000"]);
    let one = entry("one", b"x", &[]);
    let mut client = served.client();
    let head =
        format!("PUT {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n{}\r\n", one.nar(), tokens.push);
    client.send(&head);
    assert_eq!(client.reply_head().status, 100);
    for piece in one.packed.chunks(7) {
        client.send(format!("{:x}\r\n", piece.len()));
        client.send(piece);
        client.send("\r\n");
    }
    // The next request is on its way already.
    client.send(format!("0\r\n\r\nGET {} HTTP/1.1\r\nHost: a\r\n\r\n", one.nar()));
    assert_eq!(client.reply().status, 201);
    assert_eq!(client.reply().body, one.packed);
    // Refused before anything is sent.
    client.send(head.replace(&tokens.push, ""));
    assert_eq!(client.reply_head().status, 401);
}

#[test]
fn bodies_that_are_too_long_are_broken_off_early() {
    let (served, tokens) = server(&["--max-upload", "100000"]);
    let name = format!("/nar/{}.nar", Sha256::of("x").base32());
    let reply = served.client().put(&name, &tokens.push, &vec![0; 200_000]);
    assert_eq!((reply.status, reply.header("Connection")), (413, None), "short enough to be read to its end");
    let reply = served.client().put(&name, &tokens.push, &vec![0; 3_000_000]);
    assert_eq!((reply.status, reply.header("Connection")), (413, Some("close")));
    let mut client = served.client();
    client.send(format!("PUT {name} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{}\r\n", tokens.push));
    for _ in 0..200 {
        client.try_send([b"2000\r\n".as_slice(), &[0; 0x2000], b"\r\n"].concat());
    }
    assert_eq!(client.reply().status, 413);
    let reply = served.client().put("/kiln/pins/x", &tokens.push, &vec![b'\n'; 17 << 20]);
    assert_eq!(reply.status, 413);
    assert_eq!(files(&served.dir()), Vec::<String>::new());
}

#[test]
fn a_large_upload_takes_little_memory() {
    let (served, tokens) = server(&[]);
    let bytes: Vec<u8> = (0..64u32 << 20).map(|i| (i % 253) as u8).collect();
    let name = format!("/nar/{}.nar", Sha256::of(&bytes).base32());
    assert_eq!(served.client().put(&name, &tokens.push, &bytes).status, 201);
    assert_eq!(served.client().ask("GET", &name, "").body, bytes);
    assert!(served.memory() < 40 << 20, "{} MiB", served.memory() >> 20);
}
