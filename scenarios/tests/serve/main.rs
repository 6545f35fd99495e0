//! `squall serve` and `squall config`: real processes on loopback, and what they say.

mod commands; // The client's commands, and their exit codes.
mod flags; // Flags and files that make no sense.
mod load; // Three members, killed and paused under load, and the history judged.
mod members; // Members that come and go while the cluster serves.
mod production; // The build that leaves deliberate bugs out.
mod stop; // A member that is told to stop, and deliberate bugs that nobody can switch on.
mod support;
mod tls; // Certificates between members, and for clients.
