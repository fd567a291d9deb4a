use super::*;
#[test]
fn flagship() {
    match evaluate(std::path::Path::new("/work/h-flagship"), &BTreeMap::new()) {
        Ok(e) => { for (n, t) in &e.targets { println!("{n}: {}", t.description); }
            let names: Vec<&str> = e.targets.keys().map(String::as_str).collect();
            let l = lowered(&e, &names); println!("{} nodes, {:?}", l.graph.nodes().len(), l.sources.iter().map(|s| s.0.path.clone()).collect::<Vec<_>>()); }
        Err(RecipeError::Failed(f)) => panic!("{f}\n{}{:?}", f.traceback(), f.hint),
        Err(e) => panic!("{e}"),
    }
}
