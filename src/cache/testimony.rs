//! What trusted keys say about builds, and which of it counts.
//!
//! In: hashes of resolved derivations, many at once. Out: for each, every result that a trusted key has signed, with its signers, and whether they
//! are enough: a result counts if, in one cache, as many distinct trusted keys signed it as that cache's configuration asks for. Results that
//! differ are all given: that builds disagree is a finding, not a matter to be settled silently.
//!
//! Not here: which of several results is taken (`build`).

use std::collections::{BTreeMap, BTreeSet};

use super::parallel::{self, AT_ONCE};
use super::set::{CacheSet, Member, Trouble};
use super::signing::KeyName;
use super::statement::SignedTrace;
use crate::model::{DerivationHash, OutputName, StorePath};

/// One result of a build, and who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What its outputs came out as.
    pub outputs: BTreeMap<OutputName, StorePath>,
    /// A signed statement of each signer.
    pub signed: BTreeMap<KeyName, SignedTrace>,
    /// Whether the signers are enough.
    pub counts: bool,
}

impl CacheSet {
    /// What the caches' trusted keys say about these derivations, in their order. The caches are asked at the same time.
    pub fn testimony(&self, asked: &[DerivationHash], trouble: Trouble<'_>) -> Vec<Vec<Claim>> {
        let trusted: Vec<&Member> = self.usable(trouble).into_iter().filter(|member| !member.cache.keys().is_empty()).collect();
        let questions: Vec<(usize, &Member)> =
            (0..asked.len()).flat_map(|index| trusted.iter().map(move |member| (index, *member))).collect();
        let answers = parallel::map(&questions, AT_ONCE, |(index, member)| {
            if member.is_broken() {
                return Vec::new();
            }
            let answer = member.cache.traces(&asked[*index], &mut |lie| self.blame(member, &lie, trouble));
            self.heed(member, answer, trouble).unwrap_or_default()
        });
        let mut claims: Vec<BTreeMap<_, Claim>> = vec![BTreeMap::new(); asked.len()];
        for ((index, member), traces) in questions.into_iter().zip(answers) {
            add(&mut claims[index], traces, member.cache.quorum());
        }
        claims.into_iter().map(|claims| claims.into_values().collect()).collect()
    }
}

/// Adds what one cache gave.
fn add(claims: &mut BTreeMap<BTreeMap<OutputName, StorePath>, Claim>, traces: Vec<SignedTrace>, quorum: usize) {
    let mut here: BTreeMap<BTreeMap<OutputName, StorePath>, BTreeSet<KeyName>> = BTreeMap::new();
    for signed in traces {
        let (outputs, signer) = (signed.trace.outputs.clone(), signed.signature.name().clone());
        here.entry(outputs.clone()).or_default().insert(signer.clone());
        let claim = claims.entry(outputs.clone()).or_insert_with(|| Claim { outputs, signed: BTreeMap::new(), counts: false });
        claim.signed.entry(signer).or_insert(signed);
    }
    for (outputs, signers) in here {
        if let Some(claim) = claims.get_mut(&outputs).filter(|_| signers.len() >= quorum) {
            claim.counts = true;
        }
    }
}
