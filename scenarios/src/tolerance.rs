//! What systems of a kind survive.

use squall::{Fault, Most, Tolerance};

/// What durable nodes of these roles survive, each and all at once: anything but a disk that
/// forgets what it has synced. Nobody is asked so much at once that a queue overflows.
pub(crate) fn of_durable(roles: &[&str]) -> Tolerance {
    impaired(roles).any_clock().crashes().lost_unsynced_writes().failing_disks()
}

/// What nodes of these roles survive that keep nothing on a disk, and so have nothing to recover
/// from. What their clocks may do, each says for itself.
pub(crate) fn of_volatile(roles: &[&str]) -> Tolerance {
    impaired(roles).crashes().but_not(Fault::CrashInRecovery)
}

fn impaired(roles: &[&str]) -> Tolerance {
    let impaired = roles.iter().fold(Tolerance::nothing(), |t, role| t.impaired(role, Most::Any));
    impaired.any_network().but_not(Fault::QueueOverflow)
}
