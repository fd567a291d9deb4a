//! What gets a clear error, with nothing lost: each test looks at the message, the advice, the exit code, and the store afterwards.

mod archives;
mod builders;
mod fetching;
mod machine;
mod merging;
mod recipes;
