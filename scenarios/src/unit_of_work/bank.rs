//! A bank as a model: what transfers and balances are, one operation at a time.

use serde::{Deserialize, Serialize};
use squall_check::Model;

/// How many accounts there are.
pub(super) const ACCOUNTS: usize = 4;

/// What is on each of them at first.
pub(super) const BALANCE: i64 = 100;

/// What a client asks of the bank.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Call {
    /// Transfer an amount from one account to another.
    Transfer(u8, u8, i64),
    /// What is on all accounts?
    Balances,
}

/// What a client is told.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Told {
    /// The amount was transferred.
    Transferred,
    /// There is only so much on the account.
    Insufficient(i64),
    /// This is on the accounts.
    Balances(Vec<i64>),
}

/// The model.
#[derive(Clone, Copy, Debug)]
pub struct Bank;

impl Model for Bank {
    type State = Vec<i64>;
    type Input = Call;
    type Output = Told;

    fn initial(&self) -> Vec<i64> {
        vec![BALANCE; ACCOUNTS]
    }

    fn step(&self, state: &Vec<i64>, call: &Call, told: Option<&Told>) -> Option<Vec<i64>> {
        let (next, expected) = match *call {
            Call::Balances => (state.clone(), Told::Balances(state.clone())),
            Call::Transfer(from, to, amount) => {
                let (from, to, mut next) = (usize::from(from), usize::from(to), state.clone());
                if state[from] < amount {
                    (next, Told::Insufficient(state[from]))
                } else {
                    next[from] -= amount;
                    next[to] += amount;
                    (next, Told::Transferred)
                }
            }
        };
        told.is_none_or(|told| *told == expected).then_some(next)
    }

    fn describe(&self, call: &Call, told: Option<&Told>) -> String {
        let call = match call {
            Call::Transfer(from, to, amount) => format!("transfers {amount} from {from} to {to}"),
            Call::Balances => "reads all balances".to_owned(),
        };
        match told {
            Some(told) => format!("{call} and is told {told:?}"),
            None => format!("{call}, outcome unknown"),
        }
    }

    fn is_read_only(&self, call: &Call) -> bool {
        *call == Call::Balances
    }
}

/// What the message of a transfer says.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Transferred {
    /// The client and its operation.
    pub(super) id: u64,
    pub(super) from: u8,
    pub(super) to: u8,
    pub(super) amount: i64,
}

impl Transferred {
    pub(super) fn encode(self) -> Vec<u8> {
        serde_json::to_vec(&self).expect("numbers can be encoded")
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Transferred> {
        let is_known = |one: &Transferred| usize::from(one.from.max(one.to)) < ACCOUNTS;
        serde_json::from_slice(bytes).ok().filter(is_known)
    }
}
