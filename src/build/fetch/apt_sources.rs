//! apt's list of sources, in both of its formats.

/// One enabled `deb` source of apt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptSource {
    /// Where the archive lies, without a trailing slash.
    pub uri: String,
    /// The suite, such as `bookworm`.
    pub suite: String,
    /// The components, such as `main`.
    pub components: Vec<String>,
    /// `Signed-By` as it was written: paths, fingerprints or a key.
    pub signed_by: Option<String>,
}
