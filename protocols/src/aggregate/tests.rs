//! The examples, with the figures that go with them.

use super::bank::{Account, BankError};
use super::cart::{self, Cart, CartError};
use super::game::{self, GameError, Player};
use super::{Aggregate, Given, bank, replay};
use crate::event_store::Event;

fn open(cents: u64) -> bank::Command {
    bank::Command::Open { customer_id: "cust-1".to_owned(), initial_deposit: cents }
}

fn opened(cents: u64) -> bank::Event {
    bank::Event::AccountOpened { customer_id: "cust-1".to_owned(), initial_deposit: cents }
}

#[test]
fn an_account_is_new_and_empty_until_it_is_opened() {
    Given::<Account>::nothing().state(|account| {
        assert_eq!((account.status(), account.balance()), (bank::Status::New, 0));
    });
    assert_eq!(opened(100_00).kind(), "account_opened");
}

#[test]
fn an_account_is_opened_once_and_with_a_hundred_dollars_at_least() {
    Given::<Account>::nothing()
        .when(&open(99_99))
        .fails(&BankError::InitialDeposit)
        .when(&open(100_00))
        .then(&[opened(100_00)])
        .when(&open(200_00))
        .fails(&BankError::AlreadyOpened);
    assert_eq!(BankError::AlreadyOpened.to_string(), "Account already opened");
    assert_eq!(BankError::InitialDeposit.to_string(), "Initial deposit must be at least $100");
    assert_eq!(BankError::NotEnoughFunds.to_string(), "Not enough funds");
}

#[test]
fn a_hundred_in_and_thirty_out_are_seventy() {
    Given::<Account>::events(&[opened(100_00)])
        .when(&bank::Command::Withdraw { cents: 30_00 })
        .then(&[bank::Event::Withdrawn { cents: 30_00 }])
        .state(|account| assert_eq!(account.balance(), 70_00))
        .when(&bank::Command::Withdraw { cents: 70_01 })
        .fails(&BankError::NotEnoughFunds)
        .when(&bank::Command::Withdraw { cents: 0 })
        .fails(&BankError::NoAmount)
        .when(&bank::Command::Deposit { cents: u64::MAX })
        .fails(&BankError::TooMuch);
    let deposit = bank::Command::Deposit { cents: 1 };
    Given::<Account>::nothing().when(&deposit).fails(&BankError::NotOpened);
}

#[test]
#[should_panic(expected = "what happens is not what was expected")]
fn a_test_of_an_aggregate_fails_if_something_else_happens() {
    Given::<Account>::nothing().when(&open(100_00)).then(&[opened(100_01)]);
}

#[test]
#[should_panic(expected = "it is refused")]
fn a_test_of_an_aggregate_fails_if_nothing_happens() {
    Given::<Account>::nothing().when(&open(99_99)).then(&[opened(99_99)]);
}

#[test]
#[should_panic(expected = "it is done")]
fn a_test_of_an_aggregate_fails_if_it_is_not_refused() {
    Given::<Account>::nothing().when(&open(100_00)).fails(&BankError::InitialDeposit);
}

#[test]
fn a_snapshot_of_an_account_is_its_state() {
    let account: Account = replay(&[opened(100_00), bank::Event::Deposited { cents: 5 }]);
    assert_eq!(Account::restore(&account.save()), Some(account));
}

#[test]
fn a_cart_is_filled_emptied_and_bought_once() {
    let add =
        |item: &str, quantity, price| cart::Command::Add { item: item.to_owned(), quantity, price };
    let remove = |item: &str, quantity| cart::Command::Remove { item: item.to_owned(), quantity };
    let added = |item: &str, quantity, price| cart::Event::ItemAdded {
        item: item.to_owned(),
        quantity,
        price,
    };
    let removed =
        |item: &str, quantity| cart::Event::ItemRemoved { item: item.to_owned(), quantity };
    Given::<Cart>::nothing()
        .when(&cart::Command::CheckOut)
        .fails(&CartError::Empty)
        .when(&add("book", 2, 19_99))
        .then(&[added("book", 2, 19_99)])
        .when(&add("book", 1, 18_99))
        .fails(&CartError::Price)
        .when(&add("pen", 1, 1_50))
        .then(&[added("pen", 1, 1_50)])
        .when(&remove("pen", 2))
        .fails(&CartError::NotInCart(1))
        .when(&remove("pen", 1))
        .then(&[removed("pen", 1)])
        .when(&add("pen", 0, 1_50))
        .fails(&CartError::Quantity)
        .when(&cart::Command::CheckOut)
        .then(&[cart::Event::CheckedOut { total: 39_98 }])
        .when(&add("pen", 1, 1_50))
        .fails(&CartError::CheckedOut);
}

fn demo() -> Vec<game::Command> {
    let earn = |points| game::Command::Earn { points };
    let collect = |name: &str| game::Command::Collect { power_up: name.to_owned() };
    vec![
        game::Command::Start,
        earn(50),
        collect("Speed Boost"),
        earn(75),
        collect("Shield"),
        earn(100),
    ]
}

#[test]
fn the_demo_of_the_game_ends_at_level_three_with_225_points() {
    let (mut player, mut scores) = (Player::default(), Vec::new());
    for command in demo() {
        let events = player.decide(&command).unwrap();
        assert_eq!(events.len(), 1, "{command:?}");
        player.evolve(&events[0]);
        scores.push(player.score());
    }
    assert_eq!(scores, [0, 50, 50, 125, 125, 225]);
    assert_eq!((player.level(), player.score()), (3, 225));
    assert_eq!(player.achievements(), ["First Steps", "Level 2 Master", "Level 3 Master"]);
    assert_eq!(player.power_ups(), ["Speed Boost", "Shield"]);
    assert_eq!(player.status(), game::Status::Playing);
}

#[test]
fn a_jump_over_several_levels_is_an_achievement_for_each() {
    let earned = game::Event::PointsEarned { points: 250 };
    Given::<Player>::events(&[game::Event::GameStarted, earned]).state(|player| {
        assert_eq!(player.achievements(), ["First Steps", "Level 2 Master", "Level 3 Master"]);
    });
}

#[test]
fn nothing_is_earned_before_the_game_begins() {
    let earn = game::Command::Earn { points: 1 };
    Given::<Player>::nothing()
        .when(&earn)
        .fails(&GameError::NotStarted)
        .when(&game::Command::Start)
        .then(&[game::Event::GameStarted])
        .when(&game::Command::Start)
        .fails(&GameError::AlreadyStarted)
        .when(&game::Command::Earn { points: 0 })
        .fails(&GameError::Points)
        .when(&game::Command::Collect { power_up: String::new() })
        .fails(&GameError::NoName);
}

fn comes_back<E: Event + PartialEq + std::fmt::Debug>(events: &[E]) {
    for event in events {
        let read = E::decode(event.kind(), &event.encode());
        assert_eq!(read.as_ref(), Some(event));
        assert!(E::KINDS.iter().any(|(kind, _)| *kind == event.kind()));
    }
}

#[test]
fn every_event_comes_back_as_it_was() {
    comes_back(&[
        opened(100_00),
        bank::Event::Deposited { cents: 1 },
        bank::Event::Withdrawn { cents: 2 },
    ]);
    comes_back(&[
        cart::Event::ItemAdded { item: "book".to_owned(), quantity: 2, price: 3 },
        cart::Event::ItemRemoved { item: "book".to_owned(), quantity: 1 },
        cart::Event::CheckedOut { total: 3 },
    ]);
    comes_back(&[
        game::Event::GameStarted,
        game::Event::PointsEarned { points: 5 },
        game::Event::PowerUpCollected { power_up: "Shield".to_owned() },
    ]);
}
