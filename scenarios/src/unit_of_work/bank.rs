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
    /// Open the guest's account with so much on it.
    Open(i64),
    /// Pay so much into the guest's account.
    Pay(i64),
    /// Close the guest's account, and pay out what is on it.
    Close,
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
    /// The account was opened by this very operation.
    Opened,
    /// It is open already.
    Exists,
    /// There is so much on it now.
    Paid(i64),
    /// So much was on it, and was paid out.
    Closed(i64),
    /// There is no such account.
    Missing,
}

/// What is on the accounts, and on the guest's while it is open.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Balances {
    accounts: Vec<i64>,
    guest: Option<i64>,
}

/// The model.
#[derive(Clone, Copy, Debug)]
pub struct Bank;

impl Model for Bank {
    type State = Balances;
    type Input = Call;
    type Output = Told;

    fn initial(&self) -> Balances {
        Balances { accounts: vec![BALANCE; ACCOUNTS], guest: None }
    }

    fn step(&self, state: &Balances, call: &Call, told: Option<&Told>) -> Option<Balances> {
        let mut next = state.clone();
        let expected = match (*call, state.guest) {
            (Call::Balances, _) => Told::Balances(state.accounts.clone()),
            (Call::Transfer(from, to, amount), _) => {
                let (from, to) = (usize::from(from), usize::from(to));
                if state.accounts[from] < amount {
                    Told::Insufficient(state.accounts[from])
                } else {
                    next.accounts[from] -= amount;
                    next.accounts[to] += amount;
                    Told::Transferred
                }
            }
            (Call::Open(_), Some(_)) => Told::Exists,
            (Call::Open(amount), None) => {
                next.guest = Some(amount);
                Told::Opened
            }
            (Call::Pay(_) | Call::Close, None) => Told::Missing,
            (Call::Pay(amount), Some(balance)) => {
                next.guest = Some(balance + amount);
                Told::Paid(balance + amount)
            }
            (Call::Close, Some(balance)) => {
                next.guest = None;
                Told::Closed(balance)
            }
        };
        told.is_none_or(|told| *told == expected).then_some(next)
    }

    fn describe(&self, call: &Call, told: Option<&Told>) -> String {
        let call = match call {
            Call::Transfer(from, to, amount) => format!("transfers {amount} from {from} to {to}"),
            Call::Balances => "reads all balances".to_owned(),
            Call::Open(amount) => format!("opens the guest's account with {amount}"),
            Call::Pay(amount) => format!("pays {amount} into the guest's account"),
            Call::Close => "closes the guest's account".to_owned(),
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
