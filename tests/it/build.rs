//! `kiln build`: what is built, what is not, and what it comes out as.

use crate::support::Project;

const CHAIN: &str = r#"
base = sh("base", "echo base > $out")
middle = sh("middle", "cat $base > $out", inputs = {"base": base})
top = sh("top", "mkdir $out; cat $middle > $out/text", inputs = {"middle": middle}, description = "the end of a chain")
targets = {"base": base, "middle": middle, "top": top}
"#;

#[test]
fn a_second_build_builds_nothing() {
    let project = Project::new().recipe(CHAIN);
    let first = project.kiln(["build", "top"]).success().built(&["base", "middle", "top"]);
    assert_eq!(project.read(first.path().join("text")), "base\n");
    project.kiln(["build", "top"]).success().stdout(&first.out).stderr("");
    project.sound();
}
