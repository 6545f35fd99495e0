//! Places in the code where a test may make the rare thing happen, or an old bug come back.

/// Whether to do the rare but allowed thing at this place: a short batch, an early timeout, a
/// needless retry. Always `false` in production.
///
/// In a simulated run one place in four is active, and an active place answers `true` one time in
/// four (the scheme of FoundationDB's `BUGGIFY`). The name keeps its choices apart from all others.
///
/// ```
/// # fn batch(env: &squall_env::Env) -> usize {
/// if squall_env::buggify!(env, "queue/short batch") { 1 } else { 64 }
/// # }
/// ```
#[macro_export]
macro_rules! buggify {
    ($env:expr, $name:literal) => {
        $env.buggify($name)
    };
}

/// Whether the deliberate bug of this name is switched on: one line of good code gone wrong, to
/// show that a property notices. Without the feature `mutants` it is the constant `false`, and the
/// branch is not compiled in.
///
/// ```
/// # fn quorum(env: &squall_env::Env, nodes: usize) -> usize {
/// if squall_env::mutant!(env, "register/quorum-off-by-one") { nodes / 2 } else { nodes / 2 + 1 }
/// # }
/// ```
#[cfg(feature = "mutants")]
#[macro_export]
macro_rules! mutant {
    ($env:expr, $name:literal) => {
        $env.mutant($name)
    };
}

/// Whether the deliberate bug of this name is switched on: in this build, which is without the
/// feature `mutants`, never.
///
/// ```
/// # fn quorum(env: &squall_env::Env, nodes: usize) -> usize {
/// if squall_env::mutant!(env, "register/quorum-off-by-one") { nodes / 2 } else { nodes / 2 + 1 }
/// # }
/// ```
#[cfg(not(feature = "mutants"))]
#[macro_export]
macro_rules! mutant {
    ($env:expr, $name:literal) => {{
        let _ = &$env;
        false
    }};
}
