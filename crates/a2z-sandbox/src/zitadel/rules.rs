//! What ZITADEL takes for an e-mail address, a phone number, a password hash, a language.

/// How ZITADEL's own check of an e-mail address ends (`mail.ParseAddress` of Go, then no display name).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Good,
    /// Does not parse: `EMAIL-599BI`.
    Malformed(&'static str),
    /// Parses, with a display name: `EMAIL-599GV`.
    Named,
}

/// The check of the domain model, for import and users API alike.
pub(super) fn address(text: &str) -> Address {
    match parse_address(text) {
        Err(reason) => Address::Malformed(reason),
        Ok((_, name)) if name => Address::Named,
        Ok(_) => Address::Good,
    }
}

/// `local@domain`, and whether a display name came with it.
fn parse_address(text: &str) -> Result<((String, String), bool), &'static str> {
    let text = text.trim_start_matches([' ', '\t']);
    if text.is_empty() {
        return Err("mail: no address");
    }
    if let Ok((spec, rest)) = addr_spec(text) {
        return finish(rest).map(|named| (spec, named));
    }
    // A phrase, then the address in angle brackets.
    let Some(open) = text.find('<') else {
        return Err("mail: missing '@' or angle-addr");
    };
    let phrase = text[..open].trim();
    let plain = phrase.split([' ', '\t']).all(|word| word.chars().all(|c| is_atext(c) || c == '.'));
    let quoted = phrase.len() > 1 && phrase.starts_with('"') && phrase.ends_with('"');
    if !(plain || quoted) {
        return Err("mail: invalid string");
    }
    let (spec, rest) = addr_spec(&text[open + 1..])?;
    let rest = rest.strip_prefix('>').ok_or("mail: unclosed angle-addr")?;
    finish(rest).map(|named| (spec, named || !phrase.is_empty()))
}

/// After the address only a comment may stand; it counts as a display name.
fn finish(rest: &str) -> Result<bool, &'static str> {
    let rest = rest.trim_matches([' ', '\t']);
    match rest {
        "" => Ok(false),
        rest if rest.starts_with('(') && rest.ends_with(')') => Ok(rest.len() > 2),
        _ => Err("mail: expected single address"),
    }
}

fn addr_spec(text: &str) -> Result<((String, String), &str), &'static str> {
    let (local, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted_string(quoted)?,
        None => dot_atom(text)?,
    };
    let rest = rest.strip_prefix('@').ok_or("mail: missing '@' or angle-addr")?;
    let rest = rest.trim_start_matches([' ', '\t']);
    if let Some(literal) = rest.strip_prefix('[') {
        let (inside, rest) = literal.split_once(']').ok_or("mail: unclosed domain-literal")?;
        if inside.parse::<std::net::IpAddr>().is_err() {
            return Err("mail: invalid IP address in domain-literal");
        }
        return Ok(((local, format!("[{inside}]")), rest));
    }
    let (domain, rest) = dot_atom(rest)?;
    Ok(((local, domain), rest))
}

fn dot_atom(text: &str) -> Result<(String, &str), &'static str> {
    let end = text.find(|c| !(is_atext(c) || c == '.')).unwrap_or(text.len());
    let (atom, rest) = text.split_at(end);
    if atom.is_empty() {
        return Err("mail: invalid string");
    }
    if atom.starts_with('.') || atom.ends_with('.') || atom.contains("..") {
        return Err("mail: double or leading or trailing dot in atom");
    }
    Ok((atom.to_owned(), rest))
}

fn quoted_string(text: &str) -> Result<(String, &str), &'static str> {
    let mut inside = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if inside.is_empty() => return Err("mail: empty quoted string in addr-spec"),
            '"' => return Ok((inside, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, c)) if is_visible(c) || c == ' ' || c == '\t' => inside.push(c),
                _ => return Err("mail: bad character in quoted-string"),
            },
            c if is_visible(c) || c == ' ' || c == '\t' => inside.push(c),
            _ => return Err("mail: bad character in quoted-string"),
        }
    }
    Err("mail: unclosed quoted-string")
}

const fn is_visible(c: char) -> bool {
    c.is_ascii_graphic() || !c.is_ascii()
}

const fn is_atext(c: char) -> bool {
    is_visible(c) && !matches!(c, '.' | '(' | ')' | '<' | '>' | '[' | ']' | ':' | ';' | '@' | '\\' | ',' | '"')
}

/// The check of protoc-gen-validate's `email: true`, which only the users API has: stricter than [`address`].
///
/// # Errors
/// The reason, as the generated code words it.
pub(super) fn validated_email(text: &str) -> Result<(), &'static str> {
    let ((local, domain), _) = parse_address(text)?;
    if local.len() + domain.len() + 1 > 254 {
        return Err("email addresses cannot exceed 254 characters");
    }
    if local.len() > 64 {
        return Err("email address local phrase cannot exceed 64 characters");
    }
    let domain = domain.to_lowercase();
    if domain.len() > 253 {
        return Err("hostname cannot exceed 253 characters");
    }
    for label in domain.split('.') {
        if label.is_empty() || label.len() > 63 {
            return Err("hostname part must be non-empty and cannot exceed 63 characters");
        }
        if label.starts_with('-') {
            return Err("hostname parts cannot begin with hyphens");
        }
        if label.ends_with('-') {
            return Err("hostname parts cannot end with hyphens");
        }
        if !label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
            return Err("hostname parts can only contain alphanumeric characters or hyphens");
        }
    }
    Ok(())
}

/// Calling codes of three digits; all others that exist have one or two.
const THREE: &[&str] = &[
    "210", "211", "212", "213", "216", "218", "22", "23", "24", "25", "26", "290", "291", "297", "298", "299", "35",
    "37", "38", "42", "50", "59", "67", "68", "69", "80", "85", "87", "88", "96", "97", "99",
];
/// Codes of three digits within those ranges that nobody has.
const FREE: &[&str] = &[
    "210", "259", "384", "386x", "422", "424", "425", "426", "427", "428", "429", "671", "684", "693", "694", "695",
    "696", "697", "698", "699", "801", "802", "803", "804", "805", "806", "807", "809", "851", "854", "857", "858",
    "859", "871", "872", "873", "874", "875", "876", "877", "879", "884", "885", "887", "889", "969", "978", "990",
    "991", "997", "999",
];
const TWO: &[&str] = &[
    "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49", "51",
    "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84", "86", "90",
    "91", "92", "93", "94", "95", "98",
];

/// A phone number as ZITADEL stores it, E.164; `None` is `PHONE-so0wa`. Parsed, not checked for being a real number;
/// without a `+` it counts as Swiss.
pub(super) fn phone(text: &str) -> Option<String> {
    let text = text.trim();
    let (international, rest) = match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if !rest.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '(' | ')' | '/')) {
        return None;
    }
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    let (code, national) = if international { split_code(&digits)? } else { ("41", digits.as_str()) };
    let national = if code == "39" { national } else { national.strip_prefix('0').unwrap_or(national) };
    (2..=17).contains(&national.len()).then(|| format!("+{code}{national}"))
}

fn split_code(digits: &str) -> Option<(&str, &str)> {
    if digits.starts_with(['1', '7']) {
        return Some(digits.split_at(1));
    }
    if TWO.iter().any(|code| digits.starts_with(code)) {
        return Some(digits.split_at(2));
    }
    let three = digits.get(..3)?;
    (THREE.iter().any(|code| three.starts_with(code)) && !FREE.contains(&three)).then(|| digits.split_at(3))
}

/// How the check of an encoded password hash ends, with only bcrypt among the verifiers, as by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Good,
    /// `CRYPT-r8Qm2`.
    Unknown,
    /// `CRYPT-5uV9n`: bcrypt, with a cost outside of 10 to 16.
    Cost,
    /// The library indexes past the end of exactly `$2`: the server dies of it.
    Crash,
}

/// Checks a hash as the import does: what stands after the cost is not looked at.
pub(super) fn hash(encoded: &str) -> Hash {
    if encoded == "$2" {
        return Hash::Crash;
    }
    let Some(rest) = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| encoded.strip_prefix(prefix)) else {
        return Hash::Unknown;
    };
    if encoded.len() < 59 {
        return Hash::Unknown;
    }
    match rest.get(..2).and_then(|cost| cost.parse::<u8>().ok()) {
        Some(10..=16) => Hash::Good,
        Some(4..=31) => Hash::Cost,
        _ => Hash::Unknown,
    }
}

/// A language as ZITADEL keeps it: what does not parse is `und`, in silence.
pub(super) fn language(text: &str) -> String {
    oxilangtag::LanguageTag::parse_and_normalize(&text.replace('_', "-"))
        .map_or_else(|_| "und".to_owned(), oxilangtag::LanguageTag::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_go_parses_them() {
        for good in
            ["a@b", "a@localhost", "ü@example.com", "\"a b\"@c.d", "  a@b.c ", "<a@b.c>", "a@[127.0.0.1]", "a+b@c.d"]
        {
            assert_eq!(address(good), Address::Good, "{good}");
        }
        for bad in ["a..b@c.d", "a@b.", "a b@c.d", "", "a", "@b", ".a@b", "a@", "a@b@c", "\"\"@b", "a@b c", "a@b,c@d"] {
            assert!(matches!(address(bad), Address::Malformed(_)), "{bad}");
        }
        for named in ["Foo <a@b.c>", "a@b (Foo)", "\"x, y\" <a@b>"] {
            assert_eq!(address(named), Address::Named, "{named}");
        }
    }

    #[test]
    fn the_users_api_wants_ascii_host_names() {
        assert!(validated_email("a@b.example").is_ok());
        for bad in ["a@bücher.example", "a@-b.c", "a@b_c.d", "a@[127.0.0.1]"] {
            assert!(validated_email(bad).is_err(), "{bad}");
        }
        assert!(validated_email(&format!("{}@b.c", "x".repeat(65))).is_err());
        assert_eq!(validated_email("not-an-email"), Err("mail: missing '@' or angle-addr"));
    }

    #[test]
    fn phones_are_parsed_only() {
        assert_eq!(phone("+1555").as_deref(), Some("+1555"));
        assert_eq!(phone("+49 0151 1234").as_deref(), Some("+491511234"));
        assert_eq!(phone("+14155552671").as_deref(), Some("+14155552671"));
        assert_eq!(phone("044 668 18 00").as_deref(), Some("+41446681800"));
        for bad in ["+1", "+999123", "+", "abc", "+12é"] {
            assert_eq!(phone(bad), None, "{bad}");
        }
    }

    #[test]
    fn hashes_by_prefix_and_cost() {
        let rest = "x".repeat(53);
        assert_eq!(hash(&format!("$2b$10${rest}")), Hash::Good);
        assert_eq!(hash(&format!("$2b$10${rest}trailing")), Hash::Good);
        assert_eq!(hash(&format!("$2b$08${rest}")), Hash::Cost);
        assert_eq!(hash(&format!("$2x$10${rest}")), Hash::Unknown);
        assert_eq!(hash("$2b$10$short"), Hash::Unknown);
        assert_eq!(hash("$argon2id$v=19$m=1"), Hash::Unknown);
        assert_eq!(hash("$2"), Hash::Crash);
    }

    #[test]
    fn languages_fall_back_in_silence() {
        assert_eq!(language("en_US"), "en-US");
        assert_eq!(language(""), "und");
        assert_eq!(language("deutsch!"), "und");
    }
}
