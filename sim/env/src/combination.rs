//! Situations that have several sides, of which a good test meets every combination.

/// One side of a situation: a flag, or an enum with few variants.
///
/// ```
/// use squall_env::Facet;
///
/// #[derive(Clone, Copy)]
/// enum Phase {
///     Query,
///     Store,
/// }
///
/// impl Facet for Phase {
///     const VALUES: &'static [&'static str] = &["query", "store"];
///
///     fn index(&self) -> usize {
///         *self as usize
///     }
/// }
/// assert_eq!(Phase::VALUES[Phase::Store.index()], "store");
/// ```
pub trait Facet {
    /// What its values are called.
    const VALUES: &'static [&'static str];

    /// Which of [`Facet::VALUES`] it is. One beyond the last counts as the last.
    fn index(&self) -> usize;
}

impl Facet for bool {
    const VALUES: &'static [&'static str] = &["no", "yes"];

    fn index(&self) -> usize {
        usize::from(*self)
    }
}

/// Several facets together: a tuple of two to four.
pub trait Combination {
    /// A name for each facet.
    type Names: AsRef<[&'static str]>;

    /// What the values of each facet are called.
    fn all() -> Vec<&'static [&'static str]>;

    /// Shows the names of the values that it has, one for each facet.
    fn show<R>(&self, see: impl FnOnce(&[&'static str]) -> R) -> R;
}

fn name<F: Facet>(facet: &F) -> &'static str {
    let last = F::VALUES.len().saturating_sub(1);
    F::VALUES.get(facet.index().min(last)).copied().unwrap_or("")
}

macro_rules! combination {
    ($count:literal: $($facet:ident $place:tt),*) => {
        impl<$($facet: Facet),*> Combination for ($($facet,)*) {
            type Names = [&'static str; $count];

            fn all() -> Vec<&'static [&'static str]> {
                vec![$($facet::VALUES),*]
            }

            fn show<R>(&self, see: impl FnOnce(&[&'static str]) -> R) -> R {
                see(&[$(name(&self.$place)),*])
            }
        }
    };
}

combination!(2: A 0, B 1);
combination!(3: A 0, B 1, C 2);
combination!(4: A 0, B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use super::*;

    struct Beyond;

    impl Facet for Beyond {
        const VALUES: &'static [&'static str] = &["first", "last"];

        fn index(&self) -> usize {
            7
        }
    }

    #[test]
    fn a_combination_has_the_names_of_its_values() {
        assert_eq!((true, false, Beyond).show(<[_]>::to_vec), ["yes", "no", "last"]);
        let all = <(bool, Beyond)>::all();
        assert_eq!(all, [&["no", "yes"], &["first", "last"]]);
    }
}
