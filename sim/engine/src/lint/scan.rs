//! Finds banned paths among the tokens of a file: through `use` and its aliases, and within macros
//! as well, since those are tokens like others.

use super::bans::{
    BANS, Ban, CHANGEABLE, ENTROPY_INSTEAD, FINE, SEEDED_BY_THE_SYSTEM, STATE_INSTEAD, What,
};
use super::tokens::{Kind, Token};
use std::collections::{BTreeMap, BTreeSet};

/// Something banned: where it stands, what it is, and what to use instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hit<'a> {
    pub(super) at: Token<'a>,
    pub(super) what: &'static str,
    pub(super) instead: &'static str,
}

/// What a file says of names: the paths that `use` gives them, and its own modules.
#[derive(Default)]
struct Names<'a> {
    aliases: BTreeMap<&'a str, Vec<&'a str>>,
    globs: Vec<Vec<&'a str>>,
    modules: BTreeSet<&'a str>,
}

/// A path with where it begins, and where the tokens behind it do.
struct Path<'a> {
    words: Vec<&'a str>,
    first: Token<'a>,
    end: usize,
    /// Whether it begins with `::`.
    is_absolute: bool,
}

/// A leaf of a `use`.
struct Leaf<'a> {
    path: Vec<&'a str>,
    at: Token<'a>,
    alias: Option<&'a str>,
    is_glob: bool,
}

/// Everything banned in these tokens.
pub(super) fn scan<'a>(tokens: &[Token<'a>]) -> Vec<Hit<'a>> {
    let mut names = Names::default();
    let mut leaves = Vec::new();
    let mut in_use = vec![false; tokens.len()];
    for at in 0..tokens.len() {
        if tokens[at].is_word("mod") {
            names.modules.extend(tokens.get(at + 1).map(|token| token.text));
        }
        let follows_path = at > 0 && tokens[at - 1].kind == Kind::Separator;
        let captures = tokens.get(at + 1).is_some_and(|token| token.is_sign('<'));
        if tokens[at].is_word("use") && !follows_path && !captures && !in_use[at] {
            let end = read_use(tokens, at + 1, &[], &mut leaves);
            in_use[at..end].fill(true);
        }
    }
    for leaf in &leaves {
        match (leaf.is_glob, leaf.alias) {
            (true, _) => names.globs.push(leaf.path.clone()),
            (false, Some(alias)) => drop(names.aliases.insert(alias, leaf.path.clone())),
            (false, None) => {}
        }
    }
    let mut hits = Vec::new();
    for leaf in &leaves {
        let path = names.full(&leaf.path, false);
        let banned = BANS.iter().find(|ban| {
            !matches!(ban.what, What::Hashed(_) | What::Unbiased) && covers(ban, &path, true)
        });
        hits.extend(banned.map(|ban| hit(ban, leaf.at)));
    }
    let mut at = 0;
    while at < tokens.len() {
        if in_use[at] {
            at += 1;
            continue;
        }
        if tokens[at].is_word("static") {
            hits.extend(changeable_static(tokens, at));
        }
        match read_path(tokens, at) {
            Some(path) => {
                hits.extend(names.look_at(tokens, &path));
                at = path.end;
            }
            None => at += 1,
        }
    }
    hits.sort_by_key(|hit| (hit.at.line, hit.at.column));
    hits
}

fn hit<'a>(ban: &Ban, at: Token<'a>) -> Hit<'a> {
    Hit { at, what: ban.path, instead: ban.instead }
}

/// Whether a ban is about this path. A module by itself does nothing, unless it is imported.
fn covers(ban: &Ban, path: &[&str], imported: bool) -> bool {
    let begins = |with: &str| {
        let mut words = path.iter();
        with.split("::").all(|word| words.next() == Some(&word))
    };
    let length = ban.path.split("::").count();
    begins(ban.path)
        && (ban.what != What::Module || imported || path.len() > length)
        && (!matches!(ban.what, What::Macro | What::Unbiased) || path.len() == length)
        && !FINE.iter().any(|fine| begins(fine))
}

impl<'a> Names<'a> {
    /// A path from its crate on, as far as this file tells.
    fn full(&self, words: &[&'a str], is_absolute: bool) -> Vec<&'a str> {
        let mut full = words.to_vec();
        // An alias of an alias is rare, and one of itself (`use rand;`) ends here.
        for _ in 0..4 {
            let Some(path) = self.aliases.get(full[0]).filter(|_| !is_absolute) else { break };
            if path[0] == full[0] {
                break;
            }
            full.splice(0..1, path.iter().copied());
        }
        if matches!(full[0], "core" | "alloc") {
            full[0] = "std";
        }
        if self.modules.contains(full[0]) && !is_absolute {
            // A module of the file's own, whatever it is called.
            full.insert(0, "self");
        }
        full
    }

    /// The paths that these words may mean.
    fn meanings(&self, path: &Path<'a>) -> Vec<Vec<&'a str>> {
        let known = self.full(&path.words, path.is_absolute);
        let mut all = vec![known];
        if !path.is_absolute {
            let through = |glob: &Vec<&'a str>| [glob, path.words.as_slice()].concat();
            all.extend(self.globs.iter().map(|glob| self.full(&through(glob), false)));
        }
        all
    }

    fn look_at(&self, tokens: &[Token<'a>], path: &Path<'a>) -> Option<Hit<'a>> {
        let behind = &tokens[path.end..];
        let is_macro = behind.first().is_some_and(|token| token.is_sign('!'))
            && !behind.get(1).is_some_and(|token| token.is_sign('='));
        let last = *path.words.last()?;
        if SEEDED_BY_THE_SYSTEM.contains(&last) && path.words.len() > 1 {
            let what = "a generator that is seeded by the system";
            return Some(Hit { at: path.first, what, instead: ENTROPY_INSTEAD });
        }
        for meaning in self.meanings(path) {
            let ban = BANS.iter().find(|ban| match ban.what {
                What::Macro | What::Unbiased if !is_macro => false,
                What::Unbiased => covers(ban, &meaning, false) && !is_biased(behind),
                What::Macro => covers(ban, &meaning, false) || is_prelude_macro(ban, path),
                What::Hashed(place) => {
                    covers(ban, &meaning, false) && is_randomly_hashed(ban, &meaning, behind, place)
                }
                What::Item | What::Module => !is_macro && covers(ban, &meaning, false),
            });
            if let Some(ban) = ban {
                return Some(hit(ban, path.first));
            }
        }
        None
    }
}

/// Macros of the standard library need no path.
fn is_prelude_macro(ban: &Ban, path: &Path<'_>) -> bool {
    matches!(ban.path.split_once("::"), Some(("std", name)) if path.words == [name])
}

/// Whether the macro whose name ends here begins with `biased;`.
fn is_biased(behind: &[Token<'_>]) -> bool {
    behind.get(2).is_some_and(|token| token.is_word("biased"))
}

/// Whether a map or set of the standard library, whose name ends here, has no hasher of its own.
fn is_randomly_hashed(ban: &Ban, meaning: &[&str], behind: &[Token<'_>], place: usize) -> bool {
    let length = ban.path.split("::").count();
    if let Some(function) = meaning.get(length) {
        // The others are there for every hasher.
        return matches!(*function, "new" | "with_capacity" | "from");
    }
    let turbofish = usize::from(behind.first().is_some_and(|token| token.kind == Kind::Separator));
    let Some(parameters) =
        behind.get(turbofish..).filter(|rest| rest.first().is_some_and(|token| token.is_sign('<')))
    else {
        return false;
    };
    let (mut depth, mut commas, mut last) = (0, 0, ' ');
    for token in parameters {
        let sign = match token.kind {
            Kind::Sign => token.text.chars().next().unwrap_or(' '),
            _ => ' ',
        };
        match sign {
            '<' | '(' | '[' => depth += 1,
            // The end of an arrow is no bracket.
            '>' if last == '-' => {}
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 1 => commas += 1,
            ';' | '{' => break,
            _ => {}
        }
        last = sign;
        if depth == 0 {
            break;
        }
    }
    commas < place
}

/// The path that begins at this token, if one does.
fn read_path<'a>(tokens: &[Token<'a>], at: usize) -> Option<Path<'a>> {
    let first = tokens[at];
    let before = at.checked_sub(1).map(|at| tokens[at]);
    let is_field = before.is_some_and(|token| token.is_sign('.'));
    if first.kind != Kind::Word || is_field {
        return None;
    }
    let is_absolute = before.is_some_and(|token| token.kind == Kind::Separator);
    if is_absolute {
        // Behind a word or a bracket it goes on from there, and where that leads is not known.
        let goes_on = at.checked_sub(2).map(|at| tokens[at]);
        if goes_on.is_some_and(|token| token.kind == Kind::Word || token.is_sign('>')) {
            return None;
        }
    }
    let (mut words, mut end) = (vec![first.text], at + 1);
    while let [separator, word, ..] = &tokens[end..]
        && separator.kind == Kind::Separator
        && word.kind == Kind::Word
    {
        words.push(word.text);
        end += 2;
    }
    Some(Path { words, first, end, is_absolute })
}

/// Reads the tree of a `use` from `at` on, and says where it ends.
fn read_use<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    before: &[&'a str],
    leaves: &mut Vec<Leaf<'a>>,
) -> usize {
    let mut path = before.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.kind {
            Kind::Separator => at += 1,
            Kind::Word if token.text == "as" => {
                let alias = tokens.get(at + 1).map(|token| token.text);
                if let Some(leaf) = leaves.last_mut() {
                    leaf.alias = alias;
                }
                at += 2;
            }
            Kind::Word => {
                let goes_on = tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Separator);
                if token.text != "self" || path.is_empty() {
                    path.push(token.text);
                }
                if !goes_on {
                    let alias = path.last().copied();
                    leaves.push(Leaf { path: path.clone(), at: *token, alias, is_glob: false });
                }
                at += 1;
            }
            Kind::Sign if token.is_sign('*') => {
                leaves.push(Leaf { path: path.clone(), at: *token, alias: None, is_glob: true });
                at += 1;
            }
            Kind::Sign if token.is_sign('{') => {
                at += 1;
                while tokens.get(at).is_some_and(|token| !token.is_sign('}')) {
                    let next = read_use(tokens, at, &path, leaves);
                    // Whatever stands there is no tree: go past it.
                    at = next.max(at + usize::from(next == at));
                    at += usize::from(tokens.get(at).is_some_and(|token| token.is_sign(',')));
                }
                return at + 1;
            }
            _ => return at,
        }
    }
    at
}

/// A static that begins here and can change.
fn changeable_static<'a>(tokens: &[Token<'a>], at: usize) -> Option<Hit<'a>> {
    let hit = |what| Some(Hit { at: tokens[at], what, instead: STATE_INSTEAD });
    let rest = &tokens[at + 1..];
    if rest.first()?.is_word("mut") {
        return hit("a static that can change");
    }
    let [name, colon, kind @ ..] = rest else { return None };
    if name.kind != Kind::Word || !colon.is_sign(':') {
        return None;
    }
    let mut kind = kind.iter().take_while(|token| !token.is_sign('=') && !token.is_sign(';'));
    let changes = |token: &Token<'_>| {
        token.kind == Kind::Word
            && (CHANGEABLE.contains(&token.text) || token.text.starts_with("Atomic"))
    };
    if kind.any(changes) { hit("a static that can change") } else { None }
}
