//! The vectors are the specifications' own. That passwap matches what is emitted here was tried with passwap itself
//! (v0.12.1), with each of the passwords named beside them.

use super::*;
use crate::hashes::{
    algorithm::{Verifiers, describe, usable},
    custom,
};

fn all() -> Verifiers {
    let names = ["argon2", "md5", "md5plain", "md5salted", "phpass", "sha2", "scrypt", "pbkdf2", "drupal7"];
    Verifiers::parse(&names.map(str::to_owned)).unwrap()
}

#[track_caller]
fn emitted(hash: &str) -> String {
    usable(hash, all()).unwrap_or_else(|why| panic!("{hash}: {why}")).into_owned()
}

#[track_caller]
fn as_it_is(hash: &str) {
    assert_eq!(emitted(hash), hash);
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// PHC strings; "password" with "somesaltsalt" by the reference implementation of RFC 9106.
#[test]
fn argon2() {
    let id = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let i = "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA";
    as_it_is(id);
    as_it_is(i);
    assert_eq!(emitted(&id.replace("m=65536,t=2,p=1", "t=2,p=1,m=65536")), id);
    assert_eq!(emitted(&format!("{id}=")), id);
    for bad in [
        id.replace("argon2id", "argon2d"),
        id.replace("argon2id", "argon2x"),
        id.replace("v=19", "v=16"),
        id.replace("$v=19", ""),
        id.replace("m=65536", "m=4096"),
        id.replace("m=65536", "m=1048576"),
        id.replace("t=2", "t=11"),
        id.replace("t=2", "t=0"),
        id.replace("p=1", "p=17"),
        id.replace("p=1", "p=1,data=AA"),
        id.replace("p=1", "p=1,p=1"),
        id.replace("t=2", "t=02"),
        id.replace("t=2", "t=+2"),
        id.replace("c29tZXNhbHQ", ""),
        id.replace("c29tZXNhbHQ", "c29tZXNhbHR"),
        id.replace("PPc", "PP"),
        format!("{id}$x"),
        format!("{id} "),
        format!("{id}\n"),
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$aGFzaA".to_owned(),
        "$argon2".to_owned(),
    ] {
        assert!(usable(&bad, all()).is_err(), "{bad:?}");
    }
}

/// RFC 7914, section 12: `pleaseletmein` with `SodiumChloride`.
#[test]
fn scrypt() {
    let result = unhex(
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
    );
    let hash = scrypt_of(14, 8, 1, b"SodiumChloride", &result).unwrap();
    assert_eq!(
        hash,
        "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw"
    );
    as_it_is(&hash);
    for bad in ["ln=13", "ln=21", "ln=14,ln=14", "ln=014"] {
        assert!(usable(&hash.replace("ln=14", bad), all()).is_err(), "{bad}");
    }
    assert!(usable(&hash.replace("r=8", "r=4"), all()).is_err());
    assert!(usable(&hash.replace("p=1", "p=17"), all()).is_err());
    // crypt(3)'s own form has the prefix, and not the form, that passwap reads.
    assert!(usable("$7$CU..../....2Q9obwLhin8qvQl6sisAO/$sc/NEubzmcUsGV", all()).is_err());

    let custom = |json: &str| custom::read(json);
    let json = r#"{"algorithm":"scrypt","hash":{"value":"7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887","encoding":"hex"},"salt":{"value":"SodiumChloride"},"keylen":64,"cost":16384,"blockSize":8,"parallelization":1}"#;
    assert_eq!(custom(json), Ok(hash));
    assert!(custom(&json.replace("64", "32")).is_err());
    assert!(custom(&json.replace("16384", "16383")).is_err());
    assert!(custom(&json.replace("\"hex\"", "\"utf16\"")).is_err());
    assert!(custom(&json.replace("7023", "zz23")).is_err());
}

/// RFC 6070 ("password" with "salt", 4,096 rounds, SHA-1) and RFC 7914, section 11 (`Password` with `NaCl`, 80,000
/// rounds, SHA-256), in the three ways of writing them.
#[test]
fn pbkdf2() {
    let sha1 = "$pbkdf2$4096$c2FsdA$SwB5AbdlSJq.rUnZJvch0GWkKcE";
    as_it_is(sha1);
    assert_eq!(emitted("$pbkdf2-sha1$i=4096,l=20$c2FsdA$SwB5AbdlSJq+rUnZJvch0GWkKcE"), sha1);
    assert_eq!(emitted("$pbkdf2-sha1$i=4096$c2FsdA==$SwB5AbdlSJq+rUnZJvch0GWkKcE="), sha1);
    assert_eq!(emitted("pbkdf2_sha1$4096$salt$SwB5AbdlSJq+rUnZJvch0GWkKcE="), sha1);
    let sha256 = "$pbkdf2-sha256$80000$TmFDbA$TdzY9guYviGDDO5e8icB.WQaRBjQTAQUrv8Ih2s0q1ah1CWhIlgzVJrbhBtRybMXaicr3ruh0HhHj2Kzl/M8jQ";
    as_it_is(sha256);
    assert_eq!(
        emitted(
            "$pbkdf2-sha256$i=80000,l=64$TmFDbA$TdzY9guYviGDDO5e8icB+WQaRBjQTAQUrv8Ih2s0q1ah1CWhIlgzVJrbhBtRybMXaicr3ruh0HhHj2Kzl/M8jQ"
        ),
        sha256
    );
    for bad in [
        sha1.replace("4096", "999"),
        sha1.replace("4096", "10000001"),
        sha1.replace("4096", "04096"),
        sha1.replace("4096", "i=4096,l=21"),
        sha1.replace("4096", "i=4096,x=1"),
        sha1.replace("$pbkdf2$", "$pbkdf2-md5$"),
        sha1.replace("c2FsdA", ""),
        sha1.replace("KcE", "K"),
        format!("{sha1}$"),
        "pbkdf2_sha1$i=4096$salt$SwB5AbdlSJq+rUnZJvch0GWkKcE=".to_owned(),
        "$pbkdf2".to_owned(),
    ] {
        assert!(usable(&bad, all()).is_err(), "{bad:?}");
    }
}

/// RFC 1321: "message digest"; and Auth0's documented example, MD5("salt" + "password").
#[test]
fn md5() {
    as_it_is("f96b697d7cb7938d525a2f31aaf161d0");
    assert!(usable("f96b697d7cb7938d525a2f31aaf161d", all()).is_err());
    assert!(usable(&"a".repeat(40), all()).is_err(), "ZITADEL would take it, and never match it");
    assert!(usable(&"a".repeat(64), all()).is_err(), "ZITADEL would take it, and never match it");
    let plain = r#"{"algorithm":"md5","hash":{"value":"F96B697D7CB7938D525A2F31AAF161D0","encoding":"hex"}}"#;
    assert_eq!(custom::read(plain).as_deref(), Ok("f96b697d7cb7938d525a2f31aaf161d0"));
    let salted = r#"{"algorithm":"md5","hash":{"value":"67A1E09BB1F83F5007DC119C14D663AA","encoding":"hex"},"salt":{"value":"salt","position":"prefix"}}"#;
    let prefixed = "$md5salted-prefix$salt$Z6Hgm7H4P1AH3BGcFNZjqg==";
    assert_eq!(custom::read(salted).as_deref(), Ok(prefixed));
    as_it_is(prefixed);
    assert_eq!(
        custom::read(&salted.replace("prefix", "suffix")).as_deref(),
        Ok("$md5salted-suffix$salt$Z6Hgm7H4P1AH3BGcFNZjqg==")
    );
    for bad in ["sa$lt", "sa lt", "", "sa\\u0000lt"] {
        assert!(custom::read(&salted.replace("\"salt\",", &format!("\"{bad}\","))).is_err(), "{bad:?}");
    }
    assert!(custom::read(&plain.replace("}}", "},\"password\":{\"encoding\":\"utf16le\"}}")).is_err());
    // "Hello world!" by crypt(3).
    as_it_is("$1$saltstri$YMyguxXMBpd2TEZ.vS/3q1");
    for bad in [
        "$1$saltstri$YMyguxXMBpd2TEZ.vS/3q2",
        "$1$saltstring$YMyguxXMBpd2TEZ.vS/3q1",
        "$1$$YMyguxXMBpd2TEZ.vS/3q1",
        "$apr1$saltstri$YMyguxXMBpd2TEZ.vS/3q1",
    ] {
        assert!(usable(bad, all()).is_err(), "{bad}");
    }
}

/// Drepper's "Unix crypt using SHA-256 and SHA-512".
#[test]
fn sha2() {
    for hash in [
        "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
        "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
        "$6$rounds=5000$toolongsaltstrin$iGlL7EUUfzNQx59x3ydJZ.zXPMUu1dOynSEl/vcNhLlas77qD0DzRswhhB6LdrXTz250at0syAfUXra.XrxAI1",
        "$5$rounds=5000$toolongsaltstrin$Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5",
        "$6$rounds=77777$short$WuQyW2YR.hBNpjjRhpYD/ifIw05xdfeEyQoMxIXbkvr0gge1a1x3yRULJ5CCaUeOxFmtlcGZelFl5CxtgfiAc0",
    ] {
        as_it_is(hash);
    }
    let good = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
    for bad in [
        good.replace("$5$", "$6$"),
        good.replace("saltstring", "saltstringsaltstring"),
        good.replace("saltstring", ""),
        good.replace("saltstring", "rounds=999$saltstring"),
        good.replace("saltstring", "rounds=01000$saltstring"),
        good.replace("saltstring", "rounds=1000000000$saltstring"),
        good.replace("saltstring", "rounds=$saltstring"),
        good.replace("Ec5", "Ec"),
        good.replace("Ec5", "Ec!"),
        format!("{good}$"),
    ] {
        assert!(usable(&bad, all()).is_err(), "{bad:?}");
    }
}

/// phpass's own test ("test12345"), and passlib's for Drupal 7 ("password").
#[test]
fn phpass_and_drupal7() {
    let php = "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0";
    as_it_is(php);
    as_it_is(&php.replace("$P$", "$H$"));
    for bad in [
        php.replace("$P$9", "$P$4"),
        php.replace("$P$9", "$P$z"),
        php.replace("$P$9", "$P$!"),
        php.replace(".L0", ".L2"),
        php.replace("L0", "L"),
    ] {
        assert!(usable(&bad, all()).is_err(), "{bad}");
    }
    let drupal = "$S$ErandomsaOpYrAZqwxGynirQbWYCb3ejW4BwGH81LJcOzbzeVd02";
    as_it_is(drupal);
    for bad in [
        drupal.replace("$S$E", "$S$7"),
        drupal.replace("$S$E", "$S$H"),
        format!("U{drupal}"),
        drupal.replace("02", "0"),
    ] {
        assert!(usable(&bad, all()).is_err(), "{bad}");
    }
}

#[test]
fn nothing_moves_without_its_verifier() {
    let bcrypt_only = Verifiers::default();
    for (hash, why) in [
        (
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "argon2id; the verifier `argon2` is not listed in `zitadel.verifiers`",
        ),
        ("$pbkdf2$12$c2FsdA$SwB5AbdlSJq.rUnZJvch0GWkKcE", "pbkdf2: the cost is out of ZITADEL's bounds"),
        ("{SSHA}abc", "ldap; ZITADEL has no verifier for it"),
        ("hunter2", "unrecognised algorithm"),
    ] {
        assert_eq!(usable(hash, bcrypt_only).unwrap_err().reason, why);
    }
    assert!(usable("{SSHA}abc", all()).is_err());
    assert_eq!(describe("$md5salted-prefix$salt$Z6Hgm7H4P1AH3BGcFNZjqg=="), "md5 with salt");
    assert_eq!(format!("{:?}", Verifiers::parse(&["pbkdf2".to_owned()]).unwrap()), r#"{"bcrypt", "pbkdf2"}"#);
    assert!(Verifiers::parse(&["argon2id".to_owned()]).unwrap_err().contains("argon2, bcrypt"));
}

#[test]
fn custom_hashes_of_other_kinds_stay_behind() {
    for algorithm in ["md4", "sha1", "sha256", "sha512", "hmac", "ldap"] {
        let json = format!(r#"{{"algorithm":"{algorithm}","hash":{{"value":"CANARY00","encoding":"hex"}}}}"#);
        assert_eq!(custom::read(&json), Err(format!("{algorithm}: ZITADEL has no verifier for it")));
    }
    let argon = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let json = format!(r#"{{"algorithm":"argon2","hash":{{"value":"{argon}","encoding":"utf8"}}}}"#);
    assert_eq!(custom::read(&json).as_deref(), Ok(argon));
    for bad in ["{}", "[]", "1", r#"{"algorithm":"CANARY","hash":{"value":"x"}}"#, r#"{"algorithm":"md5"}"#] {
        assert!(!custom::read(bad).unwrap_err().contains("CANARY"), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_panics(text in r"(\$(argon2id|argon2i|scrypt|pbkdf2-sha256|pbkdf2|1|5|6|P|H|S|md5salted-prefix)\$|pbkdf2_)?[a-zA-Z0-9$=,./+é ]{0,60}") {
        let _ = usable(&text, all());
        let _ = describe(&text);
        let _ = custom::read(&text);
    }
}
