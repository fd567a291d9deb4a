//! From recipes to the graph of derivations.

use super::*;
use crate::model::{Builder, Input};

#[test]
fn only_what_the_wanted_targets_need_is_lowered() {
    let evaluated = evaluated(
        "a = derivation('a', 's', root)\nb = derivation('b', 's', root, inputs = {'a': a})\nc = derivation('c', 's', root)\ntargets = {'a': a, 'b': b, 'c': c}",
    );
    let names = |targets: &[&str]| -> Vec<String> {
        lowered(&evaluated, targets).graph.nodes().iter().map(|node| node.derivation.name.to_string()).collect()
    };
    assert_eq!(names(&["a"]), ["root.tar", "a"]);
    assert_eq!(names(&["b"]), ["root.tar", "a", "b"]);
    assert_eq!(names(&["c", "b", "c"]), ["root.tar", "a", "b", "c"]);
    assert!(names(&[]).is_empty());
}

#[test]
fn inputs_are_named_by_hash_and_output() {
    let evaluated = evaluated(
        "a = derivation('a', 's', root, outputs = ['out', 'lib'])\nb = derivation('b', 's', root, inputs = {'lib': a.lib})\ntargets = {'b': b, 'lib': a.lib}",
    );
    let lowered = lowered(&evaluated, &["b", "lib"]);
    let hash = |name: &str| lowered.graph.nodes().iter().find(|node| node.derivation.name.as_str() == name).unwrap().hash;
    let lib = Input::Output { derivation: hash("a"), output: "lib".parse().unwrap() };
    let b = lowered.graph.get(&hash("b")).unwrap();
    assert_eq!(b.derivation.inputs[&"lib".parse().unwrap()], lib);
    assert_eq!(lowered.targets["lib"], lib);
    assert_eq!(lowered.targets["b"], Input::Output { derivation: hash("b"), output: "out".parse().unwrap() });
}

#[test]
fn each_source_is_asked_for_once_and_only_if_needed() {
    let project = Project::new(
        "a = source('//src/a')\nagain = source('../src/a')\ndescribed = source('//src/a', description = 'same tree')\nb = source('//src/b')\n\
         targets = {'x': derivation('x', 's', root, inputs = {'a': a, 'again': again, 'described': described}), 'y': derivation('y', 's', a, inputs = {'b': b}), 'a': a}",
    )
    .file("src/a/f", "")
    .file("src/b/f", "");
    let evaluated = project.evaluate().unwrap();
    let asked = |targets: &[&str]| -> Vec<String> {
        let mut asked = Vec::new();
        let mut sources = |request: &SourceRequest| {
            asked.push(request.path.clone());
            pretend_source(request)
        };
        let lowered = lower_for("x86_64-linux", &evaluated, targets, &mut sources).unwrap();
        assert_eq!(lowered.sources.iter().map(|(request, _)| request.path.clone()).collect::<Vec<_>>(), asked);
        asked
    };
    assert_eq!(asked(&["x"]), ["src/a"]);
    assert_eq!(asked(&["x", "y"]), ["src/a", "src/b"]);
    let target = &lowered(&evaluated, &["a"]).targets["a"];
    assert!(matches!(target, Input::Object(path) if path.name().as_str() == "a"));
}

#[test]
fn a_source_that_fails_names_the_call() {
    let project = Project::new("targets = {'a': source('//src')}").file("src/f", "");
    let evaluated = project.evaluate().unwrap();
    let error = super::super::lower(&evaluated, &["a"], &mut |_| Err("no space".to_owned())).unwrap_err();
    assert_eq!(error.to_string(), "cannot add the source `src` (derivations/default.star:3:17): no space");
}

#[test]
fn an_unknown_target_gets_a_suggestion() {
    let evaluated = evaluated("targets = {'runtime': dep, 'site-packages.six': dep}");
    let error = |name: &str| lower_for("s", &evaluated, &[name], &mut pretend_source).unwrap_err().to_string();
    assert_eq!(error("runtme"), "there is no target `runtme`; did you mean `runtime`?");
    assert_eq!(error("six"), "there is no target `six`; did you mean `site-packages.six`?");
    assert_eq!(error("zzzzzz"), "there is no target `zzzzzz`");
}

#[test]
fn what_cannot_change_the_result_is_a_hint_and_not_hashed() {
    let plain = evaluated("targets = {'x': derivation('x', 's', root)}");
    let hinted = evaluated("\n\ntargets = {'x': derivation('x', 's', root, timeout = 5, silence = 6, description = 'd')}");
    let (plain, hinted) = (lowered(&plain, &["x"]), lowered(&hinted, &["x"]));
    assert_eq!(plain.targets, hinted.targets);
    let hints = &hinted.graph.nodes()[1].hints;
    assert_eq!((hints.timeout, hints.silence, hints.description.as_str()), (Some(5), Some(6), "d"));
    assert_eq!(hints.span.as_ref().unwrap().to_string(), "derivations/default.star:5:17");
    assert!(hinted.graph.nodes()[0].hints.fetch.is_some());
}

#[test]
fn where_a_file_is_fetched_from_is_not_hashed() {
    let hash = |text: &str| lowered(&evaluated(text), &["x"]).targets["x"].clone();
    let one = hash("targets = {'x': fetch_url('https://a.test/f.tar', '11' * 32)}");
    assert_eq!(one, hash("targets = {'x': fetch_url(['https://b.test/elsewhere'], '11' * 32, name = 'f.tar')}"));
    assert_ne!(one, hash("targets = {'x': fetch_url('https://a.test/f.tar', '12' * 32)}"));
}

#[test]
fn every_declared_thing_is_hashed() {
    let call = |arguments: &str| {
        let text = format!("d = derivation('d', 't', root)\ntargets = {{'x': derivation({arguments})}}");
        lowered(&evaluated(&text), &["x"]).targets["x"].clone()
    };
    let variants = [
        "'x', 's', root",
        "'y', 's', root",
        "'x', 't', root",
        "'x', 's', d",
        "'x', 's', root, inputs = {'a': d}",
        "'x', 's', root, inputs = {'b': d}",
        "'x', 's', root, env = {'A': '1'}",
        "'x', 's', root, outputs = ['out', 'lib']",
        "'x', 's', root, references = []",
        "'x', 's', root, references = ['self']",
        "'x', 's', root, links = False",
        "'x', 's', root, interpreter = ['/bin/bash']",
    ];
    let hashes: Vec<_> = variants.iter().map(|arguments| call(arguments)).collect();
    for (index, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..index].contains(hash), "{} is like another", variants[index]);
    }
}

#[test]
fn scripts_carry_the_epoch_and_the_system() {
    let lowered = lowered(&evaluated("targets = {'x': derivation('x', 's', root)}"), &["x"]);
    let derivation = &lowered.graph.nodes()[1].derivation;
    assert_eq!(derivation.system, "x86_64-linux");
    assert!(matches!(&derivation.builder, Builder::Script(script) if script.epoch == crate::model::EPOCH));
}

#[test]
fn a_chain_of_a_hundred_thousand_recipes_is_lowered() {
    let evaluated = evaluated(
        "def chain():\n    last = dep\n    for i in range(100000):\n        last = derivation('x', str(i), root, inputs = {'last': last})\n    return last\ntargets = {'x': chain()}",
    );
    assert_eq!(lowered(&evaluated, &["x"]).graph.nodes().len(), 100_001);
}
