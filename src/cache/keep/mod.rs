//! Keeping a cache in order: what is in it, whether it is sound, and what goes when room is needed.
//!
//! In: a [`Backend`](super::Backend) that can be listed. Out: a [`Catalogue`], findings, or a smaller cache.
//! Not here: pushing (which only calls [`Lease`]), and the local store's own collector (`store::gc`).
//!
//! # What may be removed
//!
//! An object's last use is when its description or its NAR was last written, or its NAR last read where the back end knows; what an object
//! refers to was used when the object was. All objects are put into one order: first those that pins hold, those that a running push relies
//! on, those younger than the grace period and the last few that the user asked for, each with its closure; then the others, latest use first,
//! references always before what refers to them. Whatever is kept is a beginning of that order, so it is closed under references; budgets decide how
//! long a beginning ([`plan`]). Removal goes from the end: at no moment is an object there without what it refers to. (Objects that refer to
//! each other in a circle cannot exist, only be claimed; of those a part may go first.)
//!
//! An object's description goes first. Its NAR is *condemned*: written down, with the time, and removed by a later collection when that was
//! a grace period ago and still nothing names it. So whoever has read a description can still get the NAR for that long.
//!
//! # Safe against pushes that run meanwhile
//!
//! A push asks once what is there, sends NARs, and then descriptions that rely on what was there. Between the asking and the end the
//! collector must not remove any of that, and neither side can lock the cache: back ends only write, read, list and remove entries. What they
//! do promise is that an entry once written is in what is read or listed afterwards (S3 does since 2020; a directory does).
//!
//! The push, before it asks, writes a [`Lease`] that names all objects it is about, and *then* reads the collector's mark. The collector works
//! in short slices: it writes into its mark what this slice is about to remove, and *then* lists the leases, takes out what those name and
//! whatever that refers to, and removes the rest. Of two who each write first and read second, at least one sees the other:
//!
//! - The lease was written before the collector listed leases. Then this slice spares what it names, and so do all later slices while
//!   the lease is there.
//! - The lease was written after that listing. Then the push reads the mark of that slice or of a later one, or that no slice runs. If it names
//!   anything that the push is about, the push waits until the slice is over; only then it asks what is there, and hears the truth.
//!
//! NARs have names that a push knows only when it has packed them. So before it writes descriptions it *settles* ([`Lease::settle`]): it adds
//! the NARs' names to its lease, reads the mark again as above, and, if any slice began since its start, asks whether the NARs are still
//! there, to send again those that are not. A NAR that was not there when the push looked, and that it then wrote, needs no such care: a
//! collection that knew it has removed it already and removes nothing twice; and one that begins later finds it too young, for NARs that are
//! younger than a lease's life stay whatever the grace period is.
//!
//! The collector knows what refers to what from when it read all descriptions. A push may begin and end after that, so its lease must
//! outlive it: a lease is removed at the push's end only if the mark says that no collection runs; otherwise it stays for the next
//! collection to clear away. A collection gives up, to be begun anew, when its knowledge is older than [`Timing::knowledge`].
//!
//! A process may be killed or put to sleep. A lease counts for [`Timing::lease`] after it was last written and its holder renews it every
//! [`Timing::renewal`]; a holder that finds its lease older than [`Timing::trust`] reports an error instead of writing descriptions. A mark
//! that stays as it is for [`Timing::slice`] and as long again is a dead collector's, and a collector that finds its slice older than
//! [`Timing::slice`] starts another. Both measure this by clocks of their own that run on during sleep; the ages of entries are compared
//! with each other, by the back end's clock alone, so clocks that disagree do no harm. `trust + knowledge + slice < lease`: whatever was written
//! under a lease is seen by a collector that did not know it.
//!
//! Not covered: a machine that sleeps for minutes between looking at its clock and sending one request; a network file system that shows one
//! machine's new files to another late; programs that take no lease, such as Nix's. From those the grace period protects what they
//! have just written, not what they found.

mod catalogue;
mod collect;
mod lease;
mod mark;
mod pin;
mod plan;
mod removal;
mod statements;
#[cfg(test)]
mod testing;
mod timing;
mod verify;

pub use catalogue::{Catalogue, NarFile, Object, Unreadable};
#[cfg(feature = "server")]
pub(super) use collect::PARTIAL_AGE;
pub use collect::{CollectOptions, CollectReport, collect};
pub use lease::Lease;
#[cfg(feature = "server")]
pub(super) use lease::parse as parse_lease;
pub use pin::{Pin, pins, set_pin, unset_pin};
pub use plan::{Budget, Plan, plan};
pub use statements::{SignedOutputs, signed_outputs};
pub use timing::Timing;
pub use verify::{Finding, VerifyOptions, VerifyReport, verify};
