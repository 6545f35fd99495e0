//! A bank account, a shopping cart and a game, each decided on and replayed:
//! `cargo run -p squall-scenarios --example aggregates`.

use squall_protocols::aggregate::bank::{self, Account};
use squall_protocols::aggregate::cart::{self, Cart};
use squall_protocols::aggregate::game::{self, Player};
use squall_protocols::aggregate::{Aggregate, replay};

fn main() {
    account();
    cart();
    game();
}

/// Does a command, says what came of it, and keeps the events.
fn tell<A: Aggregate>(state: &mut A, events: &mut Vec<A::Event>, command: &A::Command)
where
    A::Command: std::fmt::Debug,
{
    match state.decide(command) {
        Ok(happened) => {
            happened.iter().for_each(|event| state.evolve(event));
            println!("  {command:?} -> {happened:?}");
            events.extend(happened);
        }
        Err(error) => println!("  {command:?} -> {error}"),
    }
}

fn account() {
    println!("account acc-123");
    let (mut account, mut events) = (Account::default(), Vec::new());
    let open =
        |initial_deposit| bank::Command::Open { customer_id: "cust-1".to_owned(), initial_deposit };
    for command in [
        open(99_00),
        open(100_00),
        open(100_00),
        bank::Command::Withdraw { cents: 30_00 },
        bank::Command::Withdraw { cents: 80_00 },
    ] {
        tell(&mut account, &mut events, &command);
    }
    let replayed: Account = replay(&events);
    println!("  balance ${}, replayed ${}", account.balance() / 100, replayed.balance() / 100);
}

fn cart() {
    println!("cart cart-1");
    let (mut cart, mut events) = (Cart::default(), Vec::new());
    for command in [
        cart::Command::Add { item: "book".to_owned(), quantity: 2, price: 19_99 },
        cart::Command::Remove { item: "book".to_owned(), quantity: 3 },
        cart::Command::CheckOut,
        cart::Command::CheckOut,
    ] {
        tell(&mut cart, &mut events, &command);
    }
}

fn game() {
    println!("player player-1");
    let (mut player, mut events) = (Player::default(), Vec::new());
    let earn = |points| game::Command::Earn { points };
    let collect = |name: &str| game::Command::Collect { power_up: name.to_owned() };
    for command in [
        game::Command::Start,
        earn(50),
        collect("Speed Boost"),
        earn(75),
        collect("Shield"),
        earn(100),
    ] {
        tell(&mut player, &mut events, &command);
    }
    let (level, score) = (player.level(), player.score());
    println!("  level {level}, score {score}, {:?}", player.achievements());
    let scores: Vec<u64> =
        (1..=events.len()).map(|upto| replay::<Player>(&events[..upto]).score()).collect();
    println!("  scores as they came: {scores:?}");
}
