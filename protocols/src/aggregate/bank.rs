//! A bank account. Money is in cents.

use super::Aggregate;
use crate::event_store;
use serde::{Deserialize, Serialize};

/// The least that an account is opened with, in cents.
pub const INITIAL_DEPOSIT_MIN: u64 = 100_00;

/// Whether an account is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Status {
    /// It was never opened.
    #[default]
    New,
    /// It was opened.
    Open,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    status: Status,
    balance: u64,
    /// How often something was paid in or out.
    movements: u64,
}

/// What an account can be asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Open it for a customer.
    Open {
        /// Who.
        customer_id: String,
        /// In cents.
        initial_deposit: u64,
    },
    /// Pay something in.
    Deposit {
        /// How much.
        cents: u64,
    },
    /// Pay something out.
    Withdraw {
        /// How much.
        cents: u64,
    },
}

/// What can have happened to an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// It was opened.
    AccountOpened {
        /// For whom.
        customer_id: String,
        /// With so many cents.
        initial_deposit: u64,
    },
    /// Something was paid in.
    Deposited {
        /// How much.
        cents: u64,
    },
    /// Something was paid out.
    Withdrawn {
        /// How much.
        cents: u64,
    },
}

/// Why an account refuses something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BankError {
    /// It is open already.
    #[error("Account already opened")]
    AlreadyOpened,
    /// It is opened with at least [`INITIAL_DEPOSIT_MIN`].
    #[error("Initial deposit must be at least $100")]
    InitialDeposit,
    /// It was never opened.
    #[error("Account not opened")]
    NotOpened,
    /// Nothing is paid in or out.
    #[error("Amount must be positive")]
    NoAmount,
    /// There is less on it.
    #[error("Not enough funds")]
    NotEnoughFunds,
    /// There would be more on it than can be counted.
    #[error("Balance too large")]
    TooMuch,
}

impl Account {
    /// Whether it is in use.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What is on it, in cents.
    pub fn balance(&self) -> u64 {
        self.balance
    }

    /// How often something was paid in or out since it was opened.
    pub fn movements(&self) -> u64 {
        self.movements
    }

    fn opened(&self, cents: u64) -> Result<(), BankError> {
        match self.status {
            Status::New => Err(BankError::NotOpened),
            Status::Open if cents == 0 => Err(BankError::NoAmount),
            Status::Open => Ok(()),
        }
    }
}

impl Aggregate for Account {
    type Command = Command;
    type Event = Event;
    type Error = BankError;
    const SNAPSHOT: Option<&'static str> = Some("account: status, balance in cents, movements");

    fn decide(&self, command: &Command) -> Result<Vec<Event>, BankError> {
        match command {
            Command::Open { .. } if self.status == Status::Open => Err(BankError::AlreadyOpened),
            Command::Open { initial_deposit, .. } if *initial_deposit < INITIAL_DEPOSIT_MIN => {
                Err(BankError::InitialDeposit)
            }
            Command::Open { customer_id, initial_deposit } => Ok(vec![Event::AccountOpened {
                customer_id: customer_id.clone(),
                initial_deposit: *initial_deposit,
            }]),
            Command::Deposit { cents } => {
                self.opened(*cents)?;
                self.balance.checked_add(*cents).ok_or(BankError::TooMuch)?;
                Ok(vec![Event::Deposited { cents: *cents }])
            }
            Command::Withdraw { cents } => {
                self.opened(*cents)?;
                self.balance.checked_sub(*cents).ok_or(BankError::NotEnoughFunds)?;
                Ok(vec![Event::Withdrawn { cents: *cents }])
            }
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::AccountOpened { initial_deposit, .. } => {
                *self = Account { status: Status::Open, balance: *initial_deposit, movements: 0 };
            }
            Event::Deposited { cents } => {
                self.balance = self.balance.saturating_add(*cents);
                self.movements += 1;
            }
            Event::Withdrawn { cents } => {
                self.balance = self.balance.saturating_sub(*cents);
                self.movements += 1;
            }
        }
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("numbers can be encoded")
    }

    fn restore(snapshot: &[u8]) -> Option<Account> {
        postcard::from_bytes(snapshot).ok()
    }
}

impl event_store::Event for Event {
    const KINDS: &'static [(&'static str, u32)] =
        &[("account_opened", 1), ("deposited", 1), ("withdrawn", 1)];

    fn kind(&self) -> &'static str {
        match self {
            Event::AccountOpened { .. } => "account_opened",
            Event::Deposited { .. } => "deposited",
            Event::Withdrawn { .. } => "withdrawn",
        }
    }

    fn encode(&self) -> Vec<u8> {
        let encoded = match self {
            Event::AccountOpened { customer_id, initial_deposit } => {
                postcard::to_allocvec(&(customer_id, initial_deposit))
            }
            Event::Deposited { cents } | Event::Withdrawn { cents } => postcard::to_allocvec(cents),
        };
        encoded.expect("strings and numbers can be encoded")
    }

    fn decode(kind: &str, data: &[u8]) -> Option<Event> {
        let cents = || postcard::from_bytes(data).ok();
        match kind {
            "account_opened" => {
                let (customer_id, initial_deposit) = postcard::from_bytes(data).ok()?;
                Some(Event::AccountOpened { customer_id, initial_deposit })
            }
            "deposited" => Some(Event::Deposited { cents: cents()? }),
            "withdrawn" => Some(Event::Withdrawn { cents: cents()? }),
            _ => None,
        }
    }
}
