use std::path::Path;

use super::*;

fn load(name: &str) -> MfaIndex {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/mfa").join(name);
    let options = LoadOptions { max_line: 1 << 20, ..LoadOptions::default() };
    MfaIndex::load(&[Source::File(file)], &options, &Events::silent()).unwrap()
}

#[test]
fn factors_are_read_with_and_without_type() {
    let index = load("every-form.ndjson");
    assert_eq!(index.audit().unused, 2);
    let first = index.find("auth0|64db9dba7f18450dc2502340").unwrap();
    assert_eq!(first.totp[0].expose_secret(), "PA6FWZ3EGU2DMZCSKU2DOQCNNY2X26L2");
    assert_eq!(first.recovery_codes.len(), 1);
    assert_eq!(index.audit().unused, 1);
    let second = index.find("auth0|64db9dba7f18450dc2502341").unwrap();
    assert_eq!(second.totp[0].expose_secret(), "JBSWY3DPEHPK3PXP");
    assert_eq!(second.recovery_codes.len(), 1);
    assert_eq!(second.others, ["phone"]);
    let unusable: Vec<_> = second.unusable.iter().map(|factor| (factor.kind, factor.why.as_str())).collect();
    assert_eq!(unusable, [("totp", "TOTP secret: not Base32"), ("totp", "TOTP secret: none in the row")]);
    assert!(index.find("64db9dba7f18450dc2502341").is_none());
    let audit = index.audit();
    assert_eq!((audit.rows, audit.users, audit.totp, audit.recovery_codes), (9, 2, 2, 2));
    assert_eq!((audit.duplicates, audit.malformed_rows, audit.unused), (1, 3, 0));
    assert_eq!(audit.malformed.iter().map(|row| row.line).collect::<Vec<_>>(), [7, 8, 9]);
    assert!(!format!("{index:?}{first:?}{audit:?}{audit}").contains("PA6FWZ3E"));
}

#[test]
fn a_damaged_row_belongs_to_whom_it_names() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = "{\"user_id\":\"auth0|1\",\"type\":[1]}\n{\"user_id\":\" auth0|2 \",\"otp_secret\":{}}\n\
                {\"user_id\":\"auth0|3\",\"type\":\"otp\",\"otp_s\n{\"user_id\":7,\n{\"otp_secret\":\"JBSWY3DPEHPK3PXP\"}\n";
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    let options = LoadOptions { max_line: 1 << 20, ..LoadOptions::default() };
    let index = MfaIndex::load(&[Source::File(file.path().to_owned())], &options, &Events::silent()).unwrap();
    for (id, kind, why) in [
        ("auth0|1", "unknown", "a row without a factor"),
        ("auth0|2", "totp", "TOTP secret: not a text"),
        ("auth0|3", "unknown", "a row that is damaged"),
    ] {
        assert_eq!(index.find(id).unwrap().unusable, [Unusable { kind, why: why.to_owned() }]);
    }
    let audit = index.audit();
    assert_eq!((audit.rows, audit.malformed_rows, audit.users, audit.files[0].usable), (5, 5, 3, 0));
    assert!(index.require_usable().unwrap_err().message().contains("no row of"));
}

#[test]
fn a_secret_is_base32_or_none() {
    for good in ["JBSWY3DPEHPK3PXP", "jbsw y3dp-ehpk 3pxp", "MY======", "MZXW6YQ=", "MZXW6YTB"] {
        assert!(base32(good).is_ok(), "{good}");
    }
    let long = "A".repeat(208);
    for bad in ["", "=", "A", "ABC", "ABCDEF", "JBSWY3DPEHPK3PX1", "JBSWY3DPEHPK3PX0", "JBSW=Y3D", "ÄBSWY3DP", &long] {
        assert!(base32(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_recovery_code_is_a_hash_that_zitadel_can_match() {
    let body = "IujF70OJHfvrHq6AfpJhiubEMsTlmjxtN6sVsI0DHEfBIXDhywTou";
    let is_good = |hash: String| matches!(recovery_code(hash.into()), Factor::RecoveryCode(_));
    for good in ["$2a$10$", "$2b$10$", "$2y$16$"] {
        assert!(is_good(format!("{good}{body}")), "{good}");
    }
    for bad in ["$2b$09$", "$2b$17$", "$2x$10$", "$2b$1$", "", "$argon2id$"] {
        assert!(!is_good(format!("{bad}{body}")), "{bad}");
    }
    assert!(!is_good(format!("$2b$10${body}.")) && !is_good("ABCD1234".to_owned()));
}

#[test]
fn many_factors_of_many_users_are_kept_and_found() {
    let mut index = MfaIndex::default();
    for n in 0..40_000_u32 {
        let id = format!("auth0|{n}");
        index.add(&id, Factor::Totp(format!("SECRET{n}").into())).unwrap();
        index.add(&id, Factor::RecoveryCode(format!("CODE{n}").into())).unwrap();
    }
    for n in 0..300 {
        index.add("auth0|1", Factor::Other(format!("kind{n}"))).unwrap();
    }
    for n in [0, 1, 777, 39_999] {
        let found = index.find(&format!("auth0|{n}")).unwrap();
        assert_eq!(found.totp[0].expose_secret(), format!("SECRET{n}"));
        assert_eq!(found.recovery_codes[0].expose_secret(), format!("CODE{n}"));
    }
    let most = index.find("auth0|1").unwrap();
    assert_eq!((most.others.len(), most.others[0].as_str()), (98, "kind0"));
    assert_eq!(index.store.users(), 40_000);
}
