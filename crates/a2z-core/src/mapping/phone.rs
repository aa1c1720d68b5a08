//! Phone numbers: E.164, and a prediction of `libphonenumber.Parse`, which ZITADEL calls.
//!
//! ZITADEL's import endpoint refuses the whole request for a number without a plus sign, and both roads read a number
//! without a country as a Swiss one. So a number must name its country; written with separators, with `00` for the plus
//! sign or with the trunk prefix of its country, it becomes what ZITADEL would make of it.

use std::borrow::Cow;

use super::{
    draft::Phone,
    finding::{Finding, FindingCode},
};
use crate::auth0::user::ExportedUser;

/// Country calling codes of three digits that ZITADEL's libphonenumber (ttacon v1.2.1) knows. Others are refused.
const THREE_DIGITS: [u16; 170] = [
    211, 212, 213, 216, 218, 220, 221, 222, 223, 224, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237,
    238, 239, 240, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255, 256, 257, 258, 260, 261,
    262, 263, 264, 265, 266, 267, 268, 269, 290, 291, 297, 298, 299, 350, 351, 352, 353, 354, 355, 356, 357, 358, 359,
    370, 371, 372, 373, 374, 375, 376, 377, 378, 379, 380, 381, 382, 383, 385, 386, 387, 389, 420, 421, 423, 500, 501,
    502, 503, 504, 505, 506, 507, 508, 509, 590, 591, 592, 593, 594, 595, 596, 597, 598, 599, 670, 672, 673, 674, 675,
    676, 677, 678, 679, 680, 681, 682, 683, 685, 686, 687, 688, 689, 690, 691, 692, 800, 808, 850, 852, 853, 855, 856,
    870, 878, 880, 881, 882, 883, 886, 888, 960, 961, 962, 963, 964, 965, 966, 967, 968, 970, 971, 972, 973, 974, 975,
    976, 977, 979, 992, 993, 994, 995, 996, 998,
];
const TWO_DIGITS: [u16; 44] = [
    20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62,
    63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
];

/// Countries in which a zero before the national number is a trunk prefix and nothing else (metadata of the same
/// libphonenumber). Elsewhere (Italy) a zero belongs to the number, or more than a zero would have to be looked at.
const TRUNK_ZERO: [u16; 96] = [
    20, 27, 31, 32, 33, 40, 41, 43, 44, 46, 49, 51, 53, 58, 60, 61, 62, 63, 64, 66, 81, 84, 86, 90, 91, 92, 93, 94, 95,
    98, 211, 212, 213, 218, 231, 232, 233, 234, 243, 249, 250, 251, 252, 254, 255, 256, 260, 262, 263, 264, 265, 291,
    353, 355, 358, 359, 373, 374, 377, 380, 381, 382, 383, 385, 386, 387, 389, 421, 423, 508, 590, 593, 594, 595, 596,
    598, 686, 850, 855, 856, 880, 886, 961, 962, 963, 964, 966, 967, 970, 971, 972, 976, 977, 994, 995, 996,
];
/// Other trunk prefixes, with the number of digits of a national number that carries one. `+52 1…` is how Mexican mobile
/// numbers were written until 2019.
const TRUNK_DIGIT: [(u16, u8, usize); 3] = [(1, b'1', 11), (7, b'8', 11), (52, b'1', 11)];

/// The phone number, or a finding: a number must never cost the user.
pub(super) fn phone(user: &ExportedUser, findings: &mut Vec<Finding>) -> Option<Phone> {
    let number = user.phone_number.as_deref().map(str::trim).filter(|number| !number.is_empty())?;
    let Some(number) = normalized(number) else {
        findings.push(Finding::new(FindingCode::PhoneDropped));
        return None;
    };
    Some(Phone { number: number.into_owned(), verified: user.phone_verified.unwrap_or(false) })
}

/// The number as ZITADEL keeps it; none if it does not name its country, or ZITADEL would refuse it.
pub(crate) fn normalized(number: &str) -> Option<Cow<'_, str>> {
    let digits = number.strip_prefix('+').filter(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    let number = if digits.is_some() { Cow::Borrowed(number) } else { Cow::Owned(without_separators(number)?) };
    if !is_taken(&number) {
        return None;
    }
    Some(without_trunk(&number).map_or(number, Cow::Owned))
}

/// A plus sign and digits, of a number that is written with separators, and perhaps with `00` for the plus sign.
fn without_separators(number: &str) -> Option<String> {
    let number = number.strip_prefix("tel:").unwrap_or(number);
    let rest = number.strip_prefix('+').or_else(|| number.strip_prefix("00"))?;
    let mut out = String::from("+");
    for c in rest.chars() {
        match c {
            '0'..='9' => out.push(c),
            // Separators of libphonenumber; what may begin an extension is none.
            ' '
            | '\u{a0}'
            | '\u{ad}'
            | '\u{200b}'
            | '\u{2060}'
            | '\u{3000}'
            | '-'
            | '\u{2010}'..='\u{2015}'
            | '\u{2212}'
            | '.'
            | '/'
            | '('
            | ')'
            | '['
            | ']' => {}
            _ => return None,
        }
    }
    Some(out)
}

/// The number without its country's trunk prefix, if it has one.
fn without_trunk(number: &str) -> Option<String> {
    let digits = number.strip_prefix('+')?;
    let length = (1..=3).find(|&n| is_calling_code(digits, n))?;
    let (code, national) = digits.split_at_checked(length)?;
    let country: u16 = code.parse().ok()?;
    let zero = national.strip_prefix('0').filter(|rest| !rest.starts_with('0') && rest.len() >= 4);
    let rest = match zero {
        Some(rest) => TRUNK_ZERO.binary_search(&country).is_ok().then_some(rest)?,
        None => TRUNK_DIGIT
            .into_iter()
            .any(|(of, first, size)| of == country && national.len() == size && national.as_bytes()[0] == first)
            .then(|| &national[1..])?,
    };
    Some(format!("+{code}{rest}"))
}

/// `^\+[1-9]\d{1,14}$`, a known calling code, and at least two digits after it.
fn is_taken(number: &str) -> bool {
    let Some(digits) = number.strip_prefix('+') else { return false };
    if !(3..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) || digits.starts_with('0') {
        return false;
    }
    // As libphonenumber does: the shortest code that is known wins.
    (1..=3).find(|&n| is_calling_code(digits, n)).is_some_and(|n| digits.len() - n >= 2)
}

fn is_calling_code(digits: &str, length: usize) -> bool {
    let Some(code) = digits.get(..length).and_then(|code| code.parse::<u16>().ok()) else { return false };
    match length {
        1 => code == 1 || code == 7,
        2 => TWO_DIGITS.contains(&code),
        _ => THREE_DIGITS.binary_search(&code).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each with what `libphonenumber.Parse(…, "CH")` and `Format(…, E164)` of ttacon v1.2.1 made of it.
    #[test]
    fn becomes_what_zitadel_makes_of_it() {
        for (number, expected) in [
            ("+1555", "+1555"),
            ("+15551234567", "+15551234567"),
            ("+491511234", "+491511234"),
            ("+41791234567", "+41791234567"),
            ("+88312345", "+88312345"),
            ("+123456789012345", "+123456789012345"),
            ("+41 79 123 45 67", "+41791234567"),
            ("+41\u{a0}79\u{a0}123\u{2013}45\u{2013}67", "+41791234567"),
            ("+41 (0)79 123 45 67", "+41791234567"),
            ("+41(0)791234567", "+41791234567"),
            ("+410791234567", "+41791234567"),
            ("0041 79 123 45 67", "+41791234567"),
            ("tel:+41-79-123-45-67", "+41791234567"),
            ("+49 (0) 151/1234.5678", "+4915112345678"),
            ("+4901511234", "+491511234"),
            ("+44 (0)20 7946 0958", "+442079460958"),
            ("+39 06 6982 0000", "+390669820000"),
            ("+39 (0)6 6982 0000", "+390669820000"),
            ("+378 0549 886377", "+3780549886377"),
            ("+1 (555) 123-4567", "+15551234567"),
            ("+1 1 555 123 4567", "+15551234567"),
            ("+7 8 (495) 123-45-67", "+74951234567"),
            ("+7 800 555 35 35", "+78005553535"),
            ("+52 1 55 1234 5678", "+525512345678"),
            ("+52 55 1234 5678", "+525512345678"),
            ("+81 090-1234-5678", "+819012345678"),
            ("+86 190 1234 5678", "+8619012345678"),
            ("+54 9 11 1234 5678", "+5491112345678"),
        ] {
            assert_eq!(normalized(number).as_deref(), Some(expected), "{number}");
            assert_eq!(normalized(expected).as_deref(), Some(expected), "{expected}");
        }
        assert!(THREE_DIGITS.is_sorted() && TWO_DIGITS.is_sorted() && TRUNK_ZERO.is_sorted());
    }

    #[test]
    fn names_no_country_or_is_refused() {
        for number in [
            "+1",
            "+12",
            "+999123",
            "+0123456",
            "15551234567",
            "41791234567",
            "079 123 45 67",
            "",
            "+",
            "00",
            "+1234567890123456",
            "+491",
            "+２２２２",
            "+41 79 123 45 67 ext. 5",
            "+41 79 123 45 67,5",
            "+41 79 123 45 67 / +41 79 123 45 68",
            "++41791234567",
            "+1-800-FLOWERS",
            "call +41791234567",
            "+41\u{0}791234567",
        ] {
            assert_eq!(normalized(number), None, "{number}");
        }
    }
}
