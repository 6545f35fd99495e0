mod aggregates; // Decisions, snapshots and subscriptions on files, in both worlds.
mod contract;
mod scenarios;
