use super::*;
use proptest::prelude::*;

const CUSTOMERS: Table = Table {
    name: "customers",
    fields: &[
        Field::text("tier"),
        Field::integer("total"),
        Field::integer("days"),
        Field::text("na\"me"),
    ],
};

fn customer(tier: &str, total: i64, days: i64) -> Row {
    vec![Some(tier.into()), Some(total.into()), Some(days.into()), None]
}

fn high_value() -> Specification {
    field("total").at_least(100)
}

fn recent() -> Specification {
    field("days").at_most(30)
}

fn premium() -> Specification {
    field("tier").is("premium")
}

/// As the rule is told: a discount for premium customers, and for those of high value who bought
/// recently. Tutorials that print `(premium or (high value and recent)) and high value` deny it to
/// Alice, and those that read a misspelt key as zero deny it to everybody.
#[test]
fn premium_customers_and_recent_ones_of_high_value_get_the_discount() {
    let rule = premium().or(high_value().and(recent())).bind(&CUSTOMERS).unwrap();
    let alice = customer("premium", 50, 45);
    let bob = customer("standard", 150, 15);
    let charlie = customer("standard", 50, 60);
    assert!(rule.is_satisfied_by(&alice));
    assert!(rule.is_satisfied_by(&bob));
    assert!(!rule.is_satisfied_by(&charlie));
    let printed = premium().or(high_value().and(recent())).and(high_value());
    assert!(!printed.bind(&CUSTOMERS).unwrap().is_satisfied_by(&alice));
}

#[test]
fn who_has_enough_has_credit() {
    const ACCOUNTS: Table = Table { name: "accounts", fields: &[Field::integer("balance")] };
    let credit = |balance_min: i64| field("balance").at_least(balance_min).bind(&ACCOUNTS).unwrap();
    let account = |balance: i64| vec![Some(balance.into())];
    let has = |balance_min, balance| credit(balance_min).is_satisfied_by(&account(balance));
    assert_eq!([has(10_000, 10_000), has(10_000, 9_999), has(0, -1)], [true, false, false]);
    assert_eq!(credit(5).to_sql().condition, r#""balance">=?"#);
}

#[test]
fn a_misspelt_field_is_an_error_and_no_zero() {
    let misspelt = field("order_total").at_least(100).bind(&CUSTOMERS);
    assert_eq!(misspelt.unwrap_err(), SpecificationError::UnknownField("order_total".into()));
    let number = field("tier").is(3).bind(&CUSTOMERS);
    assert_eq!(number.unwrap_err(), SpecificationError::OtherKind("tier".into()));
    let fields = field("tier").less_than(field("total")).bind(&CUSTOMERS);
    assert_eq!(fields.unwrap_err(), SpecificationError::OtherKind("tier".into()));
}

#[test]
fn of_something_missing_neither_a_comparison_nor_its_negation_holds() {
    let row = vec![None, None, Some(3.into()), None];
    for rule in [high_value(), !high_value(), field("total").is_not(5), field("tier").is("")] {
        let bound = rule.bind(&CUSTOMERS).unwrap();
        assert_eq!(bound.truth(&row), Truth::Unknown);
        assert!(!bound.is_satisfied_by(&row));
    }
    // Whatever the missing part is, the whole is known.
    assert!((high_value().or(recent())).bind(&CUSTOMERS).unwrap().is_satisfied_by(&row));
    assert!((!(high_value().and(!recent()))).bind(&CUSTOMERS).unwrap().is_satisfied_by(&row));
    assert!(field("tier").is_missing().bind(&CUSTOMERS).unwrap().is_satisfied_by(&row));
}

#[test]
fn a_specification_without_end_is_refused() {
    let values = field("total").one_of(0..PARTS_MAX as i64);
    assert_eq!(values.bind(&CUSTOMERS).unwrap_err(), SpecificationError::TooLarge);
    assert!(field("total").one_of(1..PARTS_MAX as i64).bind(&CUSTOMERS).is_ok());
    let nested = (0..PARTS_MAX).fold(recent(), |inner, _| !inner);
    assert_eq!(nested.bind(&CUSTOMERS).unwrap_err(), SpecificationError::TooLarge);
}

fn any_text() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop_oneof![Just(""), Just("a"), Just("A"), Just("b"), Just("1"), Just("é")]
            .prop_map(Value::from),
        Just(Value::from("'; DROP TABLE customers; --")),
        Just(Value::from("a\0b")),
        ".{0,3}".prop_map(Value::from),
    ]
}

fn any_integer() -> impl Strategy<Value = Value> {
    prop_oneof![4 => -2i64..3, 1 => Just(i64::MAX), 1 => Just(i64::MIN)].prop_map(Value::from)
}

fn any_row() -> impl Strategy<Value = Row> {
    let text = || prop::option::weighted(0.7, any_text());
    let integer = || prop::option::weighted(0.7, any_integer());
    (text(), integer(), integer(), text()).prop_map(|(a, b, c, d)| vec![a, b, c, d])
}

fn any_comparison() -> impl Strategy<Value = Comparison> {
    prop_oneof![
        Just(Comparison::Equal),
        Just(Comparison::NotEqual),
        Just(Comparison::Less),
        Just(Comparison::AtMost),
        Just(Comparison::Greater),
        Just(Comparison::AtLeast),
    ]
}

fn any_leaf() -> impl Strategy<Value = Specification> {
    let texts = || prop_oneof![Just("tier"), Just("na\"me")].prop_map(str::to_owned);
    let integers = || prop_oneof![Just("total"), Just("days")].prop_map(str::to_owned);
    let compare =
        |(field, comparison, operand)| Specification::Compare { field, comparison, operand };
    let one_of = |(field, values)| Specification::OneOf { field, values };
    let text =
        || prop_oneof![any_text().prop_map(Operand::Value), texts().prop_map(Operand::Field)];
    let integer =
        || prop_oneof![any_integer().prop_map(Operand::Value), integers().prop_map(Operand::Field)];
    prop_oneof![
        3 => (texts(), any_comparison(), text()).prop_map(compare),
        3 => (integers(), any_comparison(), integer()).prop_map(compare),
        1 => (texts(), prop::collection::vec(any_text(), 0..4)).prop_map(one_of),
        1 => (integers(), prop::collection::vec(any_integer(), 0..4)).prop_map(one_of),
        1 => prop_oneof![texts(), integers()].prop_map(|field| Specification::Missing { field }),
    ]
}

fn any_specification() -> impl Strategy<Value = Specification> {
    any_leaf().prop_recursive(5, 40, 4, |inner| {
        let parts = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            parts.clone().prop_map(Specification::All),
            parts.prop_map(Specification::Any),
            inner.prop_map(|part| Specification::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #[test]
    fn a_specification_comes_back_from_its_bytes(rule in any_specification()) {
        let bytes = postcard::to_stdvec(&rule).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Specification>(&bytes).unwrap(), rule);
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use rusqlite::{Connection, params_from_iter};

    fn customers(rows: &[Row]) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let create = r#"CREATE TABLE customers
            ("row" INTEGER PRIMARY KEY,
            "tier" TEXT, "total" INTEGER, "days" INTEGER, "na""me" TEXT)"#;
        connection.execute(create, []).unwrap();
        for (at, row) in rows.iter().enumerate() {
            let place = Some(Value::Integer(at as i64));
            let values = params_from_iter([&place].into_iter().chain(row));
            connection.execute("INSERT INTO customers VALUES (?, ?, ?, ?, ?)", values).unwrap();
        }
        connection
    }

    /// What SQLite says of each row.
    fn truths(connection: &Connection, sql: &Sql) -> Vec<Truth> {
        let select = format!("SELECT ({}) FROM customers ORDER BY \"row\"", sql.condition);
        let mut statement = connection.prepare(&select).unwrap();
        let truth = |row: &rusqlite::Row<'_>| row.get::<_, Option<bool>>(0);
        let found = statement.query_map(params_from_iter(&sql.parameters), truth).unwrap();
        found.map(|truth| truth.unwrap().map_or(Truth::Unknown, Truth::from)).collect()
    }

    /// The rows that SQLite lets through.
    fn found(connection: &Connection, sql: &Sql) -> Vec<usize> {
        let select = format!("SELECT \"row\" FROM customers WHERE {} ORDER BY 1", sql.condition);
        let mut statement = connection.prepare(&select).unwrap();
        let place = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let found = statement.query_map(params_from_iter(&sql.parameters), place).unwrap();
        found.map(|place| place.unwrap() as usize).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_500))]
        #[test]
        fn memory_and_sqlite_agree_on_every_row(
            rows in prop::collection::vec(any_row(), 1..12),
            rule in any_specification(),
        ) {
            let connection = customers(&rows);
            let bound = rule.bind(&CUSTOMERS).unwrap();
            let sql = bound.to_sql();
            let expected: Vec<Truth> = rows.iter().map(|row| bound.truth(row)).collect();
            prop_assert_eq!(truths(&connection, &sql), expected);
            let satisfied = |(at, row)| bound.is_satisfied_by(row).then_some(at);
            let expected: Vec<usize> = rows.iter().enumerate().filter_map(satisfied).collect();
            prop_assert_eq!(found(&connection, &sql), expected);
        }
    }

    /// Each fact of three truth values by itself: random rows could miss one.
    #[test]
    fn every_pair_of_truth_values_is_combined_as_sqlite_does() {
        let values = || [None, Some(Value::Integer(0)), Some(Value::Integer(1))];
        let rows: Vec<Row> = values()
            .iter()
            .flat_map(|total| values().map(|days| vec![None, total.clone(), days, None]))
            .collect();
        let connection = customers(&rows);
        let (one, other) = (|| field("total").is(1), || field("days").is(1));
        for rule in [one().and(other()), one().or(other()), !one(), !one().and(other())] {
            let bound = rule.bind(&CUSTOMERS).unwrap();
            let expected: Vec<Truth> = rows.iter().map(|row| bound.truth(row)).collect();
            assert_eq!(truths(&connection, &bound.to_sql()), expected, "{rule:?}");
        }
    }

    #[test]
    fn the_largest_specification_is_one_that_sqlite_takes() {
        let connection = customers(&[customer("premium", 1, 1)]);
        let nested = (0..PARTS_MAX - 1).fold(recent(), |inner, _| !inner);
        let flat = Specification::All(vec![recent(); PARTS_MAX - 1]);
        let listed = field("total").one_of(0..PARTS_MAX as i64 - 1);
        for rule in [nested, flat, listed] {
            let bound = rule.bind(&CUSTOMERS).unwrap();
            let expected = bound.truth(&customer("premium", 1, 1));
            assert_eq!(truths(&connection, &bound.to_sql()), [expected]);
        }
    }
}
