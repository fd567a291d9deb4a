//! `file`, `read_json`, `param`: what recipes may know of the world.

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::{Heap, Value};

use crate::recipe::paths::Area;
use crate::recipe::refusal::Refusal;
use crate::recipe::session::{Session, call_span, path_of_call};

#[starlark_module]
pub(super) fn register(builder: &mut GlobalsBuilder) {
    /// The text of a file.
    fn file<'v>(path: &str, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Value<'v>> {
        let text = Session::of(eval)?.read(&path_of_call(eval, path)?, Area::Text)?;
        Ok(eval.heap().alloc(&*text))
    }

    /// The value in a JSON file.
    fn read_json<'v>(path: &str, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Value<'v>> {
        let path = path_of_call(eval, path)?;
        let text = Session::of(eval)?.read(&path, Area::Text)?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|source| Refusal::Json { path, reason: source.to_string() })?;
        let heap: Heap<'v> = eval.heap();
        Ok(heap.alloc(value))
    }

    /// A knob that the command line can turn: `--param name=value`.
    fn param<'v>(name: &str, default: &str, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<String> {
        let starts = name.starts_with(|first: char| first.is_ascii_alphabetic());
        if !starts || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
            return Err(Refusal::ParamName { name: name.to_owned() }.into());
        }
        Ok(Session::of(eval)?.param(name, default, call_span(eval))?)
    }
}
