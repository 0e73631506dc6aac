//! One name against one glob: fnmatch(3) with FNM_PERIOD, for names of any bytes.

use std::ops::RangeInclusive;

/// A compiled glob for a single name; `/` has no meaning here.
#[derive(Debug)]
pub(super) struct Glob {
    tokens: Vec<Token>,
    /// Bytes that match where the glob has no wildcard at all.
    literal: Option<Vec<u8>>,
}

/// A character, or a byte that is not UTF-8 above all characters.
type Symbol = u32;

const INVALID_BYTE: Symbol = char::MAX as Symbol + 1;
const DOT: Symbol = '.' as Symbol;

#[derive(Debug, PartialEq, Eq)]
enum Token {
    One(Symbol),
    AnyOne,
    AnyRun,
    Class(Class),
    /// A trailing backslash, with which fnmatch never matches.
    Never,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Class {
    negated: bool,
    ranges: Vec<RangeInclusive<Symbol>>,
    named: Vec<NamedClass>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NamedClass {
    Alnum,
    Alpha,
    Blank,
    Cntrl,
    Digit,
    Graph,
    Lower,
    Print,
    Punct,
    Space,
    Upper,
    Xdigit,
}

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        let tokens = tokens(&symbols(pattern.as_bytes()));
        let plain = tokens.iter().all(|token| matches!(token, Token::One(_)));
        let literal = (plain && !pattern.contains('\\')).then(|| pattern.as_bytes().to_vec());
        Self { tokens, literal }
    }

    pub(super) fn matches(&self, name: &[u8]) -> bool {
        if let Some(literal) = &self.literal {
            return literal == name;
        }
        if name.starts_with(b".") && self.tokens.first() != Some(&Token::One(DOT)) {
            return false;
        }
        matches(&self.tokens, &symbols(name))
    }
}

/// Goes back to the last run of anything only: earlier ones could not match more than they already do.
fn matches(tokens: &[Token], name: &[Symbol]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut resume = None;
    while at < name.len() || token < tokens.len() {
        match tokens.get(token) {
            Some(Token::AnyRun) => {
                resume = (at < name.len()).then_some((token, at + 1));
                token += 1;
                continue;
            }
            Some(one) if at < name.len() && one.matches(name[at]) => {
                (token, at) = (token + 1, at + 1);
                continue;
            }
            _ => {}
        }
        match resume {
            Some((run, next)) if next <= name.len() => {
                (token, at) = (run + 1, next);
                resume = Some((run, next + 1));
            }
            _ => return false,
        }
    }
    true
}

impl Token {
    fn matches(&self, symbol: Symbol) -> bool {
        match self {
            Self::One(one) => *one == symbol,
            Self::AnyOne => true,
            Self::Class(class) => class.matches(symbol),
            Self::AnyRun | Self::Never => false,
        }
    }
}

impl Class {
    fn matches(&self, symbol: Symbol) -> bool {
        let named =
            |class: &NamedClass| char::from_u32(symbol).is_some_and(|character| class.matches(character));
        let found = self.ranges.iter().any(|range| range.contains(&symbol)) || self.named.iter().any(named);
        found != self.negated
    }
}

impl NamedClass {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "alnum" => Self::Alnum,
            "alpha" => Self::Alpha,
            "blank" => Self::Blank,
            "cntrl" => Self::Cntrl,
            "digit" => Self::Digit,
            "graph" => Self::Graph,
            "lower" => Self::Lower,
            "print" => Self::Print,
            "punct" => Self::Punct,
            "space" => Self::Space,
            "upper" => Self::Upper,
            "xdigit" => Self::Xdigit,
            _ => return None,
        })
    }

    fn matches(self, character: char) -> bool {
        match self {
            Self::Alnum => character.is_alphanumeric(),
            Self::Alpha => character.is_alphabetic(),
            Self::Blank => matches!(character, ' ' | '\t'),
            Self::Cntrl => character.is_control(),
            Self::Digit => character.is_ascii_digit(),
            Self::Graph => !character.is_control() && !character.is_whitespace(),
            Self::Lower => character.is_lowercase(),
            Self::Print => !character.is_control(),
            Self::Punct => character.is_ascii_punctuation(),
            Self::Space => character.is_whitespace(),
            Self::Upper => character.is_uppercase(),
            Self::Xdigit => character.is_ascii_hexdigit(),
        }
    }
}

/// The characters of valid UTF-8, and each other byte by itself.
fn symbols(bytes: &[u8]) -> Vec<Symbol> {
    let mut symbols = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        symbols.extend(chunk.valid().chars().map(Symbol::from));
        symbols.extend(chunk.invalid().iter().map(|byte| INVALID_BYTE + Symbol::from(*byte)));
    }
    symbols
}

fn tokens(pattern: &[Symbol]) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((&first, behind)) = rest.split_first() {
        let (token, next) = match char::from_u32(first) {
            Some('*') => (Token::AnyRun, behind),
            Some('?') => (Token::AnyOne, behind),
            Some('[') => class(behind).unwrap_or((Token::One(first), behind)),
            Some('\\') => match behind.split_first() {
                Some((&escaped, next)) => (Token::One(escaped), next),
                None => (Token::Never, behind),
            },
            _ => (Token::One(first), behind),
        };
        tokens.push(token);
        rest = next;
    }
    tokens
}

/// Reads a bracket expression behind its `[`; none if it is never closed: then the `[` stands for itself.
fn class(pattern: &[Symbol]) -> Option<(Token, &[Symbol])> {
    let is = |symbol: Option<&Symbol>, character: char| symbol == Some(&Symbol::from(character));
    let mut class = Class::default();
    let mut rest = pattern;
    if is(rest.first(), '!') || is(rest.first(), '^') {
        class.negated = true;
        rest = &rest[1..];
    }
    let mut first = true;
    loop {
        if is(rest.first(), ']') && !first {
            return Some((Token::Class(class), &rest[1..]));
        }
        first = false;
        if let Some((named, next)) = named_class(rest) {
            class.named.push(named);
            rest = next;
            continue;
        }
        let (start, next) = class_symbol(rest)?;
        rest = next;
        let mut end = start;
        if is(rest.first(), '-') && rest.len() > 1 && !is(rest.get(1), ']') {
            (end, rest) = class_symbol(&rest[1..])?;
        }
        class.ranges.push(start..=end);
    }
}

/// `[:alpha:]` and the like.
fn named_class(pattern: &[Symbol]) -> Option<(NamedClass, &[Symbol])> {
    const LONGEST: usize = "[:xdigit:]".len();
    let text: String = pattern.iter().take(LONGEST).map_while(|symbol| char::from_u32(*symbol)).collect();
    let name = text.strip_prefix("[:")?.split_once(":]")?.0;
    Some((NamedClass::parse(name)?, &pattern[name.len() + 4..]))
}

/// A symbol in a bracket expression, where a backslash escapes too.
fn class_symbol(pattern: &[Symbol]) -> Option<(Symbol, &[Symbol])> {
    let (&first, rest) = pattern.split_first()?;
    if first != Symbol::from('\\') {
        return Some((first, rest));
    }
    rest.split_first().map(|(&escaped, rest)| (escaped, rest))
}
