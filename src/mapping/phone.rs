//! Phone numbers: E.164, and a prediction of `libphonenumber.Parse`, which ZITADEL calls.

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

/// The phone number, or a finding: a number must never cost the user.
pub(super) fn phone(user: &ExportedUser, findings: &mut Vec<Finding>) -> Option<Phone> {
    let number = user.phone_number.as_deref().map(str::trim).filter(|number| !number.is_empty())?;
    if !is_taken(number) {
        findings.push(Finding::new(FindingCode::PhoneDropped));
        return None;
    }
    Some(Phone { number: number.to_owned(), verified: user.phone_verified.unwrap_or(false) })
}

/// `^\+[1-9]\d{1,14}$`, a known calling code, and at least two digits after it.
pub(crate) fn is_taken(number: &str) -> bool {
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

    #[test]
    fn predicts_libphonenumber() {
        for number in
            ["+1555", "+15551234567", "+491511234", "+4901511234", "+41791234567", "+88312345", "+123456789012345"]
        {
            assert!(is_taken(number), "{number}");
        }
        for number in [
            "+1",
            "+12",
            "+999123",
            "+0123456",
            "15551234567",
            "",
            "+",
            "+49 151",
            "+1234567890123456",
            "+491",
            "+２２２２",
        ] {
            assert!(!is_taken(number), "{number}");
        }
        assert!(THREE_DIGITS.is_sorted() && TWO_DIGITS.is_sorted());
    }
}
