mod contract;
mod scenarios;
