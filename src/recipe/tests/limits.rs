//! Recipes that would never end, or need all memory.

use super::*;

#[test]
fn a_loop_without_end_is_stopped() {
    let failure = Project::new("def f():\n    for i in range(1000000000):\n        pass\nf()").failure();
    assert_eq!(failure.message, "the recipes take more than 20000000 steps");
    assert_eq!(failure.frames[1].span.to_string(), "derivations/default.star:4:5");
    let failure = Project::new("x = [0 for a in range(1000000) for b in range(1000)]").failure();
    assert!(failure.message.contains("steps") || failure.message.contains("memory"), "{}", failure.message);
}

#[test]
fn a_loop_that_does_something_is_stopped_with_its_calls() {
    let failure = Project::new(
        "def f():
    for i in range(1000000000):
        x = i
f()",
    )
    .failure();
    assert_eq!(failure.message, "the recipes take more than 20000000 steps");
    let places: Vec<_> = failure.frames.iter().map(|frame| (frame.span.line, frame.function.as_deref())).collect();
    assert_eq!(places, [(6, None), (4, Some("f"))]);
}

#[test]
fn the_steps_of_all_files_count() {
    let spin = "def f():\n    for i in range(12000000):\n        pass\nf()\nx = 1\n";
    let project = Project::new(&format!("load('a.star', 'x')\n{spin}")).file("derivations/a.star", spin);
    assert!(project.failure().message.contains("steps"));
}

#[test]
fn a_text_that_doubles_is_stopped_before_it_fills_the_memory() {
    let failure = Project::new("def f():\n    s = 'x' * 1000\n    for i in range(60):\n        s = s + s\nf()").failure();
    assert_eq!(failure.message, "the recipe needs more than 512 MiB of memory");
    assert!(failure.frames.iter().any(|frame| frame.function.as_deref() == Some("f")), "{:?}", failure.frames);
    assert_eq!(failure.hint.unwrap(), "look for a list or text that grows in a loop");
}

#[test]
fn recursion_is_stopped() {
    let failure = Project::new("def f(n):\n    return f(n + 1)\nf(0)").failure();
    assert!(failure.message.contains("stack"), "{}", failure.message);
    assert!(failure.frames.len() > 100);
    assert!(failure.traceback().lines().count() < 40, "{}", failure.traceback());
}

#[test]
fn deep_nesting_is_no_crash() {
    let deep = 20_000;
    for text in [
        format!("x = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("x = {}1", "-".repeat(deep)),
        format!("x = 1{}", "+1".repeat(deep)),
        format!("x = {}1{}", "(".repeat(deep), ")".repeat(deep)),
        "def f():\n    x = []\n    for i in range(100000):\n        x = [x]\n    return x\nx = f()".to_owned(),
    ] {
        // Either answer is fine, as long as there is one.
        let _ = Project::new(&format!("{text}\ntargets = {{}}")).evaluate();
    }
}

#[test]
fn too_much_printing_is_stopped() {
    let failure = Project::new("def f():\n    for i in range(20000):\n        print(i)\nf()").failure();
    assert_eq!(failure.message, "more than 10000 lines printed");
}

#[test]
fn a_large_file_is_refused() {
    let project = Project::new("file('large.txt')\ntargets = {}").file("derivations/large.txt", &"x".repeat((16 << 20) + 1));
    assert_eq!(project.failure().message, "`derivations/large.txt` is larger than 16 MiB");
}
