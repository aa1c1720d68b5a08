//! Where a value of the configuration comes from.

/// Where a value comes from; later ones win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// The configuration file.
    File,
    /// The environment.
    Environment,
    /// A flag.
    Flag,
}
